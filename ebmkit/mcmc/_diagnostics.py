"""Has the chain converged, and how many independent draws is it worth?

    R̂ = √((W (n-1)/n + B/n) / W),   ESS = S / τ,   τ = 1 + 2 Σ_t ρ_t,   over S = chains × draws

Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner, "Rank-normalization, folding, and localization" (2021).

Every function takes what `ebmkit.mcmc.sample` returns: steps first, then chains, `(n_steps, n_chains, ...)`.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ebmkit._checks import as_tensor


def r_hat(draws: Tensor) -> Tensor:
    """Rank-normalized split R̂: the larger of the bulk's and, folded about the median, the tails'.

    `draws` `(n_steps, n_chains, ...)` -> `(...)`; `(n_steps,)` is one chain. Near 1 where the halves of all
    chains agree, accept below 1.01; `nan` where no draw differs from another.
    Raises `ValueError` for fewer than four steps or draws that are not finite. Source: section 4.1.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> draws = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    >>> bool(mcmc.r_hat(draws) < 1.01), bool(mcmc.r_hat(draws + torch.arange(4.0)) > 1.5)
    (True, True)
    """
    halves = _split(_variables_first(draws))
    folded = (halves - _median(halves)).abs()
    bulk, tails = (_plain_r_hat(_normal_scores(x)) for x in (halves, folded))
    # Draws at equal distance from the median, such as spins, have no tails: theirs is nan and does not count.
    return _event(torch.where(bulk.isnan(), bulk, torch.fmax(bulk, tails)), draws)


def ess_bulk(draws: Tensor) -> Tensor:
    """Effective sample size of the rank-normalized draws: how well the centre is known.

    `draws` `(n_steps, n_chains, ...)` -> `(...)`; `(n_steps,)` is one chain. `nan` where none differs from another.
    Raises `ValueError` for fewer than four steps or draws that are not finite. Source: section 4.3.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> draws = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    >>> bool(mcmc.ess_bulk(draws) > 1500)
    True
    """
    return _event(_effective_sample_size(_normal_scores(_split(_variables_first(draws)))), draws)


def ess_tail(draws: Tensor) -> Tensor:
    """Effective sample size of the tails: the smaller of those of x ≤ q at the 5% and the 95% quantile.

    `draws` `(n_steps, n_chains, ...)` -> `(...)`; `(n_steps,)` is one chain. `nan` where none differs from another.
    Raises `ValueError` for fewer than four steps or draws that are not finite. Source: section 4.3.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> draws = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    >>> bool(mcmc.ess_tail(draws) > 1000)
    True
    """
    x = _variables_first(draws)
    low, high = (_effective_sample_size(_split((x <= _quantile(x, q)).double())) for q in (0.05, 0.95))
    return _event(torch.fmin(low, high), draws)  # of two values, one of the two quantiles cuts nothing off


def autocorrelation_time(draws: Tensor) -> Tensor:
    """Integrated autocorrelation time τ = 1 + 2 Σ_t ρ_t: so many steps are worth one independent draw.

    `draws` `(n_steps, n_chains, ...)` -> `(...)`; `(n_steps,)` is one chain. Of the draws themselves, not of
    their ranks, the sum cut by Geyer's initial monotone sequence. At least 1 / log10 S.
    Raises `ValueError` for fewer than four steps or draws that are not finite.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> draws = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    >>> bool(mcmc.autocorrelation_time(draws) < 1.5)  # 1 for independent draws
    True
    """
    halves = _split(_variables_first(draws))
    size = halves.shape[-1] * halves.shape[-2]
    return _event(size / _effective_sample_size(halves), draws)


def autocorrelation(draws: Tensor) -> Tensor:
    """Autocorrelation ρ_t at every lag, `(n_steps, n_chains, ...)` -> `(n_steps, ...)`; ρ_0 is 1.

    Chains share one variance, which counts the spread between them: chains that disagree stay correlated.
    Source: equation 10.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> draws = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    >>> mcmc.autocorrelation(draws)[0]
    tensor(1., dtype=torch.float64)
    """
    rho, _ = _pooled_autocorrelation(_variables_first(draws))
    return rho.transpose(0, 1).reshape(rho.shape[1], *np.shape(draws)[2:])


class Summary(NamedTuple):
    """What draws say of each variable, and how far to trust it; every field has the shape of one x.

    `mean_error` is the standard error of `mean`, std √(τ / S) with τ the integrated autocorrelation time.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> generator = torch.Generator().manual_seed(0)
    >>> draws = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    >>> bool(mcmc.summary(draws).r_hat < 1.05)
    True
    """

    mean: Tensor
    std: Tensor
    mean_error: Tensor
    ess_bulk: Tensor
    ess_tail: Tensor
    r_hat: Tensor


def summary(draws: Tensor) -> Summary:
    """Mean, spread, standard error and the diagnostics of `draws` `(n_steps, n_chains, ...)`, for each variable.

    Raises `ValueError` for fewer than four steps or draws that are not finite.

    >>> import torch
    >>> draws = torch.randn(500, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> summary(draws).mean.shape
    torch.Size([2])
    >>> bool((summary(draws).r_hat < 1.01).all())
    True
    """
    flat = _variables_first(draws).flatten(1)
    std = flat.std(-1)
    tau = autocorrelation_time(draws).reshape(-1)
    error = std * (tau / flat.shape[-1]).sqrt()
    mean, std, error = (_event(part, draws) for part in (flat.mean(-1), std, error))
    return Summary(mean, std, error, ess_bulk(draws), ess_tail(draws), r_hat(draws))


def to_arviz(draws: Tensor, name: str = "x") -> Any:
    """`draws` `(n_steps, n_chains, ...)` as ArviZ's `InferenceData`, chains first: for its plots and tables.

    Trace and rank plots are then `arviz.plot_trace(data)` and `arviz.plot_rank(data)`. Raises `ImportError` without
    ArviZ.

    >>> import torch
    >>> from ebmkit import mcmc
    >>> draws = torch.zeros(100, 4, 2)
    >>> mcmc.to_arviz(draws).posterior["x"].shape  # chains first; needs ArviZ
    (4, 100, 2)
    """
    try:
        import arviz
    except ImportError as error:
        raise ImportError("to_arviz needs ArviZ: pip install 'arviz<1'") from error
    draws = as_tensor(draws, name="draws").detach().cpu()
    chains = draws[:, None] if draws.dim() == 1 else draws
    return arviz.from_dict(posterior={name: chains.transpose(0, 1).numpy()})


# --- shapes ----------------------------------------------------------------------------------------------


def _variables_first(draws: Tensor) -> Tensor:
    """Check the draws and lay them out as `(n_variables, n_chains, n_steps)`, float64."""
    draws = as_tensor(draws, name="draws")
    if draws.dim() == 0 or draws.shape[0] < 4:
        raise ValueError(f"diagnostics need at least 4 steps along the first axis, got {tuple(draws.shape)}")
    if draws.numel() == 0:
        raise ValueError(f"draws hold no chain or no variable, their shape is {tuple(draws.shape)}")
    if not bool(draws.isfinite().all()):
        bad = draws[~draws.isfinite()]
        raise ValueError(f"draws must be finite, got {bad[0].item()} among {bad.numel()} bad values")
    chains = draws[:, None] if draws.dim() == 1 else draws
    return chains.detach().double().reshape(*chains.shape[:2], -1).permute(2, 1, 0)


def _event(values: Tensor, draws: Tensor) -> Tensor:
    return values.reshape(np.shape(draws)[2:])


def _split(x: Tensor) -> Tensor:
    """Halve every chain, so that a drift within one shows; of an odd number of steps the middle is cut."""
    half = x.shape[-1] // 2
    return torch.cat([x[..., :half], x[..., -half:]], -2)


# --- ranks and quantiles ---------------------------------------------------------------------------------


def _normal_scores(x: Tensor) -> Tensor:
    """Φ⁻¹((rank - 3/8) / (S + 1/4)) with ranks over all chains, equal values sharing their mean rank."""
    flat = x.flatten(1)
    ordered = flat.sort(-1).values
    below = torch.searchsorted(ordered, flat, right=False)
    up_to = torch.searchsorted(ordered, flat, right=True)
    rank = 0.5 * (below + up_to + 1).double()
    scores: Tensor = torch.special.ndtri((rank - 0.375) / (flat.shape[-1] + 0.25))
    return scores.reshape(x.shape)


def _quantile(x: Tensor, q: float) -> Tensor:
    """The q-quantile over all chains, linear between neighbours (R's type 7); `(n_variables, 1, 1)`."""
    ordered = x.flatten(1).sort(-1).values
    place = (ordered.shape[-1] - 1) * q
    below = ordered[:, math.floor(place)]
    above = ordered[:, math.ceil(place)]
    return (below + (place - math.floor(place)) * (above - below))[:, None, None]


def _median(x: Tensor) -> Tensor:
    ordered = x.flatten(1).sort(-1).values
    n = ordered.shape[-1]
    return (0.5 * (ordered[:, (n - 1) // 2] + ordered[:, n // 2]))[:, None, None]


# --- the estimators --------------------------------------------------------------------------------------


def _plain_r_hat(x: Tensor) -> Tensor:
    n = x.shape[-1]
    within = x.var(-1).mean(-1)
    between = n * x.mean(-1).var(-1)
    return ((between / within + n - 1) / n).sqrt()


def _pooled_autocorrelation(x: Tensor) -> tuple[Tensor, Tensor]:
    """ρ_t `(n_variables, n_steps)` from the autocovariance of every chain, and the pooled variance."""
    n = x.shape[-1]
    centred = x - x.mean(-1, keepdim=True)
    # Padding to twice the length keeps the transform's circular products from wrapping around.
    spectrum = torch.fft.rfft(centred, n=2 * n)
    autocovariance = torch.fft.irfft(spectrum.abs() ** 2, n=2 * n)[..., :n].mean(-2) / n
    within = autocovariance[:, 0] * n / (n - 1)
    pooled = autocovariance[:, 0] + (x.mean(-1).var(-1) if x.shape[-2] > 1 else 0.0)
    rho = 1 - (within[:, None] - autocovariance) / pooled[:, None]
    rho[:, 0] = 1.0
    return rho, pooled


def _effective_sample_size(x: Tensor) -> Tensor:
    """S / τ with Geyer's initial monotone sequence: sums of neighbouring ρ count while they are positive."""
    size, n = x.shape[-1] * x.shape[-2], x.shape[-1]
    rho, pooled = _pooled_autocorrelation(x)
    n_pairs = 1 + len(range(1, n - 3, 2))
    even = rho[:, 0 : 2 * n_pairs : 2]
    pairs = even + rho[:, 1 : 2 * n_pairs : 2]
    ends = pairs <= 0
    ends[:, -1] = True
    last = ends.long().argmax(-1, keepdim=True)
    before = torch.arange(n_pairs, device=x.device) < last
    kept = torch.where(before, pairs.cummin(-1).values, 0.0).sum(-1)
    # Of the pair that ends the sequence the even lag counts, unless it is what made the sum negative.
    final = torch.where((even > 0) | (pairs > 0), even, 0.0).gather(-1, last)[:, 0]
    tau = -1 + 2 * kept + final
    ess = size / tau.clamp(min=1 / math.log10(size))
    return torch.where(pooled > 0, ess, math.nan)  # draws that never move say nothing of how far they would
