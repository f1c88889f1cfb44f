"""One contract for all kernels, and what holds of each of them."""

import math
from itertools import islice

import pytest
import torch
from kernel_cases import SPINS, GivenNoise, flip, seeded
from scipy import stats
from toy_models import BlockGibbsPair, Boltzmann, Gaussian, Quartic, Table, correlated_gaussian

from ebmkit import graphs, ising
from ebmkit.boltzmann_machines import RBM
from ebmkit.energy import EnergyModel
from ebmkit.mcmc import (
    HMC,
    MALA,
    NUTS,
    CoordinateFlip,
    DiscreteLangevin,
    GaussianRandomWalk,
    Gibbs,
    GibbsWithGradients,
    Langevin,
    MetropolisHastings,
    ParallelTempering,
    Tempered,
    iterate,
    sample,
    tempered_kernels,
)


def _walk(model):
    return MetropolisHastings(model, GaussianRandomWalk(0.7))


TRIANGLE = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4)]

# name -> (kernel, the replicas that lead a position)
KERNELS = {
    "coordinate flip": (flip(Boltzmann(4)), ()),
    "flip of three values": (flip(Table((2, 1), (0.0, 1.0, 2.0))), ()),
    "Gibbs": (Gibbs(Boltzmann(4)), ()),
    "Gibbs with gradients": (GibbsWithGradients(Boltzmann(4)), ()),
    "discrete Langevin": (DiscreteLangevin(Boltzmann(4), 1.0), ()),
    "Gibbs by the model": (Gibbs(BlockGibbsPair()), ()),
    "random walk": (_walk(correlated_gaussian()), ()),
    "Langevin": (Langevin(correlated_gaussian(), 0.1), ()),
    "MALA": (MALA(correlated_gaussian(), 0.2), ()),
    "HMC": (HMC(correlated_gaussian(), 0.3, 5), ()),
    "HMC on a scalar": (HMC(Quartic(), 0.3, 5), ()),
    "HMC with a mass": (HMC(correlated_gaussian(), 0.3, 5, torch.tensor([1.0, 2.0])), ()),
    "NUTS": (NUTS(correlated_gaussian(), 0.5, 5), ()),
    "NUTS on a scalar": (NUTS(Quartic(), 0.3, 4), ()),
    "Ising Gibbs": (Gibbs(ising.Ising((2, 4), 0.4)), ()),
    "Ising Metropolis": (ising.Metropolis(ising.Ising((2, 4), 0.4, field=0.1)), ()),
    "Swendsen-Wang": (ising.SwendsenWang(ising.Ising((2, 4), 0.4)), ()),
    "Wolff": (ising.Wolff(ising.Ising((2, 4), 0.4)), ()),
    "Gibbs on a graph": (Gibbs(graphs.GraphPotts(TRIANGLE, 0.4, n_values=3)), ()),
    "Swendsen-Wang on a graph": (graphs.SwendsenWang(graphs.GraphPotts(TRIANGLE, 0.4, n_values=3)), ()),
    "Wolff on a graph": (graphs.Wolff(graphs.GraphIsing(TRIANGLE, -0.4, 0.1)), ()),
    "RBM Gibbs": (Gibbs(RBM(3, 2, scale=0.3, dtype=torch.float64)), ()),
    "tempered Gibbs": (ParallelTempering(tempered_kernels(Boltzmann(4), (0.3, 0.6, 1.0), Gibbs)), (3,)),
    "tempered walk": (ParallelTempering(tempered_kernels(correlated_gaussian(), (0.5, 1), _walk)), (2,)),
}


@pytest.fixture(params=KERNELS, ids=lambda name: name.replace(" ", "-"))
def contract(request):
    return KERNELS[request.param]


def _models(kernel):
    return [inner.model for inner in kernel.kernels] if hasattr(kernel, "kernels") else [kernel.model]


def _start(contract, batch=(), dtype=torch.float64):
    kernel, replicas = contract
    model = _models(kernel)[0]
    value = 0.5 if model.values is None else model.values[0]
    return torch.full((*replicas, *batch, *model.event_shape), value, dtype=dtype)


def _energy(kernel, position):
    if not hasattr(kernel, "kernels"):
        return kernel.model.energy(position)
    return torch.stack([model.energy(x) for model, x in zip(_models(kernel), position)])


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)], ids=str)
def test_a_step_keeps_shapes_and_says_the_energy_of_where_it_is(contract, batch):
    kernel, replicas = contract
    state = kernel.init(_start(contract, batch))
    for _ in range(4):
        moved, info = kernel.step(state, generator=seeded(3))
        assert moved.position.shape == state.position.shape
        assert moved.energy.shape == info.acceptance.shape == info.divergent.shape == (*replicas, *batch)
        torch.testing.assert_close(moved.energy, _energy(kernel, moved.position).detach())
        assert info.divergent.dtype == torch.bool
        assert not info.divergent.any()
        assert bool(((info.acceptance >= 0) & (info.acceptance <= 1)).all())
        state = moved


def test_a_step_leaves_the_state_it_was_given_alone(contract):
    kernel, _ = contract
    state = kernel.init(_start(contract, (20,)))
    before = state.position.clone(), state.energy.clone()
    kernel.step(state, generator=seeded())
    assert torch.equal(state.position, before[0])
    assert torch.equal(state.energy, before[1])


def test_the_generator_alone_decides(contract):
    kernel, _ = contract
    start = _start(contract, (20,))
    first, again, other = (sample(kernel, start, 5, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_chains_move_and_move_apart(contract):
    # 50 chains from one start, ten steps: a chain that never leaves it would need ten rejections in a row.
    kernel, replicas = contract
    draws = sample(kernel, _start(contract, (50,)), 10, generator=seeded(4)).movedim(1 + len(replicas), 0)
    assert len(draws.reshape(50, -1).unique(dim=0)) > 10


def test_sampling_never_differentiates_the_parameters(contract):
    kernel, _ = contract
    state, info = kernel.step(kernel.init(_start(contract, (3,))), generator=seeded())
    assert not any(x.requires_grad for x in (*state[:2], *info))


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "RBM Gibbs"])
def test_single_precision_stays_single_precision(name):
    # An RBM refuses numbers of another precision than its own.
    kernel, _ = KERNELS[name]
    state, _ = kernel.step(kernel.init(_start(KERNELS[name], (3,), torch.float32)), generator=seeded())
    assert state.position.dtype == torch.float32


@pytest.mark.parametrize("name", [name for name in KERNELS if "on a scalar" not in name])
def test_a_position_of_the_wrong_shape_is_refused(name):
    start = _start(KERNELS[name])
    with pytest.raises(ValueError, match=r"must have shape \(\.\.\., "):
        KERNELS[name][0].init(start[..., None].expand(*start.shape, 11))


@pytest.mark.parametrize("name", [n for n, (k, _) in KERNELS.items() if type(k).__module__ == "ebmkit.mcmc"])
def test_an_empty_batch_is_refused(name):
    with pytest.raises(ValueError, match="holds no chain"):
        KERNELS[name][0].init(_start(KERNELS[name], (0,)))


class Cliff(EnergyModel):
    """Finite below zero, `edge` above: what a sampler must survive."""

    def __init__(self, edge, values=None):
        super().__init__()
        self.event_shape, self.values, self.edge = (2,), values, edge

    def energy(self, x):
        return torch.where((x > 0).any(-1), self.edge, 0.5 * (x**2).sum(-1))


def _cliff_kernels(edge):
    smooth, discrete = Cliff(edge), Cliff(edge, SPINS)
    return [
        _walk(smooth),
        MALA(smooth, 0.5),
        HMC(smooth, 0.4, 4),
        NUTS(smooth, 0.4, 4),
        Langevin(smooth, 0.5),
        flip(discrete),
        Gibbs(discrete),
    ]


@pytest.mark.parametrize("edge", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", range(7), ids=["walk", "MALA", "HMC", "NUTS", "Langevin", "flip", "Gibbs"])
def test_a_chain_that_meets_a_non_finite_energy_stays_and_says_so(which, edge):
    kernel = _cliff_kernels(edge)[which]
    state = kernel.init(torch.full((200, 2), -1.0, dtype=torch.float64))
    steps = list(islice(iterate(kernel, state, generator=seeded()), 10))
    # To Gibbs an energy of +inf is nothing strange: it gives that value probability zero.
    assert any(info.divergent.any() for _, info in steps) == ((which, edge) != (6, math.inf))
    assert all((visited.position <= 0).all() for visited, _ in steps)
    assert all(visited.energy.isfinite().all() for visited, _ in steps)
    assert all(((info.acceptance >= 0) & (info.acceptance <= 1)).all() for _, info in steps)


@pytest.mark.parametrize("edge", [math.nan, math.inf, -math.inf])
def test_a_start_without_finite_energy_is_refused(edge):
    for kernel in _cliff_kernels(edge):
        with pytest.raises(
            ValueError, match=r"initial energy of Cliff must be finite, got .*in 1 of 2 chains"
        ):
            kernel.init(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))


def test_a_coordinate_outside_the_values_is_refused():
    with pytest.raises(ValueError, match=r"one of \(-1.0, 1.0\), got 0.0"):
        Gibbs(Boltzmann(2)).init(torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize(
    "make",
    [lambda m: Langevin(m, 0.1), lambda m: MALA(m, 0.1), lambda m: HMC(m, 0.1), lambda m: NUTS(m, 0.1)],
)
def test_gradient_samplers_refuse_discrete_models(make):
    with pytest.raises(TypeError, match=r"needs a gradient and Boltzmann is discrete.*use Gibbs"):
        make(Boltzmann(2))


def test_coordinate_samplers_refuse_continuous_models():
    for make in (Gibbs, CoordinateFlip):
        with pytest.raises(TypeError, match="needs a discrete model"):
            make(Quartic())


@pytest.mark.parametrize("step_size", [0.0, -1.0, math.inf, math.nan])
def test_a_step_size_that_is_no_step_is_refused(step_size):
    for make in (Langevin, MALA, HMC, NUTS):
        with pytest.raises(ValueError, match="step_size must be positive and finite"):
            make(Quartic(), step_size)


@pytest.mark.parametrize("size", [0.0, -1.0, math.inf, math.nan, torch.tensor([1.0, math.nan])])
def test_a_scale_or_a_mass_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="scale must be positive and finite"):
        GaussianRandomWalk(size)
    with pytest.raises(ValueError, match="inverse_mass must be positive and finite"):
        HMC(correlated_gaussian(), 0.1, inverse_mass=size)


@pytest.mark.parametrize("noise", [-1.0, math.inf, math.nan])
def test_a_noise_that_is_no_standard_deviation_is_refused(noise):
    with pytest.raises(ValueError, match="noise must be finite and not negative"):
        Langevin(Quartic(), 0.1, noise=noise)


@pytest.mark.parametrize("kernel", [lambda m: HMC(m, 0.1), lambda m: Langevin(m, 0.1), _walk])
def test_whole_numbers_are_no_start_for_a_continuous_chain(kernel):
    with pytest.raises(TypeError, match=r"floating point for Gaussian, got torch.int64; use x.double\(\)"):
        kernel(correlated_gaussian()).init(torch.zeros(3, 2, dtype=torch.int64))


def _expectation_after_one_step(make_kernel, model, f, n=701):
    """E[f(x')] and E[f(x)] for x ~ p, both integrals by the trapezoid rule over x and over the noise."""
    x, noise = torch.meshgrid(
        torch.linspace(-5, 5, n, dtype=torch.float64),
        torch.linspace(-6, 6, n, dtype=torch.float64),
        indexing="ij",
    )
    weight = torch.exp(-model.energy(x) - 0.5 * noise**2)
    weight = weight / weight.sum()
    kernel = make_kernel(model)
    moved, info = kernel.step(kernel.init(x), generator=GivenNoise(noise))
    after = info.acceptance * f(moved.position) + (1 - info.acceptance) * f(x)
    return (weight * after).sum(), (weight * f(x)).sum()


OBSERVABLES = {"x": lambda x: x, "x²": lambda x: x**2, "cos 3x": lambda x: torch.cos(3 * x)}

ADJUSTED = {
    "random walk": _walk,
    "MALA": lambda m: MALA(m, 0.4),
    "HMC": lambda m: HMC(m, 0.35, 4),
    "HMC with a mass": lambda m: HMC(m, 0.35, 3, 1.7),
}


@pytest.mark.slow
@pytest.mark.parametrize("f", OBSERVABLES.values(), ids=OBSERVABLES)
@pytest.mark.parametrize("make_kernel", ADJUSTED.values(), ids=ADJUSTED)
def test_adjusted_kernels_leave_expectations_alone(make_kernel, f):
    after, before = _expectation_after_one_step(make_kernel, Quartic(), f)
    assert abs(after - before) < 2e-6  # the rule itself is off by 5e-7


def test_without_the_adjustment_langevin_does_not():
    gaps = [
        _expectation_after_one_step(lambda m: Langevin(m, 0.4), Quartic(), f) for f in OBSERVABLES.values()
    ]
    assert max(abs(after - before) for after, before in gaps) > 1e-2


@pytest.mark.parametrize("name", ["random walk", "MALA", "HMC", "NUTS", "tempered walk"])
def test_exact_samples_stay_exact_samples(name):
    # After five steps from 20,000 independent exact draws the chains are again independent draws of p, so the
    # whitened mean is N(0, 1/n) and the squares sum to a χ² with n degrees: four two-sided tests at 1e-7 each.
    kernel, replicas = KERNELS[name]
    models = [_exact(model) for model in _models(kernel)]
    n, generator = 20_000, seeded(11)
    draws = [model.sample(n, generator=generator) for model in models]
    start = torch.stack(draws) if replicas else draws[0]
    end = sample(kernel, start, 1, generator=generator, burn_in=4)[0]
    target, end = models[-1], end[-1] if replicas else end
    factor = torch.linalg.cholesky(target.precision.detach())
    white = (end - target.mean.detach()) @ factor
    for column in white.T:
        mean_p = 2 * stats.norm.sf(abs(column.mean().item()) * math.sqrt(n))
        squares = (column**2).sum().item()
        square_p = 2 * min(stats.chi2.sf(squares, n), stats.chi2.cdf(squares, n))
        assert mean_p > 1e-7
        assert square_p > 1e-7


def _exact(model):
    if isinstance(model, Tempered):
        return Gaussian(model.model.mean.detach(), model.beta * model.model.precision.detach())
    return model
