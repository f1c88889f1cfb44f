"""Exercise 1: the product of Gaussians."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import Array, product_of_gaussians_of

product_of_gaussians = Exercise("product_of_gaussians", "The product of Gaussians", product_of_gaussians_of)


def gaussians(rng: np.random.Generator, size: tuple[int, ...], spread: float = 3.0) -> tuple[Array, Array]:
    """Means and variances of Gaussians whose widths differ by a factor of up to ten."""
    return rng.normal(0, spread, size), 10 ** rng.uniform(-1, 1, size)


@product_of_gaussians.check(8, "two to six random Gaussians, one product and many at once")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(2,), (3,), (6,), (4, 2), (5, 3), (2, 3, 4), (1, 2)]
    attempt.compare([gaussians(rng, size) for size in sizes])


@product_of_gaussians.check(5, "one expert alone, experts that agree, means that are whole numbers")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    mean, variance = gaussians(rng, (1,))
    whole = rng.integers(-5, 6, (3, 2)), rng.integers(1, 6, (3, 2))
    calls = [(mean, variance), (np.repeat(mean, 4), np.repeat(variance, 4)), whole]
    attempt.compare([*calls, gaussians(rng, (5, 1))])


@product_of_gaussians.check(7, "experts that contradict each other, so that Z underflows, and many experts")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for _ in range(4):
        means, variances = gaussians(rng, (3, 2))
        calls.append((means + np.array([-150.0, 150.0]), variances))
    calls.append(gaussians(rng, (900,), 2.0))
    attempt.compare(calls)


@product_of_gaussians.mistake(
    "The precisions 1/v add, not the variances: a product is narrower than each expert."
)
def adds_the_variances(means, variances):
    v = variances.sum(-1)
    mean = (means / variances).sum(-1) / (1 / variances).sum(-1)
    heights = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (mean[..., None] - means) ** 2 / variances
    return mean, v, heights.sum(-1) + 0.5 * np.log(2 * np.pi * v)


@product_of_gaussians.mistake("The sure experts count for more: weigh each mean by its precision 1/v.")
def averages_the_means_without_weights(means, variances):
    v = 1 / (1 / variances).sum(-1)
    mean = means.mean(-1)
    heights = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (mean[..., None] - means) ** 2 / variances
    return mean, v, heights.sum(-1) + 0.5 * np.log(2 * np.pi * v)


@product_of_gaussians.mistake("A wide expert is unsure and counts for less: the weight is 1/v, not v.")
def weighs_the_means_by_the_variances(means, variances):
    v = 1 / (1 / variances).sum(-1)
    mean = (means * variances).sum(-1) / variances.sum(-1)
    heights = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (mean[..., None] - means) ** 2 / variances
    return mean, v, heights.sum(-1) + 0.5 * np.log(2 * np.pi * v)


@product_of_gaussians.mistake("`variances` holds σ² already: the precision is 1/v, with no square.")
def squares_the_variances(means, variances):
    s = variances**2
    v = 1 / (1 / s).sum(-1)
    mean = v * (means / s).sum(-1)
    heights = -0.5 * np.log(2 * np.pi * s) - 0.5 * (mean[..., None] - means) ** 2 / s
    return mean, v, heights.sum(-1) + 0.5 * np.log(2 * np.pi * v)


@product_of_gaussians.mistake("The precisions add; their average would be the geometric mean of the experts.")
def averages_the_precisions(means, variances):
    v = 1 / (1 / variances).mean(-1)
    mean = v * (means / variances).mean(-1)
    heights = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (mean[..., None] - means) ** 2 / variances
    return mean, v, heights.sum(-1) + 0.5 * np.log(2 * np.pi * v)


@product_of_gaussians.mistake(
    "A product of normalized densities is not normalized: log Z is 0 for one expert only."
)
def takes_the_product_for_normalized(means, variances):
    v = 1 / (1 / variances).sum(-1)
    mean = v * (means / variances).sum(-1)
    return mean, v, np.zeros(mean.shape)


@product_of_gaussians.mistake(
    "Z is the product's height at its mean, divided by the height of N(mean, v) there: ½ log 2πv is missing."
)
def leaves_out_the_height_of_the_result(means, variances):
    v = 1 / (1 / variances).sum(-1)
    mean = v * (means / variances).sum(-1)
    heights = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (mean[..., None] - means) ** 2 / variances
    return mean, v, heights.sum(-1)


@product_of_gaussians.mistake(
    "The product of densities underflows to 0. Add logarithms, and never leave them."
)
def takes_the_log_of_an_underflown_product(means, variances):
    v = 1 / (1 / variances).sum(-1)
    mean = v * (means / variances).sum(-1)
    heights = np.exp(-0.5 * (mean[..., None] - means) ** 2 / variances) / np.sqrt(2 * np.pi * variances)
    return mean, v, np.log(heights.prod(-1) * np.sqrt(2 * np.pi * v))


@product_of_gaussians.alternative
def gaussians_one_after_another(means, variances):
    mean, v = means[..., 0].astype(float), variances[..., 0].astype(float)
    log_z = np.zeros(mean.shape)
    for m in range(1, means.shape[-1]):
        both = v + variances[..., m]
        log_z = log_z - 0.5 * np.log(2 * np.pi * both) - 0.5 * (mean - means[..., m]) ** 2 / both
        mean = (mean * variances[..., m] + means[..., m] * v) / both
        v = v * variances[..., m] / both
    return mean, v, log_z


@product_of_gaussians.alternative
def gaussians_by_natural_parameters(means, variances):
    centre = means.mean(-1, keepdims=True)
    away = means - centre
    linear, precision = (away / variances).sum(-1), (1 / variances).sum(-1)
    log_partition = linear**2 / (2 * precision) - 0.5 * np.log(precision / (2 * np.pi))
    each = away**2 / (2 * variances) + 0.5 * np.log(2 * np.pi * variances)
    return centre[..., 0] + linear / precision, 1 / precision, log_partition - each.sum(-1)


@product_of_gaussians.alternative
def gaussians_by_loops(means, variances):

    import math

    shape = means.shape[:-1]
    results = []
    for mu, v in zip(
        means.reshape(-1, means.shape[-1]).tolist(), variances.reshape(-1, means.shape[-1]).tolist()
    ):
        precision = math.fsum(1 / b for b in v)
        mean = math.fsum(a / b for a, b in zip(mu, v)) / precision
        log_z = 0.5 * math.log(2 * math.pi / precision)
        for a, b in zip(mu, v):
            log_z -= 0.5 * (math.log(2 * math.pi * b) + (mean - a) ** 2 / b)
        results.append((mean, 1 / precision, log_z))
    return tuple(np.array(column).reshape(shape) for column in zip(*results))
