"""Persistent contrastive divergence of an RBM in place is that of the learner."""

import pytest
import torch
from learner_cases import MANY_BITS, generator, in_turns, rbm, wide_rbm

from ebmkit import chance
from ebmkit.boltzmann_machines import RBM, bit_states
from ebmkit.contrastive_divergence import (
    DivergenceError,
    _training,
    fit,
    pcd,
)


@pytest.fixture
def in_place(monkeypatch):
    """The numbers of updates that `fit` made in place, call by call."""
    pytest.importorskip("numba")
    made, function = [], _training._in_place

    def watch(*arguments):
        norms, rate = function(*arguments)
        made.append(len(norms))
        return norms, rate

    monkeypatch.setattr(_training, "_in_place", watch)
    return made


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param, "training must leave torch its threads"
    torch.set_num_threads(before)


def saved_chains(path):
    return torch.load(path)["progress"]["learner_state"]["chains"]


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
def test_every_update_in_place_is_a_step_along_the_gradient_of_pcd(in_place, tmp_path):
    model, reference = wide_rbm(), wide_rbm()
    chains = MANY_BITS
    for epoch in range(1, 4):
        history = fit(
            model,
            MANY_BITS,
            generator=generator(3),
            n_epochs=epoch,
            batch_size=6,
            learning_rate=in_turns,
            checkpoint=tmp_path / "run",
        )
        gradient, _ = pcd(reference, MANY_BITS, state={"chains": chains}, generator=generator())
        norm = sum(g.double().square().sum().item() for g in gradient.values()) ** 0.5
        assert history["gradient_norm"][-1] == pytest.approx(norm, rel=1e-4, abs=1e-5)
        assert history["learning_rate"][-1] == in_turns(epoch - 1)
        for name, parameter in reference.named_parameters():
            parameter.data.sub_(gradient[name], alpha=in_turns(epoch - 1))
            torch.testing.assert_close(model.get_parameter(name), parameter, rtol=1e-4, atol=1e-5)
        after = saved_chains(tmp_path / "run")
        assert after.shape == chains.shape
        assert set(after.unique().tolist()) == {0.0, 1.0}
        chains = after
    assert in_place == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("start", [5, 12])
def test_chains_move_in_place_by_the_exact_transition_matrix(start, in_place, tmp_path):
    # Of 16 frequencies over 20,000 chains, one is off by six standard deviations with a chance below 1e-7.
    # The chains start as the data do: half at `start`, half at its opposite, in the order of the epoch.
    n = 20_000
    data = bit_states(4)[[start, 15 - start]].float().repeat_interleave(n, 0)
    place = 2.0 ** torch.arange(3, -1, -1)
    exact = rbm().transition_matrix()[start]
    path = tmp_path / "run"
    fit(rbm().float(), data, generator=generator(1), n_epochs=1, batch_size=None, checkpoint=path)
    order = chance.uniform(torch.empty(len(data)), generator=generator(1)).argsort(stable=True)
    found = (saved_chains(path)[order < n] @ place).long().bincount(minlength=16) / n
    assert ((found - exact).abs() <= 6 * (exact * (1 - exact) / n).sqrt() + 1e-9).all()
    assert in_place == [1]


def test_updates_in_place_visit_every_batch_and_leave_the_last_small_one_to_the_learner(in_place):
    model = wide_rbm()
    data = torch.cat([MANY_BITS, MANY_BITS.flip(1), MANY_BITS[:3]])
    history = fit(model, data, generator=generator(), n_epochs=2, batch_size=6, learning_rate=0.01)
    assert in_place == [2, 2]
    assert history["step"] == [3, 6]


@pytest.mark.parametrize("update", [0, 1, 2])
def test_the_batches_in_place_are_those_of_the_order(update, in_place):
    # Of the four pixels, one is on in each batch, and only one update has a learning rate that is not zero.
    order = chance.uniform(torch.empty(3 * 2048), generator=generator(4)).argsort(stable=True)
    data = torch.zeros(3 * 2048, 4)
    for number, rows in enumerate(torch.split(order, 2048)):
        data[rows, number] = 1
    model, rates = RBM(4, 3, scale=0.0), [0.0, 0.0, 0.0]
    rates[update] = 1.0
    fit(model, data, generator=generator(4), n_epochs=1, batch_size=2048, learning_rate=rates.__getitem__)
    # The chains start as the first batch; a move without weights makes them fair coins, of which the mean of
    # 2048 is off by six standard deviations with a chance of 2e-9.
    chains = torch.eye(4)[0] if update == 0 else torch.full((4,), 0.5)
    expected = torch.eye(4)[update] - chains
    torch.testing.assert_close(model.a.detach(), expected, rtol=0, atol=6 * 0.5 / 2048**0.5)
    assert in_place == [3]


def test_updates_in_place_resume_bit_for_bit_and_are_the_same_with_any_number_of_threads(in_place, tmp_path):
    def run(n_epochs, checkpoint=None):
        model = wide_rbm()
        history = fit(
            model, MANY_BITS, generator=generator(7), n_epochs=n_epochs, batch_size=4, checkpoint=checkpoint
        )
        return model.state_dict(), history

    whole, history = run(4)
    run(2, tmp_path / "cut")
    resumed, resumed_history = run(4, tmp_path / "cut")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert resumed_history == history
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    alone, _ = run(4)
    torch.set_num_threads(2)
    together, _ = run(4)
    torch.set_num_threads(before)
    for name in whole:
        torch.testing.assert_close(alone[name], together[name], rtol=1e-4, atol=1e-6)
    assert set(in_place) == {1}


def test_updates_in_place_say_when_they_diverge_and_keep_the_last_good_model(in_place):
    model = wide_rbm()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    with pytest.raises(
        DivergenceError, match=r"step 1: the gradient of W is (nan|-?inf|finite).*epoch 1 began"
    ):
        fit(model, MANY_BITS.repeat(3, 1), generator=generator(), batch_size=6, learning_rate=1e39)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


@pytest.mark.parametrize(
    "change", ["float64", "an odd layer", "a frozen parameter", "a transform", "an optimizer"]
)
def test_what_does_not_fit_the_updates_in_place_is_left_to_the_learner(change, in_place):
    model, options, data = wide_rbm(), {}, MANY_BITS
    if change == "float64":
        model, data = model.double(), data.double()
    if change == "an odd layer":
        model, data = RBM(2047, 3), data[:, 1:].contiguous()
    if change == "a frozen parameter":
        model.a.requires_grad_(False)
    if change == "a transform":
        options["transform"] = chance.bernoulli
    if change == "an optimizer":
        options["optimizer"] = torch.optim.SGD(model.parameters(), lr=0.01)
    history = fit(model, data, generator=generator(), n_epochs=1, batch_size=6, **options)
    assert history["step"] == [1]
    assert sum(in_place) == 0
