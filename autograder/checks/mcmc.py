"""Hidden checks of the MCMC assignment: Metropolis–Hastings, Gibbs, Langevin, a transition matrix, ESS, AIS.

    one step from a known state has a law that is known exactly:  P_ij on finite spaces, N(0, 1) for the noise

No check waits for a chain to converge. Samplers on finite spaces are compared with their transition matrix,
Gaussian ones by the noise that their step must have drawn, and annealed weights with the law of all paths.
Mistakes and alternatives stand alone: each can be put into a notebook.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp, ndtr, ndtri

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Assignment, Exercise
from autograder.exercises.sequential import Count
from autograder.sandbox.worker import codec

Array = np.ndarray


# --- The definitions


def metropolis_hastings_of(
    x: Array,
    log_density: Callable[[Array], Array],
    propose: Callable[[Array, np.random.Generator], Array],
    log_proposal: Callable[[Array, Array], Array],
    rng: np.random.Generator,
) -> Array:
    """The chains (B, d) after one step."""
    proposal = propose(x, rng)
    log_ratio = log_density(proposal) + log_proposal(x, proposal) - log_density(x) - log_proposal(proposal, x)
    accepted = rng.random(len(x)) < np.exp(np.minimum(log_ratio, 0.0))
    return np.where(accepted[:, None], proposal, x)


def transition_matrix_of(log_p: Array, Q: Array) -> tuple[Array, Array]:
    """P and the flow p_i P_ij."""
    K = len(log_p)
    P = np.zeros((K, K))
    for i in range(K):
        for j in range(K):
            if i != j and Q[i, j] > 0 and Q[j, i] > 0:
                log_ratio = log_p[j] - log_p[i] + math.log(Q[j, i]) - math.log(Q[i, j])
                P[i, j] = Q[i, j] * math.exp(min(0.0, log_ratio))
        P[i, i] = 1 - P[i].sum()
    return P, np.exp(log_p - logsumexp(log_p))[:, None] * P


def gaussian_gibbs_of(x: Array, mean: Array, precision: Array, rng: np.random.Generator) -> Array:
    """The chains (B, d) after one sweep in the order of the coordinates."""
    new = np.array(x, dtype=float)
    for i in range(len(mean)):
        new[:, i] = conditional_mean(new, i, mean, precision)
        new[:, i] += rng.standard_normal(len(new)) / math.sqrt(precision[i, i])
    return new


def conditional_mean(x: Array, i: int, mean: Array, precision: Array) -> Array:
    """E[x_i | the others] of each row."""
    weights = np.delete(precision[i], i) / precision[i, i]
    away: Array = np.delete(x - mean, i, axis=1)
    return np.asarray(mean[i] - away @ weights)


def langevin_of(
    x: torch.Tensor,
    energy: Callable[[torch.Tensor], torch.Tensor],
    step_size: float,
    adjusted: bool,
    generator: torch.Generator,
) -> torch.Tensor:
    """The chains (B, d) after one step."""
    noise = torch.empty_like(x).normal_(generator=generator)
    proposal = x - step_size * gradient_of(energy, x) + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    back = x - proposal + step_size * gradient_of(energy, proposal)
    log_q = noise.square().sum(-1) / 2 - back.square().sum(-1) / (4 * step_size)
    log_ratio = energy(x) - energy(proposal) + log_q
    uniform = torch.empty_like(log_ratio).uniform_(generator=generator)
    return torch.where((uniform < log_ratio.exp())[:, None], proposal, x)


def gradient_of(energy: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    leaf = x.detach().clone().requires_grad_(True)
    return torch.autograd.grad(energy(leaf).sum(), leaf)[0]


def effective_sample_size_of(x: Array) -> float:
    """n / τ, cut by Geyer's initial positive sequence, at most n."""
    n = len(x)
    away = np.asarray(x, dtype=np.float64) - np.mean(x, dtype=np.float64)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    tau = -1.0
    for k in range(n // 2):
        pair = rho[2 * k] + rho[2 * k + 1]
        if pair <= 0:
            break
        tau += 2 * pair
    return n / max(tau, 1.0)


Step = Callable[[Array, Array, np.random.Generator], Array]


def annealed_importance_sampling_of(
    log_base: Array, log_target: Array, betas: Array, step: Step, n: int, rng: np.random.Generator
) -> tuple[Array, float]:
    """The log-weights (n,) and the log of their mean."""
    x = rng.choice(len(log_base), n, p=np.exp(log_base))
    log_weights = np.zeros(n)
    for k in range(1, len(betas)):
        log_weights += (betas[k] - betas[k - 1]) * (log_target[x] - log_base[x])
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_weights, float(logsumexp(log_weights) - math.log(n))


# --- What the checks share


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def unchanged(attempt: Attempt, before: Sequence[Array], after: Sequence[Array]) -> None:
    same = len(after) >= len(before) and all(np.array_equal(a, b) for a, b in zip(before, after))
    attempt.expect(same, "the array that the function was given has changed")


def noise_counts(z: Array) -> list[Count]:
    """Features of `z` (n, d) that have exact probabilities if all entries are independent N(0, 1) draws."""
    n, d = z.shape
    tail = float(ndtri(0.1))
    found = []
    for i in range(d):
        found += [
            Count(f"a draw of coordinate {i} below its mean", int((z[:, i] < 0).sum()), n, 0.5),
            Count(f"a draw of coordinate {i} near its mean", int((abs(z[:, i]) < ndtri(0.75)).sum()), n, 0.5),
            Count(f"a draw of coordinate {i} far below its mean", int((z[:, i] < tail).sum()), n, 0.1),
        ]
        same = z[: n // 2, i] * z[n // 2 : 2 * (n // 2), i] > 0
        found.append(Count(f"two chains alike in coordinate {i}", int(same.sum()), n // 2, 0.5))
    for i in range(1, d):
        same = z[:, i - 1] * z[:, i] > 0
        found.append(Count(f"alike noise in coordinates {i - 1} and {i}", int(same.sum()), n, 0.5))
    return found


def transition_counts(starts: Array, ends: Array, P: Array) -> list[Count]:
    """How often each state was reached from each; `P` is the exact transition matrix."""
    seen = np.zeros(P.shape, dtype=int)
    np.add.at(seen, (starts, ends), 1)
    draws = seen.sum(1)
    return [
        Count(
            f"{'staying' if i == j else f'a move to state {j}'} from state {i}",
            int(seen[i, j]),
            int(draws[i]),
            min(max(float(P[i, j]), 0.0), 1.0),
        )
        for i, j in np.ndindex(*P.shape)
    ]


# --- Exercise 1: one Metropolis–Hastings step

metropolis_hastings = Exercise("metropolis_hastings", "One Metropolis–Hastings step", metropolis_hastings_of)

N_STATES = 6
"""States of the finite spaces, on a 3×2 grid so that one state is a row of two numbers."""

PER_START = 700

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


class FiniteSpace(NamedTuple):
    """Log-probabilities up to a constant, and a proposal matrix."""

    log_p: Array
    Q: Array

    @property
    def arguments(self) -> tuple[codec.Source, codec.Source, codec.Source]:
        """`log_density`, `propose` and `log_proposal` of states that are rows (k // 2, k % 2)."""
        with np.errstate(divide="ignore"):
            log_Q = np.log(self.Q)
        edges = np.cumsum(self.Q, axis=1)[:, :-1]
        index = "(2 * {0}[:, 0] + {0}[:, 1]).astype(int)"
        chosen = f"(rng.random((len(x), 1)) >= edges[{index.format('x')}]).sum(1)"
        return (
            codec.Source(f"lambda x: log_p[{index.format('x')}]", log_p=self.log_p),
            codec.Source(
                f"lambda x, rng: (lambda k: np.stack([k // 2, k % 2], 1).astype(float))({chosen})",
                edges=edges,
            ),
            codec.Source(
                f"lambda to, given: log_Q[{index.format('given')}, {index.format('to')}]", log_Q=log_Q
            ),
        )


def with_correction(space: FiniteSpace, power: float) -> Array:
    """P with the ratio of proposals to a `power`: 1 is right, 0 leaves it out, -1 turns it round."""
    ratio = np.ones_like(space.Q)
    both = (space.Q > 0) & (space.Q.T > 0)
    ratio[both] = (space.Q.T[both] / space.Q[both]) ** power
    P = space.Q * np.minimum(1.0, np.exp(space.log_p[None] - space.log_p[:, None]) * ratio)
    if power > 0:
        P[~both] = 0.0
    np.fill_diagonal(P, 0.0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P


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
    x = rng.integers(1, 9, (5, 2)) / 4.0
    log_density, log_proposal, _ = FORCED[0]
    propose = codec.Source("lambda x, rng: x + 1.0")
    _, arguments = attempt.call_and_arguments(x, log_density, propose, log_proposal, attempt.draw_rng())
    unchanged(attempt, [x], arguments)


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
    """Correct code fails with probability ≤ ALPHA (1e-9), as above; states come as integers."""
    space = random_space(attempt.rng, symmetric=False)
    P = with_correction(space, 1.0)
    draw = step_law(attempt, space, P, integers=True)
    attempt.sequential(draw, PER_START, "one step does not have the law it should have")


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


# --- Exercise 2: detailed balance, as a matrix

transition_matrix = Exercise("transition_matrix", "Detailed balance, as a matrix", transition_matrix_of)


def random_proposals(rng: np.random.Generator, K: int, zeros: float = 0.0) -> Array:
    """Rows that sum to one, with a share of zeros off the diagonal."""
    Q = rng.uniform(0.1, 1.0, (K, K))
    Q[(rng.random((K, K)) < zeros) & ~np.eye(K, dtype=bool)] = 0.0
    return np.asarray(Q / Q.sum(1, keepdims=True))


def compare_one(attempt: Attempt, calls: list[tuple[Array, Array]], which: int, what: str) -> None:
    """One of the two matrices must agree with the definition on every call."""
    wrong = 0
    for value, call in zip(attempt.call_many(calls), calls):
        attempt.expect(
            isinstance(value, tuple | list) and len(value) == 2, "return two matrices, P and F, as a tuple"
        )
        expected = transition_matrix_of(*call)[which]
        found = attempt.array(value[which], expected.shape, f"the {what}")
        wrong += not np.allclose(found, expected, rtol=1e-6, atol=1e-9)
    attempt.expect(
        wrong == 0, f"the {what} of {wrong} of {len(calls)} spaces is not what the definition gives"
    )


@transition_matrix.check(4, "the matrix P for random probabilities and proposals, zeros among them")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [int(K) for K in rng.integers(3, 8, 10)]
    calls = [
        (rng.uniform(-2, 2, K), random_proposals(rng, K, zeros))
        for K, zeros in zip(sizes, itertools.cycle((0.0, 0.4)))
    ]
    compare_one(attempt, calls, 0, "matrix P")


@transition_matrix.check(3, "probabilities whose exponentials overflow, one state, two states, equal ones")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(np.array([uniform(rng, -5, 5)]), np.ones((1, 1))), (np.zeros(4), random_proposals(rng, 4))]
    calls += [(rng.uniform(-2, 2, 2), random_proposals(rng, 2)), (rng.uniform(-2, 2, 3), np.eye(3))]
    for offset in (1000.0, -1000.0):
        calls += [(offset + rng.uniform(-2, 2, 4), random_proposals(rng, 4))]
    calls += [(np.array([-900.0, 900.0, 899.0, -899.5]), random_proposals(rng, 4, 0.2))]
    compare_one(attempt, calls, 0, "matrix P")


@transition_matrix.check(3, "the flow F: normalized, also for large and small log-probabilities")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(rng.uniform(-2, 2, K), random_proposals(rng, K, 0.3)) for K in (2, 3, 4, 5, 6)]
    calls += [(offset + rng.uniform(-2, 2, 4), random_proposals(rng, 4)) for offset in (1000.0, -1000.0)]
    compare_one(attempt, calls, 1, "flow F")


@transition_matrix.mistake(
    "Rejected proposals stay where they are: the diagonal is 1 minus the rest of the row."
)
def forgets_that_rejections_stay(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        ratio = np.exp(log_p[None] - log_p[:, None] + np.log(Q.T) - np.log(Q))
    P = np.where(Q > 0, Q * np.minimum(1, ratio), 0)
    return P, p[:, None] * P


@transition_matrix.mistake("The proposals are not symmetric: the ratio needs Q_ji / Q_ij.")
def takes_the_proposals_for_symmetric(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    P = Q * np.exp(np.minimum(0, log_p[None] - log_p[:, None]))
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P, p[:, None] * P


@transition_matrix.mistake("P_ij goes from i to j, so rows sum to 1. Yours is the transpose.")
def returns_the_transpose(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        ratio = np.exp(log_p[None] - log_p[:, None] + np.log(Q.T) - np.log(Q))
    P = np.where(Q > 0, Q * np.minimum(1, ratio), 0)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P.T, p[:, None] * P


@transition_matrix.mistake("The flow needs probabilities that sum to 1: divide exp(log_p) by its sum.")
def leaves_p_unnormalized_in_the_flow(log_p, Q):
    with np.errstate(all="ignore"):
        ratio = np.exp(log_p[None] - log_p[:, None] + np.log(Q.T) - np.log(Q))
    P = np.where(Q > 0, Q * np.minimum(1, ratio), 0)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P, np.exp(log_p)[:, None] * P


@transition_matrix.mistake(
    "exp(1000) is infinite. Take differences of log_p before you exponentiate, and subtract the largest."
)
def exponentiates_large_numbers(log_p, Q):
    p = np.exp(log_p)
    p = p / p.sum()
    with np.errstate(all="ignore"):
        ratio = p[None] * Q.T / (p[:, None] * Q)
    P = np.where(Q > 0, Q * np.minimum(1, ratio), 0)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P, p[:, None] * P


@transition_matrix.mistake("The ratio is upside down: what is proposed, p_j Q_ji, stands above.")
def turns_the_acceptance_upside_down(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        ratio = np.exp(log_p[:, None] - log_p[None] + np.log(Q) - np.log(Q.T))
    P = np.where(Q > 0, Q * np.minimum(1, ratio), 0)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P, p[:, None] * P


@transition_matrix.mistake("An acceptance is a probability: min(1, ratio). Yours can be larger than 1.")
def lets_the_acceptance_exceed_one(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        ratio = np.exp(log_p[None] - log_p[:, None] + np.log(Q.T) - np.log(Q))
    P = np.where(Q > 0, Q * ratio, 0)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P, p[:, None] * P


@transition_matrix.alternative
def matrix_by_loops(log_p, Q):
    K = len(log_p)
    largest = max(log_p)
    weights = [math.exp(value - largest) for value in log_p]
    P = np.zeros((K, K))
    for i in range(K):
        for j in range(K):
            if j != i and Q[i, j] > 0 and Q[j, i] > 0:
                log_ratio = log_p[j] + math.log(Q[j, i]) - log_p[i] - math.log(Q[i, j])
                P[i, j] = Q[i, j] if log_ratio >= 0 else Q[i, j] * math.exp(log_ratio)
        P[i, i] = 1 - sum(P[i])
    return P, np.array([[weights[i] / sum(weights) * P[i, j] for j in range(K)] for i in range(K)])


@transition_matrix.alternative
def matrix_from_the_smaller_of_two_flows(log_p, Q):
    with np.errstate(divide="ignore"):
        log_flow = log_p[:, None] + np.log(Q)
    smaller = np.minimum(log_flow, log_flow.T)
    P = np.exp(smaller - log_p[:, None])
    P[np.diag_indices_from(P)] = 0
    P = P + np.diag(1 - P.sum(axis=1))
    return P, P * np.exp(log_p - np.logaddexp.reduce(log_p))[:, None]


@transition_matrix.alternative
def matrix_by_adding_up_rejections(log_p, Q):
    import torch

    log_p, Q = torch.tensor(log_p), torch.tensor(Q)
    log_flow = log_p[:, None] + Q.log()
    alpha = torch.where(
        (Q > 0) & (Q.T > 0), (log_flow.T - log_flow).clamp(max=0).exp(), torch.zeros(()).double()
    )
    P = Q * alpha
    P = P + torch.diag((Q * (1 - alpha)).sum(1))
    return P.numpy(), (torch.softmax(log_p, 0)[:, None] * P).numpy()


# --- Exercise 3: Gibbs sampling of a correlated Gaussian

gaussian_gibbs = Exercise("gaussian_gibbs", "Gibbs sampling of a correlated Gaussian", gaussian_gibbs_of)

GIBBS_DRAWS = 3000


def correlated_precision(rng: np.random.Generator, d: int) -> Array:
    """A precision whose entries all matter: every pair is correlated, and no diagonal entry is near 1."""
    signs, scale = rng.choice([-1.0, 1.0], d), np.sqrt(rng.uniform(2.5, 5.0, d))
    correlation = uniform(rng, 0.65, 0.8)
    R = correlation * np.outer(signs, signs) + (1 - correlation) * np.eye(d)
    return np.asarray(np.outer(scale, scale) * R)


def far_mean(rng: np.random.Generator, d: int) -> Array:
    return rng.choice([-1.0, 1.0], d) * rng.uniform(2.0, 5.0, d)


def sweep_noise(before: Array, after: Array, mean: Array, precision: Array) -> Array:
    """The standard normal noise (B, d) that a correct sweep from `before` to `after` must have drawn."""
    current, noise = before.copy(), np.empty_like(after)
    for i in range(len(mean)):
        noise[:, i] = (after[:, i] - conditional_mean(current, i, mean, precision)) * math.sqrt(
            precision[i, i]
        )
        current[:, i] = after[:, i]
    return noise


@gaussian_gibbs.check(5, "enormous precision: with hardly any noise the sweep follows the conditional means")
def _(attempt: Attempt) -> None:
    """The noise is 1e-6 and the tolerance 1e-3: wrong for correct code with probability below 1e-300."""
    rng = attempt.rng
    calls = []
    for B, d in [(1, 1), (1, 2), (2, 2), (5, 3), (3, 5), (8, 4)]:
        precision = 1e12 * correlated_precision(rng, d)
        calls.append((rng.uniform(-3, 3, (B, d)), far_mean(rng, d), precision, attempt.draw_rng()))
    wrong = 0
    for value, call in zip(attempt.call_many(calls), calls):
        found = attempt.array(value, call[0].shape)
        wrong += not np.allclose(found, gaussian_gibbs_of(*call[:3], rng), rtol=0, atol=1e-3)
    attempt.expect(wrong == 0, f"{wrong} of {len(calls)} sweeps with hardly any noise went elsewhere")
    x, mean, precision, generator = calls[3]
    _, arguments = attempt.call_and_arguments(x, mean, precision, generator)
    unchanged(attempt, [x, mean, precision], arguments)


def sweep_law(attempt: Attempt, d: int, precision: Array) -> Callable[[int], list[Count]]:
    mean = far_mean(attempt.rng, d)

    def draw(n: int) -> list[Count]:
        before = mean + 2.0 * attempt.rng.standard_normal((n, d))
        after = attempt.array(attempt.call(before, mean, precision, attempt.draw_rng()), (n, d))
        return noise_counts(sweep_noise(before, after.astype(float), mean, precision))

    return draw


@gaussian_gibbs.check(7, "correlated Gaussians in three dimensions: the exact law of one sweep", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): given the start, the sweep's noise is N(0, I)."""
    precision = correlated_precision(attempt.rng, 3)
    attempt.sequential(
        sweep_law(attempt, 3, precision), GIBBS_DRAWS, "a sweep does not follow the conditionals"
    )


@gaussian_gibbs.check(3, "one coordinate, and coordinates that do not depend on each other", seconds=30)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): two tests at half of it."""
    for d in (1, 2):
        precision = np.diag(attempt.rng.uniform(3.0, 6.0, d))
        draw = sweep_law(attempt, d, precision)
        attempt.sequential(draw, 1500, "independent coordinates do not follow their law", alpha=5e-10)


@gaussian_gibbs.mistake("1 / Λ_ii is a variance. The noise is scaled by its square root.")
def scales_the_noise_by_the_variance(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal(len(x)) / precision[i, i]
    return z + mean


@gaussian_gibbs.mistake("The sum and the result are relative to the mean: use x_j - μ_j, and add μ_i.")
def forgets_the_mean(x, mean, precision, rng):
    z = np.array(x, dtype=float)
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
    return z


@gaussian_gibbs.mistake("All coordinates changed at once. Each must see the new values of those before it.")
def changes_all_coordinates_at_once(x, mean, precision, rng):
    z = x - mean
    diagonal = np.diag(precision)
    rest = z @ precision - z * diagonal
    return mean - rest / diagonal + rng.standard_normal(x.shape) / np.sqrt(diagonal)


@gaussian_gibbs.mistake("The conditional mean carries a minus sign: the sum is subtracted.")
def adds_the_pull_of_the_others(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = rest / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
    return z + mean


@gaussian_gibbs.mistake("The sum leaves out j = i: the old value of the coordinate itself must not matter.")
def counts_the_coordinate_itself(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        z[:, i] = -(z @ precision[i]) / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(
            precision[i, i]
        )
    return z + mean


@gaussian_gibbs.mistake("The conditional variance is 1 / Λ_ii, smaller than the marginal variance (Λ⁻¹)_ii.")
def uses_the_marginal_variance(x, mean, precision, rng):
    z = x - mean
    scale = np.sqrt(np.diag(np.linalg.inv(precision)))
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + scale[i] * rng.standard_normal(len(x))
    return z + mean


@gaussian_gibbs.mistake("That treats Λ as a covariance. It is a precision, the inverse of one.")
def takes_the_precision_for_a_covariance(x, mean, precision, rng):
    inverse = np.linalg.inv(precision)
    z = x - mean
    for i in range(len(mean)):
        rest = z @ inverse[i] - z[:, i] * inverse[i, i]
        z[:, i] = -rest / inverse[i, i] + rng.standard_normal(len(x)) / np.sqrt(inverse[i, i])
    return z + mean


@gaussian_gibbs.mistake("Each chain needs noise of its own: rng.standard_normal(B), not one number.")
def shares_the_noise_among_the_chains(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal() / np.sqrt(precision[i, i])
    return z + mean


@gaussian_gibbs.mistake("The noise is missing: that is the conditional mean, not a draw.")
def returns_the_conditional_mean(x, mean, precision, rng):
    z = x - mean
    for i in range(len(mean)):
        z[:, i] = -(z @ precision[i] - z[:, i] * precision[i, i]) / precision[i, i]
    return z + mean


@gaussian_gibbs.mistake("A sweep goes from coordinate 0 up: yours starts at the last one.")
def sweeps_backwards(x, mean, precision, rng):
    z = x - mean
    for i in reversed(range(len(mean))):
        rest = z @ precision[i] - z[:, i] * precision[i, i]
        z[:, i] = -rest / precision[i, i] + rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
    return z + mean


@gaussian_gibbs.alternative
def sweep_by_loops(x, mean, precision, rng):
    new = [[float(v) for v in row] for row in x]
    d = len(mean)
    for row in new:
        for i in range(d):
            pull = sum(precision[i, j] * (row[j] - mean[j]) for j in range(d) if j != i)
            row[i] = rng.normal(mean[i] - pull / precision[i, i], 1 / math.sqrt(precision[i, i]))
    return np.array(new)


@gaussian_gibbs.alternative
def sweep_by_the_formula_with_masks(x, mean, precision, rng):
    new = x.copy()
    for i in range(x.shape[1]):
        others = np.arange(x.shape[1]) != i
        centre = mean[i] - (new[:, others] - mean[others]) @ precision[i, others] / precision[i, i]
        new[:, i] = rng.normal(centre, precision[i, i] ** -0.5)
    return new


@gaussian_gibbs.alternative
def sweep_by_gauss_seidel(x, mean, precision, rng):
    lower, upper = np.tril(precision), np.triu(precision, 1)
    noise = rng.standard_normal(x.shape) * np.sqrt(np.diag(precision))
    return mean + np.linalg.solve(lower, (noise - (x - mean) @ upper.T).T).T


@gaussian_gibbs.alternative
def sweep_by_regression_on_the_covariance(x, mean, precision, rng):
    covariance = np.linalg.inv(precision)
    new = np.array(x)
    for i in range(len(mean)):
        rest = [j for j in range(len(mean)) if j != i]
        S = covariance[np.ix_(rest, rest)]
        weights = np.linalg.solve(S, covariance[rest, i]) if rest else np.zeros(0)
        variance = covariance[i, i] - weights @ covariance[rest, i]
        centre = mean[i] + (new[:, rest] - mean[rest]) @ weights
        new[:, i] = centre + np.sqrt(variance) * rng.standard_normal(len(x))
    return new


# --- Exercise 4: Langevin, unadjusted and adjusted

langevin = Exercise("langevin", "Langevin, unadjusted and adjusted", langevin_of)

LANGEVIN_DRAWS = 2000

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

    def draw(n: int) -> list[Count]:
        x = rng.normal(size=(n, 2)) + 1.5
        energy = codec.Source(QUARTIC, **strengths)
        value = attempt.call(codec.Tensor(x), energy, epsilon, False, attempt.draw_rng("torch"))
        moved = attempt.array(value, x.shape) - x + epsilon * quartic_gradient(x, **strengths)
        return noise_counts(moved / math.sqrt(2 * epsilon))

    attempt.sequential(draw, LANGEVIN_DRAWS, "the step of ULA is not the gradient step plus its noise")


@langevin.check(3, "steep energies, single chains, one dimension, float32; the input is left as it is")
def _(attempt: Attempt) -> None:
    """The drift is at least 100 times the tolerance, and the noise at most a 30th of it: fails below 1e-180.

    The steep energy is a parabola of curvature c. Its ULA step goes to m + (1 - ε c)(x - m) with noise √(2ε);
    a MALA step with ε c ≪ 1 is accepted but for rounding, so that both can be looked at.
    """
    rng = attempt.rng
    for B, d, dtype in [(1, 1, np.float64), (1, 3, np.float32), (4, 1, np.float32), (3, 3, np.float64)]:
        centre = rng.uniform(-1, 1, d)
        x = (centre + rng.choice([-1.0, 1.0], (B, d)) * rng.uniform(1.0, 2.0, (B, d))).astype(dtype)
        energy = codec.Source(
            "lambda x: c / 2 * (x - m).square().sum(-1)", c=1e10, m=codec.Tensor(centre.astype(dtype))
        )
        args = (codec.Tensor(x), energy, 5e-11, False, attempt.draw_rng("torch"))
        value, arguments = attempt.call_and_arguments(*args)
        found = attempt.array(value, x.shape)
        expected = centre + 0.5 * (x - centre)
        attempt.expect(
            np.allclose(found, expected, rtol=0, atol=5e-3), "a steep energy must pull the chains downhill"
        )
        attempt.expect(found.dtype == dtype, "the result must have the dtype of x")
        unchanged(attempt, [x], arguments)


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

    def draw(n: int) -> list[Count]:
        which = rng.permutation(np.repeat(np.arange(4), n))
        x = np.array(well.starts)[which][:, None]
        energy = codec.Source(
            "lambda x: (a * x**4 / 4 - b * x**2 / 2 + c * x).sum(-1)", a=well.a, b=well.b, c=well.c
        )
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


# --- Exercise 5: effective sample size

effective_sample_size = Exercise("effective_sample_size", "Effective sample size", effective_sample_size_of)


def autoregression(rng: np.random.Generator, n: int, memory: float) -> Array:
    """x_t = memory · x_{t-1} + noise, started in equilibrium."""
    x = np.empty(n)
    x[0] = rng.standard_normal() / math.sqrt(1 - memory**2)
    for t in range(1, n):
        x[t] = memory * x[t - 1] + rng.standard_normal()
    return x


@effective_sample_size.check(5, "chains that forget slowly or quickly")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(autoregression(rng, int(rng.integers(150, 400)), m),) for m in (0.95, 0.9, 0.8, 0.6, 0.4, 0.0)]
    attempt.compare([*calls, (autoregression(rng, 301, 0.85),), (autoregression(rng, 40, 0.7),)])


@effective_sample_size.check(3, "chains far from zero, tiny ones, float32, and integers")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    chains = [uniform(rng, 20, 90) * s + autoregression(rng, 200, 0.8) for s in (-1.0, 1.0, 1e3)]
    chains += [1e-6 * autoregression(rng, 150, 0.7), autoregression(rng, 180, 0.6).astype(np.float32)]
    chains += [np.cumsum(rng.choice([-1, 1], 200)), rng.integers(0, 2, 120)]
    attempt.compare([(x,) for x in chains], rtol=1e-4)


@effective_sample_size.check(2, "chains that jump back and forth, and very short ones")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    chains = [autoregression(rng, n, -uniform(rng, 0.3, 0.8)) for n in (200, 151)]
    chains += [rng.normal(size=n) for n in (2, 3, 4, 5)]
    chains += [np.array([0.0, 1.0] * 12) + rng.normal(size=24) / 10, np.arange(10.0)]
    attempt.compare([(x,) for x in chains])


@effective_sample_size.mistake("Every lag stands for two terms, forward and back: τ = 1 + 2 Σ ρ_t.")
def counts_every_lag_once(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return n / max(1.0, pairs[np.cumprod(pairs > 0) == 1].sum())


@effective_sample_size.mistake("Γ_0 holds ρ_0 = 1, which must count once, not twice: subtract 1.")
def counts_lag_zero_twice(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return n / max(1.0, 1 + 2 * pairs[np.cumprod(pairs > 0) == 1].sum())


@effective_sample_size.mistake("That is τ, the cost of one independent draw. The ESS is n / τ.")
def returns_the_autocorrelation_time(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return max(1.0, 2 * pairs[np.cumprod(pairs > 0) == 1].sum() - 1)


@effective_sample_size.mistake("Subtract the mean first: autocorrelation is about deviations from it.")
def forgets_to_subtract_the_mean_of_the_chain(x):
    n, away = len(x), np.asarray(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return n / max(1.0, 2 * pairs[np.cumprod(pairs > 0) == 1].sum() - 1)


@effective_sample_size.mistake("Stop at the first pair that is not positive; later positive pairs are noise.")
def keeps_all_positive_pairs(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return n / max(1.0, 2 * pairs[pairs > 0].sum() - 1)


@effective_sample_size.mistake("All lags together add up to nonsense: cut the sum by Geyer's rule.")
def sums_over_all_lags(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    return n / max(1.0, 1 + 2 * rho[1:].sum())


@effective_sample_size.mistake("The first negative ρ_t does not end the sum; the first pair Γ_k ≤ 0 does.")
def stops_at_the_first_negative_lag(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    return n / max(1.0, 2 * rho[np.cumprod(rho > 0) == 1].sum() - 1)


@effective_sample_size.mistake(
    "Without padding the FFT wraps around: the end of the chain meets its beginning."
)
def lets_the_fourier_transform_wrap_around(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    covariance = np.fft.ifft(abs(np.fft.fft(away)) ** 2).real
    rho = covariance / covariance[0]
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return n / max(1.0, 2 * pairs[np.cumprod(pairs > 0) == 1].sum() - 1)


@effective_sample_size.mistake(
    "The definition divides every lag by the same sum, not by its number of terms."
)
def averages_over_the_terms_of_each_lag(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away) * n / (n - np.arange(n))
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return n / max(1.0, 2 * pairs[np.cumprod(pairs > 0) == 1].sum() - 1)


@effective_sample_size.mistake("If τ comes out below 1, use 1: a chain of n draws is worth at most n.")
def claims_more_draws_than_there_are(x):
    n, away = len(x), np.asarray(x, dtype=float) - np.mean(x, dtype=float)
    rho = np.correlate(away, away, "full")[n - 1 :] / (away @ away)
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    return n / (2 * pairs[np.cumprod(pairs > 0) == 1].sum() - 1)


@effective_sample_size.alternative
def size_by_loops(x):
    values = [float(v) for v in x]
    n = len(values)
    mean = math.fsum(values) / n
    away = [v - mean for v in values]
    total = sum(a * a for a in away)

    def rho(t):
        return sum(a * b for a, b in zip(away[: n - t], away[t:])) / total

    tau, k = -1.0, 0
    while 2 * k + 1 <= n - 1:
        pair = rho(2 * k) + rho(2 * k + 1)
        if pair <= 0:
            break
        tau += 2 * pair
        k += 1
    return n / max(1.0, tau)


@effective_sample_size.alternative
def size_by_correlate(x):
    x = np.asarray(x).astype(np.float64)
    x = x - x.mean()
    full = np.correlate(x, x, mode="full")
    rho = full[full.size // 2 :] / full.max()
    gamma = rho[0::2][: len(rho[1::2])] + rho[1::2]
    ends = np.flatnonzero(gamma <= 0)
    stop = ends[0] if len(ends) else len(gamma)
    return np.minimum(len(x), len(x) / np.maximum(2 * gamma[:stop].sum() - 1, 1e-9))


@effective_sample_size.alternative
def size_by_the_power_spectrum(x):
    import torch

    z = torch.tensor(np.asarray(x, dtype=np.float64))
    z = z - z.mean()
    n = len(z)
    covariance = torch.fft.ifft(torch.fft.fft(torch.cat([z, torch.zeros_like(z)])).abs() ** 2).real
    rho = (covariance[:n] / covariance[0]).tolist()
    tau = 1 + 2 * rho[1]
    for t in range(3, n, 2):
        if rho[t - 1] + rho[t] <= 0:
            break
        tau += 2 * (rho[t - 1] + rho[t])
    return n / max(tau, 1.0)


# --- Exercise 6: annealed importance sampling

annealed_importance_sampling = Exercise(
    "annealed_importance_sampling", "Annealed importance sampling", annealed_importance_sampling_of
)

AIS_STATES = 4
AIS_DRAWS = 3000

RING = codec.Source(
    "lambda x, log_f, rng: (lambda y: np.where(rng.random(len(x)) < np.exp(np.minimum(0, log_f[y] - log_f[x])),"
    " y, x))((np.asarray(x) + rng.choice([-1, 1], len(x))) % len(log_f))"
)
"""Metropolis on a ring of states: propose a neighbour, accept by the ratio."""


class Annealing(NamedTuple):
    """A base, a target and a schedule on `AIS_STATES` states."""

    log_base: Array
    log_target: Array
    betas: Array

    def log_f(self, beta: float) -> Array:
        return np.asarray((1 - beta) * self.log_base + beta * self.log_target)

    def ring_matrix(self, beta: float) -> Array:
        """The transition matrix of `RING` at one temperature."""
        K = len(self.log_base)
        Q = (np.roll(np.eye(K), 1, axis=1) + np.roll(np.eye(K), -1, axis=1)) / 2
        return with_correction(FiniteSpace(self.log_f(beta), Q), 1.0)

    def weight_law(
        self, matrices: Sequence[Array], weigh_first: bool = True, start: Array | None = None
    ) -> tuple[Array, Array]:
        """All values that log w can take and their probabilities, over every path of states.

        `matrices` moves after each of the T weights, `Annealing.right` in a correct run. With
        `weigh_first=False` each move comes before its weight; `start` replaces the base as the law of x_0.
        """
        slope = self.log_target - self.log_base
        states, log_w = np.arange(len(slope)), np.zeros(len(slope))
        chance = np.exp(self.log_base) if start is None else start
        for step, P in zip(np.diff(self.betas), matrices):
            for action in ("weigh", "move") if weigh_first else ("move", "weigh"):
                if action == "weigh":
                    log_w = log_w + step * slope[states]
                else:
                    origins, ends = np.nonzero(P[states] > 0)
                    chance = chance[origins] * P[states[origins], ends]
                    log_w, states = log_w[origins], ends
        return log_w, chance

    @property
    def right(self) -> list[Array]:
        return [self.ring_matrix(beta) for beta in self.betas[1:]]

    @property
    def late(self) -> list[Array]:
        return [self.ring_matrix(beta) for beta in self.betas[:-1]]


def below(law: tuple[Array, Array], thresholds: Array) -> Array:
    """P(log w ≤ c) for every threshold c."""
    return np.array([law[1][law[0] <= c].sum() for c in thresholds])


def thresholds_of(law: tuple[Array, Array]) -> Array:
    """Values between those that log w can take, far from any, near every tenth of its law."""
    order = np.argsort(law[0])
    values, reached = law[0][order], np.cumsum(law[1][order])
    wide = np.flatnonzero(np.diff(values) > 1e-5)
    chosen = {int(wide[abs(reached[wide] - q).argmin()]) for q in np.linspace(0.1, 0.9, 9)}
    return np.array([(values[k] + values[k + 1]) / 2 for k in sorted(chosen)])


def astray(problem: Annealing) -> Iterator[tuple[Array, Array]]:
    """The laws of w for five ways to go astray.

    They move before they weigh, at the temperature before, or not at all, take the schedule for even, or start
    from a uniform draw.
    """
    yield problem.weight_law(problem.right, weigh_first=False)
    yield problem.weight_law(problem.late)
    yield problem.weight_law([np.eye(AIS_STATES)] * len(problem.right))
    even = problem._replace(betas=np.linspace(0.0, 1.0, len(problem.betas)))
    yield even.weight_law(even.right)
    yield problem.weight_law(problem.right, start=np.full(AIS_STATES, 1 / AIS_STATES))


def random_annealing(rng: np.random.Generator) -> Annealing:
    """A problem on which every way to go astray changes the law of w."""
    while True:
        log_base = np.log(rng.dirichlet(np.full(AIS_STATES, 2.0)) * 0.8 + 0.05)
        log_base -= logsumexp(log_base)
        betas = np.array([0.0, *np.sort(rng.uniform(0.15, 0.85, 2)), 1.0])
        problem = Annealing(log_base, rng.uniform(-4, 4, AIS_STATES), betas)
        if np.diff(betas).min() < 0.15:
            continue
        law = problem.weight_law(problem.right)
        thresholds = thresholds_of(law)
        right = below(law, thresholds)
        if all(abs(right - below(other, thresholds)).max() > 0.12 for other in astray(problem)):
            return problem


def weights_and_estimate(attempt: Attempt, value: object, n: int) -> tuple[Array, float]:
    attempt.expect(
        isinstance(value, tuple | list) and len(value) == 2, "return two things, the log-weights and log Ẑ"
    )
    weights = attempt.array(value[0], (n,), "the array of log-weights")  # type: ignore[index]
    estimate = attempt.array(value[1], (), "the estimate")  # type: ignore[index]
    return weights.astype(float), float(estimate.reshape(()))


@annealed_importance_sampling.check(4, "the target is a multiple of the base: every weight is that multiple")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for K, T, n, factor in [
        (1, 1, 1, 2.0),
        (3, 1, 5, -1500.0),
        (5, 4, 20, 1500.0),
        (2, 6, 1, 0.7),
        (4, 3, 9, -3.0),
    ]:
        log_base = np.log(rng.dirichlet(np.ones(K)) * 0.5 + 0.5 / K)
        betas = np.array([0.0, *np.sort(rng.uniform(0.1, 0.9, T - 1)), 1.0])
        calls.append((log_base, log_base + factor, betas, RING, n, attempt.draw_rng()))
    wrong = 0
    for value, call in zip(attempt.call_many(calls), calls):
        weights, _ = weights_and_estimate(attempt, value, call[4])
        wrong += not np.allclose(weights, call[1][0] - call[0][0], rtol=1e-6, atol=1e-6)
    attempt.expect(
        wrong == 0, f"{wrong} of {len(calls)} runs gave log-weights other than the log of the multiple"
    )


@annealed_importance_sampling.check(
    4, "the estimate is the log of the mean of the weights, also for huge ones"
)
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for scale, n in [(2.0, 30), (2.0, 7), (2000.0, 25), (2000.0, 1), (1.0, 200)]:
        log_target = rng.uniform(-scale, scale, 5)
        calls.append(
            (np.full(5, -math.log(5)), log_target, np.array([0.0, 0.4, 1.0]), RING, n, attempt.draw_rng())
        )
    calls += [(c[0], c[1] + offset, *c[2:]) for c, offset in zip(calls[:2], (1500.0, -1500.0))]
    wrong = 0
    for value, call in zip(attempt.call_many(calls), calls):
        weights, estimate = weights_and_estimate(attempt, value, call[4])
        wrong += not np.isclose(estimate, logsumexp(weights) - math.log(call[4]), rtol=1e-6, atol=1e-6)
    attempt.expect(
        wrong == 0, f"{wrong} of {len(calls)} estimates are not the log of the mean of their weights"
    )


@annealed_importance_sampling.check(
    7, "the exact law of the weights, over all paths through four states", seconds=30
)
def _(attempt: Attempt) -> None:
    """Correct code fails with probability ≤ ALPHA (1e-9): the runs are independent draws of an exact law.

    Power, measured: it caught all eight mistakes that change the weights on each of 63 seeds.
    """
    problem = random_annealing(attempt.rng)
    law = problem.weight_law(problem.right)
    thresholds = thresholds_of(law)

    def draw(n: int) -> list[Count]:
        value = attempt.call(*problem, RING, n, attempt.draw_rng())
        weights, _ = weights_and_estimate(attempt, value, n)
        return [
            Count(f"a log-weight below its {p:.0%} quantile", int((weights <= c).sum()), n, float(p))
            for c, p in zip(thresholds, below(law, thresholds))
        ]

    attempt.sequential(draw, AIS_DRAWS, "the weights do not have the law they should have")


@annealed_importance_sampling.mistake(
    "Average the weights, not their logarithms: log of the mean, by log-sum-exp."
)
def averages_the_log_weights(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, log_w.mean()


@annealed_importance_sampling.mistake(
    "That is the log of the sum of the weights. Subtract log n for the mean."
)
def sums_the_weights_without_dividing_by_n(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w)


@annealed_importance_sampling.mistake(
    "exp of a large log-weight is infinite, and of a small one zero. Use log-sum-exp."
)
def exponentiates_the_log_weights(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.log(np.mean(np.exp(log_w)))


@annealed_importance_sampling.mistake(
    "First weigh, then move: the weight belongs to the state before the step."
)
def moves_before_it_weighs(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "After weighing for β_k, move at β_k. Yours still moves at the temperature before."
)
def moves_at_the_temperature_before(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k - 1]) * log_base + betas[k - 1] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The chains never move: that is importance sampling from the base, and the schedule does nothing."
)
def never_moves_the_chains(log_base, log_target, betas, step, n, rng):
    x = rng.choice(len(log_base), n, p=np.exp(log_base))
    log_w = (log_target - log_base)[x]
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The base leaves the path as the target enters: log f_β has (1 - β) log p_0, so subtract log p_0."
)
def forgets_the_base_in_the_weight(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * log_target[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The runs start from p_0, not from a uniform draw: pass p=np.exp(log_base)."
)
def starts_from_the_uniform_law(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n), np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The increments have the wrong sign: the next temperature minus the one before."
)
def weighs_with_the_wrong_sign(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    for k in range(1, len(betas)):
        log_w -= (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake(
    "The schedule is given and need not be even: use the differences of betas."
)
def takes_the_schedule_for_even(log_base, log_target, betas, step, n, rng):
    x, log_w = rng.choice(len(log_base), n, p=np.exp(log_base)), np.zeros(n)
    even = np.linspace(0, 1, len(betas))
    for k in range(1, len(betas)):
        log_w += (even[k] - even[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - even[k]) * log_base + even[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.mistake("The runs are independent: draw n starting states, not one for all.")
def starts_all_runs_in_one_state(log_base, log_target, betas, step, n, rng):
    x = np.full(n, rng.choice(len(log_base), p=np.exp(log_base)))
    log_w = np.zeros(n)
    for k in range(1, len(betas)):
        log_w += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_w, np.logaddexp.reduce(log_w) - np.log(n)


@annealed_importance_sampling.alternative
def annealing_by_log_densities(log_base, log_target, betas, step, n, rng):
    import itertools

    path = [(1 - beta) * log_base + beta * log_target for beta in betas]
    x = np.searchsorted(np.cumsum(np.exp(log_base))[:-1], rng.random(n), side="right")
    total = 0
    for before, after in itertools.pairwise(path):
        total = total + after[x] - before[x]
        if after is not path[-1]:
            x = step(x, after, rng)
    largest = total.max()
    return total, largest + math.log(np.mean(np.exp(total - largest)))


@annealed_importance_sampling.alternative
def annealing_by_recorded_states(log_base, log_target, betas, step, n, rng):
    visited = [rng.choice(np.arange(len(log_base)), size=n, p=np.exp(log_base) / np.exp(log_base).sum())]
    for beta in betas[1:-1]:
        visited.append(step(visited[-1], log_base + beta * (log_target - log_base), rng))
    slopes = (log_target - log_base)[np.array(visited)]
    log_w = np.diff(betas) @ slopes
    return log_w.tolist(), float(np.logaddexp.reduce(log_w - np.log(n)))


@annealed_importance_sampling.alternative
def annealing_run_by_run_in_blocks(log_base, log_target, betas, step, n, rng):
    log_w = []
    for first in range(0, n, 100):
        x = rng.choice(len(log_base), min(100, n - first), p=np.exp(log_base))
        here = np.zeros(len(x))
        for k in range(len(betas) - 1):
            f0 = (1 - betas[k]) * log_base + betas[k] * log_target
            f1 = (1 - betas[k + 1]) * log_base + betas[k + 1] * log_target
            for r in range(len(x)):
                here[r] += f1[x[r]] - f0[x[r]]
            x = step(x, f1, rng)
        log_w += list(here)
    import torch

    values = torch.tensor(log_w, dtype=torch.float64)
    return values, torch.logsumexp(values, 0) - math.log(n)


assignment = Assignment(
    "mcmc",
    (
        metropolis_hastings,
        transition_matrix,
        gaussian_gibbs,
        langevin,
        effective_sample_size,
        annealed_importance_sampling,
    ),
    imports=("matplotlib.pyplot", "torch"),
)
