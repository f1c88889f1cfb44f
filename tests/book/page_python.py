"""Runs the page's Python in this interpreter: `page_python.py` reads cells and targets, writes what they show.

A process of its own, for the page's stand-ins carry the names of matplotlib, torch and ebmkit.
"""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "live" / "page"))

import cells as page
import numpy as np


def shown(cells: list[dict[str, str]], targets: list[str]) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    passed = page.run(cells, targets, items.append)
    return {"passed": passed, "items": items}


def values_of(steps: list[Any]) -> dict[str, Any]:
    """The namespace after some steps; what they print or draw is lost."""
    this = page.Run(lambda item: None)
    page.plt.begin(this.emit)
    with contextlib.redirect_stdout(io.StringIO()):
        for step in steps:
            this.execute(step, step.nodes)
    return this.namespace


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal; functions, modules and generators of chance count as equal."""
    if not isinstance(a, np.ndarray | np.generic | float | int | str | list | tuple | dict):
        return type(a) is type(b)
    try:
        np.testing.assert_equal(a, b)
    except AssertionError:
        return False
    return True


def differences(cells: list[dict[str, str]], targets: list[str]) -> list[str]:
    """Names that the steps a target needs give another value than the whole notebook up to it."""
    torch = {cell["id"].removesuffix("-tests") for cell in cells if "torch." in cell["source"]}
    rest = [cell for cell in cells if cell["id"].removesuffix("-tests") not in torch]
    whole = [step for cell in rest for step in page.steps_of(cell)]
    everything = values_of(whole)
    needed = values_of(page.plan(cells, targets))
    own = [step for step in whole if step.cell["id"] in targets]
    names = {name for step in own for name in step.reads | step.reads_later | step.binds} & set(needed)
    return sorted(name for name in names if not same(needed[name], everything[name]))


def answer(request: dict[str, Any]) -> Any:
    return {"run": shown, "differences": differences}[request["what"]](request["cells"], request["targets"])


if __name__ == "__main__":
    json.dump([answer(request) for request in json.load(sys.stdin)], sys.stdout)
