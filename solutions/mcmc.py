# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# # Assignment 6: Markov chain Monte Carlo
#
# You write the samplers that make energy-based models usable, prove on paper-sized spaces that they are
# right, and measure what a chain is worth.
# The chapter is *Markov chain Monte Carlo* in the course's book. You write NumPy, and torch in the one
# exercise that needs a gradient.
#
# **Start.** Install `numpy`, `torch`, `matplotlib` and the library `ebmkit`, the file that ends in
# `.whl`, as the book's page *For students* says.
# The notebook runs in JupyterLab (`jupyter lab mcmc.ipynb`), in VS Code (open it and choose a Python 3
# kernel), and in Colab.
# In Colab, upload the wheel with the folder icon on the left, then run `%pip install` and the
# wheel's file name in a new cell.
#
# **Work.** Each exercise has a cell that ends in `raise NotImplementedError(...)`. Replace that line by your
# answer. Keep the function's name and its arguments.
#
# **Check.** Run the cell below the answer. No error means that these tests pass. They are not all: hidden
# tests use other inputs, drawn when your work is graded.
# Before you hand in, choose *Restart kernel and run all cells*.
#
# **Submit.** Hand in this file under its own name, `mcmc.ipynb`. Add cells where you like, but do not delete
# or copy the cells that carry points.
#
# **Get help.** Read the section of the chapter that the exercise names, then ask in the course's forum. Say
# which test fails and with which message.
#
# While your work is graded, `ebmkit.data` and `ebmkit.chance` can be imported. The other modules of `ebmkit`
# cannot, `ebmkit.mcmc` among them: it holds the answers.
# Warnings and printed output cost nothing.
#
# Your samplers are judged by their distribution, which is known exactly for the cases that are tried. A
# correct sampler is failed with a probability below $10^{-8}$, however the numbers fall.

# %%
import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch

# %% [markdown]
# ## Exercise 1: one Metropolis–Hastings step
#
# You can evaluate $\log f(x)$, where $p(x) = f(x) / Z$ and nobody knows $Z$. Propose $x' \sim q(\cdot \mid
# x)$, and move there with probability
#
# $$\alpha(x, x') = \min\Bigl(1,\ \frac{f(x')\, q(x \mid x')}{f(x)\, q(x' \mid x)}\Bigr) .$$
#
# Otherwise the chain *stays*: the old $x$ counts once more. You advance $B$ chains at once. Each decides for
# itself.
#
# - `x`: the chains, shape `(B, d)`.
# - `log_density(x)`: $\log f$ of each row, `(B, d)` to `(B,)`. It may be $-\infty$ at $x'$, never at $x$.
# - `propose(x, rng)`: a proposal for each row, `(B, d)` to `(B, d)`. Call it once, with all of `x`: it may
#   draw for the rows together.
# - `log_proposal(to, given)`: $\log q(\text{to} \mid \text{given})$ of each row, two arrays `(B, d)` to
#   `(B,)`. It may be $-\infty$ for the way back.
# - `rng`: the only source of chance. `rng.random(B)` gives $B$ uniform numbers.
# - Returns the new chains, shape `(B, d)`. Log-ratios can be as large as $\pm 1000$.
#
# *Example.* From $x$ with $f(x) = 1$ a symmetric proposal goes to $x'$ with $f(x') = \tfrac14$. It is accepted
# one time in four. The way back is always accepted.
#
# Chapter: *Metropolis–Hastings*.


# %%
def step_right(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A proposal for the tests: one to the right."""
    return x + 1.0


def symmetric(to: np.ndarray, given: np.ndarray) -> np.ndarray:
    """log q of any symmetric proposal, up to a constant that cancels."""
    return np.zeros(len(to))


# %% exercise="metropolis_hastings"
def metropolis_hastings(
    x: np.ndarray,
    log_density: Callable[[np.ndarray], np.ndarray],
    propose: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    log_proposal: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """The chains (B, d) after one Metropolis–Hastings step; log_proposal(to, given) is log q(to | given)."""
    ### BEGIN SOLUTION
    proposal = propose(x, rng)
    there = log_density(proposal) + log_proposal(x, proposal)
    here = log_density(x) + log_proposal(proposal, x)
    accepted = np.log1p(-rng.random(len(x))) < there - here
    return np.where(accepted[:, None], proposal, x)
    ### END SOLUTION


# %% tests="metropolis_hastings" points=20
start = np.zeros((4, 2))
moved = metropolis_hastings(start, lambda x: 900 * x[:, 0], step_right, symmetric, np.random.default_rng(0))
assert moved is not None, "metropolis_hastings returned None: is there a `return`?"
assert np.shape(moved) == (4, 2), (
    f"the result must have the shape of the chains, (4, 2), got {np.shape(moved)}"
)
assert not start.any(), "metropolis_hastings changed the array it was given; work on a copy"
assert (np.asarray(moved) == 1).all(), f"a step to where f is larger is always accepted, got\n{moved}"

stayed = metropolis_hastings(start, lambda x: -900 * x[:, 0], step_right, symmetric, np.random.default_rng(0))
assert (np.asarray(stayed) == 0).all(), f"where f falls by e^-900 every chain must stay, got\n{stayed}"

many = metropolis_hastings(
    np.zeros((4000, 2)), lambda x: x[:, 0] * np.log(0.25), step_right, symmetric, np.random.default_rng(0)
)
share = np.mean(np.asarray(many)[:, 0])
assert 0.15 < share < 0.35, f"the example above: one chain in four moves; here {share:.2f} of them did"


# %% [markdown]
# ### See it work
#
# Three chains on a banana. Each dot is one state, and a dark dot was held for several steps.


# %%
def log_banana(x: np.ndarray) -> np.ndarray:
    return -0.5 * x[:, 0] ** 2 - 4 * (x[:, 1] - 0.5 * x[:, 0] ** 2 + 1) ** 2


def random_walk(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x + 0.5 * rng.standard_normal(x.shape)


rng = np.random.default_rng(1)
path = [np.array([[-3.0, 3.0], [0.0, -3.0], [3.0, -2.0]])]
for _ in range(400):
    path.append(metropolis_hastings(path[-1], log_banana, random_walk, symmetric, rng))
path = np.array(path)

xs, ys = np.meshgrid(np.linspace(-4, 4, 200), np.linspace(-4, 5, 200))
density = np.exp(log_banana(np.stack([xs.ravel(), ys.ravel()], 1))).reshape(xs.shape)
plt.figure(figsize=(6, 4.5))
plt.contourf(xs, ys, density, cmap="Greys", levels=12)
for chain in range(3):
    plt.plot(path[:, chain, 0], path[:, chain, 1], ".-", alpha=0.35, linewidth=0.6)
plt.title("400 Metropolis steps from three bad starts")
plt.show()

# %% [markdown]
# ## Exercise 2: detailed balance, as a matrix
#
# On a space of $K$ states a sampler *is* a matrix: $P_{ij}$ is the probability to go from $i$ to $j$ in one
# step. For Metropolis–Hastings with proposals $Q_{ij} = q(j \mid i)$,
#
# $$P_{ij} = Q_{ij}\, \min\Bigl(1, \frac{p_j Q_{ji}}{p_i Q_{ij}}\Bigr) \quad (i \ne j), \qquad
# P_{ii} = 1 - \sum_{j \ne i} P_{ij} .$$
#
# The diagonal holds the proposals to stay *and* all rejections. The *flow* $F_{ij} = p_i P_{ij}$ is how often
# a chain in equilibrium goes from $i$ to $j$. *Detailed balance* says that $F$ is symmetric: as much traffic
# each way. Sum over $i$, and $p P = p$ follows.
#
# - `log_p`: shape `(K,)` with $K \ge 1$, $\log p_i$ up to a constant, so $p$ is not normalized. Entries can be as
#   large as $\pm 1000$.
# - `Q`: shape `(K, K)`, rows sum to 1. Entries may be 0: from $i$ to $j$ only, or both ways.
# - Returns `(P, F)`, both of shape `(K, K)`. The entries of $F$ sum to 1.
#
# *Example.* $p = (\tfrac14, \tfrac34)$, proposing the other state always. From the second state a third of the
# proposals is accepted: $P = \begin{pmatrix} 0 & 1 \\ 1/3 & 2/3 \end{pmatrix}$ and
# $F = \begin{pmatrix} 0 & 1/4 \\ 1/4 & 1/2 \end{pmatrix}$.
#
# Chapter: *Detailed balance*.


# %% exercise="transition_matrix"
def transition_matrix(log_p: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Metropolis–Hastings matrix P (K, K) for p ∝ exp(log_p) and proposals Q, and the flow p_i P_ij."""
    ### BEGIN SOLUTION
    with np.errstate(divide="ignore", invalid="ignore"):
        log_flow = log_p[:, None] + np.log(Q)
        ratio = np.exp(np.minimum(0, log_flow.T - log_flow))
    P = np.where(Q > 0, Q * ratio, 0)
    np.fill_diagonal(P, 0)
    np.fill_diagonal(P, 1 - P.sum(1))
    p = np.exp(log_p - log_p.max())
    return P, p[:, None] / p.sum() * P
    ### END SOLUTION


# %% tests="transition_matrix" points=10
found = transition_matrix(np.log([0.5, 1.5]), np.array([[0.0, 1.0], [1.0, 0.0]]))
assert found is not None, "transition_matrix returned None: is there a `return`?"
assert len(found) == 2, f"return two matrices, P and F, got {len(found)} values"
P, F = found
assert np.shape(P) == np.shape(F) == (2, 2), f"both matrices must be 2×2, got {np.shape(P)} and {np.shape(F)}"
assert np.allclose(np.sum(P, axis=1), 1), f"the rows of P sum to 1, got {np.sum(P, axis=1)}"
assert np.allclose(P, [[0, 1], [1 / 3, 2 / 3]]), f"P of the example above is [[0, 1], [1/3, 2/3]], got\n{P}"
assert np.allclose(F, [[0, 0.25], [0.25, 0.5]]), f"F of the example above is [[0, 1/4], [1/4, 1/2]], got\n{F}"

P, F = transition_matrix(np.zeros(3), np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]))
assert np.allclose(P, np.eye(3)), f"there is no way back on a one-way ring: every step is rejected, got\n{P}"

# %% [markdown]
# ## Exercise 3: Gibbs sampling of a correlated Gaussian
#
# Let $p(x) \propto \exp\bigl(-\tfrac12 (x - \mu)^\top \Lambda\, (x - \mu)\bigr)$ with mean $\mu$ and
# *precision* $\Lambda = \Sigma^{-1}$. One coordinate, given all others, is Gaussian again:
#
# $$x_i \mid x_{-i} \sim \mathcal{N}\Bigl(\mu_i - \frac{1}{\Lambda_{ii}} \sum_{j \ne i} \Lambda_{ij} (x_j -
# \mu_j),\ \frac{1}{\Lambda_{ii}}\Bigr) .$$
#
# Derive it: read the energy as a quadratic in $x_i$ alone. The second argument is a *variance*.
#
# A sweep draws coordinates $0, 1, \dots, d - 1$ in this order. Each sees the *new* values of those before it.
# You sweep $B$ chains at once, each with its own chance.
#
# - `x`: shape `(B, d)`, floats.
# - `mean`: shape `(d,)`. `precision`: shape `(d, d)`, symmetric and positive definite.
# - `rng`: the only source of chance. `rng.standard_normal(B)` gives $B$ draws of $\mathcal{N}(0, 1)$.
# - Returns the new chains, shape `(B, d)`.
#
# *Example.* $\mu = 0$ and $\Lambda = \begin{pmatrix} 4 & 2 \\ 2 & 4 \end{pmatrix}$, at $x = (8, 6)$.
# The new $x_0$ has mean $-\tfrac14 \cdot 2 \cdot 6 = -3$ and standard deviation $\tfrac12$. If it comes out
# as $-3$, the new $x_1$ has mean $-\tfrac14 \cdot 2 \cdot (-3) = 1.5$.
#
# Chapter: *Gibbs sampling*.


# %% exercise="gaussian_gibbs"
def gaussian_gibbs(
    x: np.ndarray, mean: np.ndarray, precision: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The chains (B, d) after one Gibbs sweep over coordinates 0 … d-1 of N(mean, precision⁻¹)."""
    ### BEGIN SOLUTION
    away = x - mean
    for i in range(len(mean)):
        rest = away @ precision[i] - away[:, i] * precision[i, i]
        noise = rng.standard_normal(len(x)) / np.sqrt(precision[i, i])
        away[:, i] = noise - rest / precision[i, i]
    return away + mean
    ### END SOLUTION


# %% tests="gaussian_gibbs" points=15
start = np.array([[8.0, 6.0]] * 3)
tight = 1e12 * np.array([[4.0, 2.0], [2.0, 4.0]])
swept = gaussian_gibbs(start, np.zeros(2), tight, np.random.default_rng(0))
assert swept is not None, "gaussian_gibbs returned None: is there a `return`?"
assert np.shape(swept) == (3, 2), f"the result must have the shape of x, (3, 2), got {np.shape(swept)}"
assert (start == [8, 6]).all(), "gaussian_gibbs changed the array it was given; work on a copy"
assert np.allclose(swept, [-3.0, 1.5], atol=1e-3), (
    f"the example above with hardly any noise goes to (-3, 1.5), got {np.asarray(swept)[0]}"
)

wide = gaussian_gibbs(np.zeros((4000, 1)), np.array([5.0]), np.array([[0.25]]), np.random.default_rng(0))
assert abs(np.mean(wide) - 5) < 0.5, f"one coordinate alone has mean μ = 5, got {np.mean(wide):.2f}"
assert abs(np.std(wide) - 2) < 0.5, f"precision 1/4 is standard deviation 2, got {np.std(wide):.2f}"

# %% [markdown]
# ### See it work
#
# The stronger the correlation, the smaller the steps along the ridge: Gibbs sampling moves along the axes
# only.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True)
for axis, correlation in zip(axes, (0.5, 0.98)):
    precision = np.linalg.inv([[1, correlation], [correlation, 1]])
    chain, rng = [np.array([[-3.0, 3.0]])], np.random.default_rng(2)
    for _ in range(60):
        chain.append(gaussian_gibbs(chain[-1], np.zeros(2), precision, rng))
    corners = np.repeat(np.concatenate(chain), 2, axis=0)
    axis.plot(corners[1:, 0], corners[:-1, 1], ".-", linewidth=0.7, markersize=3)
    axis.set_title(f"correlation {correlation}: 60 sweeps")
plt.show()

# %% [markdown]
# ## Exercise 4: Langevin, unadjusted and adjusted
#
# Let the gradient lead. The *unadjusted Langevin algorithm* (ULA) walks downhill in energy and adds noise:
#
# $$x' = x - \varepsilon\, \nabla E(x) + \sqrt{2 \varepsilon}\; \xi, \qquad \xi \sim \mathcal{N}(0, I) .$$
#
# It never rejects, so for $\varepsilon > 0$ its law is a little wrong. The *Metropolis-adjusted* version
# (MALA) takes this step as a proposal, $q(x' \mid x) = \mathcal{N}\bigl(x';\ x - \varepsilon \nabla E(x),\
# 2 \varepsilon I\bigr)$, and accepts it with probability
#
# $$\min\Bigl(1, \frac{e^{-E(x')}\, q(x \mid x')}{e^{-E(x)}\, q(x' \mid x)}\Bigr) , \qquad
# \log q(b \mid a) = -\frac{\lVert b - a + \varepsilon \nabla E(a) \rVert^2}{4 \varepsilon} + \text{const.}$$
#
# The way back needs the gradient at $x'$.
#
# - `x`: a torch tensor of shape `(B, d)`, `float32` or `float64`.
# - `energy(x)`: a function of tensors, `(B, d)` to `(B,)`, made of torch operations. Row $b$ of the result
#   depends on row $b$ of `x` alone. Get $\nabla E$ by autograd.
# - `step_size` is $\varepsilon$. With `adjusted=False` take the ULA step, with `adjusted=True` the MALA step.
# - `generator`: the only source of chance. `torch.randn(x.shape, generator=generator, dtype=x.dtype)` gives
#   normal and `torch.rand(B, generator=generator, dtype=x.dtype)` uniform numbers.
# - Returns a tensor of the shape and dtype of `x`. In MALA a rejected row comes back exactly as it was.
#
# *Example.* $E(x) = 2 x^2$ with $\varepsilon = 0.1$, at $x = 1$: the gradient is 4, so ULA draws from
# $\mathcal{N}(0.6,\ 0.2)$.
#
# Chapter: *Langevin dynamics*.


# %% exercise="langevin"
def langevin(
    x: torch.Tensor,
    energy: Callable[[torch.Tensor], torch.Tensor],
    step_size: float,
    adjusted: bool,
    generator: torch.Generator,
) -> torch.Tensor:
    """The chains (B, d) after one Langevin step: unadjusted (ULA), or adjusted by Metropolis–Hastings (MALA)."""

    ### BEGIN SOLUTION
    def energy_and_gradient(point: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = point.detach().clone().requires_grad_(True)
        value = energy(leaf)
        return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]

    here, gradient = energy_and_gradient(x)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    proposal = x - step_size * gradient + math.sqrt(2 * step_size) * noise
    if not adjusted:
        return proposal
    there, gradient_there = energy_and_gradient(proposal)
    back = (x - proposal + step_size * gradient_there).square().sum(-1) / (4 * step_size)
    log_ratio = here - there - back + noise.square().sum(-1) / 2
    accepted = torch.rand(len(x), generator=generator, dtype=x.dtype) < log_ratio.exp()
    return torch.where(accepted[:, None], proposal, x)
    ### END SOLUTION


# %% tests="langevin" points=20
def parabola(x: torch.Tensor) -> torch.Tensor:
    return 2 * x.square().sum(-1)


for adjusted in (False, True):
    start = torch.ones(4000, 1, dtype=torch.float64)
    after = langevin(start, parabola, 0.1, adjusted, torch.Generator().manual_seed(0))
    name = f"langevin(…, adjusted={adjusted})"
    assert after is not None, f"{name} returned None: is there a `return`?"
    assert after.shape == (4000, 1), (
        f"{name}: the shape must be that of x, (4000, 1), got {tuple(after.shape)}"
    )
    assert after.dtype == torch.float64, f"{name}: the dtype must be that of x, float64, got {after.dtype}"
    assert (start == 1).all(), f"{name} changed the tensor it was given"

after = langevin(start, parabola, 0.1, False, torch.Generator().manual_seed(0)).detach()
assert abs(after.mean() - 0.6) < 0.05, f"the example above has mean 0.6, got {after.mean():.3f}"
assert abs(after.var() - 0.2) < 0.04, f"the example above has variance 0.2, got {after.var():.3f}"

after = langevin(start, parabola, 0.1, True, torch.Generator().manual_seed(0)).detach()
held = (after == 1).double().mean()
assert 0 < held < 0.5, f"MALA rejects a few proposals here; {held:.2f} of the chains stayed"


# %% [markdown]
# ### A surprise
#
# Both samplers run on the same double well with the same, large step. Guess before you run the cell: which
# histogram follows the density?


# %%
def double_well(x: torch.Tensor) -> torch.Tensor:
    return 2 * (x.square() - 1).square().sum(-1)


grid = np.linspace(-2.2, 2.2, 400)
density = np.exp(-2 * (grid**2 - 1) ** 2)
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, adjusted in zip(axes, (False, True)):
    generator = torch.Generator().manual_seed(3)
    x = torch.empty(3000, 1, dtype=torch.float64).uniform_(-1.5, 1.5, generator=generator)
    for _ in range(60):
        x = langevin(x, double_well, 0.08, adjusted, generator).detach()
    axis.hist(x.numpy().ravel(), bins=60, range=(-2.2, 2.2), density=True, alpha=0.5)
    axis.plot(grid, density / (density.sum() * (grid[1] - grid[0])), "k")
    axis.set_title("MALA" if adjusted else "ULA")
plt.show()

# %% [markdown]
# ## Exercise 5: effective sample size
#
# Draws of a chain resemble each other, so $n$ of them are worth fewer than $n$ independent ones. With the
# autocorrelations
#
# $$\rho_t = \frac{\sum_{s=0}^{n-1-t} (x_s - \bar x)(x_{s+t} - \bar x)}{\sum_{s=0}^{n-1} (x_s - \bar x)^2} ,
# \qquad \tau = 1 + 2 \sum_{t \ge 1} \rho_t , \qquad \text{ESS} = \frac{n}{\tau} .$$
#
# At large lags $\rho_t$ is noise, and all lags together always add up to nonsense. Geyer's rule says where to
# stop. Add neighbouring lags in pairs, $\Gamma_k = \rho_{2k} + \rho_{2k+1}$ for $k = 0, 1, 2, \dots$ while
# $2k + 1 \le n - 1$. Keep the pairs *before the first that is not positive*, and take
#
# $$\tau = -1 + 2 \sum_{\text{kept}} \Gamma_k .$$
#
# If $\tau$ comes out below 1, use 1: we do not claim more than $n$ draws.
#
# - `x`: one chain of numbers, shape `(n,)` with $n \ge 2$, `float32`, `float64` or whole numbers, not all equal.
# - Returns one number between 0 and $n$. Compute in `float64`: chains may lie far from 0, where a mean in
#   `float32` is too coarse.
#
# *Example.* $x = (0, 0, 1, 1)$: $\bar x = \tfrac12$ and $\rho = (1, \tfrac14, -\tfrac12, -\tfrac14)$. Then
# $\Gamma_0 = \tfrac54$ is kept, $\Gamma_1 = -\tfrac34$ ends the sum, $\tau = \tfrac32$, and ESS $= 4 /
# \tfrac32 = 2.67$.
#
# Chapter: *How many draws is a chain worth?*.


# %% exercise="effective_sample_size"
def effective_sample_size(x: np.ndarray) -> float:
    """n / τ of one chain (n,), the autocorrelations cut by Geyer's initial positive sequence; at most n."""
    ### BEGIN SOLUTION
    n = len(x)
    centred = np.asarray(x, dtype=np.float64) - np.mean(x, dtype=np.float64)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    covariance = np.fft.irfft(spectrum, 2 * n)[:n]
    rho = covariance / covariance[0]
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(1)
    kept = np.cumprod(pairs > 0) == 1
    return n / max(1.0, 2 * pairs[kept].sum() - 1)
    ### END SOLUTION


# %% tests="effective_sample_size" points=10
found = effective_sample_size(np.array([0.0, 0.0, 1.0, 1.0]))
assert found is not None, "effective_sample_size returned None: is there a `return`?"
assert np.ndim(found) == 0, f"effective_sample_size must return one number, got shape {np.shape(found)}"
assert np.isclose(found, 4 / 1.5), f"the example above has ESS 2.67, got {found}"

found = effective_sample_size(np.array([0.0, 1.0] * 10))
assert np.isclose(found, 20), (
    f"a chain that jumps back and forth is worth n = 20 draws by our cap, got {found}"
)

independent = np.random.default_rng(0).standard_normal(2000)
found = effective_sample_size(np.repeat(independent, 5))
assert 1200 < found < 3000, (
    f"2000 independent draws, each repeated 5 times, are worth about 2000, got {found}"
)

# %% [markdown]
# ### See it work
#
# A random walk has one knob. Small steps are always accepted and go nowhere; large steps are refused.


# %%
def standard_normal(x: np.ndarray) -> np.ndarray:
    return -0.5 * x[:, 0] ** 2


def worth_of(width: float, n: int = 800) -> float:
    """Effective draws per step of a random walk on N(0, 1)."""
    x, rng, kept = np.zeros((1, 1)), np.random.default_rng(4), []
    for _ in range(n):
        x = metropolis_hastings(
            x, standard_normal, lambda x, r: x + width * r.standard_normal(x.shape), symmetric, rng
        )
        kept.append(x[0, 0])
    return effective_sample_size(np.array(kept)) / n


widths = np.geomspace(0.1, 40, 11)
worth = [worth_of(width) for width in widths]
plt.figure(figsize=(6, 3))
plt.semilogx(widths, worth, "o-")
plt.xlabel("width of the proposal")
plt.ylabel("effective draws per step")
plt.show()

# %% [markdown]
# ## Exercise 6: annealed importance sampling
#
# Markov chains give samples, not $Z$. Annealed importance sampling gets $Z$ from chains that start at an easy
# law. Between a normalized base $p_0$ and the target $f = e^{-E}$ lies a path
#
# $$\log f_\beta(x) = (1 - \beta) \log p_0(x) + \beta \log f(x), \qquad 0 = \beta_0 < \beta_1 < \dots < \beta_T
# = 1 .$$
#
# Draw $x \sim p_0$ and start with $\log w = 0$. For $k = 1, \dots, T$, first weigh, then move:
#
# 1. add $\log f_{\beta_k}(x) - \log f_{\beta_{k-1}}(x)$ to $\log w$;
# 2. replace $x$ by one step of a sampler that leaves $f_{\beta_k}$ invariant.
#
# Then $\mathbb{E}[w] = Z = \sum_x f(x)$, for any schedule and any such sampler. Average over $n$ independent
# runs:
#
# $$\log \hat Z = \log \frac1n \sum_{r=1}^n w_r .$$
#
# - The states are $0, \dots, K - 1$. `log_base` and `log_target`: shape `(K,)`, $\log p_0$ (normalized) and
#   $\log f$. `log_target` can be as large as $\pm 2000$.
# - `betas`: shape `(T + 1,)`, from 0 to 1, not equally spaced.
# - `step(x, log_f, rng)`: one step of a sampler for $f \propto$ `exp(log_f)`. `x` is an integer array of shape
#   `(n,)`, and `log_f` of shape `(K,)` belongs to one temperature. Returns new states, `(n,)`.
# - `n`: the number of runs. `rng`: the only source of chance; `rng.choice(K, n, p=…)` draws states.
# - Returns `(log_weights, log_z)`: the $\log w$ of each run, shape `(n,)`, and the number $\log \hat Z$. The
#   last move may be left out.
#
# *Example.* If $f = 3 p_0$, every weight is exactly 3, and $\log \hat Z = \log 3$ without any error.
#
# Chapter: *Annealed importance sampling*.


# %%
def metropolis_on_a_ring(x: np.ndarray, log_f: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Propose the state to the left or to the right, each half of the time."""
    neighbour = (x + rng.choice([-1, 1], len(x))) % len(log_f)
    accepted = rng.random(len(x)) < np.exp(np.minimum(0, log_f[neighbour] - log_f[x]))
    return np.where(accepted, neighbour, x)


# %% exercise="annealed_importance_sampling"
def annealed_importance_sampling(
    log_base: np.ndarray,
    log_target: np.ndarray,
    betas: np.ndarray,
    step: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray],
    n: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """The log-weights (n,) of n annealed runs from p_0 = exp(log_base) to exp(log_target), and log Ẑ."""
    ### BEGIN SOLUTION
    x = rng.choice(len(log_base), n, p=np.exp(log_base))
    log_weights = np.zeros(n)
    for k in range(1, len(betas)):
        log_weights += (betas[k] - betas[k - 1]) * (log_target - log_base)[x]
        x = step(x, (1 - betas[k]) * log_base + betas[k] * log_target, rng)
    return log_weights, np.logaddexp.reduce(log_weights) - math.log(n)
    ### END SOLUTION


# %% tests="annealed_importance_sampling" points=15
log_base = np.log([0.5, 0.25, 0.25])
schedule = np.array([0.0, 0.3, 0.7, 1.0])
found = annealed_importance_sampling(
    log_base, log_base + np.log(3), schedule, metropolis_on_a_ring, 50, np.random.default_rng(0)
)
assert found is not None, "annealed_importance_sampling returned None: is there a `return`?"
assert len(found) == 2, f"return two things, the log-weights and log Ẑ, got {len(found)}"
assert np.shape(found[0]) == (50,), f"50 runs have log-weights of shape (50,), got {np.shape(found[0])}"
assert np.allclose(found[0], np.log(3)), f"the example above: every log-weight is log 3, got {found[0][:5]} …"
assert np.isclose(found[1], np.log(3)), f"the example above: log Ẑ is log 3 = 1.099, got {found[1]}"

log_target = np.array([1.0, 0.0, -1.0])
_, found_log_z = annealed_importance_sampling(
    log_base, log_target, schedule, metropolis_on_a_ring, 20_000, np.random.default_rng(0)
)
true_log_z = np.logaddexp.reduce(log_target)
assert abs(found_log_z - true_log_z) < 0.1, f"log Z is {true_log_z:.3f} here, got {found_log_z:.3f}"

# %% [markdown]
# ### See it work
#
# Thirty states on a ring, nearly all of the mass in a few of them, and three runs at a time. The black line
# is the exact $\log Z$.

# %%
K = 30
rough = 12 * np.cos(np.arange(K) * 2 * np.pi / K) + np.random.default_rng(5).normal(size=K) / 2
exact = np.logaddexp.reduce(rough)
rng = np.random.default_rng(6)
lengths = [1, 10, 60, 300]
plt.figure(figsize=(6, 3))
for place, length in enumerate(lengths):
    betas = np.linspace(0, 1, length + 1)
    estimates = [
        annealed_importance_sampling(np.full(K, -np.log(K)), rough, betas, metropolis_on_a_ring, 3, rng)[1]
        for _ in range(15)
    ]
    plt.plot(np.full(15, place), estimates, "o", alpha=0.4)
plt.axhline(exact, color="k")
plt.xticks(range(len(lengths)), [f"{length} steps" for length in lengths])
plt.ylabel("estimate of log Z")
plt.show()

# %% [markdown] question="what_a_chain_can_tell" points=10
# ## Exercise 7: what a chain can and cannot tell you
#
# 1. The sweep of exercise 3 leaves its Gaussian invariant. Is it in detailed balance? Say why, or give a
#    small case where the flow is not symmetric. (3 points)
# 2. ULA with a fixed step samples a wrong law, however long it runs. Take $E(x) = \tfrac12 x^2$ and compute the
#    variance that it settles at. (3 points)
# 3. The figure of exercise 6 leans to one side: short anneals come out too low more often than too high,
#    though $\mathbb{E}[w] = Z$. Explain both facts. (2 points)
# 4. A chain has $\hat R \approx 1$ and a large effective sample size. What can still be wrong? (2 points)
#
# Write a few sentences for each.
#
# ### BEGIN SOLUTION
# **A full answer.** (1) Each single-coordinate update is reversible, so it leaves $p$ invariant, and so does
# their composition. The composition in a fixed order is not reversible: backwards in time the chain updates
# the coordinates in the order $d - 1, \dots, 0$, which is another kernel. With two binary units where one
# corner has probability 0, a sweep can go from $a$ to $b$ in one step through a corner that the reverse order
# forbids. Random order, or a sweep forth and back, restores detailed balance.
#
# (2) $x' = (1 - \varepsilon) x + \sqrt{2 \varepsilon}\, \xi$ has stationary variance $v = (1 - \varepsilon)^2 v +
# 2 \varepsilon$, so $v = 2 / (2 - \varepsilon) > 1$: too wide, right only as $\varepsilon \to 0$, and unstable from
# $\varepsilon = 2$ on.
#
# (3) $\mathbb{E}[\log \hat Z] \le \log \mathbb{E}[\hat Z] = \log Z$ by Jensen. The mean of $w$ is carried by
# rare, huge weights; a few runs miss them and come out low. By Markov's inequality $\log \hat Z$ exceeds $\log Z$
# by $\delta$ with probability at most $e^{-\delta}$.
#
# (4) All chains may sit in one mode, having never seen another: diagnostics compare the chains with one
# another, not with $p$. The sampler may also leave another law invariant (ULA, a bug).
#
# **Rubric.** (1) 1 point for "no", 2 for a reason: order reversed, or a case with unequal flows. (2) 2 points
# for the equation of the stationary variance, 1 for $2 / (2 - \varepsilon)$. (3) 1 point for Jensen, 1 for rare
# large weights. (4) 1 point for an unseen mode, 1 for "compares chains with each other" or a biased kernel.
# ### END SOLUTION
