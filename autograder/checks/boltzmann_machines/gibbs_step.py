"""Exercise 3: one step of block Gibbs sampling."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import bits
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count, Strength

from .definitions import Array, all_bits, gibbs_step_of
from .inputs import parameters

gibbs_step = Exercise("gibbs_step", "One step of block Gibbs sampling", gibbs_step_of)

N_VISIBLE, N_HIDDEN = 3, 2

STEP_DRAWS = 1000
"""Steps from each of the three starts, at the first stage."""

STRENGTH_DRAWS = 18_000
"""Steps of a larger machine, so that fields 3 % too strong or too weak are caught with probability 0.99."""


class Step(NamedTuple):
    """A small machine, and three visible states to start from."""

    a: Array
    b: Array
    W: Array
    starts: Array

    def law(self, a: float = 1.0, b: float = 1.0) -> Array:
        """p(h, v' | v) of every start, hidden and new visible state, (3, 4, 8); `a` and `b` scale the biases."""
        h, v = all_bits(N_HIDDEN), all_bits(N_VISIBLE)
        up, down = expit(b * self.b + self.starts @ self.W), expit(a * self.a + h @ self.W.T)
        return _product(up, h)[:, :, None] * _product(down, v)[None]


def _product(p: Array, states: Array) -> Array:
    """The probability of every state under independent bits, one row of `p` after another."""
    return np.asarray(np.where(states[None] > 0, p[:, None], 1 - p[:, None]).prod(-1))


def features() -> list[tuple[str, Array]]:
    """A name and an indicator (4, 8) of every hidden and new visible state."""
    h, v = all_bits(N_HIDDEN)[:, None], all_bits(N_VISIBLE)[None]
    shape = (len(h), v.shape[1])
    found = [(f"hidden unit {j} on", np.broadcast_to(h[..., j] == 1, shape)) for j in range(N_HIDDEN)]
    found += [(f"new visible unit {i} on", np.broadcast_to(v[..., i] == 1, shape)) for i in range(N_VISIBLE)]
    found += [
        (f"hidden unit {j} and new visible unit {i} alike", h[..., j] == v[..., i])
        for i, j in np.ndindex(N_VISIBLE, N_HIDDEN)
    ]
    found.append(("two hidden units alike", np.broadcast_to(h[..., 0] == h[..., 1], shape)))
    return found


FEATURES = features()


def probabilities(law: Array) -> Array:
    """The probability of every feature from every start."""
    return np.array([[float(p[indicator].sum()) for _, indicator in FEATURES] for p in law])


def random_step(rng: np.random.Generator) -> Step:
    """A machine on which a bias left out shows, and a v' that does not follow the h returned, and why not."""
    while True:
        a, b, W = parameters(rng, N_VISIBLE, N_HIDDEN, 2.5)
        step = Step(a, b, W, all_bits(N_VISIBLE)[rng.choice(8, 3, replace=False)])
        right = step.law()
        unrelated = right.sum(2, keepdims=True) * right.sum(1, keepdims=True)
        up = expit(step.b + step.starts @ step.W)
        from_means = right.sum(2)[:, :, None] * _product(expit(a + up @ W.T), all_bits(N_VISIBLE))[:, None]
        others = [step.law(a=0.0), step.law(b=0.0), unrelated, from_means]
        far = min(abs(probabilities(right) - probabilities(other)).max() for other in others) > 0.12
        if far and abs(probabilities(unrelated) - probabilities(from_means)).max() > 0.08:
            return step


def drawn_bits(attempt: Attempt, value: object, B: int, n: int, m: int) -> tuple[Array, Array]:
    """The hidden and new visible bits as integers, or a clear complaint."""
    attempt.expect(isinstance(value, tuple | list) and len(value) == 2, "return two arrays, h and the new v")
    h = attempt.array(value[0], (B, m), "h")  # type: ignore[index]
    v = attempt.array(value[1], (B, n), "the new v")  # type: ignore[index]
    both = np.isin(h, (0, 1)).all() and np.isin(v, (0, 1)).all()
    attempt.expect(both, "units must be 0 or 1; other values came back")
    return h.astype(int), v.astype(int)


@gibbs_step.check(5, "fields that leave no choice; integer bits")
def _(attempt: Attempt) -> None:
    """Every field is at least 40 in size: wrong for correct code with probability below 1e-14."""
    rng = attempt.rng
    calls = []
    shapes = [(1, 1, 1), (4, 5, 3), (3, 2, 6), (6, 4, 4), (2, 1, 5), (5, 7, 1)]
    for (B, n, m), dtype in zip(shapes, itertools.cycle((np.float64, np.uint8))):
        v = bits(rng, B, n).astype(dtype)
        while True:
            a, b, W = parameters(rng, n, m, 200.0)
            up = b + v.astype(float) @ W
            down = a + (up > 0) @ W.T
            if min(abs(up).min(), abs(down).min()) > 40:
                break
        calls.append((v, a, b, W, attempt.draw_rng()))
    wrong = 0
    for value, (v, a, b, W, _rng) in zip(attempt.call_many(calls), calls):
        h, after = drawn_bits(attempt, value, *v.shape, len(b))
        up = b + v.astype(float) @ W > 0
        wrong += not ((h == up).all() and (after == (a + up @ W.T > 0)).all())
    attempt.expect(
        wrong == 0, f"where the fields leave no choice, {wrong} of {len(calls)} steps went elsewhere"
    )


@gibbs_step.check(
    10, "a small machine: the exact law of the hidden bits and of what is drawn from them", seconds=30
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ 2 · ALPHA (2e-9): each row is a draw of p(h, v' | v), summed exactly;
    and in a larger machine each unit is a draw given those that it hears from.

    Two rows that start alike are alike in a unit as often as independence says, which one shared number is not.

    Power, measured: it caught all nine mistakes that change the law on each of 200 seeds.
    """
    step = random_step(attempt.rng)
    law = step.law()
    expected = probabilities(law)
    on = law.sum(2) @ all_bits(N_HIDDEN)

    def draw(n: int) -> list[Count]:
        which = attempt.rng.permutation(np.repeat(np.arange(3), n))
        # In several calls, so that numbers shared within a call do not look like no chance at all.
        parts = np.array_split(which, 4)
        values = attempt.call_many(
            [(step.starts[part], step.a, step.b, step.W, attempt.draw_rng()) for part in parts]
        )
        drawn = [drawn_bits(attempt, x, len(part), N_VISIBLE, N_HIDDEN) for x, part in zip(values, parts)]
        h, v = (np.concatenate(rows) for rows in zip(*drawn))
        h_code, v_code = h @ [2, 1], v @ [4, 2, 1]
        counts = []
        for start in range(3):
            here = which == start
            seen = np.zeros((4, 8), dtype=int)
            np.add.at(seen, (h_code[here], v_code[here]), 1)
            counts += [
                Count(f"from start {start}: {name}", int(seen[indicator].sum()), n, float(p))
                for (name, indicator), p in zip(FEATURES, expected[start])
            ]
            own = h[here]
            for j in range(N_HIDDEN):
                alike = own[: 2 * (n // 2) : 2, j] == own[1 : 2 * (n // 2) : 2, j]
                p = float(on[start, j])
                counts.append(
                    Count(
                        f"hidden unit {j} alike in two rows", int(alike.sum()), n // 2, p * p + (1 - p) ** 2
                    )
                )
        return counts

    attempt.sequential(draw, STEP_DRAWS, "a step does not have the law it should have")
    a, b, W = parameters(attempt.rng, 5, 4, 1.2)

    def strength(n: int) -> list[Strength]:
        v = bits(attempt.rng, n, 5)
        h, after = drawn_bits(attempt, attempt.call(v, a, b, W, attempt.draw_rng()), n, 5, 4)
        fields = np.concatenate([b + v @ W, a + h @ W.T], 1).ravel()
        drawn, (fields, group) = np.concatenate([h, after], 1).ravel(), np.unique(fields, return_inverse=True)
        seen = np.stack([np.bincount(group, drawn == bit, len(fields)) for bit in (0, 1)], 1)
        right, off = (np.stack([expit(-s * fields), expit(s * fields)], 1) for s in (1.0, 1.03))
        return [Strength.of("the fields are", seen, right, off)]

    attempt.sequential(strength, STRENGTH_DRAWS, "a step does not have the law it should have")


@gibbs_step.mistake("Those are probabilities. Draw bits from them: rng.random(p.shape) < p.")
def returns_probabilities(v, a, b, W, rng):
    h = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    return h, 0.5 * (1 + np.tanh((a + h @ W.T) / 2))


@gibbs_step.mistake("Draw each unit: on with probability p, also where p is below one half.")
def takes_the_likelier_bits(v, a, b, W, rng):
    h = (b + v @ W > 0).astype(float)
    return h, (a + h @ W.T > 0).astype(float)


@gibbs_step.mistake("Draw v' from the hidden bits that you return, not from their probabilities.")
def goes_down_from_the_probabilities(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    h = (rng.random(p.shape) < p).astype(float)
    q = 0.5 * (1 + np.tanh((a + p @ W.T) / 2))
    return h, (rng.random(q.shape) < q).astype(float)


@gibbs_step.mistake("v' must be drawn from the h that you return. Yours come from two different draws of h.")
def draws_the_hidden_units_twice(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    h = (rng.random(p.shape) < p).astype(float)
    q = 0.5 * (1 + np.tanh((a + h @ W.T) / 2))
    return (rng.random(p.shape) < p).astype(float), (rng.random(q.shape) < q).astype(float)


@gibbs_step.mistake("The hidden units have a bias: their field is b + v W.")
def draws_hidden_units_without_their_bias(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh(v @ W / 2))
    h = (rng.random(p.shape) < p).astype(float)
    q = 0.5 * (1 + np.tanh((a + h @ W.T) / 2))
    return h, (rng.random(q.shape) < q).astype(float)


@gibbs_step.mistake("The visible units have a bias: their field is a + W h.")
def draws_visible_units_without_their_bias(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    h = (rng.random(p.shape) < p).astype(float)
    q = 0.5 * (1 + np.tanh(h @ W.T / 2))
    return h, (rng.random(q.shape) < q).astype(float)


@gibbs_step.mistake("Each row needs random numbers of its own: rng.random(p.shape), not one row for all.")
def shares_random_numbers_among_the_rows(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    h = (rng.random(len(b)) < p).astype(float)
    q = 0.5 * (1 + np.tanh((a + h @ W.T) / 2))
    return h, (rng.random(len(a)) < q).astype(float)


@gibbs_step.mistake(
    "Your bits are on with probability 1 - p: a unit is on where the uniform number is below p."
)
def draws_the_opposite_bits(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    h = (rng.random(p.shape) > p).astype(float)
    q = 0.5 * (1 + np.tanh((a + h @ W.T) / 2))
    return h, (rng.random(q.shape) > q).astype(float)


@gibbs_step.mistake("The visible units come back as they were: draw new ones given h.")
def never_draws_new_visible_units(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    return (rng.random(p.shape) < p).astype(float), v.copy()


@gibbs_step.mistake("Work on a copy: the caller still needs the old visible units.")
def overwrites_the_visible_units(v, a, b, W, rng):
    p = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    h = (rng.random(p.shape) < p).astype(float)
    q = 0.5 * (1 + np.tanh((a + h @ W.T) / 2))
    v[:] = rng.random(q.shape) < q
    return h, v


@gibbs_step.alternative
def step_by_loops(v, a, b, W, rng):
    n, m = W.shape
    new_h, new_v = [], []
    for row in v:
        on = [i for i in range(n) if row[i]]
        h = [int(rng.random() < 0.5 * (1 + np.tanh((b[j] + sum(W[i, j] for i in on)) / 2))) for j in range(m)]
        on = [j for j in range(m) if h[j]]
        new_h.append(h)
        new_v.append(
            [int(rng.random() < 0.5 * (1 + np.tanh((a[i] + sum(W[i, j] for j in on)) / 2))) for i in range(n)]
        )
    return new_h, new_v


@gibbs_step.alternative
def step_by_binomial_draws(v, a, b, W, rng):
    from scipy.special import expit

    h = rng.binomial(1, expit(v @ W + b))
    return h, rng.binomial(1, expit(h @ W.T + a))


@gibbs_step.alternative
def step_by_logistic_noise(v, a, b, W, rng):
    up = b + v.astype(float) @ W
    h = (up > rng.logistic(size=up.shape)).astype(np.uint8)
    down = a + h.astype(float) @ W.T
    return h, (down > rng.logistic(size=down.shape)).astype(np.uint8)


@gibbs_step.alternative
def step_unit_by_unit(v, a, b, W, rng):
    h = np.zeros((len(v), len(b)))
    for j in range(len(b)):
        h[:, j] = rng.uniform(size=len(v)) <= 1 / (1 + np.exp(-(b[j] + v @ W[:, j])))
    new = np.zeros((len(v), len(a)))
    for i in range(len(a)):
        new[:, i] = rng.uniform(size=len(v)) <= 1 / (1 + np.exp(-(a[i] + h @ W[i])))
    return h, new
