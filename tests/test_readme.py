"""The README's promises: its Python runs and its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.S | re.M)


@pytest.mark.slow
def test_the_python_in_the_readme_runs_and_sampling_agrees_with_the_exact_answer():
    (source,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=ROOT
    )
    sampled, exact = (float(re.search(r"-?\d+\.\d+", line)[0]) for line in done.stdout.splitlines()[:2])
    # 1000 chains of 16 spins: the energy's standard deviation is below 6, so 7 standard errors are below 1.4.
    assert abs(sampled - exact) < 1.4


def test_every_make_target_named_in_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)) | {"help"}
    named = set(
        re.findall(r"make ([a-z-]+)", " ".join(re.findall(r"`([^`]*)`|^(make .*)$", README)[0]) + README)
    )
    assert named & targets
    for name in re.findall(r"`make ([a-z-]+)`", README):
        assert name in targets, name


def test_every_folder_named_in_the_readme_exists():
    for name in re.findall(r"^\| `([a-z]+)/`", README, flags=re.M):
        assert (ROOT / name).is_dir() or name == "course", name


def test_nothing_tells_a_student_to_install_the_other_package_of_that_name():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("book/**/*.md"), *ROOT.glob("solutions/*.py")]:
        assert not re.search(r"pip install (?!.*whl)\S*ebmkit", path.read_text()), path
