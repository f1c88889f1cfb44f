"""Pictures in the feedback: made of numbers alone, in words too, small, and without anything that is hidden."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from autograder.checks.ising.denoise import denoise, is_local_minimum, noisy_ring
from autograder.exercises.attempt import Attempt, LocalAttempt
from autograder.exercises.examples import Example
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.pictures import MOST, OFF, Picture, bars, grids
from autograder.exercises.sequential import Count
from autograder.judging.handout import Handout, Marked
from autograder.judging.judge import judge
from autograder.judging.report import Report
from autograder.judging.submission import parse
from autograder.pages.graded_notebook import graded_notebook

SECRET = 0.12345678
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


def counts(*shares, name="state"):
    return [Count(f"{name} {i}", round(1000 * found), 1000, exact) for i, (found, exact) in enumerate(shares)]


def elements(svg):
    return [node.tag for node in ElementTree.fromstring(svg).iter()]


def random_grids(title="seen"):
    rng = np.random.default_rng(1)
    seen, found = rng.integers(0, 2, (2, 48, 40))
    return grids(seen, found, rng.random(seen.shape) < 0.01, (title, "yours"), "In words.")


@pytest.mark.parametrize("picture", [bars(counts((0.5, 0.2), (0.1, 0.1), (1.0, 1.0))), random_grids()])
def test_a_picture_is_an_image_with_words_and_nothing_that_runs(picture):
    root = ElementTree.fromstring(picture.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.in_words
    assert len(picture.in_words) > 5
    assert set(elements(picture.svg)) <= {"svg", "g", "path", "rect", "text"}
    assert not any(name.startswith("on") or "href" in name for node in root.iter() for name in node.attrib)


def test_text_in_a_picture_stays_text():
    picture = dataclasses.replace(random_grids(HOSTILE), note=HOSTILE)
    assert "<script" not in picture.svg
    assert "<img" not in picture.svg
    assert ElementTree.fromstring(picture.svg).get("aria-label") == HOSTILE


def test_bars_name_no_state_and_keep_whole_percent_only():
    picture = bars(counts((0.987654, SECRET), (0.4, 0.41), name="pixel at row 2"))
    kept = json.dumps(dataclasses.asdict(picture))
    assert "pixel" not in kept + picture.svg + picture.in_words
    assert str(SECRET)[:6] not in kept + picture.svg
    assert picture.left == (99, 40)
    assert picture.right == (12, 41)
    assert "1 of the bars ends more than 5" in picture.in_words


def test_bars_stand_in_the_order_of_the_law_whatever_the_states_are_called():
    shares = [(0.3, 0.9), (0.2, 0.1), (0.6, 0.5)]
    picture = bars(counts(*shares))
    assert picture.right == (10, 50, 90)
    assert picture == bars(counts(*reversed(shares)))


def test_of_many_features_those_that_fit_worst_are_drawn():
    picture = bars(counts(*[(0.5, 0.5)] * 100, *[(0.9, 0.5)] * 5))
    assert len(picture.left) == MOST
    assert sum(abs(a - b) > OFF for a, b in zip(picture.left, picture.right)) == 5


def test_no_counts_make_no_picture():
    assert bars([]) is None


def test_every_pixel_is_drawn_where_it_is():
    seen = np.array([[1, 0, 1], [0, 0, 0]])
    found = np.array([[1, 1, 0], [0, 0, 1]])
    picture = grids(seen, found, np.array([[0, 1, 0], [1, 0, 0]]) > 0, ("a", "b"), "")
    assert picture.left == ("101", "000")
    assert picture.right == ("130", "201")
    size = 16
    paths = re.findall(r'path d="([^"]*)"', picture.svg)
    corners = [
        {(int(y) // size, int(x) // size, int(h) // size) for x, y, h in re.findall(r"M(\d+) (\d+)h(\d+)", p)}
        for p in paths
    ]
    assert corners == [{(0, 0, 1), (0, 2, 1)}, set(), {(0, 0, 2), (1, 2, 1)}, {(0, 1, 1), (1, 0, 1)}]


def test_a_grid_too_large_to_show_is_refused():
    big = np.zeros((65, 3))
    with pytest.raises(ValueError, match="64 rows and columns"):
        grids(big, big, big > 0, ("", ""), "")


def test_the_ring_is_the_one_in_the_notebook():
    from autograder.authoring import percent

    cells = [c.source for c in percent.read("ising").cells if "noisy_ring = " in c.source]
    names: dict[str, object] = {"np": np}
    exec(cells[0].split("restored_ring")[0], names)
    assert (noisy_ring() == names["noisy_ring"]).all()


@pytest.mark.parametrize("mistake", denoise.mistakes, ids=lambda m: m.name)
def test_the_drawn_ring_shows_what_the_function_made_and_where_it_is_no_minimum(mistake):
    noisy = noisy_ring()
    attempt = LocalAttempt(denoise, mistake.function, 0)
    picture = denoise.example(attempt)
    found = np.array([[int(digit) for digit in row] for row in picture.right])
    assert (found % 2 == mistake.function(noisy.copy(), 1.0, 1.1)).all()
    settled = is_local_minimum(found % 2, noisy, 1.0, 1.1)
    assert (found >= 2).any() != settled


# --- Through the judge


def toy_with_pictures():
    """One exercise with a sampler's check and a public example."""
    exercise = Exercise("flip", "Flip", lambda x, rng: (rng.random(len(x)) < 0.3).astype(int))

    @exercise.check(5, "values")
    def _(attempt: Attempt) -> None:
        value = attempt.call(np.full(64, SECRET), attempt.draw_rng())
        attempt.expect(False, "wrong on purpose" if value is not None else "none")

    @exercise.check(5, "the law")
    def _(attempt: Attempt) -> None:
        def draw(n: int) -> list[Count]:
            value = attempt.array(attempt.call(np.full(n, SECRET), attempt.draw_rng()), (n,))
            return [Count("a state", int(value.sum()), n, 0.3)]

        attempt.sequential(draw, 1000, "not the law")

    @exercise.draw
    def _(attempt: Attempt) -> Picture:
        public = np.ones((8, 8), dtype=int)
        found = attempt.array(attempt.call(public.ravel(), attempt.draw_rng()), (64,)).reshape(8, 8)
        return grids(public, found > 0, found < 0, ("public", "yours"), "The public example.")

    return Assignment("toy", (exercise,))


REMEMBERS = """
import numpy as np
seen = []
def flip(x, rng):
    seen.append(float(x[0]))
    with open("seen.txt", "a") as file: print(x[0], file=file)
    before = [float(line) for line in open("seen.txt")]
    return np.full(len(x), 0 if any(value != 1.0 for value in seen + before) else 1)
"""


@pytest.mark.sandbox
def test_the_judge_draws_what_failed_and_the_example_meets_no_hidden_input(sandbox, notebook):
    data = notebook(REMEMBERS)
    report = judge(data, toy_with_pictures(), sandbox, b"key").report
    example, law = (check.picture for check in report.exercises[0].checks)
    assert law.kind == "bars"
    assert (law.left, law.right) == ((0,), (30,))
    # A process that had met a hidden input would have returned 0, which is drawn as a light pixel.
    assert example.right == ("1" * 8,) * 8
    assert Report.from_json(report.to_json()) == report
    assert len(report.to_json()) < 3000
    assert str(SECRET)[:6] not in report.to_json()


@pytest.mark.sandbox
def test_nothing_is_drawn_for_who_is_right_or_has_not_answered(sandbox, notebook, toy):
    right = notebook("import numpy as np\ndef double(x): return 2 * np.asarray(x)")
    unsolved = notebook("def double(x): raise NotImplementedError")
    for data in (right, unsolved):
        report = judge(data, toy, sandbox, b"key").report
        assert [check.picture for check in report.exercises[0].checks] == [None, None]


@pytest.mark.slow
@pytest.mark.sandbox
def test_an_example_that_breaks_or_hangs_costs_no_verdict(sandbox, notebook):
    for body in ("raise ValueError", "while True: pass", "import os; os._exit(0)", "return object()"):
        code = f"def flip(x, rng):\n    if x.dtype.kind == 'i':\n        {body}\n    return x * 0"
        report = judge(notebook(code), toy_with_pictures(), sandbox, b"key").report
        example, law = (check.picture for check in report.exercises[0].checks)
        assert example is None
        assert law.kind == "bars"


@pytest.mark.slow
@pytest.mark.sandbox
def test_an_example_that_cannot_be_drawn_or_told_costs_no_verdict(sandbox, notebook, monkeypatch):
    """Whatever a student's value breaks in the judge, once its check is decided."""
    assignment = toy_with_pictures()
    exercise = assignment.exercises[0]

    def breaks(*_: object) -> None:
        raise OverflowError("an absurd number")

    monkeypatch.setattr("autograder.judging.judge.example_of", lambda *_: Example("flip(x)", (np.ones(4),)))
    monkeypatch.setattr(
        "autograder.judging.judge.with_answer", lambda text, outcome: breaks() if outcome else text
    )
    exercise.draw(breaks)
    report = judge(notebook(REMEMBERS), assignment, sandbox, b"key").report
    assert [check.score for check in report.exercises[0].checks] == [0, 0]
    assert report.exercises[0].checks[0].example == "flip(x)"


@pytest.mark.sandbox
def test_the_graded_notebook_holds_the_picture_with_its_words(sandbox, notebook):
    data = notebook(REMEMBERS)
    judged = judge(data, toy_with_pictures(), sandbox, b"key")
    tests = Marked("flip-tests", "code", "flip", {"grade": True, "solution": False, "points": 10})
    made = graded_notebook(parse(data), judged, Handout("toy", {"flip-tests": tests}, frozenset()))
    outputs = [output for cell in made["cells"] for output in cell.get("outputs", ())]
    printed = "".join(output["text"] for output in outputs if output["output_type"] == "stream")
    shown = [o["data"] for o in outputs if o["output_type"] == "display_data"]
    assert all(data["text/plain"] in printed for data in shown)
    assert [sorted(data) for data in shown] == [["image/svg+xml", "text/plain"]] * 2
    assert all(
        ElementTree.fromstring(data["image/svg+xml"]).get("aria-label") == data["text/plain"]
        for data in shown
    )
    assert all(data["image/svg+xml"].startswith('<svg xmlns="http://www.w3.org/2000/svg"') for data in shown)
