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
# # Assignment 4: products of experts
#
# You let experts decide together. You multiply what they say, compare that with averaging it, draw samples
# that please all of them, and learn whom to trust.
# The chapter is *Products of experts* in the course's book. You write NumPy; no gradient is needed that you
# cannot write down.
#
# **Start.** Install `numpy`, `torch`, `matplotlib` and the library `ebmkit`, the file that ends in
# `.whl`, as the book's page *For students* says.
# The notebook runs in JupyterLab (`jupyter lab product_of_experts.ipynb`), in VS Code (open it and choose a
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
# **Submit.** Hand in this file under its own name, `product_of_experts.ipynb`. Add cells where you like, but
# do not delete or copy the cells that carry points.
#
# **Get help.** Read the section of the chapter that the exercise names, then ask in the course's forum. Say
# which test fails and with which message.
#
# While your work is graded, `ebmkit.data` and `ebmkit.chance` can be imported. The other modules of `ebmkit`
# cannot, `ebmkit.product_of_experts` among them: it holds the answers.
# Warnings and printed output cost nothing.

# %%
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

# %% [markdown]
# ## Exercise 1: the product of Gaussians
#
# $M$ experts estimate one number. Expert $m$ says $\mathcal N(x; \mu_m, v_m)$, where $v_m$ is the *variance*.
# Their product is a Gaussian again, up to a number $Z$:
#
# $$\prod_{m=1}^M \mathcal N(x; \mu_m, v_m) = Z \cdot \mathcal N(x; \mu, v) .$$
#
# Find $\mu$, $v$ and $\log Z$. Complete the square: in the exponent, the *precisions* $1 / v_m$ add.
# Once you have $\mu$ and $v$, set $x = \mu$ on both sides to get $Z$. It says how well the experts agree.
#
# - `means`, `variances`: shape `(..., M)` with $M \ge 1$: the last axis runs over experts, the axes before it
#   over separate problems. Floats or whole numbers.
# - Returns the tuple `(mean, variance, log_z)`, each of shape `(...)`.
# - Experts may contradict each other so much that $Z$ underflows. $\log Z$ does not.
#
# *Example.* $\mathcal N(x; 0, 1)$ and $\mathcal N(x; 3, \tfrac12)$ have precisions 1 and 2. The product has
# precision 3, so $v = \tfrac13$ and $\mu = \tfrac13 (0 \cdot 1 + 3 \cdot 2) = 2$.
# The second expert is surer, and pulls harder. Two equal experts $\mathcal N(x; 0, 1)$ give
# $Z = \mathcal N(0; 0, 1)^2 \sqrt{2\pi \cdot \tfrac12} = 1 / \sqrt{4\pi}$.
#
# Chapter: *Products of Gaussians*.


# %% exercise="product_of_gaussians"
def product_of_gaussians(
    means: np.ndarray, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and log Z, each (...), of the product of the Gaussians with these parameters (..., M)."""
    ### BEGIN SOLUTION
    precisions = 1 / variances
    variance = 1 / precisions.sum(-1)
    mean = variance * (precisions * means).sum(-1)
    away = mean[..., None] - means
    log_densities = -0.5 * (np.log(2 * np.pi * variances) + precisions * away**2)
    log_z = log_densities.sum(-1) + 0.5 * np.log(2 * np.pi * variance)
    return mean, variance, log_z
    ### END SOLUTION


# %% tests="product_of_gaussians" points=20
found = product_of_gaussians(np.array([0.0, 3.0]), np.array([1.0, 0.5]))
assert found is not None, "product_of_gaussians returned None: is there a `return`?"
assert isinstance(found, tuple), "product_of_gaussians must return the tuple (mean, variance, log_z)"
assert len(found) == 3, f"expected three values, (mean, variance, log_z), got {len(found)}"
assert all(np.ndim(value) == 0 for value in found), (
    f"from shape (M,) come three numbers, got the shapes {[np.shape(value) for value in found]}"
)
assert np.isclose(found[1], 1 / 3), f"the precisions 1 and 2 add to 3: variance 1/3, got {found[1]}"
assert np.isclose(found[0], 2.0), f"the mean of the example above is 2, got {found[0]}"

found = product_of_gaussians(np.zeros((5, 2)), np.ones((5, 2)))
assert all(np.shape(value) == (5,) for value in found), (
    f"from shape (5, M) come arrays of shape (5,), got {[np.shape(value) for value in found]}"
)
assert np.allclose(found[2], -0.5 * np.log(4 * np.pi)), (
    f"two standard Gaussians have Z = 1/√(4π), so log Z = -1.266; got {found[2]}"
)

found = product_of_gaussians(np.array([4.0]), np.array([9.0]))
assert np.allclose(found, (4.0, 9.0, 0.0)), (
    f"one expert alone is its own product, with log Z = 0; got {found}"
)

# %% [markdown]
# ## Exercise 2: AND and OR
#
# Now the experts are categoricals: expert $m$ gives category $k$ the probability $p_m(k)$. There are two ways
# to decide together.
#
# $$\text{AND:}\quad p(k) = \frac{\prod_m p_m(k)}{\sum_j \prod_m p_m(j)} , \qquad\qquad
# \text{OR:}\quad q(k) = \frac1M \sum_m p_m(k) .$$
#
# Under AND, the *product*, one expert who says no is enough to exclude a category. Under OR, the *mixture*,
# one who says yes is enough to allow it.
#
# - `log_p`: shape `(M, K)`, the logarithms of the experts' probabilities. $-\infty$ stands for probability
#   zero. At least one category is allowed by all experts.
# - Returns the tuple `(p, q)` of probabilities, each of shape `(K,)`.
# - With a thousand experts the product underflows for every $k$. Your answer must be right all the same.
#
# *Example.* Two experts say $(\tfrac12, \tfrac12, 0)$ and $(\tfrac14, \tfrac12, \tfrac14)$. The products are
# $\tfrac18, \tfrac14, 0$ with sum $\tfrac38$, so $p = (\tfrac13, \tfrac23, 0)$. The mixture is
# $q = (\tfrac38, \tfrac12, \tfrac18)$.
#
# Chapter: *AND and OR*.


# %% exercise="and_or"
def and_or(log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities (K,) of the product and of the mixture of M categoricals with log-probabilities (M, K)."""
    ### BEGIN SOLUTION
    total = log_p.sum(0)
    product = np.exp(total - total.max())
    return product / product.sum(), np.exp(log_p).mean(0)
    ### END SOLUTION


# %% tests="and_or" points=15
with np.errstate(divide="ignore"):
    two_experts = np.log([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]])

found = and_or(two_experts)
assert found is not None, "and_or returned None: is there a `return`?"
assert isinstance(found, tuple), "and_or must return the tuple (p, q)"
assert len(found) == 2, f"expected two values, (p, q), got {len(found)}"
assert all(np.shape(value) == (3,) for value in found), (
    f"p and q must have shape (K,) = (3,), got {[np.shape(value) for value in found]}"
)
assert np.isclose(np.sum(found[0]), 1.0), f"the probabilities of the product must add to 1, got {found[0]}"
assert np.allclose(found[0], [1 / 3, 2 / 3, 0]), f"AND of the example above is (1/3, 2/3, 0), got {found[0]}"
assert np.allclose(found[1], [3 / 8, 1 / 2, 1 / 8]), f"OR is (3/8, 1/2, 1/8), got {found[1]}"

found = and_or(np.log(np.full((3000, 2), 0.5)))
assert np.allclose(found[0], 0.5), f"3,000 undecided experts are undecided together, got {found[0]}"

# %% [markdown]
# ### Sure together
#
# Each of ten experts is 60 % sure that it rains. What do they say together?

# %%
rain = np.log([0.6, 0.4])
print("experts    AND     OR")
for n_experts in (1, 2, 5, 10):
    together = and_or(np.tile(rain, (n_experts, 1)))
    print(f"{n_experts:7}   {together[0][0]:.3f}   {together[1][0]:.3f}")

# %% [markdown]
# The product adds up evidence, and ten weak hints make near certainty. That is right if the ten looked at
# different things. If nine of them copied the first, it is wrong: exercise 5 finds out.
#
# ## Exercise 3: any experts
#
# An expert need not be a Gaussian, nor normalized. All that you need of it is a function $\log f_m(x)$, up to
# a constant. Experts have *weights* $w_m$:
#
# $$\log f(x) = \sum_m w_m \log f_m(x) .$$
#
# A weight above 1 makes an expert more certain, one below 0 turns it round (NOT), and an expert of weight 0
# has no say.
# The sum is the logarithm of an unnormalized density, and minus an energy: energies of experts add.
#
# - `experts`: a list of $M$ functions, each from points `(n, d)` to their $\log f_m$, shape `(n,)`. A value
#   can be $-\infty$, where the expert excludes a point.
# - `weights`: shape `(M,)`. An expert that says $-\infty$ somewhere never has a negative weight, but may have
#   weight 0, and $0 \cdot (-\infty)$ is NaN: leave it out. At least one weight is not 0.
# - `x`: shape `(n, d)`.
# - Returns $\log f(x)$ at each point, shape `(n,)`, unnormalized. Values of $\pm 10^4$ are possible.
#
# *Example.* $\log f_1(x) = -\tfrac12 x^2$ with weight 2 and $\log f_2(x) = -|x|$ with weight 1: at $x = 3$
# the sum is $2 \cdot (-4.5) - 3 = -12$.
#
# Chapter: *Any experts*.

# %%
Expert = Callable[[np.ndarray], np.ndarray]


def bell(x: np.ndarray) -> np.ndarray:
    """The log of an unnormalized standard Gaussian at points (n, d)."""
    return -0.5 * (x**2).sum(1)


def tent(x: np.ndarray) -> np.ndarray:
    """The log of an unnormalized Laplace density at points (n, d)."""
    return -np.abs(x).sum(1)


def positive_only(x: np.ndarray) -> np.ndarray:
    """0 where the first coordinate is positive, -inf elsewhere."""
    return np.where(x[:, 0] > 0, 0.0, -np.inf)


# %% exercise="log_product"
def log_product(experts: Sequence[Expert], weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The log of the unnormalized product at points (n, d), shape (n,); weights (M,), one for each expert."""
    ### BEGIN SOLUTION
    return np.sum([w * expert(x) for w, expert in zip(weights, experts) if w != 0], axis=0)
    ### END SOLUTION


# %% tests="log_product" points=15
points = np.array([[3.0], [0.0], [-1.0]])

found = log_product([bell, tent], np.array([2.0, 1.0]), points)
assert found is not None, "log_product returned None: is there a `return`?"
assert np.shape(found) == (3,), f"three points have three log-densities, shape (3,); got {np.shape(found)}"
assert np.isclose(found[0], -12.0), f"the example above gives -12 at x = 3, got {found[0]}"
assert np.allclose(found, [-12, 0, -2]), f"at x = 3, 0, -1 the product is -12, 0, -2; got {found}"

found = log_product([bell, positive_only], np.array([1.0, 1.0]), points)
assert found[2] == -np.inf, f"what one expert excludes is excluded: -inf at x = -1, got {found[2]}"

found = log_product([bell, positive_only], np.array([1.0, 0.0]), points)
assert np.allclose(found, [-4.5, 0, -0.5]), f"an expert of weight 0 has no say: -4.5, 0, -0.5; got {found}"

# %% [markdown]
# ### See it work
#
# One expert likes a ring, the other a stripe. What do they like together, and what does either of them like?


# %%
def ring(x: np.ndarray) -> np.ndarray:
    return -8 * (np.hypot(x[:, 0], x[:, 1]) - 1.5) ** 2


def stripe(x: np.ndarray) -> np.ndarray:
    return -8 * (x[:, 0] - x[:, 1] - 0.4) ** 2


side = np.linspace(-2.5, 2.5, 101)
grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
pictures = {
    "ring": ring(grid),
    "stripe": stripe(grid),
    "ring AND stripe": log_product([ring, stripe], np.array([1.0, 1.0]), grid),
    "ring, NOT stripe": log_product([ring, stripe], np.array([1.0, -0.1]), grid),
    "ring OR stripe": np.logaddexp(ring(grid), stripe(grid)),
}
figure, axes = plt.subplots(1, 5, figsize=(12, 2.7))
for axis, (title, log_f) in zip(axes, pictures.items()):
    axis.imshow(np.exp(log_f - log_f.max()).reshape(101, 101), origin="lower", cmap="magma")
    axis.set_title(title)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## Exercise 4: sampling a product
#
# You can draw from the first expert, and evaluate the others. *Rejection sampling* turns that into exact draws
# from the product
#
# $$p(x) = \frac1Z\, p_1(x)\, e^{\ell(x)} , \qquad \ell(x) = \sum_{m \ge 2} w_m \log f_m(x) \le 0 .$$
#
# Propose $x$ from $p_1$, accept it with probability $e^{\ell(x)}$, else throw it away and propose again.
# What is accepted has the law of the product, and nobody computed $Z$. (The share that is accepted estimates
# it.)
#
# - `propose(n, rng)`: `n` independent draws from $p_1$, shape `(n,)`. Call it as often as you need.
# - `log_others(x)`: $\ell$ of each draw, `(n,)` to `(n,)`; at most 0, and perhaps $-\infty$.
# - `n`: how many draws are wanted, at least 1.
# - `rng`: the only source of chance. `rng.random(n)` gives `n` uniform numbers.
# - Returns exactly `n` independent draws from the product, shape `(n,)`.
#
# Any exact method is welcome. Perhaps one proposal in ten is accepted, so propose many at once.
#
# *Example.* $p_1$ is uniform on $\{0, 1, 2\}$ and $e^{\ell} = (1, \tfrac12, 0)$. Half of the proposals are
# accepted, and among them 0 has the share $\tfrac23$, 1 the share $\tfrac13$. 2 never comes.
#
# Your sampler is judged by its distribution, which is known exactly for the cases that are tried. A correct
# sampler is failed with a probability below $10^{-8}$.
#
# Chapter: *Sampling a product*.


# %% exercise="sample_product"
def sample_product(
    propose: Callable[[int, np.random.Generator], np.ndarray],
    log_others: Callable[[np.ndarray], np.ndarray],
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """n independent draws (n,) of p_1(x) exp(log_others(x)) / Z, where propose(n, rng) draws from p_1."""
    ### BEGIN SOLUTION
    accepted = np.empty(0)
    while len(accepted) < n:
        x = propose(4 * n, rng)
        keep = rng.random(len(x)) < np.exp(log_others(x))
        accepted = np.concatenate([accepted, x[keep]])
    return accepted[:n]
    ### END SOLUTION


# %% tests="sample_product" points=20
def one_of_three(n: int, rng: np.random.Generator) -> np.ndarray:
    """n draws, uniform on 0, 1, 2."""
    return rng.integers(0, 3, n).astype(float)


def tilt(x: np.ndarray) -> np.ndarray:
    """log 1, log ½ and log 0 at 0, 1 and 2."""
    return np.array([0.0, np.log(0.5), -np.inf])[x.astype(int)]


found = sample_product(one_of_three, tilt, 600, np.random.default_rng(0))
assert found is not None, "sample_product returned None: is there a `return`?"
assert np.shape(found) == (600,), f"600 draws were asked for, shape (600,); got {np.shape(found)}"
assert not np.any(np.asarray(found) == 2), "2 is excluded by one of the experts, but was returned"
share = np.mean(np.asarray(found) == 0)
assert abs(share - 2 / 3) < 0.15, f"two thirds of the draws are 0 in the example above, got {share:.2f}"

found = sample_product(one_of_three, tilt, 1, np.random.default_rng(1))
assert np.shape(found) == (1,), f"one draw has shape (1,), got {np.shape(found)}"

# %% [markdown]
# ### See it work
#
# The first expert is a standard Gaussian, the second likes the waves of a cosine.

# %%
line = np.linspace(-3.5, 3.5, 701)
waves = 6 * (np.cos(4 * line) - 1)
weights_on_line = np.exp(-0.5 * line**2 + waves)
draws = sample_product(
    lambda n, rng: rng.standard_normal(n), lambda x: 6 * (np.cos(4 * x) - 1), 4000, np.random.default_rng(2)
)

figure, axis = plt.subplots(figsize=(7, 3))
axis.hist(draws, bins=140, range=(-3.5, 3.5), density=True, color="C0", alpha=0.5, label="your draws")
axis.plot(
    line, weights_on_line / weights_on_line.sum() / (line[1] - line[0]), "C3", lw=1, label="the product"
)
axis.set_xlabel("x")
axis.legend()
plt.show()

# %% [markdown]
# ## Exercise 5: learning the experts' weights
#
# Whom should you trust? Let data decide. On $K$ states the product with weights $w$ is
#
# $$p_w(x) = \frac1{Z(w)} \exp\Bigl(\sum_m w_m \log f_m(x)\Bigr) , \qquad Z(w) = \sum_{x=1}^{K} \exp\Bigl(\sum_m
# w_m \log f_m(x)\Bigr) .$$
#
# Compute the mean log-likelihood of the data $x_1, \dots, x_n$ and its gradient:
#
# $$L(w) = \frac1n \sum_{i=1}^n \log p_w(x_i) , \qquad \frac{\partial L}{\partial w_m} = \frac1n \sum_{i=1}^n
# \log f_m(x_i) - \sum_{x} p_w(x) \log f_m(x) .$$
#
# Derive the gradient: $\log Z$ is the only part that is not linear in $w$. What an expert says about the data
# is compared with what it says about the model's own samples. This is the gradient of every energy-based model.
#
# - `log_f`: shape `(M, K)`, finite; the rows are not normalized, and values of $\pm 2000$ are possible.
# - `weights`: shape `(M,)`, any numbers.
# - `data`: shape `(n,)`, integers from 0 to $K - 1$; $n \ge 1$.
# - Returns the tuple `(value, gradient)`: $L$, a number, and its gradient, shape `(M,)`.
#
# *Example.* One expert on two states, $\log f = (\log 3, 0)$, with weight 1: $p = (\tfrac34, \tfrac14)$. The
# data are state 0 once and state 1 once.
# Then $L = \tfrac12 (\log \tfrac34 + \log \tfrac14) = -0.837$, and the gradient is
# $\tfrac12 \log 3 - \tfrac34 \log 3 = -0.275$: this expert is too sure.
#
# Chapter: *Learning the experts' weights*.


# %% exercise="weight_gradient"
def weight_gradient(log_f: np.ndarray, weights: np.ndarray, data: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean log-likelihood of data (n,) and its gradient (M,), for experts (M, K) with weights (M,)."""
    ### BEGIN SOLUTION
    total = weights @ log_f
    log_z = total.max() + np.log(np.exp(total - total.max()).sum())
    p = np.exp(total - log_z)
    return total[data].mean() - log_z, log_f[:, data].mean(1) - log_f @ p
    ### END SOLUTION


# %% tests="weight_gradient" points=20
found = weight_gradient(np.array([[np.log(3), 0.0]]), np.array([1.0]), np.array([0, 1]))
assert found is not None, "weight_gradient returned None: is there a `return`?"
assert isinstance(found, tuple), "weight_gradient must return the tuple (value, gradient)"
assert len(found) == 2, f"expected two values, (value, gradient), got {len(found)}"
assert np.ndim(found[0]) == 0, f"the log-likelihood must be one number, got shape {np.shape(found[0])}"
assert np.shape(found[1]) == (1,), (
    f"the gradient must have the shape of weights, (1,), got {np.shape(found[1])}"
)
assert np.isclose(found[0], 0.5 * np.log(3 / 16)), f"the example above has L = -0.837, got {found[0]}"
assert np.allclose(found[1], -0.25 * np.log(3)), f"the example above has gradient -0.275, got {found[1]}"

found = weight_gradient(np.array([[-1000.0, -1001.0], [2.0, 1.0]]), np.zeros(2), np.array([0]))
assert np.isclose(found[0], -np.log(2)), (
    f"with weights 0 both states have probability 1/2, got L = {found[0]}"
)
assert np.allclose(found[1], 0.5), f"a constant added to a row changes no gradient: 0.5, 0.5; got {found[1]}"

# %% [markdown]
# ### A surprise
#
# The data come from the product of experts A and B. You do not know that, and ask three: A, a copy of A, and B.
# Guess before you run this cell: which weights does gradient ascent find?

# %%
rng = np.random.default_rng(4)
expert_a, expert_b = np.log(rng.dirichlet(np.ones(12) * 2, 2))
truth = and_or(np.stack([expert_a, expert_b]))[0]
data = rng.choice(12, 20_000, p=truth)
three = np.stack([expert_a, expert_a, expert_b])

weights = np.ones(3)
path = [weights]
for _ in range(400):
    _, gradient = weight_gradient(three, weights, data)
    weights = weights + 0.2 * gradient
    path.append(weights)
print("weights of A, of its copy, and of B:", np.round(weights, 2))

figure, axis = plt.subplots(figsize=(7, 3))
for weight_path, (label, style) in zip(
    np.transpose(path), {"A": "C0-", "the copy of A": "C1--", "B": "C2-"}.items()
):
    axis.plot(weight_path, style, label=label)
axis.set_xlabel("steps of gradient ascent")
axis.set_ylabel("weight")
axis.legend()
plt.show()

# %% [markdown]
# Learning noticed that two of the three say the same: their weights add to about 1, and B keeps its own.
# With all weights 1 the copies would be heard twice. $L$ is concave in $w$, but here it has a ridge: only the
# *sum* of the two weights matters.

# %% [markdown] question="and_or_in_words" points=10
# ## Exercise 6: when to multiply and when to mix
#
# 1. You have one model of what looks like a face, and one of what looks like a person who smiles. Which
#    combination do you need for smiling faces, which for a collection of faces and of smiles? Why? (3 points)
# 2. A product of normalized experts needs a new normalizer, a mixture does not. Show why, and say what the
#    product's $Z$ tells about the experts. (4 points)
# 3. The product of two Gaussians is narrower than both, in however many dimensions. Why can a mixture never be
#    sharper than its sharpest component? (3 points)
#
# Write a few sentences for each.
#
# ### BEGIN SOLUTION
# **A full answer.** Smiling faces satisfy both models: AND, a product, which is large only where both are. A
# collection that holds faces and smiles is OR, a mixture: every element pleases at least one model.
#
# $\sum_x \frac1M \sum_m p_m(x) = \frac1M \sum_m 1 = 1$: the sum over states and that over experts change
# places. For the product they do not: $Z = \sum_x \prod_m p_m(x)$, which is at most 1 on discrete spaces and
# equals the probability that independent draws of all experts coincide. It is small when the experts
# contradict each other, and 0 when nothing is allowed by all.
#
# $q(x) = \sum_m \pi_m p_m(x)$ is a weighted average at every $x$, so it is never above the largest
# $p_m(x)$: its peaks are at most as high as the highest peak of a component. A product can put all its mass
# where two broad densities overlap.
#
# **Rubric.** (1) 1 point for each right combination, 1 for the reason. (2) 2 points for the calculation, 2 for
# "agreement of the experts" or "probability that their draws coincide". (3) 2 points for the average, 1 for
# what follows for the peaks.
# ### END SOLUTION
