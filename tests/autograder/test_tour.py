"""The end of `make`: samples graded, where everything is, and the reason last where grading cannot run."""

import pytest

from autograder import tour
from autograder.sandbox.levels import NoIsolation


def test_where_nothing_can_be_isolated_the_places_are_shown_and_the_reason_stands_at_the_end(
    classroom, right, capsys, monkeypatch
):
    def refuse(*_):
        raise NoIsolation("no user namespaces; ask who runs this machine")

    classroom.submit("ada", right)
    monkeypatch.setattr("autograder.sandbox.sandbox.Sandbox.__init__", refuse)
    monkeypatch.setattr("autograder.classroom.batch.grade", refuse)
    assert tour.main("toy") == 3
    out = capsys.readouterr().out
    assert "the students' notebooks    course/release" in out
    assert out.endswith("grading did not run: no user namespaces; ask who runs this machine\n")


@pytest.mark.slow
@pytest.mark.sandbox
def test_where_grading_runs_the_tour_ends_with_what_to_do_next(classroom, right, capsys, sandbox):
    classroom.submit("ada", right)
    assert tour.main("toy") == 0
    out = capsys.readouterr().out
    assert "80/80" in out
    assert "did not run" not in out
    assert out.endswith("lists what an instructor can do.\n")
