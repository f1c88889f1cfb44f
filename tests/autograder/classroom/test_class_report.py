"""The instructor's report: right numbers, one safe page, and memory that does not grow with the class."""

import dataclasses
import html.parser
import json
import re
import shutil
import tracemalloc

import numpy as np
import pytest

from autograder.classroom import class_report as overview
from autograder.classroom.class_report import LISTED, Correlation, Overview, page
from autograder.classroom.store import Store
from autograder.exercises.catalogue import assignment_named
from autograder.judging.judge import Judged
from autograder.judging.report import GRADED, UNREADABLE, CheckResult, ExerciseResult, Report

SQUARES = ("squares instead", "Twice a number is not its square.")


@pytest.fixture(autouse=True)
def _toy_checks(classroom):
    """Every test finds the toy's checks."""


def verdict(*passed: bool, mistake=("", ""), status=GRADED, notes=(), seconds=0.25) -> Report:
    """A report on the toy assignment where these of its checks passed."""
    flags = iter(passed)
    exercises = []
    for exercise in assignment_named("toy").exercises:
        results = []
        for check in exercise.checks:
            right = next(flags)
            name, hint = ("", "") if right else mistake
            score = check.points if right else 0.0
            message = "right" if right else "wrong"
            results.append(
                CheckResult(check.name, check.points, score, check.tries, message, name, hint, seconds)
            )
        exercises.append(ExerciseResult(exercise.name, exercise.title, tuple(results)))
    return Report("toy", status, tuple(exercises), notes, "namespaces+seccomp", 1.5, max_score=80.0)


def counted(*reports: Report) -> Overview:
    found = Overview("toy")
    for number, report in enumerate(reports):
        found.add(f"student {number}", report)
    return found


def test_the_correlation_is_pearsons_and_there_is_none_with_a_constant():
    rng = np.random.default_rng(1)
    x = rng.normal(size=500)
    y = 0.3 * x + rng.normal(size=500) + 1e3
    found, constant = Correlation(), Correlation()
    for a, b in zip(x, y):
        found.add(a, b)
        constant.add(0.1, b)
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    assert constant.value is None


def test_difficulty_and_discrimination_are_those_of_the_matrix_of_points():
    rng = np.random.default_rng(2)
    able = rng.normal(size=200)
    passed = able[:, None] + rng.normal(size=(200, 3)) > [-0.5, 0.0, 0.5]
    found = counted(*(verdict(*row) for row in passed.tolist()))
    scores = passed * [30.0, 10.0, 40.0]
    items = [item for chapter in found.chapters.values() for item in chapter.checks.values()]
    for column, item in enumerate(items):
        rest = scores.sum(1) - scores[:, column]
        assert item.difficulty == pytest.approx(passed[:, column].mean())
        assert item.discrimination == pytest.approx(np.corrcoef(scores[:, column], rest)[0, 1])
        assert item.full == passed[:, column].sum()
    doubling = found.chapters["double"].item
    assert doubling.discrimination == pytest.approx(np.corrcoef(scores[:, :2].sum(1), scores[:, 2])[0, 1])
    assert found.mean == pytest.approx(scores.sum(1).mean())
    assert found.median == np.median(scores.sum(1))
    assert sum(bar.students for bar in found.bars) == found.graded == 200


def test_full_marks_and_no_marks_stand_in_the_outer_bars():
    found = counted(verdict(True, True, True), verdict(False, False, False), verdict(False, False, False))
    assert [bar.students for bar in found.bars] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found.bars[0].share == 100


def test_few_students_have_no_discrimination():
    found = counted(*[verdict(True, True, True), verdict(False, False, False)] * 4)
    assert found.chapters["double"].item.discrimination is None
    assert "–" in page(found)


def test_each_student_counts_once_for_a_mistake_however_many_checks_it_fails():
    made = verdict(False, False, True, mistake=SQUARES)
    found = counted(made, made, verdict(True, True, False), verdict(True, True, True))
    assert found.named == [("Twice as much", SQUARES[0], 2, SQUARES[1])]
    assert found.unnamed == [("A sum", 1)]


def test_unreadable_work_is_listed_and_says_nothing_about_the_checks():
    bad = verdict(False, False, False, status=UNREADABLE, notes=("the file is empty",))
    found = counted(verdict(True, True, True), bad)
    assert (found.graded, found.mean, found.count_unreadable) == (1, 80.0, 1)
    assert "the file is empty" in page(found)


def test_what_the_page_shows_is_told_to_programs_too():
    found = counted(
        *[verdict(True, True, True)] * 3,
        verdict(False, True, True, mistake=SQUARES),
        verdict(False, True, True),
    )
    said = json.loads(json.dumps(found.plain()))
    assert (said["graded"], said["mean"], said["median"], said["maximum"]) == (
        5,
        found.mean,
        found.median,
        80,
    )
    double = said["exercises"]["double"]
    assert (double["mistakes"], double["unnamed_mistakes"], double["full_marks"]) == (
        {"squares instead": 1},
        1,
        3,
    )
    assert double["mean_share"] == found.chapters["double"].item.difficulty < 1
    assert set(double["checks"]) == set(found.chapters["double"].checks)


def test_submissions_without_a_verdict_are_listed_and_what_is_gone_from_the_inbox_still_counts(classroom):
    store = Store(classroom.course, "toy")
    store.save("k1", Judged(verdict(True, True, True)))
    store.record("ada", "k1")
    store.record("gone", "k1")
    store.record("lost", "no such verdict")
    classroom.submit("ada", b"")
    classroom.submit("bob", b"")
    found = overview.overview(classroom.course, "toy")
    assert (found.graded, found.ungraded) == (2, ["bob", "lost"])
    text = overview.write(classroom.course, "toy")[0].read_text()
    assert "bob" in text
    assert "autograder grade toy" in text


@pytest.mark.slow
def test_verdicts_on_earlier_work_are_named(classroom, right):
    for student in ("ada", "bob", "cleo", "dora"):
        classroom.submit(student, right)
    classroom.submit("dora", b"", "essay.txt").with_name("toy.ipynb").unlink()
    classroom.grade()
    assert overview.overview(classroom.course, "toy").outdated == []
    classroom.submit("bob", {})
    shutil.rmtree(classroom.course.folder("submitted", "cleo"))
    found = overview.overview(classroom.course, "toy")
    assert (found.graded, found.count_unreadable, found.outdated) == (3, 1, ["bob"])
    assert "on an earlier submission" in page(found)


def test_nothing_graded_says_what_to_run(classroom):
    classroom.submit("ada", b"")
    with pytest.raises(ValueError, match="run: autograder grade toy"):
        overview.overview(classroom.course, "toy")


class Elements(html.parser.HTMLParser):
    """Every tag that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_loads_nothing_runs_nothing_and_shows_students_names_as_text():
    hostile = "<script>alert(1)</script>\x1b"
    bad = verdict(False, False, False, status=UNREADABLE, notes=(hostile,))
    found = counted(verdict(True, True, True))
    found.add(hostile, bad)
    found.miss(hostile)
    text = page(found)
    tags = Elements(text).tags
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in tags}
    assert not any(name.startswith("on") or name in ("src", "href") for _, found in tags for name in found)
    policy = next(a["content"] for t, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "&lt;script&gt;" in text
    assert not re.search(r"https?://|url\(", text)


def test_every_table_has_a_caption_and_headers_with_a_scope():
    tags = Elements(page(counted(verdict(True, False, True, mistake=SQUARES)))).tags
    names = [tag for tag, _ in tags]
    assert names.count("caption") == names.count("table") == 3
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")


def test_memory_does_not_grow_with_the_class():
    reports = [verdict(a, b, c) for a in (True, False) for b in (True, False) for c in (True, False)]
    bad = dataclasses.replace(reports[0], status=UNREADABLE, notes=("empty",))

    def peak(students: int) -> int:
        found = Overview("toy")
        tracemalloc.start()
        for number in range(students):
            found.add(str(number), reports[number % 8])
            found.add(str(number), bad)
            found.miss(str(number))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.count_ungraded == found.count_unreadable == found.graded == students
        return used

    assert peak(10 * LISTED) < 1.2 * peak(LISTED) + 4096
