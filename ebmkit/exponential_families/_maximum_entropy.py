"""Maximum entropy under moment constraints: Newton's method on the dual, and who is to blame where none fits."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit._checks import as_tensor
from ebmkit.exponential_families._family import real


class MaximumEntropy(NamedTuple):
    """The distribution of largest entropy under moment constraints, p_i = exp(θ·f_i - A(θ)).

    θ has shape `(K,)` and p `(n_states,)`; A(θ) and the entropy (in nats) are scalars.

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> faces = torch.arange(1.0, 7.0, dtype=torch.float64)[:, None]
    >>> fair = exponential_families.maximum_entropy(faces, torch.tensor([3.5], dtype=torch.float64))
    >>> fair.probabilities
    tensor([0.1667, 0.1667, 0.1667, 0.1667, 0.1667, 0.1667], dtype=torch.float64)
    """

    natural_parameters: Tensor
    probabilities: Tensor
    log_partition: Tensor
    entropy: Tensor


def maximum_entropy(features: Tensor, moments: Tensor, names: Sequence[str] | None = None) -> MaximumEntropy:
    """The distribution on n states of largest entropy with E[f(x)] = m.

        minimize over θ:  log Σ_i exp(θ·(f_i - m)),   then p_i ∝ exp(θ·f_i)

    by Newton's method with a line search on the dual. Where features are redundant many θ give the same p;
    Newton starts from θ = 0 and never moves along a direction that changes nothing.

    Parameters
    ----------
    features:
        f, `(n_states, K)`.
    moments:
        m, `(K,)`.
    names:
        What to call the K moments in errors; their indices if not given.

    Raises `ValueError`, naming the moment, where no distribution has these moments, or where all that have
    them give some state probability zero (then no finite θ is best). Source: Jaynes (1957).

    >>> import torch
    >>> from ebmkit import exponential_families
    >>> faces = torch.arange(1.0, 7.0, dtype=torch.float64)[:, None]
    >>> biased = exponential_families.maximum_entropy(faces, torch.tensor([4.5], dtype=torch.float64))
    >>> biased.probabilities.round(decimals=2)
    tensor([0.0500, 0.0800, 0.1100, 0.1700, 0.2400, 0.3500], dtype=torch.float64)
    """
    features, moments = as_tensor(features, name="features"), as_tensor(moments, name="moments")
    dtype = real(features).dtype
    # Worked in float64; what float32 rounds away is no contradiction between redundant moments.
    tolerance = max(1e-9, 100 * torch.finfo(dtype).eps)
    features, moments = features.double(), moments.to(features.device).double()
    _check_constraints(features, moments, names)
    label = [str(k) if names is None else f"{k} ({names[k]})" for k in range(len(moments))]
    spread = features.amax(0) - features.amin(0)
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))
    centred = (features - moments) / scale
    _check_each_moment(features, moments, label)
    plane = _plane(centred, 100 * torch.finfo(dtype).eps)
    _check_together(centred, plane, moments, label, tolerance)
    theta = plane @ _minimize_log_sum_exp(centred @ plane, tolerance) / scale
    log_partition = (features @ theta).logsumexp(0)
    log_prob = features @ theta - log_partition
    entropy = -torch.special.xlogy(log_prob.exp(), log_prob.exp()).sum()
    return MaximumEntropy(*(t.to(dtype) for t in (theta, log_prob.exp(), log_partition, entropy)))


def _check_constraints(features: Tensor, moments: Tensor, names: Sequence[str] | None) -> None:
    if features.dim() != 2 or 0 in features.shape or moments.shape != features.shape[1:]:
        raise ValueError(
            "features must be (n_states, K) and moments (K,), neither empty, "
            f"got {tuple(features.shape)} and {tuple(moments.shape)}"
        )
    if names is not None and len(names) != len(moments):
        raise ValueError(f"{len(moments)} names are needed, got {len(names)}")
    if not bool(features.isfinite().all() & moments.isfinite().all()):
        raise ValueError("features and moments must be finite")


def _check_each_moment(features: Tensor, moments: Tensor, label: Sequence[str]) -> None:
    """Raise `ValueError` unless each moment alone lies strictly between the extremes of its feature."""
    low, high = features.amin(0), features.amax(0)
    for k, name in enumerate(label):
        m, a, b = moments[k].item(), low[k].item(), high[k].item()
        if not a <= m <= b:
            raise ValueError(f"moment {name} = {m} is infeasible: its feature lies between {a} and {b}")
        if a < b and m in (a, b):
            raise ValueError(
                f"moment {name} = {m} is on the boundary: its feature lies between {a} and {b}, so every "
                "other state has probability zero; leave those states out"
            )


def _plane(points: Tensor, resolution: float) -> Tensor:
    """An orthonormal basis of the directions in which the points `(n, K)` differ; `(K, r)`."""
    _, size, directions = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    differ: Tensor = size > resolution * size.amax().clamp(min=1)
    return torch.as_tensor(directions)[differ].T


def _check_together(
    centred: Tensor, plane: Tensor, moments: Tensor, label: Sequence[str], tolerance: float
) -> None:
    """Raise `ValueError` unless 0 is in the relative interior of the convex hull of the centred features."""
    middle = centred.mean(0)
    off_plane = middle - plane @ (plane.T @ middle)
    if bool((off_plane.abs() > tolerance).any()):
        room, direction = -math.inf, off_plane
    else:
        room, direction = _room_inside(centred @ plane)
        direction = plane @ direction.to(plane)
    # The linear program is solved to 1e-10.
    if room <= 1e-9:
        k = int(direction.abs().argmax())
        verdict = "is infeasible together with" if room < -1e-9 else "is on the boundary given"
        raise ValueError(
            f"moment {label[k]} = {moments[k].item()} {verdict} the other moments; move it, "
            "or leave out the states that the moments exclude"
        )


def _room_inside(points: Tensor) -> tuple[float, Tensor]:
    """max over p of min_i p_i with Σ p_i = 1 and Σ p_i f_i = 0, and the direction in which room runs out.

    Positive inside the convex hull of the points f `(n, r)`, zero on its boundary, negative outside.
    """
    import numpy as np
    from scipy.optimize import linprog

    f = points.detach().cpu().numpy()
    n, r = f.shape
    conditions = np.vstack([f.T, np.ones(n)])
    # p_i = q_i + t with q ≥ 0 and t free.
    answer = linprog(
        np.append(np.zeros(n), -1.0),
        A_eq=np.column_stack([conditions, conditions.sum(1)]),
        b_eq=np.append(np.zeros(r), 1.0),
        bounds=[(0, None)] * n + [(None, None)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not answer.success:
        raise RuntimeError(f"the feasibility of the moments could not be decided: {answer.message}")
    return float(answer.x[-1]), torch.from_numpy(np.asarray(answer.eqlin.marginals[:-1]))


def _minimize_log_sum_exp(points: Tensor, tolerance: float) -> Tensor:
    """The θ of least log Σ_i exp(θ·f_i), points f `(n, r)`, by Newton's method with a backtracking line search."""
    theta = torch.zeros_like(points[0])
    for _ in range(500):
        p = (points @ theta).softmax(0)
        gradient = p @ points
        if not bool((gradient.abs() > 50 * torch.finfo(theta.dtype).eps).any()):
            return theta
        hessian = (points - gradient).T @ ((points - gradient) * p[:, None])
        step = -torch.linalg.pinv(hessian, hermitian=True) @ gradient
        theta = theta + _backtrack(points, theta, step, gradient) * step
    if bool((gradient.abs() > tolerance).any()):
        raise RuntimeError(
            f"Newton's method missed the moments by {gradient.abs().max().item():.2g} of their features' "
            "range; they are too close to the boundary"
        )
    return theta


def _backtrack(points: Tensor, theta: Tensor, step: Tensor, gradient: Tensor) -> float:
    """The largest 2^-k that lowers log Σ_i exp(θ·f_i) by a share of what the slope promises."""
    start = (points @ theta).logsumexp(0)
    slope = gradient @ step
    size = 1.0
    for _ in range(60):
        if bool((points @ (theta + size * step)).logsumexp(0) <= start + 1e-4 * size * slope + 1e-14):
            break
        size /= 2
    return size
