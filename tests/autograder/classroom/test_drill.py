"""The large drill of `benchmarks/drill.py`, on a small class."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRILL = Path(__file__).parents[3] / "benchmarks" / "drill.py"


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_class_is_graded_once_and_wholly_though_lanes_and_commands_are_killed(sandbox, tmp_path):
    output = tmp_path / "drill.json"
    options = ["--submissions", "300", "--lane-kills", "4", "--command-kills", "2", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, str(DRILL), *options, "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    assert result["lanes_killed"] >= 4
    assert result["commands_killed"] == 2
    assert result["begun_again_after_a_kill_at_work"] <= result["lanes_killed"]
