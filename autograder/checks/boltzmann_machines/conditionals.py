"""Exercise 2: the conditionals of a layer."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.exercise import Exercise

from .definitions import Call, conditionals_of
from .inputs import machine, sizes

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
