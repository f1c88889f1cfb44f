"""The Ising assignment: its references agree with the library, and its chains forget their start."""

import itertools

import numpy as np
import pytest
import torch

from autograder.checks.ising.definitions import (
    chain_of,
    chain_score,
    conditional_of,
    denoise_of,
    energy_of,
    log_ratio_of,
    map_of,
    pull_on,
    sigmoid,
)
from autograder.checks.ising.gibbs_sweep import INVARIANCE_DRAWS, ORDERS, random_posterior
from autograder.exercises.catalogue import assignment_named
from ebmkit import applications, ising

GRIDS = [(1, 1), (1, 5), (4, 1), (2, 3), (3, 3)]


def model_of(noisy, coupling, field):
    """The same posterior as a model of the library."""
    return ising.Ising(noisy.shape, coupling, field=field * spins(noisy))


def random_grid(shape, seed):
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 2, (2, *shape))
    return y, x, float(rng.uniform(0.1, 1.5)), float(rng.uniform(0.1, 1.5))


def spins(labels):
    return torch.from_numpy(2.0 * np.asarray(labels) - 1)


# --- The references are right


@pytest.mark.parametrize("shape", [*GRIDS, (7, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_references_agree_with_the_library(shape, seed):
    y, x, coupling, field = random_grid(shape, seed)
    model = model_of(x, coupling, field)
    assert energy_of(y, x, coupling, field) == pytest.approx(model.energy(spins(y)).item())
    conditionals = model.conditional(spins(y))
    for i, j in np.ndindex(*shape):
        assert conditional_of(y, x, i, j, coupling, field) == pytest.approx(conditionals[i, j].item())
    free = ising.Ising(shape, coupling)
    expected = free.log_ratio(spins(y), spins(x)).item()
    assert log_ratio_of(y, x, coupling) == pytest.approx(expected)


@pytest.mark.parametrize("shape", GRIDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_reference_map_has_the_energy_of_the_library_max_flow(shape, seed):
    _, x, coupling, field = random_grid(shape, seed)
    model = model_of(x, coupling, field)
    found = model.energy(spins(map_of(x, coupling, field)))
    assert found.item() == pytest.approx(model.energy(ising.map_by_max_flow(model)).item())


@pytest.mark.parametrize("shape", [(1, 1), (9, 13)])
def test_the_reference_descent_ends_where_the_library_finds_nothing_to_change(shape):
    _, x, coupling, field = random_grid(shape, 4)
    found = spins(denoise_of(x, coupling, field))
    assert torch.equal(ising.icm(model_of(x, coupling, field), found), found)


@pytest.mark.parametrize(("length", "n_labels"), [(1, 3), (4, 1), (5, 3), (7, 2)])
def test_the_reference_chain_is_that_of_the_library_and_of_all_labellings_listed(length, n_labels):
    rng = np.random.default_rng(length)
    scores, transitions = rng.normal(size=(length, n_labels)), rng.normal(size=(n_labels, n_labels))
    log_z, labelling = chain_of(scores, transitions)
    listed = [
        chain_score(np.array(labels), scores, transitions)
        for labels in itertools.product(range(n_labels), repeat=length)
    ]
    assert log_z == pytest.approx(np.logaddexp.reduce(listed))
    assert chain_score(labelling, scores, transitions) == pytest.approx(max(listed))
    model = applications.LinearChain(torch.from_numpy(scores), torch.from_numpy(transitions))
    assert log_z == pytest.approx(model.exact_log_partition().item())
    assert model.viterbi().tolist() == labelling.tolist()


def test_a_chain_by_a_list_of_all_labellings_gets_no_points(complaints):
    def by_listing(scores, transitions):
        length, n_labels = scores.shape
        if n_labels**length > 4e6:  # what ten seconds may hold, and 3^40 is far from it
            raise MemoryError
        labels = np.indices((n_labels,) * length).reshape(length, -1)
        weights = scores[np.arange(length)[:, None], labels].sum(0)
        weights = weights + transitions[labels[:-1], labels[1:]].sum(0)
        return np.logaddexp.reduce(weights), labels[:, weights.argmax()]

    exercise = assignment_named("ising").exercise("decode_chain")
    assert complaints(exercise, by_listing).keys() == {check.name for check in exercise.checks}
    scores, transitions = np.random.default_rng(0).normal(size=(2, 4, 4))
    assert by_listing(scores, transitions)[0] == pytest.approx(chain_of(scores, transitions)[0])


def transition_matrix(posterior, order):
    """512×512, of one sweep in this order."""
    codes = np.arange(512)
    conditionals = sigmoid(
        2 * pull_on(posterior.pictures, posterior.noisy, posterior.coupling, posterior.field)
    ).reshape(512, 9)
    matrix = np.eye(512)
    for site in order:
        bit = 1 << (8 - site)
        step = np.zeros((512, 512))
        step[codes, codes | bit] = conditionals[:, site]
        step[codes, codes & ~bit] += 1 - conditionals[:, site]
        matrix = matrix @ step
    return matrix


@pytest.fixture(scope="module")
def posterior():
    return random_posterior(np.random.default_rng(1))


def test_the_enumerated_posterior_is_that_of_the_library(posterior):
    model = model_of(posterior.noisy, posterior.coupling, posterior.field)
    expected = torch.softmax(-model.energy(spins(posterior.pictures)), 0)
    np.testing.assert_allclose(posterior.probabilities, expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_the_mixing_bound_lies_above_the_exact_distance_from_every_start(posterior, order):
    sweep = transition_matrix(posterior, order)
    np.testing.assert_allclose(posterior.probabilities @ sweep, posterior.probabilities, atol=1e-15)
    law = np.eye(512)
    for _, bound in zip(range(8), posterior.distances([order])):
        law = law @ sweep
        distance = 0.5 * np.abs(law - posterior.probabilities).sum(1).max()
        assert distance <= bound <= 9 * 2 * distance + 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_the_chain_has_forgotten_its_start_when_the_check_says_so(seed):
    """Exactly: the law from the worst picture is the posterior, to rounding, for every order."""
    posterior = random_posterior(np.random.default_rng(seed))
    assert 10 <= posterior.mixing_sweeps <= 40
    for order in ORDERS[:2]:
        law = np.zeros(512)
        law[posterior.energies.argmax()] = 1.0
        sweep = transition_matrix(posterior, order)
        for _ in range(posterior.mixing_sweeps):
            law = law @ sweep
        assert 0.5 * np.abs(law - posterior.probabilities).sum() < 1e-13


@pytest.mark.parametrize("seed", range(20))
def test_rounding_never_holds_the_mixing_bound_up(seed):
    """Or the search for the sweep after which all is forgotten would not end."""
    posterior = random_posterior(np.random.default_rng(seed))
    bounds = list(itertools.islice(posterior.distances(ORDERS), 120))
    assert 0 <= bounds[-1] < 1e-40


def test_a_pixel_that_never_moves_is_as_improbable_as_the_check_says():
    for seed in range(200):
        found = random_posterior(np.random.default_rng(seed))
        either = sigmoid(-2 * np.abs(pull_on(found.pictures, found.noisy, found.coupling, found.field)))
        assert either.min() > 0.04
    assert (1 - 0.04) ** INVARIANCE_DRAWS < 1e-50
