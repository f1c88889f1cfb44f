"""Hidden checks of the contrastive divergence assignment: exact gradients, CD-k, PCD, training, a neural energy.

    ∂L/∂θ = -E_data[∂E/∂θ] + E_model[∂E/∂θ],   E(v, h) = -a·v - b·h - v·W h

No check looks at a noisy gradient. With one row of data the gradient of the biases `a` is v_0 - v_k, so it shows
where the chain ended: a state whose law is known exactly. All else in the gradient follows from that state.
Mistakes and alternatives stand alone: each can be put into a notebook.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.sequential import Count
from autograder.sandbox.worker import codec

Array = np.ndarray
Gradient = tuple[Array, Array, Array]


# --- The definitions


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def bit_states(n: int) -> Array:
    """All vectors of n bits, (2^n, n)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def minus_free_energy(v: Array, a: Array, b: Array, W: Array) -> Array:
    return v @ a + np.logaddexp(0.0, b + v @ W).sum(-1)


def log_likelihood_of(data: Array, a: Array, b: Array, W: Array) -> float:
    """The exact mean log-likelihood of the rows of `data`."""
    log_z = np.logaddexp.reduce(minus_free_energy(bit_states(len(a)), a, b, W))
    return float(minus_free_energy(data, a, b, W).mean() - log_z)


def statistics(v: Array, b: Array, W: Array, weights: Array | None = None) -> Gradient:
    """The weighted means of v, p(h | v) and v p(h | v)ᵀ; all rows count alike if no weights are given."""
    v = np.asarray(v, dtype=float)
    w = np.full(len(v), 1 / len(v)) if weights is None else weights
    p = sigmoid(b + v @ W)
    return w @ v, w @ p, (v * w[:, None]).T @ p


def contrast(positive: Gradient, negative: Gradient) -> Gradient:
    a, b, W = (p - n for p, n in zip(positive, negative))
    return a, b, W


def exact_gradient_of(data: Array, a: Array, b: Array, W: Array) -> Gradient:
    """The gradient of the mean log-likelihood, by enumeration."""
    states = bit_states(len(a))
    log_weights = minus_free_energy(states, a, b, W)
    p = np.exp(log_weights - np.logaddexp.reduce(log_weights))
    return contrast(statistics(data, b, W), statistics(states, b, W, p))


def gibbs_of(v: Array, a: Array, b: Array, W: Array, rng: np.random.Generator) -> Array:
    """One block Gibbs step v → h → v'."""
    p = sigmoid(b + v @ W)
    h = (rng.random(p.shape) < p).astype(float)
    p = sigmoid(a + h @ W.T)
    return (rng.random(p.shape) < p).astype(float)


def cd_gradient_of(data: Array, a: Array, b: Array, W: Array, k: int, rng: np.random.Generator) -> Gradient:
    """The contrast of the data and of where k Gibbs steps lead from it."""
    v = data
    for _ in range(k):
        v = gibbs_of(v, a, b, W, rng)
    return contrast(statistics(data, b, W), statistics(v, b, W))


def pcd_step_of(
    data: Array, chains: Array, a: Array, b: Array, W: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """The contrast of the data and of the chains after one more step, and the chains."""
    chains = gibbs_of(chains, a, b, W, rng)
    return *contrast(statistics(data, b, W), statistics(chains, b, W)), chains


def train_of(data: Array, n_hidden: int, rng: np.random.Generator) -> Gradient:
    """Parameters after gradient ascent on the exact likelihood, with momentum."""
    n = data.shape[1]
    theta = [np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))]
    velocity: list[Array] = [np.zeros_like(t) for t in theta]
    states = bit_states(n)
    for _ in range(300):
        a, b, W = theta
        fields = b + states @ W
        log_weights = states @ a + np.logaddexp(0.0, fields).sum(1)
        p = np.exp(log_weights - log_weights.max())
        p /= p.sum()
        hidden = sigmoid(fields)
        negative = p @ states, p @ hidden, (states * p[:, None]).T @ hidden
        gradient = contrast(statistics(data, b, W), negative)
        velocity = [0.9 * u + 0.4 * g for u, g in zip(velocity, gradient)]
        theta = [t + u for t, u in zip(theta, velocity)]
    return theta[0], theta[1], theta[2]


def contrastive_loss_of(
    energy: object, parameters: list[torch.Tensor], data: torch.Tensor, negatives: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The loss and its gradients by the parameters."""
    assert callable(energy)
    leaves = [p.detach().clone().requires_grad_() for p in parameters]
    positive, negative = energy(leaves, data), energy(leaves, negatives)
    penalty = positive.square().mean() + negative.square().mean()
    loss = positive.mean() - negative.mean() + alpha * penalty
    return loss.detach(), torch.autograd.grad(loss, leaves)


# --- Inputs drawn at grading time


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


def bits(rng: np.random.Generator, *size: int) -> Array:
    return rng.integers(0, 2, size).astype(float)


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


# --- Exercise 1: the exact gradient

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


# --- Exercise 2: CD-k

cd_gradient = Exercise("cd_gradient", "Contrastive divergence", cd_gradient_of)

COPIES = 2000
SINGLE_CALLS = 150


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
    """Certain for correct code: v_k is read off the gradient of a, and the others must follow from it."""
    rng = attempt.rng
    cases = [(bits(rng, 1, 4), machine(rng, 4, 3, 1.5), int(k)) for k in rng.integers(1, 4, 40)]
    values = attempt.call_many([(v, *theta, k, attempt.draw_rng()) for v, theta, k in cases])
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


@cd_gradient.check(5, "many copies of one row: the exact law of every unit after k steps", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ 3 · ALPHA (3e-9): unit i is on in a binomial number of the copies.

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


# --- Exercise 3: persistent chains

pcd_step = Exercise("pcd_step", "Persistent chains", pcd_step_of)

PER_START = 700


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


@pcd_step.check(5, "the gradients belong to the chains that are returned; the arguments stay as they are")
def _(attempt: Attempt) -> None:
    """Certain for correct code."""
    rng = attempt.rng
    for B, C in [(4, 6), (7, 3), (5, 5), (1, 8)]:
        theta = machine(rng, 4, 3, 1.5)
        data, chains = bits(rng, B, 4), bits(rng, C, 4)
        value, arguments = attempt.call_and_arguments(data, chains, *theta, attempt.draw_rng())
        found = gradient_of(attempt, value, theta, extra=1)
        after = attempt.array(value[3], chains.shape, "the fourth value, the chains,").astype(float)
        attempt.expect(np.isin(after, (0, 1)).all(), "the chains must be bits, 0 or 1")
        expected = contrast(statistics(data, theta.b, theta.W), statistics(after, theta.b, theta.W))
        attempt.expect(
            same(found, expected), "the gradients do not contrast the data with the chains that were returned"
        )
        unchanged = all(np.array_equal(x, y) for x, y in zip(arguments, (data, chains, *theta)))
        attempt.expect(unchanged, "an array that the function was given has changed")


@pcd_step.check(6, "chains from three states: the exact law of one more step", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9). Chains that stay where they were fail for certain.

    Power, measured over 200 seeds: 100 % for chains that restart, stay, hold probabilities, or skip the draw of h.
    """
    rng = attempt.rng
    theta, _ = telling_start(rng)
    step, states = theta.step_law(), bit_states(3)
    # Where drawing the hidden units matters most.
    starts = abs(step - theta.step_law_through_means()).max(1).argsort()[-3:]
    others = np.setdiff1d(np.arange(8), starts)
    data = states[rng.choice(others, 6)]

    def draw(n: int) -> list[Count]:
        before = rng.permutation(np.repeat(starts, n))
        value = attempt.call(data, states[before], *theta, attempt.draw_rng())
        gradient_of(attempt, value, theta, extra=1)
        after = attempt.array(value[3], (len(before), 3), "the fourth value, the chains,").astype(float)
        attempt.expect(np.isin(after, (0, 1)).all(), "the chains must be bits, 0 or 1")
        seen = np.zeros((8, 8), dtype=int)
        np.add.at(seen, (before, (after @ [4, 2, 1]).astype(int)), 1)
        return [
            Count(f"a step from {i:03b} to {j:03b}", int(seen[i, j]), n, float(step[i, j]))
            for i in starts
            for j in range(8)
        ]

    attempt.sequential(draw, PER_START, "the chains do not take a Gibbs step from where they were")


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


# --- Exercise 4: training

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


# --- Exercise 5: a neural energy

contrastive_loss = Exercise("contrastive_loss", "A neural energy", contrastive_loss_of)

NETWORK = "lambda p, x: (torch.tanh(x @ p[0] + p[1]) @ p[2])"
DEEP = "lambda p, x: torch.nn.functional.silu(torch.sin(x @ p[0]) @ p[1] + p[2]).sum(-1) * p[3]"


def tensor(rng: np.random.Generator, *size: int, dtype: type = np.float64) -> codec.Tensor:
    return codec.Tensor(np.asarray(rng.normal(size=size)).astype(dtype))


def network(
    rng: np.random.Generator, width: int = 6, dtype: type = np.float64
) -> tuple[codec.Source, list[codec.Tensor]]:
    sizes = (2, width), (width,), (width,)
    return codec.Source(NETWORK), [tensor(rng, *size, dtype=dtype) for size in sizes]


def points(rng: np.random.Generator, n: int, dtype: type = np.float64) -> codec.Tensor:
    return codec.Tensor(rng.normal(0, 2, (n, 2)).astype(dtype))


@contrastive_loss.check(6, "a small network, without the penalty; as many negatives as data, and more")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(*network(rng), points(rng, B), points(rng, C), 0.0) for B, C in [(8, 8), (5, 12), (9, 4)]]
    attempt.compare(calls)


@contrastive_loss.check(5, "with the penalty")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(8, 8), (5, 12), (9, 4)]
    attempt.compare(
        [(*network(rng), points(rng, B), points(rng, C), float(rng.uniform(0.1, 2.0))) for B, C in sizes]
    )


@contrastive_loss.check(4, "another network, one point in a batch, float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    deep = [tensor(rng, 2, 5), tensor(rng, 5, 3), tensor(rng, 3), tensor(rng)]
    calls = [
        (codec.Source(DEEP), deep, points(rng, B), points(rng, C), 0.3) for B, C in [(6, 7), (1, 1), (1, 9)]
    ]
    attempt.compare(calls)
    single = (*network(rng, dtype=np.float32), points(rng, 6, np.float32), points(rng, 9, np.float32), 0.2)
    attempt.compare([single], rtol=1e-3, atol=1e-4)


@contrastive_loss.mistake(
    "The sign is turned round: low energy for the data, so mean E(data) - mean E(negatives)."
)
def raises_the_energy_of_the_data(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data), energy(theta, negatives)
    loss = f.mean() - e.mean() + alpha * ((e**2).mean() + (f**2).mean())
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("The negatives are missing: without them the energy falls everywhere.")
def forgets_the_negatives(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e = energy(theta, data)
    loss = e.mean() + alpha * (e**2).mean()
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("Means are asked for, not sums: the batches can be of different sizes.")
def sums_over_the_batches(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data), energy(theta, negatives)
    loss = e.sum() - f.sum() + alpha * ((e**2).sum() + (f**2).sum())
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("The penalty α (mean E(data)² + mean E(negatives)²) is missing.")
def leaves_out_the_penalty(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    loss = energy(theta, data).mean() - energy(theta, negatives).mean()
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake("The penalty squares each energy and then takes the mean, not the other way round.")
def squares_the_mean_energies(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data).mean(), energy(theta, negatives).mean()
    loss = e - f + alpha * (e**2 + f**2)
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake(
    "The penalty keeps all energies small; it is added for the negatives, too, not subtracted."
)
def subtracts_the_penalty_of_the_negatives(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e, f = energy(theta, data), energy(theta, negatives)
    loss = (e + alpha * e**2).mean() - (f + alpha * f**2).mean()
    return loss.detach(), torch.autograd.grad(loss, theta)


@contrastive_loss.mistake(
    "The gradients by the parameters are zero: the loss was detached before it was differentiated."
)
def returns_gradients_of_zero(energy, parameters, data, negatives, alpha):
    e, f = energy(parameters, data), energy(parameters, negatives)
    loss = e.mean() - f.mean() + alpha * ((e**2).mean() + (f**2).mean())
    return loss, tuple(torch.zeros_like(p) for p in parameters)


@contrastive_loss.alternative
def loss_by_backward(energy, parameters, data, negatives, alpha):
    theta = [p.detach().clone() for p in parameters]
    for p in theta:
        p.requires_grad_(True)
    e, f = energy(theta, data), energy(theta, negatives)
    loss = (e + alpha * e * e).mean() - (f - alpha * f * f).mean()
    loss.backward()
    return loss.item(), tuple(p.grad for p in theta)


@contrastive_loss.alternative
def loss_with_signed_weights(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    e = energy(theta, torch.cat([data, negatives]))
    B, C = len(data), len(negatives)
    size = torch.cat([torch.full((B,), 1 / B, dtype=e.dtype), torch.full((C,), 1 / C, dtype=e.dtype)])
    sign = torch.cat([torch.ones(B), -torch.ones(C)]).to(e.dtype)
    loss = (size * (sign * e + alpha * e.square())).sum()
    return loss.detach(), list(torch.autograd.grad(loss, theta))


@contrastive_loss.alternative
def loss_by_functional_gradients(energy, parameters, data, negatives, alpha):
    def loss(theta):
        e, f = energy(theta, data), energy(theta, negatives)
        return e.mean() - f.mean() + alpha * (e.pow(2).mean() + f.pow(2).mean())

    gradients, value = torch.func.grad_and_value(loss)(list(parameters))
    return value, tuple(gradients)


@contrastive_loss.alternative
def loss_point_by_point(energy, parameters, data, negatives, alpha):
    theta = [p.clone().requires_grad_() for p in parameters]
    loss = 0.0
    for x in data:
        e = energy(theta, x[None])[0]
        loss = loss + (e + alpha * e**2) / len(data)
    for x in negatives:
        e = energy(theta, x[None])[0]
        loss = loss + (alpha * e**2 - e) / len(negatives)
    return loss.detach(), torch.autograd.grad(loss, theta)


assignment = Assignment(
    "contrastive_divergence",
    (exact_gradient, cd_gradient, pcd_step, train, contrastive_loss),
    imports=("matplotlib.pyplot", "torch", "ebmkit.data"),
)
