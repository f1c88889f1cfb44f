"""When the last commit of a cloned repository was made, without running anything of the repository's.

A repository's own configuration can name programs that Git starts. So Git is pointed at an empty repository of ours
that borrows the clone's objects, and is asked for one commit; which one, we read from the clone's files ourselves.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}")
DEEPEST = 3
SECONDS = 30


def commits(top: Path) -> dict[tuple[str, ...], float]:
    """For each clone in the folder, by its path, the time of its last commit in seconds since 1970."""
    if not top.is_dir() or shutil.which("git") is None:
        return {}
    found = {}
    for depth in range(1, DEEPEST + 1):
        for git in sorted(top.glob("*/" * depth + ".git")):
            clone = git.parent
            if git.is_dir() and not git.is_symlink() and not clone.is_symlink():
                when = _time_of(git)
                if when is not None:
                    found[clone.relative_to(top).parts] = when
    return found


def _time_of(git: Path) -> float | None:
    commit = _head(git)
    if not COMMIT.fullmatch(commit):
        return None
    with tempfile.TemporaryDirectory() as ours:
        borrowed = Path(ours, "objects", "info")
        borrowed.mkdir(parents=True)
        Path(ours, "refs").mkdir()
        Path(ours, "HEAD").write_text("ref: refs/heads/none\n")
        (borrowed / "alternates").write_text(f"{(git / 'objects').resolve()}\n")
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "GIT_DIR": ours,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        done = subprocess.run(
            ["git", "cat-file", "commit", commit],
            env=environment,
            cwd=ours,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    committer = re.search(
        rb"^committer .* (\d{1,12}) [+-]\d{4}$", done.stdout.split(b"\n\n")[0], re.MULTILINE
    )
    return float(committer[1]) if committer else None


def _head(git: Path) -> str:
    """The commit that is checked out; empty if the files do not say."""
    head = _line(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    if not re.fullmatch(r"refs/[\w./-]+", reference) or ".." in reference:
        return ""
    if loose := _line(git / reference):
        return loose
    for line in _text(git / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return ""


def _line(path: Path) -> str:
    return _text(path).partition("\n")[0].strip()


def _text(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(1 << 20).decode("utf-8", "replace")
