"""Persistent contrastive divergence for an RBM in place: data, chains and weights in halves, for two threads."""

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit import chance


@functools.lru_cache(maxsize=8)
def row_shares(n_data: int, n_chains: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What each row counts for in the gradient: -1/n_data for data, 1/n_chains for the chains after them."""
    shares = [-1 / n_data] * n_data + [1 / n_chains] * n_chains
    return torch.tensor(shares, dtype=dtype, device=device)


def descent(
    W: Tensor,
    a: Tensor,
    b: Tensor,
    data: Tensor,
    batches: list[Tensor],
    state: dict[str, Tensor],
    *,
    generator: Generator,
) -> "AbstractContextManager[Halves] | None":
    """A context whose calls descend by the next of `batches`, all of one size; None where it cannot serve."""
    kernels = _kernels(W, a, b, data, batches, generator)
    return None if kernels is None else _descent(kernels, W, a, b, data, batches, state, generator)


def _kernels(
    W: Tensor, a: Tensor, b: Tensor, data: Tensor, batches: list[Tensor], generator: Generator
) -> ModuleType | None:
    """The kernels where all of them can run: float32 on a CPU, visible units in halves, parameters all trained."""
    alike = data.dtype == W.dtype and data.device == W.device and data.shape[1:] == W.shape[:1]
    trained = all(p.requires_grad and p.is_contiguous() for p in (W, a, b))
    if not (batches and alike and trained) or len(W) % 2:
        return None
    return chance.compiled(data[: len(batches[0])], generator=generator)


@contextmanager
def _descent(
    kernels: ModuleType,
    W: Tensor,
    a: Tensor,
    b: Tensor,
    data: Tensor,
    batches: list[Tensor],
    state: dict[str, Tensor],
    generator: Generator,
) -> "Iterator[Halves]":
    from ebmkit.boltzmann_machines._kernels import sides

    with torch.no_grad(), sides() as (hidden_side, visible_side):
        machine = Halves(W, a, b, data, batches, state)
        words = chance.streams(4 * len(batches), kernels, generator=generator).reshape(len(batches), 2, 2, -1)
        machine.start(hidden_side, visible_side, words)
        yield machine
    torch.autograd.graph.increment_version([W, a, b])


class Halves:
    """Data, chains, W and a of an RBM by halves of the visible units, in buffers that stay from update to update.

    A product is a batch of two, for two threads; the kernels give each the same half. So no part of W changes
    from one core's cache to the other's, which costs as much time as all draws.
    """

    def __init__(
        self,
        W: Tensor,
        a: Tensor,
        b: Tensor,
        data: Tensor,
        batches: list[Tensor],
        state: dict[str, Tensor],
    ) -> None:
        W, a, b = (p.detach() for p in (W, a, b))
        batch = data.index_select(0, batches[0])
        chains = state.get("chains", batch)
        m, n = len(W) // 2, W.shape[1]
        self.v = torch.cat([batch, chains]).view(-1, 2, m).transpose(0, 1).contiguous()
        self.W, self.gradient_W = W.view(2, m, n), W.new_empty(2, m, n)
        self.hidden, self.visible = W.new_empty(2, self.v.shape[1], n), W.new_empty(2, len(chains), m)
        self.h = W.new_empty(len(chains), n)
        share = row_shares(len(batch), len(chains), W.dtype, W.device)
        of_a, of_b, flat = W.new_empty(2, m), W.new_empty(2, n), self.gradient_W.view(2, -1)
        self.gradients = {"W": flat, "a": of_a, "b": of_b[0]}
        self._hidden_arrays = _arrays(self.hidden, b, self.h, self.v, share, of_a, of_b)
        self._visible_arrays = _arrays(
            W.view(2, -1), a.view(2, -1), b, flat, of_a, of_b, self.v, self.visible, data
        )
        self._following = iter([rows.numpy() for rows in (*batches[1:], batches[0][:0])])

    def start(self, hidden_side: Any, visible_side: Any, words: Any) -> None:
        """The two compiled sides, and the random words of every update, `(n_batches, 2, 2, STREAM)`."""
        self._hidden_side, self._visible_side, self._words = hidden_side, visible_side, iter(words)

    def __call__(self, rate: float) -> float:
        """Descends and moves the chains, then takes the rows of the next batch; the gradient's squared norm."""
        streams = next(self._words)
        torch.bmm(self.v, self.W, out=self.hidden)  # two terms of the field
        self._hidden_side(*self._hidden_arrays, streams[0])
        torch.bmm(self.h.expand(2, -1, -1), self.W.mT, out=self.visible)
        torch.bmm(self.v.mT, self.hidden[0].expand_as(self.hidden), out=self.gradient_W)
        return float(self._visible_side(*self._visible_arrays, rate, streams[1], next(self._following)))

    def chains(self) -> Tensor:
        """Where the chains are, `(n_chains, n_visible)`."""
        moved = self.v[:, -len(self.h) :].transpose(0, 1)
        return moved.reshape(len(self.h), -1)


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().numpy() for tensor in tensors]
