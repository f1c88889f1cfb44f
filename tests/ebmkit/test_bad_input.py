"""What people give: arrays and numbers are taken, nonsense is refused by an error that names the way out."""

import math

import numpy as np
import pytest
import torch
from bad_input_cases import F64, PATH_LAW, REFUSED, TAKEN, Bowl, Voters, generator, rbm
from torch import nn

import ebmkit
from ebmkit import (
    EnergyModel,
    annealing,
    ising,
    mcmc,
    normalization,
    score_matching,
)
from ebmkit import product_of_experts as poe
from ebmkit.boltzmann_machines import DBM, RBM, GaussianRBM
from ebmkit.contrastive_divergence import (
    by_loss,
    cd,
    fit,
    pcd,
)
from ebmkit.ising import Ising
from ebmkit.normalization import (
    from_exp,
    log_quadrature,
    log_sum_exp,
)


@pytest.mark.parametrize("name", TAKEN)
def test_arrays_lists_and_numbers_are_taken_as_tensors_are(name):
    wanted = torch.random.fork_rng(devices=[])
    results = []
    for as_ in (lambda x: torch.tensor(x, dtype=F64), np.array, lambda x: x):
        with wanted:
            torch.manual_seed(0)
            results.append(torch.as_tensor(TAKEN[name](as_)))
        wanted = torch.random.fork_rng(devices=[])
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


def test_lists_take_the_dtype_of_the_model():
    assert RBM(3, 2).energy([1.0, 0.0, 1.0]).dtype == torch.float32
    assert RBM(3, 2).energy(np.ones(3)).dtype == torch.float32


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_nonsense_is_refused_with_the_way_out(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_what_was_refused_has_changed_nothing():
    model = rbm()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for bad in ([[math.nan, 0.0, 0.0]], [[255.0, 0.0, 0.0]]):
        with pytest.raises(ValueError, match="data must"):
            model.set_base_rates(bad)
        with pytest.raises(ValueError, match="data"):
            fit(model, bad, pcd, generator=generator())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# --- what once went wrong --------------------------------------------------------------------------------


def test_a_whole_number_of_numpy_is_a_number_of_temperatures():
    grid = Ising((2, 2), 0.3)
    run = annealing.anneal(grid, generator=generator(), betas=np.int64(10), n_chains=3)
    again = annealing.anneal(grid, generator=generator(), betas=10, n_chains=3)
    assert torch.equal(run.log_weights, again.log_weights)


def test_a_mass_in_double_precision_leaves_chains_in_single_precision():
    kernel = mcmc.HMC(Bowl(), 0.1, 3, torch.ones(2, dtype=F64))
    assert mcmc.sample(kernel, torch.zeros(4, 2), 2, generator=generator()).dtype == torch.float32


def test_a_step_above_the_largest_float32_is_a_step():
    assert mcmc.HMC(Bowl(), 1e39).step_size == 1e39


def test_a_sum_without_terms_that_count_has_no_slope():
    x = torch.full((2, 3), -math.inf, dtype=F64, requires_grad=True)
    total = log_sum_exp(x)
    (gradient,) = torch.autograd.grad(total.sum(), x)
    assert (total == -math.inf).all()
    assert torch.equal(gradient, torch.zeros(2, 3, dtype=F64))


def test_no_warning_at_weak_couplings():
    with np.errstate(all="raise"):
        assert float(ising.yang_magnetization(1e-200)) == 0


def test_bridges_cross_hard_walls():
    half = from_exp(lambda x: torch.where(x > 0, -(x**2) / 2, -math.inf))
    transition = lambda energy: mcmc.MetropolisHastings(energy, mcmc.GaussianRandomWalk(1.0))  # noqa: E731
    found = annealing.bridge_sampling(
        half, generator=generator(), n_chains=64, n_steps=60, burn_in=10, betas=4, transition=transition
    )
    exact = 0.5 * math.log(math.pi / 2)
    # Six standard errors, a false alarm below 1e-8.
    assert abs(float(found.value) - exact) < 6 * float(found.error)
    assert float(found.error) < 0.1


@pytest.mark.parametrize("place", [800.0, 0.3, -2e4])
@pytest.mark.parametrize("width", [1.0, 1e-4])
def test_a_well_is_found_wherever_it_lies_and_however_narrow_it_is(place, width):
    model = from_exp(lambda x: -(((x - place) / width) ** 2) / 2)
    value, error, _ = log_quadrature(model)
    exact = math.log(width) + 0.5 * math.log(2 * math.pi)
    assert abs(float(value) - exact) <= max(float(error), 1e-9) <= 1e-6


def test_validation_can_be_switched_off_and_comes_back():
    grid = Ising((2, 2), 0.4)
    with ebmkit.validation(False):
        assert grid.energy(torch.zeros(2, 2)).shape == ()
    with pytest.raises(ValueError, match="spins must be -1 or"):
        grid.energy(torch.zeros(2, 2))
    ebmkit.set_validation(False)
    try:
        assert grid.energy(torch.zeros(2, 2)).shape == ()
    finally:
        ebmkit.set_validation(True)


def test_a_kernel_of_the_model_in_a_wrap_is_one_of_the_model():
    model, data = Voters(), torch.tensor([[0.0, 1.0]], dtype=F64)
    for kernel in (mcmc.Gibbs(model), mcmc.Gibbs(mcmc.Tempered(model, 0.5))):
        assert "strength" in cd(model, data, kernel=kernel, generator=generator()).parameters


@pytest.mark.parametrize(
    "make",
    [
        lambda shape: ebmkit.from_module(nn.Linear(3, 1), shape),
        lambda shape: from_exp(lambda x: -x.sum(-1), shape),
        lambda shape: annealing.GaussianBase(shape),
        lambda shape: annealing.UniformBase(shape, (0.0, 1.0)),
        lambda shape: type(
            "Own", (EnergyModel,), {"event_shape": shape, "energy": lambda self, x: x.sum(-1)}
        )(),
    ],
)
def test_a_number_as_event_shape_is_a_shape_of_one_axis(make):
    for shape in (3, [3], (3,), np.int64(3)):
        model = make(shape)
        assert model.event_shape == (3,)
        assert model.energy(torch.zeros(2, 3)).shape == (2,)


def test_a_loss_need_not_take_a_generator():
    model, x = (
        ebmkit.from_module(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)), 2),
        torch.ones(3, 2),
    )
    learner = by_loss(score_matching.explicit_score_matching)
    found = learner(model, x, generator=generator()).parameters
    assert found.keys() == dict(model.named_parameters()).keys()
    assert len(fit(model, x, learner, generator=generator(), n_epochs=2)["epoch"]) == 2


def test_no_epochs_make_empty_columns():
    history = fit(rbm(), [[1.0, 0.0, 0.0]], generator=generator(), n_epochs=0)
    assert history == {"epoch": [], "step": [], "learning_rate": [], "gradient_norm": []}


def test_the_public_names_are_listed_before_they_are_used():
    assert set(ebmkit.__all__) <= set(dir(ebmkit))


@pytest.mark.parametrize(
    "model", [Ising((2, 2), 0.4), PATH_LAW, rbm(), GaussianRBM(2, 2), DBM((3, 2)), annealing.GeometricPath(
        annealing.GaussianBase((2,)), annealing.GaussianBase((2,))
    )], ids=lambda model: type(model).__name__
)  # fmt: skip
def test_the_base_is_drawn_a_whole_number_of_times(model):
    for wrong, error in ((-1, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="must be"):
            model.sample_base(wrong, generator=generator())
    assert len(model.sample_base(0, generator=generator())) == 0


def test_a_leapfrog_of_no_steps_stays():
    x, p = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    assert [part.tolist() for part in mcmc.leapfrog(Bowl(), x, p, 0.1, 0)] == [x.tolist(), p.tolist()]


def test_no_epochs_leave_a_pixelcnn_as_it_is():
    model = poe.PixelCNN((2, 2), generator=generator())
    assert poe.fit_pixelcnn(model, torch.zeros(3, 2, 2), 0, generator=generator()) == {"loss": []}


def test_one_class_of_ones_own_is_enough_to_load(tmp_path):
    ebmkit.save(Voters(), tmp_path / "voters.pt")
    assert ebmkit.load(tmp_path / "voters.pt", Voters).values == (0.0, 1.0, 2.0)


def test_a_name_of_old_leads_to_its_successor():
    estimate = ebmkit.log_partition(Ising((2, 2), 0.4))
    with pytest.raises(AttributeError, match="an Estimate has no attribute 'std_error'; it is error now"):
        _ = estimate.std_error
    assert not hasattr(estimate, "std_error")
    with pytest.raises(AttributeError, match=r"has no attribute 'Integral'; it is ebmkit.Estimate"):
        _ = normalization.Integral
    with pytest.raises(AttributeError, match="'gaussian_log_normalizer'; it is gaussian_log_partition now"):
        _ = normalization.gaussian_log_normalizer
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'$"):
        _ = normalization.nothing
