"""Anomaly detection: how much less likely an x is than a reference, and how well that separates."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ebmkit._checks import as_tensor
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel


def anomaly_scores(model: EnergyModel, x: Tensor, reference: Tensor) -> Tensor:
    """How much less likely x is than a `reference` x', log p(x') / p(x) = E(x) - E(x'); `(...)`.

    The ranking of several x, hence the ROC curve, does not depend on the reference. Raises `ValueError` where
    an energy is not a number.

    >>> import torch
    >>> from ebmkit import annealing, applications
    >>> bowl = annealing.GaussianBase((1,))
    >>> near, far = torch.tensor([[0.1]]).double(), torch.tensor([[9.0]]).double()
    >>> bool(applications.anomaly_scores(bowl, far, near) > applications.anomaly_scores(bowl, near, near))
    True
    """
    check_is_model(model, "anomaly_scores")
    scores = model.log_ratio(reference, x)
    if bool(scores.isnan().any()):
        raise ValueError(
            f"{int(scores.isnan().sum())} anomaly scores are nan; check the energies of x and reference"
        )
    return scores


class ROC(NamedTuple):
    """The rates at which normal and anomalous x are flagged when every score ≥ threshold is.

    All of shape `(n_distinct + 1,)`, from (0, 0) at threshold ∞ to (1, 1). Equal scores make one point.

    >>> import torch
    >>> from ebmkit import applications
    >>> curve = applications.roc_curve(torch.tensor([0.1, 0.9]), torch.tensor([False, True]))
    >>> curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist()
    ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    """

    false_positive_rate: Tensor
    true_positive_rate: Tensor
    thresholds: Tensor


def roc_curve(scores: Tensor, anomalous: Tensor) -> ROC:
    """The ROC curve of scores `(n,)` that should be high where `anomalous`, bool `(n,)`, is true.

    Raises `ValueError` where either class is missing or a score is nan.

    >>> import torch
    >>> from ebmkit import applications
    >>> curve = applications.roc_curve(torch.tensor([0.1, 0.4, 0.9]), torch.tensor([False, True, True]))
    >>> curve.true_positive_rate.tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    thresholds, positives, negatives = _counts_by_score(scores, anomalous)
    descending = [c.flip(0).cumsum(0).double() / c.sum() for c in (negatives, positives)]
    start = torch.zeros(1, dtype=torch.float64, device=thresholds.device)
    above = torch.full_like(thresholds[:1], math.inf)
    return ROC(
        torch.cat([start, descending[0]]),
        torch.cat([start, descending[1]]),
        torch.cat([above, thresholds.flip(0)]),
    )


def auc(scores: Tensor, anomalous: Tensor) -> Tensor:
    """The area under the ROC curve: P(anomalous scores higher) + ½ P(equal), over all pairs; float64 scalar.

    Counted in integers, so ties and order change nothing. `scores` `(n,)`, `anomalous` bool `(n,)`.
    Source: Mann & Whitney (1947).

    >>> import torch
    >>> from ebmkit import applications
    >>> applications.auc(torch.tensor([0.1, 0.4, 0.9]), torch.tensor([False, True, True]))
    tensor(1., dtype=torch.float64)
    """
    _, positives, negatives = _counts_by_score(scores, anomalous)
    negatives_below = negatives.cumsum(0) - negatives
    twice_wins = (positives * (2 * negatives_below + negatives)).sum()
    return twice_wins.double() / (2 * positives.sum() * negatives.sum())


def _counts_by_score(scores: Tensor, anomalous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct scores in ascending order, and how many anomalous and normal x have each."""
    scores, anomalous = as_tensor(scores, name="scores"), torch.as_tensor(anomalous)
    if scores.dim() != 1 or anomalous.shape != scores.shape or anomalous.dtype != torch.bool:
        raise ValueError(
            "scores must be (n,) and anomalous bool of the same shape, "
            f"got {tuple(scores.shape)} and {anomalous.dtype} {tuple(anomalous.shape)}"
        )
    if bool(scores.isnan().any()):
        raise ValueError("scores must be numbers, got nan")
    if not bool(anomalous.any()) or bool(anomalous.all()):
        raise ValueError(f"both classes are needed, got {int(anomalous.sum())} anomalous of {len(scores)}")
    real = scores.detach() if scores.is_floating_point() else scores.double()
    distinct, index = torch.unique(real, return_inverse=True)  # type: ignore[no-untyped-call]
    return distinct, *(torch.bincount(index[m], minlength=len(distinct)) for m in (anomalous, ~anomalous))
