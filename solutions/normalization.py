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
# # Assignment 1: normalization
#
# You turn functions into densities, by formula, by quadrature, by a change of variables and by counting, and
# find out what each way costs.
# The chapter is *Normalization* in the course's book. You write NumPy, and torch in the one exercise that
# needs a derivative.
#
# **Start.** Install `numpy`, `torch`, `matplotlib` and the library `ebmkit`, the file that ends in
# `.whl`, as the book's page *For students* says.
# The notebook runs in JupyterLab (`jupyter lab normalization.ipynb`), in VS Code (open it and choose a Python
# 3 kernel), and in Colab.
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
# **Submit.** Hand in this file under its own name, `normalization.ipynb`. Add cells where you like, but do
# not delete or copy the cells that carry points.
#
# **Get help.** Read the section of the chapter that the exercise names, then ask in the course's forum. Say
# which test fails and with which message.
#
# While your work is graded, `ebmkit.data` and `ebmkit.chance` can be imported. The other modules of `ebmkit`
# cannot, `ebmkit.normalization` among them: it holds the answers.
# Warnings and printed output cost nothing.

# %%
import math
import time
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch

# %% [markdown]
# ## From a function to a density
#
# Take any real function $f$. Both $g(x) = e^{f(x)}$ and $g(x) = f(x)^2$ are never negative. Divide by their
# *volume* and you have a density:
#
# $$p(x) = \frac{g(x)}{Z}, \qquad Z = \sum_x g(x) \quad\text{or}\quad Z = \int g(x)\, dx .$$
#
# With $f = -E$ the first is the energy-based model $p(x) = e^{-E(x)} / Z$. The function is free. The price is
# $Z$.

# %% [markdown]
# ## Exercise 1: a stable log-sum-exp
#
# Volumes are products of many factors: they overflow. So you keep $\log Z$, and add volumes like this:
#
# $$\operatorname{logsumexp}(a) = \log \sum_{k=1}^{n} e^{a_k} .$$
#
# Taken literally, $e^{1000}$ is infinite and $\log(e^{-1000} + e^{-1000})$ is $\log 0$. Find an equal
# expression in which the largest exponent is 0.
#
# - `a`: an array of shape `(..., n)` with $n \ge 1$, `float32` or `float64`. The sum runs over the last axis.
# - Returns an array of shape `(...)`. For `a` of shape `(n,)` that is one number. A batch may be empty: shape
#   `(0, n)` gives shape `(0,)`.
# - An entry may be $-\infty$, a term of zero. If all entries of a row are, so is the result. $+\infty$ and
#   NaN do not occur.
#
# *Example.* $a = (0, \log 3)$ gives $\log(1 + 3) = \log 4 = 1.386$. Add 1000 to both, and the result is 1000
# larger.
#
# Chapter: *What can go wrong*.


# %% exercise="log_sum_exp"
def log_sum_exp(a: np.ndarray) -> np.ndarray:
    """log Σ_k exp(a_k) over the last axis: (..., n) to (...), without overflow."""
    ### BEGIN SOLUTION
    largest = a.max(axis=-1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(a - largest).sum(axis=-1)) + largest[..., 0]
    ### END SOLUTION


# %% tests="log_sum_exp" points=15
found = log_sum_exp(np.array([0.0, math.log(3)]))
assert found is not None, "log_sum_exp returned None: is there a `return`?"
assert np.ndim(found) == 0, f"for a of shape (2,) one number is expected, got shape {np.shape(found)}"
assert np.isclose(found, math.log(4)), f"the example above has log-sum-exp log 4 = 1.386, got {found}"

found = log_sum_exp(np.zeros((3, 4)))
assert np.shape(found) == (3,), f"(3, 4) must give shape (3,), got {np.shape(found)}"
assert np.allclose(found, math.log(4)), f"four terms of e^0 add up to 4 in each row, got {found}"

found = log_sum_exp(np.array([1000.0, 1000.0 + math.log(3)]))
assert np.isclose(found, 1000 + math.log(4)), f"adding 1000 to all entries adds 1000: 1001.386, got {found}"

found = log_sum_exp(np.array([[-np.inf, 2.0], [-np.inf, -np.inf]]))
assert np.array_equal(found, [2.0, -np.inf]), (
    f"a term of zero changes nothing; no terms at all give -inf: [2, -inf], got {found}"
)

# %% [markdown]
# ## Exercise 2: two volumes in closed form
#
# Some integrals are known. Compute the *logarithms* of these two:
#
# $$Z_1(\sigma) = \int_{-\infty}^{\infty} e^{-x^2 / (2\sigma^2)}\, dx , \qquad
# Z_2(\lambda) = \int_0^{\infty} e^{-\lambda x}\, dx .$$
#
# The first is the volume of the Gaussian, the second that of the exponential distribution.
#
# - `scale`: $\sigma > 0$, an array of any shape, or one number. It can be as small as $10^{-200}$ and as
#   large as $10^{200}$: the result is an ordinary number, $\sigma^2$ is not.
# - `rate`: $\lambda > 0$, an array of any shape, or one number, in the same range.
# - Arrays are `float32` or `float64`, and may be empty.
# - Returns the pair `(log Z1, log Z2)`. Each has the shape of its argument.
#
# *Example.* For $\sigma = 1$ and $\lambda = 2$: $Z_1 = \sqrt{2\pi}$ and $Z_2 = \tfrac12$. The pair is
# $(0.919, -0.693)$.
#
# Chapter: *Volumes you can look up*.


# %% exercise="log_normalizers"
def log_normalizers(scale: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log ∫ exp(-x² / 2σ²) dx over all x, and log ∫ exp(-λx) dx over x > 0, elementwise."""
    ### BEGIN SOLUTION
    return 0.5 * np.log(2 * np.pi) + np.log(scale), -np.log(rate)
    ### END SOLUTION


# %% tests="log_normalizers" points=10
found = log_normalizers(1.0, 2.0)
assert found is not None, "log_normalizers returned None: is there a `return`?"
assert isinstance(found, tuple), f"return a pair, got {type(found).__name__}"
assert len(found) == 2, f"return a pair, got {len(found)} values"
assert np.isclose(found[0], 0.919, atol=1e-3), f"for σ = 1 the first is log √(2π) = 0.919, got {found[0]}"
assert np.isclose(found[1], -0.693, atol=1e-3), f"for λ = 2 the second is -log 2 = -0.693, got {found[1]}"

found = log_normalizers(np.ones((2, 3)), np.ones(4))
assert np.shape(found[0]) == (2, 3), f"the first has the shape of scale, (2, 3), got {np.shape(found[0])}"
assert np.allclose(found[1], np.zeros(4)), f"for λ = 1 the volume is 1 and its log 0, got {found[1]}"

# %% [markdown]
# ## Exercise 3: any function, by quadrature
#
# For an arbitrary $f$ there is no formula. On an interval you can still add up thin slices. Compute both
# volumes:
#
# $$Z_{\exp} = \int_a^b e^{f(x)}\, dx , \qquad Z_{\text{square}} = \int_a^b f(x)^2\, dx .$$
#
# - `f`: a function. It takes an array of shape `(n,)` and returns the array of values, `(n,)`.
# - `lower`, `upper`: $a < b$, both finite.
# - Returns the pair `(Z_exp, Z_square)`, each with a relative error below $10^{-5}$.
#
# $f$ is continuous, and can be in the hundreds: $e^f$ is large or small then, and still a float.
# Its peaks may be as narrow as a thousandth of the interval, so look at 20,000 points or more. Then midpoints,
# trapezoids and Simpson's rule are all exact enough. Mind both ends: a sum over left ends is not.
#
# *Example.* $f(x) = x$ on $[0, 1]$ has the volumes $e - 1 = 1.71828$ and $\tfrac13$.
#
# Chapter: *Two conditions*.


# %% exercise="volumes"
def volumes(f: Callable[[np.ndarray], np.ndarray], lower: float, upper: float) -> tuple[float, float]:
    """∫ exp f(x) dx and ∫ f(x)² dx from lower to upper, each with relative error below 1e-5."""
    ### BEGIN SOLUTION
    edges = np.linspace(lower, upper, 20_001)
    values = f((edges[1:] + edges[:-1]) / 2)
    width = (upper - lower) / 20_000
    return width * np.exp(values).sum(), width * (values**2).sum()
    ### END SOLUTION


# %% tests="volumes" points=20
found = volumes(lambda x: x, 0.0, 1.0)
assert found is not None, "volumes returned None: is there a `return`?"
assert isinstance(found, tuple), f"return a pair, got {type(found).__name__}"
assert len(found) == 2, f"return a pair, got {len(found)} values"
assert np.ndim(found[0]) == 0, f"each volume is one number, got shape {np.shape(found[0])}"
assert np.isclose(found[0], math.e - 1, rtol=1e-5), f"∫ exp(x) from 0 to 1 is e - 1 = 1.71828, got {found[0]}"
assert np.isclose(found[1], 1 / 3, rtol=1e-5), f"∫ x² from 0 to 1 is 1/3, got {found[1]}"

found = volumes(lambda x: np.full_like(x, -2.0), -1.0, 3.0)
assert np.isclose(found[0], 4 * math.exp(-2)), (
    f"a constant f = -2 on [-1, 3]: 4 exp(-2) = 0.541, got {found[0]}"
)
assert np.isclose(found[1], 16.0), f"a constant f = -2 on [-1, 3]: 4 · 4 = 16, got {found[1]}"

# %% [markdown]
# ### See it work
#
# One function, two densities. Where $f$ is zero, $f^2$ forbids what $e^f$ allows.

# %%
x = np.linspace(-3, 3, 601)


def wave(x: np.ndarray) -> np.ndarray:
    return 2 * np.sin(2 * x) - 0.3 * x**2


z_exp, z_square = volumes(wave, -3.0, 3.0)
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharex=True)
axes[0].plot(x, wave(x), color="black")
axes[0].set_title("f")
axes[1].plot(x, np.exp(wave(x)) / z_exp, label=r"$e^f / Z$")
axes[1].plot(x, wave(x) ** 2 / z_square, label=r"$f^2 / Z$")
axes[1].set_title("the two densities made of it")
axes[1].legend()
plt.show()

# %% [markdown]
# ## Exercise 4: the change of variables of a flow
#
# A *flow* maps $x$ one to one to $z = T(x)$, which is a standard Gaussian. Then $p(x)$ is normalized for any
# such $T$, because the map says how it stretches space:
#
# $$\log p(x) = \log \mathcal N(T(x);\, 0, I) + \log \left| \det \frac{\partial T}{\partial x}(x) \right| ,
# \qquad \log \mathcal N(z;\, 0, I) = -\tfrac12 \sum_{d=1}^{D} z_d^2 - \tfrac D2 \log 2\pi .$$
#
# Let torch find the Jacobian, $\partial T_i / \partial x_j$. You need no formula for it, and your function
# works for every flow.
#
# - `to_latent`: $T$, a function on tensors. It maps shape `(B, D)` to `(B, D)`, each row by itself. It is
#   invertible and differentiable.
# - `x`: a tensor of shape `(B, D)` with $B, D \ge 1$, `float32` or `float64`.
# - Returns $\log p$ of each row, a tensor of shape `(B,)`.
# - $D$ can be 20, where a determinant overflows though its logarithm is an ordinary number. A determinant can
#   be negative: a flow may mirror.
#
# *Example.* $T(x) = 2x$ in one dimension makes $p$ a Gaussian of standard deviation $\tfrac12$. At $x = 0$
# its log-density is $\log 2 - \tfrac12 \log 2\pi = -0.226$.
#
# Useful: `torch.autograd.grad`, `torch.autograd.functional.jacobian`, `torch.func.jacrev`,
# `torch.linalg.slogdet`.
#
# Chapter: *Built to sum to one*.


# %% exercise="flow_log_prob"
def flow_log_prob(to_latent: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """log p(x) of each row of x (B, D), where to_latent(x) is a standard Gaussian; returns (B,)."""
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    # A row of z depends on its own row of x alone, so the gradient of a sum holds one row of each Jacobian.
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in z.unbind(1)]
    log_det = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return (log_det - 0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)).detach()
    ### END SOLUTION


# %% tests="flow_log_prob" points=20
found = flow_log_prob(lambda x: 2 * x, torch.zeros(1, 1, dtype=torch.float64))
assert found is not None, "flow_log_prob returned None: is there a `return`?"
assert isinstance(found, torch.Tensor), f"flow_log_prob must return a tensor, got {type(found).__name__}"
assert found.shape == (1,), f"x of shape (1, 1) must give shape (1,), got {tuple(found.shape)}"
assert np.isclose(found.item(), -0.226, atol=1e-3), (
    f"the example above has log p = -0.226, got {found.item()}"
)

found = flow_log_prob(lambda x: 1.0 * x, torch.zeros(3, 2))
assert found.shape == (3,), f"x of shape (3, 2) must give shape (3,), got {tuple(found.shape)}"
assert np.allclose(found.detach(), -math.log(2 * math.pi), atol=1e-5), (
    f"the identity flow at 0 in two dimensions has log p = -log 2π = -1.838, got {found}"
)

found = flow_log_prob(lambda x: x.flip(1), torch.zeros(1, 2))
assert np.allclose(found.detach(), -math.log(2 * math.pi), atol=1e-5), (
    f"a flow that exchanges two coordinates stretches nothing: log p(0) = -1.838, got {found}"
)

# %% [markdown]
# ### See it work
#
# One coupling layer bends a Gaussian. $x_1$ passes unchanged and steers $x_2$. The sum over the grid
# shows that the density is normalized, though nobody computed $Z$.


# %%
def banana(x: torch.Tensor) -> torch.Tensor:
    first, second = x[..., :1], x[..., 1:]
    return torch.cat([first, second * torch.exp(0.5 * torch.tanh(first)) - 0.4 * first**2 + 1], -1)


ticks = torch.linspace(-5, 7, 31)
grid = torch.cartesian_prod(ticks, ticks)
density = flow_log_prob(banana, grid).exp().reshape(31, 31)
print(f"sum of density × area over the grid: {density.sum().item() * 0.4**2:.4f}")
plt.figure(figsize=(4, 3.2))
plt.contourf(ticks, ticks, density.T, levels=12)
plt.xlim(-4, 4)
plt.title("one coupling layer")
plt.show()

# %% [markdown]
# ## Exercise 5: Z by enumeration, and its cost
#
# Let $x$ have $n$ sites, each with one of the values $0, 1, \dots, q - 1$. List all configurations and add:
#
# $$\log Z = \log \sum_{x \in \{0, \dots, q-1\}^n} e^{-E(x)} .$$
#
# - `energy`: a function. It takes an integer array of shape `(S, n)`, one configuration a row, and returns
#   the energies, shape `(S,)`.
# - `n`, `q`: both at least 1. At most 5,000 configurations in all.
# - Returns the pair `(log_z, terms)`: $\log Z$, and the number of terms in the sum as an integer.
# - Energies can be in the thousands, of either sign, where $e^{-E}$ overflows. An energy can be $+\infty$:
#   that configuration is forbidden and adds nothing. At least one is allowed.
#
# *Example.* With $E(x) = \sum_i x_i$, $n = 3$ and $q = 2$ the sum factorizes: $Z = (1 + e^{-1})^3$. So
# $\log Z = 0.940$, from 8 terms.
#
# Chapter: *The curse of dimension*.


# %% exercise="enumerate_log_z"
def enumerate_log_z(energy: Callable[[np.ndarray], np.ndarray], n: int, q: int) -> tuple[float, int]:
    """log Z of all configurations of n sites with values 0..q-1, and how many they are."""
    ### BEGIN SOLUTION
    terms = q**n
    configurations = np.arange(terms)[:, None] // q ** np.arange(n) % q
    log_weights = -np.asarray(energy(configurations), dtype=float)
    largest = log_weights.max()
    return largest + np.log(np.exp(log_weights - largest).sum()), terms
    ### END SOLUTION


# %% tests="enumerate_log_z" points=15
found = enumerate_log_z(lambda x: x.sum(-1), 3, 2)
assert found is not None, "enumerate_log_z returned None: is there a `return`?"
assert isinstance(found, tuple), f"return a pair, got {type(found).__name__}"
assert len(found) == 2, f"return a pair, got {len(found)} values"
assert np.ndim(found[0]) == 0, f"log Z is one number, got shape {np.shape(found[0])}"
assert found[1] == 8, f"3 sites with 2 values have 8 configurations, got {found[1]}"
assert np.isclose(found[0], 3 * math.log(1 + math.exp(-1))), (
    f"the example above has log Z = 0.940, got {found[0]}"
)

found = enumerate_log_z(lambda x: 0.0 * x.sum(-1), 2, 5)
assert found[1] == 25, f"2 sites with 5 values have 25 configurations, got {found[1]}"
assert np.isclose(found[0], math.log(25)), f"with E = 0 each term is 1, so log Z = log 25, got {found[0]}"

# %% [markdown]
# ### See what it costs
#
# Each site doubles the work. Measure, then extrapolate to a tiny picture of 8×8 black and white pixels.

# %%
sizes = range(4, 13)
seconds = []
for n_sites in sizes:
    start = time.perf_counter()
    _, n_terms = enumerate_log_z(lambda x: x.sum(-1), n_sites, 2)
    seconds.append(time.perf_counter() - start)
years = seconds[-1] / n_terms * 2.0**64 / (3600 * 24 * 365)
print(f"{n_terms} terms took {seconds[-1] * 1000:.1f} ms; 8×8 pixels would take {years:.0e} years")

plt.figure(figsize=(4.5, 2.8))
plt.semilogy(sizes, seconds, "o-")
plt.xlabel("number of sites")
plt.ylabel("seconds")
plt.title("enumeration")
plt.show()

# %% [markdown]
# ## Exercise 6: log-ratios without Z
#
# Which of two points is more probable, and by how much? For that you need no volume at all. For both
# densities compute
#
# $$\log \frac{p(x)}{p(y)} , \qquad\text{with } p = \frac{e^f}{Z_{\exp}} \text{ and with }
# p = \frac{f^2}{Z_{\text{square}}} .$$
#
# - `f`: a function that maps an array to the array of its values, elementwise.
# - `x`, `y`: arrays of one shape, which may be empty.
# - Returns the pair (ratio for $e^f$, ratio for $f^2$), each of the shape of `x`.
# - $f$ can be in the thousands, where $e^f$ overflows, and as small as $10^{-200}$, where $f^2$ underflows.
#   Its sign can be negative. Where $f(x) = 0$ and $f(y) \ne 0$ the second ratio is $-\infty$; both zero does
#   not occur.
#
# *Example.* $f(x) = x$, at $x = -6$ and $y = 2$: the first is $-8$, the second $\log \tfrac{36}{4} = \log 9 =
# 2.197$.
# The two densities made of one function disagree on which point is more probable.
#
# Chapter: *What you can do without Z*.


# %% exercise="log_ratios"
def log_ratios(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """log p(x) / p(y), elementwise, for p made of exp f and for p made of f²."""
    ### BEGIN SOLUTION
    at_x, at_y = f(x), f(y)
    with np.errstate(divide="ignore"):
        return at_x - at_y, 2 * (np.log(np.abs(at_x)) - np.log(np.abs(at_y)))
    ### END SOLUTION


# %% tests="log_ratios" points=10
found = log_ratios(lambda x: x, np.array([-6.0]), np.array([2.0]))
assert found is not None, "log_ratios returned None: is there a `return`?"
assert isinstance(found, tuple), f"return a pair, got {type(found).__name__}"
assert len(found) == 2, f"return a pair, got {len(found)} values"
assert np.shape(found[0]) == (1,), f"each ratio has the shape of x, (1,), got {np.shape(found[0])}"
assert np.isclose(found[0], -8.0), f"the example above has the first log-ratio -8, got {found[0]}"
assert np.isclose(found[1], math.log(9)), f"the example above has the second log-ratio 2.197, got {found[1]}"

found = log_ratios(lambda x: x**2 + 1, np.ones((2, 3)), np.ones((2, 3)))
assert np.shape(found[1]) == (2, 3), f"each ratio has the shape of x, (2, 3), got {np.shape(found[1])}"
assert not np.any(found), f"a point compared with itself has log-ratio 0, got {found}"

# %% [markdown]
# ### A surprise
#
# Guess before you run this cell. Two functions that differ by a constant: do they make the same density?

# %%
for constant in (0.0, 1.0, 5.0):
    by_exp, by_square = log_ratios(lambda x, c=constant: wave(x) + c, np.array([1.0]), np.array([-1.0]))
    print(f"f + {constant:.0f}:  exp f {by_exp[0]:7.3f}    f² {by_square[0]:7.3f}")

# %% [markdown]
# For $e^f$ the constant changes nothing: it multiplies $g$ and $Z$ alike. An energy is known up to a constant
# only.
# For $f^2$ the constant decides where the density is zero.

# %% [markdown] question="what_normalization_costs" points=10
# ## Exercise 7: what normalization costs
#
# Autoregressive models, mixtures and flows are normalized by construction. Energy-based models are not.
#
# 1. For each of the three, say which property of the construction makes the total one. (3 points)
# 2. What may an energy $E(x)$ be that the function inside a flow may not? Give an example. (3 points)
# 3. Name one task that needs $Z$ and one that does not, and say why. (4 points)
#
# Write a few sentences for each.
#
# ### BEGIN SOLUTION
# **A full answer.** An autoregressive model multiplies conditionals, each of which sums to one: summing over
# the last variable first, every factor becomes 1. A mixture is a weighted average of normalized densities
# with weights that add up to one. A flow moves a normalized density without gain or loss of mass: the
# determinant of the Jacobian pays for the stretching.
#
# An energy may be any function for which $e^{-E}$ has a finite volume. It need not be invertible, may map
# $x$ to a single number, and may treat all coordinates alike, in no order. A convolutional network with
# pooling that ends in one number is an energy; as a flow it would lose information and have no inverse.
#
# Needs $Z$: the probability of one $x$ as a number, so the likelihood of data, and comparing two models on
# the same data, because each has its own $Z$. Does not: comparing two points under one model, in which $Z$
# cancels, so anomaly detection by rank, denoising, the most probable $x$, and Metropolis-Hastings sampling.
#
# **Rubric.** (1) 1 point each for "conditionals sum to one", "weights sum to one", "Jacobian determinant".
# (2) 2 points for "needs no inverse or tractable determinant", 1 for an example. (3) 1 point for each task,
# 1 for each reason.
# ### END SOLUTION
