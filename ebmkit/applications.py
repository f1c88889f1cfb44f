"""What an energy is good for without its normalizer: comparing, detecting and predicting.

    log p(x) / p(x') = E(x') - E(x),   argmax_y p(y | x) = argmin_y E(y, x),   p(y | x) = exp(-E(y, x)) / Z(x)
Source: Cornell Tech, Deep Generative Models, lecture 11, "Energy-based models: applications", E(Y, X) three ways.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ebmkit import chance
from ebmkit.chance import Generator
from ebmkit.energy import EnergyModel, check_event, check_kind

# --- Anomaly detection


def anomaly_scores(model: EnergyModel, x: Tensor, reference: Tensor) -> Tensor:
    """How much less likely x is than a `reference` x', log p(x') / p(x) = E(x) - E(x'); `(...)`.

    The ranking of several x, hence the ROC curve, does not depend on the reference. Raises `ValueError` where
    an energy is not a number.
    """
    scores = model.log_ratio(reference, x)
    if bool(scores.isnan().any()):
        raise ValueError(
            f"{int(scores.isnan().sum())} anomaly scores are nan; check the energies of x and reference"
        )
    return scores


class ROC(NamedTuple):
    """The rates at which normal and anomalous x are flagged when every score ≥ threshold is.

    All of shape `(n_distinct + 1,)`, from (0, 0) at threshold ∞ to (1, 1). Equal scores make one point.
    """

    false_positive_rate: Tensor
    true_positive_rate: Tensor
    thresholds: Tensor


def roc_curve(scores: Tensor, anomalous: Tensor) -> ROC:
    """The ROC curve of scores `(n,)` that should be high where `anomalous`, bool `(n,)`, is true.

    Raises `ValueError` where either class is missing or a score is nan.
    """
    thresholds, positives, negatives = _counts_by_score(scores, anomalous)
    descending = [c.flip(0).cumsum(0).double() / c.sum() for c in (negatives, positives)]
    start = torch.zeros(1, dtype=torch.float64, device=scores.device)
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
    """
    _, positives, negatives = _counts_by_score(scores, anomalous)
    negatives_below = negatives.cumsum(0) - negatives
    twice_wins = (positives * (2 * negatives_below + negatives)).sum()
    return twice_wins.double() / (2 * positives.sum() * negatives.sum())


def _counts_by_score(scores: Tensor, anomalous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct scores in ascending order, and how many anomalous and normal x have each."""
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


# --- Object recognition: the joint energy of a class and an image


class JointEnergy(EnergyModel):
    """E(y, x) of a class y and an image x; as an energy of x alone it sums the classes out.

        E(x) = -log Σ_y exp(-E(y, x)),   p(y | x) = exp(-E(y, x) + E(x))

    Parameters
    ----------
    class_energies:
        Maps x, `(..., *event_shape)`, to E(0, x) … E(C-1, x), `(..., C)`: any network (its outputs are -logits),
        `LinearClassEnergies` or `QuadraticClassEnergies`.
    n_classes:
        C.
    event_shape, values:
        Of x, as in `EnergyModel`.

    Source: LeCun et al. (2006), "A tutorial on energy-based learning"; Grathwohl et al. (2020), JEM.
    """

    def __init__(
        self,
        class_energies: Callable[[Tensor], Tensor],
        n_classes: int,
        event_shape: Sequence[int],
        values: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        self.class_energies = class_energies
        self.n_classes = n_classes
        self.event_shape = tuple(event_shape)
        self.values = values

    def joint_energies(self, x: Tensor) -> Tensor:
        """E(y, x) for every class y, `(..., *event_shape)` to `(..., C)`."""
        check_event(x, self.event_shape)
        energies = self.class_energies(x)
        expected = (*x.shape[: x.dim() - len(self.event_shape)], self.n_classes)
        if energies.shape != expected:
            raise ValueError(f"class_energies must give shape {expected}, got {tuple(energies.shape)}")
        return energies

    def joint_energy(self, y: Tensor, x: Tensor) -> Tensor:
        """E(y, x) with classes y, int64 `(...)`, and x `(..., *event_shape)`; returns `(...)`."""
        _check_labels(y, self.n_classes)
        energies = self.joint_energies(x)
        return energies.gather(-1, y.long().expand(energies.shape[:-1]).unsqueeze(-1)).squeeze(-1)

    def energy(self, x: Tensor) -> Tensor:
        """-log Σ_y exp(-E(y, x)): low where x looks like any class."""
        return -(-self.joint_energies(x)).logsumexp(-1)

    def class_log_prob(self, x: Tensor) -> Tensor:
        """log p(y | x) for every y, `(..., C)`; the sum over classes is the only normalizer it needs."""
        return (-self.joint_energies(x)).log_softmax(-1)

    def classify(self, x: Tensor) -> Tensor:
        """argmin_y E(y, x), int64 `(...)`: no normalizer at all."""
        return self.joint_energies(x).argmin(-1)

    def conditional(self, y: int) -> "ClassConditional":
        """p(x | y) ∝ exp(-E(y, x)) as an energy of x: give it to any sampler to draw images of class y."""
        return ClassConditional(self, y)


class ClassConditional(EnergyModel):
    """One class of a joint energy, E(x) = E(y, x) with y fixed."""

    def __init__(self, joint: JointEnergy, y: int) -> None:
        super().__init__()
        if not 0 <= y < joint.n_classes:
            raise ValueError(f"y must be one of 0 … {joint.n_classes - 1}, got {y}")
        self.joint = joint
        self.y = y
        self.event_shape, self.values = joint.event_shape, joint.values

    def energy(self, x: Tensor) -> Tensor:
        """E(y, x), `(..., *event_shape)` to `(...)`."""
        return self.joint.joint_energies(x)[..., self.y]


class LinearClassEnergies(nn.Module):
    """E(y, x) = -(w_y·x + b_y), starting from zero: with `fit_classifier`, logistic regression."""

    def __init__(
        self, n_classes: int, event_shape: Sequence[int], dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.n_axes = len(event_shape)
        self.weight = nn.Parameter(torch.zeros(n_classes, math.prod(event_shape), dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(n_classes, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., *event_shape)` to `(..., C)`."""
        check_kind(x, self.weight)
        return -(_flat(x, self.n_axes) @ self.weight.T + self.bias)


class QuadraticClassEnergies(nn.Module):
    """E(y, x) = b_y + ½ |L_y⁻¹ (x - μ_y)|²: a Gaussian for each class, where Σ_y = L_y L_yᵀ.

    With b_y = ½ log det 2πΣ_y - log π_y, as `fit` sets it, exp(-E(y, x)) is the normalized joint density.

    Parameters
    ----------
    mean, covariance_factor, offset:
        μ `(C, D)`, the lower triangular L `(C, D, D)` and b `(C,)`.
    event_shape:
        The shape of one x, with D entries.
    """

    def __init__(
        self, mean: Tensor, covariance_factor: Tensor, offset: Tensor, event_shape: Sequence[int]
    ) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        self.mean = nn.Parameter(mean)
        self.covariance_factor = nn.Parameter(covariance_factor)
        self.offset = nn.Parameter(offset)

    @staticmethod
    def fit(
        images: Tensor, labels: Tensor, n_classes: int, shrinkage: float = 0.1
    ) -> "QuadraticClassEnergies":
        """The Gaussians of largest likelihood, each covariance pulled to a multiple of the identity.

        Σ_y = (1 - s) S_y + s (tr S_y / D) I. `images` `(n, *event_shape)`, `labels` int `(n,)`. Raises
        `ValueError` where a class has no images, or where one does not vary at all.
        """
        _check_data(images, labels, n_classes)
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"shrinkage must be in [0, 1], got {shrinkage}")
        x = images.flatten(1)
        groups = [x[labels == y] for y in range(n_classes)]
        covariances = [_shrunk_covariance(group, shrinkage, y) for y, group in enumerate(groups)]
        factor = torch.linalg.cholesky(torch.stack(covariances))
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        shares = torch.tensor([len(group) / len(x) for group in groups]).to(x)
        offset = half_log_det + 0.5 * x.shape[1] * math.log(2 * math.pi) - shares.log()
        return QuadraticClassEnergies(
            torch.stack([g.mean(0) for g in groups]), factor, offset, images.shape[1:]
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(..., *event_shape)` to `(..., C)`."""
        difference = _flat(x, len(self.event_shape)).unsqueeze(-2) - self.mean
        solved: Tensor = torch.linalg.solve_triangular(
            self.covariance_factor, difference.unsqueeze(-1), upper=False
        )
        return self.offset + 0.5 * (solved.squeeze(-1) ** 2).sum(-1)

    @torch.no_grad()
    def sample(self, y: int, n_samples: int, generator: Generator) -> Tensor:
        """Exact samples of class y, `(n_samples, *event_shape)`."""
        noise = chance.normal(self.mean[y].expand(n_samples, -1).contiguous(), generator)
        return (self.mean[y] + noise @ self.covariance_factor[y].T).reshape(n_samples, *self.event_shape)


def _shrunk_covariance(group: Tensor, shrinkage: float, y: int) -> Tensor:
    centred = group - group.mean(0)
    covariance = centred.T @ centred / len(group)
    scale = covariance.diagonal().mean()
    shrunk = (1 - shrinkage) * covariance + shrinkage * scale * torch.eye(len(covariance)).to(group)
    if int(torch.linalg.cholesky_ex(shrunk)[1]) != 0:
        raise ValueError(
            f"class {y} has too few or too equal images ({len(group)}) for a covariance with shrinkage "
            f"{shrinkage}; raise shrinkage"
        )
    return shrunk


def fit_classifier(
    joint: JointEnergy, images: Tensor, labels: Tensor, l2: float = 1e-3, max_iterations: int = 200
) -> list[float]:
    """Train E(y, x) to predict y: minimize mean -log p(y | x) + ½ l2 |parameters|² by L-BFGS.

    `images` `(n, *event_shape)`, `labels` int `(n,)`; returns the objective at each evaluation.
    """
    _check_data(images, labels, joint.n_classes)

    def loss() -> Tensor:
        return -joint.class_log_prob(images).gather(-1, labels.long()[:, None]).mean()

    return _minimize(joint, loss, l2, max_iterations)


# --- Sequence labelling: the linear-chain conditional random field


class LinearChain(EnergyModel):
    """The labels of one sequence, coupled to their neighbours; log Z, marginals and the best labels are exact.

        E(y) = -Σ_t u_t(y_t) - Σ_t v_t(y_t, y_{t+1}),   y in {0, …, K-1}^T

    Everything costs O(T K²) by forward and backward messages in log space. Potentials of -∞ forbid; what is asked
    of a chain that forbids all labellings raises `ValueError`.

    Parameters
    ----------
    unary:
        u, `(..., T, K)`: several sequences of one length make a batch.
    pairwise:
        v, `(K, K)` for all t, or `(..., T-1, K, K)`.

    Source: Lafferty, McCallum & Pereira (2001); Rabiner (1989).
    """

    unary: Tensor
    pairwise: Tensor

    def __init__(self, unary: Tensor, pairwise: Tensor) -> None:
        super().__init__()
        if unary.dim() < 2 or 0 in unary.shape[-2:]:
            raise ValueError(f"unary must have shape (..., T, K), neither zero, got {tuple(unary.shape)}")
        length, n_labels = unary.shape[-2:]
        steps = (length - 1, n_labels, n_labels)
        if pairwise.shape != steps[1:] and pairwise.shape[-3:] != steps:
            raise ValueError(f"pairwise must be {steps[1:]} or (..., *{steps}), got {tuple(pairwise.shape)}")
        for name, potential in (("unary", unary), ("pairwise", pairwise)):
            if bool((potential.isnan() | (potential == math.inf)).any()):
                raise ValueError(f"{name} must be finite or -inf, got nan or inf")
        self.event_shape = (length,)
        self.values = tuple(float(k) for k in range(n_labels))
        self.register_buffer("unary", unary)
        shared = pairwise.expand(steps) if pairwise.dim() == 2 else pairwise
        self.register_buffer("pairwise", shared)

    def energy(self, x: Tensor) -> Tensor:
        """E(y) of labels, `(..., T)` to `(...)`. Raises `ValueError` where one is not in 0 … K-1."""
        check_event(x, self.event_shape)
        _check_labels(x, len(self.values or ()))
        y = x.long()
        one = torch.nn.functional.one_hot(y, self.unary.shape[-1]).bool()
        here = torch.where(one, self.unary, torch.zeros_like(self.unary)).sum((-1, -2))
        pair = one[..., :-1, :, None] & one[..., 1:, None, :]
        return -here - torch.where(pair, self.pairwise, torch.zeros_like(self.pairwise)).sum((-1, -2, -3))

    def exact_log_partition(self) -> Tensor:
        """log Z = log Σ_y exp(-E(y)) by the forward recursion, `(...)`."""
        return self._forward()[..., -1, :].logsumexp(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(y), exact, `(..., T)` to `(...)`."""
        return -self.energy(x) - self.exact_log_partition()

    def marginals(self) -> Tensor:
        """p(y_t = k), `(..., T, K)`, by forward-backward."""
        log_p = self._forward() + self._backward()
        return log_p.softmax(-1)

    def pair_marginals(self) -> Tensor:
        """p(y_t = j, y_{t+1} = k), `(..., T-1, K, K)`, by forward-backward."""
        left = self._forward()[..., :-1, :, None]
        right = (self.unary + self._backward())[..., 1:, None, :]
        log_p = left + self.pairwise + right - self.exact_log_partition()[..., None, None, None]
        return log_p.exp()

    @torch.no_grad()
    def viterbi(self) -> Tensor:
        """The labels of lowest energy, int64 `(..., T)`; the first of equals."""
        best, choices = self.unary[..., 0, :], []
        for t in range(self.event_shape[0] - 1):
            value, choice = (best.unsqueeze(-1) + self.pairwise[..., t, :, :]).max(-2)
            best = value + self.unary[..., t + 1, :]
            choices.append(choice)
        _require_possible(best)
        labels = [best.argmax(-1)]
        for choice in reversed(choices):
            labels.append(choice.gather(-1, labels[-1].unsqueeze(-1)).squeeze(-1))
        return torch.stack(labels[::-1], -1)

    @torch.no_grad()
    def sample(self, n_samples: int, generator: Generator) -> Tensor:
        """Exact samples, int64 `(n_samples, ..., T)`: forward messages, then labels from the last to the first."""
        messages = self._forward().expand(n_samples, *self.unary.shape)
        labels = [chance.categorical(messages[..., -1, :].softmax(-1), generator)]
        for t in range(self.event_shape[0] - 2, -1, -1):
            pairwise = self.pairwise[..., t, :, :].expand(*messages.shape[:-2], -1, -1)
            index = labels[-1][..., None, None].expand(*messages.shape[:-2], messages.shape[-1], 1)
            logits = messages[..., t, :] + pairwise.gather(-1, index).squeeze(-1)
            labels.append(chance.categorical(logits.softmax(-1), generator))
        return torch.stack(labels[::-1], -1)

    def _forward(self) -> Tensor:
        """log Σ over y_1 … y_{t-1} of exp of all terms up to t, as a function of y_t; `(..., T, K)`."""
        messages = [self.unary[..., 0, :]]
        for t in range(self.event_shape[0] - 1):
            arriving = (messages[-1].unsqueeze(-1) + self.pairwise[..., t, :, :]).logsumexp(-2)
            messages.append(arriving + self.unary[..., t + 1, :])
        _require_possible(messages[-1])
        return torch.stack(messages, -2)

    def _backward(self) -> Tensor:
        """log Σ over y_{t+1} … y_T of exp of all terms after t, as a function of y_t; `(..., T, K)`."""
        messages = [torch.zeros_like(self.unary[..., 0, :])]
        for t in range(self.event_shape[0] - 2, -1, -1):
            ahead = (messages[-1] + self.unary[..., t + 1, :]).unsqueeze(-2)
            messages.append((ahead + self.pairwise[..., t, :, :]).logsumexp(-1))
        return torch.stack(messages[::-1], -2)


def _require_possible(message: Tensor) -> None:
    """Raise `ValueError` unless the last message of every chain, `(..., K)`, leaves a label possible."""
    impossible = (message == -math.inf).all(-1)
    if bool(impossible.any()):
        raise ValueError(
            f"{int(impossible.sum())} of {impossible.numel()} chains forbid every labelling, log Z = -inf; give "
            "finite potentials to at least one"
        )


class LinearChainCRF(nn.Module):
    """A conditional random field: labels y of a sequence of observations x, trained by exact likelihood.

        E(y, x) = -Σ_t (w_{y_t}·x_t + b_{y_t}) - Σ_t A[y_t, y_{t+1}] - s[y_1] - e[y_T],   p(y | x) = exp(-E) / Z(x)

    Parameters w `(K, F)`, b, s, e `(K,)` and A `(K, K)` start at zero: the likelihood is concave.
    Source: Lafferty, McCallum & Pereira (2001).
    """

    def __init__(self, n_labels: int, n_features: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_labels, n_features, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(n_labels, dtype=dtype))
        self.transition = nn.Parameter(torch.zeros(n_labels, n_labels, dtype=dtype))
        self.first = nn.Parameter(torch.zeros(n_labels, dtype=dtype))
        self.last = nn.Parameter(torch.zeros(n_labels, dtype=dtype))

    def given(self, observations: Tensor) -> LinearChain:
        """p(y | x) for observations x, `(..., T, F)`, as an energy over labels `(..., T)`."""
        n_features = self.weight.shape[1]
        if observations.dim() < 2 or observations.shape[-1] != n_features or observations.shape[-2] == 0:
            raise ValueError(
                f"observations must have shape (..., T, {n_features}) with T ≥ 1, got {tuple(observations.shape)}"
            )
        check_kind(observations, self.weight, "observations")
        unary = observations @ self.weight.T + self.bias
        ends = torch.zeros_like(unary)
        ends[..., 0, :] += self.first
        ends[..., -1, :] += self.last
        return LinearChain(unary + ends, self.transition)

    def energy(self, labels: Tensor, observations: Tensor) -> Tensor:
        """E(y, x), with labels `(..., T)` and observations `(..., T, F)`; returns `(...)`."""
        return self.given(observations).energy(labels)

    def log_likelihood(self, labels: Tensor, observations: Tensor) -> Tensor:
        """log p(y | x), `(...)`; its gradient is observed minus expected features, by autograd."""
        return self.given(observations).log_prob(labels)


def fit_crf(
    crf: LinearChainCRF,
    sequences: Sequence[tuple[Tensor, Tensor]],
    l2: float = 1e-3,
    max_iterations: int = 200,
) -> list[float]:
    """Maximum likelihood for pairs (observations `(T, F)`, labels `(T,)`) of any lengths, by L-BFGS.

    Minimizes the mean -log p(y | x) over sequences + ½ l2 |parameters|²; returns it at each evaluation.
    Raises `ValueError` where there are no sequences.
    """
    if len(sequences) == 0:
        raise ValueError("at least one sequence is needed, got none")
    by_length: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for observations, labels in sequences:
        by_length.setdefault(len(labels), []).append((observations, labels))
    batches = [(torch.stack([x for x, _ in b]), torch.stack([y for _, y in b])) for b in by_length.values()]

    def loss() -> Tensor:
        total = torch.stack([crf.log_likelihood(y, x).sum() for x, y in batches]).sum()
        return -total / len(sequences)

    return _minimize(crf, loss, l2, max_iterations)


# --- What the three share


def _minimize(module: nn.Module, loss: Callable[[], Tensor], l2: float, max_iterations: int) -> list[float]:
    """L-BFGS on loss + ½ l2 |parameters|², with its value at each evaluation."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=max_iterations,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )
    history: list[float] = []

    def closure() -> Any:
        optimizer.zero_grad()
        objective = loss() + 0.5 * l2 * torch.stack([(p**2).sum() for p in parameters]).sum()
        if not bool(objective.isfinite()):
            raise ValueError(f"the objective became {objective.item()}; check the data or raise l2")
        objective.backward()  # type: ignore[no-untyped-call]
        history.append(objective.item())
        return objective

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return history


def _flat(x: Tensor, n_axes: int) -> Tensor:
    """x with its last `n_axes` axes made one."""
    return x.flatten(x.dim() - n_axes) if n_axes else x.unsqueeze(-1)


def _check_labels(y: Tensor, n_labels: int) -> None:
    if not bool(((y >= 0) & (y < n_labels) & (y == y.round())).all()):
        wrong = y[(y < 0) | (y >= n_labels) | (y != y.round())]
        raise ValueError(f"labels must be 0 … {n_labels - 1}, got {wrong.flatten()[:4].tolist()}")


def _check_data(images: Tensor, labels: Tensor, n_classes: int) -> None:
    if len(images) == 0 or labels.shape != images.shape[:1]:
        raise ValueError(
            "images (n, ...) and labels (n,) must be as many and at least one, "
            f"got {tuple(images.shape)} and {tuple(labels.shape)}"
        )
    if not images.is_floating_point() or not bool(images.isfinite().all()):
        raise ValueError(f"images must be finite floating-point numbers, got {images.dtype}")
    _check_labels(labels, n_classes)
    missing = sorted(set(range(n_classes)) - set(labels.tolist()))
    if missing:
        raise ValueError(f"every class needs at least one image, got none of {missing}")
