"""The graded notebook: the student's cells, what they did in the sandbox, and our verdict in the test cells.

Of a student's, only text and checked PNG pictures go in; HTML, scripts, SVG, widgets, other attachments and
pictures from elsewhere never do.
nbgrader's own rule (`determine_grade`) reads our number from each test cell, so formgrader and feedback show what
we decided.
"""

import base64
import binascii
import dataclasses
import html
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from autograder.judging.handout import Handout, Marked, tests_of
from autograder.judging.judge import CellOutput, Judged
from autograder.judging.report import CheckResult, ExerciseResult, points
from autograder.judging.submission import Cell, Submission

NO_RESPONSE = "No response."
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = frozenset([b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"pHYs", b"sRGB", b"gAMA"])
PNG_SIDE = 4000
NAMED = 100
IMAGE = re.compile(
    r"""!\[(?P<words>[^\[\]]*+)\]
    \(\s*+(?:<(?P<bracketed>[^<>\n]*+)>|(?P<address>(?:[^\s()<>]++|\([^\s()<>]*+\))*+))
    (?:\s++(?:"[^"\n]*+"|'[^'\n]*+'))?+\s*+\)""",
    re.VERBOSE,
)
"""A picture as it is usually written: `![words](address "title")`."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the gradebook is told about one cell: nothing but what is not None."""

    grade_id: str
    score: float | None = None
    comment: str | None = None
    graded: bool = True


def entries(submission: Submission, judged: Judged, handout: Handout) -> Iterator[Entry]:
    """Scores of test cells, messages for answer cells, and which free-text answers wait for a human."""
    written = {cell.grade_id: cell.source for cell in submission.cells}
    results = {exercise.name: exercise for exercise in judged.report.exercises}
    for grade_id, cell in handout.cells.items():
        if cell.is_question:
            empty = written.get(grade_id, cell.source) == cell.source
            yield Entry(grade_id, 0.0 if empty else None, NO_RESPONSE if empty else "")
        elif cell.is_test:
            result = results.get(grade_id.removesuffix("-tests"))
            yield Entry(grade_id, points(result.score) if result else 0.0)
        elif not cell.locked and grade_id in results:
            # nbgrader's pages read a comment as Markdown with HTML in it.
            told = _without_images(without_html(in_words(results[grade_id], answers=False)))
            yield Entry(grade_id, None, told, graded=False)


def in_words(result: ExerciseResult, answers: bool = True) -> str:
    """The checks of an exercise, one a line, as they stand in the graded notebook and in the gradebook.

    Without `answers`, nothing of what a student's function made of an example: no text of its own.
    """
    lines = [f"{result.title}: {points(result.score):g} of {points(result.points):g} points"]
    if result.cause:
        lines.append(f"{result.cause}.")
    for check in result.checks:
        lines.append(f"- {points(check.score):g}/{check.points:g} {check.tried}: {check.message}")
        if check.hint:
            lines.append(f"  This looks like: {check.mistake}. {check.hint}")
        if check.example:
            example = check.example if answers else check.example.partition("\n# your function ")[0]
            lines += ["  An example to try in your notebook (it did not count):", *example.splitlines()]
    return "\n".join(lines)


def graded_notebook(submission: Submission, judged: Judged, handout: Handout) -> dict[str, Any]:
    """The notebook for `course/autograded/`, as formgrader and `nbgrader generate_feedback` want it."""
    outputs = {output.index: output for output in judged.outputs}
    last = {cell.grade_id: index for index, cell in enumerate(submission.cells) if cell.grade_id}
    results = {tests_of(exercise.name): exercise for exercise in judged.report.exercises}
    cells: list[tuple[str, dict[str, Any]]] = []
    for index, cell in enumerate(submission.cells):
        marked = handout.cells.get(cell.grade_id) if last.get(cell.grade_id) == index else None
        if marked is not None and marked.is_test:
            cells.append((marked.grade_id, _test_cell(marked, results.get(marked.grade_id))))
        else:
            own = _own_cell(cell, marked, outputs.get(index))
            if own["cell_type"] != "code" and not _is_ours(own["source"], marked, handout):
                own = _harmless(own, cell)
            cells.append((marked.grade_id if marked else "", own))
    _add_missing(cells, handout, results)
    if judged.report.notes:
        cells.insert(0, ("", _note(judged.report.notes)))
    for number, (_, made) in enumerate(cells):
        made["id"] = f"cell-{number}"
    return {
        "cells": [made for _, made in cells],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _add_missing(
    cells: list[tuple[str, dict[str, Any]]], handout: Handout, results: dict[str, ExerciseResult]
) -> None:
    """Put graded cells that the student lost back behind the marked cell they came after."""
    place = 0
    for grade_id, marked in handout.cells.items():
        here = next((i for i, (found, _) in enumerate(cells) if found == grade_id), None)
        if here is None and marked.marks.get("grade"):
            cell = (
                _test_cell(marked, results.get(grade_id))
                if marked.is_test
                else _cell(marked.kind, marked.source, marked)
            )
            cells.insert(place, (grade_id, cell))
            here = place
        if here is not None:
            place = here + 1


def _cell(kind: str, source: str, marked: Marked | None) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source}
    if marked is not None:
        cell["metadata"] = {"nbgrader": dict(marked.marks), "deletable": False}
        if marked.locked:
            cell["metadata"]["editable"] = False
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell


def _own_cell(cell: Cell, marked: Marked | None, output: CellOutput | None) -> dict[str, Any]:
    kind = marked.kind if marked else cell.kind if cell.kind in ("code", "markdown", "raw") else "raw"
    made = _cell(kind, marked.source if marked and marked.locked else cell.source, marked)
    if kind == "code" and output is not None:
        made["outputs"] = list(_outputs(output))
    return made


def _harmless(made: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """A text cell of a student's as nbgrader's pages may show it."""
    source, pictures = with_own_pictures(made["source"], cell)
    made |= {"source": without_html(source)}
    if made["cell_type"] == "markdown" and pictures:
        made["attachments"] = {name: {"image/png": picture} for name, picture in pictures.items()}
    return made


def _is_ours(source: str, marked: Marked | None, handout: Handout) -> bool:
    """Whether a text cell stands as it was handed out, and shows nothing that students could replace."""
    if "attachment:" in source:
        return False
    return source.strip() in handout.instructions or (marked is not None and source == marked.source)


def without_html(source: str) -> str:
    """Markdown in which no tag, no script's address and no TeX that makes a link can begin.

    nbgrader's pages put all of them into the browser. A space is enough to break each, and spares formulas and
    words; what entities spell is decided on what they stand for.
    """
    source = LINK.sub(_unless_harmless, decoded(source))
    source = SCRIPT.sub(lambda found: found[0] + " ", source)
    source = re.sub(
        r"\\(?=(?:href|style|class|cssId|data|html\w*|unicode|require)(?![A-Za-z]))", r"\\ ", source
    )
    return re.sub(r"<(?=[A-Za-z/!?])", "< ", source)


SCHEMES = frozenset(["http", "https", "mailto", "attachment"])
"""`attachment:` leads to a checked picture in the same cell, or nowhere: no browser knows it."""
BETWEEN = r"[\\\s\x00-\x20]*"
SCRIPT = re.compile(
    "|".join(BETWEEN.join(word) for word in ("javascript", "vbscript", "data")) + rf"(?={BETWEEN}(?::|%3a))",
    re.IGNORECASE,
)
LINK = re.compile(
    r"\](?P<opens>[(:])(?P<before>\s*+<?+\s*+)(?P<scheme>[^\s/?#()<>:]*+(?:[^/?#()<>:]{0,60}?))(?=:|%3a)",
    re.IGNORECASE,
)
"""A link's address, or that of a reference, up to the colon after its scheme."""
PASSES = 8


def decoded(source: str) -> str:
    """Text without entities: what is left when they have been read as often as it takes."""
    for _ in range(PASSES):
        once = html.unescape(source)
        if once == source:
            return source
        source = once
    return source.replace("&", " ")


def _unless_harmless(found: re.Match[str]) -> str:
    """The beginning of a link, broken where it leads to anything but a page or a mailbox."""
    scheme = re.sub(r"[^a-z0-9]", "", unquote(found["scheme"]).lower())
    return found[0] if scheme in SCHEMES else f"] {found['opens']}{found['before']}{found['scheme']}"


def with_own_pictures(source: str, cell: Cell) -> tuple[str, dict[str, str]]:
    """Markdown that shows no pictures but checked ones attached to `cell`, each once, and those under new names.

    Any other picture, attached or from elsewhere, is named in words: a browser would fetch it from its address, and
    nbgrader's pages fail where an attachment is not there.
    """
    good = {name: picture for name, encoded in cell.pictures if (picture := checked_png(encoded))}
    kept: dict[str, str] = {}
    pieces, position = [], 0
    source = decoded(source)
    for found in IMAGE.finditer(source):
        words, address = _plain(found["words"]), found["address"] or found["bracketed"] or ""
        name = address.removeprefix("attachment:")
        wanted = name if name in good else unquote(name)
        pieces.append(_without_images(source[position : found.start()]))
        if name != address and wanted in good:
            fresh = f"picture-{len(kept) + 1}.png"
            kept[fresh] = good.pop(wanted)
            pieces.append(f"![{words}](attachment:{fresh})")
        else:
            told = dict.fromkeys(text for text in (words, _plain(name)) if text)
            pieces.append(f"(picture left out: {', '.join(told)})")
        position = found.end()
    pieces.append(_without_images(source[position:]))
    return "".join(pieces), kept


def _without_images(source: str) -> str:
    """Markdown in which no picture can begin, however it is written: at most a link."""
    return source.replace("![", "! [")


def _plain(text: str) -> str:
    """Words of a student's with nothing in them that Markdown or HTML would read as more."""
    return " ".join(re.sub(r"[^\w.,:/?=&%+~#@'-]", " ", text[:NAMED]).split())


def _test_cell(marked: Marked, result: ExerciseResult | None) -> dict[str, Any]:
    made = _cell(marked.kind, marked.source, marked)
    score = points(result.score) if result else 0.0
    number = {"text/plain": repr(score)}
    made["outputs"] = [
        {"output_type": "execute_result", "data": number, "metadata": {}, "execution_count": None}
    ]
    if result is not None:
        made["outputs"].append({"output_type": "stream", "name": "stdout", "text": in_words(result) + "\n"})
        for check in result.checks:
            if check.picture:
                made["outputs"] += _drawn(check)
    return made


def _drawn(check: CheckResult) -> list[dict[str, Any]]:
    """A picture of the judge's, after its words: nbgrader's pages show images without a text in their place."""
    assert check.picture is not None
    words = check.picture.in_words
    data = {"image/svg+xml": check.picture.svg_file, "text/plain": words}
    return [
        {"output_type": "stream", "name": "stdout", "text": f"{check.tried}: {words}\n"},
        {"output_type": "display_data", "data": data, "metadata": {}},
    ]


def _note(notes: tuple[str, ...]) -> dict[str, Any]:
    """The notes as a block of plain text: they may quote names that a student chose."""
    lines = "\n".join("    " + " ".join(note.split()) for note in notes)
    return _cell("markdown", f"Notes on this notebook:\n\n{lines}", None)


def _outputs(output: CellOutput) -> Iterator[dict[str, Any]]:
    for name, text in (("stdout", output.stdout), ("stderr", output.stderr)):
        if text:
            yield {"output_type": "stream", "name": name, "text": text}
    for display in output.displays:
        data = {"text/plain": display["text"]}
        if png := checked_png(display["png"]):
            data["image/png"] = png
        if display["result"]:
            yield {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": None}
        else:
            yield {"output_type": "display_data", "data": data, "metadata": {}}
    if output.error:
        name, _, message = output.error.partition(": ")
        yield {
            "output_type": "error",
            "ename": name[:80],
            "evalue": message,
            "traceback": output.error.split("\n"),
        }


def checked_png(encoded: str) -> str:
    """A PNG picture, rebuilt from its drawing chunks alone, in base64; empty if it is anything else."""
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        return ""
    if not data.startswith(PNG_SIGNATURE):
        return ""
    kept, position, kinds = [PNG_SIGNATURE], len(PNG_SIGNATURE), []
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        end = position + 12 + size
        if end > len(data):
            return ""
        kind, body = data[position + 4 : position + 8], data[position + 8 : end - 4]
        if struct.unpack(">I", data[end - 4 : end])[0] != zlib.crc32(kind + body):
            return ""
        if kind in PNG_CHUNKS:
            kept.append(data[position:end])
            kinds.append(kind)
        if kind == b"IHDR" and (size != 13 or max(struct.unpack_from(">II", body)) > PNG_SIDE):
            return ""
        position = end
        if kind == b"IEND":
            break
    complete = kinds[:1] == [b"IHDR"] and b"IDAT" in kinds and kinds[-1:] == [b"IEND"]
    return base64.b64encode(b"".join(kept)).decode() if complete else ""
