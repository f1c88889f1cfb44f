"""An environment with the installed autograder and nothing but what it declares to need: no ebmkit, no torch."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "autograder": "autograder.command",
    "nbgrader": "nbgrader.apps.nbgraderapp",
    "alembic": "alembic.config",
}


def needed(requirements: list[str]) -> set[str]:
    """The distributions that these requirements bring, as declared, from what is installed here."""
    found: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        distribution = importlib.metadata.distribution(requirement.name)
        name = distribution.metadata["Name"]
        new = [""] if name not in found else []
        found.add(name)
        for wanted in (*new, *requirement.extras):
            waiting += [(Requirement(text), wanted) for text in distribution.requires or ()]
    return found


def build(folder: Path) -> Path:
    """Make the environment in `folder`; returns its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    wheel = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder / "wheel")]
    subprocess.run([sys.executable, *wheel, str(ROOT / "autograder")], check=True, capture_output=True)
    (built,) = (folder / "wheel").glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(packages)
    (metadata,) = importlib.metadata.distributions(name="ebm-course-autograder", path=[str(packages)])
    for name in sorted(needed([text for text in metadata.requires or () if "extra ==" not in text])):
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts:
                link(Path(str(file.locate())), packages / file)
    for program, module in PROGRAMS.items():
        path = folder / "bin" / program
        path.write_text(f"#!{folder}/bin/python\nfrom {module} import main\nmain()\n")
        path.chmod(0o755)
    return folder / "bin"


def link(source: Path, target: Path) -> None:
    """The same file at a second place, as a copy where the file system demands one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
