"""One way of saying things: every public name is found by itself and held to the same manners."""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import pytest
import torch

import ebmkit

SECTIONS = {"Parameters", "Returns", "Yields", "Raises", "Attributes", "Notes", "Examples", "See Also"}


def exported() -> Iterator[tuple[str, Any]]:
    """Every name that a module of the library offers."""
    for module in ebmkit._MODULES:
        room = importlib.import_module(f"ebmkit.{module}")
        yield from ((f"{module}.{key}", getattr(room, key)) for key in room.__all__)


def ours(thing: Any) -> bool:
    return inspect.isclass(thing) or inspect.isfunction(thing)


NAMES = {name: thing for name, thing in exported() if ours(thing)}


def callables() -> Iterator[tuple[str, Any]]:
    """Every public function, constructor and method."""
    for name, thing in NAMES.items():
        if not inspect.isclass(thing):
            yield name, thing
            continue
        for key, value in vars(thing).items():
            function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            if inspect.isfunction(function) and (not key.startswith("_") or key in {"__init__", "__call__"}):
                yield f"{name}.{key}", function


CALLABLES = dict(callables())
EVERY_ROOM = pytest.mark.parametrize("room", ebmkit._MODULES)


def of(room: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.partition(".")[0] == room]


def parameters(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(CALLABLES[name]).parameters)


def is_protocol(thing: Any) -> bool:
    return inspect.isclass(thing) and Protocol in thing.__mro__ and getattr(thing, "_is_protocol", False)


def test_the_walk_finds_the_library() -> None:
    assert len(NAMES) > 200
    assert len(CALLABLES) > 450
    assert {"mcmc.HMC.step", "ising.simulate", "exponential_families.Gaussian.sample"} <= CALLABLES.keys()


@EVERY_ROOM
def test_a_generator_is_given_by_name_alone(room: str) -> None:
    for name in of(room, CALLABLES):
        for key, parameter in parameters(name).items():
            if key == "generator":
                assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, name
            else:
                assert "Generator" not in str(parameter.annotation), f"{key} of {name} is a generator"
                assert key not in {"rng", "random_state"}, name


@pytest.mark.parametrize("name", [name for name in CALLABLES if name.endswith(".sample")])
def test_every_model_draws_in_the_same_words(name: str) -> None:
    if name == "mcmc.sample":  # of a kernel, not of a model
        return
    found = list(parameters(name))
    assert found[-2:] == ["sample_shape", "generator"]
    assert set(found[:-2]) <= {"self", "theta", "y"}  # which member of a family, which class


def test_log_z_has_one_word() -> None:
    for name in CALLABLES:
        assert not re.search("normali[sz]er", " ".join([name, *parameters(name)])), name


NO_MODEL = {
    "a module": torch.nn.Linear(2, 1),
    "a function": lambda x: x,
    "a number": 3,
    "nothing": None,
    "a class": ebmkit.boltzmann_machines.RBM,
}
SENSIBLE = {"generator": torch.Generator(), "betas": (0.5, 1.0)}


def wants_a_model(thing: Any) -> list[str]:
    """The parameters that are models or kernels; a named tuple takes what it is given, as it is a result."""
    if is_protocol(thing) or (inspect.isclass(thing) and issubclass(thing, tuple | Exception)):
        return []
    return [
        key for key in inspect.signature(thing).parameters if key in {"model", "base", "kernel", "kernels"}
    ]


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name in NAMES if not name.startswith("chance.") for key in wants_a_model(NAMES[name])],
)
def test_what_is_no_model_is_refused_at_once_and_by_name(name: str, key: str) -> None:
    takes = inspect.signature(NAMES[name]).parameters
    needed = [k for k, p in takes.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    for kind, given in NO_MODEL.items():
        if given is None and key not in needed:  # nothing is what such a parameter is by default
            continue
        others = {k: SENSIBLE.get(k, torch.ones(3, 2)) for k in needed}
        with pytest.raises(TypeError, match=r"needs|is for|must be a sequence") as refused:
            NAMES[name](**others | {key: given})
        last = traceback.extract_tb(refused.value.__traceback__)[-1]
        assert "/ebmkit/" in last.filename, f"{kind}: {refused.value}"


@EVERY_ROOM
def test_every_public_name_has_an_example(room: str) -> None:
    for name in of(room, NAMES):
        if is_protocol(NAMES[name]):  # says what others implement
            continue
        found = doctest.DocTestParser().get_examples(inspect.getdoc(NAMES[name]) or "")
        assert found, f"{name} has no example; test_examples runs what it finds"
        assert any(example.want for example in found), f"the example of {name} shows no result"


@EVERY_ROOM
def test_a_docstring_begins_with_a_sentence_and_its_sections_tell_the_truth(room: str) -> None:
    for name in of(room, NAMES):
        assert_docstring_is_true(name)


def assert_docstring_is_true(name: str) -> None:
    thing = NAMES[name]
    text = inspect.getdoc(thing) if not inspect.isclass(thing) else inspect.cleandoc(thing.__doc__ or "")
    assert text, f"{name} has no docstring"
    assert re.match(r"[^\n]+[.:]\n|[^\n]+[.:]$", text + "\n"), f"the first line of {name} is no sentence"
    lines = text.splitlines()
    titles = [i for i in range(len(lines) - 1) if re.fullmatch("-{3,}", lines[i + 1])]
    for i in titles:
        assert lines[i] in SECTIONS, f"{name} has a section {lines[i]!r}"
        assert len(lines[i]) == len(lines[i + 1])
        if lines[i] != "Parameters":
            continue
        end = min((j for j in titles if j > i), default=len(lines))
        said = {
            part.strip(" *")
            for line in lines[i + 2 : end]
            if re.match(r"(?!Source|Raises)[\w*][\w*, ]*:", line)
            for part in line.partition(":")[0].split(",")
        }
        takes = set(inspect.signature(thing).parameters)
        assert said
        assert said <= takes, f"{name} describes {said - takes}, which it does not take"


def raised(function: Any) -> set[str]:
    """The errors that the code of a function itself raises; what says that others must implement it is none."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except OSError:  # made by dataclass or by a protocol
        return set()
    found = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = {call.func.id for call in found if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
    return names - {"NotImplementedError", "AssertionError", "renamed"}


@EVERY_ROOM
def test_what_raises_an_error_says_so(room: str) -> None:
    for name in of(room, CALLABLES):
        owner = NAMES.get(name.rpartition(".")[0])
        if is_protocol(owner):
            continue
        text = inspect.getdoc(CALLABLES[name]) or ""
        if name.endswith("__"):  # what is said of a class is said of how it is made
            text += inspect.getdoc(owner) or ""
        silent = {error for error in raised(CALLABLES[name]) if error not in text}
        assert not silent, f"the docstring of {name} does not say when it raises {silent}"


@EVERY_ROOM
def test_what_returns_a_tensor_says_of_which_shape(room: str) -> None:
    for name in of(room, CALLABLES):
        owner = NAMES.get(name.rpartition(".")[0])
        if is_protocol(owner) or name.startswith("testing.EnumeratedChance"):  # answers as `chance` does
            continue
        if "Tensor" in str(inspect.signature(CALLABLES[name]).return_annotation):
            text = inspect.getdoc(CALLABLES[name]) or ""
            if name.endswith("__"):
                text = inspect.getdoc(owner) or ""
            assert re.search(r"`\(|shape|scalar|elementwise", text), (
                f"{name} does not say which shape it returns"
            )
