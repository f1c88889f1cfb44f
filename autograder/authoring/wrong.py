"""Wrong answers by the hundred: right ones with one thing changed, as a slip of the pen changes it.

    wrong = list(slips(exercise, most=4))

Signs, factors, terms, axes, sums for means, comparisons: each slip is one edit at one place of one right answer.
They try what is told to a student: a name may be shown only if the answer *is* that mistake. Whether it is can be
decided without an opinion: it then behaves so on other inputs, too.
"""

import ast
import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence

from autograder.exercises.attempt import Function
from autograder.exercises.exercise import Exercise
from autograder.exercises.likeness import matching_mistake, replayed

OPPOSITE: dict[type, ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.Div(),
    ast.Div: ast.Mult(),
}
TURNED: dict[type, ast.cmpop] = {ast.Lt: ast.Gt(), ast.Gt: ast.Lt(), ast.LtE: ast.GtE(), ast.GtE: ast.LtE()}
OTHER_NAMES = {
    "mean": "sum",
    "sum": "mean",
    "max": "min",
    "min": "max",
    "argmin": "argmax",
    "argmax": "argmin",
}
OTHER_NUMBERS = {0: 1, 1: 2, 2: 1, 0.5: 1, -1: 0}

SLIPS = 4
"""How many slips of each right answer make the corpus."""


@dataclasses.dataclass(frozen=True)
class Slip:
    """A wrong answer: which right one, what was changed in which line, and the function."""

    answer: str
    line: int
    change: str
    function: Function

    def __str__(self) -> str:
        return f"{self.answer}, line {self.line}: {self.change}"


def slips(exercise: Exercise, most: int) -> Iterator[Slip]:
    """Up to `most` slips of each alternative of an exercise, spread evenly over its text.

    Answers with a `while` are left out: with a slip they may never end.
    """
    for alternative in exercise.alternatives:
        tree = ast.parse(exercise.source(alternative))
        if any(isinstance(node, ast.While) for node in ast.walk(tree)):
            continue
        edits = list(_edits(tree))
        for k in range(min(most, len(edits))):
            place, change, edit = edits[k * len(edits) // min(most, len(edits))]
            changed = copy.deepcopy(tree)
            node = list(ast.walk(changed))[place]
            edit(node)
            names = dict(alternative.__globals__)
            exec(compile(ast.fix_missing_locations(changed), "slip", "exec"), names)
            yield Slip(alternative.__name__, getattr(node, "lineno", 0), change, names[exercise.name])


Edit = Callable[[ast.AST], None]


def _edits(tree: ast.Module) -> Iterator[tuple[int, str, Edit]]:
    """Every place of the text where a slip can happen, the slip in words, and how to make it."""
    for place, node in enumerate(ast.walk(tree)):
        if isinstance(node, ast.BinOp) and type(node.op) in OPPOSITE:
            opposite = OPPOSITE[type(node.op)]
            yield place, f"{_symbol(node.op)} became {_symbol(opposite)}", _setting("op", opposite)
            if isinstance(node.op, ast.Add | ast.Sub):
                yield place, "the second term is gone", _leaving_out_the_second_term
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield place, "a minus sign is gone", _setting("op", ast.UAdd())
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
            yield place, "a comparison is turned round", _setting("ops", [TURNED[type(node.ops[0])]])
        elif isinstance(node, ast.Attribute) and node.attr in OTHER_NAMES:
            other = OTHER_NAMES[node.attr]
            yield place, f"{node.attr} became {other}", _setting("attr", other)
        elif (
            isinstance(node, ast.Constant)
            and type(node.value) in (int, float)
            and node.value in OTHER_NUMBERS
        ):
            number = type(node.value)(OTHER_NUMBERS[node.value])  # type: ignore[index]
            yield place, f"{node.value} became {number}", _setting("value", number)


def _symbol(operator: ast.operator) -> str:
    return {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}[type(operator)]  # type: ignore[index]


def _setting(field: str, value: object) -> Edit:
    return lambda node: setattr(node, field, value)


def _leaving_out_the_second_term(node: ast.AST) -> None:
    assert isinstance(node, ast.BinOp)
    node.op, node.right = ast.Mult(), ast.Constant(1)


@dataclasses.dataclass(frozen=True)
class Told:
    """What a slip came to: whether it failed, the name that was told, and whether that was the right one."""

    slip: Slip
    failed: bool
    name: str = ""
    misleading: bool = False


def told(exercise: Exercise, slip: Slip, seed: int = 1, others: Sequence[int] = (2, 3)) -> Told:
    """Try a slip; a name that it is told must hold on other inputs, too."""
    tried = list(exercise.tried(slip.function, lambda check: seed))
    if not any(one.complaint for one in tried):
        return Told(slip, False)
    match = matching_mistake(exercise, tried)
    if match is None:
        return Told(slip, True)
    again = [list(exercise.tried(slip.function, lambda check, other=other: other)) for other in others]  # type: ignore[misc]
    right = all(replayed(exercise, match.mistake, tried)[0] > 0 for tried in again)
    return Told(slip, True, match.mistake.name, not right)
