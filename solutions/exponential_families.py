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
# # Assignment 2: exponential families
#
# Here the normalizer is not an obstacle but a tool. One function, $\log Z$, tells you the means, the
# covariances and the best parameters of a whole family of densities.
# The chapter is *Exponential families* in the course's book. You write NumPy, and torch in the two exercises
# that need a derivative.
#
# **Start.** Install `numpy`, `torch`, `matplotlib` and the library `ebmkit`, the file that ends in
# `.whl`, as the book's page *For students* says.
# The notebook runs in JupyterLab (`jupyter lab exponential_families.ipynb`), in VS Code (open it and choose a
# Python 3 kernel), and in Colab.
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
# **Submit.** Hand in this file under its own name, `exponential_families.ipynb`. Add cells where you like,
# but do not delete or copy the cells that carry points.
#
# **Get help.** Read the section of the chapter that the exercise names, then ask in the course's forum. Say
# which test fails and with which message.
#
# While your work is graded, `ebmkit.data` and `ebmkit.chance` can be imported. The other modules of `ebmkit`
# cannot, `ebmkit.exponential_families` among them: it holds the answers.
# Warnings and printed output cost nothing.

# %%
import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch

# %% [markdown]
# ## The family
#
# An exponential family is all densities of one form, with *natural parameters* $\theta$ and *sufficient
# statistics* $t(x)$:
#
# $$p(x \mid \theta) = h(x)\, e^{\theta \cdot t(x) - A(\theta)} , \qquad A(\theta) = \log Z(\theta) =
# \log \sum_x h(x)\, e^{\theta \cdot t(x)} .$$
#
# For a continuous $x$ the sum is an integral. $A$ is the *log-partition function*. In all exercises $h = 1$.

# %% [markdown]
# ## Exercise 1: natural parameters of a Gaussian
#
# The Gaussian with mean $m$ and variance $v$ is an exponential family with $t(x) = (x, x^2)$. Expand the
# square in
#
# $$-\frac{(x - m)^2}{2v} = \theta_1 x + \theta_2 x^2 + \text{something without } x$$
#
# and read off $\theta_1$ and $\theta_2$.
#
# - `mean`, `variance`: arrays of one shape `(...)`, or two numbers; floats of either size or whole numbers. The
#   batch may be empty. The variance is positive.
# - Returns $\theta$, an array of shape `(..., 2)`: $\theta_1$ at `[..., 0]` and $\theta_2$ at `[..., 1]`.
#
# *Example.* $m = 3$ and $v = 2$ give $\theta = (1.5, -0.25)$.
#
# Chapter: *Natural parameters*.


# %% exercise="natural_parameters"
def natural_parameters(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """θ of the Gaussians with these means and variances: (...) and (...) to (..., 2)."""
    ### BEGIN SOLUTION
    mean, variance = np.asarray(mean), np.asarray(variance)
    return np.stack([mean / variance, -1 / (2 * variance)], axis=-1)
    ### END SOLUTION


# %% tests="natural_parameters" points=10
found = natural_parameters(3.0, 2.0)
assert found is not None, "natural_parameters returned None: is there a `return`?"
assert np.shape(found) == (2,), f"two numbers must give shape (2,), got {np.shape(found)}"
assert np.allclose(found, [1.5, -0.25]), f"the example above has θ = (1.5, -0.25), got {found}"

found = natural_parameters(np.zeros((4, 3)), np.ones((4, 3)))
assert np.shape(found) == (4, 3, 2), f"shape (4, 3) must give (4, 3, 2), got {np.shape(found)}"
assert np.allclose(found, [0.0, -0.5]), f"the standard Gaussian has θ = (0, -1/2), got {found[0, 0]}"

# %% [markdown]
# ## Exercise 2: and back
#
# Now you are given $\theta$ and want the mean and the variance.
#
# - `theta`: shape `(..., 2)`, `float32` or `float64`, with $\theta_2 < 0$ everywhere. The batch may be empty.
# - Returns the pair `(mean, variance)`, each of shape `(...)`.
#
# *Example.* $\theta = (1.5, -0.25)$ gives the mean 3 and the variance 2.
#
# Chapter: *Natural parameters*.


# %% exercise="mean_and_variance"
def mean_and_variance(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances of the Gaussians with natural parameters θ: (..., 2) to (...) and (...)."""
    ### BEGIN SOLUTION
    variance = -0.5 / theta[..., 1]
    return theta[..., 0] * variance, variance
    ### END SOLUTION


# %% tests="mean_and_variance" points=10
found = mean_and_variance(np.array([1.5, -0.25]))
assert found is not None, "mean_and_variance returned None: is there a `return`?"
assert isinstance(found, tuple), f"return a pair, got {type(found).__name__}"
assert len(found) == 2, f"return a pair, got {len(found)} values"
assert np.ndim(found[0]) == 0, f"θ of shape (2,) gives two numbers, got shape {np.shape(found[0])}"
assert np.isclose(found[1], 2.0), f"the example above has the variance 2, got {found[1]}"
assert np.isclose(found[0], 3.0), f"the example above has the mean 3, got {found[0]}"

found = mean_and_variance(np.full((4, 3, 2), -0.5))
assert np.shape(found[0]) == (4, 3), f"shape (4, 3, 2) must give (4, 3), got {np.shape(found[0])}"
assert np.allclose(found[0], -0.5), f"θ = (-1/2, -1/2) has the mean -1/2, got {found[0][0, 0]}"
assert np.allclose(found[1], 1.0), f"θ = (-1/2, -1/2) has the variance 1, got {found[1][0, 0]}"

# %% [markdown]
# ## Exercise 3: log-partition and its gradient
#
# Let $x$ have $n$ states and write the statistics of state $i$ as $t_i \in \mathbb R^K$. Compute
#
# $$A(\theta) = \log \sum_{i=1}^{n} e^{\theta \cdot t_i} \qquad\text{and}\qquad \nabla A(\theta) =
# \mathbb E_{p(x \mid \theta)}[t(x)] .$$
#
# The gradient of $\log Z$ is the mean of the statistics. So you need not derive anything: write $A$ in torch
# and let `torch.autograd.grad` find the means.
#
# - `theta`: a tensor of shape `(B, K)`, a batch of parameters. It may be empty, $B = 0$.
# - `statistics`: a tensor of shape `(n, K)`, row $i$ is $t_i$; $n \ge 1$. All tensors are `float32` or all
#   `float64`.
# - Returns the pair `(log_partition, means)` of shapes `(B,)` and `(B, K)`.
# - $\theta \cdot t_i$ can be in the thousands, where $e^{\theta \cdot t_i}$ overflows.
#
# *Example.* A coin: two states with the statistics 0 and 1. For $\theta = \log 3$ the terms are 1 and 3:
# $A = \log 4 = 1.386$, and the mean is $\tfrac34$.
#
# Chapter: *The log-partition function and its derivatives*.


# %% exercise="log_partition_and_means"
def log_partition_and_means(
    theta: torch.Tensor, statistics: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A(θ) and ∇A(θ) = E[t(x)] of each row of theta (B, K); statistics has shape (n, K)."""
    ### BEGIN SOLUTION
    theta = theta.detach().requires_grad_(True)
    log_partition = torch.logsumexp(theta @ statistics.T, dim=1)
    (means,) = torch.autograd.grad(log_partition.sum(), theta)
    return log_partition.detach(), means
    ### END SOLUTION


# %% tests="log_partition_and_means" points=20
coin = torch.tensor([[0.0], [1.0]])
found = log_partition_and_means(torch.tensor([[math.log(3)]]), coin)
assert found is not None, "log_partition_and_means returned None: is there a `return`?"
assert isinstance(found, tuple), f"return a pair, got {type(found).__name__}"
assert len(found) == 2, f"return a pair, got {len(found)} values"
assert tuple(found[0].shape) == (1,), f"for B = 1 the shape of A is (1,), got {tuple(found[0].shape)}"
assert tuple(found[1].shape) == (1, 1), f"the means have shape (B, K) = (1, 1), got {tuple(found[1].shape)}"
assert np.isclose(found[0].item(), math.log(4)), f"the example above has A = 1.386, got {found[0].item()}"
assert np.isclose(found[1].item(), 0.75), f"the example above has the mean 3/4, got {found[1].item()}"

found = log_partition_and_means(torch.zeros(3, 2), torch.tensor([[1.0, 5.0], [3.0, 7.0]]))
assert tuple(found[1].shape) == (3, 2), f"the means have shape (B, K) = (3, 2), got {tuple(found[1].shape)}"
assert np.allclose(found[0].detach(), math.log(2)), f"for θ = 0 and two states A = log 2, got {found[0]}"
assert np.allclose(found[1].detach(), [2.0, 6.0]), f"for θ = 0 the mean of t is (2, 6), got {found[1]}"

# %% [markdown]
# ## Exercise 4: moment matching
#
# Which member of a family fits the data best? The average log-likelihood of $x_1, \dots, x_n$ is
# $\theta \cdot \bar t - A(\theta)$, with $\bar t = \tfrac1n \sum_i t(x_i)$. Its gradient is zero where
#
# $$\nabla A(\theta) = \mathbb E_{p(x \mid \theta)}[t(x)] = \bar t .$$
#
# The best member has the same means of its statistics as the data. For the Gaussian in $D$ dimensions $t(x)
# = (x, x x^\top)$: match the first and the second moments of the data. Return its mean $m$ and covariance
# $C$, which say the same as $\theta$:
#
# $$m = \frac1n \sum_i x_i , \qquad C = \frac1n \sum_i x_i x_i^\top - m m^\top = \frac1n \sum_i (x_i - m)(x_i
# - m)^\top .$$
#
# - `x`: data of shape `(n, D)` with $n, D \ge 1$, one point a row: floats of either size or whole numbers.
# - Returns the pair `(mean, covariance)` of shapes `(D,)` and `(D, D)`.
# - The data may lie far from 0, at $10^8$ with a spread of 1. One of the two formulas for $C$ is of no use
#   there.
#
# *Example.* The points $(0, 0)$ and $(2, 4)$ have the mean $(1, 2)$ and the covariance
# $\begin{pmatrix} 1 & 2 \\ 2 & 4 \end{pmatrix}$.
#
# Chapter: *Maximum likelihood is moment matching*.


# %% exercise="match_moments"
def match_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and covariance (D, D) of the likeliest Gaussian for the data x (n, D)."""
    ### BEGIN SOLUTION
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, centred.T @ centred / len(x)
    ### END SOLUTION


# %% tests="match_moments" points=15
found = match_moments(np.array([[0.0, 0.0], [2.0, 4.0]]))
assert found is not None, "match_moments returned None: is there a `return`?"
assert isinstance(found, tuple), f"return a pair, got {type(found).__name__}"
assert len(found) == 2, f"return a pair, got {len(found)} values"
assert np.shape(found[0]) == (2,), f"the mean has shape (D,) = (2,), got {np.shape(found[0])}"
assert np.shape(found[1]) == (2, 2), f"the covariance has shape (D, D) = (2, 2), got {np.shape(found[1])}"
assert np.allclose(found[0], [1, 2]), f"the example above has the mean (1, 2), got {found[0]}"
assert np.allclose(found[1], [[1, 2], [2, 4]]), f"the covariance is [[1, 2], [2, 4]], got\n{found[1]}"

found = match_moments(np.array([[1.0, 2.0, 3.0]]))
assert np.shape(found[1]) == (3, 3), f"one point in 3 dimensions: shape (3, 3), got {np.shape(found[1])}"
assert np.allclose(found[1], 0), f"the likeliest Gaussian for one point has no width, got\n{found[1]}"

# %% [markdown]
# ### See it work
#
# Moment matching asks for two moments and looks at nothing else. Here it fits a ring.

# %%
angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
ring = np.stack([3 * np.cos(angle), 1.5 * np.sin(angle)], 1) + np.random.default_rng(1).normal(
    0, 0.2, (400, 2)
)
ring_mean, ring_covariance = match_moments(ring)
circle = np.stack([np.cos(np.linspace(0, 2 * np.pi, 100)), np.sin(np.linspace(0, 2 * np.pi, 100))])

plt.figure(figsize=(4.5, 3))
plt.plot(*ring.T, ".", markersize=3, label="data")
for deviations in (1, 2):
    ellipse = ring_mean[:, None] + deviations * np.linalg.cholesky(ring_covariance) @ circle
    plt.plot(*ellipse, color="black", label="likeliest Gaussian" if deviations == 1 else None)
plt.legend(loc="upper right")
plt.axis("equal")
plt.title("the right moments, the wrong family")
plt.show()

# %% [markdown]
# ## Exercise 5: maximum entropy, the biased die
#
# Somebody threw a die many times and tells you one thing: the average was 4.5. What do you believe about each
# face? Among all distributions with this mean, take the one that assumes least, with the largest entropy
# $-\sum_i p_i \log p_i$. It is a member of an exponential family:
#
# $$p_i = \frac{e^{\theta x_i}}{\sum_j e^{\theta x_j}} , \qquad\text{with the one } \theta \text{ for which }
# \sum_i p_i x_i = \text{mean} .$$
#
# The mean grows with $\theta$, so a search by bisection finds it, and so does Newton's method.
# For values that lie close together the right $\theta$ is in the hundreds.
#
# - `values`: $x_1, \dots, x_n$, shape `(n,)` with $n \ge 2$. They need not be whole numbers or in order, some
#   may be equal, and they can be in the thousands. At least two differ.
# - `mean`: a number strictly between the smallest and the largest value. It can be close to either.
# - Returns $p$, shape `(n,)`, each entry with an error below $10^{-6}$.
#
# *Example.* A coin with the faces 0 and 1 and the mean $\tfrac34$: $p = (\tfrac14, \tfrac34)$. A die with
# the mean 4.5: $p = (0.054, 0.079, 0.114, 0.165, 0.240, 0.347)$.
#
# Chapter: *Maximum entropy*.


# %% exercise="maximum_entropy"
def maximum_entropy(values: np.ndarray, mean: float) -> np.ndarray:
    """The probabilities (n,) of largest entropy with which the values (n,) have this mean."""
    ### BEGIN SOLUTION
    x = (values - mean) / np.ptp(values)
    low, high = -1.0, 1.0

    def tilted(theta: float) -> np.ndarray:
        weights = np.exp(theta * x - (theta * x).max())
        return weights / weights.sum()

    while tilted(low) @ x > 0:
        low *= 2
    while tilted(high) @ x < 0:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if tilted(middle) @ x < 0 else (low, middle)
    return tilted((low + high) / 2)
    ### END SOLUTION


# %% tests="maximum_entropy" points=20
found = maximum_entropy(np.array([0.0, 1.0]), 0.75)
assert found is not None, "maximum_entropy returned None: is there a `return`?"
assert np.shape(found) == (2,), f"values of shape (2,) must give shape (2,), got {np.shape(found)}"
assert np.allclose(found, [0.25, 0.75], atol=1e-6), f"the coin above has p = (1/4, 3/4), got {found}"

die = np.arange(1, 7)
found = maximum_entropy(die, 3.5)
assert np.allclose(found, np.full(6, 1 / 6), atol=1e-6), f"a die with the mean 3.5 is fair, got {found}"

found = maximum_entropy(die, 4.5)
assert np.isclose(np.sum(found), 1, atol=1e-6), f"probabilities add up to 1, got {np.sum(found)}"
assert np.isclose(found @ die, 4.5, atol=1e-5), f"the mean must be 4.5, got {found @ die}"
ratios = np.divide(found[1:], found[:-1])
assert np.allclose(ratios, ratios[0], atol=1e-4), (
    f"p is proportional to exp(θx), so neighbouring faces have one ratio, got {ratios}"
)

# %% [markdown]
# ### See it work
#
# The mean says how far the die tilts. The entropy is largest where nothing is known: at the fair die.

# %%
faces = np.arange(1, 7)
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8))
for target in (2.0, 3.5, 4.5, 5.5):
    axes[0].plot(faces, maximum_entropy(faces, target), "o-", label=f"mean {target}")
axes[0].set_title("probability of each face")
axes[0].legend()
targets = np.linspace(1.05, 5.95, 40)
found_p = np.array([maximum_entropy(faces, target) for target in targets])
axes[1].plot(targets, -(found_p * np.log(found_p)).sum(1))
axes[1].set_xlabel("mean")
axes[1].set_title("entropy")
plt.show()

# %% [markdown]
# ## Exercise 6: log Z is convex
#
# The second derivatives of $A$ are the covariances of the statistics,
#
# $$\nabla^2 A(\theta) = \operatorname{Cov}[t(x)] = \mathbb E[t\, t^\top] - \mathbb E[t]\, \mathbb E[t]^\top ,$$
#
# which is called the *Fisher information*. A covariance matrix has no negative eigenvalue, so $A$ is convex.
# Compute the Hessian of *any* log-partition function, by automatic differentiation.
#
# - `log_partition`: $A$, a function from a tensor of shape `(K,)` to a tensor with one number, shape `()`.
# - `theta`: a tensor of shape `(K,)` with $K \ge 1$, `float32` or `float64`.
# - Returns the matrix of second derivatives, a tensor of shape `(K, K)`.
# - $A$ may be linear in some or in all parameters: there the second derivatives are 0. Torch says of a
#   constant derivative that it does *not require grad*.
#
# *Example.* The coin, $A(\theta) = \log(1 + e^\theta)$: at $\theta = 0$ the Hessian is $(\tfrac14)$, the
# variance of a fair coin.
#
# Useful: `torch.autograd.grad(..., create_graph=True)`, `torch.autograd.functional.hessian`.
#
# Chapter: *The log-partition function and its derivatives*.


# %% exercise="fisher_information"
def fisher_information(
    log_partition: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor
) -> torch.Tensor:
    """The Hessian (K, K) of a log-partition function, (K,) to (), at theta."""
    ### BEGIN SOLUTION
    return torch.autograd.functional.hessian(log_partition, theta)
    ### END SOLUTION


# %% tests="fisher_information" points=15
found = fisher_information(lambda t: torch.logaddexp(t, torch.zeros_like(t)).sum(), torch.zeros(1))
assert found is not None, "fisher_information returned None: is there a `return`?"
assert isinstance(found, torch.Tensor), f"fisher_information must return a tensor, got {type(found).__name__}"
assert tuple(found.shape) == (1, 1), f"for K = 1 the Hessian has shape (1, 1), got {tuple(found.shape)}"
assert np.isclose(found.item(), 0.25), f"the example above has the Hessian 1/4, got {found.item()}"

found = fisher_information(lambda t: t[0] ** 2 + 3 * t[0] * t[1] + 5 * t[1] ** 2, torch.ones(2))
assert np.allclose(found.detach(), [[2, 3], [3, 10]]), (
    f"a² + 3ab + 5b² has the second derivatives [[2, 3], [3, 10]], got\n{found}"
)

# %% [markdown]
# ### See that it is convex
#
# The Gaussian's $A(\theta) = -\theta_1^2 / (4 \theta_2) + \tfrac12 \log(-\pi / \theta_2)$, along a line
# between two parameters: it stays below its chord.
# The cell also looks for a negative eigenvalue, at two hundred places.


# %%
def gaussian_log_partition(theta: torch.Tensor) -> torch.Tensor:
    return -(theta[0] ** 2) / (4 * theta[1]) + 0.5 * torch.log(-math.pi / theta[1])


draws = np.random.default_rng(0)
places = torch.tensor(np.stack([draws.normal(0, 3, 200), -draws.uniform(0.05, 3, 200)], 1))
smallest = min(torch.linalg.eigvalsh(fisher_information(gaussian_log_partition, p))[0].item() for p in places)
print(f"smallest eigenvalue at 200 places: {smallest:.2e}")

ends = torch.tensor([[-4.0, -2.5], [4.0, -0.4]], dtype=torch.float64)
share = torch.linspace(0, 1, 100, dtype=torch.float64)[:, None]
along = torch.stack([gaussian_log_partition(theta) for theta in ends[0] + share * (ends[1] - ends[0])])
plt.figure(figsize=(4.5, 2.8))
plt.plot(share, along, label=r"$A(\theta)$")
plt.plot([0, 1], [along[0], along[-1]], "--", label="chord")
plt.xlabel("from one parameter to the other")
plt.legend()
plt.title("log Z lies below its chords")
plt.show()

# %% [markdown]
# ### A surprise
#
# Convex in $\theta$ does not mean convex in everything. Guess before you run this cell: is $A$ convex as a
# function of the mean and the *variance*?

# %%


def in_mean_and_variance(standard: torch.Tensor) -> torch.Tensor:
    return gaussian_log_partition(torch.stack([standard[0] / standard[1], -0.5 / standard[1]]))


for standard in ([0.0, 0.5], [0.0, 2.0], [1.0, 2.0]):
    curvature = fisher_information(in_mean_and_variance, torch.tensor(standard, dtype=torch.float64))
    print(
        f"mean {standard[0]}, variance {standard[1]}: eigenvalues {torch.linalg.eigvalsh(curvature).tolist()}"
    )

# %% [markdown]
# It is not: negative eigenvalues. The natural parameters earn their name. In them, fitting is a search for
# the only minimum of a convex function.

# %% [markdown] question="why_convexity_matters" points=10
# ## Exercise 7: why convexity matters
#
# 1. The average log-likelihood of data is $\theta \cdot \bar t - A(\theta)$. What does the convexity of $A$
#    say about its maxima, and about gradient ascent? When is the best $\theta$ not unique? (4 points)
# 2. You throw a coin three times and it falls on heads each time. What goes wrong with moment matching, and
#    what do you see if you run gradient ascent anyway? (3 points)
# 3. Let some variables be hidden, as in a restricted Boltzmann machine. Why is the log-likelihood no longer
#    concave, though each $\log Z$ in it is convex? (3 points)
#
# Write a few sentences for each.
#
# ### BEGIN SOLUTION
# **A full answer.** The log-likelihood is a linear function minus a convex one, so it is concave. Every local
# maximum is a global one, and gradient ascent with small enough steps climbs to it from any start. It is not
# unique where the Hessian is singular: where some combination of the statistics is constant, as for the $K$
# indicator statistics of $K$ categories, which add up to 1. Then many $\theta$ give the same distribution.
#
# All heads means $\bar t = 1$, on the border of what means are possible. $\sigma(\theta) = 1$ has no solution.
# Gradient ascent moves $\theta$ towards infinity, ever more slowly; the likelihood rises towards 1 and never
# gets there. A prior, or one imaginary throw of each kind, helps.
#
# With hidden $h$ the log-likelihood of the visible part is $\log \sum_h e^{\theta \cdot t(x, h)} - A(\theta)$.
# The first term is a log-partition function too, over $h$ alone, and therefore convex. A difference of two
# convex functions is neither convex nor concave: there are several local maxima, for example by exchanging
# two hidden units.
#
# **Rubric.** (1) 2 points for "concave", 1 for "one maximum, gradient ascent finds it", 1 for redundant
# statistics. (2) 1 point for "no finite parameter", 1 for "runs off to infinity", 1 for the likelihood that
# still rises or for a remedy. (3) 2 points for "a difference of two convex functions", 1 for its consequence.
# ### END SOLUTION
