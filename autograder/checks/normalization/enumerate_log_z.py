"""Exercise 5: Z by enumeration, and its cost."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.comparisons import compare_part
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker.codec import Source

from .definitions import Call, enumerate_log_z_of

enumerate_log_z = Exercise("enumerate_log_z", "Z by enumeration, and its cost", enumerate_log_z_of)


def quadratic(rng: np.random.Generator, n: int, size: float = 1.0, shift: float = 0.0) -> Source:
    """Fields and couplings between all sites, no two of them alike."""
    return Source(
        "lambda x: c + x @ b + ((x @ W) * x).sum(-1)",
        c=shift,
        b=rng.normal(0, size, n),
        W=np.triu(rng.normal(0, size / n, (n, n)), 1),
    )


@enumerate_log_z.check(6, "log Z of random energies of bits")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    compare_part(attempt, [(quadratic(rng, n, 1.0, uniform(rng, 0.5, 1.0)), n, 2) for n in (3, 5, 6, 8)], 0)


@enumerate_log_z.check(3, "the number of terms, for several numbers of sites and values")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(5, 3), (3, 5), (6, 2), (1, 7), (2, 6)]
    compare_part(attempt, [(quadratic(rng, n), n, q) for n, q in sizes], 1)


@enumerate_log_z.check(3, "log Z with more values than two, with one site, and with one value")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    sizes = [(4, 3), (3, 5), (1, 6), (1, 2), (4, 1), (2, 7)]
    compare_part(attempt, [(quadratic(rng, n, 0.4, uniform(rng, 0.5, 1.0)), n, q) for n, q in sizes], 0)


@enumerate_log_z.check(3, "energies in the thousands of either sign, and forbidden configurations")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = [(quadratic(rng, 5, 1.0, shift), 5, 2) for shift in (3000.0, -3000.0)]
    calls += [(quadratic(rng, 4, 900.0), 4, 2)]
    forbid = "lambda x: np.where((x == v).all(-1) | (x.sum(-1) > 4), np.inf, x @ b)"
    calls += [(Source(forbid, v=int(rng.integers(3)), b=rng.normal(0, 1, 4)), 4, 3)]
    compare_part(attempt, calls, 0)
    compare_part(attempt, calls, 1)


@enumerate_log_z.mistake("Low energy means probable: the terms are exp(-E), with a minus sign.")
def forgets_the_minus_sign(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(energy(x)), q**n


@enumerate_log_z.mistake("exp(-E) overflows or is 0 for energies in the thousands: use a stable log-sum-exp.")
def adds_without_the_log_domain(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.log(np.exp(-energy(x)).sum()), q**n


@enumerate_log_z.mistake(
    "n sites with q values each have q to the power n configurations, not n to the power q."
)
def counts_n_to_the_power_q(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)), n**q


@enumerate_log_z.mistake(
    "Every choice at one site goes with every choice at the others: multiply, do not add."
)
def counts_n_times_q(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)), n * q


@enumerate_log_z.mistake(
    "One configuration is never tried: there are q**n of them, so count with range(q ** n)."
)
def leaves_out_the_last_configuration(energy, n, q):
    x = np.arange(max(q**n - 1, 1))[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)), len(x)


@enumerate_log_z.mistake("Order matters: (0, 1) and (1, 0) are two configurations. Use itertools.product.")
def lists_each_multiset_once(energy, n, q):

    import itertools

    x = np.array(list(itertools.combinations_with_replacement(range(q), n)))
    return np.logaddexp.reduce(-energy(x)), len(x)


@enumerate_log_z.mistake("The values are 0, 1, …, q - 1, not 1, …, q.")
def counts_the_values_from_one(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q + 1
    return np.logaddexp.reduce(-energy(x)), q**n


@enumerate_log_z.mistake("That is the log of the mean; the sum is larger by the log of the number of terms.")
def averages_over_the_configurations(energy, n, q):
    x = np.arange(q**n)[:, None] // q ** np.arange(n) % q
    return np.logaddexp.reduce(-energy(x)) - n * np.log(q), q**n


@enumerate_log_z.mistake("Each site has q values, not two: the digits are those of base q.")
def takes_every_site_for_a_bit(energy, n, q):
    x = np.arange(2**n)[:, None] // 2 ** np.arange(n) % 2
    return np.logaddexp.reduce(-energy(x)), 2**n


@enumerate_log_z.alternative
def enumerate_by_product(energy, n, q):

    import itertools

    energies = energy(np.array(list(itertools.product(range(q), repeat=n))))
    lowest = energies.min()
    return -lowest + np.log(np.sum(np.exp(lowest - energies))), len(energies)


@enumerate_log_z.alternative
def enumerate_one_by_one(energy, n, q):
    x = np.zeros((1, n), dtype=int)
    total, terms = -math.inf, 0
    while True:
        total = np.logaddexp(total, -energy(x)[0])
        terms += 1
        site = 0
        while site < n and x[0, site] == q - 1:
            x[0, site] = 0
            site += 1
        if site == n:
            return total, terms
        x[0, site] += 1


@enumerate_log_z.alternative
def enumerate_by_indices_and_torch(energy, n, q):
    states = np.indices((q,) * n).reshape(n, -1).T
    return torch.logsumexp(-torch.as_tensor(energy(states)), 0).item(), np.int64(states.shape[0])


@enumerate_log_z.alternative
def enumerate_by_growing_the_states(energy, n, q):
    states = [()]
    for _ in range(n):
        states = [(*state, value) for state in states for value in range(q)]
    exponents = sorted((-energy(np.array(states))).tolist())
    top = exponents[-1]
    return top + math.log(math.fsum(math.exp(e - top) for e in exponents)), len(states)
