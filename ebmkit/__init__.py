"""ebmkit: energy-based models, p(x) = exp(-energy(x)) / Z, with the exact answer beside every sampler.

One abstraction carries everything: an `EnergyModel`. A sampler takes an energy, a learner takes an energy and
a sampler, an estimator of log Z takes an energy and a base. Modules load when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ebmkit._checks import set_validation as set_validation
    from ebmkit._checks import validation as validation
    from ebmkit.conditioning import condition as condition
    from ebmkit.energy import EnergyModel as EnergyModel
    from ebmkit.energy import Estimate as Estimate
    from ebmkit.energy import from_module as from_module
    from ebmkit.partition import log_partition as log_partition
    from ebmkit.saving import load as load
    from ebmkit.saving import save as save

__version__ = "0.1.0"

_HOME = {
    "EnergyModel": "energy",
    "Estimate": "energy",
    "condition": "conditioning",
    "from_module": "energy",
    "load": "saving",
    "log_partition": "partition",
    "save": "saving",
    "set_validation": "_checks",
    "validation": "_checks",
}
_MODULES = (
    "annealing",
    "applications",
    "boltzmann_machines",
    "chance",
    "conditioning",
    "contrastive_divergence",
    "data",
    "energy",
    "enumeration",
    "exponential_families",
    "graphs",
    "ising",
    "kernel",
    "mcmc",
    "normalization",
    "partition",
    "product_of_experts",
    "saving",
    "score_matching",
    "testing",
)
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"ebmkit.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"ebmkit.{name}")
    raise AttributeError(f"module 'ebmkit' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
