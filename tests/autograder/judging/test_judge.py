"""The judge: right is right however it is written, wrong is told why, and faults are nobody's zero."""

import dataclasses
import math

import numpy as np
import pytest

from autograder.exercises import attempt, values
from autograder.exercises.attempt import LocalAttempt, Wrong
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.exercise import Assignment, Exercise
from autograder.judging.judge import judge, seed_for
from autograder.judging.report import UNREADABLE, Report
from autograder.sandbox.limits import Limits

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]

RIGHT = "def double(x):\n    return 2 * x"


def grade(sandbox, toy, data, **limits):
    return judge(data, toy, sandbox, b"key", Limits(**limits)).report


def messages(report):
    return [check.message for exercise in report.exercises for check in exercise.checks]


def test_a_right_answer_gets_every_point(sandbox, toy, notebook):
    report = grade(sandbox, toy, notebook(RIGHT))
    assert report.score == report.max_score == 15
    assert report.isolation == sandbox.description


@pytest.mark.parametrize(
    "noise",
    [
        "import warnings; warnings.warn('careful')",
        "import sys; sys.stderr.write('progress 100%')",
        "print('x' * 300_000_000)",
        "raise RuntimeError('a cell of mine is broken')",
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
        "def broken(:",
        "import os; os._exit(1)",
        "get_ipython().run_line_magic('no_such_magic', '')",
    ],
)
def test_noise_beside_a_right_answer_costs_nothing(sandbox, toy, notebook, noise):
    before, after = grade(sandbox, toy, notebook(noise, RIGHT)), grade(sandbox, toy, notebook(RIGHT, noise))
    assert before.score == after.score == 15


def test_noise_inside_a_right_answer_costs_nothing(sandbox, toy, notebook):
    source = (
        "import sys, warnings, numpy as np\ndef double(x):\n    print('hm' * 10000); warnings.warn('w')\n"
        "    sys.stderr.write('e'); np.log(np.array(-1.0))\n    return 2 * x"
    )
    assert grade(sandbox, toy, notebook(source)).score == 15


def test_the_answer_may_be_a_list_a_tensor_or_a_lambda(sandbox, toy, notebook):
    for body in ("(2 * x).tolist()", "__import__('torch').as_tensor(2 * x)"):
        assert grade(sandbox, toy, notebook(f"def double(x): return {body}")).score == 15
    assert grade(sandbox, toy, notebook("double = lambda x: x + x")).score == 15


def test_the_last_definition_counts(sandbox, toy, notebook):
    assert grade(sandbox, toy, notebook("def double(x): return x", RIGHT)).score == 15


def test_a_named_mistake_is_told_its_name_and_hint(sandbox, toy, notebook):
    report = grade(sandbox, toy, notebook("def double(x): return x ** 2"))
    assert report.score == 0
    assert {c.mistake for c in report.exercises[0].checks} == {"squares instead"}
    assert report.exercises[0].checks[0].hint == "Twice a number is not its square."


def test_a_wrong_answer_of_no_known_kind_is_given_no_name(sandbox, toy, notebook):
    report = grade(sandbox, toy, notebook("def double(x): return 2.5 * x"))
    assert report.exercises[0].checks[0].mistake == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def double(x): raise NotImplementedError", "not solved yet"),
        ("pass", "defines no function `double`"),
        ("def double(x): return None", "is there a `return`"),
        (
            "def double(x): return x[:2]",
            "an array whose first axis is too short; expected an array of shape (3,)",
        ),
        ("import numpy as np\ndef double(x): return np.zeros((31415, 2))", "an array with 2 axes; expected"),
        ("def double(x): return 'six'", "a value of type str"),
        ("def double(x): return (y for y in x)", "a value of type generator"),
        ("def double(x): return x * float('nan')", "NaN"),
        ("def double(x): return [[1], [2, 3]]", "a value of type list"),
        ("def double(): return 1", "your function raised TypeError"),
        ("def double(x): import os; os._exit(0)", "ended before it answered"),
        ("import numpy as np\ndef double(x): return np.zeros(40_000_000)", "too large"),
        ("def double(x): return 10 ** 5000", "something that is not data"),
        ("double = 3", "your function raised TypeError"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(sandbox, toy, notebook, source, message):
    report = grade(sandbox, toy, notebook(source))
    assert report.score == 0
    assert message in messages(report)[0]


def test_an_exception_is_named_only_if_python_named_it(sandbox, toy, notebook):
    source = "def double(x):\n    raise type(f'secret_{x[0]}', (Exception,), {})(str(x))"
    assert "an exception of its own" in messages(grade(sandbox, toy, notebook(source)))[0]


def test_an_infinite_loop_costs_its_checks_and_bounded_time(sandbox, toy, notebook):
    quick = Assignment("toy", (Exercise("double", "t", toy.exercises[0].reference),))
    quick.exercises[0].checks = [dataclasses.replace(c, seconds=0.5) for c in toy.exercises[0].checks]
    before = sandbox.spent
    report = grade(sandbox, quick, notebook("def double(x):\n    while True: pass"))
    assert "took more than" in messages(report)[0]
    sandbox.end()
    assert sandbox.spent - before < 10


def test_a_cell_that_kills_or_starves_the_process_costs_only_itself(sandbox, toy, notebook):
    report = grade(
        sandbox, toy, notebook(RIGHT, "import os; os._exit(0)", "while True: pass"), cell_seconds=0.5
    )
    assert report.score == 15
    assert "cell 2 was left out: it ended the notebook's process" in report.notes


def test_a_notebook_that_sleeps_in_every_cell_is_cut_short(sandbox, toy, notebook, monkeypatch):
    """Each cell keeps to its own limit; together they would hold a lane for as many times as there are cells."""
    monkeypatch.setattr("autograder.sandbox.limits.PATIENCE", (1.0, 0.5))
    naps = ["import time; time.sleep(0.6); print('awake')"] * 8
    before = sandbox.spent
    judged = judge(notebook(RIGHT, *naps), toy, sandbox, b"key", Limits(notebook_seconds=0.5))
    assert "the notebook slept or waited for more than 1 seconds; the rest was not run" in judged.report.notes
    assert len([o for o in judged.outputs if "awake" in o.stdout]) < 8
    assert sandbox.spent - before > 1
    assert judged.report.score == 15


def test_code_that_disturbs_the_connection_costs_only_itself(sandbox, toy, notebook):
    spam = (
        "import os\nfor fd in range(3, 40):\n    try: os.write(fd, b'spam' * 100)\n    except OSError: pass"
    )
    assert grade(sandbox, toy, notebook(RIGHT, spam)).score == 15


def test_an_unreadable_file_scores_zero_with_the_reason(sandbox, toy):
    report = grade(sandbox, toy, b"{")
    assert (report.status, report.score, report.max_score) == (UNREADABLE, 0, 15)
    assert "cut off" in report.notes[0]


def test_the_same_bytes_always_meet_the_same_questions(sandbox, toy, notebook):
    data = notebook("import os\ndef double(x): return 2 * x + (x[0] > 0.5)")
    first, second = grade(sandbox, toy, data), grade(sandbox, toy, data)
    assert messages(first) == messages(second)
    assert seed_for(b"k", b"a", "c.1") != seed_for(b"k", b"b", "c.1") != seed_for(b"k", b"b", "c.2")
    assert seed_for(b"k", b"a", "c.1") != seed_for(b"l", b"a", "c.1")


def test_a_broken_check_raises_instead_of_costing_the_student(sandbox, notebook):
    exercise = Exercise("double", "t", lambda x: 2 * x)

    @exercise.check(points=1, tries="a bug of ours")
    def _(attempt):
        attempt.call(np.ones(2))
        raise KeyError("the check itself is broken")

    with pytest.raises(KeyError):
        grade(sandbox, Assignment("toy", (exercise,)), notebook(RIGHT))


def test_a_value_that_breaks_a_sound_check_is_the_students(sandbox, notebook):
    exercise = Exercise("double", "t", lambda x: 2 * x)

    @exercise.check(points=1, tries="sums")
    def _(attempt):
        attempt.expect(attempt.call(np.ones(2)).sum() == 4, "the sum is wrong")

    report = grade(sandbox, Assignment("toy", (exercise,)), notebook("def double(x): return 'two'"))
    assert messages(report) == ["your function returned a value that could not be checked"]


def test_a_report_survives_json(sandbox, toy, notebook):
    report = grade(sandbox, toy, notebook(RIGHT))
    assert Report.from_json(report.to_json()) == report


def test_an_unknown_assignment_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match="'astrology'"):
        assignment_named("astrology")


def test_alternatives_pass_and_mistakes_fail_in_this_process_too(toy):
    (exercise,) = toy.exercises
    for check in exercise.checks:
        for function in (exercise.reference, *exercise.alternatives):
            LocalAttempt.passes(exercise, check, function, seed=3)
        with pytest.raises(Wrong):
            LocalAttempt.passes(exercise, check, exercise.mistakes[0].function, seed=3)


SPECIAL = [0.0, 1.0, 1.0 + 5e-7, 1.1, -1.0, 1e300, math.inf, -math.inf, math.nan]
SPECIAL += [
    1,
    True,
    False,
    10**7,
    10**7 + 1,
    -(2**63),
    2**63 - 1,
    2**64 - 1,
    np.float64(1.1),
    np.float64("nan"),
]


@pytest.mark.parametrize("expected", SPECIAL)
@pytest.mark.parametrize("value", SPECIAL)
def test_two_numbers_are_as_close_as_two_arrays(value, expected):
    as_arrays = values.close(np.array(value), np.array(expected), 1e-6, 1e-9)
    assert values.close(value, expected, 1e-6, 1e-9) == as_arrays
    complaint = values.shape_complaint(np.array(value), np.array(expected))
    assert values.shape_complaint(value, expected) == complaint


def test_the_reference_gets_copies_however_deep_the_arrays_lie():
    inside = np.zeros(2)
    ((first, [second]),) = attempt.local([(inside, [inside])])
    first[0] = second[1] = 1.0
    assert (inside == 0).all()


def test_a_list_of_which_numpy_would_make_more_than_came_is_no_array():
    """NumPy makes every text as long as the longest, and every number as wide as the widest."""
    for value in (["x" * 1000] + [0.0] * 1000, [[0.0, [1, ["x"]]]], [np.ones(3_000_000, bool)] * 3):
        with pytest.raises(ValueError, match=r"no array|too long"):
            values.numpy_of(value)
    assert values.numpy_of([[1, 2.5], [3, 4]]).tolist() == [[1, 2.5], [3, 4]]
    assert values.shape_complaint(["1", 2.0], np.zeros(2)).endswith("expected an array of shape (2,)")
