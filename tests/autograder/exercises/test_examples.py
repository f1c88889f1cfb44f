"""The public example of a failed check: it can be run, it is right, and it holds nothing of the student's."""

import math
import random
import re

import numpy as np
import pytest
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.exercises.examples import example_of, public_seed, with_answer, without_repetition
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.likeness import matching_mistake
from autograder.judging.judge import judge

EXERCISES = [e for name in available_assignments() for e in assignment_named(name).exercises]


def examples_of(exercise, function, seed=5):
    tried = exercise.tried(function, lambda check: seed)
    found = [example_of(exercise, t.check, t.attempt) for t in tried if t.complaint]
    return [example.text for example in found if example]


def run(example, exercise, function):
    """What the first line gives with `function` as the answer, and what the second says."""
    call, told = re.split("\n# (?:must|could) give ", example)
    names = {"np": np, "torch": torch, "math": math, exercise.name: function}
    return eval(call, names), eval(told, names)


@pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])
def test_an_example_can_be_run_in_the_notebook_and_says_what_is_right(exercise):
    for function in (lambda *a: 1 / 0, *(mistake.function for mistake in exercise.mistakes[:3])):
        for example in examples_of(exercise, function):
            assert len(example) < 2500
            if not example.startswith("#"):
                found, told = run(example, exercise, exercise.reference)
                assert close(found, told), example


def close(found, told):
    if isinstance(told, tuple | list):
        return len(found) == len(told) and all(close(a, b) for a, b in zip(found, told))
    found, told = (x.detach() if hasattr(x, "detach") else x for x in (found, told))
    return np.allclose(np.asarray(found), np.asarray(told), rtol=1e-3, atol=1e-4, equal_nan=True)


def test_most_mistakes_of_deterministic_exercises_show_on_their_example():
    shown = wrong = 0
    for exercise in EXERCISES:
        for mistake in exercise.mistakes[:3]:
            for example in examples_of(exercise, mistake.function)[:1]:
                if "could give" in example or example.startswith("#"):
                    continue
                shown += 1
                try:
                    with np.errstate(all="ignore"):
                        found, told = run(example, exercise, mistake.function)
                    wrong += not close(found, told)
                except (ArithmeticError, TypeError, ValueError):
                    wrong += 1
    assert shown > 50
    assert wrong >= 0.9 * shown


def test_an_example_depends_on_nothing_that_counted():
    """Other hidden inputs, and another wrong answer that fails at the same place: the same example."""
    exercise = assignment_named("ising").exercise("energy")
    first = examples_of(exercise, lambda *a: 1e6, seed=1)
    assert first
    assert first == examples_of(exercise, lambda *a: -123456.0, seed=2)
    assert not any("1e6" in example or "123456" in example for example in first)


def test_a_call_that_raised_has_an_example_too():
    exercise = assignment_named("ising").exercise("energy")
    large, small = examples_of(exercise, lambda *a: a[0][99])[:2]
    assert large.startswith("# energy(<int64 array of shape (")
    assert small.startswith("energy(np.array(")
    assert close(*run(small, exercise, exercise.reference))


def test_an_exception_on_a_large_example_is_told_once_and_not_beside_a_small_one():
    raised = "\n# your function raised NameError: name 'n' is not defined"
    large, small = f"# f(<int64 array of shape (9, 9)>){raised}", f"f(1.)\n# must give 2.{raised}"
    assert without_repetition({"1": large, "2": large}) == {"1": large, "2": ""}
    assert without_repetition({"1": large, "2": large.replace("'n'", "'m'")}) == {"1": large, "2": ""}
    other = large.replace("NameError", "TypeError")
    assert without_repetition({"1": large, "2": other}) == {"1": large, "2": other}
    assert without_repetition({"1": large, "2": small}) == {"1": "", "2": small}
    assert without_repetition({"1": small, "2": small}) == {"1": small, "2": small}


@pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])
def test_what_a_check_complains_of_is_a_sentence_before_its_full_stop(exercise):
    for value in ("text", (1.0, "text"), ("text", 1.0), np.zeros(2)):
        complaints = [tried.complaint for tried in exercise.tried(lambda *a, value=value: value, lambda c: 5)]
        assert all(complaints)
        assert not [c for c in complaints if c[-1] in ",.:; " or " ," in c or ",," in c]


def test_people_and_the_normalizer_have_their_capitals_in_the_names_of_mistakes():
    names = [mistake.name for exercise in EXERCISES for mistake in exercise.mistakes]
    assert "takes the Langevin proposal for symmetric" in names
    people = "langevin|gaussian|gibbs|jacobian|hessian|metropolis|barkers?|fisher|markov|z"
    assert not [name for name in names if re.search(rf"\b({people})\b", name)]


def test_a_tuple_of_another_length_is_told_its_length():
    from autograder.exercises.values import shape_complaint

    assert shape_complaint((1.0, 2.0), (0.0, 0.0, 0.0)).endswith(
        "returned a tuple of 2; expected a tuple of 3 values"
    )


def test_where_chance_or_a_tie_decides_an_example_says_what_could_come_and_not_what_must():
    langevin = assignment_named("mcmc").exercise("langevin")
    tried = next(langevin.tried(lambda *a: 1 / 0, lambda check: 5))
    assert "must give" not in example_of(langevin, tried.check, tried.attempt).text
    best = assignment_named("ising").exercise("map_estimate")
    shown = examples_of(best, lambda noisy, *a: 1 - noisy)
    assert shown
    assert all("\n# could give np.array(" in example for example in shown)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ({"value": 1.66}, "# your function gave 1.66"),
        ({"value": 0.83}, "# your function gave the same to five digits; other inputs of this kind failed"),
        ({"value": "<b>\n0.83"}, "# your function gave '<b>\\n0.83'"),
        ({"value": 10**5000}, "# your function gave a value of type int"),
        ({"value": None}, "# your function gave None (is there a `return`?)"),
        ({"value": np.zeros((40, 3))}, "# your function gave <float64 array of shape (40, 3)>"),
        (
            {"value": (np.zeros((40, 3)), np.zeros(9))},
            "# your function gave (<float64 array of shape (40, 3)>, <float64 array of shape (9,)>)",
        ),
        ({"value": (1.0, [np.int64(2)])}, "# your function gave (1., [2])"),
        ({}, ""),
    ],
)
def test_an_example_says_what_the_function_gave(outcome, told):
    assert with_answer("f(1.)\n# must give 0.83", outcome) == f"f(1.)\n# must give 0.83\n{told}".strip()


def test_a_pair_of_small_matrices_is_shown_with_its_nans():
    P = np.full((6, 6), -0.123456)
    P[0, 0] = np.nan
    told = with_answer("f(1.)\n# must give 1.", {"value": (P, P)}).splitlines()[-1]
    assert told.startswith("# your function gave (np.array([[np.nan, -0.12346, ")
    assert told.count("-0.12346") == 70
    assert told.endswith("]]))")


def test_zero_divided_by_zero_is_told_by_whoever_has_it_in_logs_too():
    exercise = assignment_named("mcmc").exercise("transition_matrix")

    def in_logs(log_p, Q):
        logs = log_p[None] - log_p[:, None] + np.log(Q.T) - np.log(Q)
        P = Q * np.exp(np.minimum(0, logs))
        P -= np.diag(np.diag(P))
        P += np.diag(1 - P.sum(1))
        return P, np.exp(log_p - np.logaddexp.reduce(log_p))[:, None] * P

    with np.errstate(all="ignore"):
        match = matching_mistake(exercise, list(exercise.tried(in_logs, lambda check: 5)))
    assert match is not None
    assert match.mistake.name == "divides zero by zero"


def test_a_message_stays_on_its_line_and_is_cut():
    raised = {"type": "Mine\x00", "message": "a\n# must give 1\r" + "x" * 2000, "line": 3, "code": "raise"}
    text = with_answer("f(1.)\n# must give 0.83", {"raised": raised})
    lines = text.splitlines()
    assert lines[2].startswith("# your function raised Mine: a # must give 1 xxx")
    assert lines[3:] == ["#   in line 3 of a cell: raise"]
    assert len(text) < 500


# --- Through the judge

SECRET = 271828.125


def toy():
    """One exercise whose checks ask hidden inputs: a secret number unless the seed is the public one."""
    double = Exercise("double", "Double", lambda x: 2 * x)
    for name in ("double.1", "double.2"):

        @double.check(5, "numbers")
        def _(attempt: Attempt, name: str = name) -> None:
            public = np.random.default_rng(public_seed(name)).bit_generator.state
            hidden = attempt.rng.bit_generator.state != public
            attempt.compare([(SECRET if hidden else 0.5,)])

    return Assignment("toy", (double,))


@pytest.mark.sandbox
def test_the_card_shows_the_students_own_line_and_message_on_the_public_example(sandbox, notebook):
    code = "def double(x):\n    y = [1, 2]\n    return y[int(x) + 5]"
    for check in judge(notebook(code), toy(), sandbox, b"key").report.exercises[0].checks:
        assert check.message == "your function raised IndexError"
        assert check.example.splitlines() == [
            "double(0.5)",
            "# must give 1.",
            "# your function raised IndexError: list index out of range",
            "#   in double, line 3 of its cell: return y[int(x) + 5]",
        ]


def often_wrong():
    """One exercise whose check asks for the public number 0.5 first, and other numbers from other public seeds."""
    double = Exercise("double", "Double", lambda x: 2 * x)

    @double.check(5, "numbers")
    def _(attempt: Attempt) -> None:
        public = np.random.default_rng(public_seed("double.1")).bit_generator.state
        first = attempt.rng.bit_generator.state == public
        attempt.compare([(np.array([[0.5 if first else attempt.rng.uniform(1, 2)]]),)])

    return Assignment("toy", (double,))


@pytest.mark.sandbox
def test_of_a_few_public_examples_the_first_is_shown_on_which_the_function_fails(sandbox, notebook):
    def shown(code):
        report = judge(notebook(code), often_wrong(), sandbox, b"key").report
        assert report.score == 0
        return report.exercises[0].checks[0].example

    wrong = shown("def double(x): return 2 * x if x.max() < 1 else 3 * x")
    call, told, gave = wrong.splitlines()
    x = eval(call, {"np": np, "double": lambda x: x.item()})
    assert 1 <= x <= 2
    assert eval(told.removeprefix("# must give "), {"np": np}).item() == pytest.approx(2 * x, rel=1e-4)
    assert eval(gave.removeprefix("# your function gave "), {"np": np}).item() == pytest.approx(
        3 * x, rel=1e-4
    )
    raised = shown("def double(x):\n    if x.max() > 1: raise IndexError('out')\n    return 2 * x")
    assert "# your function raised IndexError: out" in raised
    never = shown("def double(x): return 2.000004 * x")
    assert never.splitlines() == [
        "double(np.array([[0.5]]))",
        "# must give np.array([[1.]])",
        "# your function gave the same to five digits; other inputs of this kind failed",
    ]


def test_no_value_stands_beside_an_example_without_numbers_and_whole_numbers_have_no_five_digits():
    large = "# f(<int64 array of shape (9, 9)>)"
    assert with_answer(large, {"value": -3.0123}) == ""
    assert with_answer(large, {"raised": {"type": "E", "message": "", "line": 0}}).endswith("raised E")
    whole = with_answer("f(1)\n# must give np.array([[0, 1]])", {"value": np.array([[0, 1]])})
    assert whole.endswith("# your function gave the same; other inputs of this kind failed")


@pytest.mark.sandbox
def test_a_line_of_another_cell_is_told_with_the_function_that_it_stands_in(sandbox, notebook):
    first = "def helper(x):\n    pass\n    return [y[5] for y in [[x]]]\nkey = lambda x: {}[0]"
    for called, where in (("helper", "helper, line 3 of its cell"), ("key", "line 4 of a cell")):
        work = notebook(first, f"def double(x):\n    return {called}(x)")
        example = judge(work, toy(), sandbox, b"key").report.exercises[0].checks[0].example
        assert example.splitlines()[-1].startswith(f"#   in {where}: ")


@pytest.mark.sandbox
def test_the_card_shows_the_value_that_the_function_gave(sandbox, notebook):
    checks = judge(notebook("def double(x): return 3 * x"), toy(), sandbox, b"key").report.exercises[0].checks
    assert checks[0].example == "double(0.5)\n# must give 1.\n# your function gave 1.5"


TELLS_ALL = """
import os, random, sys
met = []
def double(x):
    drawn = random.random()
    met.append(x)
    for folder in (".", "/tmp", "/dev/shm"):
        try:
            with open(os.path.join(folder, "met.txt"), "a") as file: print(x, file=file)
            met.append(open(os.path.join(folder, "met.txt")).read())
        except OSError: pass
    frame = sys._getframe()
    while frame:
        met.append(frame.f_locals.get("request", {}).get("seed"))
        frame = frame.f_back
    %s
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("end", ["raise ValueError(f'{drawn} {met}')", "return f'{drawn} {met}'"])
def test_the_process_that_meets_the_example_has_met_no_hidden_input_and_no_hidden_seed(
    sandbox, notebook, end
):
    """A function that tells all it has ever met: nothing of it is secret, and two keys give one card."""
    told = []
    for key in (b"key", b"another"):
        report = judge(notebook(TELLS_ALL % end), toy(), sandbox, key).report
        assert str(SECRET) not in report.to_json()
        told.append([check.example for check in report.exercises[0].checks])
        assert f"{random.Random(public_seed('double.1')).random()}" in told[-1][0]
        assert f"{public_seed('double.1')}," in told[-1][0]  # of the request itself
    assert told[0] == told[1]


@pytest.mark.slow
@pytest.mark.sandbox
def test_an_example_on_which_the_process_ends_or_hangs_costs_nothing(sandbox, notebook):
    for end in ("while True: pass", "import os; os._exit(0)", "return object()"):
        code = f"def double(x):\n    if x < 1:\n        {end}\n    return 0.0"
        check = judge(notebook(code), toy(), sandbox, b"key").report.exercises[0].checks[0]
        assert check.message.startswith("1 of 1 inputs gave another value")
        assert check.example.startswith("double(0.5)\n# must give 1.")


def test_rows_without_numbers_are_described_and_not_written_out():
    """A reply of a few bytes may have as many empty rows as an array may have bytes."""
    for value in (np.zeros((1 << 26, 0)), [np.zeros(0)] * 100_000, [[]] * 1_000_000):
        told = with_answer("f(1)\n# must give 1", {"value": value})
        assert len(told) < 200
        assert "# your function gave a" in told
    assert with_answer("f(1)\n# must give 1", {"value": [[], []]}).endswith("gave [[], []]")
