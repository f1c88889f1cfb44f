"""Layerwise pre-training of a deep Boltzmann machine."""

from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit._models import check_is_one_of
from ebmkit.boltzmann_machines import DBM, RBM
from ebmkit.chance import bits
from ebmkit.contrastive_divergence._learners import History, Learner, cd
from ebmkit.contrastive_divergence._training import fit
from ebmkit.energy import EnergyModel


def pretrain(
    model: DBM,
    data: Tensor,
    learner: Learner = cd,
    *,
    generator: Generator,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> list[History]:
    """Layerwise pre-training of a DBM: one RBM a pair of layers, each trained on the means of the layer below.

    An inner layer will hear from both sides, so the bottom RBM sees its data twice, the top one its hidden units
    twice, and the weights of those between are halved. Weights and biases start where the model has them.
    `data (n, sizes[0])`; `options` go to `fit`; `checkpoint` names one file for each pair by adding its number.
    Returns a history for each pair.
    Source: Salakhutdinov & Hinton (2009), section 3.1.

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> dbm = boltzmann_machines.DBM((3, 2, 2), generator=generator)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> len(contrastive_divergence.pretrain(dbm, data, generator=generator, n_epochs=2, learning_rate=0.1))
    2
    """
    check_is_one_of(model, (DBM,), "pretrain", "; fit trains a machine of one layer")
    pairs, x, histories = len(model.sizes) - 1, data, []
    biases: list[list[Tensor]] = [[] for _ in model.sizes]
    for l in range(pairs):
        pair = _Doubled(model, l, below=2 if l == 0 < pairs - 1 else 1, above=2 if 0 < l == pairs - 1 else 1)
        path = None if checkpoint is None else f"{checkpoint}.{l}"
        histories.append(fit(pair, x, learner, generator=generator, checkpoint=path, **options))
        with torch.no_grad():
            x = pair.hidden_probability(x)
            model.weights[l].copy_(pair.rbm.W if l in (0, pairs - 1) else pair.rbm.W / 2)
            biases[l].append(pair.rbm.a.detach())
            biases[l + 1].append(pair.rbm.b.detach())
    with torch.no_grad():
        for target, found in zip(model.biases, biases):
            target.copy_(torch.stack(found).mean(0))
    return histories


class _Doubled(EnergyModel):
    """An RBM that counts its visible units `below` times and its hidden ones `above` times, weights tied."""

    values = (0.0, 1.0)

    def __init__(self, model: DBM, l: int, below: int, above: int) -> None:
        super().__init__()
        W: Tensor = model.weights[l]
        self.rbm = RBM(*W.shape, scale=0.0, dtype=W.dtype, device=W.device)
        self.rbm.W.data.copy_(W)
        self.rbm.a.data.copy_(model.biases[l])
        self.rbm.b.data.copy_(model.biases[l + 1])
        self.event_shape, self.below, self.above = self.rbm.event_shape, below, above

    def energy(self, v: Tensor) -> Tensor:
        field = self.rbm.b + self.below * (v @ self.rbm.W)
        return -self.above * torch.nn.functional.softplus(field).sum(-1) - self.below * (v @ self.rbm.a)

    def hidden_probability(self, v: Tensor) -> Tensor:
        return (self.rbm.b + self.below * (v @ self.rbm.W)).sigmoid()

    @torch.no_grad()
    def gibbs_step(self, v: Tensor, *, generator: Generator) -> Tensor:
        h = bits(self.hidden_probability(v), generator=generator)
        p = (self.rbm.a + self.above * (h @ self.rbm.W.T)).sigmoid()
        return bits(p, generator=generator)
