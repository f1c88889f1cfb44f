"""The name of a verdict: everything that it depends on.

key = SHA-256(submission · checks · judge · worker · versions · isolation · course key)
"""

import contextlib
import hashlib
import importlib.util
import inspect
import json
import platform
from importlib.metadata import PackageNotFoundError, packages_distributions, version
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
    versions = [platform.python_version(), *_versions(assignment)]
    digest.update(json.dumps([versions, isolation, assignment.imports, assignment.limits]).encode())
    digest.update(hashlib.sha256(b"course key" + key).digest())
    return digest.digest()


def _versions(assignment: Assignment) -> list[str]:
    """The versions of what notebooks compute with, where it is installed."""
    found = {"numpy", "torch", "scipy"}
    modules = [name.partition(".")[0] for name in assignment.imports]
    if unknown := [name for name in modules if name not in found]:
        distributions = packages_distributions()
        found |= {distribution for name in unknown for distribution in distributions.get(name, ())}
    said = []
    for name in sorted(found):
        with contextlib.suppress(PackageNotFoundError):
            said.append(f"{name} {version(name)}")
    return said


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
