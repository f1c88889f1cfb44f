"""The check of kernels, checked: it passes those that are right and finds those that are not."""

from dataclasses import dataclass

import pytest
import torch
from toy_models import Boltzmann, correlated_gaussian

from ebmkit import chance
from ebmkit.ising import Ising, SwendsenWang, Wolff
from ebmkit.kernel import Info, State, initial_state
from ebmkit.mcmc import HMC, MALA, CoordinateFlip, Gibbs, Langevin, MetropolisHastings
from ebmkit.testing import check_kernel

GRID = Ising((2, 2), 0.4, 0.1)
RIGHT = {
    "Gibbs": Gibbs(GRID),
    "Gibbs site by site": Gibbs(Boltzmann(3)),
    "flips": MetropolisHastings(GRID, CoordinateFlip(GRID)),
    "Swendsen-Wang": SwendsenWang(GRID),
    "Wolff": Wolff(GRID),
    "MALA": MALA(correlated_gaussian(), 0.1),
    "HMC": HMC(correlated_gaussian(), 0.3, 5),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_kernel_passes(name):
    done = check_kernel(RIGHT[name])
    assert done[-1] == ("keeps exact draws" if name in {"MALA", "HMC"} else "every state is reached")


@dataclass
class Flip:
    """A kernel that flips the first spin with probability `p`, whatever that costs."""

    model: Ising
    p: float = 0.5
    fault: str = ""

    def init(self, position):
        return initial_state(self.model, position)

    def step(self, state, generator):
        flipped = chance.bernoulli(torch.full_like(state.energy, self.p), generator=generator)
        x = state.position.clone()
        x[..., 0, 0] = torch.where(flipped, -x[..., 0, 0], x[..., 0, 0])
        energy = self.model.energy(x)
        acceptance = torch.ones_like(energy)
        if self.fault == "energy":
            energy = energy + 1
        if self.fault == "acceptance":
            acceptance = acceptance + 1
        if self.fault == "shape":
            acceptance = acceptance.sum()
        if self.fault == "state":
            state.position.copy_(x)
        if self.fault == "restless":
            x = 2.0 * torch.randint(0, 2, x.shape, dtype=x.dtype) - 1
            energy = self.model.energy(x)
        return State(x, energy), Info(acceptance, torch.zeros_like(energy, dtype=torch.bool))


@pytest.mark.parametrize(
    ("kernel", "complaint"),
    [
        (Flip(GRID), "does not leave exp"),
        (Flip(Ising((2, 2), 0.0)), "never reached"),
        (Flip(GRID, fault="energy"), "not that of its position"),
        (Flip(GRID, fault="acceptance"), r"leaves \[0, 1\]"),
        (Flip(GRID, fault="shape"), "acceptance has shape"),
        (Flip(GRID, fault="state"), "changed the state"),
        (Flip(GRID, fault="restless"), "generator does not decide"),
        (Langevin(correlated_gaussian(), 0.4), "exact draws do not stay so"),
    ],
)
def test_a_wrong_kernel_is_found(kernel, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_kernel(kernel)
