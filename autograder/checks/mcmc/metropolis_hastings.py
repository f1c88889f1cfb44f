"""Exercise 1: one Metropolis–Hastings step."""

import itertools
import math
from collections.abc import Callable

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise
from autograder.exercises.sequential import Count, Strength
from autograder.sandbox.worker import codec

from .definitions import Array, metropolis_hastings_of
from .inputs import FiniteSpace, transition_counts, with_correction

metropolis_hastings = Exercise("metropolis_hastings", "One Metropolis–Hastings step", metropolis_hastings_of)

N_STATES = 6
"""States of the finite spaces, on a 3×2 grid so that one state is a row of two numbers."""

PER_START = 700

ACCEPTANCE_DRAWS = 10_000
"""From one state, so that acceptance 3 % too high or too low is caught with probability 0.99."""

Forced = tuple[codec.Source, codec.Source, Callable[[Array, Array], Array]]

FORCED: tuple[Forced, ...] = (
    (
        codec.Source("lambda x: a * x[:, 0]", a=900.0),
        codec.Source("lambda to, given: np.zeros(len(to))"),
        lambda x, proposal: proposal[:, 0] > x[:, 0],
    ),
    (
        codec.Source("lambda x: np.where(x[:, 0] > 0, -a * x[:, 0], -np.inf)", a=900.0),
        codec.Source("lambda to, given: np.zeros(len(to))"),
        lambda x, proposal: (proposal[:, 0] < x[:, 0]) & (proposal[:, 0] > 0),
    ),
    (
        codec.Source("lambda x: np.zeros(len(x))"),
        codec.Source("lambda to, given: a * (given - to)[:, 0]", a=900.0),
        lambda x, proposal: proposal[:, 0] > x[:, 0],
    ),
)
"""Log-densities and log-proposals, and which proposals they leave no choice but to accept."""


def random_space(rng: np.random.Generator, symmetric: bool) -> FiniteSpace:
    """A space on which a correction that is missing or turned round shows, unless nothing is to be corrected."""
    while True:
        log_p = rng.uniform(-1.5, 1.5, N_STATES)
        Q = rng.dirichlet(np.full(N_STATES, 0.7), N_STATES) + 0.03
        if symmetric:
            Q = rng.uniform(0.02, 0.2, (N_STATES, N_STATES))
            Q = (Q + Q.T) / 2
            np.fill_diagonal(Q, 0.0)
            np.fill_diagonal(Q, 1 - Q.sum(1))
        else:
            Q[0, 1], Q[2, 0] = 0.0, 0.0
            Q /= Q.sum(1, keepdims=True)
        space = FiniteSpace(log_p, Q)
        P, others = with_correction(space, 1.0), [with_correction(space, power) for power in (0.0, -1.0)]
        refused = (Q - P).max()
        if (symmetric and -np.diag(Q - P).min() > 0.3) or (
            not symmetric and min(abs(P - other).max() for other in others) > 0.25 and refused > 0.1
        ):
            return space


def accepting_space(rng: np.random.Generator) -> FiniteSpace:
    """Asymmetric proposals, of which state 0 accepts most: there a little more or less shows best."""
    Q = rng.dirichlet(np.full(N_STATES, 0.7), N_STATES) + 0.03
    np.fill_diagonal(Q, 0.0)
    Q /= Q.sum(1, keepdims=True)
    log_p = np.zeros(N_STATES)
    log_p[1:] = np.log(rng.uniform(0.85, 0.95, N_STATES - 1)) + np.log(Q[0, 1:]) - np.log(Q[1:, 0])
    return FiniteSpace(log_p, Q)


def step_law(
    attempt: Attempt, space: FiniteSpace, P: Array, integers: bool = False
) -> Callable[[int], list[Count]]:
    """Counts of one step from every state of the space, `n` chains from each, in a random order."""

    def draw(n: int) -> list[Count]:
        starts = attempt.rng.permutation(np.repeat(np.arange(N_STATES), n))
        x = np.stack([starts // 2, starts % 2], 1)
        x = x if integers else x.astype(float)
        value = attempt.call(x, *space.arguments, attempt.draw_rng())
        found = attempt.array(value, x.shape)
        places = np.clip(np.nan_to_num(found), 0, 2).astype(int)
        attempt.expect(
            (places == found).all() and (places[:, 1] < 2).all(),
            "a chain went to a state that was not proposed and is not its own",
        )
        return transition_counts(starts, 2 * places[:, 0] + places[:, 1], P)

    return draw


@metropolis_hastings.check(
    5, "steps that must be accepted, or must not: very large ratios, single chains, B = d"
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability below 1e-80: acceptance is 1, or at most exp(-200)."""
    rng = attempt.rng
    calls, expected = [], []
    for (B, d), (log_density, log_proposal, accepted) in itertools.product(
        [(1, 1), (1, 3), (2, 2), (3, 3), (40, 1)], FORCED
    ):
        x = rng.integers(1, 9, (B, d)) / 4.0
        proposal = x + rng.choice([-1.0, 1.0], (B, d)) * rng.uniform(0.3, 2.0, (B, d))
        propose = codec.Source("lambda x, rng: proposal.copy()", proposal=proposal)
        calls.append((x, log_density, propose, log_proposal, attempt.draw_rng()))
        expected.append(np.where(accepted(x, proposal)[:, None], proposal, x))
    found = [attempt.array(v, e.shape) for v, e in zip(attempt.call_many(calls), expected)]
    wrong = sum(not np.allclose(a, b) for a, b in zip(found, expected))
    attempt.expect(
        wrong == 0, f"where the ratio leaves no choice, {wrong} of {len(calls)} steps went elsewhere"
    )


@metropolis_hastings.check(
    7, "symmetric proposals on a space of six states: the exact law of one step", seconds=30
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): each chain's end is a draw of its row of P."""
    space = random_space(attempt.rng, symmetric=True)
    P = with_correction(space, 1.0)
    attempt.sequential(
        step_law(attempt, space, P), PER_START, "one step does not have the law it should have"
    )


@metropolis_hastings.check(
    8, "asymmetric proposals, some of them one-way: the exact law of one step", seconds=30
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ 2 · ALPHA (2e-9), as above; states come as integers."""
    space = random_space(attempt.rng, symmetric=False)
    P = with_correction(space, 1.0)
    draw = step_law(attempt, space, P, integers=True)
    attempt.sequential(draw, PER_START, "one step does not have the law it should have")
    space = accepting_space(attempt.rng)
    law = with_correction(space, 1.0)[0]
    off = np.append(1 - 1.03 * law[1:].sum(), 1.03 * law[1:])

    def acceptance(n: int) -> list[Strength]:
        value = attempt.call(np.zeros((n, 2)), *space.arguments, attempt.draw_rng())
        ends = np.nan_to_num(attempt.array(value, (n, 2)).astype(float)) @ [2, 1]
        seen = np.array([(ends == k).sum() for k in range(N_STATES)])
        return [Strength.of("the acceptance is", seen[None], law[None], off[None])]

    attempt.sequential(acceptance, ACCEPTANCE_DRAWS, "one step does not have the law it should have")


@metropolis_hastings.mistake("The proposals are not symmetric: multiply the ratio by q(x | x') / q(x' | x).")
def leaves_out_the_ratio_of_the_proposals(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    accepted = np.log(rng.random(len(x))) < log_density(proposal) - log_density(x)
    return np.where(accepted[:, None], proposal, x)


@metropolis_hastings.mistake(
    "The ratio of the proposals is upside down: the way back, q(x | x'), stands above."
)
def turns_the_ratio_of_the_proposals_round(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) - log_density(x) + log_proposal(proposal, x) - log_proposal(x, proposal)
    accepted = np.log(rng.random(len(x))) < log_ratio
    return np.where(accepted[:, None], proposal, x)


@metropolis_hastings.mistake("A proposal is only a suggestion: accept it with probability α, else stay.")
def accepts_every_proposal(x, log_density, propose, log_proposal, rng):
    return propose(x, rng)


@metropolis_hastings.mistake(
    "Steps to a lower density must be possible: accept them with probability α, not never."
)
def accepts_only_what_is_more_probable(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) - log_density(x) + log_proposal(x, proposal) - log_proposal(proposal, x)
    return np.where((log_ratio >= 0)[:, None], proposal, x)


@metropolis_hastings.mistake("Each chain decides for itself: draw one uniform number for each row.")
def draws_one_uniform_for_all_chains(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) - log_density(x) + log_proposal(x, proposal) - log_proposal(proposal, x)
    return np.where((np.log(rng.random()) < log_ratio)[:, None], proposal, x)


@metropolis_hastings.mistake(
    "That is f(x) / f(x'): the density at the proposal stands above, the present one below."
)
def turns_the_whole_ratio_upside_down(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    log_ratio = log_density(x) - log_density(proposal) + log_proposal(proposal, x) - log_proposal(x, proposal)
    return np.where((np.log(rng.random(len(x))) < log_ratio)[:, None], proposal, x)


@metropolis_hastings.mistake(
    "A uniform number was compared with the log of the ratio: take the log of the number, too."
)
def compares_a_uniform_with_the_log_ratio(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) - log_density(x) + log_proposal(x, proposal) - log_proposal(proposal, x)
    return np.where((rng.random(len(x)) < log_ratio)[:, None], proposal, x)


@metropolis_hastings.mistake(
    "A rejected chain stays and counts once more. Proposing again until it moves samples another law."
)
def proposes_again_after_a_rejection(x, log_density, propose, log_proposal, rng):
    new, waiting = np.array(x, dtype=float), np.ones(len(x), dtype=bool)
    for _ in range(20):
        proposal = propose(x, rng)
        log_ratio = (
            log_density(proposal) - log_density(x) + log_proposal(x, proposal) - log_proposal(proposal, x)
        )
        accepted = waiting & (np.log(rng.random(len(x))) < log_ratio)
        new[accepted] = proposal[accepted]
        waiting &= ~accepted
    return new


@metropolis_hastings.mistake("Work on a copy, x.copy(): the caller still needs the old states.")
def overwrites_the_chains_it_was_given(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) - log_density(x) + log_proposal(x, proposal) - log_proposal(proposal, x)
    accepted = np.log(rng.random(len(x))) < log_ratio
    x[accepted] = proposal[accepted]
    return x


@metropolis_hastings.mistake(
    "That is Barker's acceptance r / (1 + r). Here accept with probability min(1, r)."
)
def accepts_by_barkers_rule(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) - log_density(x) + log_proposal(x, proposal) - log_proposal(proposal, x)
    accepted = rng.random(len(x)) < np.exp(-np.logaddexp(0, -log_ratio))
    return np.where(accepted[:, None], proposal, x)


@metropolis_hastings.alternative
def step_with_a_clipped_ratio(x, log_density, propose, log_proposal, rng):
    new = np.array(x, dtype=float)
    proposal = propose(x, rng)
    forth, back = log_proposal(proposal, x), log_proposal(x, proposal)
    alpha = np.exp(np.clip(log_density(proposal) - log_density(x) + back - forth, -745.0, 0.0))
    accepted = rng.uniform(size=len(x)) <= alpha
    new[accepted] = proposal[accepted]
    return new


@metropolis_hastings.alternative
def step_by_loops(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    here, there = log_density(x), log_density(proposal)
    forth, back = log_proposal(proposal, x), log_proposal(x, proposal)
    new = []
    for b in range(len(x)):
        log_ratio = float(there[b] + back[b] - here[b] - forth[b])
        accepted = log_ratio >= 0 or rng.random() < math.exp(log_ratio)
        new.append(proposal[b] if accepted else x[b])
    return np.array(new)


@metropolis_hastings.alternative
def step_by_exponential_clocks(x, log_density, propose, log_proposal, rng):
    proposal = propose(x, rng)
    cost = log_density(x) - log_density(proposal) + log_proposal(proposal, x) - log_proposal(x, proposal)
    stay = rng.exponential(size=len(x)) < cost
    proposal[stay] = x[stay]
    return proposal
