"""Zips as macOS, Windows and old programs pack them: every name comes as people see it, and nothing is lost."""

import io
import unicodedata
import zipfile

import pytest
from downloads import handed_in, zipped

from autograder.ways.collect import COLLECTED, NO_NOTEBOOK, REFUSED, NothingCollected, collect

ZOE = "Zoë Müller"


@pytest.fixture
def answer(classroom):
    return lambda text="1": classroom.answered({"double": f"def double(x):\n    return {text}"})


def raw(path, members: dict[bytes, bytes]):
    """A zip whose names are just these bytes, without the flag that says UTF-8."""
    placeholder = {f"{i:0{len(name)}d}": data for i, (name, data) in enumerate(members.items())}
    zipped(path, placeholder)
    data = path.read_bytes()
    for fake, name in zip(placeholder, members):
        data = data.replace(fake.encode(), name)
    path.write_bytes(data)
    return path


def take(classroom, path):
    return {o.source: (o.status, o.reason) for o in collect(classroom.course, "toy", path)}


@pytest.mark.parametrize(
    "name",
    [
        f"{ZOE}/toy.ipynb".encode(),  # ditto and Finder: UTF-8, and no flag
        unicodedata.normalize("NFD", f"{ZOE}/toy.ipynb").encode(),  # letters apart from their accents
        f"{ZOE}/toy.ipynb".encode("cp437"),  # Windows Explorer in English, PKZIP
        f"{ZOE}\\toy.ipynb".encode("cp437"),  # .NET before 4.6.1
    ],
)
def test_a_name_is_read_in_each_encoding(classroom, answer, tmp_path, name):
    assert take(classroom, raw(tmp_path / "in.zip", {name: answer()})) == {
        f"{ZOE}/toy.ipynb": (COLLECTED, "")
    }
    assert set(handed_in(classroom)) == {f"{ZOE}/toy/toy.ipynb"}


def test_a_student_whose_name_comes_in_two_normal_forms_is_one(classroom, answer, tmp_path):
    for number, form in enumerate(("NFC", "NFD")):
        name = unicodedata.normalize(form, f"{ZOE}/toy.ipynb")
        take(
            classroom,
            zipped(tmp_path / f"{form}.zip", {name: answer(form)}, when=(2026, 10, 1 + number, 0, 0, 0)),
        )
    assert handed_in(classroom) == {f"{ZOE}/toy/toy.ipynb": answer("NFD")}


def test_what_systems_leave_behind_is_nobodys_hand_in(classroom, answer, tmp_path):
    members = {
        "ada/toy.ipynb": answer(),
        "__MACOSX/ada/._toy.ipynb": b"\0\5\x16\7",
        "ada/._toy.ipynb": b"\0\5\x16\7",
        "ada/.DS_Store": b"\0\0\0\1Bud1",
        "ada/.ipynb_checkpoints/toy-checkpoint.ipynb": answer("old"),
        "Thumbs.db": b"",
        "bob/desktop.ini": b"",
        "$RECYCLE.BIN/toy.ipynb": b"",
    }
    assert take(classroom, zipped(tmp_path / "in.zip", members)) == {"ada/toy.ipynb": (COLLECTED, "")}


def test_a_folder_that_finder_packed_is_looked_into(classroom, answer, tmp_path):
    members = {"submissions/lovelaceada_1_2_toy.ipynb": answer(), "__MACOSX/submissions/._x": b""}
    take(classroom, zipped(tmp_path / "submissions.zip", members))
    assert set(handed_in(classroom)) == {"lovelaceada_1/toy/toy.ipynb"}


def test_backslashes_beside_slashes_are_a_students_and_refused(classroom, answer, tmp_path):
    members = {"ada/toy.ipynb": answer("1"), "eve\\..\\ada\\toy.ipynb": answer("2")}
    found = take(classroom, zipped(tmp_path / "in.zip", members))
    assert found["ada/toy.ipynb"][0] == COLLECTED
    assert found["eve\\..\\ada\\toy.ipynb"][0] == REFUSED


@pytest.mark.parametrize("name", ["C:\\ada\\toy.ipynb", "..\\..\\ada\\toy.ipynb", "\\ada\\toy.ipynb"])
def test_paths_of_windows_lead_nowhere(classroom, answer, tmp_path, name):
    ((status, reason),) = take(classroom, zipped(tmp_path / "in.zip", {name: answer()})).values()
    assert status == REFUSED
    assert "leads out of the archive" in reason


def test_a_path_too_long_for_windows_is_read(classroom, answer, tmp_path):
    name = "ada/" + "/".join(["a" * 200] * 5) + "/" + "b" * 240 + ".ipynb"
    assert take(classroom, zipped(tmp_path / "in.zip", {name: answer()}))[name][0] == COLLECTED
    assert set(handed_in(classroom)) == {"ada/toy/toy.ipynb"}


def test_names_that_differ_in_case_alone_are_told_and_nothing_is_mixed(classroom, answer, tmp_path):
    members = {"Ada/toy.ipynb": answer("1"), "ada/toy.ipynb": answer("2"), "bob/TOY.IPYNB": answer("3")}
    found = take(classroom, zipped(tmp_path / "in.zip", members))
    assert "ada differs from Ada in upper and lower case alone" in found["ada/toy.ipynb"][1]
    assert handed_in(classroom) == {"Ada/toy/toy.ipynb": answer("1"), "bob/toy/toy.ipynb": answer("3")}


@pytest.mark.parametrize("cut", [10, 100, -30, -1])
def test_a_download_that_broke_off_is_told_and_nothing_is_written(classroom, answer, tmp_path, cut):
    path = zipped(tmp_path / "in.zip", {"ada/toy.ipynb": answer()})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"in\.zip is no zip archive, or it is damaged"):
        take(classroom, path)
    assert handed_in(classroom) == {}


def test_an_empty_archive_and_one_of_folders_alone_say_what_was_expected(classroom, tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for members in ({}, {"ada/": b""}):
        with pytest.raises(NothingCollected, match="holds no notebooks"):
            take(classroom, zipped(tmp_path / "in.zip", members))


def packed(members: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return memory.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "lovelaceada_4711_100_work.zip",
        "Ada_123_assignsubmission_file/work.zip",
        "Toy_ada_attempt_2026-10-01-12-00-00_work.zip",
        "1-2 - ada - Oct 1, 2026 1200 PM/work.zip",
        "ada/toy/deep/WORK.ZIP",
    ],
)
def test_a_notebook_that_a_student_packed_is_found_in_the_zip(classroom, answer, tmp_path, name):
    work = packed({"toy/toy.ipynb": answer(), "toy/data.csv": b"", "__MACOSX/toy/._toy.ipynb": b"x"})
    (found,) = take(classroom, zipped(tmp_path / "in.zip", {name: work})).items()
    assert found == (f"{name}/toy/toy.ipynb", (COLLECTED, ""))
    ((path, data),) = [item for item in handed_in(classroom).items() if item[0].endswith(".ipynb")]
    assert "ada" in path.casefold()
    assert data == answer()


def test_names_in_a_students_zip_never_say_whose_it_is(classroom, answer, tmp_path):
    work = packed({"ada/toy/toy.ipynb": answer(), "ada/toy/timestamp.txt": b"2020-01-01 00:00:00 UTC"})
    take(classroom, zipped(tmp_path / "in.zip", {"eve/toy.zip": work, "ada/toy.ipynb": answer("2")}))
    assert handed_in(classroom) == {"eve/toy/toy.ipynb": answer(), "ada/toy/toy.ipynb": answer("2")}


@pytest.mark.parametrize(
    "work",
    [b"no zip", packed({"../x.ipynb": b"{}"}), packed({"essay.pdf": b""}), packed({})],
    ids=["no zip", "a way out", "no notebook", "nothing"],  # a zip holds the time at which it was made
)
def test_a_students_zip_without_a_notebook_that_can_be_read_is_told(classroom, answer, tmp_path, work):
    found = take(classroom, zipped(tmp_path / "in.zip", {"eve/toy.zip": work, "ada/toy.ipynb": answer()}))
    ((status, reason),) = [what for source, what in found.items() if source.startswith("eve")]
    assert (status, reason) in [
        (NO_NOTEBOOK, "instead of one: toy.zip"),
        (REFUSED, "its path leads out of the archive"),
    ]
    assert set(handed_in(classroom)) == {"ada/toy/toy.ipynb"}
