"""Hidden checks of the Boltzmann machine assignment: energies, conditionals, block Gibbs, likelihood, mean field.

    E(v, h) = -a·v - b·h - v·W h,   F(v) = -a·v - Σ_j log(1 + exp(b_j + (v W)_j)),   p(v) = exp(-F(v)) / Z

The machine of the sampler's check has three visible and two hidden units: the law of a step is summed exactly.
Mistakes and alternatives stand alone: each can be put into a notebook.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp

from autograder.exercises.attempt import Attempt, Wrong
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.sequential import Count
from autograder.exercises.values import close, shape_complaint

Array = np.ndarray
Call = tuple[object, ...]


# --- The definitions


def energies_of(v: Array, h: Array, a: Array, b: Array, W: Array) -> tuple[Array, Array]:
    """E(v, h) and F(v) of each row."""
    v, h = np.asarray(v, dtype=float), np.asarray(h, dtype=float)
    field = b + v @ W
    return -(v @ a) - np.einsum("bj,bj->b", h, field), -(v @ a) - np.logaddexp(0.0, field).sum(1)


def conditionals_of(v: Array, h: Array, a: Array, b: Array, W: Array) -> tuple[Array, Array]:
    """p(h = 1 | v) and p(v = 1 | h)."""
    return expit(b + np.asarray(v, dtype=float) @ W), expit(a + np.asarray(h, dtype=float) @ W.T)


def gibbs_step_of(v: Array, a: Array, b: Array, W: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """h ~ p(h | v), then new v ~ p(v | h)."""
    up = expit(b + np.asarray(v, dtype=float) @ W)
    h = (rng.random(up.shape) < up).astype(float)
    down = expit(a + h @ W.T)
    return h, (rng.random(down.shape) < down).astype(float)


def log_likelihood_of(data: Array, a: Array, b: Array, W: Array) -> float:
    """The mean of log p(v), the smaller layer enumerated."""
    _, free = energies_of(data, np.zeros((len(data), len(b))), a, b, W)
    if len(a) < len(b):
        a, b, W = b, a, W.T
    h = all_bits(len(b))
    return float(-free.mean() - logsumexp(h @ b + np.logaddexp(0.0, a + h @ W.T).sum(1)))


def dbm_energy_of(layers: Sequence[Array], biases: Sequence[Array], weights: Sequence[Array]) -> Array:
    """E(x_0, …, x_L) of each row."""
    x = [np.asarray(layer, dtype=float) for layer in layers]
    total = np.zeros(len(x[0]))
    for l, bias in enumerate(biases):
        total -= x[l] @ bias
    for l, W in enumerate(weights):
        total -= np.einsum("bi,ij,bj->b", x[l], W, x[l + 1])
    return total


def mean_field_pass_of(
    means: Sequence[Array], biases: Sequence[Array], weights: Sequence[Array]
) -> tuple[Array, ...]:
    """The hidden means after one pass from the bottom up."""
    new = [np.asarray(mean, dtype=float) for mean in means]
    for l in range(1, len(new)):
        above = new[l + 1] @ weights[l].T if l + 1 < len(new) else 0.0
        new[l] = expit(biases[l] + new[l - 1] @ weights[l - 1] + above)
    return tuple(new[1:])


def all_bits(n: int) -> Array:
    """All states of n bits, (2^n, n)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n))).reshape(2**n, n)


# --- Inputs drawn at grading time


def bits(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(0, 2, shape).astype(float)


def parameters(rng: np.random.Generator, n: int, m: int, scale: float = 1.0) -> tuple[Array, Array, Array]:
    """Biases and weights that all matter."""
    return (
        scale * rng.uniform(0.3, 1.0, n) * rng.choice([-1.0, 1.0], n),
        scale * rng.uniform(0.3, 1.0, m) * rng.choice([-1.0, 1.0], m),
        scale * rng.uniform(0.3, 1.5, (n, m)) * rng.choice([-1.0, 1.0], (n, m)),
    )


def machine(rng: np.random.Generator, B: int, n: int, m: int, scale: float = 1.0) -> tuple[Array, ...]:
    """A batch of states, each with a unit on in either layer where there is one, and a machine."""
    v, h = bits(rng, B, n), bits(rng, B, m)
    if B:
        v[np.arange(B), rng.integers(0, n, B)] = 1.0
        h[np.arange(B), rng.integers(0, m, B)] = 1.0
    return v, h, *parameters(rng, n, m, scale)


def sizes(rng: np.random.Generator) -> tuple[int, int, int]:
    """A batch and two layers of different sizes."""
    n, m = rng.choice(np.arange(2, 8), 2, replace=False)
    return int(rng.integers(2, 7)), int(n), int(m)


def deep_machine(
    rng: np.random.Generator, layer_sizes: Sequence[int], B: int, scale: float = 1.0
) -> tuple[list[Array], list[Array], list[Array]]:
    """States, biases and weights of a deep machine."""
    pairs = list(itertools.pairwise(layer_sizes))
    layers = [bits(rng, B, n) for n in layer_sizes]
    for x in layers:
        x[:, 0] = 1.0
    biases = [scale * rng.uniform(0.3, 1.0, n) * rng.choice([-1.0, 1.0], n) for n in layer_sizes]
    weights = [scale * rng.uniform(0.3, 1.2, pair) * rng.choice([-1.0, 1.0], pair) for pair in pairs]
    return layers, biases, weights


def compare_part(
    attempt: Attempt, calls: Sequence[Call], part: int, names: Sequence[str], rtol: float = 1e-6
) -> None:
    """One of the arrays that the function returns must agree with the reference on every call."""
    wrong = 0
    for value, call in zip(attempt.call_many(calls), calls):
        expected = attempt.exercise.reference(*call)
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            raise Wrong(f"return {len(expected)} arrays, {' and '.join(names)}")
        if complaint := shape_complaint(value[part], expected[part]):
            raise Wrong(complaint.replace("your function returned", f"{names[part]} is"))
        wrong += not close(value[part], expected[part], rtol, 1e-9)
    attempt.expect(
        wrong == 0, f"{names[part]} of {wrong} of {len(calls)} inputs is not what the definition gives"
    )


# --- Exercise 1: energy and free energy

energies = Exercise("energies", "Energy and free energy", energies_of)

E_AND_F = ("E", "F")


@energies.check(6, "the energy of random states of random machines")
def _(attempt: Attempt) -> None:
    compare_part(attempt, [machine(attempt.rng, *sizes(attempt.rng)) for _ in range(12)], 0, E_AND_F)


@energies.check(7, "the free energy of the same kind")
def _(attempt: Attempt) -> None:
    compare_part(attempt, [machine(attempt.rng, *sizes(attempt.rng)) for _ in range(12)], 1, E_AND_F)


@energies.check(4, "fields whose exponentials overflow, in both directions")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [machine(rng, *sizes(rng), 1000.0) for _ in range(6)]
    v, h, a, b, _ = machine(rng, 3, 4, 2)
    calls += [(v, h, a, b, sign * rng.uniform(900, 1500, (4, 2))) for sign in (-1.0, 1.0)]
    compare_part(attempt, calls, 1, E_AND_F)


@energies.check(3, "single units, square machines, an empty batch, and bits of integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [
        machine(rng, *shape) for shape in [(1, 1, 1), (3, 1, 4), (3, 4, 1), (4, 4, 4), (0, 3, 2)]
    ]
    for dtype in (np.uint8, np.int64, np.float32):
        v, h, a, b, W = machine(rng, 5, 4, 3)
        calls.append((v.astype(dtype), h.astype(dtype), a, b, W))
    compare_part(attempt, calls, 0, E_AND_F)
    compare_part(attempt, calls, 1, E_AND_F)


@energies.mistake("All three terms carry a minus sign: agreement with the parameters lowers the energy.")
def has_plus_signs(v, h, a, b, W):
    field = b + v @ W
    return v @ a + (h * field).sum(-1), v @ a + np.logaddexp(0, field).sum(-1)


@energies.mistake("The visible units have biases too: the term -a·v is missing.")
def forgets_the_visible_biases(v, h, a, b, W):
    field = b + v @ W
    return -(h * field).sum(-1), -np.logaddexp(0, field).sum(-1)


@energies.mistake("The hidden units have biases too: b belongs to E and to the field inside the logarithm.")
def forgets_the_hidden_biases(v, h, a, b, W):
    field = v @ W
    return -(v @ a) - (h * field).sum(-1), -(v @ a) - np.logaddexp(0, field).sum(-1)


@energies.mistake("exp(1000) is infinite. Use np.logaddexp(0, x) for log(1 + exp(x)).")
def overflows_in_the_softplus(v, h, a, b, W):
    field = b + v @ W
    return -(v @ a) - (h * field).sum(-1), -(v @ a) - np.log(1 + np.exp(field)).sum(-1)


@energies.mistake(
    "F sums over both values of every h_j. Yours takes the better of the two: max(0, x) is not log(1 + exp x)."
)
def takes_the_best_hidden_state(v, h, a, b, W):
    field = b + v @ W
    return -(v @ a) - (h * field).sum(-1), -(v @ a) - np.maximum(0, field).sum(-1)


@energies.mistake(
    "That is the mean energy under p(h | v). The free energy is lower, by the entropy of the hidden units."
)
def puts_the_mean_energy_for_the_free_energy(v, h, a, b, W):
    field = b + v @ W
    mean = 0.5 * (1 + np.tanh(field / 2))
    return -(v @ a) - (h * field).sum(-1), -(v @ a) - (mean * field).sum(-1)


@energies.mistake("F is -log of a sum over h: it carries a minus sign before the logarithms, too.")
def adds_the_logarithms(v, h, a, b, W):
    field = b + v @ W
    return -(v @ a) - (h * field).sum(-1), -(v @ a) + np.logaddexp(0, field).sum(-1)


@energies.mistake("F does not depend on the h that was given: it sums over all of them.")
def returns_the_energy_for_the_free_energy(v, h, a, b, W):
    energy = -(v @ a) - (h * (b + v @ W)).sum(-1)
    return energy, energy


@energies.mistake("One energy for each row, not one for the whole batch: sum over the units only.")
def sums_over_the_batch(v, h, a, b, W):
    field = b + v @ W
    return -(v @ a).sum() - (h * field).sum(), -(v @ a).sum() - np.logaddexp(0, field).sum()


@energies.alternative
def energies_by_loops(v, h, a, b, W):
    E, F = [], []
    for b_ in range(len(v)):
        energy = free = -sum(a[i] * float(v[b_, i]) for i in range(len(a)))
        for j in range(len(b)):
            x = b[j] + sum(W[i, j] * float(v[b_, i]) for i in range(len(a)))
            energy -= x * float(h[b_, j])
            free -= max(x, 0.0) + np.log1p(np.exp(-abs(x)))
        E.append(energy)
        F.append(free)
    return np.array(E), np.array(F)


@energies.alternative
def energies_by_einsum(v, h, a, b, W):
    v, h = v.astype(float), h.astype(float)
    interaction = np.einsum("bi,ij,bj->b", v, W, h)
    x = np.einsum("bi,ij->bj", v, W) + b
    softplus = np.where(x > 0, x, 0) + np.log1p(np.exp(-np.abs(x)))
    return -(v @ a + h @ b + interaction), -(v @ a + softplus.sum(axis=1))


@energies.alternative
def energies_by_summing_over_h(v, h, a, b, W):
    m = len(b)
    states = (np.arange(2**m)[:, None] >> np.arange(m) & 1).astype(float)
    field = v @ W + b
    free = -np.logaddexp.reduce(field @ states.T, axis=1) - v @ a
    return -(v @ a) - np.sum(field * h, axis=1), free


@energies.alternative
def energies_in_torch(v, h, a, b, W):
    import torch

    v, h, a, b, W = (torch.as_tensor(np.asarray(x, dtype=np.float64)) for x in (v, h, a, b, W))
    field = torch.addmm(b, v, W)
    return -(v @ a) - (field * h).sum(1), -(v @ a) - torch.nn.functional.softplus(field).sum(1)


# --- Exercise 2: the conditionals of a layer

conditionals = Exercise("conditionals", "The conditionals of a layer", conditionals_of)

UP_AND_DOWN = ("p_h", "p_v")


@conditionals.check(5, "hidden units given the visible ones")
def _(attempt: Attempt) -> None:
    compare_part(attempt, [machine(attempt.rng, *sizes(attempt.rng)) for _ in range(12)], 0, UP_AND_DOWN)


@conditionals.check(5, "visible units given the hidden ones")
def _(attempt: Attempt) -> None:
    compare_part(attempt, [machine(attempt.rng, *sizes(attempt.rng)) for _ in range(12)], 1, UP_AND_DOWN)


@conditionals.check(5, "fields of a thousand, single units, square machines, and bits of integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [machine(rng, *sizes(rng), 1000.0) for _ in range(5)]
    calls += [machine(rng, *shape) for shape in [(1, 1, 1), (3, 1, 4), (3, 4, 1), (4, 4, 4)]]
    for dtype in (np.uint8, np.int64):
        v, h, a, b, W = machine(rng, 5, 4, 3)
        calls.append((v.astype(dtype), h.astype(dtype), a, b, W))
    compare_part(attempt, calls, 0, UP_AND_DOWN)
    compare_part(attempt, calls, 1, UP_AND_DOWN)


@conditionals.mistake("That is the probability to be off: check the sign inside the exponential.")
def gives_the_probability_to_be_off(v, h, a, b, W):
    return 0.5 * (1 - np.tanh((b + v @ W) / 2)), 0.5 * (1 - np.tanh((a + h @ W.T) / 2))


@conditionals.mistake("The field has a bias: b for the hidden units, a for the visible ones.")
def forgets_the_biases(v, h, a, b, W):
    return 0.5 * (1 + np.tanh(v @ W / 2)), 0.5 * (1 + np.tanh(h @ W.T / 2))


@conditionals.mistake("That is the log-odds. Put it through the logistic function to get a probability.")
def returns_the_fields(v, h, a, b, W):
    return b + v @ W, a + h @ W.T


@conditionals.mistake(
    "exp of a large number is infinite, and inf / inf is NaN. Divide first: 1 / (1 + exp(-x))."
)
def divides_infinity_by_infinity(v, h, a, b, W):
    up, down = np.exp(b + v @ W), np.exp(a + h @ W.T)
    return up / (1 + up), down / (1 + down)


@conditionals.mistake("Units are bits 0 and 1, not spins: the log-odds carry no factor 2.")
def doubles_the_field_as_for_spins(v, h, a, b, W):
    return 0.5 * (1 + np.tanh(b + v @ W)), 0.5 * (1 + np.tanh(a + h @ W.T))


@conditionals.mistake(
    "These are bits already: return the probabilities, and leave rounding to whoever needs it."
)
def rounds_to_the_likelier_bit(v, h, a, b, W):
    return (b + v @ W > 0).astype(float), (a + h @ W.T > 0).astype(float)


@conditionals.mistake(
    "Softmax lets the units of a layer compete for one. They are independent: each has a logistic function."
)
def lets_the_units_compete(v, h, a, b, W):
    up, down = b + v @ W, a + h @ W.T
    up, down = np.exp(up - up.max(1, keepdims=True)), np.exp(down - down.max(1, keepdims=True))
    return up / up.sum(1, keepdims=True), down / down.sum(1, keepdims=True)


@conditionals.mistake("p(v | h) is given the h that was passed in, not the probabilities p(h | v).")
def goes_down_from_its_own_probabilities(v, h, a, b, W):
    up = 0.5 * (1 + np.tanh((b + v @ W) / 2))
    return up, 0.5 * (1 + np.tanh((a + up @ W.T) / 2))


@conditionals.alternative
def conditionals_by_loops(v, h, a, b, W):
    def sigmoid(x):
        return 1 / (1 + np.exp(-x)) if x >= 0 else np.exp(x) / (1 + np.exp(x))

    n, m = W.shape
    p_h = [[sigmoid(b[j] + sum(W[i, j] for i in range(n) if row[i])) for j in range(m)] for row in v]
    p_v = [[sigmoid(a[i] + sum(W[i, j] for j in range(m) if row[j])) for i in range(n)] for row in h]
    return np.array(p_h), np.array(p_v)


@conditionals.alternative
def conditionals_by_two_energies(v, h, a, b, W):
    def energy(v, h):
        return -(v @ a) - h @ b - np.einsum("bi,ij,bj->b", v, W, h)

    def probabilities(x, cost):
        columns = []
        for k in range(x.shape[1]):
            on, off = x.astype(float), x.astype(float)
            on[:, k], off[:, k] = 1, 0
            columns.append(np.exp(-np.logaddexp(0, cost(on) - cost(off))))
        return np.stack(columns, axis=1)

    v, h = v.astype(float), h.astype(float)
    return probabilities(h, lambda x: energy(v, x)), probabilities(v, lambda x: energy(x, h))


@conditionals.alternative
def conditionals_with_scipy(v, h, a, b, W):
    from scipy.special import expit

    return expit(np.tensordot(v, W, axes=(1, 0)) + b[None]), expit(np.tensordot(h, W, axes=(1, 1)) + a[None])


@conditionals.alternative
def conditionals_with_one_over_one_plus(v, h, a, b, W):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-(b + v @ W))), 1 / (1 + np.exp(-(a + (W @ h.T).T)))


# --- Exercise 3: one step of block Gibbs sampling

gibbs_step = Exercise("gibbs_step", "One step of block Gibbs sampling", gibbs_step_of)

N_VISIBLE, N_HIDDEN = 3, 2

STEP_DRAWS = 1000
"""Steps from each of the three starts, at the first stage."""


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


@gibbs_step.check(5, "fields that leave no choice; integer bits; the input is left as it is")
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
    v = calls[1][0]
    _, arguments = attempt.call_and_arguments(*calls[1])
    attempt.expect(np.array_equal(arguments[0], v), "the array that the function was given has changed")


@gibbs_step.check(
    10, "a small machine: the exact law of the hidden bits and of what is drawn from them", seconds=30
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): each row is a draw of p(h, v' | v), summed exactly.

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


# --- Exercise 4: the exact log-likelihood

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


# --- Exercise 5: the energy of a deep Boltzmann machine

dbm_energy = Exercise("dbm_energy", "The energy of a deep Boltzmann machine", dbm_energy_of)


def random_sizes(rng: np.random.Generator, n_layers: int) -> list[int]:
    """Sizes of layers, neighbours different."""
    return [int(n) for n in rng.choice(np.arange(2, 7), n_layers, replace=False)]


@dbm_energy.check(5, "machines of three layers")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([deep_machine(rng, random_sizes(rng, 3), int(rng.integers(2, 6))) for _ in range(12)])


@dbm_energy.check(5, "two, four and five layers, layers of one size, single units, and bits of integer types")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [deep_machine(rng, random_sizes(rng, k), 3) for k in (2, 4, 5)]
    calls += [
        deep_machine(rng, [4, 4, 4], 4),
        deep_machine(rng, [1, 1, 1], 1),
        deep_machine(rng, [5, 1, 3], 2),
    ]
    for dtype in (np.uint8, np.int64):
        layers, biases, weights = deep_machine(rng, [3, 2, 4], 5)
        calls.append(([x.astype(dtype) for x in layers], biases, weights))
    attempt.compare(calls)


@dbm_energy.mistake("The energy carries a minus sign: agreement with the parameters lowers it.")
def has_no_minus_signs(layers, biases, weights):
    total = sum(x @ b for x, b in zip(layers, biases))
    return total + sum(((layers[l] @ W) * layers[l + 1]).sum(1) for l, W in enumerate(weights))


@dbm_energy.mistake("Every layer has biases: the terms b_l · x_l are missing.")
def forgets_all_biases(layers, biases, weights):
    return -sum(((layers[l] @ W) * layers[l + 1]).sum(1) for l, W in enumerate(weights))


@dbm_energy.mistake("The visible layer has biases too: start the first sum at l = 0.")
def forgets_the_biases_of_the_visible_layer(layers, biases, weights):
    total = sum(x @ b for x, b in zip(layers[1:], biases[1:]))
    return -total - sum(((layers[l] @ W) * layers[l + 1]).sum(1) for l, W in enumerate(weights))


@dbm_energy.mistake("The top layer has biases too: the first sum runs up to l = L.")
def forgets_the_biases_of_the_top_layer(layers, biases, weights):
    total = sum(x @ b for x, b in zip(layers[:-1], biases[:-1]))
    return -total - sum(((layers[l] @ W) * layers[l + 1]).sum(1) for l, W in enumerate(weights))


@dbm_energy.mistake("Each pair of neighbouring layers counts once, not once from either side.")
def counts_every_tie_twice(layers, biases, weights):
    total = sum(x @ b for x, b in zip(layers, biases))
    return -total - 2 * sum(((layers[l] @ W) * layers[l + 1]).sum(1) for l, W in enumerate(weights))


@dbm_energy.mistake("All pairs of neighbours count: the second sum runs from l = 0 to L - 1.")
def forgets_the_top_weights(layers, biases, weights):
    total = sum(x @ b for x, b in zip(layers, biases))
    pairs = list(zip(layers, weights, layers[1:]))
    return -total - sum(((low @ W) * high).sum(1) for low, W, high in pairs[: max(1, len(pairs) - 1)])


@dbm_energy.mistake("In uint8, -1 is 255: `-x @ b` negates x first. Write -(x @ b), or convert to float.")
def negates_unsigned_bits(layers, biases, weights):
    total = sum(-x @ b for x, b in zip(layers, biases))
    return total - sum(((layers[l] @ W) * layers[l + 1]).sum(1) for l, W in enumerate(weights))


@dbm_energy.mistake(
    "The machine can have any number of layers: go through the lists, do not stop at layer 2."
)
def stops_at_the_third_layer(layers, biases, weights):
    total = sum(x @ b for x, b in zip(layers[:3], biases[:3]))
    return -total - sum(((layers[l] @ W) * layers[l + 1]).sum(1) for l, W in enumerate(weights[:2]))


@dbm_energy.mistake("One energy for each row, not one for the whole batch: sum over the units only.")
def adds_up_the_batch(layers, biases, weights):
    total = sum((x @ b).sum() for x, b in zip(layers, biases))
    return -total - sum(((layers[l] @ W) * layers[l + 1]).sum() for l, W in enumerate(weights))


@dbm_energy.mistake("Weights tie the states that were given, not the means of a layer given the one below.")
def passes_the_bits_up_through_sigmoids(layers, biases, weights):
    total, x = layers[0] @ biases[0], layers[0]
    for W, b in zip(weights, biases[1:]):
        field = x @ W
        x = 0.5 * (1 + np.tanh((field + b) / 2))
        total = total + x @ b + (field * x).sum(1)
    return -total


@dbm_energy.alternative
def deep_energy_by_loops(layers, biases, weights):
    energies = []
    for row in range(len(layers[0])):
        x = [[float(unit) for unit in layer[row]] for layer in layers]
        energy = 0.0
        for l in range(len(x)):
            for i in range(len(x[l])):
                energy -= biases[l][i] * x[l][i]
                if l + 1 < len(x):
                    for j in range(len(x[l + 1])):
                        energy -= x[l][i] * weights[l][i, j] * x[l + 1][j]
        energies.append(energy)
    return energies


@dbm_energy.alternative
def deep_energy_by_fields(layers, biases, weights):
    energy = -np.dot(layers[0], biases[0])
    for l in range(1, len(layers)):
        energy = energy - np.einsum("bj,bj->b", layers[l], biases[l] + layers[l - 1] @ weights[l - 1])
    return energy


@dbm_energy.alternative
def deep_energy_by_one_large_matrix(layers, biases, weights):
    x = np.concatenate([layer.astype(float) for layer in layers], axis=1)
    ends = np.cumsum([0, *(layer.shape[1] for layer in layers)])
    J = np.zeros((ends[-1], ends[-1]))
    for l, W in enumerate(weights):
        J[ends[l] : ends[l + 1], ends[l + 1] : ends[l + 2]] = W
    return -x @ np.concatenate(biases) - ((x @ (J + J.T)) * x).sum(axis=1) / 2


# --- Exercise 6: one pass of mean field

mean_field_pass = Exercise("mean_field_pass", "One pass of mean field", mean_field_pass_of)


def with_means(
    rng: np.random.Generator, layer_sizes: Sequence[int], B: int, scale: float = 1.0
) -> tuple[list[Array], list[Array], list[Array]]:
    """Data, means strictly between 0 and 1, and a deep machine."""
    layers, biases, weights = deep_machine(rng, layer_sizes, B, scale)
    return [layers[0], *(rng.uniform(0.05, 0.95, x.shape) for x in layers[1:])], biases, weights


@mean_field_pass.check(6, "the first hidden layer of a machine with two: from below and from above")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [with_means(rng, random_sizes(rng, 3), int(rng.integers(2, 5))) for _ in range(10)]
    compare_part(attempt, calls, 0, ("μ_1", "μ_2"))


@mean_field_pass.check(4, "the second, given the new means of the first")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [with_means(rng, random_sizes(rng, 3), int(rng.integers(2, 5))) for _ in range(10)]
    compare_part(attempt, calls, 1, ("μ_1", "μ_2"))


@mean_field_pass.check(
    5, "one, three and four hidden layers, fields of a thousand; the input is left as it is"
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [with_means(rng, random_sizes(rng, k), 3) for k in (2, 4, 5)]
    calls += [with_means(rng, [3, 3, 3], 2), with_means(rng, [1, 1, 1], 1)]
    calls += [with_means(rng, [4, 3, 2], 3, 1000.0) for _ in range(2)]
    for _, biases, _ in calls[-2:]:
        biases[1][:] = rng.permutation([-2e4, 0.0, 2e4])  # whatever the rest: exp of it overflows
    attempt.compare(calls)
    means, biases, weights = with_means(rng, [3, 4, 2], 3)
    watched = attempt.call_many([(means, biases, weights)] * 2)
    same = all(close(x, y, 1e-9, 1e-12) for x, y in zip(watched[0], watched[1]))
    attempt.expect(same, "the same means gave two different results")


@mean_field_pass.mistake("Layer l also hears from above: the term W_l μ_{l+1} is missing.")
def hears_from_below_alone(means, biases, weights):
    new = list(means)
    for l in range(1, len(new)):
        new[l] = 0.5 * (1 + np.tanh((biases[l] + new[l - 1] @ weights[l - 1]) / 2))
    return tuple(new[1:])


@mean_field_pass.mistake("Use the newest means: layer 2 must see what layer 1 has become.")
def updates_all_layers_at_once(means, biases, weights):
    new = []
    for l in range(1, len(means)):
        field = biases[l] + means[l - 1] @ weights[l - 1]
        if l + 1 < len(means):
            field = field + means[l + 1] @ weights[l].T
        new.append(0.5 * (1 + np.tanh(field / 2)))
    return tuple(new)


@mean_field_pass.mistake("A pass goes from the bottom up: layer 1 comes first.")
def goes_from_the_top_down(means, biases, weights):
    new = list(means)
    for l in range(len(new) - 1, 0, -1):
        field = biases[l] + new[l - 1] @ weights[l - 1]
        if l + 1 < len(new):
            field = field + new[l + 1] @ weights[l].T
        new[l] = 0.5 * (1 + np.tanh(field / 2))
    return tuple(new[1:])


@mean_field_pass.mistake("The field has a bias: b_l is missing.")
def leaves_out_the_biases(means, biases, weights):
    new = list(means)
    for l in range(1, len(new)):
        field = new[l - 1] @ weights[l - 1]
        if l + 1 < len(new):
            field = field + new[l + 1] @ weights[l].T
        new[l] = 0.5 * (1 + np.tanh(field / 2))
    return tuple(new[1:])


@mean_field_pass.mistake("Means are probabilities between 0 and 1: do not round them to bits.")
def rounds_the_means(means, biases, weights):
    new = list(means)
    for l in range(1, len(new)):
        field = biases[l] + new[l - 1] @ weights[l - 1]
        if l + 1 < len(new):
            field = field + new[l + 1] @ weights[l].T
        new[l] = (field > 0).astype(float)
    return tuple(new[1:])


@mean_field_pass.mistake("The visible layer stays at the data: μ_0 is not updated.")
def updates_the_visible_layer_too(means, biases, weights):
    new = list(means)
    for l in range(len(new)):
        field = biases[l]
        if l > 0:
            field = field + new[l - 1] @ weights[l - 1]
        if l + 1 < len(new):
            field = field + new[l + 1] @ weights[l].T
        new[l] = 0.5 * (1 + np.tanh(field / 2))
    return tuple(new[1:])


@mean_field_pass.mistake(
    "The top layer hears from below once: nothing is doubled in a deep machine's own mean field."
)
def doubles_the_input_of_the_top_layer(means, biases, weights):
    new = list(means)
    for l in range(1, len(new)):
        below = new[l - 1] @ weights[l - 1]
        above = new[l + 1] @ weights[l].T if l + 1 < len(new) else below
        new[l] = 0.5 * (1 + np.tanh((biases[l] + below + above) / 2))
    return tuple(new[1:])


@mean_field_pass.mistake(
    "exp of a large number is infinite, and inf / inf is NaN. Divide first: 1 / (1 + exp(-x))."
)
def overflows_for_large_fields(means, biases, weights):
    new = list(means)
    for l in range(1, len(new)):
        field = biases[l] + new[l - 1] @ weights[l - 1]
        if l + 1 < len(new):
            field = field + new[l + 1] @ weights[l].T
        new[l] = np.exp(field) / (1 + np.exp(field))
    return tuple(new[1:])


@mean_field_pass.mistake("One pass is asked for: yours goes on until nothing changes.")
def iterates_to_convergence(means, biases, weights):
    new = list(means)
    for _ in range(50):
        for l in range(1, len(new)):
            field = biases[l] + new[l - 1] @ weights[l - 1]
            if l + 1 < len(new):
                field = field + new[l + 1] @ weights[l].T
            new[l] = 0.5 * (1 + np.tanh(field / 2))
    return tuple(new[1:])


@mean_field_pass.alternative
def pass_by_loops(means, biases, weights):
    new = [[[float(x) for x in row] for row in layer] for layer in means]
    for row in range(len(means[0])):
        for l in range(1, len(means)):
            updated = []
            for i in range(len(biases[l])):
                field = biases[l][i]
                field += sum(new[l - 1][row][k] * weights[l - 1][k, i] for k in range(len(biases[l - 1])))
                if l < len(means) - 1:
                    field += sum(weights[l][i, k] * new[l + 1][row][k] for k in range(len(biases[l + 1])))
                updated.append(0.5 + 0.5 * np.tanh(0.5 * field))
            new[l][row] = updated
    return [np.array(layer) for layer in new[1:]]


@mean_field_pass.alternative
def pass_with_a_silent_layer_on_top(means, biases, weights):
    from scipy.special import expit

    B = len(means[0])
    above = [*means[2:], np.zeros((B, 1))]
    down = [W.T for W in weights[1:]] + [np.zeros((1, len(biases[-1])))]
    result, below = [], means[0]
    for b, W, x, V in zip(biases[1:], weights, above, down):
        below = expit(b + below @ W + x @ V)
        result.append(below)
    return tuple(result)


@mean_field_pass.alternative
def pass_in_torch(means, biases, weights):
    import torch

    mu = [torch.as_tensor(np.asarray(m, dtype=np.float64)) for m in means]
    b = [torch.as_tensor(x) for x in biases]
    W = [torch.as_tensor(x) for x in weights]
    for l in range(1, len(mu)):
        field = torch.addmm(b[l], mu[l - 1], W[l - 1])
        if l < len(W):
            field = field + torch.nn.functional.linear(mu[l + 1], W[l])
        mu[l] = field.sigmoid()
    return [m.numpy() for m in mu[1:]]


assignment = Assignment(
    "boltzmann_machines",
    (energies, conditionals, gibbs_step, log_likelihood, dbm_energy, mean_field_pass),
)
