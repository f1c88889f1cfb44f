"""The class from the CSV of any LMS, and one student found under all their names; nobody is guessed."""

import pytest

from autograder.classroom.roster import Person, Roster, Who, read

CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Toy (99)\n"
    "    Points Possible,,,,,100\n"
    '"Lovelace, Ada",4711,0815,ada,A,\n'
    '"Lovelace, Ada",4711,0815,ada,B,\n'
    '"Student, Test",1,,,A,\n'
)
TABLES = {
    "canvas": (CANVAS, Person("ada", "Ada", "Lovelace", "ada", "0815", "", "4711", section="B")),
    "moodle worksheet": (
        "Identifier,Full name,Email address,Status,Grade,Maximum Grade\n"
        "Participant 123,Ada Lovelace,ada@example.org,Submitted,,100\n",
        Person("ada@example.org", "Ada", "Lovelace", email="ada@example.org", participant="123"),
    ),
    "moodle participants, in German": (
        "\ufeffVorname;Nachname;E-Mail-Adresse\nAda;Lovelace;ada@example.org\n",
        Person("ada@example.org", "Ada", "Lovelace", email="ada@example.org"),
    ),
    "blackboard": (
        "Last Name\tFirst Name\tUsername\tStudent ID\nLovelace\tAda\tada\t0815\n",
        Person("ada", "Ada", "Lovelace", "ada", "0815"),
    ),
    "brightspace": (
        "OrgDefinedId,Username,Last Name,First Name,Email,End-of-Line Indicator\n"
        "#0815,#ada,Lovelace,Ada,ada@example.org,#\n",
        Person("ada", "Ada", "Lovelace", "ada", "0815", "ada@example.org"),
    ),
    "github classroom": (
        '"identifier","github_username","github_id","name"\n"0815","ada-l","99","Ada Lovelace"\n',
        Person("0815", "Ada", "Lovelace", number="0815", github="ada-l"),
    ),
    "nbgrader": (
        "id,first_name,last_name,email,lms_user_id\nada,Ada,Lovelace,ada@example.org,4711\n",
        Person("ada", "Ada", "Lovelace", email="ada@example.org", lms_id="4711"),
    ),
}


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "class.csv"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return path

    return write


@pytest.mark.parametrize("system", TABLES)
def test_names_and_ids_are_found_in_each_systems_table(classroom, table, system):
    text, person = TABLES[system]
    assert read(table(text), classroom.course).people == (person,)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_is_read_however_it_is_encoded(classroom, table, encoding):
    text = "Username\tLast Name\tFirst Name\r\nzoe\tMüller\tZoë\r\n"
    assert read(table(text, encoding), classroom.course).people == (Person("zoe", "Zoë", "Müller", "zoe"),)


def test_it_is_kept_and_read_again_as_it_was(classroom, table):
    roster = read(table(CANVAS + '"=cmd(), \'x",4712,,bob,A\n'), classroom.course)
    roster.save(classroom.course)
    assert Roster.of(classroom.course).people == roster.people


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "none of the known columns"),
        ("colour,size\nred,3\n", "none of the known columns"),
        ("username\n", "names no students"),
        (
            "username,name\nada,Ada Lovelace\nbob,Bob\nADA,Other Ada\n",
            "line 4: 'ADA' is Ada Lovelace in line 2",
        ),
        ('username\n"ada\n', "line "),
        (b"\x89PNG\0\0\0", "is no text"),
        (b"\xff\xfea", "is damaged"),
    ],
)
def test_what_is_no_list_of_students_is_told_by_name_and_line(classroom, table, text, words):
    with pytest.raises(ValueError, match=words) as error:
        read(table(text), classroom.course)
    assert "class.csv" in str(error.value)
    assert not Roster.of(classroom.course)


ADA = Person("ada", "Ada", "Lovelace", "ada", "0815", "ada@example.org", "4711", "123", "ada-l")
ZOE = Person("zoe", "Zoë", "van der Müller", "zoe", "0816", "zoe@example.org", "4712", "124")


@pytest.mark.parametrize(
    "who",
    [
        Who("Somebody Else", lms_id="4711"),
        Who(login="ADA"),
        Who(login="ada-l"),
        Who(login="0815"),
        Who(email="Ada@Example.org"),
        Who("renamed", participant="123"),
        Who("Ada Lovelace"),
        Who("lovelace,  ADA"),
        Who("ada Ada Lovelace"),
        Who("lovelaceada"),
        Who("Ada Lovelace", participant="999"),
    ],
)
def test_one_student_is_found_under_every_name(who):
    assert Roster([ADA, ZOE]).find(who) == [ADA]


def test_accents_and_their_normal_forms_make_no_difference():
    assert Roster([ADA, ZOE]).find(Who("Zoe\u0308 van der Mu\u0308ller")) == [ZOE]
    assert Roster([ADA, ZOE]).find(Who("vandermullerzoe")) == [ZOE]


@pytest.mark.parametrize(
    "who", [Who("Ada Lovelace", lms_id="4799"), Who("Ada Lovelac"), Who(login="eve"), Who()]
)
def test_a_stranger_is_nobody_even_under_a_name_that_the_class_has(who):
    assert Roster([ADA, ZOE]).find(who) == []


def test_two_of_one_name_are_a_doubt():
    other = Person("ada2", "Ada", "Lovelace", "ada2")
    assert Roster([ADA, other]).find(Who("Ada Lovelace")) == [ADA, other]


def test_whoever_the_course_met_before_keeps_their_name_and_ids_add_up(classroom, table):
    classroom.submit("lovelaceada_4711", {})
    first = read(table(CANVAS), classroom.course)
    assert [p.student for p in first.people] == ["lovelaceada_4711"]
    first.save(classroom.course)
    then = read(table("Username,Email,Student ID\nada,ada@example.org,0815\n"), classroom.course)
    (person,) = then.people
    assert (person.student, person.lms_id, person.email) == ("lovelaceada_4711", "4711", "ada@example.org")


@pytest.mark.parametrize(
    "folder", ["lovelaceada_4711", "Ada Lovelace_123", "Ada Lovelace", "ada@example.org", "0815"]
)
def test_whatever_a_download_called_them_before_there_was_a_roster(classroom, table, folder):
    classroom.submit(folder, {})
    text = (
        "username,student id,email,lms_user_id,participant,name\n"
        "ada,0815,ada@example.org,4711,123,Ada Lovelace\nbob,0816,,4712,124,Bob Byron\n"
    )
    assert [p.student for p in read(table(text), classroom.course).people] == [folder, "bob"]


def test_a_name_that_two_have_is_kept_for_neither(classroom, table):
    classroom.submit("Ada Lovelace", {})
    text = "username,name\nada,Ada Lovelace\nada2,Ada Lovelace\n"
    assert [p.student for p in read(table(text), classroom.course).people] == ["ada", "ada2"]


def test_a_large_class_is_read_and_searched_at_once(classroom, table):
    text = "username,name\n" + "".join(f"s{i},First{i} Last\n" for i in range(1000))
    roster = read(table(text), classroom.course)
    assert all(roster.find(Who(f"First{i} Last")) == [roster.people[i]] for i in range(1000))


def test_a_student_who_became_two_before_is_told(classroom, table):
    classroom.submit("ada", {})
    classroom.submit("ADA", {})
    with pytest.raises(ValueError, match="ADA and ada are both Ada Lovelace"):
        read(table(CANVAS), classroom.course)
