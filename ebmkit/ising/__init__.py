"""The Ising model on a grid of any size: spins that want to agree with their neighbours and their fields.

E(s) = -Σ_{(i,j)∈E} J_ij s_i s_j - Σ_i h_i s_i,  s_i = ±1;  temperature is absorbed, J and h mean βJ and βh
Sources: lecture 11, "Ising models"; Ising 1925; Geman & Geman 1984; each function names its own.
"""

from ebmkit.ising._clusters import SwendsenWang, Wolff, swendsen_wang, wolff
from ebmkit.ising._infinite_lattice import onsager_energy, onsager_log_partition, yang_magnetization
from ebmkit.ising._metropolis import Metropolis, metropolis_sweep
from ebmkit.ising._model import (
    CRITICAL_COUPLING,
    MAX_FRONT,
    Ising,
    colour_classes,
    gibbs_sweep,
    gibbs_update,
    kaufman_log_partition,
    to_labels,
    to_spins,
    transfer_matrix_log_partition,
)
from ebmkit.ising._moments import Moments, exact_moments, exact_sample
from ebmkit.ising._most_probable import icm, map_by_max_flow
from ebmkit.ising._pictures import FromPotentials, denoising_model, from_potentials
from ebmkit.ising._simulation import Simulation, simulate

__all__ = [
    "CRITICAL_COUPLING",
    "MAX_FRONT",
    "FromPotentials",
    "Ising",
    "Metropolis",
    "Moments",
    "Simulation",
    "SwendsenWang",
    "Wolff",
    "colour_classes",
    "denoising_model",
    "exact_moments",
    "exact_sample",
    "from_potentials",
    "gibbs_sweep",
    "gibbs_update",
    "icm",
    "kaufman_log_partition",
    "map_by_max_flow",
    "metropolis_sweep",
    "onsager_energy",
    "onsager_log_partition",
    "simulate",
    "swendsen_wang",
    "to_labels",
    "to_spins",
    "transfer_matrix_log_partition",
    "wolff",
    "yang_magnetization",
]
