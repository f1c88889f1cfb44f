"""One more wall, where the host delegates it: a control group of the kernel's around each sandbox.

    the group that is delegated     its own processes move aside, or it could not bound what is below it
    ├── ebm-judges                  ourselves and our lanes
    └── ebm-sandbox-PID-RANDOM      a zygote and all that descends from it: memory.max, pids.max

systemd marks what it delegates: `systemd-run --user --scope -p Delegate=yes autograder grade …`. A group without
that mark is touched by nobody but its manager, root or not. Sources: cgroups(7), systemd.io/CGROUP_DELEGATION.
"""

import contextlib
import errno
import os
import secrets
import subprocess
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
MARK = "user.delegate"
JUDGES = "ebm-judges"
SANDBOX = "ebm-sandbox"
NEEDED = {"memory", "pids"}
TRIES = 5
CLOSE_SECONDS = 2.0
ENTER = 'echo $$ > "$0" && exec "$@"'


class Group:
    """The control group of one sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bounds = (0, 0)

    def grant(self, memory: int, processes: int) -> None:
        """Bound the group by so many bytes and processes, or by more if more was granted before."""
        bounds = (max(memory, self._bounds[0]), max(processes, self._bounds[1]))
        if bounds != self._bounds:
            (self.folder / "memory.max").write_text(str(bounds[0]))
            (self.folder / "pids.max").write_text(str(bounds[1]))
            self._bounds = bounds

    def entering(self, command: list[str]) -> list[str]:
        """The command, inside the group before its first instruction."""
        return ["/bin/sh", "-c", ENTER, str(self.folder / "cgroup.procs"), *command]

    def close(self) -> None:
        """Kill what is left in the group, and remove it."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
        end = time.monotonic() + CLOSE_SECONDS
        while not _removed(self.folder) and time.monotonic() < end:
            time.sleep(0.005)


def bounded(memory: int, processes: int, root: Path = ROOT, own: Path = OWN) -> Group | None:
    """A new group of at most so many bytes and processes; None where none is delegated, or the host refuses."""
    try:
        above = _delegated(root, own)
        if above is None:
            return None
        _sweep(above)
        _make_room(above)
        group = Group(above / f"{SANDBOX}-{os.getpid()}-{secrets.token_hex(4)}")
        group.folder.mkdir()
    except OSError:
        return None
    try:
        group.grant(memory, processes)
        with contextlib.suppress(OSError):  # where the kernel counts no swap
            (group.folder / "memory.swap.max").write_text("0")
        subprocess.run(group.entering(["/bin/true"]), stderr=subprocess.DEVNULL, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        group.close()
        return None
    return group


def _delegated(root: Path, own: Path) -> Path | None:
    """The group that was delegated to us, with the controllers we need."""
    for line in own.read_text().splitlines():
        hierarchy, _, path = line.split(":", 2)
        if hierarchy != "0" or ".." in path:
            continue
        folder = root / path.lstrip("/")
        if folder.name == JUDGES:  # another sandbox of ours was first
            folder = folder.parent
        if os.getxattr(folder, MARK) == b"1" and set(_words(folder / "cgroup.controllers")) >= NEEDED:
            return folder
    return None


def _make_room(above: Path) -> None:
    """Let `above` bound what is below it, for which no process may be in it itself."""
    control = above / "cgroup.subtree_control"
    judges = above / JUDGES
    for attempt in range(TRIES):
        if set(_words(control)) >= NEEDED:
            return
        judges.mkdir(exist_ok=True)
        for pid in _words(above / "cgroup.procs"):
            with contextlib.suppress(ProcessLookupError):
                (judges / "cgroup.procs").write_text(pid)
        try:
            control.write_text(" ".join(f"+{name}" for name in sorted(NEEDED)))
            return
        except OSError as error:  # a process was forked meanwhile
            if error.errno != errno.EBUSY or attempt == TRIES - 1:
                raise


def _sweep(above: Path) -> None:
    """Remove the groups of processes that were killed before they could."""
    for folder in above.glob(f"{SANDBOX}-*"):
        if not Path(f"/proc/{folder.name.split('-')[2]}").exists():
            _removed(folder)


def _removed(folder: Path) -> bool:
    """Whether a group is gone; one with processes stays."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _words(path: Path) -> list[str]:
    return path.read_text().split()
