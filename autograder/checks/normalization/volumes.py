"""Exercise 3: any function, by quadrature."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.draws import sign, uniform
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker.codec import Source

from .definitions import Call, volumes_of

volumes = Exercise("volumes", "Any function, by quadrature", volumes_of)

TOLERANCE = 1e-5


def interval(rng: np.random.Generator) -> tuple[float, float]:
    """An interval that holds 0 away from its ends, with a length that is no special number."""
    return -uniform(rng, 0.6, 2.0), uniform(rng, 2.2, 3.8)


def wavy(rng: np.random.Generator, shift: float = 0.0) -> Source:
    """A sum of a wave and a slope: it takes different values at the two ends of any interval."""
    return Source(
        "lambda x: shift + a * np.sin(b * x + c) + d * x",
        shift=shift,
        a=uniform(rng, 0.5, 1.2),
        b=uniform(rng, 1.0, 4.0),
        c=uniform(rng, 0.0, 6.0),
        d=sign(rng) * uniform(rng, 1.0, 1.5),
    )


def smooth_calls(rng: np.random.Generator) -> list[Call]:
    return [(wavy(rng, uniform(rng, 0.3, 0.8)), *interval(rng)) for _ in range(4)]


@volumes.check(6, "the volume of exp f, for random smooth functions")
def _(attempt: Attempt) -> None:
    compare_part(attempt, smooth_calls(attempt.rng), 0, rtol=TOLERANCE, atol=0.0)


@volumes.check(6, "the volume of f², for random smooth functions")
def _(attempt: Attempt) -> None:
    compare_part(attempt, smooth_calls(attempt.rng), 1, rtol=TOLERANCE, atol=0.0)


@volumes.check(4, "narrow peaks in wide intervals")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for _ in range(3):
        peak = Source(
            "lambda x: h * np.exp(-((x - m) / s) ** 2 / 2) - 1",
            h=uniform(rng, 5.0, 9.0),
            m=uniform(rng, -4.0, 4.0),
            s=uniform(rng, 0.022, 0.05),
        )
        calls.append((peak, -uniform(rng, 8.0, 10.0), uniform(rng, 8.0, 10.0)))
    attempt.compare(calls, rtol=TOLERANCE, atol=0.0)


@volumes.check(4, "constant functions, functions in the hundreds, and short intervals")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [(wavy(rng, shift), *interval(rng)) for shift in (400.0, -400.0)]
    constant = Source("lambda x: c + 0.0 * x", c=-uniform(rng, 1.0, 3.0))
    start = uniform(rng, 100.0, 300.0)
    calls += [(constant, *interval(rng)), (wavy(rng, 1.0), start, start + uniform(rng, 0.01, 0.02))]
    attempt.compare(calls, rtol=TOLERANCE, atol=0.0)


@volumes.mistake("A sum over left ends is off by half a slice at both ends. Take midpoints, or trapezoids.")
def sums_over_the_left_ends(f, lower, upper):
    x = np.linspace(lower, upper, 10001)
    y = f(x)[:-1]
    width = x[1] - x[0]
    return width * np.exp(y).sum(), width * (y**2).sum()


@volumes.mistake("Both end points are counted in full: in the trapezoid rule they count one half.")
def counts_both_ends_in_full(f, lower, upper):
    x = np.linspace(lower, upper, 10001)
    width = x[1] - x[0]
    return width * np.exp(f(x)).sum(), width * (f(x) ** 2).sum()


@volumes.mistake("n points have n - 1 slices between them: the width is (upper - lower) / (n - 1).")
def divides_by_the_number_of_points(f, lower, upper):
    y = f(np.linspace(lower, upper, 10001))
    width = (upper - lower) / 10001
    return (
        width * (np.exp(y).sum() - (np.exp(y[0]) + np.exp(y[-1])) / 2),
        width * ((y**2).sum() - (y[0] ** 2 + y[-1] ** 2) / 2),
    )


@volumes.mistake("Too few points: look at 20,000 or more, or a narrow peak falls between them.")
def looks_at_a_hundred_points(f, lower, upper):
    x = np.linspace(lower, upper, 100)
    return np.trapezoid(np.exp(f(x)), x), np.trapezoid(f(x) ** 2, x)


@volumes.mistake("A mean is not yet an integral: multiply it by the length of the interval.")
def forgets_the_length_of_the_interval(f, lower, upper):
    edges = np.linspace(lower, upper, 10001)
    y = f((edges[1:] + edges[:-1]) / 2)
    return np.exp(y).mean(), (y**2).mean()


@volumes.mistake("First square (or exponentiate) the values, then add them up, not the other way round.")
def integrates_f_before_it_squares_and_exponentiates(f, lower, upper):
    x = np.linspace(lower, upper, 10001)
    total = np.trapezoid(f(x), x)
    return np.exp(total), total**2


@volumes.mistake("The two values of the pair are exchanged: exp f comes first.")
def returns_the_pair_in_the_other_order(f, lower, upper):
    edges = np.linspace(lower, upper, 10001)
    y = f((edges[1:] + edges[:-1]) / 2)
    width = (upper - lower) / 10000
    return width * (y**2).sum(), width * np.exp(y).sum()


@volumes.mistake("The density is exp(f), not exp(-f): here f is the negative of an energy.")
def takes_f_for_an_energy(f, lower, upper):
    x = np.linspace(lower, upper, 10001)
    return np.trapezoid(np.exp(-f(x)), x), np.trapezoid(f(x) ** 2, x)


@volumes.mistake("The integral starts at lower, which need not be 0.")
def starts_at_zero(f, lower, upper):
    x = np.linspace(0.0, upper, 10001)
    return np.trapezoid(np.exp(f(x)), x), np.trapezoid(f(x) ** 2, x)


@volumes.mistake(
    "The right ends alone count the last value too much: take midpoints, or the trapezoidal rule."
)
def sums_over_the_right_ends(f, low, high):
    x = np.linspace(low, high, 20001)[1:]
    width = (high - low) / 20000
    return np.exp(f(x)).sum() * width, (f(x) ** 2).sum() * width


@volumes.alternative
def volumes_by_trapezoids(f, lower, upper):
    x = np.linspace(lower, upper, 20001)
    return np.trapezoid(np.exp(f(x)), x), np.trapezoid(f(x) ** 2, x)


@volumes.alternative
def volumes_by_simpson(f, lower, upper):
    from scipy.integrate import simpson

    x = np.linspace(lower, upper, 20001)
    return float(simpson(np.exp(f(x)), x=x)), float(simpson(f(x) ** 2, x=x))


@volumes.alternative
def volumes_by_gauss_in_every_cell(f, lower, upper):
    nodes, weights = np.polynomial.legendre.leggauss(16)
    n_cells = 250
    half = (upper - lower) / n_cells / 2
    z_exp = z_square = 0.0
    for cell in range(n_cells):
        y = f(lower + (2 * cell + 1) * half + half * nodes)
        z_exp += half * (weights * np.exp(y)).sum()
        z_square += half * (weights * y * y).sum()
    return z_exp, z_square


@volumes.alternative
def volumes_by_a_running_sum(f, lower, upper):
    n = 20_000
    width = (upper - lower) / n
    y = f(lower + (np.arange(n) + 0.5) * width)
    return tuple(np.cumsum(width * g)[-1] for g in (np.exp(y), np.square(y)))
