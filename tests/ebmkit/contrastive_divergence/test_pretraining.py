"""Layerwise pre-training: doubled machines, halved weights, and what they gain."""

from typing import ClassVar

import pytest
import torch
from learner_cases import BEST, BITS, EXACT, PICTURES, dbm, generator, log_likelihood

from ebmkit.boltzmann_machines import DBM, RBM, bit_states
from ebmkit.contrastive_divergence import (
    _pretraining,
    fit,
    pcd,
    pretrain,
)


@pytest.mark.slow
def test_pretraining_and_joint_training_of_a_dbm_raise_its_exact_log_likelihood():
    model = DBM((9, 6, 4), scale=0.1, generator=generator(2))
    untrained = log_likelihood(model, PICTURES)
    histories = pretrain(
        model, PICTURES, generator=generator(1), n_epochs=150, batch_size=None, learning_rate=0.2
    )
    pretrained = log_likelihood(model, PICTURES)
    fit(model, PICTURES, pcd, generator=generator(4), n_epochs=300, batch_size=None, learning_rate=0.1)
    trained = log_likelihood(model, PICTURES)
    assert len(histories) == 2
    # Over seeds the two gains are 0.47 and 0.45 nats with standard deviations of 0.06: six of these are spared.
    assert untrained + 0.1 < pretrained
    assert pretrained + 0.05 < trained <= BEST


def test_the_doubled_bottom_rbm_is_an_rbm_with_two_tied_copies_of_its_visible_units():
    deep = dbm((3, 2, 2))
    pair = _pretraining._Doubled(deep, 0, below=2, above=1)
    pair.rbm.a.data.normal_(generator=generator(1))
    tied = RBM(6, 2, dtype=torch.float64)
    with torch.no_grad():
        tied.W.copy_(torch.cat([pair.rbm.W, pair.rbm.W]))
        tied.a.copy_(torch.cat([pair.rbm.a, pair.rbm.a]))
        tied.b.copy_(pair.rbm.b)
    v = bit_states(3)
    torch.testing.assert_close(pair.energy(v), tied.energy(torch.cat([v, v], 1)), **EXACT)
    torch.testing.assert_close(pair.hidden_probability(v), tied.hidden_probability(torch.cat([v, v], 1)))


def test_the_doubled_top_rbm_hears_its_hidden_units_twice():
    class Rounding:
        asked: ClassVar = []

        def bernoulli(self, probability):
            self.asked.append(probability)
            return probability > 0.5

    pair = _pretraining._Doubled(dbm((3, 3, 2)), 1, below=1, above=2)
    pair.gibbs_step(bit_states(3), generator=Rounding())
    up, down = Rounding.asked
    rbm, h = pair.rbm, (up > 0.5).double()
    torch.testing.assert_close(up, (rbm.b + bit_states(3) @ rbm.W).sigmoid(), **EXACT)
    torch.testing.assert_close(down, (rbm.a + 2 * h @ rbm.W.T).sigmoid(), **EXACT)


def test_pretraining_halves_the_weights_of_inner_pairs_and_averages_the_biases_that_meet():
    model = dbm((4, 3, 2, 3))
    before = [W.detach().clone() for W in model.weights]
    biases = [b.detach().clone() for b in model.biases]
    histories = pretrain(model, BITS, generator=generator(), n_epochs=0)
    assert histories == [{name: [] for name in histories[0]}] * 3
    for W, start, share in zip(model.weights, before, (1.0, 0.5, 1.0)):
        torch.testing.assert_close(W, share * start, **EXACT)
    for b, start in zip(model.biases, biases):
        torch.testing.assert_close(b, start, **EXACT)
    pretrain(model, BITS, generator=generator(), n_epochs=1)
    assert all((b != start).any() for b, start in zip(model.biases, biases))
