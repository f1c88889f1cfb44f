"""Sequential Monte Carlo against exact log Z: without bias, with an error that is right, on steps it chose."""

import math
from itertools import pairwise

import pytest
import torch

from ebmkit import graphs, normalization
from ebmkit.annealing import GaussianBase, UniformBase, sequential_monte_carlo
from ebmkit.ising import Ising

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ladder():
    edges = [(k, k + 2) for k in range(18)] + [(2 * k, 2 * k + 1) for k in range(10)]
    numbers = torch.randn(len(edges), generator=seeded(), dtype=F64)
    return graphs.GraphIsing(edges, 1.2 * numbers, 0.1)


@pytest.mark.slow
def test_with_given_temperatures_the_mean_of_z_is_z():
    # Six standard errors of the mean of 300 runs: below 1e-8.
    model, generator = ladder(), seeded(1)
    exact = model.exact_log_partition().item()
    runs = [
        sequential_monte_carlo(model, generator=generator, n_chains=50, betas=5).log_partition.value.item()
        for _ in range(300)
    ]
    ratio = (torch.tensor(runs, dtype=F64) - exact).exp()
    assert ratio.std() > 0.05
    assert abs(ratio.mean().item() - 1) < 6 * ratio.std().item() / math.sqrt(300)


@pytest.mark.slow
def test_the_standard_error_is_how_far_log_z_is_off():
    model, generator = ladder(), seeded(2)
    exact = model.exact_log_partition().item()
    found = [
        sequential_monte_carlo(model, generator=generator, n_chains=200).log_partition for _ in range(100)
    ]
    off = torch.tensor([value.item() - exact for value, _, _ in found])
    claimed = torch.tensor([error.item() for _, error, _ in found])
    # χ² with 100 degrees: the ratio leaves [0.4, 2] with probability below 1e-7, were the mean claim exact.
    assert 0.4 < (off.square().mean() / claimed.square().mean()).item() < 2
    assert (off.abs() < 7 * claimed).all()


@pytest.mark.slow
def test_the_draws_are_those_of_the_model():
    # Chains of one run share ancestors, so runs are compared: Student's t with 39 degrees beyond 8.5 is below 1e-9
    # for each of 20 sites. The bias of a run is of order 1/300, far below its spread.
    model, generator = ladder(), seeded(3)
    exact = graphs.exact_marginals(model).site[:, 1]
    runs = [sequential_monte_carlo(model, generator=generator, n_chains=300, n_moves=2) for _ in range(40)]
    shares = torch.stack([(run.position > 0).double().mean(0) for run in runs])
    off = (shares.mean(0) - exact).abs() / (shares.std(0) / math.sqrt(40))
    assert (off < 8.5).all()
    assert (shares.std(0) < 0.1).all()


def test_colder_models_and_larger_shares_take_more_steps():
    def steps(coupling, share):
        model = Ising((4, 4), coupling, periodic=True)
        betas = sequential_monte_carlo(model, generator=seeded(4), n_chains=300, share=share).betas
        assert betas[0] == 0
        assert betas[-1] == 1
        assert all(a < b for a, b in pairwise(betas))
        return len(betas)

    assert steps(0.1, 0.9) < steps(0.6, 0.9) < steps(0.6, 0.98)


def test_continuous_models_and_other_bases_are_taken():
    model = normalization.from_exp(lambda x: -((x - 4) ** 2) / 2)
    value, error, _ = sequential_monte_carlo(
        model, GaussianBase((), 0.0, 2.0), generator=seeded(5), n_chains=500
    ).log_partition
    assert abs(value.item() - 0.5 * math.log(2 * math.pi)) < 6 * error.item()
    grid = Ising((2, 3), 0.5)
    value, error, _ = sequential_monte_carlo(
        grid, UniformBase((2, 3), (-1.0, 1.0)), generator=seeded(6), n_chains=500
    ).log_partition
    assert abs(value.item() - grid.exact_log_partition().item()) < 6 * error.item()


def test_what_cannot_be_done_is_said():
    walls = normalization.from_exp(lambda x: torch.where(x > 1e6, -x, -math.inf))
    with pytest.raises(ValueError, match="every weight is zero at beta"):
        sequential_monte_carlo(walls, generator=seeded())
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="share must lie between 0 and 1"):
            sequential_monte_carlo(ladder(), generator=seeded(), share=share)
    with pytest.raises(ValueError, match="n_chains must be at least 2, got 1"):
        sequential_monte_carlo(ladder(), generator=seeded(), n_chains=1)
