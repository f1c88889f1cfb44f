"""Hidden checks of the product-of-experts assignment: products in closed form, AND and OR, sampling, learning.

    p(x) ∝ Π_m p_m(x)^w_m  (AND),   q(x) = (1/M) Σ_m p_m(x)  (OR),   Π_m N(x; μ_m, v_m) = Z N(x; μ, v)

The sampler is asked for laws that are known exactly: a categorical on eight letters, and a Gaussian cut out of
another one. Mistakes and alternatives stand alone: each can be put into a notebook.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import logsumexp, ndtri

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.sequential import Count
from autograder.sandbox.worker import codec

Array = np.ndarray


# --- The definitions


def product_of_gaussians_of(means: Array, variances: Array) -> tuple[Array, Array, Array]:
    """Mean, variance and log Z of the product, from (..., M) to (...)."""
    means, variances = np.asarray(means, dtype=float), np.asarray(variances, dtype=float)
    variance = 1 / (1 / variances).sum(-1)
    mean = variance * (means / variances).sum(-1)
    heights = -0.5 * np.log(2 * np.pi * variances) - 0.5 * (mean[..., None] - means) ** 2 / variances
    return mean, variance, heights.sum(-1) + 0.5 * np.log(2 * np.pi * variance)


def and_or_of(log_p: Array) -> tuple[Array, Array]:
    """The probabilities (K,) of the product and of the mixture of M categoricals (M, K)."""
    total = np.asarray(log_p, dtype=float).sum(0)
    return np.exp(total - logsumexp(total)), np.exp(np.asarray(log_p, dtype=float)).mean(0)


def log_product_of(experts: Sequence[Callable[[Array], Array]], weights: Array, x: Array) -> Array:
    """Σ_m w_m log f_m(x), (n,)."""
    total = np.zeros(len(x))
    for expert, weight in zip(experts, weights):
        if weight != 0:
            total += weight * expert(x)
    return total


def sample_product_of(
    propose: Callable[[int, np.random.Generator], Array],
    log_others: Callable[[Array], Array],
    n: int,
    rng: np.random.Generator,
) -> Array:
    """`n` draws of p_1(x) exp(log_others(x)) / Z, by rejection."""
    kept: list[Array] = []
    while sum(map(len, kept)) < n:
        x = propose(2 * n, rng)
        kept.append(x[rng.random(len(x)) < np.exp(log_others(x))])
    return np.concatenate(kept)[:n]


def weight_gradient_of(log_p: Array, weights: Array, data: Array) -> tuple[Array, Array]:
    """The mean log-likelihood of the data, and its gradient (M,)."""
    total = weights @ log_p
    log_prob = total - logsumexp(total)
    return log_prob[data].mean(), log_p[:, data].mean(1) - log_p @ np.exp(log_prob)


# --- Exercise 1: the product of Gaussians

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


# --- Exercise 2: AND and OR of categoricals

and_or = Exercise("and_or", "AND and OR", and_or_of)


def log_tables(rng: np.random.Generator, M: int, K: int) -> Array:
    """Log-probabilities of M experts over K categories, every probability well above zero."""
    return np.log(rng.dirichlet(np.full(K, 2.0), M) * 0.9 + 0.1 / K)


@and_or.check(6, "a few random experts")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(log_tables(rng, M, K),) for M in (2, 3, 5) for K in (2, 4, 9)])


@and_or.check(4, "one expert, one category, and categories that an expert excludes")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(log_tables(rng, 1, 5),), (np.zeros((3, 1)),)]
    for M, K in [(2, 4), (3, 6), (4, 5)]:
        p = np.exp(log_tables(rng, M, K))
        p[rng.integers(M), 0] = p[0, 1] = 0.0
        with np.errstate(divide="ignore"):
            calls.append((np.log(p / p.sum(1, keepdims=True)),))
    attempt.compare(calls)


@and_or.check(5, "so many experts that their product underflows")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for M, K in [(1200, 3), (900, 4), (2000, 2)]:
        # Votes that nearly cancel: the answer is far from 0 and 1 though every product is below 1e-320.
        p = np.exp(0.02 * rng.normal(size=(M, K)))
        calls.append((np.log(p / p.sum(1, keepdims=True)),))
    attempt.compare(calls, rtol=1e-6)


@and_or.mistake("A product of probabilities does not sum to one: divide by its sum over the categories.")
def leaves_the_product_unnormalized(log_p):
    return np.exp(log_p.sum(0)), np.exp(log_p).mean(0)


@and_or.mistake(
    "The product of many probabilities underflows to 0. Add logarithms; subtract the largest sum."
)
def multiplies_until_nothing_is_left(log_p):
    product = np.exp(log_p).prod(0)
    return product / product.sum(), np.exp(log_p).mean(0)


@and_or.mistake("A mixture is the average of the experts: divide the sum by their number.")
def adds_the_experts_without_averaging(log_p):
    total = log_p.sum(0)
    weights = np.exp(total - total.max())
    return weights / weights.sum(), np.exp(log_p).sum(0)


@and_or.mistake("AND comes first: the product, then the mixture.")
def returns_or_before_and(log_p):
    total = log_p.sum(0)
    weights = np.exp(total - total.max())
    return np.exp(log_p).mean(0), weights / weights.sum()


@and_or.mistake("The logarithms of a product add. Their average is the geometric mean, which is less sure.")
def takes_the_geometric_mean_for_the_product(log_p):
    total = log_p.mean(0)
    weights = np.exp(total - total.max())
    return weights / weights.sum(), np.exp(log_p).mean(0)


@and_or.mistake("A mixture averages probabilities, not logarithms: one expert who says yes is enough.")
def averages_logarithms_for_the_mixture(log_p):
    total, middle = log_p.sum(0), log_p.mean(0)
    weights, mixed = np.exp(total - total.max()), np.exp(middle - middle.max())
    return weights / weights.sum(), mixed / mixed.sum()


@and_or.mistake(
    "log 0 is -inf, and stays it: a category that one expert excludes has probability 0 under AND."
)
def replaces_minus_infinity_by_zero(log_p):
    total = np.nan_to_num(log_p, neginf=0.0).sum(0)
    weights = np.exp(total - total.max())
    return weights / weights.sum(), np.exp(log_p).mean(0)


@and_or.alternative
def and_or_by_logsumexp(log_p):
    import scipy.special

    M = len(log_p)
    return scipy.special.softmax(log_p.sum(axis=0)), np.exp(scipy.special.logsumexp(log_p, axis=0, b=1 / M))


@and_or.alternative
def and_or_expert_by_expert(log_p):
    M, K = log_p.shape
    product, mixture = np.full(K, 1 / K), np.zeros(K)
    for row in log_p:
        p = np.exp(row)
        product = product * p
        product = product / product.sum()
        mixture = mixture + p / M
    return product, mixture


@and_or.alternative
def and_or_by_loops(log_p):
    import math

    M, K = len(log_p), len(log_p[0])
    sums = [sum(float(log_p[m][k]) for m in range(M)) for k in range(K)]
    top = max(sums)
    weights = [math.exp(s - top) for s in sums]
    mixture = [sum(math.exp(float(log_p[m][k])) for m in range(M)) / M for k in range(K)]
    return [w / sum(weights) for w in weights], mixture


@and_or.alternative
def and_or_by_log_odds(log_p):
    total = log_p.sum(0)
    with np.errstate(invalid="ignore"):
        odds = np.exp(total[None, :] - total[:, None]).sum(1)
    product = np.where(total == -np.inf, 0.0, 1 / odds)
    return product, np.add.reduce(np.exp(log_p), 0) / log_p.shape[0]


# --- Exercise 3: the unnormalized product of any experts

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
        calls += [(experts, np.array(w), x) for w in ([0.0, 1.5, 0.0], [0.8, 1.5, 0.0], [2.0, 0.5, 1.0])]
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


# --- Exercise 4: sampling a product

sample_product = Exercise("sample_product", "Sampling a product", sample_product_of)

LETTERS = 8
DRAWS = 1000
SINGLE_DRAWS = 150


class Letters:
    """Two categoricals: letters come from the first, the second accepts them. All is known exactly."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.first = 0.7 * rng.dirichlet(np.full(LETTERS, 3.0)) + 0.3 / LETTERS
        # The acceptances have a mean near ¼ and differ by a factor of ten, so that each error shows.
        self.accepts = rng.permutation(np.geomspace(0.07, 0.9, LETTERS))
        weights = self.first * self.accepts
        self.law = weights / weights.sum()

    @property
    def arguments(self) -> tuple[codec.Source, codec.Source]:
        return (
            codec.Source(
                "lambda n, rng: np.searchsorted(c, rng.random(n)) * 1.0", c=np.cumsum(self.first)[:-1]
            ),
            codec.Source("lambda x: a[np.asarray(x).astype(int)]", a=np.log(self.accepts)),
        )

    def counts(self, x: Array) -> list[Count]:
        """How often each letter comes, and how often two successive draws are alike."""
        found = [Count(f"letter {k}", int((x == k).sum()), len(x), float(p)) for k, p in enumerate(self.law)]
        pairs = x[: len(x) // 2 * 2].reshape(-1, 2)
        alike = int((pairs[:, 0] == pairs[:, 1]).sum())
        return [*found, Count("a pair of equal draws", alike, len(pairs), float(self.law @ self.law))]


def drawn(attempt: Attempt, value: object, n: int) -> Array:
    """The draws as numbers, all finite, or a clear complaint."""
    x = attempt.array(value, (n,))
    attempt.expect(np.isfinite(x.astype(float)).all(), "the draws must be finite numbers")
    return x


@sample_product.check(
    5, "experts that allow or exclude: only what all allow may come, n draws, no draw twice"
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability below 1e-9: two of 300 uniform numbers of 53 bits coincide."""
    rng = attempt.rng
    low = float(rng.uniform(0.1, 0.6))
    propose = codec.Source("lambda n, rng: rng.random(n)")
    inside = codec.Source("lambda x: np.where((x > low) & (x < low + 0.3), 0.0, -np.inf)", low=low)
    sizes = [1] * 30 + [2, 7, 300]
    values = attempt.call_many([(propose, inside, n, attempt.draw_rng()) for n in sizes])
    found = [drawn(attempt, value, n) for value, n in zip(values, sizes)]
    allowed = all(((x > low) & (x < low + 0.3)).all() for x in found)
    attempt.expect(allowed, "draws came back that one of the experts excludes")
    distinct = all(len(np.unique(x)) == len(x) for x in found)
    attempt.expect(
        distinct, "the same draw came back more than once, from an expert that never repeats itself"
    )


@sample_product.check(8, "two experts on eight letters: the exact law, many draws at once", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9).

    The draws must be independent with the law of the product; pairs are disjoint, so their counts are binomial.
    Power, measured over 200 seeds: 100 % for all mistakes but choosing again among proposals,
    which the first check catches for certain.
    """
    letters = Letters(attempt.rng)

    def draw(n: int) -> list[Count]:
        value = attempt.call(*letters.arguments, n, attempt.draw_rng())
        return letters.counts(drawn(attempt, value, n))

    attempt.sequential(draw, DRAWS, "the draws do not follow the product")


@sample_product.check(3, "the same law, one draw in a call", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): each call has a generator of its own.

    Power, measured over 200 seeds: 100 % for four mistakes that a single draw shows, 95 % for
    the squared acceptance and 71 % for choosing again. Repeating and sorting cannot show in one draw.
    """
    letters = Letters(attempt.rng)

    def draw(n: int) -> list[Count]:
        calls = [(*letters.arguments, 1, attempt.draw_rng()) for _ in range(n)]
        found = [drawn(attempt, value, 1)[0] for value in attempt.call_many(calls)]
        return letters.counts(np.array(found))

    attempt.sequential(draw, SINGLE_DRAWS, "single draws do not follow the product")


@sample_product.check(4, "a Gaussian expert and a bell-shaped one beside it", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): the product is a Gaussian with known quantiles."""
    rng = attempt.rng
    centre, width = float(rng.choice([-1, 1]) * rng.uniform(1.0, 1.6)), float(rng.uniform(0.4, 0.6))
    propose = codec.Source("lambda n, rng: rng.standard_normal(n)")
    bell = codec.Source("lambda x: -0.5 * ((x - c) / s) ** 2", c=centre, s=width)
    variance = 1 / (1 + 1 / width**2)
    mean = variance * centre / width**2
    shares = np.arange(1, 10) / 10
    cuts = mean + math.sqrt(variance) * ndtri(shares)

    def draw(n: int) -> list[Count]:
        x = drawn(attempt, attempt.call(propose, bell, n, attempt.draw_rng()), n)
        below = [
            Count(f"a draw below the {share:.0%} quantile", int((x < cut).sum()), n, float(share))
            for share, cut in zip(shares, cuts)
        ]
        half = x[: n // 2 * 2].reshape(-1, 2) < mean
        alike = int((half[:, 0] == half[:, 1]).sum())
        return [*below, Count("a pair on the same side", alike, len(half), 0.5)]

    attempt.sequential(draw, DRAWS, "the draws do not follow the product")


@sample_product.mistake(
    "Draws of the first expert came back: the other experts must accept or reject each of them."
)
def ignores_the_other_experts(propose, log_others, n, rng):
    return propose(n, rng)


@sample_product.mistake("Accept where the uniform number lies *below* exp(log_others(x)), not above.")
def keeps_what_should_be_rejected(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[rng.random(len(x)) >= np.exp(log_others(x))])
    return kept[:n]


@sample_product.mistake(
    "Choosing again among a few proposals repeats them, and is right for very many only: reject."
)
def resamples_proposals_by_their_weights(propose, log_others, n, rng):
    x = propose(2 * n, rng)
    weights = np.exp(log_others(x)) + 1e-300
    return x[rng.choice(2 * n, n, p=weights / weights.sum())]


@sample_product.mistake("Rejected proposals leave gaps: go on proposing until n draws are accepted.")
def returns_fewer_than_n(propose, log_others, n, rng):
    x = propose(n, rng)
    return x[rng.random(n) < np.exp(log_others(x))]


@sample_product.mistake(
    "A rejected proposal is thrown away; repeating the last accepted draw belongs to Metropolis."
)
def repeats_the_last_draw_after_a_rejection(propose, log_others, n, rng):
    last = None
    found = []
    while len(found) < n:
        x = propose(1, rng)
        if rng.random() < np.exp(log_others(x))[0]:
            last = x[0]
        if last is not None:
            found.append(last)
    return np.array(found)


@sample_product.mistake(
    "Accept with probability exp(log_others(x)), by chance, not always where it exceeds a threshold."
)
def accepts_above_a_threshold(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[np.exp(log_others(x)) > 0.3])
    return kept[:n]


@sample_product.mistake("The acceptance is exp(log_others(x)), once: it was used with a square or a root.")
def counts_the_other_experts_twice(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[rng.random(len(x)) < np.exp(2 * log_others(x))])
    return kept[:n]


@sample_product.mistake(
    "Draws came back in an order that depends on their values: return them as they were accepted."
)
def sorts_the_draws(propose, log_others, n, rng):
    kept = np.empty(0)
    while len(kept) < n:
        x = propose(2 * n, rng)
        kept = np.append(kept, x[rng.random(len(x)) < np.exp(log_others(x))])
    return np.sort(kept[:n])


@sample_product.alternative
def one_proposal_at_a_time(propose, log_others, n, rng):
    found = []
    while len(found) < n:
        x = propose(1, rng)
        if rng.random() < np.exp(log_others(x)[0]):
            found.append(x[0])
    return np.array(found)


@sample_product.alternative
def replaces_the_rejected(propose, log_others, n, rng):
    x = propose(n, rng)
    waiting = np.arange(n)
    while True:
        waiting = waiting[np.log(rng.random(len(waiting))) >= log_others(x[waiting])]
        if len(waiting) == 0:
            return x
        x[waiting] = propose(len(waiting), rng)


@sample_product.alternative
def blocks_of_growing_size(propose, log_others, n, rng):
    kept, size = [], 16
    while len(kept) < n:
        x = propose(size, rng)
        exponential = rng.exponential(size=size)
        kept.extend(x[exponential > -log_others(x)].tolist())
        size = min(2 * size, 4096)
    return np.array(kept[:n])


@sample_product.alternative
def a_generator_of_draws(propose, log_others, n, rng):
    import itertools

    def accepted():
        while True:
            x = propose(64, rng)
            u = rng.uniform(size=64)
            yield from x[u < np.exp(log_others(x))]

    return np.fromiter(itertools.islice(accepted(), n), dtype=float, count=n)


# --- Exercise 5: learning the experts' weights

weight_gradient = Exercise("weight_gradient", "Learning the experts' weights", weight_gradient_of)


@weight_gradient.check(9, "random experts, weights and data")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for M, K, n in [(2, 3, 5), (3, 5, 20), (4, 8, 50), (2, 6, 300), (5, 4, 9)]:
        weights = rng.uniform(0.3, 2.0, M)
        calls.append((log_tables(rng, M, K), weights, rng.integers(0, K, n)))
    attempt.compare(calls)


@weight_gradient.check(5, "experts that are not normalized, with log-values that over- and underflow")
def _(attempt: Attempt) -> None:
    """The sums are of size 1e4, so correct code differs by rounding of up to 1e-8."""
    rng = attempt.rng
    calls = []
    for shift in (2000.0, -2000.0, 900.0):
        log_f = log_tables(rng, 3, 5) + shift * rng.uniform(0.7, 1.0, (3, 1))
        calls.append((log_f, rng.uniform(0.5, 1.5, 3), rng.integers(0, 5, 12)))
    attempt.compare(calls, atol=1e-6)


@weight_gradient.check(6, "one expert, one observation, weights of zero and below")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    log_p = log_tables(rng, 3, 4)
    calls = [
        (log_tables(rng, 1, 4), rng.uniform(0.5, 1.5, 1), rng.integers(0, 4, 6)),
        (log_p, np.zeros(3), rng.integers(0, 4, 6)),
        (log_p, -rng.uniform(0.5, 1.5, 3), rng.integers(0, 4, 7)),
        (log_p, np.array([0.0, 1.7, -0.6]), rng.integers(0, 4, 1)),
    ]
    attempt.compare(calls)


@weight_gradient.mistake(
    "The gradient points the wrong way: data minus model, as the log-likelihood is to rise."
)
def subtracts_the_data_from_the_model(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), log_p @ np.exp(log_prob) - log_p[:, data].mean(1)


@weight_gradient.mistake(
    "log Z depends on the weights, too: its gradient, the mean under the model, is missing."
)
def forgets_the_gradient_of_log_z(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), log_p[:, data].mean(1)


@weight_gradient.mistake(
    "The second mean is taken under the weighted product, with the present weights, not all 1."
)
def takes_the_model_with_all_weights_one(log_p, weights, data):
    total, plain = weights @ log_p, log_p.sum(0)
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    p = np.exp(plain - plain.max())
    return log_prob[data].mean(), log_p[:, data].mean(1) - log_p @ (p / p.sum())


@weight_gradient.mistake("The *mean* over the data is asked for, of the log-likelihood and of its gradient.")
def sums_over_the_data(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].sum(), (log_p[:, data] - (log_p @ np.exp(log_prob))[:, None]).sum(1)


@weight_gradient.mistake("log p(x) = Σ w_m log p_m(x) - log Z: the likelihood needs log Z.")
def leaves_log_z_out_of_the_likelihood(log_p, weights, data):
    total = weights @ log_p
    p = np.exp(total - total.max())
    return total[data].mean(), log_p[:, data].mean(1) - log_p @ (p / p.sum())


@weight_gradient.mistake(
    "exp over- or underflows: subtract the largest Σ w_m log p_m(x) first, and add it to log Z."
)
def exponentiates_without_subtracting_the_largest(log_p, weights, data):
    total = weights @ log_p
    z = np.exp(total).sum()
    return total[data].mean() - np.log(z), log_p[:, data].mean(1) - log_p @ (np.exp(total) / z)


@weight_gradient.mistake("Under the model states are not equally probable: weigh them with p(x).")
def takes_all_states_for_equally_probable(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), log_p[:, data].mean(1) - log_p.mean(1)


@weight_gradient.mistake("The derivative of w_m log p_m(x) is log p_m(x): the weight itself does not stay.")
def keeps_the_weight_in_the_derivative(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), weights * (log_p[:, data].mean(1) - log_p @ np.exp(log_prob))


@weight_gradient.alternative
def gradient_by_autograd(log_p, weights, data):
    import torch

    w = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    log_prob = torch.log_softmax(w @ torch.tensor(log_p, dtype=torch.float64), 0)
    value = log_prob[torch.tensor(data)].mean()
    (gradient,) = torch.autograd.grad(value, w)
    return value.item(), gradient.numpy()


@weight_gradient.alternative
def gradient_by_counting_the_data(log_p, weights, data):
    K = log_p.shape[1]
    share = np.bincount(data, minlength=K) / len(data)
    total = weights @ log_p
    log_prob = total - np.logaddexp.reduce(total)
    return share @ log_prob, log_p @ (share - np.exp(log_prob))


@weight_gradient.alternative
def gradient_by_loops(log_p, weights, data):
    import math

    M, K = log_p.shape
    total = [sum(weights[m] * log_p[m, k] for m in range(M)) for k in range(K)]
    top = max(total)
    log_z = top + math.log(sum(math.exp(t - top) for t in total))
    p = [math.exp(t - log_z) for t in total]
    value = sum(total[x] - log_z for x in data) / len(data)
    gradient = []
    for m in range(M):
        seen = sum(log_p[m, x] for x in data) / len(data)
        gradient.append(seen - sum(p[k] * log_p[m, k] for k in range(K)))
    return value, gradient


assignment = Assignment(
    "product_of_experts",
    (product_of_gaussians, and_or, log_product, sample_product, weight_gradient),
)
