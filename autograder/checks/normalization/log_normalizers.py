"""Exercise 2: two volumes in closed form."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.exercise import Exercise

from .definitions import Array, Call, log_normalizers_of

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
    compare_part(attempt, pairs(attempt.rng), 0)


@log_normalizers.check(3, "the volume of the exponential, for arrays of several shapes and single numbers")
def _(attempt: Attempt) -> None:
    compare_part(attempt, pairs(attempt.rng), 1)


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
