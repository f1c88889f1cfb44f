"""Exercise 4: the exact log-likelihood."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import bits
from autograder.exercises.exercise import Exercise

from .definitions import Array, log_likelihood_of
from .inputs import parameters

log_likelihood = Exercise("log_likelihood", "The exact log-likelihood", log_likelihood_of)


def with_data(rng: np.random.Generator, N: int, n: int, m: int, scale: float = 1.0) -> tuple[Array, ...]:
    """Data that are not all pictures, and a machine."""
    return bits(rng, N, n), *parameters(rng, n, m, scale)


@log_likelihood.check(7, "random data and machines with a handful of units")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([with_data(rng, int(rng.integers(2, 9)), *rng.integers(2, 7, 2)) for _ in range(12)])


@log_likelihood.check(4, "one large layer: many visible units and few hidden ones, and the other way round")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [with_data(rng, 5, n, m, 0.5) for n, m in [(60, 5), (200, 4), (4, 150), (6, 70), (40, 10)]]
    attempt.compare(calls)


@log_likelihood.check(4, "a Z that overflows, single units, one datum, and bits of integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [with_data(rng, 4, 5, 3, 1000.0), with_data(rng, 1, 1, 1), with_data(rng, 6, 3, 1)]
    calls += [with_data(rng, 1, 1, 4), with_data(rng, 3, 6, 6, 400.0)]
    for dtype in (np.uint8, np.int64):
        data, *machine_ = with_data(rng, 5, 4, 3)
        calls.append((data.astype(dtype), *machine_))
    attempt.compare(calls)


@log_likelihood.mistake("log Z is missing: without it that is only minus the mean free energy.")
def forgets_log_z(data, a, b, W):
    return (data @ a + np.logaddexp(0, b + data @ W).sum(1)).mean()


@log_likelihood.mistake("The mean is asked for: divide the sum over the data by N.")
def sums_over_the_data(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    return (score - np.logaddexp.reduce(h @ b + np.logaddexp(0, a + h @ W.T).sum(1))).sum()


@log_likelihood.mistake("log Z is subtracted: it makes probabilities smaller.")
def adds_log_z(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    return score.mean() + np.logaddexp.reduce(h @ b + np.logaddexp(0, a + h @ W.T).sum(1))


@log_likelihood.mistake("Z sums over all states, not only over those in the data.")
def normalizes_over_the_data_alone(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    return score.mean() - np.logaddexp.reduce(score)


@log_likelihood.mistake("One state is never counted: there are 2**m, so count with np.arange(2**m).")
def leaves_out_the_last_state(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b) - 1)[:, None] >> np.arange(len(b)) & 1
    return score.mean() - np.logaddexp.reduce(h @ b + np.logaddexp(0, a + h @ W.T).sum(1))


@log_likelihood.mistake("Z is too large for a float: add the terms in the log domain, with log-sum-exp.")
def overflows_in_z(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    return score.mean() - np.log(np.exp(h @ b + np.logaddexp(0, a + h @ W.T).sum(1)).sum())


@log_likelihood.mistake("The terms of Z include the bias of the layer that is listed: b · h.")
def forgets_the_bias_of_the_listed_layer(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    return score.mean() - np.logaddexp.reduce(np.logaddexp(0, a + h @ W.T).sum(1))


@log_likelihood.mistake("The logarithm of the mean probability is not the mean log-probability.")
def takes_the_log_of_the_mean(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    log_z = np.logaddexp.reduce(h @ b + np.logaddexp(0, a + h @ W.T).sum(1))
    return np.logaddexp.reduce(score - log_z) - np.log(len(data))


@log_likelihood.mistake("The answer is in nats: use the natural logarithm.")
def answers_in_bits(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    log_z = np.logaddexp.reduce(h @ b + np.logaddexp(0, a + h @ W.T).sum(1))
    return (score.mean() - log_z) / np.log(2)


@log_likelihood.mistake("Z sums over both layers: the terms of the layer that is not listed are missing.")
def sums_z_over_one_layer_only(data, a, b, W):
    score = data @ a + np.logaddexp(0, b + data @ W).sum(1)
    return score.mean() - np.logaddexp(0, b).sum()


@log_likelihood.mistake("The data's own terms include the hidden biases: log(1 + exp(b + v W)).")
def forgets_the_hidden_biases_of_the_data(data, a, b, W):
    score = data @ a + np.logaddexp(0, data @ W).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    return score.mean() - np.logaddexp.reduce(h @ b + np.logaddexp(0, a + h @ W.T).sum(1))


@log_likelihood.alternative
def likelihood_by_product(data, a, b, W):

    import itertools

    def log_weight(x, own, other, ties):
        field = other + np.array(x) @ ties
        return np.dot(x, own) + (np.maximum(field, 0) + np.log1p(np.exp(-abs(field)))).sum()

    score = np.mean([log_weight(np.asarray(v, dtype=float), a, b, W) for v in data])
    small, large, ties = (b, a, W.T) if len(b) <= len(a) else (a, b, W)
    terms = [log_weight(x, small, large, ties) for x in itertools.product((0, 1), repeat=len(small))]
    largest = max(terms)
    return score - largest - np.log(sum(np.exp(t - largest) for t in terms))


@log_likelihood.alternative
def likelihood_with_scipy(data, a, b, W):

    from scipy.special import logsumexp

    v = data.astype(float)
    free = -v @ a - np.logaddexp(0, v @ W + b).sum(axis=1)
    if W.shape[0] <= W.shape[1]:
        x = np.stack(np.meshgrid(*[[0.0, 1.0]] * len(a), indexing="ij"), -1).reshape(-1, len(a))
        log_z = logsumexp(x @ a + np.logaddexp(0, x @ W + b).sum(axis=1))
    else:
        x = np.stack(np.meshgrid(*[[0.0, 1.0]] * len(b), indexing="ij"), -1).reshape(-1, len(b))
        log_z = logsumexp(x @ b + np.logaddexp(0, x @ W.T + a).sum(axis=1))
    return float(np.mean(-free - log_z))


@log_likelihood.alternative
def likelihood_by_doubling(data, a, b, W):
    import torch

    v, a, b, W = (torch.as_tensor(np.asarray(x, dtype=np.float64)) for x in (data, a, b, W))
    score = v @ a + torch.nn.functional.softplus(v @ W + b).sum(1)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    field, bias = a[None], torch.zeros(1, dtype=torch.float64)
    for j in range(len(b)):
        field, bias = torch.cat([field, field + W[:, j]]), torch.cat([bias, bias + b[j]])
    log_z = torch.logsumexp(bias + torch.nn.functional.softplus(field).sum(1), 0)
    return (score - log_z).mean().item()
