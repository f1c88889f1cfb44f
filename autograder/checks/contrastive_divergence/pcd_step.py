"""Exercise 3: persistent chains."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import bits
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count, Strength

from .definitions import Array, bit_states, contrast, pcd_step_of, statistics
from .inputs import gradient_of, machine, same, stronger, sure_machine, telling_start, wandering_machine

pcd_step = Exercise("pcd_step", "Persistent chains", pcd_step_of)

PER_START = 700
STRENGTH_DRAWS = 40_000
"""Chains in all, so that fields 3 % too strong or too weak are caught with probability 0.99."""


@pcd_step.check(4, "machines so strong that the chains have no choice; more chains than data, and fewer")
def _(attempt: Attempt) -> None:
    """Correct code fails with probability below 1e-13, as for CD."""
    rng = attempt.rng
    calls = []
    for B, C in [(3, 10), (8, 10), (10, 5)]:
        theta, chains = wandering_machine(rng)
        data = rng.permutation(bit_states(5))[:B]
        calls.append((data, chains[:C], *theta, attempt.draw_rng()))
    for n, m, B, C in [(1, 1, 1, 2), (1, 3, 4, 1), (4, 1, 2, 3)]:
        theta = sure_machine(rng, n, m)
        calls.append((bits(rng, B, n), bits(rng, C, n), *theta, attempt.draw_rng()))
    attempt.compare(calls, atol=1e-8)


@pcd_step.check(5, "the gradients belong to the chains that are returned")
def _(attempt: Attempt) -> None:
    """Certain for correct code."""
    rng = attempt.rng
    for B, C in [(4, 6), (7, 3), (5, 5), (1, 8)]:
        theta = machine(rng, 4, 3, 1.5)
        data, chains = bits(rng, B, 4), bits(rng, C, 4)
        value = attempt.call(data, chains, *theta, attempt.draw_rng())
        found = gradient_of(attempt, value, theta, extra=1)
        after = attempt.array(value[3], chains.shape, "the fourth value, the chains,").astype(float)
        attempt.expect(np.isin(after, (0, 1)).all(), "the chains must be bits, 0 or 1")
        expected = contrast(statistics(data, theta.b, theta.W), statistics(after, theta.b, theta.W))
        attempt.expect(
            same(found, expected), "the gradients do not contrast the data with the chains that were returned"
        )


@pcd_step.check(6, "chains from three states: the exact law of one more step", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ 2 · ALPHA (2e-9). Chains that stay where they were fail for certain.

    Power, measured over 200 seeds: 100 % for chains that restart, stay, hold probabilities, or skip the draw of h.
    """
    rng = attempt.rng
    theta, _ = telling_start(rng)
    step, states = theta.step_law(), bit_states(3)
    # Where drawing the hidden units matters most.
    starts = abs(step - theta.step_law_through_means()).max(1).argsort()[-3:]
    others = np.setdiff1d(np.arange(8), starts)
    data = states[rng.choice(others, 6)]

    def moves(before: Array) -> Array:
        value = attempt.call(data, states[before], *theta, attempt.draw_rng())
        gradient_of(attempt, value, theta, extra=1)
        after = attempt.array(value[3], (len(before), 3), "the fourth value, the chains,").astype(float)
        attempt.expect(np.isin(after, (0, 1)).all(), "the chains must be bits, 0 or 1")
        return np.bincount(8 * before + (after @ [4, 2, 1]).astype(int), minlength=64).reshape(8, 8)

    def draw(n: int) -> list[Count]:
        seen = moves(rng.permutation(np.repeat(starts, n)))
        return [
            Count(f"a step from {i:03b} to {j:03b}", int(seen[i, j]), n, float(step[i, j]))
            for i in starts
            for j in range(8)
        ]

    attempt.sequential(draw, PER_START, "the chains do not take a Gibbs step from where they were")
    off = stronger(theta, 0.03).step_law()
    telling = (step * np.log(off / step) ** 2).sum(1).argsort()[-2:]

    def strength(n: int) -> list[Strength]:
        return [Strength.of("the fields are", moves(rng.permutation(np.resize(telling, n))), step, off)]

    attempt.sequential(strength, STRENGTH_DRAWS, "the chains do not take a Gibbs step from where they were")


@pcd_step.mistake("Persistent chains go on from where they were; starting at the data again is CD-1.")
def restarts_the_chains_at_the_data(data, chains, a, b, W, rng):
    v = data[np.arange(len(chains)) % len(data)]
    h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
    v = (rng.random(v.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), data.T @ p / len(data) - v.T @ q / len(v), v


@pcd_step.mistake("First move the chains, then take the gradient where they have arrived.")
def takes_the_gradient_before_the_chains_move(data, chains, a, b, W, rng):
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, chains))
    h = rng.random(q.shape) < q
    v = (rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    gW = data.T @ p / len(data) - chains.T @ q / len(chains)
    return data.mean(0) - chains.mean(0), p.mean(0) - q.mean(0), gW, v


@pcd_step.mistake("The chains came back as they were: return the moved ones, or they never get anywhere.")
def returns_the_old_chains(data, chains, a, b, W, rng):
    h = rng.random((len(chains), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
    v = (rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    gW = data.T @ p / len(data) - v.T @ q / len(v)
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), gW, chains


@pcd_step.mistake("The mean over the chains divides by the number of chains, not by the number of data.")
def divides_the_chains_by_the_number_of_data(data, chains, a, b, W, rng):
    h = rng.random((len(chains), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
    v = (rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    B = len(data)
    return (data.sum(0) - v.sum(0)) / B, (p.sum(0) - q.sum(0)) / B, (data.T @ p - v.T @ q) / B, v


@pcd_step.mistake("The sign is turned round: the statistics of the data minus those of the chains.")
def turns_the_sign_round(data, chains, a, b, W, rng):
    h = rng.random((len(chains), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
    v = (rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return v.mean(0) - data.mean(0), q.mean(0) - p.mean(0), v.T @ q / len(v) - data.T @ p / len(data), v


@pcd_step.mistake("Work on a copy of the chains: the caller's array was overwritten.")
def overwrites_the_chains_it_was_given(data, chains, a, b, W, rng):
    h = rng.random((len(chains), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
    chains[:] = rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, chains))
    gW = data.T @ p / len(data) - chains.T @ q / len(chains)
    return data.mean(0) - chains.mean(0), p.mean(0) - q.mean(0), gW, chains


@pcd_step.mistake("The chains are states of bits: draw the visible units, do not keep their probabilities.")
def keeps_probabilities_in_the_chains(data, chains, a, b, W, rng):
    h = rng.random((len(chains), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
    v = 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), data.T @ p / len(data) - v.T @ q / len(v), v


@pcd_step.mistake("Hidden units must be drawn on the way: with their means it is not a Gibbs step.")
def goes_through_mean_hidden_units(data, chains, a, b, W, rng):
    h = 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
    v = (rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), data.T @ p / len(data) - v.T @ q / len(v), v


@pcd_step.mistake("The field of a hidden unit is b + v W: its bias is missing.")
def forgets_the_hidden_biases(data, chains, a, b, W, rng):
    h = rng.random((len(chains), len(b))) < 0.5 * (1 + np.tanh(0.5 * (chains @ W)))
    v = (rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), data.T @ p / len(data) - v.T @ q / len(v), v


@pcd_step.alternative
def pcd_with_stacked_rows(data, chains, a, b, W, rng):
    from scipy.special import expit

    h = rng.random((len(chains), len(b))) < expit(b + chains @ W)
    new = (rng.random(chains.shape) < expit(a + h @ W.T)).astype(float)
    share = np.concatenate([np.full(len(data), 1 / len(data)), np.full(len(new), -1 / len(new))])
    rows = np.concatenate([data, new])
    p = expit(b + rows @ W)
    return share @ rows, share @ p, (rows * share[:, None]).T @ p, new


@pcd_step.alternative
def pcd_unit_by_unit(data, chains, a, b, W, rng):
    n, m = W.shape
    C = len(chains)

    def probability(x):
        return 0.5 * (1 + np.tanh(x / 2))

    h = np.zeros((C, m))
    for j in range(m):
        h[:, j] = rng.uniform(size=C) < probability(b[j] + chains @ W[:, j])
    v = np.zeros((C, n), dtype=int)
    for i in range(n):
        v[:, i] = rng.uniform(size=C) < probability(a[i] + h @ W[i])
    gb, gW = np.zeros(m), np.zeros((n, m))
    for j in range(m):
        p, q = probability(b[j] + data @ W[:, j]), probability(b[j] + v @ W[:, j])
        gb[j] = p.mean() - q.mean()
        for i in range(n):
            gW[i, j] = (data[:, i] * p).mean() - (v[:, i] * q).mean()
    return np.mean(data, 0) - np.mean(v, 0), gb, gW, v


@pcd_step.alternative
def pcd_chain_by_chain(data, chains, a, b, W, rng):
    def probability(x):
        return 0.5 * (1 + np.tanh(0.5 * x))

    new = []
    for v in chains:
        h = rng.random(len(b)) < probability(b + v @ W)
        new.append((rng.random(len(a)) < probability(a + W @ h)).astype(float))
    p, q = [probability(b + v @ W) for v in data], [probability(b + v @ W) for v in new]
    gW = np.mean([np.outer(v, x) for v, x in zip(data, p)], 0)
    gW = gW - np.mean([np.outer(v, x) for v, x in zip(new, q)], 0)
    return np.mean(data, 0) - np.mean(new, 0), np.mean(p, 0) - np.mean(q, 0), gW, np.array(new)
