"""Cells in a sandbox, as the tests of its walls run them."""

from typing import Any

from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox


def run(sandbox: Sandbox, source: str, seconds: float = 10.0, limits: Limits | None = None) -> dict[str, Any]:
    """What a cell did, as the first of a fresh submission."""
    return sandbox.start(limits).run_cell(source, seconds)


def text(answer: dict[str, Any]) -> str:
    """What a cell printed, and the error that ended it."""
    return answer["stdout"] + (str(answer["error"]) if answer["error"] else "")
