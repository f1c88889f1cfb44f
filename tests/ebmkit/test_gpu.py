"""The library on a GPU: what holds of it on a CPU, by the same checks. Skipped where torch has no GPU."""

import functools
import math

import pytest
import torch
from learner_cases import BEST, BITS, LEARNERS, PICTURES, log_likelihood, rbm
from test_every_model import MODELS, points
from toy_models import Boltzmann, correlated_gaussian

import ebmkit
from ebmkit import annealing, boltzmann_machines, graphs, ising, mcmc, testing
from ebmkit.contrastive_divergence import fit, pcd

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")

TRIANGLE = [(0, 1), (1, 2), (0, 2), (2, 3)]


def seeded(seed=0):
    return torch.Generator(DEVICE).manual_seed(seed)


def there(model):
    return model.to(DEVICE)


@pytest.mark.parametrize("name", MODELS)
def test_every_energy_is_the_same_and_waits_for_nothing(name):
    model = MODELS[name]()
    x = (
        testing._models._points(model, torch.Generator().manual_seed(0))
        if points(name) is None
        else points(name)
    )
    expected = model.energy(x)
    model, x = there(model), x.to(DEVICE)
    model.energy(x)  # what is allocated and compiled at first may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        with ebmkit.validation(False):
            found = model.energy(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_what_it_says(name):
    """Exact log Z and its derivatives, conditionals and draws, as on a CPU."""
    x = points(name)
    on_cpu = testing.check_model(MODELS[name](), x)
    assert testing.check_model(there(MODELS[name]()), None if x is None else x.to(DEVICE)) == on_cpu


def _walk(model):
    return mcmc.MetropolisHastings(model, mcmc.GaussianRandomWalk(0.7))


KERNELS = {
    "coordinate flip": lambda: mcmc.MetropolisHastings(
        model := there(Boltzmann(4)), mcmc.CoordinateFlip(model)
    ),
    "Gibbs": lambda: mcmc.Gibbs(there(Boltzmann(4))),
    "Gibbs with gradients": lambda: mcmc.GibbsWithGradients(there(Boltzmann(4))),
    "discrete Langevin": lambda: mcmc.DiscreteLangevin(there(Boltzmann(4)), 1.0),
    "random walk": lambda: _walk(there(correlated_gaussian())),
    "MALA": lambda: mcmc.MALA(there(correlated_gaussian()), 0.2),
    "HMC": lambda: mcmc.HMC(there(correlated_gaussian()), 0.3, 5),
    "HMC with a mass": lambda: mcmc.HMC(there(correlated_gaussian()), 0.3, 5, torch.tensor([1.0, 2.0])),
    "NUTS": lambda: mcmc.NUTS(there(correlated_gaussian()), 0.5, 5),
    "Ising Gibbs": lambda: mcmc.Gibbs(there(ising.Ising((2, 3), 0.4))),
    "Ising Metropolis": lambda: ising.Metropolis(there(ising.Ising((2, 3), 0.4, field=0.1))),
    "Swendsen-Wang": lambda: ising.SwendsenWang(there(ising.Ising((2, 2), 0.4))),
    "Wolff": lambda: ising.Wolff(there(ising.Ising((2, 3), 0.4))),
    "Gibbs on a graph": lambda: mcmc.Gibbs(there(graphs.GraphPotts(TRIANGLE, 0.4, n_values=3))),
    "Swendsen-Wang on a graph": lambda: graphs.SwendsenWang(
        there(graphs.GraphPotts(TRIANGLE, 0.4, n_values=3))
    ),
    "Wolff on a graph": lambda: graphs.Wolff(there(graphs.GraphIsing(TRIANGLE, -0.4, 0.1))),
    "RBM Gibbs": lambda: mcmc.Gibbs(there(boltzmann_machines.RBM(3, 2, scale=0.3, dtype=torch.float64))),
}


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_leaves_p_invariant(name):
    assert len(testing.check_kernel(KERNELS[name]())) >= 2


def test_walkers_swap_their_temperatures():
    model = there(Boltzmann(4))
    kernel = mcmc.ParallelTempering(mcmc.tempered_kernels(model, (0.3, 0.6, 1.0), mcmc.Gibbs))
    p = ebmkit.enumeration.probabilities(model)
    states, n, generator = ebmkit.enumeration.states(model), 20_000, seeded()
    tempered = [ebmkit.enumeration.probabilities(mcmc.Tempered(model, beta)) for beta in (0.3, 0.6, 1.0)]
    start = torch.stack(
        [states[torch.multinomial(q, n, replacement=True, generator=generator)] for q in tempered]
    )
    state = kernel.init(start)
    for _ in range(3):
        state, _ = kernel.step(state, generator=generator)
    drawn = state.position[2]
    share = (drawn[:, None] == states).all(-1).double().mean(0)
    # Bernstein, 2 e^-20 for each of 16 states: fails by chance with probability below 1e-7.
    assert bool(((share - p).abs() <= (2 * 20 * p * (1 - p) / n).sqrt() + 2 * 20 / (3 * n)).all())


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_learns(name):
    make, data, learner = LEARNERS[name]
    model, data = there(make()), data.to(DEVICE)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit(model, data, learner, n_epochs=2, learning_rate=0.05, batch_size=len(data), generator=seeded())
    after = model.state_dict()
    assert all(value.device.type == DEVICE and bool(value.isfinite().all()) for value in after.values())
    assert any(not torch.equal(before[key], after[key]) for key in after)


def test_the_exact_gradient_takes_the_same_path():
    here, model = rbm(), there(rbm())
    learner = LEARNERS["maximum_likelihood"][2]
    run = functools.partial(fit, n_epochs=5, learning_rate=0.1, batch_size=len(BITS))
    run(here, BITS, learner, generator=torch.Generator().manual_seed(0))
    run(model, BITS.to(DEVICE), learner, generator=seeded())
    for name, value in here.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name].cpu(), value, rtol=0, atol=1e-10)


def test_persistent_chains_learn_bars_and_stripes():
    """As `test_training_on_bars_and_stripes…`, whose runs end at -2.77 with a standard deviation of 0.02."""
    generator = torch.Generator().manual_seed(2)
    model, data = there(boltzmann_machines.RBM(9, 12, scale=0.1, generator=generator)), PICTURES.to(DEVICE)
    assert log_likelihood(model, data) < -6
    fit(
        model,
        data.repeat(10, 1),
        functools.partial(pcd, n_chains=200),
        generator=seeded(3),
        n_epochs=3000,
        batch_size=None,
        learning_rate=lambda step: 0.4 * (1 - step / 3000),
    )
    assert -3 < log_likelihood(model, data) <= BEST


ESTIMATORS = {
    "AIS": annealing.annealed_importance_sampling,
    "thermodynamic integration": functools.partial(annealing.thermodynamic_integration, n_nodes=8),
    "bridge sampling": functools.partial(annealing.bridge_sampling, betas=4),
    "sequential Monte Carlo": annealing.sequential_monte_carlo,
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimate_of_log_z_is_right(name):
    model = there(ising.Ising((3, 3), 0.4, field=0.2))
    found = ESTIMATORS[name](model, generator=seeded())
    estimate = getattr(found, "log_partition", found)
    off = float(estimate.value - model.exact_log_partition())
    assert math.isfinite(off)
    # Six standard errors and what a log of a mean of 100 weights may lack.
    assert abs(off) < 6 * float(estimate.error) + 0.05


def test_exact_answers_are_the_same():
    model = ising.Ising((3, 4), 0.4, field=0.1)
    here, far = model.exact_log_partition(), there(ising.Ising((3, 4), 0.4, field=0.1)).exact_log_partition()
    torch.testing.assert_close(far.cpu(), here, rtol=0, atol=1e-12)
    graph = graphs.GraphPotts(TRIANGLE, 0.4, n_values=3)
    exact = graphs.exact_marginals(graph)
    moved = graphs.exact_marginals(there(graphs.GraphPotts(TRIANGLE, 0.4, n_values=3)))
    for a, b in zip(exact, moved):
        torch.testing.assert_close(b.cpu(), a, rtol=0, atol=1e-12)
    beliefs = graphs.belief_propagation(there(graphs.GraphPotts(TRIANGLE, 0.4, n_values=3)))
    torch.testing.assert_close(
        beliefs.log_partition.cpu(), graphs.belief_propagation(graph).log_partition, rtol=0, atol=1e-9
    )
