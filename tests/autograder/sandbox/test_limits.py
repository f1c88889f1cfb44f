"""What counts against a submission's limits, on a clock and a keeper of the test's own."""

from types import SimpleNamespace

import pytest

from autograder.sandbox.limits import PATIENCE, SHORT, STARVED, Limits, Starved, Stopwatch


class Kept:
    """A clock, and a submission of which it is said what it used."""

    def __init__(self):
        self.now = 100.0
        self.said = (0.0, 0.0)
        self.asked = 0
        self.starved_here = 0.0
        self.spent = 0.0

    def used(self, since, interrupt=False):
        self.asked += 1
        return self.said

    def end(self):
        return "stopped"


@pytest.fixture
def kept(monkeypatch):
    kept = Kept()
    monkeypatch.setattr("autograder.sandbox.limits.time", SimpleNamespace(monotonic=lambda: kept.now))
    monkeypatch.setattr("autograder.sandbox.limits.starved_here", lambda: kept.starved_here)
    return kept


def test_before_the_walls_clock_reaches_the_limit_nobody_is_asked(kept):
    watch = Stopwatch(kept, 4.0)
    kept.now += 3.0
    assert watch.left() == 1.0
    assert kept.asked == 0


def test_time_without_a_processor_does_not_count(kept):
    watch = Stopwatch(kept, 4.0)
    kept.now += 20.0
    kept.said = (1.0, 19.0)
    assert watch.left() == 3.0
    assert (watch.worked, watch.waited, watch.slept) == (1.0, 0.0, True)


def test_work_ends_at_the_limit_and_sleep_at_the_patience(kept):
    watch = Stopwatch(kept, 4.0)
    kept.now += 10.0
    kept.said = (4.0, 6.0)
    assert watch.left() == 0.0
    assert not watch.slept
    asleep = Stopwatch(kept, 4.0)
    patience = PATIENCE[0] * 4.0 + PATIENCE[1]
    kept.said = (0.0, 0.0)
    kept.now += patience - 1
    assert asleep.left() == 1.0
    kept.now += 1
    assert asleep.left() == 0.0
    assert asleep.slept
    assert kept.spent == patience


def test_sleep_below_every_limit_counts_once_towards_what_is_spent_in_all(kept):
    watch = Stopwatch(kept, 20.0)
    kept.now += 19.0
    kept.said = (0.5, 0.5)
    watch.settle()
    watch.settle()
    assert kept.spent == 18.0
    short = Stopwatch(kept, 20.0)
    kept.now += SHORT / 2
    asked = kept.asked
    short.settle()
    assert (kept.spent, kept.asked) == (18.0, asked)


def test_while_the_judge_itself_has_no_processor_nobody_sleeps(kept):
    watch = Stopwatch(kept, 20.0)
    kept.now += 19.0
    kept.starved_here = 17.0
    kept.said = (1.0, 1.0)
    watch.settle()
    assert kept.spent == 0.0


def test_who_was_not_let_is_starved_rather_than_late(kept):
    watch = Stopwatch(kept, 4.0)
    longest = STARVED[0] * 4.0 + STARVED[1]
    kept.now += longest
    kept.said = (1.0, longest - 1.0)
    assert watch.left() == 3.0
    kept.now += 1.0
    kept.said = (1.0, longest)
    with pytest.raises(Starved, match=r"in 241 seconds .* given 1\.0 seconds"):
        watch.left()


def test_while_nobody_waits_the_watch_stands(kept):
    watch = Stopwatch(kept, 4.0)
    kept.now += 1.0
    watch.stop()
    kept.now += 50.0
    assert watch.elapsed == 1.0
    watch.go()
    kept.now += 2.0
    assert watch.elapsed == 3.0


def test_longer_notebooks_have_more_time_in_all():
    assert Limits.set_by(()) == Limits()
    longer = Limits.set_by((("notebook_seconds", 300.0), ("memory_gb", 3.0)))
    assert (longer.notebook_seconds, longer.memory) == (300.0, 3 << 30)
    assert (longer.cpu_seconds, longer.total_seconds) == (600, 1800.0)
