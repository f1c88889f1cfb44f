"""One assignment as a Gradescope autograder: a zip with `setup.sh`, `run_autograder` and everything they need.

    /autograder/source/       the zip, closed to everybody but root: it holds the hidden checks and the course's key
    /autograder/venv/         made by setup.sh: what the checks and students' notebooks import
    /autograder/submission/   what a student uploaded
    /autograder/results/      results.json, written by run_autograder

`pack` makes the zip. The rest of this module runs in Gradescope's container. Where that forbids namespaces, student
code runs as a user of its own, who can read neither checks nor key; a course whose floor is higher refuses.
Source: gradescope-autograders.readthedocs.io, "Autograder Specifications".
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import re
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import autograder
from autograder.atomic import write_atomically
from autograder.authoring.hand_out import ZIP_DATE, distributions_of
from autograder.classroom import inbox
from autograder.classroom.floor import floor_of, require
from autograder.course import Course
from autograder.exercises.catalogue import OURS, assignment_named, folder_of, sources_of
from autograder.judging.judge import judge, nothing
from autograder.judging.report import CheckResult, Report, points
from autograder.sandbox.levels import OUTSIDE
from autograder.sandbox.sandbox import Sandbox

PACKAGES = ("ebm-course", "ebm-course-autograder")
MAX_TEXT = 5000


# At the instructor's


def pack(course: Course, name: str, visibility: str = "visible", leaderboard: bool = False) -> Path:
    """Write `dist/gradescope/ASSIGNMENT.zip`, readable by its owner alone; returns its path."""
    assignment_named(name)
    settings = {
        "assignment": name,
        "floor": floor_of(course),
        "visibility": visibility,
        "leaderboard": leaderboard,
    }
    members = {
        "setup.sh": SETUP.encode(),
        "run_autograder": RUN.encode(),
        "README.txt": README.format(name=name).encode(),
        "settings.json": json.dumps(settings, indent=1).encode(),
        "grading.key": course.key().hex().encode(),
        "requirements.txt": "".join(f"{line}\n" for line in _requirements(course)).encode(),
        "constraints.txt": _constraints(course).encode(),
        "lib/course.toml": _settings(course).encode(),
        **dict(_library(name)),
    }
    path = course.root / "dist" / "gradescope" / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    write_atomically(path, _archive(members))
    path.chmod(0o600)
    return path


def _archive(members: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in sorted(members.items()):
            information = zipfile.ZipInfo(member, ZIP_DATE)
            information.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if member in ("setup.sh", "run_autograder") else 0o644
            information.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(information, data)
    return memory.getvalue()


def _settings(course: Course) -> str:
    """What of the course's settings decides a verdict."""
    limits = "".join(f"{name} = {value!r}\n" for name, value in course.settings.limits)
    return (
        f'checks = "autograder/checks"\npackages = {json.dumps(course.settings.packages)}\n[limits]\n{limits}'
    )


def _requirements(course: Course) -> Iterator[str]:
    """What the two packages and the course need from an index; they themselves lie in the zip as source."""
    needed = set(distributions_of(course.settings.packages))
    for package in PACKAGES:
        with contextlib.suppress(
            importlib.metadata.PackageNotFoundError
        ):  # another course does without ebmkit
            needed |= set(importlib.metadata.requires(package) or ())
    for need in sorted(needed):
        if "extra ==" not in need and re.split(r"[^\w-]", need)[0] not in PACKAGES:
            yield need


def _constraints(course: Course) -> str:
    """The exact versions that the course was tested with: its lock, or the one that came with this code."""
    for folder in (course.root, Path(autograder.__file__).parent.parent):
        lock = folder / "requirements.lock"
        if lock.is_file():
            return lock.read_text()
    return ""


def _library(name: str) -> Iterator[tuple[str, bytes]]:
    """Both packages as source, and of all hidden checks only this assignment's."""
    kit = importlib.util.find_spec("ebmkit")
    own = sources_of(assignment_named(name))
    packages = {"autograder": Path(autograder.__file__).parent}
    if kit is not None and kit.origin is not None:
        packages["ebmkit"] = Path(kit.origin).parent
    for package, top in packages.items():
        for path in sorted([*top.rglob("*.py"), *top.glob("pages/templates/*")]):
            inside = path.relative_to(top)
            hidden = inside.parts[0] == "checks" and inside != Path("checks/__init__.py")
            if hidden and path not in own:
                continue
            yield f"lib/{package}/{inside.as_posix()}", path.read_bytes()
    if (folder := folder_of(name)) != OURS:
        for path in sorted(own):
            if path.is_relative_to(folder):
                yield f"checks/{path.relative_to(folder).as_posix()}", path.read_bytes()


# In Gradescope's container


class NotPrivate(RuntimeError):
    """Student code could read the checks; the message says what lies open."""


def run(root: Path) -> Report:
    """Grade `root`/submission and write `root`/results/results.json.

    A fault of the grader raises and leaves no results, so that Gradescope shows a failed run and no score.
    """
    source, target = root / "source", root / "results" / "results.json"
    target.unlink(missing_ok=True)
    settings = json.loads((source / "settings.json").read_text())
    assignment = assignment_named(settings["assignment"])
    key = bytes.fromhex((source / "grading.key").read_text().strip())
    with Sandbox("auto", assignment.provides, assignment.imports) as sandbox:
        require(sandbox.description, settings["floor"])
        if sandbox.level in OUTSIDE:
            _require_privacy(root)
        try:
            data = inbox.read(notebook_in(root / "submission", assignment.name))
            report = judge(data, assignment, sandbox, key).report
        except inbox.Rejected as rejection:
            report = nothing(assignment, str(rejection), sandbox.description)
    results = results_of(report, settings["visibility"], settings["leaderboard"])
    write_atomically(target, json.dumps(results, indent=1).encode())
    return report


def _require_privacy(root: Path) -> None:
    """Where student code is not kept out by mounts, the folders must be closed to everybody else."""
    for folder in (root / "source", root / "results"):
        if folder.stat().st_mode & 0o077 or folder.stat().st_uid != 0:
            raise NotPrivate(f"{folder} must be closed to everybody but root (chmod 700)")


def notebook_in(folder: Path, name: str) -> Path:
    """The notebook that was uploaded; raises `Rejected` if there is none, or it is not clear which one."""
    found = sorted(
        path
        for path in folder.rglob("*.ipynb")
        if not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    )
    if any(path.is_symlink() for path in found):
        raise inbox.Rejected("the upload holds a link; hand in the notebook itself")
    named = [path for path in found if path.name == f"{name}.ipynb"]
    chosen = named or found
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise inbox.Rejected(f"the upload holds {len(chosen)} notebooks; hand in {name}.ipynb alone")
    raise inbox.Rejected(f"no notebook was handed in; {name}.ipynb was expected")


def results_of(report: Report, visibility: str, leaderboard: bool) -> dict[str, Any]:
    """The report as Gradescope's results.json."""
    results: dict[str, Any] = {
        "score": points(report.score),
        "execution_time": round(report.seconds, 3),
        "output": "\n".join(report.notes)[:MAX_TEXT],
        "output_format": "text",
        "visibility": visibility,
        "stdout_visibility": "hidden",
        "tests": [
            _test(check, exercise.title, f"{i}.{j}", visibility)
            for i, exercise in enumerate(report.exercises, 1)
            for j, check in enumerate(exercise.checks, 1)
        ],
        "extra_data": {"status": report.status, "isolation": report.isolation},
    }
    if leaderboard:
        results["leaderboard"] = [{"name": "Points", "value": points(report.score), "order": "desc"}]
    return results


def _test(check: CheckResult, title: str, number: str, visibility: str) -> dict[str, Any]:
    hint = f"\nThis looks like: {check.mistake}. {check.hint}" if check.hint else ""
    return {
        "name": f"{title}: {check.tried}",
        "name_format": "text",
        "number": number,
        "score": points(check.score),
        "max_score": points(check.points),
        "status": "passed" if check.score >= check.points else "failed",
        "output": (check.message + hint)[:MAX_TEXT],
        "output_format": "text",
        "visibility": visibility,
    }


def main() -> int:
    """Grade what lies in the folder that the command line names."""
    report = run(Path(sys.argv[1]).resolve())
    print(
        f"{report.assignment}: {report.status}, {points(report.score):g} points, isolation {report.isolation}"
    )
    return 0


SETUP = """\
#!/usr/bin/env bash
# Runs once, as root, when Gradescope builds the container.
set -euo pipefail
root="${EBM_AUTOGRADER_ROOT:-/autograder}"

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  for candidate in python3.13 python3.12 python3.11 python3; do
    if usable "$candidate"; then echo "$candidate"; return; fi
  done
}

export DEBIAN_FRONTEND=noninteractive
python="$(find_python)"
if [ -z "$python" ]; then
  apt-get update
  apt-get install -y python3.12 python3.12-venv || apt-get install -y python3.11 python3.11-venv
  python="$(find_python)"
fi
if [ -z "$python" ]; then echo "Python 3.11 or newer is needed; choose a newer base image" >&2; exit 1; fi
if [ -z "$(ldconfig -p | grep libseccomp.so.2)" ]; then
  apt-get update && apt-get install -y libseccomp2 || true  # without it there is no system-call filter
fi

"$python" -m venv "$root/venv"
"$root/venv/bin/pip" install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \\
  -c "$root/source/constraints.txt" -r "$root/source/requirements.txt"
chmod -R go= "$root/source"
"""

RUN = """\
#!/usr/bin/env bash
# Runs, as root, for each submission; the folder is another one only in tests.
set -euo pipefail
root="${EBM_AUTOGRADER_ROOT:-/autograder}"
mkdir -p "$root/results"
chmod 700 "$root/results"
chmod -R go= "$root/source"
export PYTHONPATH="$root/source/lib" EBM_CHECKS="$root/source/checks" PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
exec "$root/venv/bin/python" -P -m autograder.ways.gradescope "$root"
"""

README = """\
Gradescope autograder of the assignment {name}

For instructors alone: this archive holds the hidden checks and the course's grading key. Upload it in
Gradescope under Configure Autograder, and hand it to nobody.
"""

if __name__ == "__main__":
    sys.exit(main())
