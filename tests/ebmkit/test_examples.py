"""The examples of the docstrings run, and say what they say."""

import doctest
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest
import torch

import ebmkit

ROOT = Path(ebmkit.__file__).parent


def modules() -> list[str]:
    """The files with an example in a docstring."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        if ">>> " in path.read_text(encoding="utf-8"):
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def examples(module: ModuleType) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [
        test
        for name, thing in vars(module).items()
        if inspect.getmodule(inspect.unwrap(thing) if callable(thing) else thing) is module
        and (inspect.isclass(thing) or inspect.isroutine(thing))
        for test in finder.find(thing, f"{module.__name__}.{name}", module, globs=dict(vars(module)))
        if test.examples
    ]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name: str) -> None:
    torch.manual_seed(0)
    tests = examples(importlib.import_module(name))
    assert tests, f"{name} has examples that nobody finds"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in tests:
        report: list[str] = []
        runner.run(test, out=report.append)
        assert not report, "".join(report)
