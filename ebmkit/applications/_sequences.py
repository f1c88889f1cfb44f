"""Sequence labelling: the linear-chain conditional random field."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ebmkit import chance
from ebmkit._checks import SampleShape, as_shape, as_tensor, check_count, check_event, check_kind, looks_at
from ebmkit.applications._shared import check_labels, minimize
from ebmkit.energy import EnergyModel


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

    >>> import torch
    >>> from ebmkit import applications
    >>> chain = applications.LinearChain(torch.zeros(3, 2).double(), torch.eye(2).double())
    >>> chain.exact_log_partition()
    tensor(3.3197, dtype=torch.float64)
    >>> chain.marginals()[0]
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    unary: Tensor
    pairwise: Tensor

    def __init__(self, unary: Tensor, pairwise: Tensor) -> None:
        super().__init__()
        unary, pairwise = as_tensor(unary, name="unary"), as_tensor(pairwise, name="pairwise")
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
        self.register_buffer("pairwise", pairwise)
        self.batch_shape = np.broadcast_shapes(unary.shape[:-2], pairwise.shape[:-3])

    def energy(self, x: Tensor) -> Tensor:
        """E(y) of labels, `(..., T)` to `(...)`. Raises `ValueError` where one is not in 0 … K-1."""
        check_event(x, self.event_shape)
        check_labels(x, len(self.values or ()))
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
            value, choice = (best.unsqueeze(-1) + self._pairwise_at(t)).max(-2)
            best = value + self.unary[..., t + 1, :]
            choices.append(choice)
        _require_possible(best)
        labels = [best.argmax(-1)]
        for choice in reversed(choices):
            labels.append(choice.gather(-1, labels[-1].unsqueeze(-1)).squeeze(-1))
        return torch.stack(labels[::-1], -1)

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Exact samples, int64 `(*sample_shape, ..., T)`: messages forward, then labels backward."""
        messages = self._forward().expand(*as_shape(sample_shape), *self.unary.shape)
        labels = [chance.categorical(messages[..., -1, :].softmax(-1), generator=generator)]
        for t in range(self.event_shape[0] - 2, -1, -1):
            pairwise = self._pairwise_at(t).expand(*messages.shape[:-2], -1, -1)
            index = labels[-1][..., None, None].expand(*messages.shape[:-2], messages.shape[-1], 1)
            logits = messages[..., t, :] + pairwise.gather(-1, index).squeeze(-1)
            labels.append(chance.categorical(logits.softmax(-1), generator=generator))
        return torch.stack(labels[::-1], -1)

    def _pairwise_at(self, t: int) -> Tensor:
        """v of the step from t to t + 1, `(..., K, K)`."""
        return self.pairwise if self.pairwise.dim() == 2 else self.pairwise[..., t, :, :]

    def _forward(self) -> Tensor:
        """log Σ over y_1 … y_{t-1} of exp of all terms up to t, as a function of y_t; `(..., T, K)`."""
        messages = [self.unary[..., 0, :]]
        for t in range(self.event_shape[0] - 1):
            arriving = (messages[-1].unsqueeze(-1) + self._pairwise_at(t)).logsumexp(-2)
            messages.append(arriving + self.unary[..., t + 1, :])
        _require_possible(messages[-1])
        return torch.stack(messages, -2)

    def _backward(self) -> Tensor:
        """log Σ over y_{t+1} … y_T of exp of all terms after t, as a function of y_t; `(..., T, K)`."""
        messages = [torch.zeros_like(self.unary[..., 0, :])]
        for t in range(self.event_shape[0] - 2, -1, -1):
            ahead = (messages[-1] + self.unary[..., t + 1, :]).unsqueeze(-2)
            messages.append((ahead + self._pairwise_at(t)).logsumexp(-1))
        return torch.stack(messages[::-1], -2)


def _require_possible(message: Tensor) -> None:
    """Raise `ValueError` unless the last message of every chain, `(..., K)`, leaves a label possible."""
    impossible = (message == -math.inf).all(-1)
    if looks_at(message) and bool(impossible.any()):
        raise ValueError(
            f"{int(impossible.sum())} of {impossible.numel()} chains forbid every labelling, log Z = -inf; give "
            "finite potentials to at least one"
        )


class LinearChainCRF(nn.Module):
    """A conditional random field: labels y of a sequence of observations x, trained by exact likelihood.

        E(y, x) = -Σ_t (w_{y_t}·x_t + b_{y_t}) - Σ_t A[y_t, y_{t+1}] - s[y_1] - e[y_T],   p(y | x) = exp(-E) / Z(x)

    Parameters w `(K, F)`, b, s, e `(K,)` and A `(K, K)` start at zero: the likelihood is concave.
    Source: Lafferty, McCallum & Pereira (2001).

    >>> import torch
    >>> from ebmkit import applications
    >>> crf = applications.LinearChainCRF(n_labels=2, n_features=3)
    >>> crf.given(torch.zeros(4, 3, dtype=torch.float64)).exact_log_partition().exp().detach()  # 2⁴
    tensor(16.0000, dtype=torch.float64)
    """

    def __init__(self, n_labels: int, n_features: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        check_count("n_labels", n_labels, 1)
        check_count("n_features", n_features, 0)
        self.weight = nn.Parameter(torch.zeros(n_labels, n_features, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(n_labels, dtype=dtype))
        self.transition = nn.Parameter(torch.zeros(n_labels, n_labels, dtype=dtype))
        self.first = nn.Parameter(torch.zeros(n_labels, dtype=dtype))
        self.last = nn.Parameter(torch.zeros(n_labels, dtype=dtype))

    def given(self, observations: Tensor) -> LinearChain:
        """p(y | x) for observations x, `(..., T, F)`, as an energy over labels `(..., T)`.

        Raises `ValueError` for observations of another shape.
        """
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
) -> dict[str, list[float]]:
    """Maximum likelihood for pairs (observations `(T, F)`, labels `(T,)`) of any lengths, by L-BFGS.

    Minimizes the mean -log p(y | x) over sequences + ½ l2 |parameters|². Returns the history: `loss`, that
    objective at each evaluation.
    Raises `ValueError` where there are no sequences.

    >>> import torch
    >>> from ebmkit import applications
    >>> crf = applications.LinearChainCRF(n_labels=2, n_features=1)
    >>> x, y = torch.tensor([[-1.0], [1.0], [1.0]], dtype=torch.float64), torch.tensor([0, 1, 1])
    >>> history = applications.fit_crf(crf, [(x, y)])
    >>> crf.given(x).viterbi().tolist()
    [0, 1, 1]
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

    return {"loss": minimize(crf, loss, l2, max_iterations)}
