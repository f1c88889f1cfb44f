"""Exercise 4: Langevin, unadjusted and adjusted."""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count, Evidence, Strength
from autograder.sandbox.worker import codec

from .definitions import Array, langevin_of
from .inputs import noise_counts

langevin = Exercise("langevin", "Langevin, unadjusted and adjusted", langevin_of)

LANGEVIN_DRAWS = 9000
"""So that noise 3 % too large or too small is caught with probability 0.99."""

ACCEPTANCE_DRAWS = 16_000
"""At the foot of a low cliff, so that acceptance 3 % too high or too low is caught with probability 0.99."""

QUARTIC = "lambda x: (a * x**4 / 4 - b * x**2 / 2 + c * x).sum(-1) + k * x[:, :-1].mul(x[:, 1:]).sum(-1)"


def quartic_gradient(x: Array, a: float, b: float, c: float, k: float) -> Array:
    """The gradient of the energy `QUARTIC`, by hand."""
    gradient = a * x**3 - b * x + c
    gradient[:, 1:] += k * x[:, :-1]
    gradient[:, :-1] += k * x[:, 1:]
    return np.asarray(gradient)


@langevin.check(7, "ULA on random energies in two dimensions: the exact law of one step", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): given the start, the step's noise is N(0, I)."""
    rng = attempt.rng
    strengths = {
        name: uniform(rng, *ends)
        for name, ends in {"a": (0.5, 1.0), "b": (0.5, 1.0), "c": (1.0, 2.0), "k": (0.5, 1.0)}.items()
    }
    epsilon = uniform(rng, 0.1, 0.2)

    def draw(n: int) -> list[Evidence]:
        x = rng.normal(size=(n, 2)) + 1.5
        energy = codec.Source(QUARTIC, **strengths)
        value = attempt.call(codec.Tensor(x), energy, epsilon, False, attempt.draw_rng("torch"))
        moved = attempt.array(value, x.shape) - x + epsilon * quartic_gradient(x, **strengths)
        return noise_counts(moved / math.sqrt(2 * epsilon))

    attempt.sequential(draw, LANGEVIN_DRAWS, "the step of ULA is not the gradient step plus its noise")


@langevin.check(3, "steep energies, single chains, one dimension, float32")
def _(attempt: Attempt) -> None:
    """The drift is at least 100 times the tolerance, and the noise at most a 30th of it: fails below 1e-180.

    The steep energy is a parabola of curvature c. Its ULA step goes to m + (1 - ε c)(x - m) with noise √(2ε);
    a MALA step with ε c ≪ 1 is accepted but for rounding, so that both can be looked at.
    """
    rng, attempt.noise = attempt.rng, 1e-4
    for B, d, dtype in [(1, 1, np.float64), (1, 3, np.float32), (4, 1, np.float32), (3, 3, np.float64)]:
        centre = rng.uniform(-1, 1, d)
        x = (centre + rng.choice([-1.0, 1.0], (B, d)) * rng.uniform(1.0, 2.0, (B, d))).astype(dtype)
        energy = codec.Source(
            "lambda x: c / 2 * (x - m).square().sum(-1)", c=1e10, m=codec.Tensor(centre.astype(dtype))
        )
        args = (codec.Tensor(x), energy, 5e-11, False, attempt.draw_rng("torch"))
        found = attempt.array(attempt.call(*args), x.shape)
        expected = centre + 0.5 * (x - centre)
        attempt.expect(
            np.allclose(found, expected, rtol=0, atol=5e-3), "a steep energy must pull the chains downhill"
        )
        attempt.expect(found.dtype == dtype, "the result must have the dtype of x")


CLIFF = "lambda x: torch.where(x[:, 0] > 0, h, 0.0).to(x.dtype) + 0.0 * x.sum(-1)"


@langevin.check(
    4,
    "MALA at a cliff between two plains: what is proposed there is accepted with one probability",
    seconds=30,
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9).

    The gradient is zero, so proposals are a random walk and go up the cliff with a probability Φ(x/√(2ε))
    known exactly; there α = exp(-h). A number shared by all chains makes α look like 0 or 1.
    """
    rng = attempt.rng
    epsilon, height = uniform(rng, 0.2, 0.6), uniform(rng, 0.5, 0.9)
    place = -uniform(rng, 0.1, 0.3)
    up = float(ndtr(place / math.sqrt(2 * epsilon)))

    def draw(n: int) -> list[Count]:
        x = np.stack([np.full(n, place), rng.normal(size=n)], 1)
        energy = codec.Source(CLIFF, h=height)
        value = attempt.call(codec.Tensor(x), energy, epsilon, True, attempt.draw_rng("torch"))
        found = attempt.array(value, x.shape)
        stays, moved = (found == x).all(1), found[:, 0] != place
        return [
            Count("staying at the foot of the cliff", int(stays.sum()), n, up * (1 - math.exp(-height))),
            Count("a step up the cliff", int((moved & (found[:, 0] > 0)).sum()), n, up * math.exp(-height)),
            Count("a step away from the cliff", int((moved & (found[:, 0] < place)).sum()), n, 0.5),
        ]

    attempt.sequential(draw, 3000, "MALA does not accept as it should where the gradient is zero")
    height = uniform(rng, 0.08, 0.12)  # where nearly all is accepted, a little more or less shows most

    def acceptance(n: int) -> list[Strength]:
        hits, p = zip(*((count.hits, count.probability) for count in draw(n)))
        seen, law = np.array([[*hits, n - sum(hits)]]), np.array([[*p, 1 - sum(p)]])
        step = 0.03 * law[0, 1] * np.array([[-1.0, 1.0, 0.0, 0.0]])
        return [Strength.of("the acceptance is", seen, law, law + step)]

    attempt.sequential(
        acceptance, ACCEPTANCE_DRAWS, "MALA does not accept as it should where the gradient is zero"
    )


class Well(NamedTuple):
    """A one-dimensional quartic energy, a step size and four starts."""

    a: float
    b: float
    c: float
    epsilon: float
    starts: tuple[float, ...]

    def energy(self, x: Array) -> Array:
        return self.a * x**4 / 4 - self.b * x**2 / 2 + self.c * x

    def drifted(self, x: Array) -> Array:
        return x - self.epsilon * (self.a * x**3 - self.b * x + self.c)

    @functools.lru_cache(maxsize=128)  # noqa: B019 - wells are tuples, and their laws a few numbers
    def law(self, correction: float = 1.0) -> tuple[tuple[float, float], ...]:
        """For each start the probabilities to stay and to move down, by quadrature over the proposal.

        `correction` 1 is MALA; 0 leaves out the ratio of the proposals, -1 turns it round.
        """
        found = []
        for start in self.starts:
            z = np.linspace(-9.0, 9.0, 6_001)
            y = self.drifted(np.float64(start)) + math.sqrt(2 * self.epsilon) * z
            back = (start - self.drifted(y)) ** 2 / (4 * self.epsilon)
            log_alpha = self.energy(np.float64(start)) - self.energy(y) + correction * (z**2 / 2 - back)
            moving = np.exp(-(z**2) / 2 + np.minimum(log_alpha, 0)) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
            # The grid point that the start falls between counts by the part below it.
            below = np.clip((start - y) / (y[1] - y[0]) + 0.5, 0.0, 1.0)
            found.append((1 - float(moving.sum()), float((moving * below).sum())))
        return tuple(found)


def random_well(rng: np.random.Generator) -> Well:
    """A well on which a correction that is missing or turned round changes how often a chain stays."""
    while True:
        sides = rng.choice([-1.0, 1.0], 4) * rng.uniform(0.2, 2.2, 4)
        well = Well(
            uniform(rng, 0.5, 1.5),
            uniform(rng, 0.0, 1.0),
            uniform(rng, -1, 1),
            uniform(rng, 0.15, 0.4),
            tuple(sides),
        )
        right = np.array(well.law())
        if right[:, 0].max() < 0.2 or right[:, 0].min() > 0.6:
            continue
        if min(abs(right - np.array(well.law(c))).max() for c in (0.0, -1.0)) > 0.15:
            return well


@langevin.check(6, "MALA in a double well: how often it stays and which way it goes, exactly", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9); the quadrature is exact to 1e-5."""
    rng = attempt.rng
    well = random_well(rng)
    law = well.law()
    energy = codec.Source(
        "lambda x: (a * x**4 / 4 - b * x**2 / 2 + c * x).sum(-1)", a=well.a, b=well.b, c=well.c
    )

    def draw(n: int) -> list[Count]:
        which = rng.permutation(np.repeat(np.arange(4), n))
        x = np.array(well.starts)[which][:, None]
        value = attempt.call(codec.Tensor(x), energy, well.epsilon, True, attempt.draw_rng("torch"))
        found = attempt.array(value, x.shape)
        counts = []
        for k, (stay, down) in enumerate(law):
            here = which == k
            counts += [
                Count(f"staying at start {k}", int((found == x)[here].sum()), n, stay),
                Count(f"a move down from start {k}", int((found < x)[here].sum()), n, down),
            ]
        return counts

    attempt.sequential(draw, 1000, "a step of MALA does not have the law it should have")


@langevin.mistake("The noise has variance 2ε: scale it by √(2ε), not √ε.")
def scales_the_noise_by_the_root_of_epsilon(x, energy, step_size, adjusted, generator):
    def gradient(point):
        leaf = point.detach().clone().requires_grad_(True)
        return torch.autograd.grad(energy(leaf).sum(), leaf)[0]

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient(x) + math.sqrt(step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient(proposal)).square().sum(-1) / (2 * step_size)
    log_ratio = energy(x) - energy(proposal) - back + noise.square().sum(-1) / 2
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake("The chain walks uphill in energy: the gradient is subtracted.")
def climbs_the_energy(x, energy, step_size, adjusted, generator):
    def gradient(point):
        leaf = point.detach().clone().requires_grad_(True)
        return -torch.autograd.grad(energy(leaf).sum(), leaf)[0]

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient(x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient(proposal)).square().sum(-1) / (4 * step_size)
    log_ratio = energy(x) - energy(proposal) - back + noise.square().sum(-1) / 2
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake(
    "The noise is missing: that is gradient descent, which finds a minimum and samples nothing."
)
def descends_without_noise(x, energy, step_size, adjusted, generator):
    leaf = x.detach().clone().requires_grad_(True)
    return x - step_size * torch.autograd.grad(energy(leaf).sum(), leaf)[0]


@langevin.mistake(
    "The gradient of the mean energy is B times too small: sum over the chains, their energies do not mix."
)
def averages_the_energy_over_the_chains(x, energy, step_size, adjusted, generator):
    def gradient(point):
        leaf = point.detach().clone().requires_grad_(True)
        return torch.autograd.grad(energy(leaf).mean(), leaf)[0]

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient(x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient(proposal)).square().sum(-1) / (4 * step_size)
    log_ratio = energy(x) - energy(proposal) - back + noise.square().sum(-1) / 2
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake("With adjusted=True a proposal can be rejected: MALA adds the Metropolis–Hastings test.")
def never_rejects(x, energy, step_size, adjusted, generator):
    leaf = x.detach().clone().requires_grad_(True)
    gradient = torch.autograd.grad(energy(leaf).sum(), leaf)[0]
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x - step_size * gradient + math.sqrt(2 * step_size) * noise


@langevin.mistake(
    "The Langevin proposal is not symmetric: the acceptance needs q(x | x') / q(x' | x), not the energies alone."
)
def takes_the_langevin_proposal_for_symmetric(x, energy, step_size, adjusted, generator):
    leaf = x.detach().clone().requires_grad_(True)
    gradient = torch.autograd.grad(energy(leaf).sum(), leaf)[0]
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < (energy(x) - energy(proposal)).exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake("The ratio of the proposals is upside down: the way back, q(x | x'), stands above.")
def divides_by_the_way_back(x, energy, step_size, adjusted, generator):
    def gradient(point):
        leaf = point.detach().clone().requires_grad_(True)
        return torch.autograd.grad(energy(leaf).sum(), leaf)[0]

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient(x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient(proposal)).square().sum(-1) / (4 * step_size)
    log_ratio = energy(x) - energy(proposal) + back - noise.square().sum(-1) / 2
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake("The way back starts at x': it needs the gradient there, not the one at x.")
def uses_the_old_gradient_on_the_way_back(x, energy, step_size, adjusted, generator):
    leaf = x.detach().clone().requires_grad_(True)
    gradient = torch.autograd.grad(energy(leaf).sum(), leaf)[0]
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient).square().sum(-1) / (4 * step_size)
    log_ratio = energy(x) - energy(proposal) - back + noise.square().sum(-1) / 2
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake("Each chain decides for itself: draw one uniform number for each row.")
def decides_once_for_all_chains(x, energy, step_size, adjusted, generator):
    def gradient(point):
        leaf = point.detach().clone().requires_grad_(True)
        return torch.autograd.grad(energy(leaf).sum(), leaf)[0]

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient(x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient(proposal)).square().sum(-1) / (4 * step_size)
    log_ratio = energy(x) - energy(proposal) - back + noise.square().sum(-1) / 2
    accepted = torch.rand((), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake("Lower energy is more probable: the acceptance has E(x) - E(x'), not E(x') - E(x).")
def accepts_higher_energies(x, energy, step_size, adjusted, generator):
    def gradient(point):
        leaf = point.detach().clone().requires_grad_(True)
        return torch.autograd.grad(energy(leaf).sum(), leaf)[0]

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient(x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient(proposal)).square().sum(-1) / (4 * step_size)
    log_ratio = energy(proposal) - energy(x) - back + noise.square().sum(-1) / 2
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.mistake("log q has the variance 2ε: the squares are divided by 2 · 2ε = 4ε.")
def takes_epsilon_for_the_variance_of_the_proposal(x, energy, step_size, adjusted, generator):
    def gradient(point):
        leaf = point.detach().clone().requires_grad_(True)
        return torch.autograd.grad(energy(leaf).sum(), leaf)[0]

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient(x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = (x - proposal + step_size * gradient(proposal)).square().sum(-1) / (2 * step_size)
    log_ratio = energy(x) - energy(proposal) - back + noise.square().sum(-1)
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)


@langevin.alternative
def langevin_by_backward(x, energy, step_size, adjusted, generator):
    a = x.clone().requires_grad_(True)
    energy(a).sum().backward()
    mean = x - step_size * a.grad
    b = mean + math.sqrt(2 * step_size) * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    if adjusted:
        c = b.detach().clone().requires_grad_(True)
        energy(c).sum().backward()
        way_back = c.detach() - step_size * c.grad
        log_forth = -((b - mean) ** 2).sum(1) / (4 * step_size)
        log_back = -((x - way_back) ** 2).sum(1) / (4 * step_size)
        log_alpha = (energy(x) - energy(b) + log_back - log_forth).detach()
        stay = torch.rand(x.shape[0], generator=generator, dtype=x.dtype).log() >= log_alpha
        b[stay] = x[stay]
    return b


@langevin.alternative
def langevin_with_normal_distributions(x, energy, step_size, adjusted, generator):
    def towards(a):
        a = a.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(energy(a), a, torch.ones(len(a), dtype=a.dtype))
        return torch.distributions.Normal((a - step_size * gradient).detach(), (2 * step_size) ** 0.5)

    forth = towards(x)
    proposal = torch.normal(forth.loc, forth.scale, generator=generator)
    if not adjusted:
        return proposal
    log_ratio = towards(proposal).log_prob(x).sum(-1) - forth.log_prob(proposal).sum(-1)
    log_ratio = log_ratio + energy(x) - energy(proposal)
    u = torch.rand(len(x), generator=generator, dtype=x.dtype)
    return torch.where((u < log_ratio.clamp(max=0).exp()).unsqueeze(-1), proposal, x)


@langevin.alternative
def langevin_by_loops_over_the_decisions(x, energy, step_size, adjusted, generator):
    def gradient(a):
        a = a.detach().clone().requires_grad_(True)
        value = energy(a)
        value.backward(torch.ones_like(value))
        return a.grad, value.tolist()

    g, here = gradient(x)
    new = (
        x - step_size * g + (2 * step_size) ** 0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    )
    if adjusted:
        g_new, there = gradient(new)
        forth = (new - x + step_size * g).pow(2).sum(1).tolist()
        back = (x - new + step_size * g_new).pow(2).sum(1).tolist()
        u = torch.rand(len(x), generator=generator, dtype=x.dtype).tolist()
        for b in range(len(x)):
            log_alpha = here[b] - there[b] + (forth[b] - back[b]) / (4 * step_size)
            if u[b] >= math.exp(min(0.0, log_alpha)):
                new[b] = x[b]
    return new
