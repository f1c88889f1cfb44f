"""Exercise 2: detailed balance, as a matrix."""

import itertools
import math

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise

from .definitions import Array, transition_matrix_of

P_AND_F = ("the matrix P", "the flow F")

transition_matrix = Exercise("transition_matrix", "Detailed balance, as a matrix", transition_matrix_of)


def random_proposals(rng: np.random.Generator, K: int, zeros: float = 0.0) -> Array:
    """Rows that sum to one, with a share of zeros off the diagonal."""
    Q = rng.uniform(0.1, 1.0, (K, K))
    Q[(rng.random((K, K)) < zeros) & ~np.eye(K, dtype=bool)] = 0.0
    return np.asarray(Q / Q.sum(1, keepdims=True))


@transition_matrix.check(4, "the matrix P for random probabilities and proposals, zeros among them")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [int(K) for K in rng.integers(3, 8, 10)]
    calls = [
        (rng.uniform(-2, 2, K), random_proposals(rng, K, zeros))
        for K, zeros in zip(sizes, itertools.cycle((0.0, 0.4)))
    ]
    compare_part(attempt, calls, 0, P_AND_F, atol=1e-9)


@transition_matrix.check(3, "probabilities whose exponentials overflow, one state, two states, equal ones")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(np.array([uniform(rng, -5, 5)]), np.ones((1, 1))), (np.zeros(4), random_proposals(rng, 4))]
    calls += [(rng.uniform(-2, 2, 2), random_proposals(rng, 2)), (rng.uniform(-2, 2, 3), np.eye(3))]
    for offset in (1000.0, -1000.0):
        calls += [(offset + rng.uniform(-2, 2, 4), random_proposals(rng, 4))]
    calls += [(np.array([-900.0, 900.0, 899.0, -899.5]), random_proposals(rng, 4, 0.2))]
    compare_part(attempt, calls, 0, P_AND_F, atol=1e-9)


@transition_matrix.check(3, "the flow F: normalized, also for large and small log-probabilities")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = [(rng.uniform(-2, 2, K), random_proposals(rng, K, 0.3)) for K in (2, 3, 4, 5, 6)]
    calls += [(offset + rng.uniform(-2, 2, 4), random_proposals(rng, 4)) for offset in (1000.0, -1000.0)]
    compare_part(attempt, calls, 1, P_AND_F, atol=1e-9)


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


@transition_matrix.mistake(
    "Where Q_ij and Q_ji are 0, the ratio is 0 / 0. Such a move is never proposed: its P_ij is 0."
)
def divides_zero_by_zero(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        P = Q * np.minimum(1, np.exp(log_p[None] - log_p[:, None]) * Q.T / Q)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P, p[:, None] * P


@transition_matrix.mistake(
    "0 / 0 is NaN. Where Q_ij is 0 no move is proposed, and p_i can be 0 in floats: take differences of log_p."
)
def divides_zero_by_zero_with_probabilities_that_underflow(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        P = Q * np.minimum(1, p[None] * Q.T / (p[:, None] * Q))
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


@transition_matrix.mistake(
    "The way back stands above: Q_ji / Q_ij. Yours has the two proposals turned round."
)
def turns_the_ratio_of_the_proposals_round(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        ratio = np.exp(log_p[None] - log_p[:, None] + np.log(Q) - np.log(Q.T))
    P = np.where((Q > 0) & (Q.T > 0), Q * np.minimum(1, ratio), 0)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    return P, p[:, None] * P


@transition_matrix.mistake(
    "That is Barker's acceptance r / (1 + r). Metropolis and Hastings accept min(1, r)."
)
def accepts_by_barkers_rule(log_p, Q):
    p = np.exp(log_p - np.logaddexp.reduce(log_p))
    with np.errstate(all="ignore"):
        log_ratio = log_p[None] - log_p[:, None] + np.log(Q.T) - np.log(Q)
    P = np.where(Q > 0, Q * np.exp(-np.logaddexp(0, -np.where(Q > 0, log_ratio, -np.inf))), 0)
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
