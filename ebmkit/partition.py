"""log Z of any model by any method, exact or estimated, behind one name.

log Z = log Σ_x exp(-E(x)); exact methods say so by `kind`, and by an error of 0.
Source: Cornell Tech, Deep Generative Models, lecture 11; each method names its own paper.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ebmkit import enumeration
from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel, Estimate

__all__ = ["log_partition"]

# method -> (module, function); the module loads when the method is first used.
_METHODS = {
    "auto": ("ebmkit.partition", "_auto"),
    "enumeration": ("ebmkit.enumeration", "log_partition"),
    "transfer_matrix": ("ebmkit.ising", "transfer_matrix_log_partition"),
    "kaufman": ("ebmkit.ising", "kaufman_log_partition"),
    "elimination": ("ebmkit.partition", "_elimination"),
    "quadrature": ("ebmkit.partition", "_quadrature"),
    "ais": ("ebmkit.annealing", "annealed_importance_sampling"),
    "smc": ("ebmkit.partition", "_smc"),
    "ais_bracket": ("ebmkit.partition", "_ais_bracket"),
    "thermodynamic_integration": ("ebmkit.annealing", "thermodynamic_integration"),
    "bridge": ("ebmkit.annealing", "bridge_sampling"),
}


def log_partition(model: EnergyModel, method: str = "auto", **options: Any) -> Estimate:
    """log Z of `model` as `Estimate(value, error, kind)`.

    - `"auto"`, the default: the model's own exact method if it has one that serves, else `"enumeration"`.
    - `"enumeration"`: every state summed, where they are few; see `enumeration.log_partition`.
    - `"transfer_matrix"`, `"kaufman"`: exact for grids and for the torus without a field, see `ising`.
    - `"elimination"`: exact for the models of `graphs`, and for grids.
    - `"quadrature"`: integrates over one or two real coordinates, see `normalization.log_quadrature`.
    - `"ais"`, `"thermodynamic_integration"`, `"bridge"`, `"smc"`: estimates by annealing, with `generator`; see
      `annealing.annealed_importance_sampling`, `thermodynamic_integration`, `bridge_sampling` and
      `sequential_monte_carlo`.
    - `"ais_bracket"`: the middle and half the width of `annealing.ais_bracket`, its ends' errors included; it needs
      exact `samples` of the model, `(n, *event_shape)`.

    `options` go to the method; those that sample need `generator`, a `torch.Generator`. Raises `ValueError` for an
    unknown method, naming those there are, where the method cannot serve the model, and where log Z is not finite.

    >>> import torch
    >>> import ebmkit
    >>> from ebmkit import ising
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ising.Ising((3, 3), 0.4)
    >>> exact = ebmkit.log_partition(model)
    >>> annealed = ebmkit.log_partition(model, "ais", generator=generator, betas=50)
    >>> bool((annealed.value - exact.value).abs() < 6 * annealed.error)
    True
    """
    if method not in _METHODS:
        raise ValueError(f"unknown method {method!r} for log_partition; choose from {', '.join(_METHODS)}")
    # A path of its own is all that annealing asks for.
    if isinstance(model, type) or not hasattr(model, "annealed"):
        check_is_model(model, "log_partition")
    module, name = _METHODS[method]
    compute: Callable[..., Tensor | Estimate] = getattr(import_module(module), name)
    _check_options(method, compute, options)
    result = compute(model, **options)
    value = result.value if isinstance(result, Estimate) else result
    if not bool(value.isfinite().all()):
        raise ValueError(
            f"log Z of {type(model).__name__} by method {method!r} is {value[~value.isfinite()][0].item()}; an "
            "energy is nan or -inf, or all are inf: check the model's parameters"
        )
    return result if isinstance(result, Estimate) else Estimate(value, torch.zeros_like(value), "exact")


def _check_options(method: str, compute: Callable[..., Any], options: dict[str, Any]) -> None:
    """Raise `TypeError` for an option that the method does not have, in words that name the method."""
    known = inspect.signature(compute).parameters
    unknown = options.keys() - known.keys()
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        takes = ", ".join(list(known)[1:])
        way_out = f"it takes {takes}" if takes else "it is exact and draws nothing: leave the options out"
        raise TypeError(f"method {method!r} of log_partition takes no {min(unknown)}; {way_out}")


def _auto(model: EnergyModel) -> Tensor:
    if hasattr(model, "exact_log_partition") or enumeration.are_few(model):
        return enumeration.exact_log_partition(model)
    integrable = model.values is None and tuple(model.event_shape) in ((), (1,), (2,))
    raise ValueError(
        f"no exact method serves {type(model).__name__} with event shape {tuple(model.event_shape)}; "
        + ("integrate with method='quadrature', or " if integrable else "")
        + "estimate with log_partition(model, method='ais', generator=torch.Generator()), or with "
        "'thermodynamic_integration' or 'bridge'"
    )


def _elimination(model: EnergyModel) -> Tensor:
    from ebmkit import graphs

    if isinstance(model, graphs.PairwiseModel):
        return graphs.elimination_log_partition(model)
    on_graph: Callable[[], graphs.PairwiseModel] | None = getattr(model, "on_graph", None)
    if on_graph is None:
        raise ValueError(
            f"method='elimination' is for the models of ebmkit.graphs and for grids, got {type(model).__name__}; "
            "use method='enumeration' where the states are few"
        )
    if any(buffer.requires_grad for buffer in model.buffers()):
        raise ValueError(
            "elimination gives log Z of a grid as a number, and its couplings or fields require a gradient; use "
            "method='transfer_matrix', or detach them"
        )
    return graphs.elimination_log_partition(on_graph()).detach()


def _ais_bracket(model: EnergyModel, samples: Tensor | None = None, **options: Any) -> Estimate:
    from ebmkit.annealing import ais_bracket

    if samples is None:
        raise ValueError("method='ais_bracket' needs samples=x, exact draws of the model (n, *event_shape)")
    lower, upper = ais_bracket(model, samples, **options)
    # The ends' own errors count too: where few chains let the ends meet or cross, log Z is not known exactly.
    width = (upper.value - lower.value).abs() + lower.error + upper.error
    return Estimate((lower.value + upper.value) / 2, width / 2, "bound")


def _smc(model: EnergyModel, **options: Any) -> Estimate:
    from ebmkit.annealing import sequential_monte_carlo

    return sequential_monte_carlo(model, **options).log_partition


def _quadrature(model: EnergyModel, **options: Any) -> Estimate:
    from ebmkit.normalization import log_quadrature

    return log_quadrature(model, **options)
