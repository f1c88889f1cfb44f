"""Exercise 3: log-partition and its gradient."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker.codec import Tensor

from .definitions import Call, log_partition_and_means_of
from .inputs import means

log_partition_and_means = Exercise(
    "log_partition_and_means", "Log-partition and its gradient", log_partition_and_means_of
)


def family(
    rng: np.random.Generator, b: int, n: int, k: int, size: float = 1.0, dtype: type = np.float64
) -> Call:
    """B parameters and the statistics of n states, with means far from 0."""
    statistics = rng.normal(0, 1, (n, k)) + rng.choice([-1.5, 1.5], k)
    return Tensor((size * rng.normal(0, 1, (b, k))).astype(dtype)), Tensor(statistics.astype(dtype))


def families(rng: np.random.Generator) -> list[Call]:
    return [family(rng, b, n, k) for b, n, k in [(2, 4, 3), (3, 6, 2), (4, 3, 4), (2, 5, 1)]]


@log_partition_and_means.check(6, "the log-partition function of random families")
def _(attempt: Attempt) -> None:
    compare_part(attempt, families(attempt.rng), 0)


@log_partition_and_means.check(6, "the means of random families")
def _(attempt: Attempt) -> None:
    compare_part(attempt, families(attempt.rng), 1)


@log_partition_and_means.check(4, "parameters for which exponentials overflow")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([family(rng, 4, 5, 3, uniform(rng, 1500, 3000)) for _ in range(4)], atol=1e-7)


@log_partition_and_means.check(4, "a single state, equal states, one statistic, an empty batch, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    theta, _ = family(rng, 3, 1, 2)
    equal = Tensor(np.tile(means(rng, (2,)), (5, 1)))
    attempt.compare([family(rng, 2, 1, 3), (theta, equal), family(rng, 1, 4, 1), family(rng, 0, 4, 2)])
    attempt.compare([family(rng, 3, 5, 2, 1.0, np.float32) for _ in range(2)], rtol=1e-4, atol=1e-4)


@log_partition_and_means.mistake(
    "exp overflows above 709: use torch.logsumexp, or subtract the maximum first."
)
def exponentiates_without_care(theta, statistics):
    weights = torch.exp(theta @ statistics.T)
    return weights.sum(1).log(), weights @ statistics / weights.sum(1, keepdim=True)


@log_partition_and_means.mistake("That is Z and its gradient; A is the logarithm of Z.")
def forgets_the_logarithm(theta, statistics):
    weights = torch.exp(theta @ statistics.T)
    return weights.sum(1), weights @ statistics


@log_partition_and_means.mistake("The means are not divided by Z: the weights must add up to one.")
def forgets_to_normalize_the_means(theta, statistics):
    scores = theta @ statistics.T
    return scores.logsumexp(1), scores.exp() @ statistics


@log_partition_and_means.mistake(
    "States are not equally probable: weigh each statistic with its probability."
)
def averages_the_statistics_without_weights(theta, statistics):
    return (theta @ statistics.T).logsumexp(1), statistics.mean(0).expand(len(theta), -1)


@log_partition_and_means.mistake("Z is the sum over the states, not their mean: A is too small by log n.")
def averages_the_terms_of_z(theta, statistics):
    scores = theta @ statistics.T
    return scores.logsumexp(1) - math.log(len(statistics)), scores.softmax(1) @ statistics


@log_partition_and_means.mistake("There is no minus sign before θ·t: an energy has one, the family has none.")
def takes_the_statistics_for_an_energy(theta, statistics):
    scores = -theta @ statistics.T
    return scores.logsumexp(1), scores.softmax(1) @ statistics


@log_partition_and_means.mistake(
    "Each row of theta has its own means; here they were added up over the batch."
)
def adds_the_gradients_of_the_batch(theta, statistics):
    scores = theta @ statistics.T
    total = (scores.softmax(1) @ statistics).sum(0)
    return scores.logsumexp(1), total.expand(len(theta), -1)


@log_partition_and_means.mistake(
    "The mean is an average over all states, not the statistic of the likeliest."
)
def takes_the_likeliest_state_for_the_mean(theta, statistics):
    scores = theta @ statistics.T
    return scores.logsumexp(1), statistics[scores.argmax(1)]


@log_partition_and_means.mistake(
    "The maximum that was subtracted in the exponent must be added after the log."
)
def forgets_to_add_the_maximum_back(theta, statistics):
    scores = theta @ statistics.T
    return (scores - scores.amax(1, keepdim=True)).exp().sum(1).log(), scores.softmax(1) @ statistics


@log_partition_and_means.alternative
def means_by_softmax(theta, statistics):
    scores = theta @ statistics.T
    largest = scores.max(dim=1, keepdim=True).values
    weights = torch.exp(scores - largest)
    z = weights.sum(1)
    return torch.log(z) + largest[:, 0], (weights / z[:, None]) @ statistics


@log_partition_and_means.alternative
def means_by_loops(theta, statistics):
    values, gradients = [], []
    for row in theta.tolist():
        exponents = [sum(a * b for a, b in zip(row, t)) for t in statistics.tolist()]
        top = max(exponents)
        weights = [math.exp(e - top) for e in exponents]
        values.append(top + math.log(sum(weights)))
        total = [sum(w * t for w, t in zip(weights, column)) for column in statistics.T.tolist()]
        gradients.append([entry / sum(weights) for entry in total])
    shape = len(theta), statistics.shape[1]
    return torch.tensor(values).reshape(shape[0]), torch.tensor(gradients, dtype=torch.float64).reshape(shape)


@log_partition_and_means.alternative
def means_by_backward(theta, statistics):
    theta = torch.nn.Parameter(theta.clone())
    value = torch.zeros(len(theta), dtype=theta.dtype) - math.inf
    for t in statistics:
        value = torch.logaddexp(value, theta @ t)
    value.sum().backward()
    return value, theta.grad


@log_partition_and_means.alternative
def means_by_a_categorical_distribution(theta, statistics):
    logits = torch.einsum("bk,nk->bn", theta, statistics)
    probability = torch.nn.functional.softmax(logits, dim=-1)
    log_probability = torch.nn.functional.log_softmax(logits, dim=-1)
    return logits[:, 0] - log_probability[:, 0], torch.einsum("bn,nk->bk", probability, statistics)
