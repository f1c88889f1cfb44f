"""What contrastive divergence estimates, without its noise."""

from collections.abc import Callable

import torch
from torch import Tensor

from ebmkit import enumeration
from ebmkit._checks import as_tensor
from ebmkit.contrastive_divergence._learners import check_data, check_steps, gradients_of
from ebmkit.energy import EnergyModel


def expected_cd_gradient(
    model: EnergyModel,
    data: Tensor,
    k: int = 1,
    *,
    weights: Tensor | None = None,
    transition: Tensor | None = None,
) -> dict[str, Tensor]:
    """What `cd` estimates, without its noise: every path of the chain is enumerated.

        Σ_x (p_data(x) - (p_data P^k)(x)) ∇E(x)

    `data (n, *event_shape)` with probabilities `weights (n,)`, equal by default. `transition` is the kernel's
    matrix over `enumeration.states(model)`; an RBM has its own. Zero where the data are the model's distribution;
    tends to the gradient of the likelihood as |λ_2|^k. Raises `ValueError` where the weights, or a row of the
    transition, are no probabilities that sum to 1. Source: Carreira-Perpiñán & Hinton (2005).

    Raises `TypeError` where neither the model nor `transition` gives a matrix.

    >>> import torch
    >>> from ebmkit import boltzmann_machines, contrastive_divergence
    >>> generator = torch.Generator().manual_seed(0)
    >>> rbm = boltzmann_machines.RBM(3, 2, generator=generator, dtype=torch.float64)
    >>> data = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
    >>> near, far = (contrastive_divergence.expected_cd_gradient(rbm, data, k)["a"] for k in (1, 500))
    >>> exact = contrastive_divergence.maximum_likelihood(rbm, data).parameters["a"]
    >>> bool((far - exact).abs().max() < 1e-9)
    True
    """
    check_steps(k)
    data = check_data(data, model, lambda model: tuple(model.event_shape))
    if transition is None:
        own: Callable[[], Tensor] | None = getattr(model, "transition_matrix", None)
        if own is None:
            raise TypeError(
                f"{type(model).__name__} does not know its transition matrix; pass transition=..."
            )
        transition = own()
    states = enumeration.states(model)
    if weights is None:
        weights = torch.full((len(data),), 1 / len(data), dtype=torch.float64, device=data.device)
    weights = _distribution("weights", weights, (len(data),), data)
    transition = _distribution("transition", transition, (len(states), len(states)), data)
    p_data = torch.zeros(len(states), dtype=torch.float64, device=data.device)
    p_data.index_add_(0, _state_number(model, data), weights)
    p_chain = p_data
    for _ in range(k):
        p_chain = p_chain @ transition
    return gradients_of(model, ((p_data - p_chain) * model.energy(states)).sum())


def _distribution(name: str, given: Tensor, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """What is given in float64; raises unless of this shape, not negative, and of sum 1 along its last axis."""
    p = as_tensor(given, name=name).to(like.device, torch.float64)
    if tuple(p.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(p.shape)}")
    sums = p.sum(-1)
    # The sums of float32 numbers may be off by their rounding.
    if not bool((p >= 0).all() and ((sums - 1).abs() <= 1e-5).all()):
        worst = sums.flatten()[int((sums - 1).abs().nan_to_num(torch.inf).argmax())]
        raise ValueError(
            f"{name} must be probabilities that sum to 1 along the last axis, got a least one of "
            f"{p.min().item():g} and a sum of {worst.item():g}; use {name} / {name}.sum(-1, keepdim=True)"
        )
    return p


def _state_number(model: EnergyModel, x: Tensor) -> Tensor:
    """The row of each x in `enumeration.states(model)`; raises where x is no state."""
    values = torch.tensor(model.values, dtype=x.dtype, device=x.device)
    is_value = x.reshape(len(x), -1, 1) == values
    if not bool(is_value.any(-1).all()):
        raise ValueError(f"the data must take the values {model.values} of {type(model).__name__}")
    digits = is_value.long().argmax(-1)
    place = len(values) ** torch.arange(digits.shape[1] - 1, -1, -1, device=x.device)
    return (digits * place).sum(-1)
