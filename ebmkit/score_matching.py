"""Learning without Z and without sampling: match the score, or tell data from noise.

    J(θ) = E_data[½ |∇_x log p_θ(x)|² + tr ∇²_x log p_θ(x)] = ½ E_data |∇_x log p_θ - ∇_x log p_data|² + const

On discrete x the part of the score is played by the conditionals p(x_i | all others), in which Z cancels as well.
Source: Hyvärinen (JMLR 2005); Vincent (2011); Song et al. (UAI 2019); Gutmann & Hyvärinen (JMLR 2012).
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ebmkit._checks import (
    as_tensor,
    check_event,
    check_finite,
    check_generator,
    check_values,
    check_whole,
    floating_tensor,
)
from ebmkit._models import check_is_model
from ebmkit.chance import bernoulli, normal
from ebmkit.energy import EnergyModel

__all__ = [
    "denoising_score_matching",
    "explicit_score_matching",
    "noise_contrastive_estimation",
    "pseudo_likelihood",
    "ratio_matching",
    "sliced_score_matching",
]


def explicit_score_matching(model: EnergyModel, x: Tensor) -> Tensor:
    """Hyvärinen's objective, its trace exact: one backward pass for each coordinate of x.

        J = mean_x [½ |s(x)|² + Σ_i ∂s_i/∂x_i],   s(x) = ∇_x log p(x) = -∇_x E(x)

    `x (n, *event_shape)` to a scalar, differentiable in the model's parameters; least where the scores of model and
    data agree. Raises `TypeError` for a discrete model or an integer x. Source: Hyvärinen (2005), theorem 1.

    >>> import torch
    >>> from ebmkit import annealing, score_matching
    >>> score_matching.explicit_score_matching(annealing.GaussianBase((1,)), torch.zeros(5, 1).double()).item()
    -1.0
    """
    x = _differentiable(model, x)
    score = _score(model, x)
    flat = score.reshape(len(x), -1)
    trace = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for i in range(flat.shape[1]):
        trace = trace + _gradient(flat[:, i].sum(), x).reshape(len(x), -1)[:, i]
    return (flat.square().sum(-1) / 2 + trace).mean()


def denoising_score_matching(model: EnergyModel, x: Tensor, sigma: float, *, generator: Generator) -> Tensor:
    """The score at noisy data should point back to the data.

        J = ½ mean |s(x + σε) + ε/σ|²,   ε ~ N(0, I)

    Its minimum is the score of the data blurred by N(0, σ²), not of the data. `x (n, *event_shape)` to a scalar,
    differentiable in the parameters. Raises `ValueError` for σ ≤ 0, `TypeError` as `explicit_score_matching`.
    Source: Vincent, "A connection between score matching and denoising autoencoders" (2011).

    >>> import torch
    >>> from ebmkit import annealing, score_matching
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.zeros(50, 1, dtype=torch.float64)
    >>> loss = score_matching.denoising_score_matching(annealing.GaussianBase((1,)), x, 0.1, generator=generator)
    >>> loss.shape
    torch.Size([])
    """
    check_is_model(model, "score matching")
    if not sigma > 0:
        raise ValueError(f"sigma is the noise's standard deviation and must be positive, got {sigma}")
    x = as_tensor(x, floating_tensor(model))
    noise = normal(x, generator=generator)
    noisy = _differentiable(model, x + sigma * noise)
    error = _score(model, noisy) + noise / sigma
    return error.reshape(len(x), -1).square().sum(-1).mean() / 2


def sliced_score_matching(
    model: EnergyModel, x: Tensor, n_projections: int = 1, *, generator: Generator
) -> Tensor:
    """Hyvärinen's objective with its trace estimated along random directions: two backward passes each.

        J = mean [½ |s(x)|² + v·∇_x(v·s(x))],   v uniform on {-1, +1}^d

    Its mean over v is `explicit_score_matching`. `x (n, *event_shape)` to a scalar, differentiable in the
    parameters. Raises `ValueError` for no projection, `TypeError` as `explicit_score_matching`.
    Source: Song, Garg, Shi & Ermon (2019), the variance-reduced form.

    >>> import torch
    >>> from ebmkit import annealing, score_matching
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.zeros(5, 1, dtype=torch.float64)
    >>> score_matching.sliced_score_matching(annealing.GaussianBase((1,)), x, generator=generator).shape
    torch.Size([])
    """
    if check_whole("n_projections", n_projections) < 1:
        raise ValueError(f"n_projections must be at least 1, got {n_projections}")
    x = _differentiable(model, x)
    score = _score(model, x)
    trace = torch.zeros((), dtype=x.dtype, device=x.device)
    for _ in range(n_projections):
        v = 2 * bernoulli(torch.full_like(x, 0.5, requires_grad=False), generator=generator).to(x.dtype) - 1
        trace = trace + (_gradient((v * score).sum(), x) * v).sum() / len(x)
    return score.square().sum() / (2 * len(x)) + trace / n_projections


def noise_contrastive_estimation(
    model: EnergyModel,
    data: Tensor,
    noise: Tensor,
    noise_log_prob: Callable[[Tensor], Tensor],
    log_partition: Tensor | float = 0.0,
) -> Tensor:
    """Logistic regression of data against noise; it learns log Z as one more parameter.

        J = -mean_data log σ(G(x)) - ν mean_noise log σ(-G(x))
        G(x) = -E(x) - c - log p_noise(x) - log ν,   ν = n_noise / n_data

    At the minimum exp(-E(x) - c) is the data's normalized density, so c = `log_partition` is log Z; give it as an
    `nn.Parameter`, or leave it 0 for an energy that has a constant of its own. `data (n, *event_shape)`,
    `noise (m, *event_shape)` drawn from `noise_log_prob`, a normalized density with support wherever data can be.
    Raises `ValueError` where it is not finite on the data. Source: Gutmann & Hyvärinen (2012).

    >>> import torch
    >>> from ebmkit import annealing, score_matching
    >>> generator = torch.Generator().manual_seed(0)
    >>> base = annealing.GaussianBase((1,))
    >>> log_prob = lambda x: -base.energy(x) - base.exact_log_partition()
    >>> data, noise = base.sample(9, generator=generator), base.sample(9, generator=generator)
    >>> score_matching.noise_contrastive_estimation(base, data, noise, log_prob, base.exact_log_partition())
    tensor(1.3863, dtype=torch.float64)
    """
    check_is_model(model, "noise-contrastive estimation")
    data, noise = (as_tensor(x, floating_tensor(model)) for x in (data, noise))
    for name, x in (("data", data), ("noise", noise)):
        if len(x) == 0:
            raise ValueError(f"{name} must hold at least one example, got shape {tuple(x.shape)}")
    ratio = torch.tensor(len(noise) / len(data), dtype=data.dtype, device=data.device)

    def log_odds(x: Tensor) -> Tensor:
        density = noise_log_prob(x)
        if density.shape != x.shape[:1]:
            raise ValueError(
                f"noise_log_prob must be one number for each x, {tuple(x.shape[:1])}, got {tuple(density.shape)}"
            )
        if not bool(density.isfinite().all()):
            raise ValueError(
                f"noise_log_prob must be finite on data and noise, got {density[~density.isfinite()][0].item()};"
                " choose noise that covers the data"
            )
        return -model.energy(x) - log_partition - density - ratio.log()

    return functional.softplus(-log_odds(data)).mean() + ratio * functional.softplus(log_odds(noise)).mean()


def pseudo_likelihood(model: EnergyModel, x: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Minus the mean log pseudo-likelihood of discrete data, for `contrastive_divergence.by_loss` to make small.

        J = -mean_x Σ_i log p(x_i | x_{-i})

    `x (n, *event_shape)` to a scalar, differentiable in the parameters; least, given enough data, where the model
    is their law. The model's own `log_conditionals(x)`, `(..., *event_shape, q)`, is used where it has one, else
    the energy of every x with one coordinate changed. Nothing random is drawn. Raises `TypeError` for a continuous
    model. Source: Besag (1975).

    >>> from ebmkit.graphs import GraphIsing
    >>> pseudo_likelihood(GraphIsing([(0, 1)]), [[1.0, 1.0]]).item()  # two fair coins
    1.3862943611198906
    """
    check_generator(generator)
    return -_own_conditionals(model, x).sum(-1).mean()


def ratio_matching(model: EnergyModel, x: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Ratios of probabilities of neighbouring states matched, on data of two values.

        J = mean_x Σ_i (1 - p(x_i | x_{-i}))² = mean_x Σ_i σ(E(x) - E(x^(i)))²

    with x^(i) the state in which coordinate i has its other value. Arguments, result and errors as
    `pseudo_likelihood`; `TypeError` also for more than two values. Source: Hyvärinen (2007).

    The result is a scalar.

    >>> from ebmkit.graphs import GraphIsing
    >>> ratio_matching(GraphIsing([(0, 1)]), [[1.0, 1.0]]).item()  # ¼ for each of two fair coins
    0.5
    """
    check_is_model(model, "ratio matching")
    if model.values is not None and len(model.values) != 2:
        raise TypeError(
            f"ratio matching is for coordinates of two values, {type(model).__name__} has {model.values}; "
            "use pseudo_likelihood"
        )
    check_generator(generator)
    return torch.expm1(_own_conditionals(model, x)).square().sum(-1).mean()


def _own_conditionals(model: EnergyModel, x: Tensor) -> Tensor:
    """log p(x_i | x_{-i}) of the values that the coordinates have, `(n, n_coordinates)`."""
    check_is_model(model, "a pseudo-likelihood")
    if model.values is None:
        raise TypeError(
            f"{type(model).__name__} is continuous; its conditionals are densities, use explicit_score_matching"
        )
    x = as_tensor(x, floating_tensor(model))
    check_event(x, model.event_shape)
    if x.numel() == 0:
        raise ValueError(f"x must hold at least one example, got shape {tuple(x.shape)}")
    check_values(x, model.values)
    own: Callable[[Tensor], Tensor] | None = getattr(model, "log_conditionals", None)
    values = torch.tensor(model.values, dtype=x.dtype, device=x.device)
    flat = x.reshape(len(x), -1)
    log_p = _by_energies(model, flat, values) if own is None else own(x).reshape(*flat.shape, len(values))
    place = (flat[..., None] == values).long().argmax(-1, keepdim=True)
    return log_p.gather(-1, place)[..., 0]


def _by_energies(model: EnergyModel, flat: Tensor, values: Tensor) -> Tensor:
    """log p(x_i = v | x_{-i}) from the energy of every x with one coordinate changed; `(n, n_coordinates, q)`."""
    n = flat.shape[1]
    changed = flat[:, None, None, :].repeat(1, n, len(values), 1)
    coordinate = torch.arange(n, device=flat.device)
    changed[:, coordinate, :, coordinate] = values.expand(n, len(flat), -1)
    energies = model.energy(changed.reshape(-1, *model.event_shape)).reshape(len(flat), n, len(values))
    return (-energies).log_softmax(-1)


def _differentiable(model: EnergyModel, x: Tensor) -> Tensor:
    check_is_model(model, "score matching")
    name = type(model).__name__
    x = as_tensor(x, floating_tensor(model))
    if model.values is not None:
        raise TypeError(f"{name} is discrete, x takes values {model.values}; it has no score")
    if not x.is_floating_point():
        raise TypeError(f"score matching needs a floating-point x, got {x.dtype}; use x.double()")
    if len(x) == 0 or tuple(x.shape[1:]) != tuple(model.event_shape):
        raise ValueError(
            f"x must have shape (n, {', '.join(map(str, model.event_shape))}) with n at least 1,"
            f" got {tuple(x.shape)}"
        )
    check_finite(x)
    return x.detach().requires_grad_(True)


def _score(model: EnergyModel, x: Tensor) -> Tensor:
    """∇_x log p(x), differentiable in x and in the parameters, as `EnergyModel.score` is not."""
    return -_gradient(model.energy(x).sum(), x)


def _gradient(scalar: Tensor, x: Tensor) -> Tensor:
    """∂scalar/∂x with its graph kept; zero where a linear term has left no dependence."""
    if not scalar.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(scalar, x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient
