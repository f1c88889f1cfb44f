"""Exercise 2: CD-k."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import bits
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count, Strength

from .definitions import Array, bit_states, cd_gradient_of, contrast, statistics
from .inputs import (
    Machine,
    gradient_of,
    machine,
    same,
    stronger,
    sure_machine,
    telling_start,
    wandering_machine,
)

cd_gradient = Exercise("cd_gradient", "Contrastive divergence", cd_gradient_of)

COPIES = 2000
SINGLE_CALLS = 150
STRENGTH_DRAWS = 40_000
"""Copies of one row, so that fields 3 % too strong or too weak are caught with probability 0.99."""


def strong_start(rng: np.random.Generator) -> tuple[Machine, Array, Array]:
    """A machine and a start where 3 % more field show in one step, and the sum of units that shows it best."""
    states = bit_states(3)
    while True:
        theta = machine(rng, 3, 4, 1.3)
        law, off = theta.step_law(), stronger(theta, 0.03).step_law()
        for index in rng.permutation(8):
            mean, shift = law[index] @ states, (off[index] - law[index]) @ states
            covariance = (states - mean).T @ ((states - mean) * law[index][:, None])
            weights = np.linalg.solve(covariance, shift)
            if np.sqrt(shift @ weights * STRENGTH_DRAWS) > 5.2:
                return theta, states[index], weights


@cd_gradient.check(5, "machines so strong that the chain has no choice: one, two and three steps")
def _(attempt: Attempt) -> None:
    """Correct code fails with probability below 1e-13: fewer than 1e4 bits, each against its field by 4e-18."""
    rng = attempt.rng
    calls = []
    for _ in range(2):
        theta, data = wandering_machine(rng)
        calls += [(data, *theta, k, attempt.draw_rng()) for k in (1, 2, 3)]
    for n, m, B in [(1, 1, 1), (1, 3, 4), (4, 1, 2)]:
        calls.append((bits(rng, B, n).astype(np.uint8), *sure_machine(rng, n, m), 2, attempt.draw_rng()))
    attempt.compare(calls, atol=1e-8)


@cd_gradient.check(6, "one row of data: all three gradients belong to one and the same end of a chain")
def _(attempt: Attempt) -> None:
    """Certain for correct code: v_k is read off the gradient of a, and the others must follow from it.

    But for the last demand, which correct code fails with probability below 1e-12.
    """
    rng = attempt.rng
    cases = _that_move(rng)
    values = attempt.call_many([(v, *theta, k, attempt.draw_rng()) for v, theta, k in cases])
    moved = False
    for value, (v, theta, _) in zip(values, cases):
        found = gradient_of(attempt, value, theta)
        end = v - found[0]
        attempt.expect(
            (abs(end - end.round()) < 1e-6).all() and (end.round() >= 0).all() and (end.round() <= 1).all(),
            "with one row of data, the gradient of a must be the row minus another vector of bits",
        )
        expected = contrast(statistics(v, theta.b, theta.W), statistics(end.round(), theta.b, theta.W))
        attempt.expect(
            same(found, expected), "the gradients of b or W do not belong to the chain that gave that of a"
        )
        moved = moved or bool((end.round() != v).any())
    attempt.expect(moved, "the chain ends where it began, whatever the machine")


def _that_move(rng: np.random.Generator) -> list[tuple[Array, Machine, int]]:
    """Single rows, machines and numbers of steps; all chains stay where they are with probability below 1e-12."""
    while True:
        cases = [(bits(rng, 1, 4), machine(rng, 4, 3, 1.5), int(k)) for k in rng.integers(1, 4, 40)]
        places = [int(v[0] @ [8, 4, 2, 1]) for v, _, _ in cases]
        stay = [np.linalg.matrix_power(c[1].step_law(), c[2])[i, i] for c, i in zip(cases, places)]
        if np.prod(stay) < 1e-12:
            return cases


@cd_gradient.check(5, "many copies of one row: the exact law of every unit after k steps", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ 4 · ALPHA (4e-9): unit i is on in a binomial number of the copies.

    Power, measured over 200 seeds: 100 % for all mistakes that change the law, the sign or the scale.
    """
    rng = attempt.rng
    theta, start = telling_start(rng)
    index = int(start @ [4, 2, 1])
    for k in (1, 3, 2):
        on = np.linalg.matrix_power(theta.step_law(), k)[index] @ bit_states(3)

        def draw(n: int, k: int = k, on: Array = on) -> list[Count]:
            value = attempt.call(np.tile(start, (n, 1)), *theta, k, attempt.draw_rng())
            hits = n * (start - gradient_of(attempt, value, theta)[0])
            attempt.expect(
                (abs(hits - hits.round()) < 1e-3).all()
                and (hits.round() >= 0).all()
                and (hits.round() <= n).all(),
                "the gradient of a must be a mean of differences of bits",
            )
            return [
                Count(f"visible unit {i} on after {k} steps", int(hit), n, float(p))
                for i, (hit, p) in enumerate(zip(hits.round(), on))
            ]

        attempt.sequential(draw, COPIES, "the chains do not have the law of k Gibbs steps from the data")
    theta, start, weights = strong_start(rng)
    law, states = theta.step_law()[int(start @ [4, 2, 1])], bit_states(3)

    def strength(n: int) -> list[Strength]:
        value = attempt.call(np.tile(start, (n, 1)), *theta, 1, attempt.draw_rng())
        total = n * float((start - gradient_of(attempt, value, theta)[0]) @ weights)
        return [Strength("the fields are", total, np.array([n]), law[None], (states @ weights)[None])]

    attempt.sequential(strength, STRENGTH_DRAWS, "the chains do not have the law of a Gibbs step")


@cd_gradient.check(4, "one row at a time: the exact joint law of all visible units", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): each call ends in a state, with the law P²(v_0, ·).

    Power, measured over 60 seeds: 90 % for a single step, 82 % for a random start, 15 % for one step too many,
    30 % for hidden units that are not drawn; the check before catches them.
    """
    theta, start = telling_start(attempt.rng)
    law = np.linalg.matrix_power(theta.step_law(), 2)[int(start @ [4, 2, 1])]

    def draw(n: int) -> list[Count]:
        values = attempt.call_many([(start[None], *theta, 2, attempt.draw_rng()) for _ in range(n)])
        ends = np.array([start - gradient_of(attempt, value, theta)[0] for value in values]).round()
        attempt.expect(np.isin(ends, (0, 1)).all(), "a chain ended in a state that is no vector of bits")
        seen = np.bincount((ends @ [4, 2, 1]).astype(int), minlength=8)
        return [
            Count(f"the state {i:03b}", int(hits), n, float(p)) for i, (hits, p) in enumerate(zip(seen, law))
        ]

    attempt.sequential(draw, SINGLE_CALLS, "the chain does not have the law of two Gibbs steps from the data")


@cd_gradient.mistake("The sign is turned round: the statistics of the data minus those of the chain.")
def climbs_down_the_likelihood(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))
    v = v.astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return v.mean(0) - data.mean(0), q.mean(0) - p.mean(0), (v.T @ q - data.T @ p) / len(data)


@cd_gradient.mistake("The chain takes k steps, each v → h → v; this one took a single step whatever k is.")
def takes_one_step_whatever_k_is(data, a, b, W, k, rng):
    h = rng.random((len(data), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake("The chain takes k steps; this one took one too many.")
def takes_one_step_too_many(data, a, b, W, k, rng):
    v = data
    for _ in range(k + 1):
        h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))
    v = v.astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake("Contrastive divergence starts its chains at the data, not at random bits.")
def starts_the_chain_at_random_bits(data, a, b, W, k, rng):
    v = (rng.random(data.shape) < 0.5).astype(float)
    for _ in range(k):
        h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake(
    "The chain moves among bits: draw the visible units, do not pass their probabilities on."
)
def passes_probabilities_on_in_place_of_bits(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake("Hidden units must be drawn between the steps. Their mean field is not a Gibbs step.")
def does_not_draw_the_hidden_units(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        h = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake(
    "The negative statistics need p(h | v_k) at the chain's *end*, not the hidden units it came from."
)
def uses_stale_hidden_units(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        q = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        h = rng.random(q.shape) < q
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake("The mean over the batch is asked for: divide by the number of rows.")
def sums_over_the_batch(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return (data - v).sum(0), (p - q).sum(0), data.T @ p - v.T @ q


@cd_gradient.mistake("Each row of the batch needs random numbers of its own: rng.random(v.shape).")
def shares_random_numbers_in_the_batch(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        h = rng.random(len(b)) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = (rng.random(len(a)) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake("The field of a hidden unit is b + v W: its bias is missing.")
def forgets_the_hidden_biases(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (v @ W)))
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (x @ W))) for x in (data, v))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.mistake("The statistics use the probabilities p(h | v), with less noise than drawn hidden bits.")
def puts_drawn_hidden_units_into_the_statistics(data, a, b, W, k, rng):
    v = data
    for _ in range(k):
        h = rng.random((len(v), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p, q = (0.5 * (1 + np.tanh(0.5 * (b + x @ W))) for x in (data, v))
    p, q = ((rng.random(x.shape) < x).astype(float) for x in (p, q))
    return data.mean(0) - v.mean(0), p.mean(0) - q.mean(0), (data.T @ p - v.T @ q) / len(data)


@cd_gradient.alternative
def cd_row_by_row(data, a, b, W, k, rng):
    import math

    n, m = W.shape
    biases, hidden_biases, weights = a.tolist(), b.tolist(), W.tolist()

    def probability(x):
        return 0.5 * (1 + math.tanh(0.5 * x))

    def up(v):
        return [
            probability(hidden_biases[j] + sum(weights[i][j] for i in range(n) if v[i])) for j in range(m)
        ]

    ga, gb, gW = [0.0] * n, [0.0] * m, [[0.0] * m for _ in range(n)]
    for row in data.tolist():
        v = row
        for _ in range(k):
            h = [rng.random() < p for p in up(v)]
            v = [
                float(rng.random() < probability(biases[i] + sum(weights[i][j] for j in range(m) if h[j])))
                for i in range(n)
            ]
        for x, sign in ((row, 1 / len(data)), (v, -1 / len(data))):
            p = up(x)
            for j in range(m):
                gb[j] += sign * p[j]
            for i in range(n):
                ga[i] += sign * x[i]
                for j in range(m):
                    gW[i][j] += sign * x[i] * p[j]
    return np.array(ga), np.array(gb), np.array(gW)


@cd_gradient.alternative
def cd_with_einsum(data, a, b, W, k, rng):
    from scipy.special import expit

    v = np.array(data, dtype=float)
    for _ in range(k):
        h = rng.binomial(1, expit(b + np.einsum("bi,ij->bj", v, W)))
        v = rng.binomial(1, expit(a + np.einsum("bj,ij->bi", h, W))).astype(float)
    p, q = expit(b + data @ W), expit(b + v @ W)
    gW = np.einsum("bi,bj->bij", data, p) - np.einsum("bi,bj->bij", v, q)
    return (data - v).mean(0), (p - q).mean(0), gW.mean(0)


@cd_gradient.alternative
def cd_with_one_weight_matrix(data, a, b, W, k, rng):
    B, n = data.shape
    m = len(b)
    joint = np.block([[np.zeros((1, 1)), b[None]], [a[:, None], W]])

    def with_one(x):
        return np.hstack([np.ones((B, 1)), x])

    def draw_up(v):
        return rng.logistic(size=(B, m)) < with_one(v) @ joint[:, 1:]

    v = data.astype(float)
    for _ in range(k):
        h = draw_up(v)
        v = (rng.logistic(size=(B, n)) < with_one(h) @ joint[1:].T).astype(float)

    def statistics(v):
        h = 1 / (1 + np.exp(-np.clip(with_one(v) @ joint[:, 1:], -700, 700)))
        return with_one(v).T @ with_one(h) / B

    difference = statistics(data.astype(float)) - statistics(v)
    return difference[1:, 0], difference[0, 1:], difference[1:, 1:]
