"""Every public model and wrapper is what its docstring says: one check for all, which finds them by itself."""

import importlib
import math

import pytest
import torch
from torch import nn

import ebmkit
from ebmkit import EnergyModel, testing
from ebmkit.annealing import GaussianBase, Interpolated, UniformBase
from ebmkit.applications import JointEnergy, LinearChain, LinearClassEnergies
from ebmkit.boltzmann_machines import DBM, RBM, GaussianRBM
from ebmkit.exponential_families import (
    Bernoulli,
    Beta,
    Categorical,
    Exponential,
    Gamma,
    Gaussian,
    MultivariateGaussian,
    Poisson,
)
from ebmkit.graphs import BoltzmannMachine, GraphIsing, GraphPotts, PairwiseModel
from ebmkit.ising import Ising
from ebmkit.mcmc import Tempered
from ebmkit.normalization import AutoregressiveBernoulli, from_exp, from_softplus
from ebmkit.product_of_experts import (
    AffineCouplingFlow,
    AtCellCentres,
    Mixture,
    PixelCNN,
    ProductOfExperts,
    StudentTExperts,
    UnigaussExperts,
)

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=F64)


def drawn(model, scale=0.7):
    g = generator(1)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.normal_(std=scale, generator=g)
    return model


def rbm():
    return drawn(RBM(3, 2, dtype=F64))


def gaussian_rbm(n=1):
    return drawn(GaussianRBM(n, 2, dtype=F64), 0.4)


def joint():
    energies = LinearClassEnergies(3, (2,))
    with torch.no_grad():
        energies.weight.copy_(randn(3, 2))
    return JointEnergy(energies, 3, (2,), (0.0, 1.0))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def family(kind, *standard):
    return kind.energy_model(kind.natural(*standard))


def grid():
    return Ising((2, 3), (randn(2, 2), randn(1, 3)), randn(2, 3))


def alike():
    square = randn(3, 3, seed=2)
    return square + square.T


def bowl(x):
    return -(x**2) / 2 - x**4 / 8


MODELS = {
    "Annealed": lambda: rbm().annealed(0.4),
    "Annealed, Gaussian": lambda: gaussian_rbm().annealed(0.4),
    "AffineCouplingFlow": lambda: AffineCouplingFlow((2,), generator=generator(), n_layers=2, n_hidden=3),
    "AtCellCentres": lambda: AtCellCentres(AffineCouplingFlow((2,), 2, 3, generator=generator())),
    "AutoregressiveBernoulli": lambda: AutoregressiveBernoulli(3, generator=generator(), scale=1.0),
    "ClassConditional": lambda: joint().conditional(1),
    "Conditional": lambda: ebmkit.condition(grid(), torch.ones(2, 3), torch.arange(6).reshape(2, 3) % 2 == 0),
    "DBM": lambda: drawn(DBM((2, 2, 2), dtype=F64)),
    "FamilyEnergy, Bernoulli": lambda: family(Bernoulli(), 0.3),
    "FamilyEnergy, Beta": lambda: family(Beta(), 2.0, 3.0),
    "FamilyEnergy, Categorical": lambda: family(Categorical(3), torch.tensor([0.2, 0.3, 0.5], dtype=F64)),
    "FamilyEnergy, Exponential": lambda: family(Exponential(), 2.0),
    "FamilyEnergy, Gamma": lambda: family(Gamma(), 3.0, 2.0),
    "FamilyEnergy, Gaussian": lambda: family(Gaussian(), 1.0, 2.0),
    "FamilyEnergy, MultivariateGaussian": lambda: family(
        MultivariateGaussian(2), randn(2), torch.eye(2, dtype=F64) + 0.3
    ),
    "FamilyEnergy, Poisson": lambda: family(Poisson(), 2.0),
    "BoltzmannMachine": lambda: BoltzmannMachine(4, randn(6), randn(4)),
    "GaussianBase": lambda: GaussianBase((1,), 0.5, 2.0),
    "GaussianRBM": gaussian_rbm,
    "GaussianRBM, two": lambda: gaussian_rbm(2),
    "GraphIsing": lambda: GraphIsing([(0, 1), (1, 2), (2, 0), (2, 3)], randn(4), randn(4)),
    "GraphPotts": lambda: GraphPotts([(0, 1), (1, 2), (2, 0), (2, 3)], randn(4), randn(4, 3), n_values=3),
    "Interpolated": lambda: Interpolated(UniformBase((2, 3), (-1.0, 1.0)), grid(), 0.3),
    "Ising": grid,
    "Ising, torus": lambda: Ising((3, 2), randn(1)[0], 0.2, periodic=True),
    "JointEnergy": joint,
    "LinearChain": lambda: LinearChain(randn(3, 2), randn(2, 2)),
    "LinearChain, batch": lambda: LinearChain(randn(4, 1, 3, 2), randn(2, 2)),
    "Mixture": lambda: Mixture(
        [AutoregressiveBernoulli(2, 1.0, generator=generator(k)) for k in (1, 2)], [0.3, 0.7]
    ),
    "ModuleEnergy": lambda: ebmkit.from_module(network(), (2,), (0.0, 1.0)),
    "PairwiseModel": lambda: PairwiseModel([(0, 1), (1, 2)], randn(2), randn(3, 3), alike=alike()),
    "PixelCNN": lambda: PixelCNN((2, 2), generator=generator(), n_channels=3, n_blocks=1, dtype=F64),
    "ProductOfExperts": lambda: ProductOfExperts(
        [AutoregressiveBernoulli(2, 1.0, generator=generator(k)) for k in (1, 2)]
    ),
    "RBM": rbm,
    "StudentTExperts": lambda: StudentTExperts(randn(3, 2), torch.tensor([1.0, 2.0, 1.5], dtype=F64)),
    "Tempered": lambda: Tempered(grid(), 0.5),
    "UniformBase": lambda: UniformBase((3,), (0.0, 1.0, 2.0)),
    "UnigaussExperts": lambda: UnigaussExperts(
        randn(2, 1), randn(2, 1).exp(), torch.tensor([0.3, 0.6], dtype=F64), -4.0, 4.0
    ),
    "UnnormalizedDensity": lambda: from_exp(bowl),
    "UnnormalizedDensity, softplus": lambda: from_softplus(bowl),
}
INSIDE = {"Beta": (0.1, 0.9), "Exponential": (0.1, 3.0), "Gamma": (0.1, 3.0), "Poisson": None}


def points(name):
    """Where a model is tried if it is not positive everywhere."""
    kind = name.split(", ")[-1]
    if kind not in INSIDE:
        return None
    if kind == "Poisson":
        return torch.arange(6, dtype=F64)
    low, high = INSIDE[kind]
    return torch.linspace(low, high, 6, dtype=F64)


def subclasses(kind):
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def test_every_public_model_has_an_example() -> None:
    for name in ebmkit._MODULES:
        importlib.import_module(f"ebmkit.{name}")
    found = {k.__name__ for k in subclasses(EnergyModel) if k.__module__.startswith("ebmkit.")}
    public = {name for name in found if not name.startswith("_")}
    assert len(public) >= 24
    assert public == {name.split(", ")[0] for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_what_it_says(name):
    done = testing.check_model(MODELS[name](), points(name))
    assert len(done) >= 5
    if name in {"RBM", "Ising", "DBM", "GraphIsing", "GraphPotts", "BoltzmannMachine", "PairwiseModel"}:
        assert "exact_log_partition is log Z" in done
        assert "gibbs_step_given leaves the conditional invariant" in done
        assert "annealing ends at the model" in done
    if name in {"RBM", "DBM", "GaussianRBM", "FamilyEnergy, Gaussian"}:
        assert "exact_log_partition has two derivatives" in done


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name]().event_shape == ()])
def test_models_of_one_number_take_a_scalar(name):
    model = MODELS[name]()
    x = torch.tensor(0.5 if model.values is None else model.values[-1], dtype=F64)
    if "Poisson" in name:
        x = torch.tensor(2.0, dtype=F64)
    assert model.energy(x).shape == ()
    assert float(model.energy(float(x))) == pytest.approx(float(model.energy(x[None])[0]), rel=1e-12)
    assert math.isfinite(float(model.energy(x)))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_energy_compiles_whole(name):
    model = MODELS[name]()
    x = testing._models._points(model, generator()) if points(name) is None else points(name)
    torch.compiler.reset()
    compiled = torch.compile(model.energy, fullgraph=True, backend="eager")  # needs no compiler
    with ebmkit.validation(False):
        torch.testing.assert_close(compiled(x), model.energy(x))


@pytest.mark.parametrize("name", MODELS)
def test_every_energy_can_be_vmapped(name):
    model = MODELS[name]()
    x = testing._models._points(model, generator()) if points(name) is None else points(name)
    found = torch.vmap(model.energy)(x)
    wanted = [model.energy(one) for one in x] if model.batch_shape else list(model.energy(x))
    torch.testing.assert_close(found, torch.stack(wanted))


@pytest.mark.parametrize("name", MODELS)
def test_every_energy_has_a_shape_on_the_meta_device(name):
    model = MODELS[name]()
    x = testing._models._points(model, generator()) if points(name) is None else points(name)
    expected = model.energy(x).shape
    assert model.to("meta").energy(x.to("meta")).shape == expected
