"""Brings what was handed in elsewhere into `course/submitted/`, from a folder or a zip.

Whose a file is, its place in the download says (`layouts`), and the class's roster who that is. A notebook is
recognized by the marked cells in it, whatever it is called. One student is one student: of all that they handed in,
the newest notebook of the assignment is taken, and what is not clear is told, never guessed.
"""

import contextlib
import dataclasses
import os
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from autograder.atomic import write_atomically
from autograder.classroom import arrivals, inbox
from autograder.classroom.roster import Roster, folded, unfit
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.handout import Handout
from autograder.judging.submission import MAX_BYTES, Unreadable, parse
from autograder.ways import layouts
from autograder.ways.clones import commits
from autograder.ways.files import Member, opened
from autograder.ways.layouts import Handed, instant, stamp

COLLECTED, UNCHANGED, REFUSED = "collected", "unchanged", "not collected"
IGNORED, NO_NOTEBOOK = "ignored", "no notebook"

RECOGNIZED = 0.5
"""A notebook that holds at least this share of an assignment's marked cells is one of that assignment."""

SHOWN = 5
SECRET, MAX_SECRET = "submission_secret.txt", 1000


class NothingCollected(ValueError):
    """The path holds no such notebooks; the message says what was looked for."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one file, for the instructor; `late` is what the other system calls late."""

    student: str
    source: str
    status: str
    reason: str = ""
    late: bool = False

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.student or '?'}: {self.status}{why} ({self.source})"


@dataclasses.dataclass(frozen=True)
class Taken:
    """A notebook's bytes, and how much of the assignment is in them; None where that cannot be read."""

    handed: Handed
    data: bytes
    share: float | None


def collect(
    course: Course,
    name: str,
    path: Path,
    force: bool = False,
    pattern: str = "",
    roster: Roster | None = None,
    times: Mapping[str, float] | None = None,
) -> Iterator[Outcome]:
    """Copy each student's notebook of an assignment into the inbox, and tell what became of each file.

    A submission in the inbox is replaced by a later one alone, unless `force`. `pattern` is a regular expression of
    paths, as nbgrader's collectors take it, for layouts that are not known. `times` says when Moodle's participants
    handed in, by their numbers, in seconds since 1970. Raises `NotReleased`,
    `NothingCollected` and `ValueError` for an unknown assignment or an archive that cannot be read.
    """
    handout = Handout.of(course, assignment_named(name))
    roster = Roster.of(course) if roster is None else roster
    with opened(path) as members:
        told = layouts.read(members, name, roster, path.stem, commits(path), pattern)
        handed = [_dated(one, times or {}) for one in told]
        if not any(one.member.is_notebook for one in handed):
            yield from _without_notebooks(handed, roster)
            raise NothingCollected(
                f"{path} holds no notebooks (.ipynb); expected STUDENT/{name}.ipynb, or a download of Canvas, "
                "Moodle, Blackboard, Brightspace, Gradescope, Sakai, ILIAS, Google Classroom, GitHub Classroom or "
                "nbgrader; for another layout, give --pattern"
            )
        taken = _Spellings(course)
        for student, own, doubt in _by_student(handed, roster):
            doubt = doubt or taken.doubt(student)
            yield from _collect_one(course, handout, student, own, doubt, force)


def _dated(one: Handed, times: Mapping[str, float]) -> Handed:
    """With its time, where Moodle's worksheet has one and the download has none."""
    when = times.get(one.who.participant) if one.when is None and one.who.participant else None
    return one if when is None else dataclasses.replace(one, when=when)


def _without_notebooks(handed: list[Handed], roster: Roster) -> Iterator[Outcome]:
    for student, own, _ in _by_student(handed, roster):
        if student:
            yield _no_notebook(student, own)


class _Spellings:
    """Names whose spelling differs in case alone are one folder on many disks, and perhaps one student."""

    def __init__(self, course: Course) -> None:
        top = course.folder("submitted")
        self._seen = {folded(name): name for name in (os.listdir(top) if top.is_dir() else ())}

    def doubt(self, student: str) -> str:
        before = self._seen.setdefault(folded(student), student)
        if not student or before == student:
            return ""
        return f"{student} differs from {before} in upper and lower case alone; give the folder one of these names"


def _by_student(handed: list[Handed], roster: Roster) -> Iterator[tuple[str, list[Handed], str]]:
    """Each student with all that is theirs, and what is doubtful about who they are; "" for what is nobody's."""
    students: dict[str, list[Handed]] = {}
    doubts: dict[str, str] = {}
    for number, one in enumerate(handed):
        student, doubt = _student(one, roster)
        key = student or f"\0{number}"
        students.setdefault(key, []).append(one)
        doubts[key] = doubts.get(key) or doubt
    for key, own in students.items():
        yield ("" if key.startswith("\0") else key), own, doubts[key]


def _student(one: Handed, roster: Roster) -> tuple[str, str]:
    """The course's name for whoever handed this in, and what is doubtful about that."""
    best = unicodedata.normalize("NFC", one.who.best)
    found = roster.find(one.who) if roster and best else []
    if len(found) == 1:
        return found[0].student, unfit(found[0].student)
    if found:
        names = " or ".join(f"{p.student} ({p.name})" for p in found[:SHOWN])
        return best, f"it may be {names}; put it into a folder with one of these names"
    return best, unfit(best) if best else ""


def _collect_one(
    course: Course, handout: Handout, student: str, own: list[Handed], doubt: str, force: bool
) -> Iterator[Outcome]:
    """Choose among one student's notebooks, and put the best into the inbox."""
    notebooks = [one for one in own if one.member.is_notebook]
    if not notebooks:
        if student:
            yield _no_notebook(student, own)
        return
    taken, best, tied = [], None, None
    for one in notebooks:
        try:
            found = _read(one, handout, doubt)
        except inbox.Rejected as rejection:
            yield _outcome(student, one, REFUSED, str(rejection))
            continue
        taken.append(found.handed)
        if best is None or _preference(found, handout) > _preference(best, handout):
            best, tied = found, None  # only the best one's bytes are kept
        elif _preference(found, handout) == _preference(best, handout) and found.data != best.data:
            tied = found.handed
    if best is None:
        return
    reason = _unfit(best, handout, len(taken))
    if not reason and tied is not None:
        both = f"{best.handed.member.path} and {tied.member.path}"
        reason = f"{both} were handed in at the same time, and differ; keep one of them"
    if reason:
        for one in taken:
            yield _outcome(student, one, REFUSED, reason)
        return
    for one in taken:
        if one is not best.handed:
            yield _outcome(student, one, IGNORED, f"{best.handed.member.path} was taken instead")
    try:
        yield _put(course, handout.assignment, student, best, force)
        if best.handed.system == "exchange":
            _keep_secret(course.folder("submitted", student, handout.assignment), best.handed, own)
    except (inbox.Rejected, OSError) as error:
        yield _outcome(student, best.handed, REFUSED, str(error))


def _no_notebook(student: str, own: list[Handed]) -> Outcome:
    names = [one.member.name for one in own if one.member.name != layouts.TIMESTAMP]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return Outcome(
        student, own[0].member.path, NO_NOTEBOOK, f"instead of one: {', '.join(names[:SHOWN])}{more}"
    )


def _read(one: Handed, handout: Handout, doubt: str) -> Taken:
    if refusal := one.member.refusal or one.refusal or doubt:
        raise inbox.Rejected(refusal)
    data = one.member.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise inbox.Rejected(f"it is larger than {MAX_BYTES >> 20} MB; its outputs should be cleared")
    try:
        present = {cell.grade_id for cell in parse(data).cells}
    except Unreadable:
        return Taken(one, data, None)
    return Taken(one, data, len(present & set(handout.cells)) / max(1, len(handout.cells)))


def _preference(taken: Taken, handout: Handout) -> tuple[bool, float, bool, int, float, float]:
    """Recognized before handed in later before expected name, and more of the assignment before less."""
    share, one = taken.share or 0.0, taken.handed
    return (
        share >= RECOGNIZED,
        one.when or 0.0,
        _is_expected(one.member, handout),
        one.order,
        one.member.modified,
        share,
    )


def _is_expected(member: Member, handout: Handout) -> bool:
    """Whether the file is called as the assignment; systems put words before it, and `-1` or ` (1)` after it."""
    called = rf"(?:^|_| - ){re.escape(handout.assignment)}(?:-\d+| ?\(\d+\))?\.ipynb$"
    return bool(re.search(called, member.given_name))


def _unfit(best: Taken, handout: Handout, notebooks: int) -> str:
    """Why not even the best one can be taken; empty if it can.

    What cannot be read is taken where it must be meant, so that its author is told.
    """
    expected = _is_expected(best.handed.member, handout)
    if best.share is None:
        return (
            "" if expected or notebooks == 1 else "it cannot be read, and it is not clear which one is meant"
        )
    if best.share >= RECOGNIZED or expected:
        return ""
    count = round(best.share * len(handout.cells))
    return f"it is no notebook of {handout.assignment}: it holds {count} of its {len(handout.cells)} marked cells"


def _put(course: Course, assignment: str, student: str, taken: Taken, force: bool) -> Outcome:
    one = taken.handed
    folder = course.folder("submitted", student, assignment)
    root = course.folder("submitted")
    root.mkdir(parents=True, exist_ok=True)
    if (
        not folder.resolve().is_relative_to(root.resolve())
        or folder.parent.is_symlink()
        or folder.is_symlink()
    ):
        raise inbox.Rejected(f"{folder} is a link; remove it")
    path = folder / f"{assignment}.ipynb"
    there = _what_is_there(path)
    if there == taken.data:
        if one.when is None or inbox.timestamp(course, student, assignment):
            return _outcome(student, one, UNCHANGED, "the same is there already")
        write_atomically(folder / layouts.TIMESTAMP, stamp(one.when).encode())
        return _outcome(student, one, UNCHANGED, "the same is there already; when it was handed in is new")
    when = one.when or one.member.modified
    if there is not None and not force:
        before = instant(inbox.timestamp(course, student, assignment)) or path.stat().st_mtime
        if when <= before:
            times = f"{_in_words(before)}; this one {_in_words(when)}"
            reason = f"the one there is not older ({times}); --force replaces it"
            return _outcome(student, one, REFUSED, reason)
    write_atomically(path, taken.data)
    with contextlib.suppress(OSError, OverflowError):
        os.utime(path, (when, when))
    for name in (layouts.TIMESTAMP, SECRET):  # they would tell of another file
        (folder / name).unlink(missing_ok=True)
    if one.when is not None:
        write_atomically(folder / layouts.TIMESTAMP, stamp(one.when).encode())
    arrivals.note(
        course, assignment, student, arrivals.Arrival(one.system, one.place, one.member.path, one.late)
    )
    return _outcome(student, one, COLLECTED, "" if there is None else "replaced an earlier one")


def _keep_secret(folder: Path, best: Handed, own: list[Handed]) -> None:
    """The secret that nbgrader's `submit` made: it is part of the name under which feedback goes back."""
    there = [one.member for one in own if one.member.parts == (*best.member.parts[:-1], SECRET)]
    if there and not there[0].refusal:
        write_atomically(folder / SECRET, there[0].read(MAX_SECRET))


def _what_is_there(path: Path) -> bytes | None:
    """The submission that is there already; None if there is none."""
    if not os.path.lexists(path):
        return None
    return inbox.read(path)


def _outcome(student: str, one: Handed, status: str, reason: str = "") -> Outcome:
    return Outcome(student, one.member.path, status, reason, one.late)


def _in_words(instant: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(instant))
