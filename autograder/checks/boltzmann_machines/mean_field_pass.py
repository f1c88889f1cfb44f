"""Exercise 6: one pass of mean field."""

from collections.abc import Sequence

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.exercise import Exercise

from .definitions import Array, mean_field_pass_of
from .inputs import deep_machine, random_sizes

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


@mean_field_pass.check(5, "one, three and four hidden layers, fields of a thousand")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [with_means(rng, random_sizes(rng, k), 3) for k in (2, 4, 5)]
    calls += [with_means(rng, [3, 3, 3], 2), with_means(rng, [1, 1, 1], 1)]
    calls += [with_means(rng, [4, 3, 2], 3, 1000.0) for _ in range(2)]
    for _, biases, _ in calls[-2:]:
        biases[1][:] = rng.permutation([-2e4, 0.0, 2e4])  # whatever the rest: exp of it overflows
    attempt.compare(calls)


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
