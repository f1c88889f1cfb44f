"""Exercise 3: the unnormalized product of any experts."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker import codec

from .definitions import log_product_of

log_product = Exercise("log_product", "Any experts", log_product_of)


def quadratic(rng: np.random.Generator, d: int, scale: float = 1.0) -> codec.Source:
    return codec.Source(
        "lambda x: -0.5 * a * ((x - c) ** 2).sum(-1)",
        a=scale * float(rng.uniform(0.5, 2.0)),
        c=rng.normal(size=d),
    )


def peaked(rng: np.random.Generator, d: int) -> codec.Source:
    return codec.Source("lambda x: -np.abs(x - c).sum(-1) - 0.7", c=rng.normal(size=d))


def wave(rng: np.random.Generator, d: int) -> codec.Source:
    return codec.Source("lambda x: np.cos(x @ c) + 1.3", c=rng.normal(size=d))


def half_space(rng: np.random.Generator, d: int) -> codec.Source:
    return codec.Source(
        "lambda x: np.where(x[:, 0] > c, 0.4, -np.inf)",
        c=float(rng.uniform(-0.3, 0.3)),
    )


@log_product.check(6, "smooth experts with positive and negative weights, in one to three dimensions")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for d in (1, 2, 3):
        experts = [quadratic(rng, d), peaked(rng, d), wave(rng, d), quadratic(rng, d)]
        for M in (2, 3, 4):
            weights = np.append(rng.uniform(0.3, 2.5, M - 1), -rng.uniform(0.1, 0.4))
            calls.append((experts[:M], weights, rng.normal(0, 2, (7, d))))
    attempt.compare(calls)


@log_product.check(5, "experts that exclude points, and experts of weight zero")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for d in (1, 2):
        x = np.vstack([rng.normal(0, 2, (12, d)), np.full((1, d), 3.0), np.full((1, d), -3.0)])
        experts = [half_space(rng, d), quadratic(rng, d), half_space(rng, d)]
        calls += [(experts, np.array(w), x) for w in ([0.0, 1.5, 0.0], [0.8, 1.5, 0.0], [2.0, 0.5, 0.2])]
        calls.append((experts, np.array([0.05, 0.3, 0.0]), x))
    attempt.compare(calls)


@log_product.check(4, "one expert, one point, and log-densities whose exponentials over- or underflow")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for scale in (1e3, -1e3):
        experts = [quadratic(rng, 2, scale), wave(rng, 2), quadratic(rng, 2, 0.5 * scale)]
        calls.append((experts, rng.uniform(0.5, 1.5, 3), rng.normal(0, 3, (6, 2))))
    calls.append(([peaked(rng, 3)], rng.uniform(1.5, 2.5, 1), rng.normal(size=(1, 3))))
    calls.append(([wave(rng, 1)], rng.uniform(1.5, 2.5, 1), rng.normal(size=(5, 1))))
    attempt.compare(calls)


@log_product.mistake("Each expert has a weight: multiply its log-density by w_m before you add.")
def forgets_the_weights(experts, weights, x):
    return np.sum([expert(x) for expert in experts], axis=0)


@log_product.mistake(
    "The logarithm of a product is a sum: add the weighted log-densities, do not multiply them."
)
def multiplies_the_log_densities(experts, weights, x):
    return np.prod([w * expert(x) for w, expert in zip(weights, experts)], axis=0)


@log_product.mistake(
    "That is the logarithm of the mixture Σ w_m f_m (OR). In a product the logarithms add (AND)."
)
def mixes_the_experts(experts, weights, x):
    return np.log(np.sum([w * np.exp(expert(x)) for w, expert in zip(weights, experts)], axis=0))


@log_product.mistake("0 · (-inf) is NaN. An expert of weight zero has no say: leave it out of the sum.")
def multiplies_zero_by_infinity(experts, weights, x):
    return np.sum([w * expert(x) for w, expert in zip(weights, experts)], axis=0)


@log_product.mistake("exp over- or underflows. Stay with logarithms: w_m log f_m(x), added.")
def leaves_the_logarithms(experts, weights, x):
    factors = [np.exp(expert(x)) ** w for w, expert in zip(weights, experts)]
    return np.log(np.prod(factors, axis=0))


@log_product.mistake("The weights need not add to one: do not divide by their sum.")
def divides_by_the_sum_of_the_weights(experts, weights, x):
    parts = [w * expert(x) for w, expert in zip(weights, experts) if w != 0]
    return np.sum(parts, axis=0) / np.sum(weights)


@log_product.mistake(
    "The points in `x` are a sample, not all of space: their sum is not Z. Return the log unnormalized."
)
def normalizes_over_the_points(experts, weights, x):
    total = np.sum([w * expert(x) for w, expert in zip(weights, experts) if w != 0], axis=0)
    return total - total.max() - np.log(np.exp(total - total.max()).sum())


@log_product.alternative
def log_product_by_a_matrix(experts, weights, x):
    keep = np.flatnonzero(weights)
    return np.stack([experts[m](x) for m in keep], axis=1) @ weights[keep]


@log_product.alternative
def log_product_with_where(experts, weights, x):
    values = np.array([expert(x) for expert in experts])
    w = np.asarray(weights)[:, None]
    with np.errstate(invalid="ignore"):
        return np.where(w == 0, 0.0, w * values).sum(0)


@log_product.alternative
def log_product_point_by_point(experts, weights, x):
    found = []
    for point in x:
        total = 0.0
        for m, expert in enumerate(experts):
            if weights[m] != 0:
                total += weights[m] * float(expert(point[None])[0])
        found.append(total)
    return np.array(found)


@log_product.alternative
def log_product_by_energies(experts, weights, x):
    energy = 0.0
    for w, expert in zip(weights, experts):
        energy = energy - (w * expert(x) if w else np.zeros(len(x)))
    return -energy
