"""The large drills of `benchmarks/`, on small classes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def drill(program: str, output: Path, **options: int) -> dict[str, Any]:
    """What a drill found; it fails by itself where a promise was broken."""
    line = [sys.executable, str(BENCHMARKS / program), "--output", str(output)]
    for name, value in options.items():
        line += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text())


def test_a_class_is_graded_once_and_wholly_though_lanes_and_commands_are_killed(sandbox, tmp_path):
    result = drill("drill.py", tmp_path / "out", submissions=300, lane_kills=4, command_kills=2, seed=1)
    assert result["lanes_killed"] >= 4
    assert result["commands_killed"] == 2
    assert result["begun_again_after_a_kill_at_work"] <= result["lanes_killed"]


@pytest.mark.xdist_group("cluster")
def test_a_class_is_graded_once_and_wholly_though_a_cluster_is_killed_piece_by_piece(sandbox, tmp_path):
    kills = {"worker_kills": 2, "scheduler_kills": 1, "command_kills": 1}
    result = drill("drill_dask.py", tmp_path / "out", submissions=150, seed=1, **kills)
    assert (result["workers_killed"], result["schedulers_killed"], result["commands_killed"]) == (2, 1, 1)
    assert result["runs"] >= 2
    assert result["begun_again_after_a_kill_at_work"] <= 4 * 4
