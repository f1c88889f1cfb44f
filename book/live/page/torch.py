"""Stands where torch would be: a notebook that imports it goes on, and whoever uses it is told where to."""

from typing import Any, NoReturn

WHERE = "torch is not in the page: do this exercise in the notebook, which the assignment's zip holds"


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)  # what Python itself asks a module for
    raise ImportError(f"{WHERE} (asked for torch.{name})")


def __dir__() -> list[Any]:
    return []
