"""Every known way of cheating, run against the real pipeline: no point gained, nothing read, nobody harmed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.authoring.hostile import ATTACKS, CANARY, LEAK
from autograder.judging.judge import judge
from autograder.sandbox import limits
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.xdist_group("sandbox")]

LIMITS = Limits(cell_seconds=2.0, notebook_seconds=8.0)
PATIENCE = (1.0, 1.0)
"""An attack that waits is given less time for it than anybody else."""
PLACES = [Path(p) / CANARY for p in ("/", "/tmp", "/dev/shm", "/usr", "/etc", ".", "/var/tmp")]
RIGHT = "def double(x):\n    return 2 * x"


def test_the_corpus_covers_every_family_with_many_attacks():
    assert len(ATTACKS) >= 222
    assert len({a.family for a in ATTACKS}) == 14
    assert len({a.name for a in ATTACKS}) == len(ATTACKS)


@pytest.fixture(scope="module")
def attacked(sandbox) -> Iterator[Sandbox]:
    """A sandbox where what attacks import is imported: their time goes into the attack."""
    with Sandbox(sandbox.level, imports=("torch", "matplotlib.pyplot")) as opened:
        yield opened


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name.replace(" ", "-"))
def test_an_attack_gains_nothing_reads_nothing_and_harms_nobody(
    attack, attacked, toy, hasty_toy, notebook, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(limits, "PATIENCE", PATIENCE)
        judged = judge(attack.notebook(["double", "gibbs_sweep"]), hasty_toy, attacked, b"key", LIMITS)
    assert judged.report.score == 0
    shown = json.dumps([[o.stdout, o.stderr, o.error, o.displays] for o in judged.outputs])
    assert len(shown) < 8_000_000
    printed = "\n".join(o.stdout for o in judged.outputs)
    assert LEAK not in printed, printed
    assert [place for place in PLACES if place.exists()] == []
    honest = judge(notebook(RIGHT), toy, attacked, b"key")
    assert honest.report.score == honest.report.max_score
