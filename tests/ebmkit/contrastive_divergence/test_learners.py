"""Learners against exact gradients, and one contract for all of them."""

import functools
import math

import pytest
import torch
from learner_cases import (
    BITS,
    EXACT,
    LEARNERS,
    MANY_BITS,
    REALS,
    GenericRBM,
    Well,
    dbm,
    generator,
    randomised,
    rbm,
    wide_rbm,
)

from ebmkit import EnergyModel, chance
from ebmkit.boltzmann_machines import RBM, bit_states
from ebmkit.contrastive_divergence import (
    DivergenceError,
    cd,
    fast_pcd,
    fit,
    maximum_likelihood,
    pcd,
    replay,
)
from ebmkit.ising import Ising
from ebmkit.kernel import Info, State
from ebmkit.mcmc import Langevin


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("make", "data", "learner"), LEARNERS.values(), ids=LEARNERS)
def test_every_learner_keeps_the_contract(make, data, learner):
    model, given = make(), data.clone()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    first = learner(model, data, state={}, generator=generator(1))
    again = learner(model, data, state=None, generator=generator(1))
    later = learner(model, data, state=first.state, generator=generator(2))
    assert list(first.parameters) == list(before)
    for name, value in before.items():
        gradient = first.parameters[name]
        assert gradient.shape == value.shape
        assert gradient.isfinite().all()
        assert not gradient.requires_grad
        assert torch.equal(model.get_parameter(name), value), "a learner must not change the model"
        assert torch.equal(gradient, again.parameters[name]), "the generator decides everything"
    assert set(later.state) == set(first.state)
    assert torch.equal(data, given), "a learner must not change the data"
    with pytest.raises(ValueError, match=r"data must have shape \(n, .*\) with n at least 1, got \(0, "):
        learner(model, data[:0], state=None, generator=generator())


def brute_force_gradient(model, data):
    """Autograd of the log-likelihood, every state of visible and hidden units written out."""
    if isinstance(model, RBM):
        v, h = bit_states(model.W.shape[0]), bit_states(model.W.shape[1])
        joint = -model.joint_energy(v[:, None].expand(-1, len(h), -1), h.expand(len(v), -1, -1))
    else:
        joint = -model.energy(bit_states(sum(model.sizes))).reshape(2 ** model.sizes[0], -1)
    log_prob = torch.logsumexp(joint, 1) - torch.logsumexp(joint.flatten(), 0)
    row = (data @ 2.0 ** torch.arange(data.shape[1] - 1, -1, -1).double()).long()
    loss = -log_prob[row].mean()
    return dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters()))))


@pytest.mark.parametrize("make", [rbm, dbm, functools.partial(dbm, (4, 1, 2, 2))])
def test_maximum_likelihood_is_the_gradient_of_the_exact_log_likelihood(make):
    model = make()
    found = maximum_likelihood(model, BITS).parameters
    torch.testing.assert_close(found, brute_force_gradient(model, BITS), **EXACT)


@pytest.mark.parametrize("learner", [cd, pcd, fast_pcd])
@pytest.mark.parametrize("k", [1, 3])
def test_the_fused_path_of_an_rbm_equals_the_path_of_any_energy(learner, k):
    fused, generic = rbm(), rbm(kind=GenericRBM)
    state = other = None
    for seed in range(3):
        (found, state), (expected, other) = (
            learner(model, BITS, k, state=s, generator=generator(seed))
            for model, s in ((fused, state), (generic, other))
        )
        torch.testing.assert_close(found, expected, **EXACT)
        torch.testing.assert_close(state, other, **EXACT)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("n_chains", [4, 6])
def test_pcd_in_float32_has_the_gradient_of_any_energy_and_the_chains_of_gibbs_steps(n_chains):
    model, generic = wide_rbm(), randomised(GenericRBM(2048, 3), scale=0.1)
    state = {"chains": MANY_BITS.flip(1)[:n_chains]}
    found, after = pcd(model, MANY_BITS, state=state, generator=generator(2))
    expected, _ = pcd(generic, MANY_BITS, state=state, generator=generator(2))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert after["chains"].shape == state["chains"].shape
    assert set(after["chains"].unique().tolist()) == {0.0, 1.0}


@pytest.mark.usefixtures("engine")
def test_a_chain_of_pcd_in_float32_moves_by_the_exact_transition_matrix():
    # Of 16 frequencies over 40,000 chains, one is off by six standard deviations with a chance below 1e-7.
    model, n = rbm().float(), 40_000
    exact = rbm().transition_matrix()[5]
    state = {"chains": bit_states(4)[5].float().expand(n, -1).contiguous()}
    chains = pcd(model, BITS.float(), state=state, generator=generator()).state["chains"]
    number = (chains @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    found = number.bincount(minlength=16) / n
    assert ((found - exact).abs() <= 6 * (exact * (1 - exact) / n).sqrt() + 1e-9).all()


def test_pcd_contrasts_the_data_with_the_chains_and_then_moves_them_by_gibbs_steps():
    model = rbm()
    chains = bit_states(4)[:5]
    found, state = pcd(model, BITS, 2, state={"chains": chains}, generator=generator(3))
    loss = model.energy(BITS).mean() - model.energy(chains).mean()
    expected = dict(zip(found, torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(found, expected, **EXACT)
    source = generator(3)
    moved = model.gibbs_step(model.gibbs_step(chains, generator=source), generator=source)
    assert torch.equal(state["chains"], moved)


def test_fast_weights_decay_and_follow_the_gradient_and_move_the_chains_only():
    model = rbm()
    start = {"chains": BITS[:3], "fast.W": torch.full((4, 3), 0.5, dtype=torch.float64)}
    found, state = fast_pcd(model, BITS, state=start, generator=generator(3), fast_rate=0.2, decay=0.9)
    torch.testing.assert_close(state["fast.W"], 0.9 * start["fast.W"] - 0.2 * found["W"], **EXACT)
    moved = rbm()
    with torch.no_grad():
        for name, parameter in moved.named_parameters():
            parameter += state[f"fast.{name}"]
    assert torch.equal(state["chains"], moved.gibbs_step(start["chains"], generator=generator(3)))
    far = {"chains": BITS, "fast.b": torch.full((3,), 1e9, dtype=torch.float64)}
    fast_pcd(model, BITS, state=far, generator=generator(3))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), rbm().parameters()))
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\), got 1"):
        fast_pcd(model, BITS, generator=generator(), decay=1.0)


def test_the_gradient_of_a_dbm_takes_the_mean_field_of_the_data():
    model = dbm()
    chains = bit_states(8)[::51]
    found = pcd(model, BITS, state={"chains": chains}, generator=generator()).parameters
    loss = model.energy(model.complete(BITS)).mean() - model.energy(chains).mean()
    torch.testing.assert_close(
        list(found.values()), list(torch.autograd.grad(loss, list(model.parameters())))
    )


def test_a_frozen_parameter_has_no_gradient_and_does_not_move():
    for kind in (RBM, GenericRBM):
        model = rbm(kind=kind)
        model.a.requires_grad_(False)
        before = model.a.clone()
        assert list(cd(model, BITS, generator=generator()).parameters) == ["W", "b"]
        fit(model, BITS, cd, generator=generator(), n_epochs=1)
        assert torch.equal(model.a, before)


def test_the_energy_penalty_adds_the_gradient_of_the_squared_energies():
    model = Well()
    options = {"kernel": Langevin(model, 0.1), "buffer_size": len(REALS), "refresh": 0.0}
    found, state = replay(model, REALS, energy_penalty=0.3, generator=generator(1), **options)
    data, chains = model.energy(REALS), model.energy(state["buffer"])
    loss = data.mean() - chains.mean() + 0.3 * (data.square() + chains.square()).mean()
    torch.testing.assert_close(found["m"], torch.autograd.grad(loss, model.m)[0], **EXACT)


def test_replay_restarts_the_share_of_chains_it_is_told_to():
    class Still:
        def init(self, position):
            return State(position, position[:, 0])

        def step(self, state, *, generator):
            return state, Info(state.energy, state.energy > 1e9)

    buffer = torch.full((6, 2), 7.0, dtype=torch.float64)
    for share, kept in ((0.0, 6), (1.0, 0)):
        state = {"buffer": buffer.clone()}
        _, state = replay(
            Well(), REALS, kernel=Still(), state=state, generator=generator(), buffer_size=6, refresh=share
        )
        assert (state["buffer"] == 7.0).all(-1).sum() == kept


@pytest.mark.slow
def test_replay_learns_the_mean_of_a_gaussian():
    model = Well()
    data = torch.randn(400, 2, dtype=torch.float64, generator=generator(1)) + torch.tensor([2.0, -1.0])
    learner = functools.partial(replay, k=10, kernel=Langevin(model, 0.1), buffer_size=500)
    fit(model, data, learner, generator=generator(2), n_epochs=60, batch_size=100, learning_rate=0.1)
    # Over seeds the error has a mean of 0.06 (chains restarted at 0 pull) and a standard deviation of 0.04.
    assert (model.m - data.mean(0)).abs().max() < 0.35


def test_replay_says_when_it_diverges():
    model = Well()
    far = functools.partial(replay, kernel=Langevin(model, 1e-3), buffer_size=6, largest_gap=10.0)
    with pytest.raises(DivergenceError, match=r"energies of data and chains are .* apart \(limit 10\)"):
        far(model, REALS + 100, generator=generator())
    wild = functools.partial(replay, k=3000, kernel=Langevin(model, 100.0), buffer_size=6)
    with pytest.raises(
        DivergenceError, match=r"6 of 6 chains left the finite numbers at Markov step \d+ of 3000"
    ):
        wild(model, REALS, generator=generator())
    with pytest.raises(ValueError, match="buffer_size must be at least the batch size 6, got 5"):
        replay(model, REALS, kernel=Langevin(model, 0.1), buffer_size=5, generator=generator())


def test_wrong_input_is_named_with_the_way_out():
    with pytest.raises(ValueError, match="k counts Markov steps and must be at least 1, got 0"):
        cd(rbm(), BITS, 0, generator=generator())
    with pytest.raises(TypeError, match=r"Well has no gibbs_step; pass kernel=mcmc.Langevin"):
        cd(Well(), REALS, generator=generator())
    with pytest.raises(ValueError, match="n_chains must be at least 1, got 0"):
        pcd(rbm(), BITS, generator=generator(), n_chains=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, or None for all data, got 0"):
        fit(rbm(), BITS, generator=generator(), batch_size=0)
    broken = BITS.clone()
    broken[1, 2] = math.nan
    with pytest.raises(ValueError, match="data must be finite, got nan in 1 places"):
        fit(rbm(), broken, generator=generator())
    with pytest.raises(TypeError, match=r"is torch.float32 on cpu, the model torch.float64"):
        fit(rbm(), BITS.float(), generator=generator())


class Threshold(EnergyModel):
    """One bit on its own, E(x) = -θ x: event shape ()."""

    event_shape = ()
    values = (0.0, 1.0)

    def __init__(self):
        super().__init__()
        self.theta = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def energy(self, x):
        return -self.theta * x

    def gibbs_step(self, x, generator):
        return chance.bits(self.theta.detach().sigmoid().expand(x.shape), generator=generator)


def test_models_of_one_number_learn_from_a_row_of_numbers():
    model, data = Threshold(), torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    exact = maximum_likelihood(model, data).parameters["theta"]
    torch.testing.assert_close(exact, model.theta.sigmoid() - 0.75)
    for learner in (cd, pcd, fast_pcd):
        gradient = learner(model, data, generator=torch.Generator().manual_seed(0)).parameters["theta"]
        assert gradient in torch.arange(-3, 2) / 4  # the mean of four bits less that of the data
    with pytest.raises(ValueError, match=r"shape \(n,\) with n at least 1, got \(0,\)"):
        cd(model, data[:0], generator=torch.Generator())


REFUSALS = {name: case for name, case in LEARNERS.items() if name != "by_loss"}


@pytest.mark.parametrize(("make", "data", "learner"), REFUSALS.values(), ids=REFUSALS)
def test_every_learner_wants_one_batch_axis_and_examples_of_the_models_shape(make, data, learner):
    model, width = make(), data.shape[1]
    one_axis = (
        rf"data must have shape \(n, {width}\) with n at least 1, got %s; .*data.reshape\(-1, {width}\)"
    )
    with pytest.raises(ValueError, match=one_axis % rf"\(2, 3, {width}\)"):
        learner(model, data.expand(2, *data.shape)[:, :3], generator=generator())
    with pytest.raises(ValueError, match=one_axis % rf"\({width},\)"):
        learner(model, data[0], generator=generator())
    with pytest.raises(ValueError, match=rf"data must have shape \(n, {width}\).*got \(6, {width - 1}\)$"):
        learner(model, data[:, 1:], generator=generator())
    with pytest.raises(ValueError, match=rf"data must have shape \(n, {width}\)"):
        fit(model, data[:, None], learner, generator=generator(), n_epochs=1)


def test_a_deep_machine_learns_from_its_visible_units_alone():
    for learner in (maximum_likelihood, cd, pcd, fast_pcd):
        with pytest.raises(ValueError, match=r"data must have shape \(n, 4\) .* got \(2, 8\)"):
            learner(dbm(), bit_states(8)[:2], generator=generator())


@pytest.mark.parametrize("learner", [maximum_likelihood, cd, pcd, fast_pcd])
def test_a_model_without_a_trainable_parameter_is_named(learner):
    ising = Ising((2, 2), 0.3)
    with pytest.raises(ValueError, match="Ising has no trainable parameter"):
        learner(ising, torch.ones(3, 2, 2, dtype=torch.float64), generator=generator())
    frozen = rbm().requires_grad_(False)
    with pytest.raises(ValueError, match="RBM has no trainable parameter"):
        learner(frozen, BITS, generator=generator())
    with pytest.raises(ValueError, match="RBM has no trainable parameter"):
        fit(frozen, BITS, learner, generator=generator(), n_epochs=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("make", "data", "learner"), LEARNERS.values(), ids=LEARNERS)
def test_every_learner_refuses_data_that_are_not_finite(make, data, learner, bad):
    broken = data.clone()
    broken[1, 1] = bad
    with pytest.raises(ValueError, match=f"data must be finite, got {bad} in 1 places"):
        learner(make(), broken, generator=generator())


# A kernel of `mcmc` takes states of the model alone, so no grey levels.
BINARY = {
    name: case
    for name, case in LEARNERS.items()
    if (case[1] is BITS or case[1] is MANY_BITS) and name != "cd with a kernel"
}


@pytest.mark.parametrize(("make", "data", "learner"), BINARY.values(), ids=BINARY)
def test_models_of_bits_take_grey_levels_from_0_to_1_and_no_others(make, data, learner):
    grey = data * 0.9 + 0.05
    learner(make(), grey, generator=generator())
    fit(make(), grey, learner, generator=generator(), n_epochs=1)
    for wrong, found in ((data * 255, "from 0 to 255"), (2 * data - 1, "from -1 to 1")):
        message = rf"must lie in \[0, 1\], got values {found}; divide grey levels by 255"
        with pytest.raises(ValueError, match=message):
            learner(make(), wrong, generator=generator())
        with pytest.raises(ValueError, match=message):
            fit(make(), wrong, learner, generator=generator(), n_epochs=1)
