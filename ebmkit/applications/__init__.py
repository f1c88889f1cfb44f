"""What an energy is good for without its normalizer: comparing, detecting and predicting.

    log p(x) / p(x') = E(x') - E(x),   argmax_y p(y | x) = argmin_y E(y, x),   p(y | x) = exp(-E(y, x)) / Z(x)
Source: Cornell Tech, Deep Generative Models, lecture 11, "Energy-based models: applications", E(Y, X) three ways.
"""

from ebmkit.applications._anomalies import ROC, anomaly_scores, auc, roc_curve
from ebmkit.applications._classes import (
    ClassConditional,
    JointEnergy,
    LinearClassEnergies,
    QuadraticClassEnergies,
    fit_classifier,
)
from ebmkit.applications._sequences import LinearChain, LinearChainCRF, fit_crf

__all__ = [
    "ROC",
    "ClassConditional",
    "JointEnergy",
    "LinearChain",
    "LinearChainCRF",
    "LinearClassEnergies",
    "QuadraticClassEnergies",
    "anomaly_scores",
    "auc",
    "fit_classifier",
    "fit_crf",
    "roc_curve",
]
