"""The control group around a sandbox: what is written where the host delegates one, and the kernel's answer."""

import errno
import functools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.sandbox import cgroup
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox

GIB = 1 << 30


class Hierarchy:
    """A folder that passes for a cgroup v2 hierarchy, with one group that is delegated to us."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root / "cgroup"
        self.ours = self.root / "user.slice" / "run.scope"
        self.ours.mkdir(parents=True)
        self.own = root / "own"
        self.own.write_text("1:cpu:/elsewhere\n0::/user.slice/run.scope\n")
        (self.ours / "cgroup.controllers").write_text("cpu memory pids\n")
        (self.ours / "cgroup.subtree_control").write_text("")
        (self.ours / "cgroup.procs").write_text("101\n102\n")
        self.marks = {cgroup.MARK: b"1"}
        self.written: list[tuple[str, str]] = []
        self.refused: list[tuple[str, int]] = []
        for name, ours in (("write_text", self._write), ("rmdir", self._remove)):
            patch.setattr(Path, name, self._instead_of(getattr(Path, name), ours))
        patch.setattr(os, "getxattr", self._marked)

    def bounded(self, memory: int = GIB, processes: int = 7) -> cgroup.Group | None:
        return cgroup.bounded(memory, processes, self.root, self.own)

    def groups(self) -> list[str]:
        return sorted(path.name for path in self.ours.iterdir() if path.is_dir())

    def _instead_of(self, usual: Callable[..., object], ours: Callable[..., object]) -> Callable[..., object]:
        """The usual way elsewhere, ours in the group that was delegated."""
        return lambda path, *rest: (ours if path.is_relative_to(self.ours) else usual)(path, *rest)

    def _marked(self, path: Path, name: str) -> bytes:
        if path != self.ours or name not in self.marks:
            raise OSError(errno.ENODATA, "no such mark", str(path))
        return self.marks[name]

    def _write(self, path: Path, text: str) -> int:
        """As the kernel: refuses what it is told to refuse, once for each time."""
        for place, (name, number) in enumerate(self.refused):
            if path.name == name:
                del self.refused[place]
                raise OSError(number, os.strerror(number), str(path))
        self.written.append((str(path.relative_to(self.ours)), text))
        with path.open("w") as file:
            return file.write(text)

    def _remove(self, path: Path) -> None:
        """As the kernel: a group's files go with it, and one with processes stays."""
        if any(name == "rmdir" for name, _ in self.refused):
            self.refused.remove(("rmdir", errno.EBUSY))
            raise OSError(errno.EBUSY, "in use", str(path))
        if not path.exists():
            raise FileNotFoundError(path)
        shutil.rmtree(path)


@pytest.fixture
def hierarchy(tmp_path, monkeypatch) -> Hierarchy:
    return Hierarchy(tmp_path, monkeypatch)


def test_a_group_gets_its_bounds_beside_the_processes_that_moved_aside(hierarchy):
    group = hierarchy.bounded(3 * GIB, 99)
    name = group.folder.name
    assert name.startswith(f"ebm-sandbox-{os.getpid()}-")
    assert hierarchy.written == [
        ("ebm-judges/cgroup.procs", "101"),
        ("ebm-judges/cgroup.procs", "102"),
        ("cgroup.subtree_control", "+memory +pids"),
        (f"{name}/memory.max", str(3 * GIB)),
        (f"{name}/pids.max", "99"),
        (f"{name}/memory.swap.max", "0"),
    ]


def test_a_command_is_in_its_group_before_it_runs(hierarchy):
    group = hierarchy.bounded()
    line = [sys.executable, "-c", "import os, sys; print(os.getpid(), *sys.argv[1:])", "a b", "$c"]
    said = subprocess.run(group.entering(line), capture_output=True, text=True, check=True).stdout
    assert said.split(maxsplit=1) == [(group.folder / "cgroup.procs").read_text().strip(), "a b $c\n"]


def test_bounds_grow_to_what_is_granted_and_never_shrink(hierarchy):
    group = hierarchy.bounded(GIB, 7)
    hierarchy.written.clear()
    group.grant(GIB, 7)
    assert hierarchy.written == []
    group.grant(2 * GIB, 3)
    group.grant(GIB, 9)
    assert (group.folder / "memory.max").read_text() == str(2 * GIB)
    assert (group.folder / "pids.max").read_text() == "9"


def test_a_second_group_lies_beside_the_first_and_moves_nobody(hierarchy):
    first = hierarchy.bounded()
    hierarchy.own.write_text("0::/user.slice/run.scope/ebm-judges\n")
    (hierarchy.ours / "cgroup.subtree_control").write_text("memory pids\n")
    hierarchy.written.clear()
    second = hierarchy.bounded()
    assert hierarchy.groups() == sorted(["ebm-judges", first.folder.name, second.folder.name])
    assert [place for place, _ in hierarchy.written if not place.startswith(second.folder.name)] == []


def test_what_forks_while_it_is_moved_is_moved_again(hierarchy):
    hierarchy.refused = [("cgroup.subtree_control", errno.EBUSY)] * 2
    assert hierarchy.bounded() is not None
    assert hierarchy.written.count(("ebm-judges/cgroup.procs", "101")) == 3


def test_a_process_that_ended_meanwhile_is_no_obstacle(hierarchy):
    hierarchy.refused = [("cgroup.procs", errno.ESRCH)]
    assert hierarchy.bounded() is not None


def test_a_kernel_that_counts_no_swap_is_no_obstacle(hierarchy):
    hierarchy.refused = [("memory.swap.max", errno.ENOENT)]
    assert hierarchy.bounded() is not None


@pytest.mark.parametrize("marks", [{}, {"user.delegate": b"0"}, {"user.other": b"1"}])
def test_a_group_that_is_not_marked_as_delegated_is_left_alone(hierarchy, marks):
    hierarchy.marks = marks
    assert hierarchy.bounded() is None
    assert hierarchy.written == []


@pytest.mark.parametrize("controllers", ["", "cpu memory", "hugetlb pids"])
def test_without_both_controllers_there_is_no_group(hierarchy, controllers):
    (hierarchy.ours / "cgroup.controllers").open("w").write(controllers)
    assert hierarchy.bounded() is None
    assert hierarchy.written == []


@pytest.mark.parametrize("own", ["4:memory:/ours\n", "0::/\n", "0::/../../run.scope\n", "0::/gone\n", ""])
def test_a_process_that_is_elsewhere_has_no_group(hierarchy, own):
    hierarchy.own.open("w").write(own)
    assert hierarchy.bounded() is None
    hierarchy.own.unlink()
    assert hierarchy.bounded() is None
    assert hierarchy.written == []


@pytest.mark.parametrize("what", ["cgroup.procs", "cgroup.subtree_control", "memory.max", "pids.max"])
def test_a_refusal_is_no_group_and_leaves_none(hierarchy, what):
    hierarchy.refused = [(what, errno.EACCES)]
    assert hierarchy.bounded() is None
    assert hierarchy.refused == []
    assert set(hierarchy.groups()) <= {"ebm-judges"}


def test_processes_that_never_stop_forking_are_given_up_on(hierarchy):
    hierarchy.refused = [("cgroup.subtree_control", errno.EBUSY)] * 9
    assert hierarchy.bounded() is None
    assert hierarchy.groups() == ["ebm-judges"]


def test_a_group_that_nothing_can_enter_is_none(hierarchy, monkeypatch):
    monkeypatch.setattr(cgroup, "ENTER", "exit 1")
    assert hierarchy.bounded() is None
    assert hierarchy.groups() == ["ebm-judges"]


def test_a_group_is_killed_and_removed_once_its_processes_are_gone(hierarchy):
    group = hierarchy.bounded()
    hierarchy.refused = [("rmdir", errno.EBUSY)] * 3
    group.close()
    assert (f"{group.folder.name}/cgroup.kill", "1") in hierarchy.written
    assert hierarchy.groups() == ["ebm-judges"]
    group.close()


def test_a_group_that_cannot_be_removed_holds_nobody_up(hierarchy, monkeypatch):
    monkeypatch.setattr(cgroup, "CLOSE_SECONDS", 0.02)
    group = hierarchy.bounded()
    hierarchy.refused = [("rmdir", errno.EBUSY)] * 1000
    group.close()
    assert group.folder.exists()


def test_the_groups_of_killed_commands_are_removed_and_those_of_others_kept(hierarchy):
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    left, alive = (hierarchy.ours / f"ebm-sandbox-{pid}-0" for pid in (ended.pid, os.getppid()))
    left.mkdir()
    alive.mkdir()
    group = hierarchy.bounded()
    assert hierarchy.groups() == sorted(["ebm-judges", alive.name, group.folder.name])


@pytest.mark.sandbox
@pytest.mark.slow
def test_a_sandbox_runs_in_its_group_and_says_so_to_all_who_share_it(sandbox, hierarchy, monkeypatch):
    within = functools.partial(cgroup.bounded, root=hierarchy.root, own=hierarchy.own)
    monkeypatch.setattr(cgroup, "bounded", within)
    with Sandbox(judges=3) as owner:
        assert owner.description == f"{sandbox.description}+cgroup"
        (group,) = (path for path in hierarchy.ours.iterdir() if path.name.startswith("ebm-sandbox"))
        assert int((group / "memory.max").read_text()) >= 3 * Limits().memory
        assert int((group / "pids.max").read_text()) >= 3 * Limits().processes
        assert (group / "cgroup.procs").read_text().strip() == str(owner._zygote.process.pid)
        owner.start(Limits(memory=5 * GIB))
        assert int((group / "memory.max").read_text()) >= 15 * GIB
        owner.end()
        if owner.level == "namespaces":
            ours, theirs = socket.socketpair()
            owner.share(theirs)
            with Sandbox(control=ours) as other:
                assert other.description == owner.description
                assert other.start().run_cell("print(6 * 7)", 5)["stdout"] == "42\n"
    assert hierarchy.groups() == ["ebm-judges"]


@pytest.fixture
def group():
    """A group of this machine's kernel, of 256 MiB and 16 processes."""
    made = cgroup.bounded(256 << 20, 16)
    if made is None:
        pytest.skip("no control group is delegated here; try systemd-run --user --scope -p Delegate=yes")
    yield made
    made.close()
    assert not made.folder.exists()


def test_the_kernel_kills_what_takes_more_memory_than_its_group_has(group):
    hog = [sys.executable, "-c", "held = b'x' * (1 << 30)"]
    assert subprocess.run(group.entering(hog), check=False).returncode == -9
    assert "oom_kill 1" in (group.folder / "memory.events").read_text()


def test_the_kernel_refuses_more_processes_than_a_group_may_have(group):
    source = """
import os, signal, sys
try:
    while os.fork():
        pass
    signal.pause()
except BlockingIOError:
    sys.exit(42)
"""
    assert subprocess.run(group.entering([sys.executable, "-c", source]), check=False).returncode == 42
    assert len((group.folder / "cgroup.procs").read_text().split()) == 15
