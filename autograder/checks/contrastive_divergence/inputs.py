"""Inputs drawn at grading time."""

import itertools
from typing import NamedTuple

import numpy as np

from autograder.exercises.attempt import Attempt

from .definitions import Array, Gradient, bit_states, cd_gradient_of, sigmoid


class Machine(NamedTuple):
    """The parameters of an RBM."""

    a: Array
    b: Array
    W: Array

    def step_law(self) -> Array:
        """P[v, v'] of one block Gibbs step over all states."""
        v, h = (bit_states(n) for n in self.W.shape)
        return _bit_laws(self.b + v @ self.W, h) @ _bit_laws(self.a + h @ self.W.T, v)

    def step_law_through_means(self) -> Array:
        """The same where the hidden units pass their means on and are not drawn: a mistake."""
        v = bit_states(len(self.a))
        return _bit_laws(self.a + sigmoid(self.b + v @ self.W) @ self.W.T, v)


def _bit_laws(fields: Array, states: Array) -> Array:
    """Π_i p_i^x_i (1 - p_i)^(1 - x_i) of every row of fields and every state."""
    return np.exp(-np.logaddexp(0, -fields) @ states.T - np.logaddexp(0, fields) @ (1 - states).T)


def machine(rng: np.random.Generator, n: int, m: int, scale: float = 1.0) -> Machine:
    return Machine(*(scale * rng.normal(size=size) for size in (n, m, (n, m))))


def sure_machine(rng: np.random.Generator, n: int, m: int) -> Machine:
    """Every field is at least 40 in size whatever the states are: p(bit against it) < 1e-17."""
    W = 80.0 * rng.integers(-1, 2, (n, m))
    return Machine(40.0 * rng.choice([-1, 1], n), 40.0 * rng.choice([-1, 1], m), W)


def wandering_machine(rng: np.random.Generator) -> tuple[Machine, Array]:
    """A sure machine and data whose CD-1, CD-2 and CD-3 all differ."""
    while True:
        theta = sure_machine(rng, 5, 4)
        data = rng.permutation(bit_states(5))[:10]
        found = [cd_gradient_of(data, *theta, k, rng)[0] for k in (1, 2, 3)]
        if all(abs(x - y).max() > 0.05 for x, y in itertools.combinations(found, 2)):
            return theta, data


def telling_start(rng: np.random.Generator) -> tuple[Machine, Array]:
    """A machine of three visible units and a start where each of three steps changes the law visibly.

    So does drawing the hidden units in at least one of the steps.
    """
    while True:
        theta = machine(rng, 3, 4, 1.6)
        step, means = theta.step_law(), theta.step_law_through_means()
        states = bit_states(3)
        index = int(rng.integers(8))
        laws = [np.linalg.matrix_power(step, k)[index] for k in (1, 2, 3)]
        uniform = np.full(8, 1 / 8) @ step
        gaps = [abs((x - y) @ states).max() for x, y in itertools.combinations([*laws, uniform], 2)]
        drawing = [
            abs((np.linalg.matrix_power(means, k)[index] - laws[k - 1]) @ states).max() for k in (1, 2, 3)
        ]
        if min(gaps) > 0.09 and max(drawing) > 0.08 and laws[0].min() > 0.002:
            return theta, states[index]


def stronger(theta: Machine, share: float) -> Machine:
    """The machine with all fields stronger by a share."""
    return Machine(*((1 + share) * part for part in theta))


def gradient_of(attempt: Attempt, value: object, theta: Machine, extra: int = 0) -> list[Array]:
    """The returned gradients as arrays, finite, or a clear complaint."""
    attempt.expect(
        isinstance(value, tuple | list) and len(value) == 3 + extra,
        f"your function must return a tuple of {3 + extra} values",
    )
    assert isinstance(value, tuple | list)
    names = ("the gradient of a", "the gradient of b", "the gradient of W")
    found = [attempt.array(v, t.shape, name).astype(float) for v, t, name in zip(value, theta, names)]
    attempt.expect(all(np.isfinite(f).all() for f in found), "a gradient is not finite")
    return found


def same(found: list[Array], expected: Gradient) -> bool:
    return all(np.allclose(f, e, rtol=1e-6, atol=1e-8) for f, e in zip(found, expected))
