"""The part of ebmkit that assignments need, for Python in the page: `ebmkit.data`, in NumPy."""

from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(f"in the page ebmkit has its `data` alone, not `{name}`; the notebook has all of it")
