"""Linear chains against enumeration: log Z, marginals, best labels and learning."""

import itertools
import math

import pytest
import torch
from application_cases import generator, randn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ebmkit import applications as app
from ebmkit import enumeration

CHAINS = {
    "T=1, K=3": app.LinearChain(randn(1, 3), randn(3, 3)),
    "T=5, K=3, one v": app.LinearChain(2 * randn(5, 3), 2 * randn(3, 3, seed=1)),
    "T=6, K=2, v for each t": app.LinearChain(3 * randn(6, 2), 3 * randn(5, 2, 2, seed=1)),
    "forbidden": app.LinearChain(
        randn(4, 3), randn(3, 3).masked_fill(torch.eye(3, dtype=torch.bool), -math.inf)
    ),
}

every_chain = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)


def enumerated(chain):
    """All label sequences and their probabilities; log Z by torch over all of them."""
    y = enumeration.states(chain).long()
    log_weight = -chain.energy(y)
    return y, (log_weight - log_weight.logsumexp(0)).exp(), log_weight.logsumexp(0)


def test_energy_of_a_chain_is_the_sum_of_its_potentials():
    chain = CHAINS["T=6, K=2, v for each t"]
    y = [0, 1, 1, 0, 1, 0]
    total = sum(chain.unary[t, y[t]] for t in range(6)) + sum(
        chain.pairwise.expand(5, -1, -1)[t, y[t], y[t + 1]] for t in range(5)
    )
    assert chain.energy(torch.tensor(y)).item() == pytest.approx(-total.item(), abs=1e-12)


@every_chain
def test_log_partition_of_a_chain_equals_enumeration(chain):
    assert chain.exact_log_partition().item() == pytest.approx(enumerated(chain)[2].item(), abs=1e-10)


@every_chain
def test_marginals_equal_enumeration(chain):
    y, p, _ = enumerated(chain)
    one_hot = nn.functional.one_hot(y, chain.unary.shape[-1]).double()
    exact = torch.einsum("n,ntk->tk", p, one_hot)
    exact_pairs = torch.einsum("n,ntj,ntk->tjk", p, one_hot[:, :-1], one_hot[:, 1:])
    torch.testing.assert_close(chain.marginals(), exact, rtol=0, atol=1e-10)
    torch.testing.assert_close(chain.pair_marginals(), exact_pairs, rtol=0, atol=1e-10)


@every_chain
def test_viterbi_finds_the_lowest_energy(chain):
    y, _, _ = enumerated(chain)
    best = chain.viterbi()
    assert chain.energy(best).item() == pytest.approx(chain.energy(y).min().item(), abs=1e-10)


@every_chain
def test_samples_of_a_chain_follow_its_distribution(chain):
    y, p, _ = enumerated(chain)
    index = chain.sample(20_000, generator=generator(1)) @ (
        chain.unary.shape[-1] ** torch.arange(y.shape[1] - 1, -1, -1)
    )
    frequency = torch.bincount(index, minlength=len(y)) / 20_000
    # Hoeffding: a frequency is off by more than 0.03 with probability < 2 exp(-36); over 243 states < 1e-12.
    assert (frequency - p).abs().max() < 0.03
    assert (frequency[p == 0] == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-500, 500))
def test_chains_in_a_batch_are_those_alone_and_large_potentials_do_not_overflow(seed, shift):
    unary, pairwise = 50 * randn(3, 4, 2, seed=seed) + shift, 50 * randn(2, 2, seed=seed + 1)
    batch = app.LinearChain(unary, pairwise)
    alone = [app.LinearChain(u, pairwise) for u in unary]
    for method in ("exact_log_partition", "marginals", "pair_marginals", "viterbi"):
        together = getattr(batch, method)()
        torch.testing.assert_close(together, torch.stack([getattr(c, method)() for c in alone]))
        assert together.isfinite().all()
    labels = batch.sample(5, generator=generator())
    assert labels.shape == (5, 3, 4)
    torch.testing.assert_close(batch.energy(labels)[:, 1], alone[1].energy(labels[:, 1]))


def random_crf(n_labels, n_features, seed=0):
    crf = app.LinearChainCRF(n_labels, n_features)
    for i, p in enumerate(crf.parameters()):
        p.data = randn(*p.shape, seed=seed + i)
    return crf


def test_log_likelihood_of_a_crf_equals_enumeration():
    crf, x = random_crf(3, 2), randn(4, 2, seed=9)
    y = torch.tensor(list(itertools.product(range(3), repeat=4)))

    def energy(labels):
        w, b, a, s, e = (p.detach() for p in crf.parameters())
        score = sum(w[k] @ x[t] + b[k] for t, k in enumerate(labels))
        score = score + sum(a[j, k] for j, k in itertools.pairwise(labels))
        return -(score + s[labels[0]] + e[labels[-1]])

    energies = torch.stack([energy(labels) for labels in y.tolist()])
    torch.testing.assert_close(crf.energy(y, x), energies, rtol=0, atol=1e-10)
    torch.testing.assert_close(
        crf.log_likelihood(y, x), -energies - (-energies).logsumexp(0), rtol=0, atol=1e-10
    )


def test_gradient_of_the_crf_likelihood_is_observed_minus_expected_features():
    crf, x, y = random_crf(3, 2), randn(5, 2, seed=9), torch.tensor([0, 2, 1, 1, 0])
    crf.log_likelihood(y, x).backward()
    chain = crf.given(x)
    p, pairs = chain.marginals().detach(), chain.pair_marginals().detach()
    one_hot = nn.functional.one_hot(y, 3).double()
    torch.testing.assert_close(crf.weight.grad, (one_hot - p).T @ x, rtol=0, atol=1e-10)
    torch.testing.assert_close(crf.bias.grad, (one_hot - p).sum(0), rtol=0, atol=1e-10)
    torch.testing.assert_close(
        crf.transition.grad, one_hot[:-1].T @ one_hot[1:] - pairs.sum(0), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(crf.first.grad, one_hot[0] - p[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(crf.last.grad, one_hot[-1] - p[-1], rtol=0, atol=1e-10)


def test_gradient_of_the_crf_likelihood_equals_the_enumerated_one():
    crf, x, y = random_crf(2, 2), randn(4, 2, seed=9), torch.tensor([0, 1, 1, 0])
    every = torch.tensor(list(itertools.product(range(2), repeat=4)))
    exact = -crf.energy(y, x) - (-crf.energy(every, x)).logsumexp(0)
    ours, theirs = (torch.autograd.grad(v, list(crf.parameters())) for v in (crf.log_likelihood(y, x), exact))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_maximum_likelihood_beats_the_truth_and_independent_labels_on_the_training_data():
    """The best of a set is at least as good as any of its members, for any data."""
    truth = random_crf(3, 2)
    sequences = []
    for length in range(1, 9):
        x = randn(20, length, 2, seed=length)
        sequences += list(zip(x, truth.given(x).sample(1, generator=generator(length))[0]))
    crf = app.LinearChainCRF(3, 2)
    history = app.fit_crf(crf, sequences, l2=1e-4)["loss"]
    independent = app.JointEnergy(app.LinearClassEnergies(3, (2,)), 3, (2,))
    x, y = (torch.cat(parts) for parts in zip(*sequences))
    alone = app.fit_classifier(independent, x, y, l2=0.0)["loss"][-1] * len(y) / len(sequences)
    mean = torch.stack([truth.log_likelihood(b, a) for a, b in sequences]).mean()
    penalty = 0.5e-4 * sum((p**2).sum() for p in truth.parameters())
    assert history[-1] <= (penalty - mean).item() + 1e-8
    assert history[-1] < alone


@pytest.mark.parametrize(
    ("unary", "pairwise", "message"),
    [
        (torch.zeros(3), torch.zeros(3, 3), "unary must have shape"),
        (torch.zeros(0, 3), torch.zeros(3, 3), "neither zero"),
        (torch.zeros(4, 3), torch.zeros(2, 2), r"pairwise must be \(3, 3\)"),
        (torch.full((4, 3), math.nan), torch.zeros(3, 3), "unary must be finite"),
    ],
)
def test_chains_refuse_potentials_that_do_not_fit(unary, pairwise, message):
    with pytest.raises(ValueError, match=message):
        app.LinearChain(unary, pairwise)


def test_labelling_refuses_bad_labels_and_observations():
    with pytest.raises(ValueError, match=r"labels must be 0 … 2, got \[3\]"):
        app.LinearChain(torch.zeros(2, 3), torch.zeros(3, 3)).energy(torch.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"\(..., T, 2\) with T ≥ 1, got \(0, 2\)"):
        app.LinearChainCRF(3, 2).given(torch.zeros(0, 2))
    with pytest.raises(ValueError, match="at least one sequence"):
        app.fit_crf(app.LinearChainCRF(3, 2), [])


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.exact_log_partition(),
        lambda c: c.marginals(),
        lambda c: c.pair_marginals(),
        lambda c: c.viterbi(),
        lambda c: c.sample(2, generator=generator()),
    ],
)
def test_a_chain_that_forbids_every_labelling_is_refused_not_answered_with_nan(ask):
    forbidding = torch.zeros(2, 3, 2)
    forbidding[1, 1] = -math.inf
    with pytest.raises(ValueError, match="1 of 2 chains forbid every labelling"):
        ask(app.LinearChain(forbidding, torch.zeros(2, 2)))


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda x: app.JointEnergy(app.LinearClassEnergies(2, (3,)), 2, (3,)).energy(x), "x"),
        (lambda x: app.LinearChainCRF(2, 3).given(x), "observations"),
    ],
)
def test_float32_data_meet_a_float64_model_with_the_way_out(ask, name):
    message = (
        rf"{name} is torch.float32 on cpu, the model torch.float64 .*use {name}.to\('cpu', torch.float64\)"
    )
    with pytest.raises(TypeError, match=message):
        ask(torch.ones(4, 3))
