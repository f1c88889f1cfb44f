"""What the exercises ask for, as the references compute it."""

import functools
import itertools

import numpy as np

Grid = np.ndarray
Array = np.ndarray


def spins(labels: Grid) -> Grid:
    """-1 and +1 for labels 0 and 1 of any dtype."""
    return np.where(np.asarray(labels) > 0, 1.0, -1.0)


def agreement(labels: Grid) -> Grid:
    """Σ s_i s_j over neighbours, of grids (..., n, m)."""
    s = spins(labels)
    down = np.einsum("...ij,...ij->...", s[..., 1:, :], s[..., :-1, :])
    across = np.einsum("...ij,...ij->...", s[..., :, 1:], s[..., :, :-1])
    return down + across


def energy_of(labels: Grid, noisy: Grid, coupling: float, field: float) -> Grid:
    """E(y) of grids (..., n, m)."""
    return -field * (spins(labels) * spins(noisy)).sum((-2, -1)) - coupling * agreement(labels)


def pull_on(labels: Grid, noisy: Grid, coupling: float, field: float) -> Grid:
    """Half of the log-odds of label 1 at every pixel of grids (..., n, m)."""
    s = coupling * spins(labels)
    total = np.broadcast_to(field * spins(noisy), s.shape).copy()
    total[..., 1:, :] += s[..., :-1, :]
    total[..., :-1, :] += s[..., 1:, :]
    total[..., :, 1:] += s[..., :, :-1]
    total[..., :, :-1] += s[..., :, 1:]
    return total


def sigmoid(log_odds: Grid) -> Grid:
    return np.exp(-np.logaddexp(0.0, -log_odds))


def conditional_of(labels: Grid, noisy: Grid, row: int, column: int, coupling: float, field: float) -> float:
    """p(y = 1) at one pixel, given the rest."""
    return float(sigmoid(2 * pull_on(labels, noisy, coupling, field)[row, column]))


def sweep_of(labels: Grid, noisy: Grid, coupling: float, field: float, rng: np.random.Generator) -> Grid:
    """New labels (B, n, m), even pixels first."""
    new = np.array(labels)
    odd = np.add.outer(np.arange(noisy.shape[0]), np.arange(noisy.shape[1])) % 2 == 1
    for mask in (~odd, odd):
        probability = sigmoid(2 * pull_on(new, noisy, coupling, field)[:, mask])
        new[:, mask] = rng.random(probability.shape) < probability
    return new


def descend(labels: Grid, noisy: Grid, coupling: float, field: float) -> Grid:
    """Iterated conditional modes from `labels` until nothing changes, even pixels first."""
    new = np.array(labels)
    odd = np.add.outer(np.arange(noisy.shape[0]), np.arange(noisy.shape[1])) % 2 == 1
    while True:
        before = new.copy()
        for mask in (~odd, odd):
            uphill = (pull_on(new, noisy, coupling, field) * spins(new) < -TIE) & mask
            new[uphill] = 1 - new[uphill]
        if (new == before).all():
            return new


def denoise_of(noisy: Grid, coupling: float, field: float) -> Grid:
    """Iterated conditional modes from the noisy picture."""
    return descend(noisy, noisy, coupling, field)


def map_of(noisy: Grid, coupling: float, field: float) -> Grid:
    """A picture of lowest energy among all."""
    pictures = all_pictures(noisy.shape)
    return pictures[energy_of(pictures, noisy, coupling, field).argmin()]


def log_ratio_of(image: Grid, other: Grid, coupling: float) -> float:
    """log p(image) / p(other) without a field."""
    return float(coupling * (agreement(image) - agreement(other)))


def chain_of(scores: Array, transitions: Array) -> tuple[float, Array]:
    """log Z of a chain, by the forward recursion, and a labelling of the highest score, by Viterbi's."""
    ahead = best = np.asarray(scores[0], dtype=float)
    origins = []
    for row in scores[1:]:
        total = best[:, None] + transitions
        origins.append(total.argmax(0))
        best = total.max(0) + row
        ahead = np.logaddexp.reduce(ahead[:, None] + transitions, axis=0) + row
    labelling = [int(best.argmax())]
    for origin in reversed(origins):
        labelling.append(int(origin[labelling[-1]]))
    return float(np.logaddexp.reduce(ahead)), np.array(labelling[::-1])


def chain_score(labelling: Array, scores: Array, transitions: Array) -> float:
    """What a labelling adds up to: log p + log Z."""
    at_positions = scores[np.arange(len(scores)), labelling].sum()
    return float(at_positions + transitions[labelling[:-1], labelling[1:]].sum())


TIE = 1e-9
"""Energies that differ by less are taken to be equal."""


@functools.cache
def all_pictures(shape: tuple[int, int]) -> Grid:
    """All labellings of a grid, (2^(nm), n, m); labelling k holds the binary digits of k."""
    pictures = np.array(list(itertools.product((0, 1), repeat=shape[0] * shape[1]))).reshape(-1, *shape)
    pictures.flags.writeable = False
    return pictures
