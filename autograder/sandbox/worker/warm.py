"""Libraries whose first use takes a second or more: loaded before a submission's first cell if its text names them.

So no student's time is spent on an import, and no cell is stopped in the middle of one. The judge picks names from
the list here; nothing of a submission is executed for it.
"""

import importlib
import re
from collections.abc import Callable


def _transforms() -> None:
    """What torch loads when it first differentiates a function of a function: eight hundred modules."""
    import torch

    torch.func.hessian(lambda x: (x * x).sum())(torch.ones(1))


def _importing(*modules: str) -> Callable[[], None]:
    def load() -> None:
        for module in modules:
            importlib.import_module(module)

    return load


def _line_with(first: str, then: str) -> str:
    """A line that holds one and, further on, the other; each line is read once, however a student wrote it."""
    return rf"^(?>[^\n]*?{first})(?>[^\n]*?{then})"


def _imported(library: str) -> str:
    return _line_with("(?:import|from)", rf"\b{library}\b")


LIBRARIES: dict[str, tuple[str, Callable[[], None]]] = {
    "torch": (_imported("torch"), _importing("torch")),
    "torch.func": (r"\b(?:jacrev|jacfwd|hessian|vmap|functional_call|functorch)\b", _transforms),
    "torch.compile": (r"\btorch\.compile\b", _importing("torch._dynamo", "torch._inductor")),
    "scipy": (_imported("scipy"), _importing("scipy.special", "scipy.linalg", "scipy.optimize")),
    "scipy.stats": (_line_with(r"\bscipy\b", r"\bstats\b"), _importing("scipy.stats")),
    "matplotlib": (_imported("matplotlib"), _importing("matplotlib.pyplot")),
    "pandas": (_imported("pandas"), _importing("pandas")),
    "sklearn": (_imported("sklearn"), _importing("sklearn")),
    "numba": (_imported("numba"), _importing("numba")),
}
"""By name: what in a text means it, and how it is loaded."""


def named(text: str) -> list[str]:
    """The libraries of the list that a text uses."""
    return [name for name, (pattern, _) in LIBRARIES.items() if re.search(pattern, text, re.MULTILINE)]


def load(names: list[str]) -> None:
    """Load them; one that is not installed is left to the cell that wants it."""
    for name in names:
        try:
            LIBRARIES[name][1]()
        except Exception:  # whatever it is, it is told where the submission needs it
            continue
