"""Hidden checks of the contrastive divergence assignment: exact gradients, CD-k, PCD, training, a neural energy.

    ∂L/∂θ = -E_data[∂E/∂θ] + E_model[∂E/∂θ],   E(v, h) = -a·v - b·h - v·W h

No check looks at a noisy gradient. With one row of data the gradient of the biases `a` is v_0 - v_k, so it shows
where the chain ended: a state whose law is known exactly. All else in the gradient follows from that state.
Mistakes and alternatives stand alone: each can be put into a notebook.
"""

from autograder.exercises.exercise import Assignment

from .cd_gradient import cd_gradient
from .contrastive_loss import contrastive_loss
from .exact_gradient import exact_gradient
from .pcd_step import pcd_step
from .train import train

assignment = Assignment(
    "contrastive_divergence",
    (exact_gradient, cd_gradient, pcd_step, train, contrastive_loss),
    imports=("matplotlib.pyplot", "torch", "ebmkit.data"),
    provides=("chance", "data"),
)
