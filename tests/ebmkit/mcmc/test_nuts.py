"""NUTS leaves exp(-H) invariant on the points of a trajectory, to rounding; and its trees are what they say."""

import math
from itertools import islice

import pytest
import torch
from kernel_cases import Line, seeded
from toy_models import Gaussian, Quartic, correlated_gaussian

from ebmkit.energy import EnergyModel
from ebmkit.mcmc import NUTS, iterate, leapfrog, sample
from ebmkit.testing import branches


class Ring(EnergyModel):
    """A curved valley in two dimensions, where trajectories turn in many ways."""

    event_shape = (2,)

    def energy(self, x):
        return 4 * (x.norm(dim=-1) - 1.5) ** 2 + 0.3 * x[..., 0]


def orbit(model, x, p, step, reach):
    """The points that leapfrog leads to from (x, p) in `reach` steps either way; `(2 reach + 1, 2, *event)`."""
    ways = []
    for sign in (-1, 1):
        points = [(x, p)]
        for _ in range(reach):
            points.append(leapfrog(model, *points[-1], sign * step, 1))
        ways.append([torch.stack(point) for point in points])
    return torch.stack([*reversed(ways[0][1:]), *ways[1]])


CASES = {
    "a quartic": (Quartic, 0.35, 3, 4),
    "a quartic, long steps": (Quartic, 0.55, 3, 4),
    "a Gaussian": (correlated_gaussian, 0.4, 3, 4),
    "a ring": (Ring, 0.45, 3, 6),
    "two doublings": (Ring, 0.3, 2, 10),
}


@pytest.mark.parametrize("name", CASES)
def test_nuts_leaves_exp_h_invariant_on_every_trajectory(name):
    """Leapfrog keeps volume and runs both ways, so p is invariant if on each orbit Σ_k e^{-H_k} T_kl = e^{-H_l}.

    T is the exact matrix of the code that runs, all its choices replayed, from every point that can reach l.
    """
    make, step_size, depth, seeds = CASES[name]
    model, reach = make(), 2**depth - 1
    kernel = NUTS(model, step_size, depth)
    for seed in range(seeds):
        x, p = torch.randn(2, *model.event_shape, generator=seeded(seed), dtype=torch.float64)
        points = orbit(model, x, p, step_size, 3 * reach)

        def step(start, *, generator):
            generator.normal = lambda like: start[:, 1].reshape(like.shape)
            state, _ = kernel.step(kernel.init(start[:, 0]), generator=generator)
            return state.position

        sources = points[reach:-reach]  # whatever lies further away cannot reach the middle
        origin, outcome, probability = branches(step, sources)
        distance = (
            (outcome[:, None] - points[None, :, 0]).reshape(len(outcome), len(points), -1).abs().amax(-1)
        )
        off, target = distance.min(1)
        assert off.max() < 1e-9
        weight = torch.exp(
            -model.energy(points[:, 0]) - 0.5 * (points[:, 1] ** 2).reshape(len(points), -1).sum(-1)
        )
        weight = weight.detach()
        arriving = torch.zeros_like(weight).index_add(0, target, weight[reach:-reach][origin] * probability)
        middle = slice(2 * reach, -2 * reach)
        torch.testing.assert_close(arriving[middle], weight[middle], rtol=1e-10, atol=0)


def test_a_trajectory_goes_on_until_it_turns():
    # Of a standard Gaussian half a period is π: with steps of 0.1 that is more than 16 and fewer than 64 of them.
    _, info = next(iterate(NUTS(Line(1.0), 0.1), torch.zeros(500, dtype=torch.float64), generator=seeded()))
    assert info.n_leapfrog.unique().tolist() == [31, 63] or set(info.n_leapfrog.tolist()) <= set(
        range(15, 64)
    )
    assert 15 < info.n_leapfrog.double().mean() < 64
    assert (info.acceptance > 0.99).all()
    _, short = next(
        iterate(NUTS(Line(1.0), 0.001, 3), torch.zeros(50, dtype=torch.float64), generator=seeded())
    )
    assert (short.n_leapfrog == 7).all()


def test_chains_do_not_look_at_each_other():
    kernel, start = (
        NUTS(correlated_gaussian(), 0.3, 6),
        torch.randn(3, 2, generator=seeded(), dtype=torch.float64),
    )

    class Halves:
        def normal(self, like):
            return torch.full_like(like, 0.7)

        def bernoulli(self, probability):
            return probability > 0.5

    together, _ = kernel.step(kernel.init(start), generator=Halves())
    for row in range(3):
        alone, _ = kernel.step(kernel.init(start[row]), generator=Halves())
        torch.testing.assert_close(alone.position, together.position[row])


def test_a_divergence_is_reported_and_stays():
    kernel = NUTS(Line(1e-6), 1.0)
    state, info = kernel.step(kernel.init(torch.full((4,), 1e-3, dtype=torch.float64)), generator=seeded())
    assert info.divergent.all()
    assert torch.equal(state.position, torch.full((4,), 1e-3, dtype=torch.float64))


def test_the_slope_that_is_kept_is_that_of_where_it_is():
    kernel = NUTS(Ring(), 0.4, 5)
    for state, _ in islice(iterate(kernel, torch.ones(20, 2, dtype=torch.float64), generator=seeded()), 5):
        torch.testing.assert_close(state.slope.score, kernel.model.score(state.position))


def test_a_mass_is_a_change_of_scale():
    """With M⁻¹ the variances, NUTS on a stretched Gaussian is NUTS on the round one, stretched."""
    scale = torch.tensor([1e-3, 50.0], dtype=torch.float64)
    round_, long = (
        Gaussian(torch.zeros(2).double(), torch.diag(s**-2)) for s in (torch.ones(2).double(), scale)
    )
    x = torch.randn(6, 2, generator=seeded(), dtype=torch.float64)
    a = sample(NUTS(round_, 0.5), x, 5, generator=seeded(1))
    b = sample(NUTS(long, 0.5, inverse_mass=scale**2), x * scale, 5, generator=seeded(1))
    torch.testing.assert_close(a, b / scale, rtol=1e-6, atol=1e-9)
    assert math.isfinite(float(a.sum()))
