"""Submissions a second: this autograder beside stock nbgrader, on the same notebook, in one run.

    python benchmarks/throughput.py [--copies 40]

Both grade COPIES different files, each the Ising solution with one comment of its own. Ours runs the hidden
checks, statistics included, in the sandbox. nbgrader runs its default pipeline, without isolation, on the same
notebook with plain hidden asserts on fixed inputs in the tests cells. Both are timed as whole commands: first on
one submission, then on all others. The second command, start and all, is what a class costs; the difference of
the two is what a submission costs once the command has started. Results go to `benchmarks/results/throughput.json`.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
import numpy as np

from autograder.authoring.percent import nbgrader_notebook
from autograder.checks.ising.definitions import chain_of, conditional_of, energy_of, log_ratio_of, map_of

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}

HIDDEN = "\n### BEGIN HIDDEN TESTS\n{}\n### END HIDDEN TESTS\n"


def copies(notebook: nbformat.NotebookNode, count: int, course: Path, name: str = "ising") -> None:
    """COUNT different submissions of one notebook."""
    for number in range(count):
        folder = course / "submitted" / f"student-{number:03d}" / name
        folder.mkdir(parents=True)
        comment = nbformat.v4.new_code_cell(f"# submission {number}", id=f"copy-{number}")
        mine = nbformat.from_dict({**notebook, "cells": [*notebook.cells, comment]})
        nbformat.write(mine, folder / f"{name}.ipynb")


def hidden_asserts() -> dict[str, str]:
    """Plain asserts on fixed inputs, the way hidden tests are written for nbgrader."""
    rng = np.random.default_rng(0)
    lines: dict[str, list[str]] = {}
    for _ in range(20):
        labels, noisy = rng.integers(0, 2, (2, 4, 5))
        value = float(energy_of(labels, noisy, 0.7, 0.4))
        shown = f"np.array({labels.tolist()}), np.array({noisy.tolist()})"
        lines.setdefault("energy", []).append(f"assert np.isclose(energy({shown}, 0.7, 0.4), {value!r})")
        value = conditional_of(labels, noisy, 1, 2, 0.7, 0.4)
        lines.setdefault("conditional", []).append(
            f"assert np.isclose(conditional({shown}, 1, 2, 0.7, 0.4), {value!r})"
        )
        value = log_ratio_of(labels, noisy, 0.7)
        lines.setdefault("log_ratio", []).append(f"assert np.isclose(log_ratio({shown}, 0.7), {value!r})")
    for _ in range(3):
        noisy = rng.integers(0, 2, (3, 3))
        shown = f"np.array({noisy.tolist()})"
        lowest = float(energy_of(map_of(noisy, 0.7, 0.4), noisy, 0.7, 0.4))
        lines.setdefault("map_estimate", []).append(
            f"assert np.isclose(energy(map_estimate({shown}, 0.7, 0.4), {shown}, 0.7, 0.4), {lowest!r})"
        )
        lines.setdefault("denoise", []).append(f"assert denoise({shown}, 0.7, 0.4).shape == (3, 3)")
        lines.setdefault("gibbs_sweep", []).append(
            f"assert gibbs_sweep(np.zeros((9, 3, 3)), {shown}, 1.0, 1.0, np.random.default_rng()).shape"
        )
        scores, transitions = rng.normal(size=(5, 3)), rng.normal(size=(3, 3))
        log_z, best = chain_of(scores, transitions)
        shown = f"np.array({scores.tolist()}), np.array({transitions.tolist()})"
        lines.setdefault("decode_chain", []).extend(
            [
                f"assert np.isclose(decode_chain({shown})[0], {float(log_z)!r})",
                f"assert np.array_equal(decode_chain({shown})[1], {best.tolist()})",
            ]
        )
    return {f"{name}-tests": HIDDEN.format("\n".join(source)) for name, source in lines.items()}


def run(command: list[str], where: Path, **environment: str) -> float:
    """Seconds of wall time that a command takes."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=where, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def ours(folder: Path, count: int) -> tuple[tuple[float, float], str]:
    """Seconds to grade one and the rest of the class with this autograder, and the level of isolation."""
    command = [str(BIN / "autograder")]
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    run([*command, "release", "ising"], folder, EBM_COURSE=str(folder))
    copies(nbgrader_notebook("ising"), count, folder / "course")
    one = run([*command, "grade", "ising", "--student", "student-000"], folder, EBM_COURSE=str(folder))
    rest = run([*command, "grade", "ising"], folder, EBM_COURSE=str(folder))
    reports = [json.loads(p.read_text()) for p in (folder / "course" / "results" / "ising").glob("*.json")]
    scores = {sum(c["score"] for e in r["exercises"] for c in e["checks"]) == r["max_score"] for r in reports}
    if len(reports) != count or scores != {True}:
        raise SystemExit(f"expected {count} full scores, got {len(reports)} verdicts, all full: {scores}")
    return (one, rest), reports[0]["isolation"]


def stock(folder: Path, count: int) -> tuple[float, float]:
    """Seconds to grade one and the rest of the class with nbgrader's default pipeline."""
    config = (
        f"c = get_config()\nc.CourseDirectory.root = {str(folder)!r}\nc.CourseDirectory.course_id = 'stock'\n"
    )
    (folder / "nbgrader_config.py").write_text(config)
    notebook = nbgrader_notebook("ising")
    hidden = hidden_asserts()
    for cell in notebook.cells:
        cell.source += hidden.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""), "")
    source = folder / "source" / "ising"
    source.mkdir(parents=True)
    nbformat.write(notebook, source / "ising.ipynb")
    run([str(BIN / "nbgrader"), "generate_assignment", "ising", "--create"], folder)
    copies(nbgrader_notebook("ising"), count, folder)
    command = [str(BIN / "nbgrader"), "autograde", "ising", "--create"]
    return run([*command, "--student", "student-000"], folder), run(command, folder)


def per_second(seconds: tuple[float, float], count: int) -> float:
    """Submissions a second once the command has started."""
    one, rest = seconds
    return (count - 2) / (rest - one)


def figures(seconds: tuple[float, float], count: int) -> dict[str, float]:
    return {
        "first_submission_seconds": round(seconds[0], 1),
        "other_submissions_seconds": round(seconds[1], 1),
        "submissions_per_second": round((count - 1) / seconds[1], 2),
        "submissions_per_second_once_started": round(per_second(seconds, count), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--copies", type=int, default=40)
    count = parser.parse_args().copies
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        mine, isolation = ours(Path(one), count)
        theirs = stock(Path(other), count)
    result = {
        "what": f"{count} different copies of the Ising solution",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "nbgrader": version("nbgrader"),
        "isolation": isolation,
        "ours": figures(mine, count),
        "nbgrader_default": figures(theirs, count),
        "ratio_once_started": round(per_second(mine, count) / per_second(theirs, count), 1),
        "ratio_of_whole_commands": round(theirs[1] / mine[1], 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "throughput.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
