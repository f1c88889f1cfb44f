"""Learning without Z: where the likelihood's gradient asks for samples of the model, take a few Markov steps.

    ∇_θ [-mean log p(x)] = E_data[∇_θ E(x)] - E_model[∇_θ E(x)];   the learners differ in the second term

Source: lecture 11, "(Persistent) contrastive divergence"; Hinton (2002); Tieleman (2008).
"""

from ebmkit.contrastive_divergence._expected import expected_cd_gradient
from ebmkit.contrastive_divergence._learners import (
    Backend,
    DivergenceError,
    Gradient,
    History,
    Learner,
    LearnerState,
    Start,
    Update,
    by_loss,
    cd,
    fast_pcd,
    maximum_likelihood,
    pcd,
    replay,
)
from ebmkit.contrastive_divergence._pretraining import pretrain
from ebmkit.contrastive_divergence._training import fit

__all__ = [
    "Backend",
    "DivergenceError",
    "Gradient",
    "History",
    "Learner",
    "LearnerState",
    "Start",
    "Update",
    "by_loss",
    "cd",
    "expected_cd_gradient",
    "fast_pcd",
    "fit",
    "maximum_likelihood",
    "pcd",
    "pretrain",
    "replay",
]
