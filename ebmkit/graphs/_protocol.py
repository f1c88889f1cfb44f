"""What a model on a graph must offer, for whoever asks it for exact answers or sweeps it."""

from typing import Any, Protocol

from torch import Tensor

from ebmkit._models import check_is_model
from ebmkit.graphs._edges import Plan


class OnGraph(Protocol):
    """A model of sites and edges by tables: what `PairwiseModel` is, and what elimination and sweeps rely on.

    `alike` is c, `(q, q)` and symmetric; `plan` holds what depends on the graph alone.
    """

    @property
    def event_shape(self) -> tuple[int, ...]: ...

    @property
    def values(self) -> tuple[float, ...] | None: ...

    @property
    def edges(self) -> Tensor: ...

    @property
    def coupling(self) -> Tensor: ...

    @property
    def alike(self) -> Tensor: ...

    @property
    def plan(self) -> Plan: ...

    def site_table(self) -> Tensor: ...

    def edge_table(self) -> Tensor: ...

    def index(self, x: Tensor) -> Tensor: ...

    def from_index(self, index: Tensor, like: Tensor) -> Tensor: ...


def check_on_graph(model: Any, who: str) -> None:
    """Raise `TypeError`, with the way out, unless `model` is one of sites and edges by tables."""
    if hasattr(model, "edge_table") and not isinstance(model, type):
        return
    check_is_model(model, who)
    way_out = "; use model.on_graph()" if hasattr(model, "on_graph") else ""
    raise TypeError(f"{who} is for the models of ebmkit.graphs, got {type(model).__name__}{way_out}")
