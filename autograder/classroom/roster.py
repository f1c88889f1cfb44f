"""Who is in the class, by every name that a system has for them.

    course/roster.csv     one line a student: our name for them, then names and ids as the systems know them

A roster comes as the CSV of any LMS (Canvas's or Blackboard's gradebook, Moodle's grading worksheet or list of
participants, Brightspace's export, GitHub Classroom's or nbgrader's list); its columns are known by their titles.
Whoever the course has met keeps the name that they have in it. Nobody is guessed: `find` returns all who fit.
"""

import csv
import dataclasses
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.atomic import write_atomically
from autograder.classroom import inbox
from autograder.course import Course

FILE = "roster.csv"
MAX_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Who:
    """What a download tells of whoever handed in: whatever it does not tell is empty."""

    name: str = ""
    login: str = ""
    email: str = ""
    lms_id: str = ""
    participant: str = ""

    @property
    def best(self) -> str:
        """The name of a student of whom nothing else is known."""
        number = self.lms_id or self.participant
        return self.login or self.email or "_".join(part for part in (self.name, number) if part)


@dataclasses.dataclass(frozen=True)
class Person:
    """A student of the class. `student` is the course's name for them; `participant` is Moodle's."""

    student: str
    first_name: str = ""
    last_name: str = ""
    login: str = ""
    number: str = ""
    email: str = ""
    lms_id: str = ""
    participant: str = ""
    github: str = ""
    section: str = ""

    @property
    def name(self) -> str:
        """First and last name, as far as they are known."""
        return " ".join(part for part in (self.first_name, self.last_name) if part)


FIELDS = tuple(field.name for field in dataclasses.fields(Person))
IDS = ("student", "login", "number", "email", "lms_id", "participant", "github")
TITLES = {
    "student": ("coursename",),
    "name": ("name", "fullname", "student", "studentname", "displayname", "vollstandigername", "nomcomplet"),
    "first_name": ("firstname", "givenname", "vorname", "prenom", "nombre"),
    "last_name": ("lastname", "surname", "familyname", "nachname", "nom", "apellidos"),
    "login": ("username", "sisloginid", "login", "loginid", "netid", "user", "anmeldename", "benutzername"),
    "number": (
        *("studentid", "orgdefinedid", "sisuserid", "idnumber", "sid", "studentnumber", "number"),
        *("matrikelnummer", "matriculationnumber", "rosteridentifier"),
    ),
    "email": ("email", "emailaddress", "mail", "emailadresse", "adressedecourriel"),
    "lms_id": ("lmsuserid", "lmsid", "canvasuserid", "userid"),
    "participant": ("participant",),
    "github": ("githubusername", "github"),
    "section": ("section", "sections", "sectionname", "group", "groups"),
    "handed_in": ("lastmodifiedsubmission",),  # of Moodle's grading worksheet: what was done, not who it is
}
"""Titles of columns, without case, spaces and accents."""

NO_STUDENTS = frozenset({"pointspossible", "studenttest", "teststudent"})
"""What Canvas's gradebook lists beside students."""


class Roster:
    """The class, and how to find somebody in it."""

    def __init__(self, people: Iterable[Person] = ()) -> None:
        self.people = tuple(people)
        self._by_id: dict[tuple[str, str], list[Person]] = {}
        self._by_name: dict[str, list[Person]] = {}
        for person in self.people:
            for column in IDS:
                if told := folded(getattr(person, column)):
                    self._by_id.setdefault((column, told), []).append(person)
            for name in _callings(person):
                self._by_name.setdefault(name, []).append(person)

    def __bool__(self) -> bool:
        return bool(self.people)

    @classmethod
    def of(cls, course: Course) -> "Roster":
        """The course's roster; empty if there is none. Raises `ValueError` if its file is damaged."""
        path = course.directory / FILE
        if not path.is_file():
            return cls()
        rows = list(_rows(path))
        if not rows or "student" not in rows[0][1]:
            raise ValueError(f"{path} is damaged: it must have a column student; give --roster again")
        return cls(Person(**{name: row.get(name, "") for name in FIELDS}) for _, row in rows)

    def save(self, course: Course) -> None:
        """Keep it as the course's roster."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows([getattr(person, name) for name in FIELDS] for person in self.people)
        write_atomically(course.directory / FILE, text.getvalue().encode())

    def find(self, who: Who) -> list[Person]:
        """Everyone who it may be: one is an answer, none a stranger, several a doubt.

        An id or address decides; a name counts only where the roster has no such ids.
        """
        for told, columns, settles in (
            (who.lms_id, ("lms_id",), True),
            (who.participant, ("participant",), False),
            (who.login, ("student", "login", "number", "email", "github", "lms_id"), False),
            (who.email, ("email", "login", "student"), False),
        ):
            if not told:
                continue
            found = [p for c in columns for p in self._by_id.get((c, folded(told)), [])]
            if found:
                return list(dict.fromkeys(found))
            if settles and any(column in columns for column, _ in self._by_id):
                return []
        name = who.name or who.login
        return self._by_name.get(" ".join(_words(name)), []) or self._by_name.get("".join(_words(name)), [])

    def knows(self, text: str) -> bool:
        """Whether a folder's name means somebody in the class."""
        return bool(self.find(Who(login=text)))


def folded(text: str) -> str:
    """`text` as ids are compared: without case and outer spaces."""
    return unicodedata.normalize("NFC", text).strip().casefold()


def _plain(text: str) -> list[str]:
    """The words of a text, without case and accents."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", bare.casefold())


def _words(name: str) -> list[str]:
    """The words of a name in order of the alphabet: Lovelace, Ada is Ada Lovelace."""
    return sorted(_plain(name))


def _callings(person: Person) -> set[str]:
    """What a download may call a person: their name, with their login before it, or as Canvas writes it."""
    own = _plain(person.name)
    if not own:
        return set()
    with_login = sorted([*own, *_plain(person.login)])
    canvas = "".join(_plain(person.last_name) + _plain(person.first_name))  # lovelaceada
    return {" ".join(sorted(own)), " ".join(with_login), canvas}


# Reading the CSV of an LMS


def read(path: Path, course: Course) -> Roster:
    """The class in a CSV of any LMS; whoever the course knows keeps their name in it.

    Raises `ValueError`, with the file's name and line, for a table that names nobody or one student twice.
    """
    before = Roster.of(course)
    known = _Known(before, _met(course))
    listed = [(line, person) for line, row in _rows(path) if (person := _person(row))]
    names = Counter(" ".join(_words(person.name)) for _, person in listed)
    people: dict[str, Person] = {}
    lines: dict[str, int] = {}
    for line, person in listed:
        alone = names[" ".join(_words(person.name))] == 1
        person = dataclasses.replace(person, student=known.name(person, alone, f"{path}, line {line}"))
        key = folded(person.student)
        if key in people and not _are_one(people[key], person):
            raise ValueError(
                f"{path}, line {line}: {person.student!r} is {people[key].name or people[key].email} in line "
                f"{lines[key]}; every student needs a login, number or address of their own"
            )
        people[key] = _merged(people.get(key), person)
        lines.setdefault(key, line)
    if not people:
        raise ValueError(f"{path} names no students")
    kept = {folded(p.student): p for p in before.people}
    return Roster(_merged(kept.get(key), person) for key, person in people.items())


def _met(course: Course) -> list[str]:
    """Everyone of whom something was handed in."""
    top = course.folder("submitted")
    return sorted(p.name for p in top.iterdir() if p.is_dir() and p.name[0] != ".") if top.is_dir() else []


class _Known:
    """The names that the course has for students already: those of its roster, and of what was handed in."""

    def __init__(self, roster: Roster, met: Iterable[str]) -> None:
        self._by_id: dict[tuple[str, str], set[str]] = {}
        self._by_name: dict[str, set[str]] = {}
        people = [*roster.people, *(Person(name) for name in met)]
        for person in people:
            for column in IDS:
                self._by_id.setdefault((column, folded(getattr(person, column))), set()).add(person.student)
            if number := re.fullmatch(
                r"[^_]+_(\d+)", person.student
            ):  # of a download, before there was a roster
                for column in ("lms_id", "participant"):
                    self._by_id.setdefault((column, number[1]), set()).add(person.student)
            self._by_name.setdefault(" ".join(_words(person.student)), set()).add(person.student)

    def name(self, person: Person, alone: bool, where: str) -> str:
        """What the course calls a person, else the best that the table gives; `alone` has the name for themselves.

        Raises `ValueError` for one whom the course has under two names.
        """
        for column in ("login", "number", "email", "lms_id", "participant", "github"):
            if told := folded(getattr(person, column)):
                found = self._by_id.get((column, told), set()) | self._by_id.get(("student", told), set())
                if found:
                    return self._only(found, person, where)
        found = self._by_name.get(" ".join(_words(person.name)), set()) if alone and person.name else set()
        if found:
            return self._only(found, person, where)
        best = person.student or person.login or person.number or person.email or person.name
        return best.replace("/", "-")

    def _only(self, found: set[str], person: Person, where: str) -> str:
        if len(found) > 1:
            raise ValueError(
                f"{where}: {' and '.join(sorted(found))} are both {person.name or person.email}; put what they "
                "handed in into one folder of course/submitted, and delete the other"
            )
        return next(iter(found))


def _are_one(one: Person, other: Person) -> bool:
    """Whether two lines say nothing that differs: a student is listed once for each section."""
    return all(
        not getattr(one, name) or not getattr(other, name) or getattr(one, name) == getattr(other, name)
        for name in FIELDS
        if name not in ("student", "section")
    )


def _merged(old: Person | None, new: Person) -> Person:
    """What is known of one student, the newer first."""
    if old is None:
        return new
    return Person(**{name: getattr(new, name) or getattr(old, name) for name in FIELDS})


def _person(row: dict[str, str]) -> Person | None:
    """A line as a person; None for a line that is no student's."""
    fields = {name: row.get(name, "") for name in FIELDS}
    name = row.get("name", "")
    if "".join(_plain(name)) in NO_STUDENTS or not any([*fields.values(), name]):
        return None
    if name and not (fields["first_name"] or fields["last_name"]):
        last, comma, first = name.partition(",")
        if not comma:
            first, _, last = name.rpartition(" ")
        fields["first_name"], fields["last_name"] = first.strip(), last.strip()
    return Person(**fields)


def table(path: Path) -> Iterator[dict[str, str]]:
    """Each line of a table by its known columns; raises `ValueError` for what is no table."""
    for _, row in _rows(path):
        yield row


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line of a table by its known columns, with its number; raises `ValueError` for what is no table."""
    text = _text(path)
    head = text.split("\n", 1)[0]
    delimiter = max("\t;,", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        titles = [_column(title, head) for title in next(reader, [])]
        if not set(titles) & (set(FIELDS) | {"name"}):
            raise ValueError(
                f"{path} has none of the known columns (name, email, username, student id, …); its first line is "
                f"{head[:100]!r}; rename the columns"
            )
        for cells in reader:
            row: dict[str, str] = {}
            for title, cell in zip(titles, cells):
                if title and cell.strip() and title not in row:
                    row[title] = _cell(title, cell)
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


def _column(title: str, head: str) -> str:
    """Which of our columns one of the table's is; empty if none."""
    plain = "".join(_plain(title))
    if title.strip() in FIELDS:
        return title.strip()
    if plain == "id":  # Canvas's number in Canvas's table, the student's name in nbgrader's
        return "lms_id" if "SIS" in head else "student"
    if plain == "identifier":
        return "number" if "github" in head.lower() else "participant"
    return next((name for name, titles in TITLES.items() if plain in titles), "")


def _cell(title: str, cell: str) -> str:
    """A cell without what systems put before ids, and spreadsheets before text."""
    cell = unicodedata.normalize("NFC", cell).strip()
    cell = re.sub(r"^'(?=[=+\-@\t\r])", "", cell)
    if title in ("login", "number"):
        cell = cell.removeprefix("#")  # Brightspace
    if title == "participant":
        cell = re.sub(r"^\D*", "", cell)  # Moodle's "Participant 123", in any language
    return cell


def _text(path: Path) -> str:
    """A table's text, in UTF-8, UTF-16 (Blackboard) or as Windows writes it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES >> 20} MB: it is no list of students")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings: tuple[str, ...] = ("utf-16",)
    elif b"\0" in data:
        raise ValueError(f"{path} is no text; save the table as CSV")
    else:
        encodings = ("utf-8-sig", "cp1252", "latin-1")
    for encoding in encodings:
        try:
            return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeError:
            continue
    raise ValueError(f"{path} is damaged: it is no {encodings[0]}; save the table as CSV in UTF-8")


def unfit(student: str) -> str:
    """Why a name can be no folder's; empty if it can."""
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
    return "the student's name is no good name for a folder" if bad else ""
