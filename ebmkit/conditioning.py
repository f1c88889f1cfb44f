"""Any model with some of its coordinates known: p(x_free | x_known) ∝ exp(-E(x_free, x_known)).

The energy is the model's own, what is known put in its place. Z is another: it depends on what is known.
Source: Cornell Tech, Deep Generative Models, lecture 11; conditioning of Gibbs distributions, Geman & Geman (1984).
"""

from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit._checks import as_tensor, check_event, check_finite, check_known, check_values, floating_tensor
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel

__all__ = ["Conditional", "condition"]


class Conditional(EnergyModel):
    """p(x_free | x_known) of a model, an energy over the free coordinates alone, in the order of the model's.

    Made by `condition`. `join` puts free coordinates into a whole x, `free` takes them out of one. It has a
    `gibbs_step`, which redraws the free coordinates in the model's blocks, where the model has `gibbs_step_given`.

    >>> import torch
    >>> from ebmkit import conditioning, ising
    >>> held = conditioning.condition(ising.Ising((1, 2), 0.4), torch.ones(1, 2), torch.tensor([[True, False]]))
    >>> held.event_shape, held.join(torch.tensor([-1.0])).tolist()
    ((1,), [[1.0, -1.0]])
    """

    fixed: Tensor
    known: Tensor

    def __init__(self, model: EnergyModel, x: Tensor, known: Tensor) -> None:
        super().__init__()
        check_is_model(model, "Conditional")
        self.model, self.values = model, model.values
        self.event_shape = (int((~known).sum()),)
        self.batch_shape = tuple(x.shape[: x.dim() - len(model.event_shape)])
        self.register_buffer("fixed", x)
        self.register_buffer("known", known)
        self.register_buffer("_place", (~known).flatten().nonzero()[:, 0], persistent=False)
        if hasattr(model, "gibbs_step_given"):
            self.gibbs_step = self._gibbs_step

    def free(self, x: Tensor) -> Tensor:
        """The free coordinates of x, `(..., *model.event_shape)` to `(..., n_free)`."""
        check_event(x, self.model.event_shape)
        return x.flatten(x.dim() - self.known.dim())[..., self._places]

    def join(self, free: Tensor) -> Tensor:
        """The whole x, what is known in its place, `(..., n_free)` to `(..., *model.event_shape)`."""
        check_event(free, self.event_shape, name="free")
        batch = torch.broadcast_shapes(free.shape[:-1], self.batch_shape)  # type: ignore[no-untyped-call]
        whole = self.fixed.to(free).expand(*batch, *self.model.event_shape)
        flat = whole.reshape(*batch, self.known.numel())
        joined = flat.index_copy(-1, self._places, free.expand(*batch, -1))
        return joined.reshape(*batch, *self.model.event_shape)

    def energy(self, x: Tensor) -> Tensor:
        """E of the whole x, `(..., n_free)` to `(...)`."""
        return self.model.energy(self.join(x))

    def _gibbs_step(self, x: Tensor, *, generator: Generator) -> Tensor:
        step: Any = self.model.gibbs_step_given
        return self.free(step(self.join(x), self.known, generator=generator))

    @property
    def _places(self) -> Tensor:
        places: Tensor = self._place  # type: ignore[assignment]
        return places


def condition(model: EnergyModel, x: Tensor, known: Tensor) -> Conditional:
    """The model with `x` known wherever `known` is True, ready for every sampler, estimator and learner.

        p(x_free | x_known) ∝ exp(-E(x_free, x_known)),   Z(x_known) = Σ_{x_free} exp(-E)

    Parameters
    ----------
    model:
        Any `EnergyModel`.
    x:
        `(*model.event_shape)`, or a batch of such, one for each chain. What stands elsewhere is not used.
    known:
        Bool, `(*model.event_shape)`.

    The coordinates of the result are those of the free places, row by row, `(n_free,)`. Raises `TypeError` unless
    `known` is bool, `ValueError` for shapes that do not fit, where everything is known, and where a known value is
    not finite or not one of the model's.

    >>> import torch, ebmkit
    >>> grid = ebmkit.ising.Ising((2, 2), 0.5)
    >>> corner = torch.tensor([[True, False], [False, False]])
    >>> held = ebmkit.condition(grid, torch.ones(2, 2), corner)
    >>> held.event_shape
    (3,)
    >>> ebmkit.enumeration.expectation(held, lambda x: x)  # two neighbours, and the corner opposite
    tensor([0.5363, 0.5363, 0.4085], dtype=torch.float64)
    """
    check_is_model(model, "condition")
    mask = check_known(known)
    if tuple(mask.shape) != tuple(model.event_shape):
        raise ValueError(f"known must have shape {tuple(model.event_shape)}, got {tuple(mask.shape)}")
    if bool(mask.all()):
        raise ValueError(
            "everything is known, so nothing is left to be drawn; leave at least one place False"
        )
    x = as_tensor(x, floating_tensor(model)).detach()
    check_event(x, model.event_shape)
    given = x[..., mask]
    check_finite(given, "what is known of x")
    if model.values is not None:
        check_values(given, model.values)
    # Places that are free hold any value of the model: nobody looks at it, but a check of x might.
    filler = model.values[0] if model.values is not None else 0.0
    return Conditional(model, torch.where(mask, x, torch.full_like(x, filler)), mask)
