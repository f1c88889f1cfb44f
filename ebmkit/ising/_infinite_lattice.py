"""The infinite square lattice without field: Onsager's and Yang's formulas."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ebmkit._checks import as_tensor
from ebmkit.ising import _exact


def onsager_log_partition(coupling: float | Tensor) -> Tensor:
    """lim (log Z)/N, per site of the infinite square lattice (physics: -βf); the shape of `coupling`.

    ln(2cosh 2J) + (1/π)∫₀^{π/2} ln[½(1 + √(1 - κ² sin²θ))] dθ, κ = 2 sinh 2J / cosh² 2J.
    Source: Onsager 1944.

    >>> import torch
    >>> from ebmkit import ising
    >>> ising.onsager_log_partition(torch.tensor(0.0))  # log 2 a spin
    tensor(0.6931, dtype=torch.float64)
    """
    return _of_coupling(_exact.onsager_log_partition, coupling)


def onsager_energy(coupling: float | Tensor) -> Tensor:
    """-E[Σ_{(i,j)} s_i s_j] per site of the infinite square lattice, in [-2, 2]; the shape of `coupling`.

    u = -coth 2J [1 + (2/π)(2 tanh² 2J - 1) K(κ)]; multiply by J for the mean of `Ising.energy` a site.
    Source: Onsager 1944.

    >>> import torch
    >>> from ebmkit import ising
    >>> ising.onsager_energy(torch.tensor(ising.CRITICAL_COUPLING))  # -√2 a spin
    tensor(-1.4142, dtype=torch.float64)
    """
    return _of_coupling(_exact.onsager_energy, coupling)


def yang_magnetization(coupling: float | Tensor) -> Tensor:
    """Spontaneous magnetization (1 - sinh⁻⁴ 2J)^{1/8}, 0 for J ≤ `CRITICAL_COUPLING`. Source: Yang 1952.

    The result has the shape of `coupling`.

    >>> import torch
    >>> from ebmkit import ising
    >>> ising.yang_magnetization(torch.tensor([0.4, 10.0]))
    tensor([0., 1.], dtype=torch.float64)
    """
    return _of_coupling(_exact.yang_magnetization, coupling)


def _of_coupling(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], coupling: float | Tensor
) -> Tensor:
    j = as_tensor(coupling, name="coupling").double()
    if not j.isfinite().all():
        raise ValueError(f"coupling must be finite, got {coupling}")
    return torch.from_numpy(function(j.detach().cpu().numpy())).to(j.device)
