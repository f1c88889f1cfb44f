"""What a fork is limited to."""

import os
import subprocess
import sys

import pytest

from autograder.sandbox import launch
from autograder.sandbox.worker import isolation


@pytest.fixture
def packages(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "elsewhere")])
    isolation.accelerator_libraries.cache_clear()
    yield tmp_path
    isolation.accelerator_libraries.cache_clear()


def library(folder, name, size):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    os.truncate(folder / name, size)


def test_torchs_build_without_an_accelerator_widens_no_limit(packages):
    library(packages / "torch" / "lib", "libtorch_cpu.so", 400 << 20)
    assert isolation.accelerator_libraries() == 0


def test_the_libraries_of_an_accelerator_are_no_memory_of_a_submissions(packages):
    library(packages / "torch" / "lib", "libtorch_cuda.so", 1 << 30)
    library(packages / "nvidia" / "cu13" / "lib", "libcublasLt.so.13", 700 << 20)
    library(packages / "nvidia" / "cu13" / "include", "cublas.h", 1 << 20)
    assert isolation.accelerator_libraries() == (1 << 30) + (700 << 20)


def test_what_was_inherited_hides_no_memory_of_a_process_that_became_another_program() -> None:
    """Such a process holds nothing of it any more: where no control group counts, its own pages do."""
    work = "held = bytearray(40 << 20); print('held', flush=True); input()"
    children = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    try:
        assert [child.stdout.readline() for child in children if child.stdout] == [b"held\n"] * 4
        pids, inherited, most = [child.pid for child in children], 100 << 20, 150 << 20
        assert isolation.memory(pids, inherited) == inherited
        assert isolation.could_hide(pids, most)
        assert not isolation.could_hide(pids[:1], most)
        assert most < isolation.unshared_memory(pids, inherited) < 4 * (60 << 20)
    finally:
        for child in children:
            child.communicate(b"\n", timeout=20)


def in_a_process_of(uid, folder, work):
    """What `stored_bytes` says after the work, to a process of the user, which owns the folder."""
    ours, theirs = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.chown(folder, uid, uid)
            os.chdir(folder)
            top = os.open(".", os.O_RDONLY)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            work()
            os.fchdir(top)
            os.write(theirs, str(isolation.stored_bytes(".", [])).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        return int(told.read())


def closed():
    os.mkdir("closed", 0o300)
    with open("closed/file", "wb") as file:
        file.write(bytes(1 << 20))


def deep():
    for _ in range(25):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)


def open_to_all():
    os.mkdir("open")
    with open("open/file", "wb") as file:
        file.write(bytes(1 << 20))


@pytest.mark.parametrize("work", [closed, deep, open_to_all], ids=lambda work: work.__name__)
def test_a_folder_that_cannot_be_looked_into_holds_too_much(tmp_path, work):
    """What lies in it nobody could count: its owner closed it, or no path reaches it."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    told = in_a_process_of(62_000, tmp_path, work)
    if work is open_to_all:
        assert 1 << 20 <= told < 2 << 20
    else:
        assert told == sys.maxsize


def test_judges_beside_each_other_have_other_users_for_student_code(monkeypatch):
    """A signal to all of one's own user must not reach the submissions of the judge beside it."""
    found = set()
    for pid in range(5000, 5016):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        found.add(launch.user())
    assert len(found) == 16
    assert found.isdisjoint(range(61_000, 62_000))
    assert max(launch.USERS) < 65_534
