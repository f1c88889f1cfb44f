"""The name of a verdict changes with everything that could change the verdict, and with nothing else."""

import subprocess
import sys
from importlib.metadata import distributions, version

import pytest

from autograder.exercises.catalogue import OURS, assignment_named, sources_of
from autograder.judging import fingerprint as module
from autograder.judging.fingerprint import fingerprint, installed, name_and_version

CHECKS = """
from autograder.exercises.exercise import Assignment, Exercise
def same(x): return x
exercise = Exercise("same", title="The same", reference=same)
@exercise.check(points=1, tries="a number")
def _(attempt):
    from {module} import number
    attempt.compare([(number,)])
assignment = Assignment("mine", (exercise,))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of checks: an assignment that imports a helper late, which imports one more; and another chapter."""
    monkeypatch.setenv("EBM_CHECKS", str(tmp_path))
    for name, text in {
        "mine/__init__.py": CHECKS.format(module=".helper"),
        "mine/helper.py": "from . import numbers\nnumber = numbers.ONE",
        "mine/numbers.py": "ONE = 1",
        "other/__init__.py": CHECKS.format(module="math").replace("mine", "other"),
        "_shared.py": "",
        "third.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_module_that_a_check_uses_is_named_however_far_away(folder):
    found = {str(path.relative_to(folder)) for path in sources_of(assignment_named("mine"))}
    assert found == {"mine/__init__.py", "mine/helper.py", "mine/numbers.py", "_shared.py"}
    (folder / "mine" / "helper.py").write_text("from autograder.checks.ising import definitions\nnumber = 1")
    assert OURS / "ising" / "definitions.py" in sources_of(assignment_named("mine"))
    (folder / "mine" / "helper.py").write_text("from .. import third\nnumber = 1")
    assert folder / "third.py" in sources_of(assignment_named("mine"))


def test_a_changed_helper_or_library_changes_the_name_and_another_chapter_does_not(folder, monkeypatch):
    def name():
        return fingerprint(assignment_named("mine"), "none", b"key")

    before = name()
    (folder / "third.py").write_text("x = 1")
    assert name() == before
    (folder / "mine" / "numbers.py").write_text("ONE = 2")
    assert name() != before
    (folder / "mine" / "numbers.py").write_text("ONE = 1")
    assert name() == before
    for library in ("ipython", "matplotlib", "numpy", "torch", "scipy", "matplotlib-inline"):
        versions = [(n, v + ".1" if n == library else v) for n, v in installed()]
        assert versions != installed()
        with monkeypatch.context() as patch:
            patch.setattr(module, "installed", lambda versions=versions: versions)
            assert name() != before


def test_every_library_counts():
    elsewhere = (
        subprocess.run(
            [
                sys.executable,
                "-c",
                "from importlib.metadata import distributions as d; print(*{x.name for x in d()})",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.split()
    )  # a process that has imported nothing: setuptools, once imported, shows its own libraries
    names = {name for name, _ in installed()}
    assert {name.lower().replace("_", "-") for name in elsewhere} <= names
    assert len(names) > 50


def test_names_and_versions_are_those_of_the_metadata(tmp_path):
    """Read off its first lines; where they are not to be read, parsed."""
    for found in distributions():
        assert name_and_version(found) == (found.name, found.version)
    egg = tmp_path / "old-1.0.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: old\nVersion: 1.0\n")
    assert [name_and_version(found) for found in distributions(path=[str(tmp_path)])] == [("old", "1.0")]


def test_what_a_process_has_imported_changes_no_name(tmp_path, monkeypatch):
    """setuptools puts the libraries that it brings along on the path, in whichever process imports it."""
    before = installed.__wrapped__()
    assert ("numpy", version("numpy")) in before
    vendored = tmp_path / "_vendor" / "brought_along-1.0.dist-info"
    vendored.mkdir(parents=True)
    (vendored / "METADATA").write_text("Metadata-Version: 2.1\nName: brought-along\nVersion: 1.0\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(vendored.parent)])
    assert "brought-along" in {found.name for found in distributions()}
    assert installed.__wrapped__() == before
