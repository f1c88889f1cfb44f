"""The most probable state: by descent, and exactly by a minimum cut."""

import torch
from torch import Tensor

from ebmkit import graphs
from ebmkit.ising._model import Ising, check_spins, colour_classes, local_field, require_ising, with_sites


def icm(model: Ising, spins: Tensor) -> Tensor:
    """Iterated conditional modes: every spin follows its local field until none would change.

    Sites go colour by colour; a spin with field 0 stays. The energy falls with every change, so it ends, at a
    state that no single flip improves; which one depends on where it began. `spins` `(..., n, m)`; returns a
    new tensor. Source: Besag 1986.

    >>> import torch
    >>> from ebmkit import ising
    >>> spins = torch.ones(3, 3)
    >>> spins[1, 1] = -1
    >>> int(ising.icm(ising.Ising((3, 3), 0.4), spins).sum())
    9
    """
    spins = check_spins(model, spins)
    while True:
        before = spins
        for sites in colour_classes(model):
            sites = sites.to(spins.device)
            pull = local_field(model, spins).flatten(-2)[..., sites]
            current = spins.flatten(-2)[..., sites]
            spins = with_sites(spins, sites, torch.where(pull == 0, current, pull.sign().to(spins.dtype)))
        if torch.equal(spins, before):
            return spins


def map_by_max_flow(model: Ising) -> Tensor:
    """The most probable state, argmin_s E(s), by a minimum cut: exact wherever no coupling is negative.

    Source and sink are the two labels, see `graphs.map_by_max_flow`, which does it on any graph.

    Returns spins `(n, m)`, float64. Raises `ValueError` where a coupling is negative, naming it.
    Source: Greig, Porteous & Seheult 1989.

    >>> import torch
    >>> from ebmkit import ising
    >>> ising.map_by_max_flow(ising.Ising((2, 2), 0.4, field=torch.tensor([[0.3, 0.0], [0.0, -0.1]])))
    tensor([[1., 1.],
            [1., 1.]], dtype=torch.float64)
    """
    require_ising(model)
    _refuse_negative_couplings(model)
    return graphs.map_by_max_flow(model.on_graph()).reshape(model.event_shape)


def _refuse_negative_couplings(model: Ising) -> None:
    for name, bonds in (("horizontal", model.horizontal), ("vertical", model.vertical)):
        if (bonds < 0).any():
            i, j = (bonds < 0).nonzero()[0].tolist()
            raise ValueError(
                f"{name} coupling at ({i}, {j}) is {bonds[i, j].item():g}: a minimum cut needs every "
                "coupling >= 0; use icm, or sample with ebmkit.mcmc.Gibbs while lowering the temperature"
            )
