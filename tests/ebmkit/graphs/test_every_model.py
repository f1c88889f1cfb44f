"""Models on graphs learn: the exact gradient, and what needs no Z."""

import pytest
import torch
from graph_cases import KINDS, bits, potts, randn, seeded, spins

from ebmkit import enumeration
from ebmkit.annealing import ais_bracket
from ebmkit.contrastive_divergence import by_loss, fit, maximum_likelihood, pcd
from ebmkit.graphs import GraphIsing
from ebmkit.score_matching import pseudo_likelihood, ratio_matching


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_gradient_is_that_of_all_states(kind):
    model = KINDS[kind]("triangle with a tail")
    data = model.sample(20, generator=seeded(4))
    found = maximum_likelihood(model, data).parameters
    loss = model.energy(data).mean() + enumeration.log_partition(model)
    wanted = torch.autograd.grad(loss, [model.coupling, model.field])
    for name, gradient in zip(("coupling", "field"), wanted):
        torch.testing.assert_close(found[name], gradient)


@pytest.mark.slow
@pytest.mark.parametrize("learner", [maximum_likelihood, by_loss(pseudo_likelihood), by_loss(ratio_matching)])
@pytest.mark.parametrize("make", [spins, bits])
def test_learning_finds_the_model_that_the_data_have(make, learner):
    # The data are all states with the frequencies of the truth: every one of the three is least at the truth.
    truth = make("triangle with a tail")
    truth.coupling.data.mul_(0.5)
    copies = (enumeration.probabilities(truth) * 20_000).round().long()
    data = enumeration.states(truth).repeat_interleave(copies, 0)
    model = truth.with_numbers(0 * truth.coupling, 0 * truth.field)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        gradient = learner(model, data, state=None, generator=None).parameters
        for name, p in model.named_parameters():
            p.grad = gradient[name]
        return objective(model, data, learner)

    optimizer.step(loss)
    # Counts are rounded to one of 20,000.
    torch.testing.assert_close(model.coupling, truth.coupling, rtol=0, atol=0.02)
    torch.testing.assert_close(model.field, truth.field, rtol=0, atol=0.02)


def objective(model, data, learner):
    if learner is maximum_likelihood:
        return (model.energy(data).mean() + model.exact_log_partition()).detach()
    return {"pseudo_likelihood": pseudo_likelihood, "ratio_matching": ratio_matching}[learner.__name__](
        model, data
    )


def test_persistent_chains_learn_a_model_on_a_graph():
    truth = potts("triangle with a tail")
    data = truth.sample(500, generator=seeded(1))
    model = truth.with_numbers(0 * truth.coupling, 0 * truth.field)
    before = (model.energy(data).mean() + model.exact_log_partition()).item()
    fit(model, data, pcd, generator=seeded(2), n_epochs=30, learning_rate=0.1)
    after = (model.energy(data).mean() + model.exact_log_partition()).item()
    best = (truth.energy(data).mean() + truth.exact_log_partition()).item()
    # Measured: 0.01 nats from the truth's after 1.5 nats of way.
    assert best - 0.1 < after < best + 0.1 < before


def test_annealing_brackets_log_z_of_a_graph():
    model = GraphIsing([(i, (i + d) % 30) for i in range(30) for d in (1, 2)], 0.2, randn(30))
    exact = model.exact_log_partition().item()
    lower, upper = ais_bracket(model, model.sample(200, generator=seeded(1)), generator=seeded(2), betas=50)
    # Seven standard errors on either side: below 1e-11 each.
    assert lower.value - 7 * lower.error < exact < upper.value + 7 * upper.error
    assert upper.value - lower.value < 1
