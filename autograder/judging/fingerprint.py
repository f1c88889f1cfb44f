"""The name of a verdict: everything that it depends on.

key = SHA-256(submission · checks · judge · worker · versions · isolation · course key)
"""

import functools
import hashlib
import importlib.util
import inspect
import json
import platform
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

from autograder.exercises.catalogue import sources_of
from autograder.exercises.exercise import Assignment

ROOMS = ("exercises", "judging", "sandbox")
"""The folders whose every file may change a verdict."""


def fingerprint(assignment: Assignment, isolation: str, key: bytes) -> bytes:
    """What a verdict depends on besides the submission: code, versions, isolation and the course's key."""
    digest = hashlib.sha256()
    files = [
        path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
        for path in _sources(assignment)
    ]
    digest.update(b"".join(sorted(files)))  # wherever they lie: two machines agree on the same files
    versions = [platform.python_version(), installed()]
    digest.update(json.dumps([versions, isolation, assignment.imports, assignment.limits]).encode())
    digest.update(hashlib.sha256(b"course key" + key).digest())
    return digest.digest()


@functools.cache
def installed() -> list[tuple[str, str]]:
    """Name and version of every library: any of them may decide what a student's code returns."""
    # Not all of sys.path: what setuptools brings along stands there in a process that has imported it.
    folders = [folder for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    found = {name_and_version(found) for found in distributions(path=folders)}
    return sorted((name.lower().replace("_", "-"), version) for name, version in found)


def name_and_version(found: Distribution) -> tuple[str, str]:
    """As its metadata has them, read off the first lines: to parse all of it takes most of a command's start."""
    head = (found.read_text("METADATA") or "").partition("\n\n")[0]
    fields = dict(
        line.split(": ", 1) for line in head.splitlines() if line.startswith(("Name: ", "Version: "))
    )
    if len(fields) < 2:
        return found.name or "", found.version or ""
    return fields["Name"].strip(), fields["Version"].strip()


def _sources(assignment: Assignment) -> set[Path]:
    """The files that decide: the checks, what they compare with, the judge and the worker."""
    here = Path(__file__).parent.parent
    files = {path for room in ROOMS for path in (here / room).rglob("*.py")} | sources_of(assignment)
    kit = importlib.util.find_spec("ebmkit") if assignment.provides else None
    if kit is not None and kit.origin is not None:
        files |= set(Path(kit.origin).parent.rglob("*.py"))
    for exercise in assignment.exercises:
        for function in (exercise.reference, *(check.run for check in exercise.checks)):
            if source := inspect.getsourcefile(inspect.unwrap(function)):
                files.add(Path(source))
    return files


def result_key(environment: bytes, data: bytes) -> str:
    """The name of the verdict on `data` under `fingerprint(…)`."""
    return hashlib.sha256(environment + hashlib.sha256(data).digest()).hexdigest()
