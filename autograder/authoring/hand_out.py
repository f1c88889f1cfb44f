"""What students are given: `dist/assignments/NAME.zip` with the notebook, the course's wheels and a short README.

The result depends on the released notebook and the wheels alone: the same sources give the same bytes.
"""

import functools
import io
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

from autograder.atomic import write_atomically
from autograder.course import Course

ZIP_DATE = (1980, 1, 1, 0, 0, 0)


class NoWheel(RuntimeError):
    """A wheel that students are to be given is missing or could not be built; the message says why."""


def wheels(course: Course) -> list[Path]:
    """The wheels that `course.toml` names; those of folders are in `dist/`, built again when the folder changed."""
    return [_wheel(course, place) for place in course.settings.wheels]


def _wheel(course: Course, place: Path) -> Path:
    if place.suffix == ".whl" and place.is_file():
        return place
    project = place / "pyproject.toml"
    if not project.is_file():
        raise NoWheel(
            f"course.toml hands out {place}, which is neither a .whl file nor a folder with a pyproject.toml"
        )
    name = re.sub(
        r"[-_.]+", "_", tomllib.loads(project.read_text(encoding="utf-8"))["project"]["name"]
    ).lower()
    dist = course.root / "dist"
    for built in sorted(dist.glob(f"{name}-*.whl")):
        if _is_current(built, place):
            return built
        built.unlink()
    dist.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, "--wheel-dir", folder, str(place)], capture_output=True, text=True, check=False
        )
        made = list(Path(folder).glob("*.whl"))
        if done.returncode or not made:
            raise NoWheel(
                f"the wheel of {place} could not be built: {done.stderr.strip()[-400:] or 'no reason given'}"
            )
        write_atomically(dist / made[0].name, made[0].read_bytes())
        return dist / made[0].name


def _is_current(built: Path, place: Path) -> bool:
    """Whether the wheel holds the folder's modules as they are."""
    try:
        with zipfile.ZipFile(built) as archive:
            names = {name for name in archive.namelist() if name.endswith(".py")}
            tops = {name.split("/")[0] for name in names}
            source = place / "src" if all((place / "src" / top).exists() for top in tops) else place
            files = {
                path.relative_to(source).as_posix(): path
                for top in tops
                for path in ((source / top).rglob("*.py") if (source / top).is_dir() else [source / top])
            }
            return names == set(files) and all(archive.read(n) == files[n].read_bytes() for n in names)
    except (zipfile.BadZipFile, OSError):
        return False


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """The distributions that each importable name comes from."""
    return packages_distributions()


def distributions_of(packages: Iterable[str]) -> list[str]:
    """What to install for packages that are called as they are imported: `sklearn` is in scikit-learn."""
    known = _distributions()
    tops = dict.fromkeys(name.partition(".")[0] for name in packages)
    return list(dict.fromkeys(known.get(top, [top])[0] for top in tops))


def pack(course: Course, name: str, libraries: Iterable[Path]) -> Path:
    """`dist/assignments/NAME.zip`: notebook, wheels and a short README; the same bytes every time."""
    notebook = course.folder("release", name, f"{name}.ipynb")
    libraries = list(libraries)
    needs = [f"./{library.name}" for library in libraries]
    needs += distributions_of(("numpy", *course.settings.packages))
    members = {
        "README.txt": README.format(course=course.settings.name, name=name, needs=" ".join(needs)).encode(),
        f"{name}.ipynb": notebook.read_bytes(),
        **{library.name: library.read_bytes() for library in libraries},
    }
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in sorted(members.items()):
            information = zipfile.ZipInfo(f"{name}/{member}", ZIP_DATE)
            information.compress_type = zipfile.ZIP_DEFLATED
            information.external_attr = 0o644 << 16
            archive.writestr(information, data)
    path = course.root / "dist" / "assignments" / f"{name}.zip"
    write_atomically(path, memory.getvalue())
    return path


README = """\
{course}
Assignment: {name}

Start
  You need Python 3.11 or newer. In this folder:

    python3 -m venv .venv
    . .venv/bin/activate            (Windows: .venv\\Scripts\\activate)
    pip install {needs} jupyterlab
    jupyter lab {name}.ipynb

Check
  Each exercise is followed by a cell of tests. Run it: no message means that they pass.
  Grading runs further tests, on other inputs. Before you hand in, restart the kernel and
  run all cells from top to bottom.

Submit
  Save the notebook and hand in {name}.ipynb under that name. Write your solutions where the
  notebook says so; do not delete or copy the cells that hold exercises and tests.
"""
