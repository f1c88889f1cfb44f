"""Experts that must all agree: multiply densities, and the energies add.

    p(x) = (1/Z) Π_m p_m(x)^w_m,   E(x) = Σ_m w_m E_m(x);   against a mixture, p(x) = Σ_m w_m p_m(x)

Source: lecture 11, "Product of experts"; Hinton (2002), Neural Computation 14:1771-1800.
"""

from ebmkit.product_of_experts._closed_forms import (
    CategoricalProduct,
    GaussianProduct,
    mixture_of_categoricals,
    product_of_categoricals,
    product_of_gaussians,
    product_of_multivariate_gaussians,
)
from ebmkit.product_of_experts._combinations import Mixture, ProductOfExperts
from ebmkit.product_of_experts._fits import fit_flow, fit_pixelcnn
from ebmkit.product_of_experts._flow import AffineCouplingFlow
from ebmkit.product_of_experts._hinton import StudentTExperts, UnigaussExperts
from ebmkit.product_of_experts._pixelcnn import AtCellCentres, PixelCNN

__all__ = [
    "AffineCouplingFlow",
    "AtCellCentres",
    "CategoricalProduct",
    "GaussianProduct",
    "Mixture",
    "PixelCNN",
    "ProductOfExperts",
    "StudentTExperts",
    "UnigaussExperts",
    "fit_flow",
    "fit_pixelcnn",
    "mixture_of_categoricals",
    "product_of_categoricals",
    "product_of_gaussians",
    "product_of_multivariate_gaussians",
]
