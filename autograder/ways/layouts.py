"""How the downloads of other systems lie: whose each file is, and when it was handed in.

    canvas       name_LATE_ID_ATTACHMENT_file         moodle       Name_ID_assignsubmission_file[_/]file
    blackboard   Assignment_login_attempt_TIME_file   brightspace  ID-ID - Name - Oct 1, 2026 1159 PM[/ - ]file
    exchange     login+assignment+TIME+random/file    sakai        Last, First(login)/Submission attachment(s)/file
    ilias        Last_First_login_ID/file             google       Name - title.ipynb
    github       assignment-login/.git                gradescope   submission_ID/file and a table

A system is a function from a file, whose names the system wrote, to what they say; `SYSTEMS` lists them all. Only
the names that the system itself wrote are looked at: whatever lies deeper, or stands later in a name, a student
may have chosen.
"""

import contextlib
import dataclasses
import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autograder.classroom import inbox
from autograder.classroom.roster import Roster, Who, folded
from autograder.ways.files import Member

FOLDERS, GRADESCOPE, PATTERN = "folders", "gradescope", "pattern"

METADATA = "submission_metadata.yml"
MAX_METADATA = 256 << 20
TIMESTAMP = "timestamp.txt"

CONTAINER = re.compile(r".*(submi|export|download|abgabe|assignment|inbound|classroom|rendu|entrega).*", re.I)
"""Words in the name of a folder that holds a whole class, and is no student's."""


@dataclasses.dataclass(frozen=True)
class Handed:
    """A file, whose it is, and when it was handed in (seconds since 1970, None where nobody says)."""

    member: Member
    who: Who
    system: str
    when: float | None = None
    late: bool = False
    order: int = 0
    place: str = ""
    refusal: str = ""


System = Callable[[Member, int], Handed | None]
"""What a file's names from a depth on say; None where they are not of the system."""


def _canvas(member: Member, depth: int) -> Handed | None:
    rest = r"_(?:(?P<order>\d{1,19})_.+|text\.html|link\.html)"
    found = _file(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d{1,19})" + rest, member, depth) or _file(
        r"(?P<late>LATE_)?(?P<name>anon)_(?P<id>[^_]+)" + rest, member, depth
    )
    if not found:
        return None
    late, order = bool(found["late"]), int(found["order"] or 0)
    who = Who(found["name"], lms_id=found["id"])
    return Handed(member, who, "canvas", late=late, order=order, place=member.name)


def _moodle(member: Member, depth: int) -> Handed | None:
    name = r"(?P<name>[^_]+)_(?P<id>\d{1,19})_assignsubmission_(?:file|onlinetext)"
    found = _folder(name + "_?", member, depth) or _file(name + "_.+", member, depth)
    if not found:
        return None
    place = f"{found['name']}_{found['id']}_assignsubmission_file_"  # before 4.1, only so does it come back
    return Handed(member, Who(found["name"], participant=found["id"]), "moodle", place=place)


def _blackboard(member: Member, depth: int) -> Handed | None:
    found = _file(r"(?P<head>.+?)_attempt_(?P<when>\d{4}(?:-\d\d){5})(?:_.*|\.txt)", member, depth)
    if not found:
        return None
    who = Who(login=found["head"].rpartition("_")[2])
    return Handed(member, who, "blackboard", _local(found["when"], "%Y-%m-%d-%H-%M-%S"))


def _brightspace(member: Member, depth: int) -> Handed | None:
    name = r"\d+-\d+ - (?P<name>.+?) - (?P<when>\w{3,9}\.? \d{1,2}, \d{4} \d{1,4} [AP]M)"
    found = _folder(name, member, depth) or _file(name + " - .+", member, depth)
    if not found:
        return None
    words, year, clock = re.split(r"(, \d{4} )", found["when"])
    digits, half = clock.split(" ")
    digits = digits + "00" if len(digits) < 3 else digits
    when = _local(f"{words[:3]} {words.split(' ')[1]}{year}{digits.zfill(4)} {half}", "%b %d, %Y %I%M %p")
    place = member.parts[depth] if len(member.parts) > depth + 1 else ""
    return Handed(member, Who(found["name"]), "brightspace", when, place=place)


def _exchange(member: Member, depth: int) -> Handed | None:
    found = _folder(r"(?P<login>.+)\+(?P<assignment>[^+]+)\+(?P<when>[^+]+ UTC)(?:\+[^+]*)?", member, depth)
    if not found:
        return None
    return Handed(member, Who(login=found["login"]), "exchange", instant(found["when"]))


def _sakai(member: Member, depth: int) -> Handed | None:
    found = _folder(r"(?P<name>[^()]+)\((?P<login>[^()]+)\)", member, depth)
    if not found:
        return None
    inside = member.parts[depth + 1]
    online = inside.endswith("_submissionText.html") and not member.refusal and bool(member.read(1))
    if inside != "Submission attachment(s)" and not online:
        return None
    return Handed(member, Who(found["name"], found["login"]), "sakai", place=member.parts[depth])


def _ilias(member: Member, depth: int) -> Handed | None:
    found = _folder(r"(?P<last>[^_]+)_(?P<first>[^_]+)_(?P<login>.+)_(?P<id>\d{1,19})", member, depth)
    if not found:
        return None
    late = member.name.startswith(("Late Submission - ", "Verspaetete Abgabe - "))
    who = Who(f"{found['first']} {found['last']}", found["login"])
    return Handed(member, who, "ilias", late=late, place=member.parts[depth])


def _google(member: Member, depth: int) -> Handed | None:
    found = _file(r"(?P<name>[^-]+(?:-[^ ][^-]*)*) - .+\.ipynb", member, depth)
    return Handed(member, Who(found["name"]), "google") if found else None


SYSTEMS: tuple[System, ...] = (_moodle, _blackboard, _brightspace, _exchange, _sakai, _canvas)
"""Each wrote names that nobody else gives."""

PLAIN: tuple[System, ...] = (_google, _ilias)
"""Each is recognized only where it may have written the names of all notebooks."""


def _folder(pattern: str, member: Member, depth: int) -> re.Match[str] | None:
    return re.fullmatch(pattern, member.parts[depth]) if len(member.parts) > depth + 1 else None


def _file(pattern: str, member: Member, depth: int) -> re.Match[str] | None:
    return re.fullmatch(pattern, member.name) if len(member.parts) == depth + 1 else None


# Which system it is


def read(
    members: list[Member],
    assignment: str,
    roster: Roster,
    stem: str,
    clones: Mapping[tuple[str, ...], float],
    pattern: str = "",
) -> Iterator[Handed]:
    """Whose each file is, by the layout that they have.

    `stem` is what the folder or zip is called, `clones` are the repositories in it, with their commits' times.
    """
    if pattern:
        yield from _by_pattern(members, pattern)
        return
    depth = _depth(members, assignment, roster, stem)
    members = [m for m in members if len(m.parts) > depth]
    metadata = next((m for m in members if m.name == METADATA and len(m.parts) == depth + 1), None)
    if metadata is not None:
        yield from _gradescope(members, metadata)
        return
    notebooks = [m for m in members if m.is_notebook]
    plain = next((p for p in PLAIN if notebooks and all(p(m, depth) for m in notebooks)), None)
    systems = SYSTEMS if plain is None else (*SYSTEMS, plain)
    told = {m: next(filter(None, (system(m, depth) for system in systems)), None) for m in members}
    found = [h for h in told.values() if h is not None and _is_of(h, depth, assignment)]
    yield from _dated(_by_receipt(_without_title(found)), members, depth)
    of_systems = {h.system for h in found}
    times = _times_of_nbgrader(members, depth, assignment)
    for member, handed in told.items():
        if handed is None and (
            not of_systems or member.is_notebook
        ):  # else it is the system's own, as index.html
            yield _from_folder(member, depth, assignment, times, roster, clones)


def _depth(members: list[Member], assignment: str, roster: Roster, stem: str) -> int:
    """How many folders lie around the class, because somebody packed the folder that the download was in.

    A folder in which everything lies is taken for that only where it can be no student's: a student chooses what
    lies in theirs.
    """
    depth = 0
    while True:
        inside = {m.parts[depth] for m in members if len(m.parts) > depth + 1}
        beside = [m for m in members if len(m.parts) == depth + 1]
        if len(inside) != 1 or any(m.is_notebook or m.name == METADATA for m in beside):
            return depth
        (folder,) = inside
        stays = [m for m in members if len(m.parts) > depth + 1]
        if any(system(m, depth) for system in SYSTEMS for m in stays) or roster.knows(folder):
            return depth
        named = _simplified(folder) in {_simplified(stem), _simplified(assignment)}
        if not (named or CONTAINER.fullmatch(folder)):
            several = (
                len({m.parts[depth + 1] for m in stays if m.is_notebook and len(m.parts) > depth + 2}) > 1
            )
            if several or any(system(m, depth + 1) for system in SYSTEMS for m in stays):
                raise ValueError(
                    f"everything lies in the folder {folder!r}, and it is not clear whether that is a student's or "
                    f"holds the class; if it holds the class, unpack it and collect {folder!r} itself; if it is a "
                    "student's, name the class with --roster"
                )
            return depth
        depth += 1


def _simplified(name: str) -> str:
    return re.sub(r"[\W_]+", "", re.sub(r"-?\d{8}T\d{6}Z.*", "", name)).casefold()


def _is_of(handed: Handed, depth: int, assignment: str) -> bool:
    """Whether it is this assignment's: nbgrader's exchange holds all assignments of a course side by side."""
    return handed.system != "exchange" or f"+{assignment}+" in handed.member.parts[depth]


def _without_title(found: list[Handed]) -> list[Handed]:
    """Blackboard writes `Title_login`, and both may have underscores; but all share the assignment's title."""
    heads = {h.member: h.member.name.split("_attempt_")[0] for h in found if h.system == "blackboard"}
    title = _shared_start(heads.values()) if len(set(heads.values())) > 1 else ""
    return [
        dataclasses.replace(h, who=Who(login=heads[h.member][len(title) :]))
        if title and h.member in heads
        else h
        for h in found
    ]


def _by_receipt(found: list[Handed]) -> list[Handed]:
    """Blackboard lays a text beside each hand-in, whose first line is `Name: Ada Lovelace (login)`.

    What a student wrote stands below that line. The text itself is a hand-in only where nothing else is.
    """
    receipts = {h.member: _attempt(h) for h in found if h.member.name == f"{_attempt(h)}.txt"}
    who = {start: named for member, start in receipts.items() if (named := _named(member))}
    others = {_attempt(h) for h in found if h.member not in receipts}
    return [
        dataclasses.replace(h, who=who.get(_attempt(h), h.who))
        for h in found
        if receipts.get(h.member) not in others
    ]


def _attempt(handed: Handed) -> str:
    """`Title_login_attempt_TIME`, with which the names of all files of one of Blackboard's hand-ins begin."""
    found = re.match(r".+?_attempt_\d{4}(?:-\d\d){5}", handed.member.name)
    return found[0] if found and handed.system == "blackboard" else ""


def _named(receipt: Member) -> Who | None:
    """Who a receipt names, if its own name has that login."""
    first = "" if receipt.refusal else _text(receipt, 400).partition("\n")[0]
    found = re.fullmatch(r"\W*Name: *(?P<name>.*?) *\((?P<login>[^()]+)\)\s*", first)
    if not found or not receipt.name.split("_attempt_")[0].endswith(f"_{found['login']}"):
        return None
    return Who(found["name"], found["login"])


def _shared_start(names: Iterable[str]) -> str:
    """What all begin with, up to an underscore."""
    shortest, longest = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(shortest, longest)) if a != b), len(shortest))
    return shortest[: shortest.rfind("_", 0, same) + 1]


def _dated(found: list[Handed], members: list[Member], depth: int) -> Iterator[Handed]:
    """Sakai writes the time into a file beside the student's folder of attachments."""
    times = {
        m.parts[depth]: m
        for m in members
        if len(m.parts) == depth + 2 and m.name == TIMESTAMP and not m.refusal
    }
    for handed in found:
        mark = times.get(handed.place) if handed.system == "sakai" else None
        yield handed if mark is None else dataclasses.replace(handed, when=_sakai_time(_text(mark)))


def _sakai_time(text: str) -> float | None:
    return _moment(text[:14], "%Y%m%d%H%M%S", datetime.UTC) if text[:14].isdigit() else None


def _by_pattern(members: list[Member], pattern: str) -> Iterator[Handed]:
    """By a regular expression of paths, with nbgrader's names: `(?P<student_id>…)`, `(?P<timestamp>…)`."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--pattern {pattern!r} is no regular expression: {error}") from None
    if "student_id" not in compiled.groupindex:
        raise ValueError(f"--pattern {pattern!r} must name the student: (?P<student_id>…)")
    for member in members:
        found = compiled.match(member.path)
        told = {name: value or "" for name, value in found.groupdict().items()} if found else {}
        name = " ".join(filter(None, (told.get("first_name"), told.get("last_name"))))
        who = Who(name, told.get("student_id", ""), told.get("email", ""))
        refusal = "" if who.login else "--pattern does not fit its path"
        when = _pattern_time(told.get("timestamp", ""))
        yield Handed(member, who, PATTERN, when, refusal=refusal)


def _pattern_time(text: str) -> float | None:
    return _local(text, "%Y-%m-%d-%H-%M-%S") or instant(text)


# Folders of our own


def _from_folder(
    member: Member,
    depth: int,
    assignment: str,
    times: Mapping[tuple[str, ...], Member],
    roster: Roster,
    clones: Mapping[tuple[str, ...], float],
) -> Handed:
    """The student's folder is the outermost one."""
    folders = member.parts[depth:-1]
    if not folders:
        advice = f"put it into a folder of the student's name: STUDENT/{member.name}"
        refusal = f"it is not clear whose it is; {advice}" if member.is_notebook else ""
        return Handed(member, Who(), FOLDERS, refusal=refusal)
    if (commit := clones.get(member.parts[: depth + 1])) is not None:
        around = member.parts[depth - 1] if depth else ""
        return Handed(member, Who(login=_cloned(folders[0], around, assignment, roster)), "github", commit)
    when = None
    if folders[1:2] == (assignment,):
        mark = times.get((*member.parts[: depth + 2], TIMESTAMP))
        when = instant(_text(mark)) if mark else None
    return Handed(member, Who(login=folders[0]), FOLDERS, when)


def _times_of_nbgrader(members: list[Member], depth: int, assignment: str) -> dict[tuple[str, ...], Member]:
    """The files STUDENT/ASSIGNMENT/timestamp.txt, where they are nbgrader's, which then most students have.

    What one student has and others have not may be of their own making.
    """
    places = {m.parts: m for m in members if m.name == TIMESTAMP and m.parts[depth + 1 : -1] == (assignment,)}
    students = {m.parts[depth] for m in members if m.is_notebook and len(m.parts) > depth + 1}
    dated = {parts[depth] for parts in places} & students
    if 2 * len(dated) <= len(students):
        return {}
    return {parts: m for parts, m in places.items() if not m.refusal}


def _cloned(folder: str, around: str, assignment: str, roster: Roster) -> str:
    """The login in `assignment-login`, as GitHub Classroom calls repositories; both may have hyphens."""
    ends = [p.github for p in roster.people if p.github and folded(folder).endswith("-" + folded(p.github))]
    if ends:
        return max(ends, key=len)
    for title in (assignment, assignment.replace("_", "-"), around.removesuffix("-submissions")):
        if title and folder.startswith(title + "-"):
            return folder.removeprefix(title + "-")
    return folder


# Gradescope


def _gradescope(members: list[Member], metadata: Member) -> Iterator[Handed]:
    """One for each submitter of a group."""
    top = metadata.parts[:-1]
    table = _submissions(metadata)
    for member in members:
        below = member.parts[len(top) :]
        if member is metadata or len(below) < 2:
            continue
        entry = table.get(below[0])
        submitters = entry.get(":submitters") if isinstance(entry, dict) else None
        people = [p for p in submitters if isinstance(p, dict)] if isinstance(submitters, list) else []
        found = [
            Who(*(str(p.get(key) or "") for key in (":name", ":sid", ":email")))
            for p in people
            if p.get(":sid") or p.get(":email")
        ]
        when = _created(entry.get(":created_at")) if isinstance(entry, dict) else None
        for who in found:
            yield Handed(member, who, GRADESCOPE, when)
        if not found:
            yield Handed(member, Who(), GRADESCOPE, refusal=f"{METADATA} names no student for it")


def _submissions(member: Member) -> dict[str, Any]:
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


def _created(when: Any) -> float | None:
    if isinstance(when, dict):  # Ruby's time with a zone
        when = when.get("utc") or when.get("time")
    if isinstance(when, str):
        with contextlib.suppress(ValueError):
            when = datetime.datetime.fromisoformat(when)
    if not isinstance(when, datetime.datetime):
        return None
    return _seconds(when if when.tzinfo else when.replace(tzinfo=datetime.UTC))


# Times


def instant(text: str) -> float | None:
    """nbgrader's timestamp as seconds since 1970; None if there is none."""
    from nbgrader.utils import parse_utc

    try:
        return _seconds(parse_utc(text).replace(tzinfo=datetime.UTC)) if text else None
    except (ValueError, OverflowError):
        return None


def stamp(when: float) -> str:
    """nbgrader's timestamp of a time in seconds since 1970."""
    return f"{datetime.datetime.fromtimestamp(when, datetime.UTC):%Y-%m-%d %H:%M:%S.%f} UTC"


def _local(text: str, form: str) -> float | None:
    """A time as the server of an LMS writes it, without its zone: it is taken for this computer's."""
    return _moment(text, form, None)


def worksheet_time(text: str) -> float | None:
    """When Moodle's grading worksheet says that something was handed in, in English; None where it says nothing."""
    for form in ("%A, %d %B %Y, %I:%M %p", "%A, %B %d, %Y, %I:%M %p"):
        if (when := _local(text.replace("\u202f", " ").strip(), form)) is not None:
            return when
    return None


def _moment(text: str, form: str, zone: datetime.tzinfo | None) -> float | None:
    try:
        return _seconds(datetime.datetime.strptime(text, form).replace(tzinfo=zone))
    except ValueError:
        return None


def _seconds(when: datetime.datetime) -> float | None:
    try:
        return when.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _text(member: Member, most: int = 100) -> str:
    try:
        return member.read(most).decode("utf-8", "replace").strip()
    except inbox.Rejected:
        return ""


def same(one: str, other: str) -> bool:
    """Whether two names of students differ in case alone."""
    return one != other and folded(one) == folded(other)
