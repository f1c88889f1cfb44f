"""Running chains: burn-in, thinning, and what is kept."""

import pytest
import torch
from kernel_cases import Line, Still, seeded
from toy_models import Boltzmann, Quartic

from ebmkit.kernel import State
from ebmkit.mcmc import (
    MALA,
    Gibbs,
    iterate,
    sample,
)


class _Counter(Still):
    """A kernel whose position counts its steps."""

    def step(self, state, generator):
        _, info = super().step(state, generator=generator)
        return State(state.position + 1, state.energy), info


def test_sample_discards_burn_in_and_thins():
    draws = sample(_Counter(Line(1.0)), torch.zeros(2), 3, generator=seeded(), burn_in=10, thin=4)
    assert draws.tolist() == [[14.0, 14.0], [18.0, 18.0], [22.0, 22.0]]


def test_sample_can_keep_a_function_of_the_state():
    kernel = Gibbs(Boltzmann(3))
    positions = sample(kernel, torch.ones(4, 3, dtype=torch.float64), 6, generator=seeded())
    energies = sample(
        kernel, torch.ones(4, 3, dtype=torch.float64), 6, generator=seeded(), keep=lambda s: s.energy
    )
    torch.testing.assert_close(energies, kernel.model.energy(positions).detach())


def test_sample_continues_from_a_state():
    kernel = MALA(Quartic(), 0.1)
    generator = seeded()
    state = next(iter(iterate(kernel, torch.zeros(3), generator=generator)))[0]
    rest = sample(kernel, state, 4, generator=generator)
    assert torch.equal(rest, sample(kernel, torch.zeros(3), 5, generator=seeded())[1:])


@pytest.mark.parametrize("counts", [{"n_steps": 0}, {"burn_in": -1}, {"thin": 0}], ids=str)
def test_sample_refuses_counts_that_make_no_sense(counts):
    arguments = {"n_steps": 1, **counts}
    with pytest.raises(ValueError, match=f"{next(iter(counts))} must be at least"):
        sample(_Counter(Line(1.0)), torch.zeros(2), generator=seeded(), **arguments)
