"""Checkpoints: whose they are, and what becomes of damaged ones."""

import functools

import pytest
import torch
from learner_cases import BITS, Well, generator, in_turns, rbm

from ebmkit.contrastive_divergence import (
    by_loss,
    cd,
    fit,
)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run"
    fit(rbm(), BITS, cd, generator=generator(), n_epochs=1, batch_size=3, checkpoint=path)
    with pytest.raises(ValueError, match=r"was written with batch_size=3, this run has batch_size=2; delete"):
        fit(rbm(), BITS, cd, generator=generator(), n_epochs=1, batch_size=2, checkpoint=path)
    learner = functools.partial(cd, k=2)
    with pytest.raises(ValueError, match=r"with learner=cd, this run has learner=cd\(k=2\)"):
        fit(rbm(), BITS, learner, generator=generator(), n_epochs=1, batch_size=3, checkpoint=path)


def test_a_crash_while_writing_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run"
    fit(rbm(), BITS, cd, generator=generator(), n_epochs=1, checkpoint=path)
    earlier = path.read_bytes()

    def crash(_, file):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(OSError, match="disk full"):
        fit(rbm(), BITS, cd, generator=generator(), n_epochs=2, checkpoint=path)
    assert path.read_bytes() == earlier


def small_run(path, n_epochs=2, data=BITS, model=None, learning_rate=0.1):
    model = rbm() if model is None else model
    options = {"n_epochs": n_epochs, "learning_rate": learning_rate, "checkpoint": path}
    return model, fit(model, data, cd, generator=generator(7), **options)


WAY_OUT = "; delete the file or give this run another"


def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path):
    path = tmp_path / "run"
    small_run(path)
    whole = path.read_bytes()
    model_alone = tmp_path / "model"
    torch.save(rbm().state_dict(), model_alone)
    for content in (b"", b"half", whole[: len(whole) // 2], model_alone.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"checkpoint .*run is damaged, or fit did not write it.*{WAY_OUT}"
        ):
            small_run(path)


def test_a_checkpoint_of_a_model_of_another_shape_is_refused_and_the_model_stays(tmp_path):
    path = tmp_path / "run"
    small_run(path)
    wider = rbm(n_hidden=5)
    with pytest.raises(ValueError, match=rf"run holds W of shape \(4, 3\), the model has \(4, 5\){WAY_OUT}"):
        small_run(path, model=wider)
    assert all(torch.equal(p, q) for p, q in zip(wider.parameters(), rbm(n_hidden=5).parameters()))


@pytest.mark.parametrize("data", [1 - BITS, BITS.flip(0), BITS.flip(1)])
def test_a_checkpoint_of_other_data_is_refused(data, tmp_path):
    path = tmp_path / "run"
    small_run(path)
    field = "data_sums"
    with pytest.raises(ValueError, match=rf"was written with {field}=.*, this run has {field}=.*{WAY_OUT}"):
        small_run(path, data=data)


def test_a_run_may_go_on_with_a_lower_learning_rate(tmp_path):
    path = tmp_path / "run"
    small_run(path)
    assert small_run(path, n_epochs=3, learning_rate=0.05)[1]["learning_rate"] == [0.1, 0.1, 0.05]


def test_a_checkpoint_of_data_of_another_shape_is_refused(tmp_path):
    path = tmp_path / "run"
    flatten = {"transform": lambda batch, *, generator: batch.flatten(1), "generator": generator()}
    fit(rbm(), BITS, cd, n_epochs=1, checkpoint=path, **flatten)
    with pytest.raises(ValueError, match=r"with data_shape=\[6, 4\], this run has data_shape=\[6, 2, 2\]"):
        fit(rbm(), BITS.reshape(6, 2, 2), cd, n_epochs=2, checkpoint=path, **flatten)


@pytest.mark.parametrize("rate", [0.1, in_turns])
def test_a_checkpoint_without_the_newer_marks_of_its_run_still_resumes(rate, tmp_path):
    whole, history = small_run(None, n_epochs=4, learning_rate=rate)
    path = tmp_path / "run"
    small_run(path, learning_rate=rate)
    saved = torch.load(path)
    older = ("learner", "optimizer", "examples", "batch_size")
    assert set(saved["run"]) > set(older)
    saved["run"] = {name: saved["run"][name] for name in older}
    torch.save(saved, path)
    resumed, resumed_history = small_run(path, n_epochs=4, learning_rate=rate)
    assert resumed_history == history
    assert all(torch.equal(p, q) for p, q in zip(resumed.parameters(), whole.parameters()))


def test_data_that_differ_by_rounding_alone_are_the_data_of_the_run(tmp_path):
    grey = torch.rand(60, 2, generator=generator(3), dtype=torch.float64)
    by_energy = by_loss(lambda model, data, *, generator: model.energy(data).mean())
    centred = grey - grey.mean(0)
    for number, data in enumerate((grey, centred)):
        fit(Well(), data, by_energy, generator=generator(), n_epochs=1, checkpoint=tmp_path / f"{number}")
        rounded = data.float().double()
        assert not torch.equal(rounded, data)
        history = fit(
            Well(), rounded, by_energy, generator=generator(), n_epochs=2, checkpoint=tmp_path / f"{number}"
        )
        assert history["epoch"] == [1, 2]
