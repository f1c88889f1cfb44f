"""Exercise 2: AND and OR of categoricals."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import and_or_of
from .inputs import log_tables

and_or = Exercise("and_or", "AND and OR", and_or_of)


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
