"""Exercise 1: the exact gradient."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import bits
from autograder.exercises.exercise import Exercise

from .definitions import exact_gradient_of
from .inputs import machine

exact_gradient = Exercise("exact_gradient", "The exact gradient", exact_gradient_of)


@exact_gradient.check(9, "random machines of up to seven visible and six hidden units")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(2, 3, 4), (3, 2, 6), (4, 4, 3), (7, 3, 12), (3, 6, 5)]
    attempt.compare([(bits(rng, B, n), *machine(rng, n, m)) for n, m, B in sizes])


@exact_gradient.check(5, "strong machines, whose unnormalized probabilities overflow")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for n, m in [(4, 3), (3, 5), (5, 2)]:
        theta = machine(rng, n, m)
        calls.append((bits(rng, 6, n), theta.a + 500.0, theta.b + 900.0, theta.W))
        calls.append((bits(rng, 6, n), *machine(rng, n, m, 300.0)))
    attempt.compare(calls, rtol=1e-5, atol=1e-7)


@exact_gradient.check(6, "one unit in a layer, one row of data, and bits of other types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [
        (bits(rng, B, n), *machine(rng, n, m)) for n, m, B in [(1, 1, 3), (1, 4, 2), (5, 1, 4), (3, 3, 1)]
    ]
    calls += [(bits(rng, 5, 4).astype(kind), *machine(rng, 4, 3)) for kind in (np.uint8, np.int64, bool)]
    attempt.compare(calls)


@exact_gradient.mistake("The sign is turned round: data minus model, as the log-likelihood is to rise.")
def subtracts_the_data_from_the_model(data, a, b, W):
    n = len(a)
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    log_w = v @ a + np.logaddexp(0, b + v @ W).sum(1)
    p = np.exp(log_w - log_w.max())
    p /= p.sum()
    h, h_data = 0.5 * (1 + np.tanh(0.5 * (b + v @ W))), 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    return p @ v - data.mean(0), p @ h - h_data.mean(0), (v * p[:, None]).T @ h - data.T @ h_data / len(data)


@exact_gradient.mistake("The second term is missing: subtract what the model itself expects.")
def forgets_the_model(data, a, b, W):
    h = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    return data.mean(0), h.mean(0), data.T @ h / len(data)


@exact_gradient.mistake("Under the model states are not equally probable: weigh them with e^{-F(v)} / Z.")
def takes_all_states_for_equally_probable(data, a, b, W):
    n = len(a)
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    h, h_data = 0.5 * (1 + np.tanh(0.5 * (b + v @ W))), 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    return (
        data.mean(0) - v.mean(0),
        h_data.mean(0) - h.mean(0),
        data.T @ h_data / len(data) - v.T @ h / len(v),
    )


@exact_gradient.mistake(
    "The *mean* log-likelihood is asked for: divide the sum over the data by their number."
)
def sums_over_the_data(data, a, b, W):
    n, B = len(a), len(data)
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    log_w = v @ a + np.logaddexp(0, b + v @ W).sum(1)
    p = np.exp(log_w - log_w.max())
    p /= p.sum()
    h, h_data = 0.5 * (1 + np.tanh(0.5 * (b + v @ W))), 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    return data.sum(0) - B * p @ v, h_data.sum(0) - B * p @ h, data.T @ h_data - B * (v * p[:, None]).T @ h


@exact_gradient.mistake("exp overflows: subtract the largest -F(v) before you exponentiate.")
def exponentiates_without_subtracting_the_largest(data, a, b, W):
    n = len(a)
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    p = np.exp(v @ a) * (1 + np.exp(b + v @ W)).prod(1)
    p = p / p.sum()
    h, h_data = 0.5 * (1 + np.tanh(0.5 * (b + v @ W))), 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    return data.mean(0) - p @ v, h_data.mean(0) - p @ h, data.T @ h_data / len(data) - (v * p[:, None]).T @ h


@exact_gradient.mistake(
    "p(v) sums the hidden units out: softplus of each field, not the field times its mean."
)
def puts_mean_hidden_units_into_the_energy(data, a, b, W):
    n = len(a)
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    h, h_data = 0.5 * (1 + np.tanh(0.5 * (b + v @ W))), 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    log_w = v @ a + (h * (b + v @ W)).sum(1)
    p = np.exp(log_w - log_w.max())
    p /= p.sum()
    return data.mean(0) - p @ v, h_data.mean(0) - p @ h, data.T @ h_data / len(data) - (v * p[:, None]).T @ h


@exact_gradient.mistake("Hidden units enter by their probabilities p(h | v), not rounded to 0 and 1.")
def rounds_the_hidden_probabilities(data, a, b, W):
    n = len(a)
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    log_w = v @ a + np.logaddexp(0, b + v @ W).sum(1)
    p = np.exp(log_w - log_w.max())
    p /= p.sum()
    h, h_data = (b + v @ W > 0) * 1.0, (b + data @ W > 0) * 1.0
    return data.mean(0) - p @ v, h_data.mean(0) - p @ h, data.T @ h_data / len(data) - (v * p[:, None]).T @ h


@exact_gradient.mistake("The field of a hidden unit is b + v W: its bias is missing.")
def forgets_the_hidden_biases(data, a, b, W):
    n = len(a)
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    log_w = v @ a + np.logaddexp(0, v @ W).sum(1)
    p = np.exp(log_w - log_w.max())
    p /= p.sum()
    h, h_data = 0.5 * (1 + np.tanh(0.5 * (v @ W))), 0.5 * (1 + np.tanh(0.5 * (data @ W)))
    return data.mean(0) - p @ v, h_data.mean(0) - p @ h, data.T @ h_data / len(data) - (v * p[:, None]).T @ h


@exact_gradient.alternative
def gradient_by_autograd(data, a, b, W):

    import torch

    theta = [torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (a, b, W)]
    n = len(a)
    states = (torch.arange(2**n)[:, None] >> torch.arange(n) & 1).double()

    def f(v):
        fields = theta[1] + v @ theta[2]
        return v @ theta[0] + torch.logaddexp(torch.zeros_like(fields), fields).sum(-1)

    value = f(torch.tensor(data.astype(float))).mean() - torch.logsumexp(f(states), 0)
    return tuple(g.numpy() for g in torch.autograd.grad(value, theta))


@exact_gradient.alternative
def gradient_by_summing_over_both_layers(data, a, b, W):
    n, m = W.shape
    v = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    h = (np.arange(2**m)[:, None] >> np.arange(m) & 1).astype(float)
    log_joint = (v @ a)[:, None] + (h @ b)[None] + v @ W @ h.T
    joint = np.exp(log_joint - log_joint.max())
    joint /= joint.sum()
    fields = b + data @ W
    p = np.where(fields > 0, 1 / (1 + np.exp(-abs(fields))), 1 - 1 / (1 + np.exp(-abs(fields))))
    return (
        data.mean(0) - joint.sum(1) @ v,
        p.mean(0) - joint.sum(0) @ h,
        data.T.astype(float) @ p / len(data) - v.T @ joint @ h,
    )


@exact_gradient.alternative
def gradient_by_loops(data, a, b, W):
    import itertools
    import math

    n, m = W.shape

    def softplus(x):
        return max(x, 0.0) + math.log1p(math.exp(-abs(x)))

    def fields(v):
        return [b[j] + sum(W[i, j] for i in range(n) if v[i]) for j in range(m)]

    def average(rows, weights):
        ga, gb, gW = np.zeros(n), np.zeros(m), np.zeros((n, m))
        for v, weight in zip(rows, weights):
            p = [math.exp(-softplus(-x)) for x in fields(v)]
            for j in range(m):
                gb[j] += weight * p[j]
            for i in range(n):
                if v[i]:
                    ga[i] += weight
                    for j in range(m):
                        gW[i, j] += weight * p[j]
        return ga, gb, gW

    states = list(itertools.product((0, 1), repeat=n))
    logs = [sum(a[i] for i in range(n) if v[i]) + sum(map(softplus, fields(v))) for v in states]
    weights = [math.exp(x - max(logs)) for x in logs]
    model = average(states, [w / sum(weights) for w in weights])
    return tuple(d - e for d, e in zip(average(data, [1 / len(data)] * len(data)), model))
