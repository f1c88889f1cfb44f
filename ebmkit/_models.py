"""Whether something is an energy model, and if not, what makes it one."""

from typing import Any

from torch import nn

from ebmkit._checks import check_alphabet
from ebmkit.energy import EnergyModel


def check_is_model(model: Any, who: str) -> None:
    """Raise `TypeError`, with the way out, unless `model` is an `EnergyModel` with an event shape."""
    if isinstance(model, EnergyModel):
        if getattr(model, "event_shape", None) is None:
            raise TypeError(
                f"{type(model).__name__} has no event_shape; set self.event_shape, the shape of one x"
            )
        if model.values is not None:
            check_alphabet(model.values)
        return
    if isinstance(model, type) and issubclass(model, EnergyModel):
        way_out = f"make one: {model.__name__}(...)"
    elif isinstance(model, nn.Module):
        way_out = "a module with one output becomes one by ebmkit.from_module(module, event_shape)"
    elif callable(model):
        way_out = "a function f(x) becomes one by ebmkit.normalization.from_exp(lambda x: -f(x), event_shape)"
    else:
        way_out = "subclass ebmkit.EnergyModel: set event_shape and define energy(x)"
    got = model.__name__ if isinstance(model, type) else type(model).__name__
    raise TypeError(f"{who} needs an EnergyModel and got {got}, which is none; {way_out}")


def check_is_one_of(model: Any, kinds: tuple[type, ...], who: str, way_out: str = "") -> None:
    """Raise `TypeError`, with the way out, unless `model` is of one of the `kinds` that `who` serves."""
    if isinstance(model, kinds):
        return
    check_is_model(model, who)
    served = " or ".join(kind.__name__ for kind in kinds)
    raise TypeError(f"{who} is for {served}, got {type(model).__name__}{way_out}")


def check_is_kernel(kernel: Any, who: str) -> None:
    """Raise `TypeError`, with the way out, unless `kernel` has the two methods of one."""
    if not isinstance(kernel, type) and hasattr(kernel, "init") and hasattr(kernel, "step"):
        return
    if isinstance(kernel, type):
        got, way_out = kernel.__name__, f"make one: {kernel.__name__}(model, ...)"
    elif isinstance(kernel, EnergyModel):
        by = "MALA(model, step_size)" if kernel.values is None else "Gibbs(model)"
        got, way_out = f"the model {type(kernel).__name__}", f"give what moves it, such as mcmc.{by}"
    else:
        got, way_out = type(kernel).__name__, "see ebmkit.kernel for what a kernel is"
    raise TypeError(f"{who} needs a kernel and got {got}; {way_out}")
