"""Hidden checks of the normalization assignment: sums, closed forms, quadrature, flows, enumeration, ratios.

    p(x) = g(x) / Z,   g = exp f or f²,   Z = Σ_x g(x)  or  ∫ g(x) dx

Every answer has one value, so all checks compare numbers; none needs a statistical test. Where an answer is a
pair, each half has a check of its own. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from autograder.exercises.attempt import Attempt, Wrong, local
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.values import close, shape_complaint
from autograder.sandbox.worker.codec import Source, Tensor

Array = np.ndarray
Call = tuple[Any, ...]


# --- The definitions


def log_sum_exp_of(a: Array) -> Array:
    """log Σ exp over the last axis."""
    return np.asarray(np.logaddexp.reduce(a.astype(float), axis=-1))


def log_normalizers_of(scale: Array, rate: Array) -> tuple[Array, Array]:
    """log √(2π) σ and -log λ."""
    return 0.5 * math.log(2 * math.pi) + np.log(scale), -np.log(rate)


CELLS = 300
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)


def volumes_of(f: Callable[[Array], Array], lower: float, upper: float) -> tuple[float, float]:
    """∫ exp f and ∫ f², by 16 Gauss-Legendre nodes in each of 300 cells."""
    edges = np.linspace(lower, upper, CELLS + 1)
    half = (upper - lower) / (2 * CELLS)
    x = ((edges[:-1] + half)[:, None] + half * NODES).ravel()
    weights = np.tile(half * WEIGHTS, CELLS)
    values = f(x)
    return float(weights @ np.exp(values)), float(weights @ values**2)


def flow_log_prob_of(to_latent: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """log N(z(x); 0, I) + log |det ∂z/∂x| of each row."""
    inputs = x.detach().requires_grad_(True)
    z = to_latent(inputs)
    # Rows do not mix, so the gradient of a column's sum holds one row of every Jacobian.
    rows = [torch.autograd.grad(column, inputs, retain_graph=True)[0] for column in z.sum(0)]
    log_det = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return (log_det - 0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)).detach()


def enumerate_log_z_of(energy: Callable[[Array], Array], n: int, q: int) -> tuple[float, int]:
    """log Σ exp(-E) over {0, …, q-1}^n, and q^n."""
    states = np.array(list(itertools.product(range(q), repeat=n)))
    return float(np.logaddexp.reduce(-np.asarray(energy(states), dtype=float))), q**n


def log_ratios_of(f: Callable[[Array], Array], x: Array, y: Array) -> tuple[Array, Array]:
    """f(x) - f(y), and 2 log |f(x) / f(y)|."""
    with np.errstate(divide="ignore"):
        return f(x) - f(y), 2 * np.log(np.abs(f(x))) - 2 * np.log(np.abs(f(y)))


# --- Inputs drawn at grading time, and comparisons of one half of a pair


def between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def sign(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def compare_half(
    attempt: Attempt, calls: Sequence[Call], half: int, rtol: float = 1e-6, atol: float = 1e-6
) -> None:
    """The first (0) or second (1) value of each returned pair must agree with the reference."""
    values = attempt.call_many(calls)
    wrong = 0
    for value, args in zip(values, calls):
        expected = attempt.exercise.reference(*local(args))
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise Wrong(shape_complaint(value, expected))
        if complaint := shape_complaint(value[half], expected[half]):
            raise Wrong(complaint.replace("your function returned", "one value of the pair is"))
        wrong += not close(value[half], expected[half], rtol, atol)
    which = "first" if half == 0 else "second"
    attempt.expect(
        not wrong,
        f"the {which} value of the pair differs from the definition for {wrong} of {len(calls)} inputs",
    )


# --- Exercise 1: a stable log-sum-exp

log_sum_exp = Exercise("log_sum_exp", "A stable log-sum-exp", log_sum_exp_of)


@log_sum_exp.check(6, "random arrays with one, two and three axes")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    shapes = [(4,), (7,), (3, 5), (5, 3), (6, 2), (2, 3, 4), (3, 2, 5)]
    attempt.compare([(rng.normal(0, 2, s),) for s in shapes])


@log_sum_exp.check(5, "entries in the thousands, rows of different sizes, and rows that span a wide range")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(rng.normal(0, 2, (4, 3)) + centre,) for centre in (3000.0, -3000.0, between(rng, 800, 2000))]
    ladder = np.array([-4000.0, -1000.0, 0.0, 1500.0, 5000.0])[:, None]
    calls += [(rng.normal(0, 2, (5, 6)) + rng.permutation(ladder),)]
    calls += [(np.append(rng.normal(0, 1, 6), between(rng, 1500, 3000)),) for _ in range(2)]
    attempt.compare(calls)


@log_sum_exp.check(4, "terms of zero, a single term, ties, an empty batch, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    holes = rng.normal(0, 2, (4, 5))
    holes[0, int(rng.integers(5))] = holes[1, :4] = holes[2] = -np.inf
    attempt.compare([(holes,), (np.full(3, -np.inf),), (rng.normal(0, 2, 1),), (rng.normal(0, 2, (4, 1)),)])
    attempt.compare([(np.full((2, 6), between(rng, -5, 5)),), (np.zeros((0, 3)),)])
    small = rng.normal(0, 2, (3, 4)).astype(np.float32)
    attempt.compare([(small + np.float32(300),), (small - np.float32(300),)], rtol=1e-5, atol=1e-4)


@log_sum_exp.mistake("exp overflows above 709 and is 0 below -745: subtract the largest entry before exp.")
def exponentiates_the_entries_as_they_are(a):
    return np.log(np.exp(a).sum(-1))


@log_sum_exp.mistake("The maximum that was subtracted inside the exponential must be added after the log.")
def forgets_to_add_the_maximum_back(a):
    largest = a.max(-1, keepdims=True, initial=-np.inf)
    return np.log(np.exp(a - np.where(np.isfinite(largest), largest, 0)).sum(-1))


@log_sum_exp.mistake("The sum runs over the last axis only: each row has a result of its own.")
def sums_over_all_axes(a):
    return np.logaddexp.reduce(np.append(a.ravel(), -np.inf))


@log_sum_exp.mistake("The sum runs over the last axis, not over the first.")
def sums_over_the_first_axis(a):
    return np.logaddexp.reduce(a, axis=0)


@log_sum_exp.mistake(
    "The maximum of the whole array is too large for the smaller rows: their terms underflow. Take each row's own."
)
def subtracts_one_maximum_for_all_rows(a):
    largest = a.max(initial=-1e300)
    largest = largest if largest > -1e300 else 0.0
    return np.log(np.exp(a - largest).sum(-1)) + largest


@log_sum_exp.mistake(
    "Subtract the largest entry, not the mean: one entry far above the mean still overflows."
)
def subtracts_the_mean(a):
    middle = a.mean(-1, keepdims=True)
    middle = np.where(np.isfinite(middle), middle, 0)
    return np.log(np.exp(a - middle).sum(-1)) + middle[..., 0]


@log_sum_exp.mistake(
    "Where all entries are -inf the maximum is -inf, and -inf - (-inf) is NaN. Subtract 0 in such rows."
)
def subtracts_infinity_from_infinity(a):
    largest = a.max(-1, keepdims=True, initial=-np.inf)
    return np.log(np.exp(a - largest).sum(-1)) + largest[..., 0]


@log_sum_exp.mistake("The sum is asked for, not the mean: the result is too small by log n.")
def averages_the_terms(a):
    return np.logaddexp.reduce(a, axis=-1) - np.log(a.shape[-1])


@log_sum_exp.mistake("The largest entry alone is not the sum: n equal terms give log n more.")
def takes_the_maximum_for_the_sum(a):
    return a.max(-1, initial=-np.inf)


@log_sum_exp.alternative
def sum_by_logaddexp(a):
    return np.logaddexp.reduce(a, axis=-1)


@log_sum_exp.alternative
def sum_by_loops(a):
    results = []
    for row in a.reshape(-1, a.shape[-1]).tolist():
        largest = max(row)
        if largest == -math.inf:
            results.append(largest)
        else:
            results.append(largest + math.log(sum(math.exp(value - largest) for value in row)))
    return np.array(results).reshape(a.shape[:-1])


@log_sum_exp.alternative
def sum_by_sorting(a):
    ordered = np.sort(a.astype(float), axis=-1)
    top, rest = ordered[..., -1], ordered[..., :-1]
    with np.errstate(invalid="ignore"):
        ratios = np.nan_to_num(np.exp(rest - top[..., None]), nan=0.0)
    return top + np.log1p(ratios.sum(-1))


@log_sum_exp.alternative
def sum_by_torch(a):
    return torch.logsumexp(torch.from_numpy(a), dim=-1)


# --- Exercise 2: two volumes in closed form

log_normalizers = Exercise("log_normalizers", "Two volumes in closed form", log_normalizers_of)


def positive(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Positive numbers, none of them near 1, where a logarithm hides mistakes."""
    magnitude = rng.uniform(0.3, 2.0, size)
    return np.exp(np.where(rng.random(size) < 0.5, -magnitude, magnitude))


def pairs(rng: np.random.Generator) -> list[Call]:
    sizes = [(4,), (2, 3), (1,), (3, 1, 2)]
    calls: list[Call] = [(positive(rng, s), positive(rng, t)) for s, t in zip(sizes, reversed(sizes))]
    return [*calls, (float(positive(rng, ())), float(positive(rng, ())))]


@log_normalizers.check(4, "the volume of the Gaussian, for arrays of several shapes and single numbers")
def _(attempt: Attempt) -> None:
    compare_half(attempt, pairs(attempt.rng), 0)


@log_normalizers.check(3, "the volume of the exponential, for arrays of several shapes and single numbers")
def _(attempt: Attempt) -> None:
    compare_half(attempt, pairs(attempt.rng), 1)


@log_normalizers.check(3, "scales and rates as small as 1e-200 and as large as 1e200, empty arrays, float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    tiny, huge = 10.0 ** rng.uniform(-200, -180, 4), 10.0 ** rng.uniform(180, 200, 4)
    attempt.compare([(tiny, huge), (huge, tiny), (np.zeros((0, 2)), np.zeros(0))])
    small = positive(rng, (5,)).astype(np.float32), positive(rng, (2, 2)).astype(np.float32)
    attempt.compare([small], rtol=1e-5, atol=1e-5)


@log_normalizers.mistake("The Gaussian's volume is √(2π) σ: the factor √(2π) is missing.")
def forgets_the_two_pi(scale, rate):
    return np.log(scale), -np.log(rate)


@log_normalizers.mistake("σ is the standard deviation, and the volume grows with σ, not with √σ.")
def takes_the_scale_for_a_variance(scale, rate):
    return 0.5 * np.log(2 * np.pi * scale), -np.log(rate)


@log_normalizers.mistake(
    "The square root is missing: the volume is √(2πσ²), so its log has a factor one half."
)
def forgets_the_square_root(scale, rate):
    return np.log(2 * np.pi) + 2 * np.log(scale), -np.log(rate)


@log_normalizers.mistake(
    "That is the log of 1 / Z: you divide by Z, so the volume is larger where x spreads more."
)
def returns_the_logs_of_the_inverse_volumes(scale, rate):
    return -0.5 * np.log(2 * np.pi) - np.log(scale), np.log(rate)


@log_normalizers.mistake("A larger rate makes the exponential fall faster and its volume smaller: 1 / λ.")
def takes_the_volume_of_the_exponential_for_its_rate(scale, rate):
    return 0.5 * np.log(2 * np.pi) + np.log(scale), np.log(rate)


@log_normalizers.mistake(
    "σ² leaves the range of floating point before the log brings it back: log σ² is 2 log σ."
)
def squares_the_scale_before_the_log(scale, rate):
    return 0.5 * np.log(2 * np.pi * scale**2), -np.log(rate)


@log_normalizers.mistake("Those are the volumes; their logarithms are asked for.")
def returns_the_volumes_without_the_log(scale, rate):
    return np.sqrt(2 * np.pi) * scale, 1 / rate


@log_normalizers.mistake(
    "x runs over the whole line, not over its positive half: the volume is twice as large."
)
def integrates_the_gaussian_over_half_of_the_line(scale, rate):
    return 0.5 * np.log(np.pi / 2) + np.log(scale), -np.log(rate)


@log_normalizers.alternative
def normalizers_by_loops(scale, rate):
    def each(function, values):
        values = np.asarray(values, dtype=float)
        return np.array([function(v) for v in values.ravel().tolist()]).reshape(values.shape)

    def gaussian(sigma):
        return math.log(math.sqrt(2 * math.pi)) + math.log(sigma)

    return each(gaussian, scale), each(lambda value: -math.log(value), rate)


@log_normalizers.alternative
def normalizers_by_torch(scale, rate):
    scale, rate = torch.as_tensor(scale), torch.as_tensor(rate)
    return math.log(2 * math.pi) / 2 + torch.log(scale), torch.log(1 / rate)


@log_normalizers.alternative
def normalizers_by_the_density_at_its_peak(scale, rate):
    from scipy.stats import expon, norm

    return -norm.logpdf(0.0, scale=scale), -expon.logpdf(0.0, scale=1 / np.asarray(rate))


# --- Exercise 3: any function, by quadrature

volumes = Exercise("volumes", "Any function, by quadrature", volumes_of)

TOLERANCE = 1e-5


def interval(rng: np.random.Generator) -> tuple[float, float]:
    """An interval that holds 0 away from its ends, with a length that is no special number."""
    return -between(rng, 0.6, 2.0), between(rng, 2.2, 3.8)


def wavy(rng: np.random.Generator, shift: float = 0.0) -> Source:
    """A sum of a wave and a slope: it takes different values at the two ends of any interval."""
    return Source(
        "lambda x: shift + a * np.sin(b * x + c) + d * x",
        shift=shift,
        a=between(rng, 0.5, 1.2),
        b=between(rng, 1.0, 4.0),
        c=between(rng, 0.0, 6.0),
        d=sign(rng) * between(rng, 1.0, 1.5),
    )


def smooth_calls(rng: np.random.Generator) -> list[Call]:
    return [(wavy(rng, between(rng, 0.3, 0.8)), *interval(rng)) for _ in range(4)]


@volumes.check(6, "the volume of exp f, for random smooth functions")
def _(attempt: Attempt) -> None:
    compare_half(attempt, smooth_calls(attempt.rng), 0, TOLERANCE, 0.0)


@volumes.check(6, "the volume of f², for random smooth functions")
def _(attempt: Attempt) -> None:
    compare_half(attempt, smooth_calls(attempt.rng), 1, TOLERANCE, 0.0)


@volumes.check(4, "narrow peaks in wide intervals")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for _ in range(3):
        peak = Source(
            "lambda x: h * np.exp(-((x - m) / s) ** 2 / 2) - 1",
            h=between(rng, 5.0, 9.0),
            m=between(rng, -4.0, 4.0),
            s=between(rng, 0.022, 0.05),
        )
        calls.append((peak, -between(rng, 8.0, 10.0), between(rng, 8.0, 10.0)))
    attempt.compare(calls, TOLERANCE, 0.0)


@volumes.check(4, "constant functions, functions in the hundreds, and short intervals")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [(wavy(rng, shift), *interval(rng)) for shift in (400.0, -400.0)]
    constant = Source("lambda x: c + 0.0 * x", c=-between(rng, 1.0, 3.0))
    start = between(rng, 100.0, 300.0)
    calls += [(constant, *interval(rng)), (wavy(rng, 1.0), start, start + between(rng, 0.01, 0.02))]
    attempt.compare(calls, TOLERANCE, 0.0)


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


# --- Exercise 4: the change of variables of a flow

flow_log_prob = Exercise("flow_log_prob", "The change of variables of a flow", flow_log_prob_of)


def batch(rng: np.random.Generator, n: int, d: int, dtype: type = np.float64) -> Tensor:
    return Tensor(rng.normal(0, 1, (n, d)).astype(dtype))


def affine(rng: np.random.Generator, d: int, orientation: float, dtype: type = np.float64) -> Source:
    """z = A x + b with a full matrix whose determinant has the sign asked for and is not near 1."""
    matrix = rng.normal(0, 0.4, (d, d)) + 1.8 * np.eye(d)
    while abs(abs(np.linalg.det(matrix)) - 1) < 0.3:
        matrix *= 1.3
    if np.sign(np.linalg.det(matrix)) != orientation:
        matrix[0] *= -1
    return Source(
        "lambda x: x @ A.T + b", A=Tensor(matrix.astype(dtype)), b=Tensor(rng.normal(0, 0.5, d).astype(dtype))
    )


def coupling(rng: np.random.Generator, d: int, split: int, dtype: type = np.float64) -> Source:
    """The first coordinates pass unchanged and steer the scale and shift of the others; then all mix."""
    rest = d - split
    while abs(np.linalg.det(mix := rng.normal(0, 1.0, (d, d)))) < 0.3:
        pass
    return Source(
        "lambda x: torch.cat([x[..., :k], x[..., k:] * torch.exp(torch.tanh(x[..., :k] @ W) + s)"
        " + x[..., :k] @ V], -1) @ mix.T",
        k=split,
        W=Tensor(rng.normal(0, 0.8, (split, rest)).astype(dtype)),
        V=Tensor(rng.normal(0, 0.8, (split, rest)).astype(dtype)),
        s=between(rng, 0.3, 0.8),
        mix=Tensor(mix.astype(dtype)),
    )


def bend(rng: np.random.Generator, d: int) -> Source:
    """Each coordinate by itself, with a slope that is never 1."""
    slope = rng.uniform(1.3, 2.5, d) * rng.choice([-1.0, 1.0], d)
    return Source("lambda x: torch.sinh(x) * a + b", a=Tensor(slope), b=Tensor(rng.normal(0, 1, d)))


@flow_log_prob.check(7, "affine flows, with full matrices of either orientation")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    cases = [(2, 1.0), (3, -1.0), (4, 1.0)]
    attempt.compare([(affine(rng, d, side), batch(rng, 4, d)) for d, side in cases])


@flow_log_prob.check(7, "coupling flows, where every row has a Jacobian of its own")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(coupling(rng, d, k), batch(rng, 5, d)) for d, k in [(2, 1), (4, 2)]])


@flow_log_prob.check(3, "one row, one dimension, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(bend(rng, 1), batch(rng, n, 1)) for n in (1, 4)] + [(bend(rng, 3), batch(rng, 1, 3))])
    single: list[Call] = [
        (affine(rng, 3, side, np.float32), batch(rng, 4, 3, np.float32)) for side in (-1.0,)
    ]
    single.append((coupling(rng, 4, 2, np.float32), batch(rng, 3, 4, np.float32)))
    attempt.compare(single, rtol=1e-4, atol=1e-3)


@flow_log_prob.check(3, "twenty dimensions, where the determinant itself overflows or underflows")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for power in (17.0, -17.0):
        scale = 10.0 ** rng.uniform(power - 0.5, power + 0.5, 20)
        shrunk = Tensor(rng.normal(0, 1, (2, 20)) / scale)
        calls.append((Source("lambda x: (x * a).flip(-1)", a=Tensor(scale)), shrunk))
    attempt.compare(calls)


@flow_log_prob.mistake("The log-determinant is missing: it pays for the stretching of space.")
def forgets_the_determinant(to_latent, x):
    z = to_latent(x)
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)


@flow_log_prob.mistake(
    "The sign: where T stretches space, x is packed more densely than z. Add log |det ∂T/∂x|."
)
def subtracts_the_log_determinant(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    log_det = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) - log_det


@flow_log_prob.mistake("The Gaussian is evaluated at x; it is z = T(x) that is Gaussian.")
def evaluates_the_gaussian_at_x(to_latent, x):
    x = x.detach().requires_grad_(True)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in to_latent(x).unbind(1)]
    log_det = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return -0.5 * (x**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake(
    "The Gaussian's own normalizer, D/2 log 2π, is missing or counted for one dimension only."
)
def leaves_out_the_gaussian_normalizer(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    return -0.5 * (z**2).sum(1) + torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet


@flow_log_prob.mistake("A determinant can be negative and its log NaN: take the absolute value first.")
def takes_the_log_of_a_signed_determinant(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    sign, log_abs = torch.linalg.slogdet(torch.stack(rows, 1))
    log_det = torch.where(sign > 0, log_abs, float("nan"))
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake(
    "The product of the diagonal is the determinant of triangular matrices only. Take the whole Jacobian."
)
def uses_the_diagonal_of_the_jacobian(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    diagonal = torch.stack(rows, 1).diagonal(dim1=1, dim2=2)
    log_det = diagonal.abs().log().sum(1)
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake(
    "The gradient of the sum of all outputs adds up the rows of each Jacobian; take one output at a time."
)
def differentiates_the_sum_of_all_outputs(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    log_det = slope.abs().log().sum(1)
    return (-0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det).detach()


@flow_log_prob.mistake("A product of many slopes overflows. Take its log at once: `torch.linalg.slogdet`.")
def takes_the_log_after_the_determinant(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    log_det = torch.stack(rows, 1).det().abs().log()
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake("Each row has a Jacobian of its own: the first row's does not serve for all.")
def uses_the_jacobian_of_the_first_row_for_all(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(z[0, i], x, retain_graph=True)[0][0] for i in range(x.shape[1])]
    log_det = torch.linalg.slogdet(torch.stack(rows)).logabsdet
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.alternative
def flow_row_by_row(to_latent, x):
    results = []
    for row in x:
        jacobian = torch.autograd.functional.jacobian(lambda r: to_latent(r[None])[0], row)
        normal = torch.distributions.Normal(0.0, 1.0)
        z = to_latent(row[None])[0]
        results.append(normal.log_prob(z).sum() + torch.linalg.slogdet(jacobian)[1])
    return torch.stack(results)


@flow_log_prob.alternative
def flow_by_the_jacobian_of_the_whole_batch(to_latent, x):
    n, d = x.shape
    full = torch.autograd.functional.jacobian(to_latent, x)
    each = full[torch.arange(n), :, torch.arange(n), :]
    z = to_latent(x)
    singular = torch.linalg.svdvals(each)
    return singular.log().sum(-1) - (z.pow(2).sum(-1) + d * math.log(2 * math.pi)) / 2


@flow_log_prob.alternative
def flow_by_triangular_factors(to_latent, x):
    x = x.clone().requires_grad_(True)
    z = to_latent(x)
    jacobian = torch.zeros(x.shape[0], x.shape[1], x.shape[1], dtype=x.dtype)
    for i in range(x.shape[1]):
        jacobian[:, i] = torch.autograd.grad(z[:, i].sum(), x, retain_graph=True)[0]
    factor = torch.linalg.qr(jacobian).R
    log_det = factor.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    normalizer = x.shape[1] / 2 * np.log(2 * np.pi)
    return (log_det - normalizer - 0.5 * torch.einsum("bd,bd->b", z, z)).detach()


@flow_log_prob.alternative
def flow_by_all_gradients_at_once(to_latent, x):
    x = x.clone().requires_grad_()
    z = to_latent(x)
    directions = torch.eye(x.shape[1], dtype=z.dtype)[:, None, :].expand(-1, len(x), -1)
    (rows,) = torch.autograd.grad(z, x, directions, retain_graph=True, is_grads_batched=True)
    log_det = torch.linalg.slogdet(rows.permute(1, 0, 2))[1]
    return log_det - 0.5 * (z * z + math.log(2 * math.pi)).sum(1)


# --- Exercise 5: Z by enumeration, and its cost

enumerate_log_z = Exercise("enumerate_log_z", "Z by enumeration, and its cost", enumerate_log_z_of)


def quadratic(rng: np.random.Generator, n: int, size: float = 1.0, shift: float = 0.0) -> Source:
    """Fields and couplings between all sites, no two of them alike."""
    return Source(
        "lambda x: c + x @ b + ((x @ W) * x).sum(-1)",
        c=shift,
        b=rng.normal(0, size, n),
        W=np.triu(rng.normal(0, size / n, (n, n)), 1),
    )


@enumerate_log_z.check(6, "log Z of random energies of bits")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_half(attempt, [(quadratic(rng, n, 1.0, between(rng, 0.5, 1.0)), n, 2) for n in (3, 5, 6, 8)], 0)


@enumerate_log_z.check(3, "the number of terms, for several numbers of sites and values")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(5, 3), (3, 5), (6, 2), (1, 7), (2, 6)]
    compare_half(attempt, [(quadratic(rng, n), n, q) for n, q in sizes], 1)


@enumerate_log_z.check(3, "log Z with more values than two, with one site, and with one value")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(4, 3), (3, 5), (1, 6), (1, 2), (4, 1), (2, 7)]
    compare_half(attempt, [(quadratic(rng, n, 0.4, between(rng, 0.5, 1.0)), n, q) for n, q in sizes], 0)


@enumerate_log_z.check(3, "energies in the thousands of either sign, and forbidden configurations")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [(quadratic(rng, 5, 1.0, shift), 5, 2) for shift in (3000.0, -3000.0)]
    calls += [(quadratic(rng, 4, 900.0), 4, 2)]
    forbid = "lambda x: np.where((x == v).all(-1) | (x.sum(-1) > 4), np.inf, x @ b)"
    calls += [(Source(forbid, v=int(rng.integers(3)), b=rng.normal(0, 1, 4)), 4, 3)]
    compare_half(attempt, calls, 0)


@enumerate_log_z.mistake("Low energy means probable: the terms are exp(-E), with a minus sign.")
def forgets_the_minus_sign(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(energy(x)), q**n


@enumerate_log_z.mistake("exp(-E) overflows or is 0 for energies in the thousands: use a stable log-sum-exp.")
def adds_without_the_log_domain(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.log(np.exp(-energy(x)).sum()), q**n


@enumerate_log_z.mistake(
    "n sites with q values each have q to the power n configurations, not n to the power q."
)
def counts_n_to_the_power_q(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)), n**q


@enumerate_log_z.mistake(
    "Every choice at one site goes with every choice at the others: multiply, do not add."
)
def counts_n_times_q(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)), n * q


@enumerate_log_z.mistake(
    "One configuration is never tried: there are q**n of them, so count with range(q ** n)."
)
def leaves_out_the_last_configuration(energy, n, q):
    x = np.arange(max(q**n - 1, 1))[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)), len(x)


@enumerate_log_z.mistake("Order matters: (0, 1) and (1, 0) are two configurations. Use itertools.product.")
def lists_each_multiset_once(energy, n, q):
    import itertools

    x = np.array(list(itertools.combinations_with_replacement(range(q), n)))
    return np.logaddexp.reduce(-energy(x)), len(x)


@enumerate_log_z.mistake("The values are 0, 1, …, q - 1, not 1, …, q.")
def counts_the_values_from_one(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q + 1
    return np.logaddexp.reduce(-energy(x)), q**n


@enumerate_log_z.mistake("That is the log of the mean; the sum is larger by the log of the number of terms.")
def averages_over_the_configurations(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)) - n * np.log(q), q**n


@enumerate_log_z.mistake("Each site has q values, not two: the digits are those of base q.")
def takes_every_site_for_a_bit(energy, n, q):
    x = np.arange(2**n)[:, None] // 2 ** np.arange(n) % 2
    return np.logaddexp.reduce(-energy(x)), 2**n


@enumerate_log_z.alternative
def enumerate_by_product(energy, n, q):
    import itertools

    energies = energy(np.array(list(itertools.product(range(q), repeat=n))))
    lowest = energies.min()
    return -lowest + np.log(np.sum(np.exp(lowest - energies))), len(energies)


@enumerate_log_z.alternative
def enumerate_one_by_one(energy, n, q):
    x = np.zeros((1, n), dtype=int)
    total, terms = -math.inf, 0
    while True:
        total = np.logaddexp(total, -energy(x)[0])
        terms += 1
        site = 0
        while site < n and x[0, site] == q - 1:
            x[0, site] = 0
            site += 1
        if site == n:
            return total, terms
        x[0, site] += 1


@enumerate_log_z.alternative
def enumerate_by_indices_and_torch(energy, n, q):
    states = np.indices((q,) * n).reshape(n, -1).T
    return torch.logsumexp(-torch.as_tensor(energy(states)), 0).item(), np.int64(states.shape[0])


@enumerate_log_z.alternative
def enumerate_by_growing_the_states(energy, n, q):
    states = [()]
    for _ in range(n):
        states = [(*state, value) for state in states for value in range(q)]
    exponents = sorted((-energy(np.array(states))).tolist())
    top = exponents[-1]
    return top + math.log(math.fsum(math.exp(e - top) for e in exponents)), len(states)


# --- Exercise 6: log-ratios without Z

log_ratios = Exercise("log_ratios", "Log-ratios without Z", log_ratios_of)


def points(rng: np.random.Generator, size: tuple[int, ...]) -> tuple[Array, Array]:
    """Two arrays whose elements lie on different sides of one."""
    return sign(rng) * rng.uniform(0.1, 0.8, size), sign(rng) * rng.uniform(1.3, 2.5, size)


def ratio_calls(rng: np.random.Generator, slope: float) -> list[Call]:
    calls: list[Call] = []
    for size in [(5,), (2, 3), (1,), (2, 1, 3)]:
        f = Source("lambda x: d * x**2 + a * np.cos(x)", d=slope * between(rng, 0.8, 1.5), a=slope * 0.4)
        pair = points(rng, size)
        calls.append((f, *(pair if len(size) > 1 else pair[::-1])))
    return calls


@log_ratios.check(3, "the ratio for exp f, at random points")
def _(attempt: Attempt) -> None:
    compare_half(attempt, ratio_calls(attempt.rng, sign(attempt.rng)), 0)


@log_ratios.check(4, "the ratio for f², for functions of either sign and where f is zero")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = ratio_calls(rng, -1.0) + ratio_calls(rng, 1.0)
    root = between(rng, 0.5, 2.0)
    cut = Source("lambda x: c * (x - r)", c=between(rng, 1.0, 3.0), r=root)
    calls.append((cut, np.array([root, root, -1.0]), np.array([0.0, 5.0, 9.0])))
    compare_half(attempt, calls, 1)


@log_ratios.check(3, "functions in the thousands, functions as small as 1e-200, and empty arrays")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for size in (between(rng, 2e3, 9e3), -between(rng, 2e3, 9e3), 10.0 ** rng.uniform(-200, -180)):
        f = Source("lambda x: c * (1 + x**2)", c=float(size))
        calls.append((f, *points(rng, (4,))))
    attempt.compare([*calls, (Source("lambda x: 1 + x**2"), np.zeros((0, 2)), np.zeros((0, 2)))])


@log_ratios.mistake("Those are log p(y) / p(x): the two points are exchanged.")
def takes_the_ratios_the_wrong_way_round(f, x, y):
    return f(y) - f(x), 2 * np.log(abs(f(y))) - 2 * np.log(abs(f(x)))


@log_ratios.mistake("exp f overflows. The log of a ratio is a difference: f(x) - f(y).")
def exponentiates_before_it_takes_the_log(f, x, y):
    return np.log(np.exp(f(x)) / np.exp(f(y))), 2 * np.log(abs(f(x))) - 2 * np.log(abs(f(y)))


@log_ratios.mistake("f can be negative and its log NaN. log f² is 2 log |f|.")
def takes_the_log_of_negative_values(f, x, y):
    return f(x) - f(y), 2 * np.log(f(x)) - 2 * np.log(f(y))


@log_ratios.mistake("f² underflows before the log brings it back: log f² is 2 log |f|.")
def squares_before_it_takes_the_log(f, x, y):
    return f(x) - f(y), np.log(f(x) ** 2) - np.log(f(y) ** 2)


@log_ratios.mistake("The square is missing: log f² is twice log |f|.")
def forgets_the_square(f, x, y):
    return f(x) - f(y), np.log(abs(f(x))) - np.log(abs(f(y)))


@log_ratios.mistake("Those are the ratios themselves; their logarithms are asked for.")
def returns_ratios_without_the_log(f, x, y):
    return np.exp(f(x) - f(y)), (f(x) / f(y)) ** 2


@log_ratios.mistake("Low energy is probable, but here f is the negative of an energy: p grows with exp(+f).")
def takes_f_for_an_energy_in_the_ratio(f, x, y):
    return f(y) - f(x), 2 * np.log(abs(f(x))) - 2 * np.log(abs(f(y)))


@log_ratios.mistake(
    "The square of a difference is not the log-ratio of squares: 2 log |f(x)| - 2 log |f(y)|."
)
def subtracts_the_squares(f, x, y):
    return f(x) - f(y), f(x) ** 2 - f(y) ** 2


@log_ratios.alternative
def ratios_by_loops(f, x, y):
    by_exp, by_square = np.zeros(x.shape), np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        a, b = float(f(x[index])), float(f(y[index]))
        by_exp[index] = a - b
        by_square[index] = 2 * (math.log(abs(a)) - math.log(abs(b))) if a != 0 else -math.inf
    return by_exp, by_square


@log_ratios.alternative
def ratios_by_one_quotient(f, x, y):
    a, b = f(x), f(y)
    return np.subtract(a, b), 2 * np.log(np.abs(a / b))


@log_ratios.alternative
def ratios_by_torch(f, x, y):
    a, b = torch.from_numpy(f(x)), torch.from_numpy(f(y))
    return a - b, (a.abs().log() - b.abs().log()) * 2


assignment = Assignment(
    "normalization",
    (log_sum_exp, log_normalizers, volumes, flow_log_prob, enumerate_log_z, log_ratios),
    imports=("matplotlib.pyplot", "torch"),
)
