"""Brings what was handed in elsewhere into `course/submitted/`, from a folder or a zip.

    STUDENT/NOTEBOOK.ipynb, STUDENT/ASSIGNMENT/NOTEBOOK.ipynb        our own layout, at any depth
    submission_ID/NOTEBOOK.ipynb with submission_metadata.yml         Gradescope's export
    NAME_ID_ATTACHMENT_FILE.ipynb, NAME_LATE_ID_ATTACHMENT_FILE.ipynb Canvas's download

A notebook is recognized by the marked cells in it, whatever it is called. Archives are never unpacked: each
notebook is read by itself, up to the size that is graded. Links are not followed, and no path in it is used.
"""

import contextlib
import dataclasses
import datetime
import os
import re
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from autograder.atomic import write_atomically
from autograder.classroom import inbox
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.handout import Handout
from autograder.judging.submission import MAX_BYTES, Unreadable, parse

COLLECTED, UNCHANGED, REFUSED = "collected", "unchanged", "not collected"

RECOGNIZED = 0.5
"""A notebook that holds at least this share of an assignment's marked cells is one of that assignment."""

MAX_ENTRIES = 1_000_000
MAX_METADATA = 256 << 20
MAX_EXPANSION = 100
FREE_BYTES = 256 << 20
"""All that is read from an archive together may be this much, and `MAX_EXPANSION` times the archive's size more."""

METADATA = "submission_metadata.yml"
EXPORT = re.compile(r"assignment_(\w+_)?export\b.*")
CANVAS = re.compile(r"(?P<name>[^_/]+)_(?:(?P<late>LATE)_)?(?P<id>\d+)_(?P<attachment>\d+)_.+", re.IGNORECASE)


class NothingCollected(ValueError):
    """The path holds no such notebooks; the message says what was looked for."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one notebook, for the instructor."""

    student: str
    source: str
    status: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Member:
    """A file in the folder or zip: where it lies, when it was changed, and a way to read so many bytes of it."""

    parts: tuple[str, ...]
    modified: float
    read: Callable[[int], bytes]
    refusal: str = ""

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def path(self) -> str:
        return "/".join(self.parts)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A notebook that may be a student's submission. `handed_in` is a time that can be relied on, else empty."""

    student: str
    member: Member
    handed_in: str = ""
    order: int = 0
    refusal: str = ""


@dataclasses.dataclass(frozen=True)
class Taken:
    """A candidate's bytes, and how much of the assignment is in them; None where that cannot be read."""

    candidate: Candidate
    data: bytes
    share: float | None


def collect(course: Course, name: str, path: Path, force: bool = False) -> Iterator[Outcome]:
    """Copy each student's notebook of an assignment into the inbox, and tell what became of each file.

    A submission in the inbox is replaced by a later one alone, unless `force`. Raises `NotReleased`,
    `NothingCollected` and `ValueError` for an unknown assignment or an archive that cannot be read.
    """
    handout = Handout.of(course, assignment_named(name))
    with opened(path) as members:
        seen = False
        for candidates in _by_student(list(_candidates(members, name))):
            seen = True
            yield from _collect_one(course, handout, candidates, force)
    if not seen:
        raise NothingCollected(
            f"{path} holds no notebooks (.ipynb); expected STUDENT/{name}.ipynb, or a Gradescope or Canvas download"
        )


def _collect_one(
    course: Course, handout: Handout, candidates: list[Candidate], force: bool
) -> Iterator[Outcome]:
    """Choose among one student's notebooks, and put the best into the inbox."""
    taken, best = [], None
    for candidate in candidates:
        try:
            found = _read(candidate, handout)
        except inbox.Rejected as rejection:
            yield _outcome(candidate, REFUSED, str(rejection))
            continue
        taken.append(found.candidate)
        if best is None or _preference(found, handout) > _preference(best, handout):
            best = found  # only the best one's bytes are kept
    if best is None:
        return
    if reason := _unfit(best, handout, len(taken)):
        for candidate in taken:
            yield _outcome(candidate, REFUSED, reason)
        return
    for candidate in taken:
        if candidate is not best.candidate:
            yield _outcome(candidate, REFUSED, f"{best.candidate.member.path} was taken instead")
    try:
        yield _put(course, handout.assignment, best, force)
    except (inbox.Rejected, OSError) as error:
        yield _outcome(best.candidate, REFUSED, str(error))


def _read(candidate: Candidate, handout: Handout) -> Taken:
    if candidate.refusal or candidate.member.refusal:
        raise inbox.Rejected(candidate.refusal or candidate.member.refusal)
    data = candidate.member.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise inbox.Rejected(f"it is larger than {MAX_BYTES >> 20} MB; its outputs should be cleared")
    try:
        present = {cell.grade_id for cell in parse(data).cells}
    except Unreadable:
        return Taken(candidate, data, None)
    return Taken(candidate, data, len(present & set(handout.cells)) / max(1, len(handout.cells)))


def _preference(taken: Taken, handout: Handout) -> tuple[bool, bool, int, float, float]:
    """Recognized before expected name before later, and more of the assignment before less."""
    share = taken.share or 0.0
    member = taken.candidate.member
    return (
        share >= RECOGNIZED,
        _is_expected(member, handout),
        taken.candidate.order,
        _instant(taken.candidate.handed_in) or member.modified,
        share,
    )


def _is_expected(member: Member, handout: Handout) -> bool:
    """Whether the file is called as the assignment; Canvas puts words before it, and `-1` after it."""
    return bool(re.search(rf"(?:^|_){re.escape(handout.assignment)}(?:-\d+)?\.ipynb$", member.name))


def _unfit(best: Taken, handout: Handout, notebooks: int) -> str:
    """Why not even the best one can be taken; empty if it can.

    What cannot be read is taken where it must be meant, so that its author is told.
    """
    expected = _is_expected(best.candidate.member, handout)
    if best.share is None:
        return (
            "" if expected or notebooks == 1 else "it cannot be read, and it is not clear which one is meant"
        )
    if best.share >= RECOGNIZED or expected:
        return ""
    count = round(best.share * len(handout.cells))
    return f"it is no notebook of {handout.assignment}: it holds {count} of its {len(handout.cells)} marked cells"


def _put(course: Course, assignment: str, taken: Taken, force: bool) -> Outcome:
    candidate = taken.candidate
    folder = course.folder("submitted", candidate.student, assignment)
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
        return _outcome(candidate, UNCHANGED, "the same is there already")
    when = _instant(candidate.handed_in) or candidate.member.modified
    if there is not None and not force:
        before = _instant(inbox.timestamp(course, candidate.student, assignment)) or path.stat().st_mtime
        if when <= before:
            times = f"{_in_words(before)}; this one {_in_words(when)}"
            return _outcome(candidate, REFUSED, f"the one there is not older ({times}); --force replaces it")
    write_atomically(path, taken.data)
    with contextlib.suppress(OSError, OverflowError):
        os.utime(path, (when, when))
    mark = folder / "timestamp.txt"
    if candidate.handed_in:
        write_atomically(mark, candidate.handed_in.encode())
    else:
        mark.unlink(missing_ok=True)  # it would tell the time of another file
    return _outcome(candidate, COLLECTED, "" if there is None else "replaced an earlier one")


def _what_is_there(path: Path) -> bytes | None:
    """The submission that is there already; None if there is none."""
    if not os.path.lexists(path):
        return None
    return inbox.read(path)


def _outcome(candidate: Candidate, status: str, reason: str = "") -> Outcome:
    return Outcome(candidate.student, candidate.member.path, status, reason)


def _instant(text: str) -> float:
    """nbgrader's timestamp as seconds since 1970; 0 if there is none."""
    from nbgrader.utils import parse_utc

    try:
        return float(parse_utc(text).replace(tzinfo=datetime.UTC).timestamp()) if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _in_words(instant: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(instant))


# Layouts


def _candidates(members: list[Member], assignment: str) -> Iterator[Candidate]:
    """Every notebook, and whose it is by the layout that the files have.

    What lies in a student's folder is the student's to choose, and never says whose a notebook is.
    """
    members = [m for m in members if not any(map(_is_hidden, m.parts))]
    marks = {m.parts[:-1]: m for m in members if m.name == "timestamp.txt" and not m.refusal}
    metadata = next((m for m in members if m.name == METADATA and _is_outermost(m, members)), None)
    table = {} if metadata is None else _gradescope(metadata)
    notebooks = [member for member in members if member.name.lower().endswith(".ipynb")]
    above = _shared([member.parts[:-1] for member in notebooks])
    for member in notebooks:
        if metadata is not None:
            yield from _from_gradescope(member, metadata.parts[:-1], table)
        elif len(member.parts) == 1 and (found := CANVAS.fullmatch(member.name)):
            yield _named(f"{found['name']}_{found['id']}", member, order=int(found["attachment"]))
        else:
            yield _from_folder(member, above, assignment, marks.get(member.parts[:-1]))


def _shared(folders: list[tuple[str, ...]]) -> int:
    """How many of their first folders all of these have in common."""
    levels = enumerate(zip(*folders))
    return next((depth for depth, names in levels if len(set(names)) > 1), min(map(len, folders), default=0))


def _is_outermost(metadata: Member, members: list[Member]) -> bool:
    """Whether Gradescope wrote it: at the very top, or in the one folder that its export unpacks to."""
    folders = metadata.parts[:-1]
    if not folders:
        return True
    alone = all(member.parts[0] == folders[0] for member in members)
    return alone and len(folders) == 1 and EXPORT.fullmatch(folders[0]) is not None


def _is_hidden(part: str) -> bool:
    """Whether a name is that of what editors and systems leave behind."""
    return part == "__MACOSX" or (part.startswith(".") and part != ".." and "\\" not in part)


def _from_folder(member: Member, above: int, assignment: str, mark: Member | None) -> Candidate:
    """The student is the first folder in which notebooks differ; `above` are the folders they all lie in."""
    folders = list(member.parts[: above + 1] if len(member.parts) > above + 1 else member.parts[:-1])
    if folders and folders[-1] == assignment:
        folders.pop()
    if not folders:
        reason = (
            f"it is not clear whose it is; put it into a folder of the student's name: STUDENT/{member.name}"
        )
        return Candidate("", member, refusal=reason)
    handed_in = ""
    if mark is not None:
        with contextlib.suppress(inbox.Rejected):
            handed_in = mark.read(100).decode("ascii", "replace").strip()
    return _named(folders[-1], member, handed_in if _instant(handed_in) else "")


def _from_gradescope(member: Member, top: tuple[str, ...], table: dict[str, Any]) -> Iterator[Candidate]:
    """One for each submitter of a group."""
    below = member.parts[len(top) :]
    entry = table.get(below[0]) if len(below) > 1 else None
    submitters = entry.get(":submitters") if isinstance(entry, dict) else None
    people = [p for p in submitters if isinstance(p, dict)] if isinstance(submitters, list) else []
    names = [str(p.get(":sid") or p.get(":email") or "") for p in people]
    if not isinstance(entry, dict) or not any(names):
        yield Candidate("", member, refusal=f"{METADATA} names no student for it")
        return
    for name in names:
        if name:
            yield _named(name, member, _created(entry.get(":created_at")))


def _created(when: Any) -> str:
    if isinstance(when, dict):  # Ruby's time with a zone
        when = when.get("utc") or when.get("time")
    if isinstance(when, str):
        with contextlib.suppress(ValueError):
            when = datetime.datetime.fromisoformat(when)
    if not isinstance(when, datetime.datetime):
        return ""
    utc = when if when.tzinfo is None else when.astimezone(datetime.UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S.%f} UTC"


def _named(student: str, member: Member, handed_in: str = "", order: int = 0) -> Candidate:
    """A candidate, refused where the student's name could not be a folder's."""
    student = unicodedata.normalize("NFC", student)
    bad = (
        not student.isprintable()
        or not student.strip()
        or student != student.strip()
        or student.startswith((".", "-"))
        or "/" in student
        or "\\" in student
        or len(student.encode("utf-8", "surrogatepass")) > inbox.MAX_NAME
        or any("\ud800" <= c <= "\udfff" for c in student)
    )
    return Candidate(
        student, member, handed_in, order, "the student's name is no good name for a folder" if bad else ""
    )


def _gradescope(member: Member) -> dict[str, Any]:
    """`submission_metadata.yml`; raises `ValueError` where it cannot be read."""
    import yaml  # type: ignore[import-untyped]

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Plain data alone: what Ruby calls an object is read as the mapping that it is."""

    def plain(loader: Any, _suffix: str, node: Any) -> Any:
        return loader.construct_mapping(node) if isinstance(node, yaml.MappingNode) else str(node.value)

    Loader.add_multi_constructor("!", plain)
    if member.refusal:
        raise ValueError(f"{member.path}: {member.refusal}")
    data = member.read(MAX_METADATA + 1)
    if len(data) > MAX_METADATA:
        raise ValueError(f"{member.path} is larger than {MAX_METADATA >> 20} MB")
    try:
        table = yaml.load(data, Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{member.path} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(table, dict):
        raise ValueError(f"{member.path} lists no submissions")
    return {str(key): value for key, value in table.items()}


def _by_student(candidates: list[Candidate]) -> Iterator[list[Candidate]]:
    students: dict[str, list[Candidate]] = {}
    for number, candidate in enumerate(candidates):
        students.setdefault(candidate.student or f"\0{number}", []).append(candidate)
    yield from students.values()


# Folders and archives


@contextlib.contextmanager
def opened(path: Path) -> Iterator[list[Member]]:
    """The files in a folder or zip; raises `ValueError` if it is neither."""
    if path.is_dir():
        yield _in_folder(path)
    elif path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                yield _in_archive(archive, path.stat().st_size)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"{path} is no zip archive, or it is damaged: {error}") from None
    else:
        raise ValueError(f"there is no folder or zip {path}")


def _in_folder(top: Path) -> list[Member]:
    members = []
    for folder, folders, names in os.walk(top):
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*names, *linked]):
            path = Path(folder, name)
            status = path.lstat()
            parts = path.relative_to(top).parts
            if name in linked:
                parts = (*parts, "*.ipynb")
            refusal = "it is a link or no plain file" if not stat.S_ISREG(status.st_mode) else ""
            members.append(Member(parts, status.st_mtime, _file_reader(path), refusal))
        folders.sort()
    return members


def _file_reader(path: Path) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            raise inbox.Rejected(f"it cannot be opened: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise inbox.Rejected("it is no plain file")
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most)

    return read


class _Budget:
    """How many bytes an archive may still give: small archives that unpack to very much are cut short."""

    def __init__(self, size: int) -> None:
        self.left = FREE_BYTES + MAX_EXPANSION * size

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise inbox.Rejected(
                "the archive unpacks to far more than its size; unpack it yourself, and look"
            )


def _in_archive(archive: zipfile.ZipFile, size: int) -> list[Member]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"the archive has {len(entries)} entries; at most {MAX_ENTRIES} are read")
    budget = _Budget(size)
    return [_entry(archive, entry, budget) for entry in entries if not entry.is_dir()]


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: _Budget) -> Member:
    parts = PurePosixPath(entry.filename).parts or ("(no name)",)
    refusal = ""
    if entry.filename.startswith("/") or ".." in parts:
        refusal = "its path leads out of the archive"
    elif "\\" in entry.filename:
        refusal = "its path has a backslash; pack the archive with / between folders"
    elif stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        refusal = "it is a link or no plain file"
    elif entry.flag_bits & 1:
        refusal = "it is encrypted"
    elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refusal = "it is compressed in an unusual way"
    try:
        modified = time.mktime((*entry.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        modified = 0.0

    def read(most: int) -> bytes:
        try:
            with archive.open(entry) as file:
                data = file.read(most)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            OSError,
            RuntimeError,
        ) as error:
            raise inbox.Rejected(f"it is damaged in the archive: {error}") from None
        budget.spend(len(data))
        return data

    return Member(parts, modified, read, refusal)
