"""A training loop that loses nothing, and says when it diverges."""

import functools
import math

import pytest
import torch
from learner_cases import (
    BEST,
    BITS,
    EXACT,
    LEARNERS,
    PICTURES,
    generator,
    kernel_cd,
    langevin_replay,
    log_likelihood,
    rbm,
)

from ebmkit import chance
from ebmkit.boltzmann_machines import RBM
from ebmkit.contrastive_divergence import (
    DivergenceError,
    _learners,
    _training,
    by_loss,
    cd,
    fast_pcd,
    fit,
    maximum_likelihood,
    pcd,
    replay,
)
from ebmkit.mcmc import Gibbs, Langevin


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("make", "data", "learner"), LEARNERS.values(), ids=LEARNERS)
def test_every_learner_trains_in_the_loop_and_resumes_bit_for_bit(make, data, learner, tmp_path):
    def run(checkpoint, callback=None):
        model = make()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        options = {"n_epochs": 4, "batch_size": 4, "generator": generator(7), "optimizer": optimizer}
        bound = learner
        if learner is langevin_replay:
            bound = functools.partial(replay, k=3, kernel=Langevin(model, 0.1), buffer_size=40)
        if learner is kernel_cd:
            bound = functools.partial(cd, k=2, kernel=Gibbs(model))
        return model, fit(model, data, bound, checkpoint=checkpoint, callback=callback, **options)

    def interrupt(record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    whole, history = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", interrupt)
    resumed, resumed_history = run(tmp_path / "cut")
    for parameter, expected in zip(resumed.parameters(), whole.parameters()):
        assert torch.equal(parameter, expected)
    assert resumed_history == history
    assert history["epoch"] == [1, 2, 3, 4]
    assert history["step"] == [2, 4, 6, 8]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learner", "n_updates"),
    [
        (maximum_likelihood, 2000),
        (functools.partial(cd, k=10), 3000),
        (functools.partial(pcd, n_chains=200), 3000),
        (functools.partial(fast_pcd, n_chains=200), 3000),
    ],
    ids=["maximum_likelihood", "cd", "pcd", "fast_pcd"],
)
def test_training_on_bars_and_stripes_reaches_a_log_likelihood_of_minus_3(learner, n_updates):
    # No model does better than -log 14 = -2.639 nats; an untrained one has -9 log 2 = -6.24. Over seeds the runs
    # end at -2.77 with a standard deviation of 0.02, so -3 is more than ten of these away.
    model = RBM(9, 12, scale=0.1, generator=generator(2))
    assert log_likelihood(model, PICTURES) < -6
    fit(
        model,
        PICTURES.repeat(10, 1),
        learner,
        generator=generator(3),
        n_epochs=n_updates,
        batch_size=None,
        learning_rate=lambda step: 0.4 * (1 - step / n_updates),
    )
    assert -3 < log_likelihood(model, PICTURES) <= BEST


def test_divergence_names_step_and_value_and_keeps_the_last_good_model(tmp_path):
    def explode_in_the_third_epoch(step):
        return 0.01 if step < 4 else 1e200

    def run(rate, n_epochs):
        model = rbm()
        options = {"generator": generator(1), "batch_size": 3, "checkpoint": tmp_path / "run"}
        return model, lambda: fit(model, BITS, cd, n_epochs=n_epochs, learning_rate=rate, **options)

    model, train = run(explode_in_the_third_epoch, 5)
    with pytest.raises(
        DivergenceError, match=r"step \d+: .* is (nan|inf|-inf|finite, but).*epoch 3 began"
    ) as error:
        train()
    assert error.value.history["epoch"] == [1, 2]
    good, resume = run(0.01, 2)
    resume()
    for parameter, expected in zip(model.parameters(), good.parameters()):
        assert parameter.isfinite().all()
        assert torch.equal(parameter, expected)


def test_a_gradient_that_is_not_finite_is_never_applied():
    model = rbm()
    before = [p.detach().clone() for p in model.parameters()]
    poison = by_loss(lambda model, data, *, generator: model.energy(data).mean() * math.nan)
    with pytest.raises(DivergenceError, match="step 0: the gradient of W is nan; lower the learning rate"):
        fit(model, BITS, poison, generator=generator())
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before))


def test_without_an_optimizer_the_loop_descends_along_the_gradient():
    plain, sgd = rbm(), rbm()
    optimizer = torch.optim.SGD(sgd.parameters(), lr=0.3)
    fit(plain, BITS, cd, generator=generator(2), n_epochs=3, batch_size=4, learning_rate=0.3)
    history = fit(sgd, BITS, cd, generator=generator(2), n_epochs=3, batch_size=4, optimizer=optimizer)
    torch.testing.assert_close(list(plain.parameters()), list(sgd.parameters()), **EXACT)
    assert history["learning_rate"] == [0.3, 0.3, 0.3]


def test_the_history_has_a_column_for_each_quantity_and_the_callback_sees_each_record():
    records = []
    history = fit(
        rbm(),
        BITS,
        cd,
        generator=generator(),
        n_epochs=3,
        batch_size=4,
        learning_rate=lambda step: 0.1 / (1 + step),
        monitor=lambda model: {"log_likelihood": log_likelihood(model, BITS)},
        callback=records.append,
    )
    assert list(history) == ["epoch", "step", "learning_rate", "gradient_norm", "log_likelihood"]
    assert history["learning_rate"] == pytest.approx([0.1 / 2, 0.1 / 4, 0.1 / 6])
    assert [record["log_likelihood"] for record in records] == history["log_likelihood"]


@pytest.mark.filterwarnings("error")
def test_a_monitor_may_return_tensors_that_still_carry_their_graph():
    def monitor(model):
        return {"energy": model.energy(BITS).mean()}

    model = rbm()
    history = fit(model, BITS, cd, generator=generator(), n_epochs=1, monitor=monitor)
    assert history["energy"] == [model.energy(BITS).mean().item()]


def test_each_epoch_visits_every_example_once_through_the_transform():
    seen = []

    def watch(batch, *, generator):
        seen.append(batch)
        return chance.bernoulli(batch, generator=generator)

    grey = torch.linspace(0, 1, 24, dtype=torch.float64).reshape(6, 4)
    fit(rbm(), grey, cd, generator=generator(), n_epochs=2, batch_size=4, transform=watch)
    for epoch in (torch.cat(seen[:2]), torch.cat(seen[2:])):
        assert torch.equal(epoch[epoch[:, 0].argsort()], grey)
    assert not torch.equal(torch.cat(seen[:2]), torch.cat(seen[2:]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_norm_of_a_gradient_is_right_in_every_precision(dtype):
    parts = {"W": torch.full((3, 4), 256.0, dtype=dtype).T, "b": torch.full((4,), -512.0, dtype=dtype)}
    assert _training._finite_norm(parts, "") == pytest.approx(256 * math.sqrt(28), rel=1e-6)


def test_the_range_is_that_of_what_a_transform_makes_of_the_data():
    def divide(batch, *, generator):
        return batch / 255

    fit(rbm(), BITS * 255, cd, generator=generator(), n_epochs=1, transform=divide)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got values from 0 to 255"):
        fit(
            rbm(),
            BITS,
            cd,
            generator=generator(),
            n_epochs=1,
            transform=lambda batch, *, generator: batch * 255,
        )


def test_the_loop_looks_at_the_numbers_once_however_many_updates_it_makes(monkeypatch):
    looked, check = [], _learners.check_numbers

    def watch(data, model):
        looked.append(tuple(data.shape))
        check(data, model)

    for module in (_learners, _training):
        monkeypatch.setattr(module, "check_numbers", watch)
    for learner in (cd, pcd, fast_pcd, maximum_likelihood, functools.partial(pcd, k=2)):
        fit(rbm(), BITS, learner, generator=generator(), n_epochs=2, batch_size=1)
        assert looked == [(6, 4)]
        looked.clear()
    cd(rbm(), BITS, generator=generator())
    assert looked == [(6, 4)], "a call of its own looks at its data, also after fit"


def test_a_negative_number_of_epochs_is_refused():
    with pytest.raises(ValueError, match="n_epochs must be at least 0, got -1"):
        fit(rbm(), BITS, generator=generator(), n_epochs=-1)
