"""Every known way of cheating, run against the real pipeline: no point gained, nothing read, nobody harmed."""

import json
from pathlib import Path

import pytest

from autograder.authoring.hostile import ATTACKS, CANARY, LEAK
from autograder.judging.judge import judge
from autograder.sandbox.limits import Limits

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.xdist_group("sandbox")]

LIMITS = Limits(cell_seconds=4.0, notebook_seconds=12.0)
PLACES = [Path(p) / CANARY for p in ("/", "/tmp", "/dev/shm", "/usr", "/etc", ".", "/var/tmp")]
RIGHT = "def double(x):\n    return 2 * x"


def test_the_corpus_covers_every_family_with_many_attacks():
    assert len(ATTACKS) >= 180
    assert len({a.family for a in ATTACKS}) == 13
    assert len({a.name for a in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name.replace(" ", "-"))
def test_an_attack_gains_nothing_reads_nothing_and_harms_nobody(attack, sandbox, toy, notebook):
    judged = judge(attack.notebook(["double", "gibbs_sweep"]), toy, sandbox, b"key", LIMITS)
    assert judged.report.score == 0
    shown = json.dumps([[o.stdout, o.stderr, o.error, o.displays] for o in judged.outputs])
    assert len(shown) < 8_000_000
    printed = "\n".join(o.stdout for o in judged.outputs)
    assert LEAK not in printed, printed
    assert [place for place in PLACES if place.exists()] == []
    honest = judge(notebook(RIGHT), toy, sandbox, b"key")
    assert honest.report.score == honest.report.max_score
