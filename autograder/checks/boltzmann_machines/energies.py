"""Exercise 1: energy and free energy."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.exercise import Exercise

from .definitions import Call, energies_of
from .inputs import machine, sizes

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


@energies.mistake("The field inside the logarithm of F is b + v W: the hidden biases are missing there.")
def forgets_the_hidden_biases_in_the_free_energy(v, h, a, b, W):
    return -(v @ a) - (h * (b + v @ W)).sum(-1), -(v @ a) - np.logaddexp(0, v @ W).sum(-1)


@energies.mistake("The hidden units have biases too: the term -b·h of E is missing.")
def forgets_the_hidden_biases_in_the_energy(v, h, a, b, W):
    return -(v @ a) - (h * (v @ W)).sum(-1), -(v @ a) - np.logaddexp(0, b + v @ W).sum(-1)


@energies.mistake("In uint8, -1 is 255: `-v @ a` negates v first. Write -(v @ a), or convert to float.")
def negates_unsigned_bits(v, h, a, b, W):
    field = b + v @ W
    return -v @ a + (-h * field).sum(-1), -v @ a - np.logaddexp(0, field).sum(-1)


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
