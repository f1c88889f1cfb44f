"""Which submissions look alike, and which look like the solution: reasons to read them, never proof of copying.

    share of A found in B = places of A where a k-gram starts that B has too / all places of A

The k-grams are copydetect's, those of winnowing (Schleimer, Wilkerson and Aiken, SIGMOD 2003) with a window of one:
names, texts, comments and spaces do not count, so renaming hides nothing. What students were given never counts.
No student code is run.
"""

import ast
import dataclasses
import functools
import importlib.util
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autograder.atomic import write_atomically
from autograder.classroom import inbox
from autograder.classroom.codes import shown
from autograder.classroom.progress import printable
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.exercise import Assignment
from autograder.judging import submission
from autograder.judging.handout import MARKS, Handout
from autograder.pages.template import template

K = 25
"""The shortest passage that counts, in filtered characters: a line of code, or two short ones."""

THRESHOLD = 0.4
"""Solutions made of different alternatives in `autograder/checks` share less than 0.1; a renamed copy shares 1."""

ENOUGH = 500
"""Shorter work is measured against this many places: two short answers are alike because there is one way."""

SHOWN = 100
CELL_LIMIT = 50_000
CONTEXT = 3
LONG = 40
BLOCK = 256
NONE = np.array([], dtype=np.int64)


@dataclasses.dataclass(frozen=True)
class Section:
    """One answer: the k-gram at every place of its filtered text, and what filtering dropped before it."""

    title: str
    text: str
    grams: np.ndarray
    dropped: np.ndarray

    @classmethod
    def of(cls, title: str, text: str) -> "Section":
        """Tokenize and fingerprint a piece of Python; it need not even be valid."""
        from copydetect.utils import filter_code, hashed_kgrams  # imports matplotlib

        text = text[:CELL_LIMIT].strip().expandtabs(4)
        filtered, dropped = filter_code(text, "answer.py", "python")
        return cls(title, text, hashed_kgrams(filtered, K).astype(np.int64), np.maximum.accumulate(dropped))

    def marked(self, grams: np.ndarray) -> list[tuple[str, bool]]:
        """The text in pieces, each with whether it is among `grams`; far from those it is left out."""
        from copydetect.utils import get_copied_slices

        common = get_copied_slices(np.flatnonzero(np.isin(self.grams, grams)), K).astype(int)
        places = np.minimum(np.searchsorted(self.dropped[:, 0], common), len(self.dropped) - 1)
        pieces, position = [], 0
        for start, end in (common + self.dropped[places, 1]).T.tolist():
            pieces += [(self.text[position:start], False), (self.text[start:end], True)]
            position = end
        pieces.append((self.text[position:], False))
        return _shortened(pieces) if self.text.count("\n") > LONG else [p for p in pieces if p[0]]


def _shortened(pieces: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The pieces with all but `CONTEXT` lines beside common passages replaced by an ellipsis."""
    found = []
    for index, (text, common) in enumerate(pieces):
        lines = text.split("\n")
        if not common and len(lines) > 2 * CONTEXT + 1:
            head = lines[: CONTEXT + 1] if index > 0 else []
            tail = lines[-CONTEXT - 1 :] if index < len(pieces) - 1 else []
            text = "\n".join([*head, "…", *tail])
        found.append((text, common))
    return [piece for piece in found if piece[0]]


class Work:
    """Everything that one student, or one of our own sources, has written for an assignment.

    `grams` are its distinct k-grams but those that were `given`, and `counts` in how many places each stands.
    """

    def __init__(self, name: str, sections: Iterable[Section], given: np.ndarray | None = None) -> None:
        self.name = name
        self.sections = list(sections)
        everywhere = np.concatenate([NONE, *(section.grams for section in self.sections)])
        own = everywhere if given is None else everywhere[~np.isin(everywhere, given)]
        self.grams, self.counts = np.unique(own, return_counts=True)
        self.length = int(self.counts.sum())

    def share(self, other: "Work") -> float:
        """Which part of this work is found in the other."""
        found = np.isin(self.grams, other.grams, assume_unique=True)
        return float(self.counts[found].sum() / max(self.length, ENOUGH))


@dataclasses.dataclass(frozen=True)
class Row:
    """A passage of one work, beside the answer of the other that it is most like."""

    title: str
    left: list[tuple[str, bool]]
    other_title: str
    right: list[tuple[str, bool]]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two works that are alike, and how much of each is found in the other."""

    left: Work
    right: Work
    of_left: float
    of_right: float

    @property
    def share(self) -> float:
        return max(self.of_left, self.of_right)

    def plain(self) -> dict[str, Any]:
        """For programs: the two, and the share of each that is found in the other."""
        return {self.left.name: self.of_left, self.right.name: self.of_right}

    @property
    def rows(self) -> list[Row]:
        """What they share, side by side."""
        common = np.intersect1d(self.left.grams, self.right.grams)
        rows = []
        for section in self.left.sections:
            mine = np.intersect1d(section.grams, common)
            if len(mine):
                twin = max(self.right.sections, key=lambda s: len(np.intersect1d(s.grams, mine)))
                rows.append(Row(section.title, section.marked(common), twin.title, twin.marked(common)))
        return rows


@dataclasses.dataclass(frozen=True)
class Alike:
    """How many pairs are alike, the `SHOWN` that are most so, and the groups of three or more they link."""

    count: int
    pairs: tuple[Pair, ...]
    groups: tuple[tuple[Work, ...], ...]


@dataclasses.dataclass(frozen=True)
class Findings:
    """Everything on the page."""

    assignment: str
    threshold: float
    compared: int
    unreadable: tuple[str, ...]
    sources: tuple[str, ...]
    to_sources: tuple[Pair, ...]
    alike: "Alike"

    @property
    def groups(self) -> list[list[str]]:
        """The names in each group."""
        return [[work.name for work in group] for group in self.alike.groups]

    def plain(self) -> dict[str, Any]:
        """What the page shows but for the passages, for programs."""
        return {
            "assignment": self.assignment,
            "threshold": self.threshold,
            "compared": self.compared,
            "pairs": {"count": self.alike.count, "first": [pair.plain() for pair in self.alike.pairs]},
            "groups": self.groups,
            "like_our_own": [pair.plain() for pair in self.to_sources],
            "unreadable": list(self.unreadable),
        }


def write(course: Course, name: str, threshold: float = THRESHOLD) -> tuple[Path, Findings]:
    """Write `course/reports/ASSIGNMENT-similarity.html`."""
    found = examine(course, name, threshold)
    path = course.folder("reports", f"{name}-similarity.html")
    write_atomically(path, page(found).encode("utf-8", "replace"), durable=False)
    return path, found


def page(found: Findings) -> str:
    """The page as HTML."""
    html: str = template("similarity.html").render(found=found, shown=SHOWN, k=K, enough=ENOUGH)
    return html


def examine(course: Course, name: str, threshold: float = THRESHOLD) -> Findings:
    """Compare everyone's answers with everyone else's and with our own; raises `ValueError` where nobody is."""
    if not 0 < threshold <= 1:
        raise ValueError(
            f"the threshold is a share between 0 and 1, got {threshold:g}; {THRESHOLD:g} is usual"
        )
    assignment = assignment_named(name)
    handout = Handout.of(course, assignment)
    given = Work("given", (Section.of(i, c.source) for i, c in handout.cells.items())).grams
    works, unreadable = _submitted(course, assignment, given)
    if not works and not unreadable:
        raise ValueError(f"nobody has handed in {name}; run: autograder collect {name} PATH")
    sources = list(_sources(course, assignment, given))
    beside = [Pair(w, s, w.share(s), s.share(w)) for w in works for s in sources]
    return Findings(
        name,
        threshold,
        len(works),
        tuple(unreadable),
        tuple(source.name for source in sources),
        tuple(sorted((p for p in beside if p.of_left >= threshold), key=lambda p: -p.of_left)),
        alike(works, threshold),
    )


def alike(works: Sequence[Work], threshold: float) -> Alike:
    """The pairs of which one shares at least `threshold` with the other.

    Where all have copied there are too many to keep, so the groups, connected components, are joined block by
    block: each work is linked to the first of those that it was joined with before.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, best = 0, np.empty((0, 4))
    everyone = first = np.arange(len(works))
    for pairs in _blocks(works, threshold):
        count += len(pairs)
        best = np.concatenate([best, pairs])
        best = best[np.argsort(-best[:, 2:].max(axis=1), kind="stable")[:SHOWN]]
        i, j = pairs[:, :2].astype(int).T
        links = np.concatenate([i, everyone]), np.concatenate([j, first])
        graph = csr_array((np.ones(len(links[0])), links), shape=(len(works), len(works)))
        labels = connected_components(graph, directed=False)[1]
        first = np.unique(labels, return_index=True)[1][labels]
    shown = (Pair(works[int(i)], works[int(j)], left, right) for i, j, left, right in best.tolist())
    return Alike(count, tuple(shown), tuple(_groups(works, first)))


def _blocks(works: Sequence[Work], threshold: float) -> Iterator[np.ndarray]:
    """Rows of first work, second work, share of the first and share of the second, some works at a time.

    All shares are taken at once, by products of two sparse matrices: in how many places each k-gram stands in
    each work, and whether it does.
    """
    from scipy.sparse import csr_array

    known = np.unique(np.concatenate([NONE, *(work.grams for work in works)]))
    columns = np.concatenate([NONE, *(np.searchsorted(known, work.grams) for work in works)])
    edges = np.cumsum([0, *(len(work.grams) for work in works)])
    places = np.concatenate([NONE, *(work.counts for work in works)])
    counts = csr_array((places, columns, edges), shape=(len(works), len(known)))
    present = (counts > 0).astype(int)
    lengths = np.array([max(work.length, ENOUGH) for work in works])
    for start in range(0, len(works), BLOCK):
        rows = slice(start, start + BLOCK)
        of_left = (counts[rows] @ present.T).toarray() / lengths[rows, None]
        of_right = (present[rows] @ counts.T).toarray() / lengths
        later = np.arange(len(works)) > np.arange(start, start + len(of_left))[:, None]
        i, j = np.nonzero((np.maximum(of_left, of_right) >= threshold) & later)
        yield np.column_stack([start + i, j, of_left[i, j], of_right[i, j]])


def _groups(works: Sequence[Work], first: np.ndarray) -> Iterator[tuple[Work, ...]]:
    """Three or more works with the same first one, the largest group first."""
    found: dict[int, list[Work]] = {}
    for work, of in zip(works, first.tolist(), strict=True):
        found.setdefault(of, []).append(work)
    large = (tuple(sorted(g, key=lambda work: work.name)) for g in found.values() if len(g) > 2)
    yield from sorted(large, key=lambda g: (-len(g), g[0].name))


def _submitted(course: Course, assignment: Assignment, given: np.ndarray) -> tuple[list[Work], list[str]]:
    """Everyone's work in the inbox, and who handed in what cannot be read."""
    works, unreadable = [], []
    called = shown(course)
    for student in inbox.students(course, assignment.name):
        try:
            data = inbox.read(inbox.find(course, student, assignment.name).path)
            cells = submission.parse(data).cells
        except (inbox.Rejected, submission.Unreadable, FileNotFoundError):
            unreadable.append(printable(called(student)))
            continue
        works.append(Work(printable(called(student)), _answers(assignment, cells), given))
    return works, unreadable


def _answers(assignment: Assignment, cells: Sequence[submission.Cell]) -> Iterator[Section]:
    """The cells that answer exercises, known by their id or, where that is lost, by what they define."""
    for exercise in assignment.exercises:
        marked = [c for c in cells if c.grade_id == exercise.name]
        defines = re.compile(rf"^(async )?def {re.escape(exercise.name)}\b", re.MULTILINE)
        found = marked or [c for c in cells if c.kind == "code" and defines.search(c.source)]
        if found:
            yield _section(exercise.name, exercise.title, found[-1].source)


@functools.lru_cache(maxsize=256)  # answers that many hand in: the stub, and the one that went round
def _section(name: str, title: str, source: str) -> Section:
    return Section.of(title, source)


def _sources(course: Course, assignment: Assignment, given: np.ndarray) -> Iterator[Work]:
    """Our own: the released solution, the reference of the checks, and the chapter's module of the library."""
    solved = Handout.read(
        course.folder("source", assignment.name, f"{assignment.name}.ipynb"), assignment.name
    )
    titles = {exercise.name: exercise.title for exercise in assignment.exercises}
    yield Work(
        "the solution",
        [
            Section.of(titles[name], _unmarked(cell.source))
            for name, cell in solved.cells.items()
            if name in titles
        ],
        given,
    )
    references = [Section.of(e.title, inspect.getsource(e.reference)) for e in assignment.exercises]
    yield Work("the reference", references, given)
    library = importlib.util.find_spec("ebmkit")  # without which the next line would raise
    spec = importlib.util.find_spec(f"ebmkit.{assignment.name}") if library else None
    if spec and spec.origin:
        files = [Path(spec.origin)]
        if spec.submodule_search_locations:  # a chapter of several files
            files = sorted(files[0].parent.glob("*.py"))
        sections = [section for file in files for section in _definitions(file.read_text("utf-8"))]
        yield Work(f"ebmkit.{assignment.name}", sections, given)


def _unmarked(source: str) -> str:
    return "\n".join(line for line in source.split("\n") if line.strip() not in MARKS)


def _definitions(module: str) -> Iterator[Section]:
    for node in ast.parse(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield Section.of(node.name, ast.get_source_segment(module, node) or "")
