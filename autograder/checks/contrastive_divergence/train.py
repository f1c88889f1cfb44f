"""Exercise 4: training."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import bits
from autograder.exercises.exercise import Exercise

from .definitions import Array, bit_states, log_likelihood_of, train_of
from .inputs import Machine

train = Exercise("train", "Bars and stripes", train_of)

N_HIDDEN = 16
LEARNED, GOAL = -4.5, -3.5
"""Mean log-likelihoods of bars and stripes: independent pixels reach -6.24, the best of all models -2.64."""


def bars_and_stripes() -> Array:
    """The 14 pictures of 3×3 pixels made of full columns or of full rows."""
    lines = bit_states(3)
    bars = np.repeat(lines[:, None], 3, axis=1).reshape(8, 9)
    stripes = np.repeat(lines[1:-1, :, None], 3, axis=2).reshape(6, 9)
    return np.concatenate([bars, stripes])


def reached(attempt: Attempt, data: Array, n_hidden: int) -> float:
    """The exact mean log-likelihood of what the student's training returns."""
    n = data.shape[1]
    value = attempt.call(data, n_hidden, attempt.draw_rng())
    theta = Machine(np.zeros(n), np.zeros(n_hidden), np.zeros((n, n_hidden)))
    attempt.expect(
        isinstance(value, tuple | list) and len(value) == 3, "your function must return the tuple (a, b, W)"
    )
    found = [attempt.array(v, t.shape, name).astype(float) for v, t, name in zip(value, theta, "abW")]
    attempt.expect(all(np.isfinite(f).all() for f in found), "a parameter is not finite: training diverged")
    return log_likelihood_of(data, *found)


def reach(attempt: Attempt, data: Array, goal: float) -> None:
    value = reached(attempt, data, N_HIDDEN)
    attempt.expect(
        value >= goal, f"the exact mean log-likelihood stays below the goal of {goal:g} that the text states"
    )


@train.check(8, "bars and stripes, to a mean log-likelihood of -4.5", seconds=30)
def _(attempt: Attempt) -> None:
    reach(attempt, attempt.rng.permutation(bars_and_stripes()), LEARNED)


@train.check(6, "bars and stripes again, to a mean log-likelihood of -3.5", seconds=30)
def _(attempt: Attempt) -> None:
    reach(attempt, attempt.rng.permutation(bars_and_stripes()), GOAL)


@train.check(6, "ten other pictures of nine pixels, to -3.5", seconds=30)
def _(attempt: Attempt) -> None:
    """Ten of the pictures made of the bars and stripes, their pixels in another order and some turned round."""
    rng = attempt.rng
    pictures = rng.permutation(bars_and_stripes())[:10][:, rng.permutation(9)]
    reach(attempt, np.abs(pictures - bits(rng, 9)), GOAL)


@train.draw
def _(attempt: Attempt) -> str:
    value = reached(attempt, bars_and_stripes(), N_HIDDEN)
    return (
        f"train(pictures, {N_HIDDEN}, rng)  # the pictures of your notebook\n"
        f"# must reach a mean log-likelihood of {GOAL:g}\n"
        f"# your function reached {value:.3f}"
    )


@train.mistake(
    "The parameters came back as they started: update a, b and W, and return what you have updated."
)
def returns_the_start(data, n_hidden, rng):
    n = data.shape[1]
    return np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))


@train.mistake("Training went downhill: add the gradient of the log-likelihood, do not subtract it.")
def goes_down_in_place_of_up(data, n_hidden, rng):
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))
    for _ in range(200):
        p = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
        h = rng.random(p.shape) < p
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
        q = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        a = a - 0.1 * (data - v).mean(0)
        b = b - 0.1 * (p - q).mean(0)
        W = W - 0.1 * (data.T @ p - v.T @ q) / len(data)
    return a, b, W


@train.mistake("Without the negative phase the weights grow and grow: subtract the statistics of the chain.")
def learns_without_a_negative_phase(data, n_hidden, rng):
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))
    for _ in range(200):
        p = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
        a, b, W = a + 0.1 * data.mean(0), b + 0.1 * p.mean(0), W + 0.1 * data.T @ p / len(data)
    return a, b, W


@train.mistake("With W = 0 all hidden units stay alike for ever: start with small random weights.")
def starts_with_equal_weights(data, n_hidden, rng):
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), np.zeros((n, n_hidden))
    states = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    for _ in range(150):
        f = states @ a + np.logaddexp(0, b + states @ W).sum(1)
        w = np.exp(f - f.max())
        w /= w.sum()
        p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, states))
        a, b = a + 0.3 * (data.mean(0) - w @ states), b + 0.3 * (p.mean(0) - w @ q)
        W = W + 0.3 * (data.T @ p / len(data) - (states * w[:, None]).T @ q)
    return a, b, W


@train.mistake("Training stopped too early: take more steps, or larger ones.")
def stops_after_a_few_steps(data, n_hidden, rng):
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))
    for _ in range(50):
        p = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
        h = rng.random(p.shape) < p
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
        q = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        a, b = a + 0.05 * (data - v).mean(0), b + 0.05 * (p - q).mean(0)
        W = W + 0.05 * (data.T @ p - v.T @ q) / len(data)
    return a, b, W


@train.mistake("The steps are so large that the weights jump about: lower the learning rate.")
def takes_steps_that_are_too_large(data, n_hidden, rng):
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))
    for _ in range(200):
        p = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
        h = rng.random(p.shape) < p
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
        q = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        a, b = a + 30 * (data - v).mean(0), b + 30 * (p - q).mean(0)
        W = W + 30 * (data.T @ p - v.T @ q) / len(data)
    return a, b, W


@train.alternative
def training_by_contrastive_divergence(data, n_hidden, rng):
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))
    rows = np.repeat(data, 4, axis=0)
    for t in range(1500):
        rate = 0.6 * (1 - t / 1500)
        p = 0.5 * (1 + np.tanh(0.5 * (b + rows @ W)))
        v, q = rows, p
        for _ in range(2):
            h = rng.random(q.shape) < q
            v = (rng.random(rows.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
            q = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        a, b = a + rate * (rows - v).mean(0), b + rate * (p - q).mean(0)
        W = W + rate * (rows.T @ p - v.T @ q) / len(rows)
    return a, b, W


@train.alternative
def training_by_persistent_chains(data, n_hidden, rng):
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), 0.1 * rng.standard_normal((n, n_hidden))
    chains = rng.integers(0, 2, (100, n)).astype(float)
    for t in range(1800):
        rate = 0.3 * (1 - t / 1800)
        h = rng.random((100, n_hidden)) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
        chains = (rng.random((100, n)) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
        p, q = (0.5 * (1 + np.tanh(0.5 * (b + v @ W))) for v in (data, chains))
        a, b = a + rate * (data.mean(0) - chains.mean(0)), b + rate * (p.mean(0) - q.mean(0))
        W = W + rate * (data.T @ p / len(data) - chains.T @ q / 100)
    return a, b, W


@train.alternative
def training_by_autograd_and_adam(data, n_hidden, rng):

    import torch

    n = data.shape[1]
    x = torch.tensor(data)
    states = (torch.arange(2**n)[:, None] >> torch.arange(n) & 1).double()
    start = [np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))]
    a, b, W = theta = [torch.tensor(t, requires_grad=True) for t in start]
    optimizer = torch.optim.Adam(theta, 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        f, g = (v @ a + torch.nn.functional.softplus(b + v @ W).sum(1) for v in (x, states))
        (g.logsumexp(0) - f.mean()).backward()
        optimizer.step()
    return tuple(t.detach().numpy() for t in theta)
