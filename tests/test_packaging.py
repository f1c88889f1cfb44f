"""What leaves the house: the student's wheel holds ebmkit alone, and the layers import one way."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PROJECTS = (ROOT / "pyproject.toml", ROOT / "autograder" / "pyproject.toml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        ".",
    ]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_students_wheel_holds_ebmkit_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"ebmkit", "ebm_course-0.1.0.dist-info"}
    modules = {n for n in names if n.startswith("ebmkit/") and n.endswith(".py")}
    assert modules == {p.relative_to(ROOT).as_posix() for p in (ROOT / "ebmkit").rglob("*.py")}


@pytest.mark.slow
def test_the_students_wheel_names_no_command_and_no_grader(wheel):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            text = archive.read(name).decode(errors="replace")
            assert "entry_points" not in name
            assert "import autograder" not in text, name


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_ebmkit_imports_no_grader_and_no_plotting():
    for path in (ROOT / "ebmkit").glob("**/*.py"):
        assert not imports(path) & {"autograder", "matplotlib", "nbgrader", "solutions", "book"}, path


def test_the_autograder_imports_neither_book_nor_solutions():
    for path in (ROOT / "autograder").glob("**/*.py"):
        assert not imports(path) & {"book", "solutions"}, path


def test_nothing_in_the_autograder_can_unpickle():
    for path in (ROOT / "autograder").glob("**/*.py"):
        assert not imports(path) & {"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}, path
        assert "allow_pickle" not in path.read_text(), path


def test_the_worker_imports_nothing_of_the_judges():
    for path in (ROOT / "autograder" / "sandbox" / "worker").glob("*.py"):
        modules = {
            node.module
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("autograder")
        }
        assert modules <= {"autograder.sandbox.worker"}, path


def test_importing_ebmkit_loads_nothing_heavy_and_costs_little_more_than_torch():
    source = (
        "import sys, ebmkit, ebmkit.energy; "
        "print([m for m in ('numba', 'sklearn', 'matplotlib', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def test_the_lock_names_exact_versions_and_no_accelerator_build():
    assert "torch==2.13.0" in map(str, locked())
    for requirement in locked():
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement
        assert "+" not in pin.version, requirement
        assert not requirement.url, requirement
        assert not requirement.name.startswith(("nvidia", "cuda", "triton")), requirement


def test_every_locked_distribution_admits_the_oldest_python_that_is_promised():
    promises = {tomllib.loads(path.read_text())["project"]["requires-python"] for path in PROJECTS}
    assert promises == {">=3.11"}
    here = [r for r in locked() if r.marker is None or r.marker.evaluate()]
    assert len(here) > 200
    for requirement in here:
        distribution = importlib.metadata.distribution(requirement.name)
        assert distribution.version.partition("+")[0] in requirement.specifier, "run: make install"
        admitted = SpecifierSet(distribution.metadata.get("Requires-Python") or "")
        assert "3.11.0" in admitted, f"{requirement} needs Python {admitted}; renew the lock with: make lock"


def test_the_container_is_made_as_make_installs():
    root = Path(__file__).parents[1]
    recipe, makefile = (root / "Containerfile").read_text(), (root / "Makefile").read_text()
    for options in ("--no-build-isolation --no-deps -e . -e ./autograder", "-r requirements.lock"):
        assert options in recipe
        assert options in makefile
    ignored = (root / ".containerignore").read_text().split()
    assert {"course", ".git"} <= set(ignored)


def test_the_containers_recipe_names_what_there_is():
    """It is built nowhere in the tests: its commands are read, its files looked for, and on Debian its packages."""
    root = Path(__file__).parents[1]
    lines = re.sub(r"\\\n\s*", " ", (root / "Containerfile").read_text()).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert [word for word, _ in steps] == ["FROM", "RUN", "WORKDIR", "COPY", "RUN", "COPY", "RUN"]
    image = re.fullmatch(r"docker\.io/library/python:(\d\.\d+)-slim", steps[0][1])
    assert image is not None
    assert all(
        image[1] in SpecifierSet(tomllib.loads(p.read_text())["project"]["requires-python"]) for p in PROJECTS
    )
    for word, rest in steps:
        if word == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)
        if word == "COPY":
            *sources, _ = rest.split()
            assert all((root / source).exists() for source in sources), rest
    (packages,) = re.findall(r"--no-install-recommends ([\w\- ]+?) +&&", "\n".join(rest for _, rest in steps))
    assert packages.split() == ["bubblewrap", "libseccomp2"]
    if shutil.which("apt-cache") and list(Path("/var/lib/apt/lists").glob("*_Packages*")):
        for package in packages.split():
            subprocess.run(["apt-cache", "show", package], check=True, capture_output=True)


@pytest.mark.slow
def test_the_source_distribution_makes_the_same_wheel_with_all_that_an_index_asks_for(wheel, tmp_path):
    build = "import sys; from hatchling.build import build_sdist; print(build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], check=True, cwd=ROOT, capture_output=True, text=True
    )
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
    source = tmp_path / done.stdout.splitlines()[-1]
    subprocess.run([*command, str(tmp_path), str(source)], check=True, capture_output=True)
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {n: first.read(n) for n in first.namelist()} == {n: second.read(n) for n in second.namelist()}
        assert "ebmkit/py.typed" in first.namelist()
        (metadata,) = (first.read(n).decode() for n in first.namelist() if n.endswith("/METADATA"))
    for asked in (
        "Name",
        "Version",
        "Summary",
        "License-Expression",
        "Author",
        "Keywords",
        "Requires-Python",
    ):
        assert f"\n{asked}: " in metadata, f"pyproject.toml says no {asked}"
    assert "Classifier: Typing :: Typed" in metadata
    assert "Description-Content-Type: text/markdown" in metadata


@pytest.mark.slow
def test_the_wheel_works_alone(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    source = (
        "import torch, ebmkit; print(ebmkit.__file__); "
        "print(round(float(ebmkit.log_partition(ebmkit.ising.Ising((1, 2), 0.0)).value), 4))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    place, value = done.stdout.split()
    assert Path(place).is_relative_to(tmp_path)
    assert value == "1.3863"  # 2 log 2
