"""How an RBM learns without autograd: three or four large matrix products an update.

∂(-mean log p)/∂W = E_model[v p(h | v)ᵀ] - E_data[v p(h | v)ᵀ]
"""

from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit.boltzmann_machines._in_place import Halves, descent, row_shares
from ebmkit.chance import bits


class Machine(Protocol):
    """What is asked of an RBM."""

    @property
    def W(self) -> Tensor: ...

    @property
    def a(self) -> Tensor: ...

    @property
    def b(self) -> Tensor: ...

    def hidden_probability(self, v: Tensor) -> Tensor: ...

    def _draw_visible(self, h: Tensor, generator: Generator) -> Tensor: ...

    def gibbs_step(self, v: Tensor, *, generator: Generator) -> Tensor: ...

    def _input(self, v: Tensor) -> Tensor: ...


class RBMBackend:
    """Gradients of minus the mean log-likelihood of an RBM, by parameter name, as the learners want them."""

    def __init__(self, model: Machine) -> None:
        self.model = model

    @torch.no_grad()
    def contrast(self, positive: Tensor, negative: Tensor) -> dict[str, Tensor]:
        """The gradient of mean F(positive) - mean F(negative)."""
        both = torch.cat([positive, negative])
        return self._gradient(both, self.model.hidden_probability(both), len(positive))

    @torch.no_grad()
    def cd(self, data: Tensor, k: int, *, generator: Generator) -> dict[str, Tensor]:
        """The gradient with chains k Gibbs steps from the data."""
        p_data = self.model.hidden_probability(data)
        v = self.model._draw_visible(bits(p_data, generator=generator), generator)
        for _ in range(k - 1):
            v = self.model.gibbs_step(v, generator=generator)
        p = torch.cat([p_data, self.model.hidden_probability(v)])
        return self._gradient(torch.cat([data, v]), p, len(data))

    @torch.no_grad()
    def pcd(
        self, data: Tensor, chains: Tensor, k: int, *, generator: Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The gradient with the chains where they stand, and the chains k Gibbs steps on."""
        both = torch.cat([data, chains])
        share = row_shares(len(data), len(chains), both.dtype, both.device)
        p, h, total = self._hidden_layer(both, share, len(data), generator)
        v = self.model._draw_visible(h, generator)
        for _ in range(k - 1):
            v = self.model.gibbs_step(v, generator=generator)
        return self._products(both, p, share, total), v

    def descent(
        self, data: Tensor, batches: list[Tensor], state: dict[str, Tensor], *, generator: Generator
    ) -> AbstractContextManager[Halves] | None:
        """An epoch of `pcd` and plain descent in place, or None where the compiled kernels do not fit the case."""
        return descent(self.model.W, self.model.a, self.model.b, data, batches, state, generator=generator)

    def _hidden_layer(
        self, v: Tensor, share: Tensor, n_data: int, generator: Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities times `share`, bits for the rows after the data, and the sum of the former over rows."""
        kernels = chance.compiled(v, generator=generator)
        if kernels is None:
            p = self.model.hidden_probability(v)
            h = bits(p[n_data:], generator=generator)
            p *= share[:, None]
            return p, h, p.sum(0)
        p = self.model._input(v)
        h, total = p.new_empty(len(p) - n_data, p.shape[1]), p.new_empty(p.shape[1])
        field, bias, drawn = p.numpy(), self.model.b.detach().numpy(), h.numpy()
        words = chance.stream(kernels, generator=generator)
        kernels.draw_layer(field, bias, drawn, words, share.numpy(), total.numpy())
        return p, h, total

    def _gradient(self, v: Tensor, p: Tensor, n_data: int) -> dict[str, Tensor]:
        """Chain averages minus data averages of (v p, v, p), the first `n_data` rows data; overwrites p."""
        share = row_shares(n_data, len(v) - n_data, p.dtype, p.device)
        p *= share[:, None]
        return self._products(v, p, share, p.sum(0))

    def _products(self, v: Tensor, p: Tensor, share: Tensor, total: Tensor) -> dict[str, Tensor]:
        return {"W": v.T @ p, "a": share @ v, "b": total}
