"""Boltzmann machines: layers of units with no edge inside a layer, so that a whole layer is drawn at once.

    E(v, h) = -a·v - b·h - v·W h,   F(v) = -log Σ_h exp(-E(v, h)) = -a·v - Σ_j softplus(b_j + (v W)_j)

Source: lecture 11, "Restricted and deep Boltzmann machines"; Salakhutdinov & Hinton (AISTATS 2009).
"""

from ebmkit.boltzmann_machines._conditionals import classify, inpaint
from ebmkit.boltzmann_machines._dbm import DBM
from ebmkit.boltzmann_machines._gaussian_rbm import GaussianRBM
from ebmkit.boltzmann_machines._layers import Annealed
from ebmkit.boltzmann_machines._rbm import RBM
from ebmkit.boltzmann_machines._sums import bit_states

__all__ = ["DBM", "RBM", "Annealed", "GaussianRBM", "bit_states", "classify", "inpaint"]
