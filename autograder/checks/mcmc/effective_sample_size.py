"""Exercise 5: effective sample size."""

import math

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise

from .definitions import Array, effective_sample_size_of

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
    slow = np.linspace(0.0, uniform(rng, 5.0, 8.0), 900) + autoregression(
        rng, 900, 0.5
    )  # hundreds of lags count
    attempt.compare([*calls, (autoregression(rng, 301, 0.85),), (autoregression(rng, 40, 0.7),), (slow,)])


@effective_sample_size.check(3, "chains far from zero, tiny ones, float32, and integers")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    chains = [uniform(rng, 20, 90) * s + autoregression(rng, 200, 0.8) for s in (-1.0, 1.0, 1e3)]
    chains += [uniform(rng, 1.0, 2.0) * 1e8 + autoregression(rng, 200, 0.7)]
    chains += [1e-6 * autoregression(rng, 150, 0.7), autoregression(rng, 180, 0.6).astype(np.float32)]
    chains += [np.cumsum(rng.choice([-1, 1], 200)), rng.integers(0, 2, 120)]
    chains += [  # here a mean in float32 is off by a few hundredths
        (uniform(rng, 3e5, 9e5) + autoregression(rng, 200, 0.8)).astype(np.float32) for _ in range(4)
    ]
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


@effective_sample_size.mistake(
    "Every draw counted as an independent one. So it comes out, too, where all lags are added: they sum to -1/2."
)
def counts_all_draws_as_independent(x):
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
