"""Submissions from a folder, a zip, Gradescope or Canvas: the right notebook for the right student, and no harm."""

import io
import json
import os
import stat
import sys
import zipfile
from pathlib import Path

import pytest
from downloads import handed_in, laid_out, zipped

from autograder import command
from autograder.judging.submission import MAX_BYTES
from autograder.ways.collect import COLLECTED, REFUSED, UNCHANGED, NothingCollected, collect
from autograder.ways.files import MAX_EXPANSION

METADATA = """\
---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '0815'
    :email: ada@example.org
  :created_at: 2026-10-01 10:00:00.250000000 Z
  :score: 3.0
  :results: {tests: []}
submission_12:
  :submitters:
  - :name: Bob
    :email: bob@example.org
  - :name: Cleo
    :sid: c3
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: 2026-10-02 10:00:00.000000000 Z
    time: 2026-10-02 12:00:00.000000000 Z
submission_13:
  :submitters: []
"""


@pytest.fixture
def answer(classroom):
    """A function that makes a toy notebook with an answer of its own."""
    return lambda text="1": classroom.answered({"double": f"def double(x):\n    return {text}"})


def take(classroom, path: Path, **options: bool) -> dict[str, str]:
    """What became of each file, and why."""
    return {
        o.source: f"{o.status} {o.reason}".strip() for o in collect(classroom.course, "toy", path, **options)
    }


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize(
    "layout", ["{}/toy.ipynb", "submitted/{}/toy.ipynb", "{}/toy/toy.ipynb", "{}/homework.ipynb"]
)
def test_our_own_layout_is_found_at_any_depth_under_any_name(classroom, answer, tmp_path, kind, layout):
    members = {layout.format("ada"): answer("1"), layout.format("bob"): answer("2"), "README.txt": b"x"}
    make = laid_out if kind == "folder" else zipped
    found = take(classroom, make(tmp_path / f"in-{kind}", members))
    assert set(found.values()) == {COLLECTED}
    assert handed_in(classroom) == {"ada/toy/toy.ipynb": answer("1"), "bob/toy/toy.ipynb": answer("2")}


def test_gradescopes_export_gives_students_ids_groups_and_times(classroom, answer, tmp_path):
    top = "assignment_9_export/"
    members = {
        top + "submission_metadata.yml": METADATA.encode(),
        top + "submission_11/Untitled.ipynb": answer("1"),
        top + "submission_12/deep/toy.ipynb": answer("2"),
        top + "submission_13/toy.ipynb": answer("3"),
        top + "submission_99/toy.ipynb": answer("4"),
    }
    found = take(classroom, zipped(tmp_path / "export.zip", members))
    assert "names no student" in found[top + "submission_13/toy.ipynb"]
    assert "names no student" in found[top + "submission_99/toy.ipynb"]
    assert handed_in(classroom) == {
        "0815/toy/toy.ipynb": answer("1"),
        "0815/toy/timestamp.txt": b"2026-10-01 10:00:00.250000 UTC",
        "bob@example.org/toy/toy.ipynb": answer("2"),
        "bob@example.org/toy/timestamp.txt": b"2026-10-02 10:00:00.000000 UTC",
        "c3/toy/toy.ipynb": answer("2"),
        "c3/toy/timestamp.txt": b"2026-10-02 10:00:00.000000 UTC",
    }


def test_canvass_download_takes_the_last_attachment_of_each_student(classroom, answer, tmp_path):
    members = {
        "doejane_4711_100_toy.ipynb": answer("1"),
        "doejane_4711_101_toy-1.ipynb": answer("2"),
        "roeriche_LATE_4712_102_My Solution.ipynb": answer("3"),
    }
    found = take(classroom, zipped(tmp_path / "submissions.zip", members))
    assert found["doejane_4711_100_toy.ipynb"].endswith("doejane_4711_101_toy-1.ipynb was taken instead")
    assert handed_in(classroom) == {
        "doejane_4711/toy/toy.ipynb": answer("2"),
        "roeriche_4712/toy/toy.ipynb": answer("3"),
    }


def test_what_is_in_a_notebook_counts_more_than_its_name(classroom, answer, notebook, tmp_path):
    members = {
        "ada/toy.ipynb": notebook("print('not the toy')"),
        "ada/final_v2.ipynb": answer(),
        "bob/ising.ipynb": notebook("another assignment"),
        "cleo/toy.ipynb": notebook("everything deleted"),
        "dora/a.ipynb": b"{ cut off",
        "emil/a.ipynb": b"{ cut off",
        "emil/b.ipynb": b"{ cut off",
    }
    found = take(classroom, laid_out(tmp_path / "in", members))
    assert "ada/final_v2.ipynb was taken instead" in found["ada/toy.ipynb"]
    assert "it is no notebook of toy: it holds 0 of its 5 marked cells" in found["bob/ising.ipynb"]
    assert "not clear which one is meant" in found["emil/a.ipynb"]
    assert handed_in(classroom) == {
        "ada/toy/toy.ipynb": answer(),
        "cleo/toy/toy.ipynb": notebook("everything deleted"),
        "dora/toy/toy.ipynb": b"{ cut off",
    }


def test_a_newer_submission_is_never_replaced_without_force(classroom, answer, tmp_path):
    old = zipped(tmp_path / "old.zip", {"ada/toy.ipynb": answer("1")}, when=(2026, 1, 1, 0, 0, 0))
    new = zipped(tmp_path / "new.zip", {"ada/toy.ipynb": answer("2")}, when=(2026, 1, 2, 0, 0, 0))
    path = "ada/toy/toy.ipynb"
    assert take(classroom, old) == {"ada/toy.ipynb": COLLECTED}
    assert take(classroom, old) == {"ada/toy.ipynb": f"{UNCHANGED} the same is there already"}
    assert take(classroom, new) == {"ada/toy.ipynb": f"{COLLECTED} replaced an earlier one"}
    refused = take(classroom, old)["ada/toy.ipynb"]
    assert refused.startswith(
        f"{REFUSED} the one there is not older (2026-01-02 00:00:00; this one 2026-01-01"
    )
    assert handed_in(classroom)[path] == answer("2")
    assert take(classroom, old, force=True) == {"ada/toy.ipynb": f"{COLLECTED} replaced an earlier one"}
    assert handed_in(classroom)[path] == answer("1")


def test_a_timestamp_counts_more_than_the_files_date_and_goes_with_its_file(classroom, answer, tmp_path):
    members = {"ada/toy/toy.ipynb": answer("1"), "ada/toy/timestamp.txt": b"2026-05-01 12:00:00 UTC"}
    take(classroom, zipped(tmp_path / "a.zip", members, when=(2020, 1, 1, 0, 0, 0)))
    assert handed_in(classroom)["ada/toy/timestamp.txt"] == b"2026-05-01 12:00:00.000000 UTC"
    later = zipped(tmp_path / "b.zip", {"ada/toy.ipynb": answer("2")}, when=(2026, 4, 1, 0, 0, 0))
    assert REFUSED in take(classroom, later)["ada/toy.ipynb"]
    take(classroom, later, force=True)
    assert handed_in(classroom) == {"ada/toy/toy.ipynb": answer("2")}


@pytest.mark.parametrize(
    "name",
    [
        "../../../../ada/toy.ipynb",
        "/etc/ada/toy.ipynb",
        "..\\ada\\toy.ipynb",
        "ada/../../toy.ipynb",
        "\x1b[2J/toy.ipynb",
        "-rf/toy.ipynb",
        " /toy.ipynb",
        "a" * 300 + "/toy.ipynb",
        "toy.ipynb",
    ],
)
def test_absurd_names_are_refused_and_nothing_is_written(classroom, answer, tmp_path, name):
    before = sorted(tmp_path.rglob("*"))
    archive = zipped(tmp_path / "evil.zip", {name: answer()})
    ((_, what),) = take(classroom, archive).items()
    assert what.startswith(REFUSED)
    assert sorted(p for p in tmp_path.rglob("*") if p != archive) == before
    assert not Path("/etc/ada").exists()


def test_links_are_not_followed(classroom, answer, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(answer("secret"))
    top = laid_out(tmp_path / "in", {"eve/a.txt": b""})
    (top / "eve" / "toy.ipynb").symlink_to(secret)
    (top / "mallory").symlink_to(top / "eve")
    os.mkfifo(top / "eve" / "pipe.ipynb")
    archive = zipped(
        tmp_path / "links.zip", {"eve/toy.ipynb": str(secret).encode()}, mode=stat.S_IFLNK | 0o777
    )
    for found in (take(classroom, top), take(classroom, archive)):
        assert found
        assert all(what == f"{REFUSED} it is a link or no plain file" for what in found.values())
    assert handed_in(classroom) == {}


@pytest.mark.parametrize("where", ["outside", "another student's"])
def test_an_inbox_that_is_a_link_is_not_written_through(classroom, answer, tmp_path, where):
    inbox = classroom.course.folder("submitted")
    elsewhere = tmp_path / "elsewhere" if where == "outside" else inbox / "bob"
    elsewhere.mkdir(parents=True)
    inbox.mkdir(exist_ok=True)
    (inbox / "ada").symlink_to(elsewhere)
    found = take(classroom, laid_out(tmp_path / "in", {"ada/toy.ipynb": answer()}))
    assert "is a link" in found["ada/toy.ipynb"]
    assert list(elsewhere.iterdir()) == []


def test_a_zip_bomb_costs_little_and_the_others_are_collected(classroom, answer, tmp_path):
    bomb = json.dumps({"nbformat": 4, "cells": []}).encode() + b" " * (MAX_BYTES + 10)
    members = {"ada/toy.ipynb": answer(), "bomber/toy.ipynb": bomb}
    found = take(classroom, zipped(tmp_path / "bomb.zip", members))
    assert "larger than 20 MB" in found["bomber/toy.ipynb"]
    assert set(handed_in(classroom)) == {"ada/toy/toy.ipynb"}


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_given_up(classroom, tmp_path, monkeypatch):
    monkeypatch.setattr("autograder.ways.files.FREE_BYTES", 1 << 20)
    big = b'{"nbformat": 4, "cells": []}' + b" " * (4 << 20)
    archive = zipped(tmp_path / "bomb.zip", {f"s{i}/toy.ipynb": big for i in range(20)})
    assert 20 * len(big) > (1 << 20) + MAX_EXPANSION * archive.stat().st_size
    found = list(take(classroom, archive).values())
    assert found[0] == COLLECTED
    assert (
        found[-1] == f"{REFUSED} the archive unpacks to far more than its size; unpack it yourself, and look"
    )


def test_a_damaged_member_costs_nobody_else(classroom, answer, tmp_path):
    members = {"ada/toy.ipynb": answer("1"), "bob/toy.ipynb": answer("2")}
    archive = zipped(tmp_path / "in.zip", members)
    with zipfile.ZipFile(archive) as opened:
        offset = opened.getinfo("ada/toy.ipynb").header_offset
    data = bytearray(archive.read_bytes())
    data[offset + 60 : offset + 90] = os.urandom(30)
    archive.write_bytes(data)
    found = take(classroom, archive)
    assert "damaged in the archive" in found["ada/toy.ipynb"]
    assert found["bob/toy.ipynb"] == COLLECTED


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no zip at all", "is no zip archive, or it is damaged"),
        (None, "there is no folder or zip"),
    ],
)
def test_what_is_neither_folder_nor_zip_is_said_so(classroom, tmp_path, data, words):
    path = tmp_path / "in.zip"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ValueError, match=words):
        take(classroom, path)


def test_an_archive_without_notebooks_says_what_was_expected(classroom, tmp_path):
    with pytest.raises(NothingCollected, match=r"expected STUDENT/toy\.ipynb"):
        take(classroom, zipped(tmp_path / "in.zip", {"ada/essay.txt": b"", "__MACOSX/ada/._toy.ipynb": b""}))


@pytest.mark.parametrize(
    "yml", ["- a list", "a: &a [*a", "{" * 5000, "x: !!python/object/apply:os.system [id]"]
)
def test_metadata_that_cannot_be_read_stops_with_its_name(classroom, answer, tmp_path, yml):
    top = "assignment_9_export/"
    members = {top + "submission_metadata.yml": yml.encode(), top + "submission_1/toy.ipynb": answer()}
    with pytest.raises(ValueError, match=r"9_export/submission_metadata\.yml"):
        take(classroom, zipped(tmp_path / "in.zip", members))
    assert handed_in(classroom) == {}


FORGED = b"x:\n  :submitters:\n  - :sid: victim\n  :created_at: 2099-01-01 00:00:00 Z\n"


@pytest.mark.parametrize(
    "forged",
    [
        {"attacker/submission_metadata.yml": FORGED, "attacker/x/toy.ipynb": None},
        {"attacker/submission_metadata.yml": b"[{", "attacker/x/toy.ipynb": None},
        {"attacker/assignment_9_export/submission_metadata.yml": FORGED, "attacker/x/toy.ipynb": None},
        {"attacker/victim/toy.ipynb": None},
        {"attacker/victim/toy/toy.ipynb": None},
        {"attacker/victim_77_99999_toy.ipynb": None},
    ],
)
@pytest.mark.parametrize("above", ["", "submitted/"])
def test_what_lies_in_a_students_folder_is_that_students(classroom, answer, tmp_path, forged, above):
    members = {above + name: data or answer("forged") for name, data in forged.items()}
    members |= {above + "victim/toy.ipynb": answer("1"), above + "zoe/toy.ipynb": answer("2")}
    take(classroom, zipped(tmp_path / "in.zip", members))
    assert handed_in(classroom) == {
        "attacker/toy/toy.ipynb": answer("forged"),
        "victim/toy/toy.ipynb": answer("1"),
        "zoe/toy/toy.ipynb": answer("2"),
    }


@pytest.mark.parametrize("metadata", [FORGED, b"[{"])
def test_a_submission_cannot_bring_gradescopes_metadata_along(classroom, answer, tmp_path, metadata):
    top = "assignment_9_export/"
    members = {
        top + "submission_11/submission_metadata.yml": metadata,
        top + "submission_11/x/toy.ipynb": answer("1"),
        top + "submission_12/toy.ipynb": answer("2"),
        top + "submission_metadata.yml": METADATA.encode(),
    }
    take(classroom, zipped(tmp_path / "export.zip", members))
    assert {name.partition("/")[0] for name in handed_in(classroom)} == {"0815", "bob@example.org", "c3"}


def test_the_command_tells_of_each_file_and_exits_with_three_if_some_are_left_out(
    classroom, answer, tmp_path, monkeypatch, capsys
):
    top = laid_out(tmp_path / "in", {"ada/toy.ipynb": answer(), "ev\x1bil/toy.ipynb": answer()})
    monkeypatch.setattr(sys, "argv", ["autograder", "collect", "toy", str(top)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    out, err = capsys.readouterr()
    assert ended.value.code == 3
    assert "ada: collected (ada/toy.ipynb)" in out
    assert "1 collected, 1 not collected" in out
    assert "no good name" in err
    assert "\x1b" not in err


def test_reading_an_archive_takes_no_more_memory_than_one_notebook(classroom, tmp_path):
    import tracemalloc

    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eve/toy.ipynb", b" " * (200 << 20))
    path = tmp_path / "in.zip"
    path.write_bytes(memory.getvalue())
    del memory
    tracemalloc.start()
    assert "larger than" in take(classroom, path)["eve/toy.ipynb"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MAX_BYTES


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flag_bits": 1}, "it is encrypted"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "compressed in an unusual way"),
        ({"external_attr": (stat.S_IFCHR | 0o666) << 16}, "no plain file"),
    ],
)
def test_members_of_an_odd_kind_are_refused_and_the_others_are_collected(
    classroom, answer, tmp_path, change, words, monkeypatch
):
    archive = zipped(tmp_path / "in.zip", {"ada/toy.ipynb": answer("1"), "eve/toy.ipynb": answer("2")})
    listed = zipfile.ZipFile.infolist

    def odd(self):
        for entry in listed(self):
            for name, value in change.items() if entry.filename.startswith("eve") else ():
                setattr(entry, name, value)
        return listed(self)

    monkeypatch.setattr(zipfile.ZipFile, "infolist", odd)
    found = take(classroom, archive)
    assert words in found["eve/toy.ipynb"]
    assert set(handed_in(classroom)) == {"ada/toy/toy.ipynb"}


def test_an_archive_that_lists_too_many_entries_is_refused(classroom, tmp_path, monkeypatch):
    monkeypatch.setattr("autograder.ways.files.MAX_ENTRIES", 10)
    archive = zipped(tmp_path / "in.zip", {f"s{i}/toy.ipynb": b"" for i in range(11)})
    with pytest.raises(ValueError, match="has 11 entries; at most 10 are read"):
        take(classroom, archive)


def test_an_archive_that_lists_one_file_many_times_is_cut_short(classroom, tmp_path, monkeypatch):
    monkeypatch.setattr("autograder.ways.files.FREE_BYTES", 1 << 20)
    big = b'{"nbformat": 4, "cells": []}' + b" " * (4 << 20)
    archive = zipped(tmp_path / "in.zip", {"eve/toy.ipynb": big})
    listed = zipfile.ZipFile.infolist
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda self: listed(self) * 50)
    refused = [o for o in collect(classroom.course, "toy", archive) if "far more than its size" in o.reason]
    allowed = ((1 << 20) + MAX_EXPANSION * archive.stat().st_size) // len(big)
    assert len(refused) == 50 - allowed


@pytest.mark.parametrize("when", [-2e9, 0, 1e11])
def test_files_from_the_distant_past_or_future_are_collected(classroom, answer, tmp_path, when):
    top = laid_out(tmp_path / "in", {"ada/toy.ipynb": answer("1")})
    os.utime(top / "ada" / "toy.ipynb", (when, when))
    assert take(classroom, top) == {"ada/toy.ipynb": COLLECTED}
    (top / "ada" / "toy.ipynb").write_bytes(answer("2"))
    os.utime(top / "ada" / "toy.ipynb", (when - 10, when - 10))
    assert "the one there is not older" in take(classroom, top)["ada/toy.ipynb"]
    assert take(classroom, top, force=True)["ada/toy.ipynb"].startswith(COLLECTED)
    assert handed_in(classroom) == {"ada/toy/toy.ipynb": answer("2")}
