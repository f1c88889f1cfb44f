"""Exercise 5: the energy of a deep Boltzmann machine."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import Call, dbm_energy_of
from .inputs import deep_machine, random_sizes

dbm_energy = Exercise("dbm_energy", "The energy of a deep Boltzmann machine", dbm_energy_of)


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
