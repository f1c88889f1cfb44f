"""Reading what a student handed in, which may be anything at all.

The bytes are parsed as JSON and nothing else; outputs and widgets are dropped unread, and of attachments only what
calls itself a PNG picture is kept, undecoded. What cannot be read is `Unreadable`, with a reason that a student
understands.
"""

import ast
import dataclasses
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 20 << 20
MAX_CELLS = 1000
MAX_PICTURES = 50
MAX_PICTURE_TEXT = 6 << 20
"""Pictures that are attached to a notebook's text: how many, and how many characters of base64 all together."""


MAX_PARSED = 200_000
"""Characters of one cell whose grammar is looked at here: each can cost a thousand times its size."""


class Unreadable(ValueError):
    """The file is no notebook; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: its nbgrader id if it has one, and whether it is one of our locked tests.

    `pictures` are the names of attachments with what claims to be a PNG in base64: `checked_png` decides.
    """

    kind: str
    source: str
    grade_id: str = ""
    is_test: bool = False
    pictures: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Submission:
    """The cells of a notebook in order, and what was odd about it."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()


def read_bytes(path: Path) -> bytes:
    """The file's bytes, without ever reading more than a notebook may have."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def parse(data: bytes) -> Submission:
    """The notebook in `data`; raises `Unreadable`."""
    if len(data) > MAX_BYTES:
        raise Unreadable(
            f"the notebook is larger than {MAX_BYTES >> 20} MB; clear its outputs (Kernel, Restart and Clear "
            "Outputs), save and hand in again"
        )
    if not data.strip():
        raise Unreadable("the file is empty; save the notebook and hand in again")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"the file is not UTF-8 text (byte {error.start}); save it from Jupyter again"
        ) from None
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(
            f"the file is not a notebook, or it was cut off{where}; save it and hand in again"
        ) from None
    return _submission(tree)


def _submission(tree: Any) -> Submission:
    if not isinstance(tree, dict) or not isinstance(tree.get("nbformat"), int):
        raise Unreadable("the file is not a Jupyter notebook; hand in the .ipynb file")
    cells = tree.get("cells")
    if tree["nbformat"] < 4 or not isinstance(cells, list):
        raise Unreadable(
            f"the notebook's format {tree['nbformat']} is too old; open it in Jupyter and save it again"
        )
    if len(cells) > MAX_CELLS:
        raise Unreadable(f"the notebook has {len(cells)} cells; at most {MAX_CELLS} are graded")
    read = tuple(_illustrated(cells))
    return Submission(read, tuple(_oddities(tree, read)))


def _illustrated(cells: list[Any]) -> Iterator[Cell]:
    """The cells, with attached pictures as long as there is room for them."""
    number, left = MAX_PICTURES, MAX_PICTURE_TEXT
    for raw in cells:
        cell, pictures = _cell(raw), []
        for name, encoded in _attached(raw):
            if number and len(encoded) <= left:
                pictures.append((name, encoded))
                number, left = number - 1, left - len(encoded)
        yield dataclasses.replace(cell, pictures=tuple(pictures)) if pictures else cell


def _attached(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is attached to a cell of text and calls itself a PNG, by name."""
    attachments = cell.get("attachments")
    if cell.get("cell_type") != "markdown" or not isinstance(attachments, dict):
        return
    for name, kinds in attachments.items():
        encoded = kinds.get("image/png") if isinstance(kinds, dict) else None
        if isinstance(encoded, list):
            encoded = "".join(part for part in encoded if isinstance(part, str))
        if isinstance(encoded, str):
            yield name, encoded


def _cell(cell: Any) -> Cell:
    if not isinstance(cell, dict):
        raise Unreadable("one of the notebook's cells is damaged; save it from Jupyter again")
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    marks = marks if isinstance(marks, dict) else {}
    grade_id = marks.get("grade_id")
    return Cell(
        kind=str(cell.get("cell_type", "")),
        source=source if isinstance(source, str) else "",
        grade_id=grade_id if isinstance(grade_id, str) else "",
        is_test=marks.get("grade") is True and marks.get("solution") is not True,
    )


def _oddities(tree: dict[str, Any], cells: tuple[Cell, ...]) -> list[str]:
    notes = []
    metadata = tree.get("metadata")
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    if isinstance(spec, dict):
        language = str(spec.get("language", "python"))[:40]
        if not language.lower().startswith("python"):
            notes.append(f"the notebook says its language is {language!r}; it was graded as Python")
    counts = Counter(cell.grade_id for cell in cells if cell.grade_id)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        notes.append(f"these cells stand more than once, and the last one counts: {', '.join(twice)[:200]}")
    return notes


def runnable(submission: Submission, exercises: list[str]) -> tuple[dict[int, str], list[str]]:
    """What is run of each cell, by its index, and notes on what was found where no code should be.

    That is every code cell but our tests; the answer cell of an exercise whose type was changed, or that lost its
    id and its type; and of the tests' cells the definitions that a student wrote into them.
    """
    chosen: dict[int, str] = {}
    notes = []
    defined = {
        name
        for name in exercises
        if any(c.kind == "code" and not c.is_test and defines(c.source, name) for c in submission.cells)
    }
    for index, cell in enumerate(submission.cells):
        if not cell.source.strip():
            continue
        if cell.kind == "code" and not cell.is_test:
            chosen[index] = cell.source
            continue
        here = [name for name in exercises if defines(cell.source, name)]
        if cell.kind == "code":
            if here and (definitions := _definitions(cell.source)):
                chosen[index] = definitions
                notes.append(f"cell {index + 1} holds tests and code of yours: its definitions were run")
        elif here and (cell.grade_id in here or not defined.intersection(here)):
            if _parses(code := _unfenced(cell.source)):
                chosen[index] = code
                notes.append(f"cell {index + 1} is no code cell, but defines {here[0]}: it was run as code")
            else:
                notes.append(
                    f"cell {index + 1} defines {here[0]}, but is no code cell, and what stands in it is not only "
                    "code: it was not run. Make it a code cell (Cell, Cell Type, Code) and hand in again"
                )
    return chosen, notes


def defines(source: str, name: str) -> bool:
    """Whether a line of the source defines `name`, as text: nothing is run."""
    pattern = rf"^(?:async\s+)?def\s+{re.escape(name)}\b|^{re.escape(name)}\s*(?::[^=\n]+)?=(?!=)"
    return re.search(pattern, source, re.MULTILINE) is not None


def _unfenced(source: str) -> str:
    """Without the fence that makes code of a text cell."""
    lines = source.strip("\n").splitlines()
    if len(lines) > 1 and lines[0].startswith("```") and lines[-1].startswith("```"):
        lines = ["", *lines[1:-1]]
    return "\n".join(lines)


def _parses(source: str) -> bool:
    return _tree(source) is not None


def _tree(source: str) -> ast.Module | None:
    """The grammar of a source that is no longer than what people write; None for any other, and for no Python."""
    if len(source) > MAX_PARSED:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # what is odd about a student's text is no news here
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _definitions(source: str) -> str:
    """The functions, classes, imports and plain assignments of a source, on the lines where they stand."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    plain = (ast.Lambda, ast.Name, ast.Constant)
    if (tree := _tree(source)) is None:
        return ""
    lines, kept = source.splitlines(), [""] * (source.count("\n") + 2)
    for node in tree.body:
        if isinstance(node, kinds) or (isinstance(node, ast.Assign) and isinstance(node.value, plain)):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)])
            kept[first - 1 : node.end_lineno] = lines[first - 1 : node.end_lineno]
    return "\n".join(kept).rstrip("\n")


def missing(submission: Submission, names: list[str]) -> list[str]:
    """Notes on exercises whose cell is gone; the function may still be defined elsewhere."""
    present = {cell.grade_id for cell in submission.cells}
    gone = [name for name in names if name not in present]
    return [
        f"the answer cell of {name} is missing; the function was looked for in the other cells"
        for name in gone
    ]


def cells_of(data: bytes) -> Submission:
    """The submission's cells; none if it cannot be read."""
    try:
        return parse(data)
    except Unreadable:
        return Submission(())
