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
# # Assignment 7: contrastive divergence
#
# You train energy-based models. First exactly, where that is possible. Then with a few Markov steps in place of
# the sum that nobody can do.
# The chapter is *Contrastive divergence* in the course's book. You write NumPy, and torch in the last exercise,
# which needs a gradient.
#
# **Start.** Install `numpy`, `torch`, `matplotlib` and the library `ebmkit`, the file that ends in
# `.whl`, as the book's page *For students* says.
# The notebook runs in JupyterLab (`jupyter lab contrastive_divergence.ipynb`), in VS Code (open it and choose a
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
# **Submit.** Hand in this file under its own name, `contrastive_divergence.ipynb`. Add cells where you like, but
# do not delete or copy the cells that carry points.
#
# **Get help.** Read the section of the chapter that the exercise names, then ask in the course's forum. Say
# which test fails and with which message.
#
# While your work is graded, `ebmkit.data` and `ebmkit.chance` can be imported. The other modules of `ebmkit`
# cannot, `ebmkit.contrastive_divergence` among them: it holds the answers.
# Warnings and printed output cost nothing.

# %%
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch

from ebmkit.data import bars_and_stripes

# %% [markdown]
# ## The model
#
# A restricted Boltzmann machine has visible bits $v$, hidden bits $h$ and the energy
#
# $$E(v, h) = -a \cdot v - b \cdot h - v^\top W h , \qquad p(v, h) = \frac{e^{-E(v, h)}}{Z} .$$
#
# `a` has shape `(n,)`, `b` has shape `(m,)`, and `W` has shape `(n, m)`. With $\sigma(x) = 1 / (1 + e^{-x})$ you
# know from the chapter on Boltzmann machines that
#
# $$p(h_j = 1 \mid v) = \sigma\bigl(b_j + (v^\top W)_j\bigr), \qquad p(v_i = 1 \mid h) = \sigma\bigl(a_i + (W h)_i
# \bigr) ,$$
#
# $$p(v) = \frac{e^{-F(v)}}{Z}, \qquad -F(v) = a \cdot v + \sum_{j=1}^m \log\bigl(1 + e^{\,b_j + (v^\top W)_j}
# \bigr) .$$
#
# You handle many states at once, one in a row. To learn is to climb the mean log-likelihood $L$ of the data, and
# its gradient is a difference of two means, one over data and one over the model's own samples:
#
# $$\frac{\partial L}{\partial a} = \langle v \rangle_{\text{data}} - \langle v \rangle_{\text{model}} , \qquad
# \frac{\partial L}{\partial b} = \langle p(h \mid v) \rangle_{\text{data}} - \langle p(h \mid v)
# \rangle_{\text{model}} ,$$
#
# $$\frac{\partial L}{\partial W} = \langle v\, p(h \mid v)^\top \rangle_{\text{data}} - \langle v\, p(h
# \mid v)^\top \rangle_{\text{model}} .$$
#
# Here $p(h \mid v)$ stands for the vector of the $m$ probabilities $p(h_j = 1 \mid v)$. All that this notebook is
# about is the second mean.
#
# The machine of the examples has one visible and one hidden unit, $a = b = 0$, $W = (\log 9)$:

# %%
a = np.array([0.0])
b = np.array([0.0])
W = np.array([[np.log(9.0)]])

# %% [markdown]
# ## Exercise 1: the exact gradient
#
# Compute the gradient of the mean log-likelihood exactly: sum over all $2^n$ visible states $v$, each with its
# probability $e^{-F(v)} / Z$.
#
# - `data`: shape `(B, n)`, bits as floats or integers of any kind; $n \le 8$, $B \ge 1$.
# - Returns the tuple `(grad_a, grad_b, grad_W)` of shapes `(n,)`, `(m,)` and `(n, m)`.
# - Fields can be as large as $\pm 1000$, where $e^{-F}$ overflows.
#
# *Example.* In the machine above $e^{-F(0)} = 1 + 1 = 2$ and $e^{-F(1)} = 1 + 9 = 10$, so $p(v = 1) = \tfrac56$.
# $p(h = 1 \mid v)$ is $\tfrac12$ for $v = 0$ and $\tfrac9{10}$ for $v = 1$. With the single row $v = 1$ as data,
#
# $$\frac{\partial L}{\partial a} = 1 - \tfrac56 = \tfrac16 , \quad \frac{\partial L}{\partial b} = \tfrac9{10} -
# \bigl(\tfrac16 \cdot \tfrac12 + \tfrac56 \cdot \tfrac9{10}\bigr) = \tfrac1{15} , \quad
# \frac{\partial L}{\partial W} = \tfrac9{10} - \tfrac56 \cdot \tfrac9{10} = \tfrac3{20} .$$
#
# Chapter: *Two phases*.


# %% exercise="exact_gradient"
def exact_gradient(
    data: np.ndarray, a: np.ndarray, b: np.ndarray, W: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradient of the mean log-likelihood of data (B, n) by a (n,), b (m,) and W (n, m), exactly."""
    ### BEGIN SOLUTION
    n = len(a)
    states = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    log_weights = states @ a + np.logaddexp(0, b + states @ W).sum(1)
    p = np.exp(log_weights - log_weights.max())
    p /= p.sum()
    h_data = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    h_model = 0.5 * (1 + np.tanh(0.5 * (b + states @ W)))
    return (
        data.mean(0) - p @ states,
        h_data.mean(0) - p @ h_model,
        data.T @ h_data / len(data) - (states * p[:, None]).T @ h_model,
    )
    ### END SOLUTION


# %% tests="exact_gradient" points=20
found = exact_gradient(np.array([[1.0]]), a, b, W)
assert found is not None, "exact_gradient returned None: is there a `return`?"
assert len(found) == 3, f"expected three gradients, (grad_a, grad_b, grad_W), got {len(found)}"
assert [np.shape(g) for g in found] == [(1,), (1,), (1, 1)], (
    f"gradients have the shapes of a, b and W, (1,), (1,) and (1, 1); got {[np.shape(g) for g in found]}"
)
assert np.allclose(found[0], 1 / 6), f"the example above has ∂L/∂a = 1/6, got {found[0]}"
assert np.allclose(found[1], 1 / 15), f"the example above has ∂L/∂b = 1/15, got {found[1]}"
assert np.allclose(found[2], 3 / 20), f"the example above has ∂L/∂W = 3/20, got {found[2]}"

found = exact_gradient(np.array([[0, 1], [1, 0]]), np.zeros(2), np.full(3, 900.0), np.zeros((2, 3)))
assert [np.shape(g) for g in found] == [(2,), (3,), (2, 3)], (
    f"with two visible and three hidden units: (2,), (3,) and (2, 3); got {[np.shape(g) for g in found]}"
)
assert all(np.allclose(g, 0) for g in found), (
    f"data that the model expects leave nothing to learn, got {found}"
)

# %% [markdown]
# ## Exercise 2: contrastive divergence
#
# With 784 pixels nobody sums over $2^{784}$ states. *CD-k* puts another mean in place of $\langle \cdot
# \rangle_{\text{model}}$: it starts a Markov chain **at each row of the data** and takes $k$ steps of block Gibbs
# sampling, $v \to h \to v'$.
# In each step draw all $h_j$ from $p(h_j = 1 \mid v)$, then all $v'_i$ from $p(v'_i = 1 \mid h)$: bits, both
# times. The ends $v_k$ of the chains stand for the model.
#
# In the statistics use probabilities $p(h \mid v)$ for the hidden units, with the data and with the ends of the
# chains. That is the same in expectation as drawn bits, with less noise.
#
# - `data`: shape `(B, n)`, bits of any kind.
# - `k`: the number of steps, at least 1.
# - `rng`: the only source of chance. `rng.random(shape) < p` is true with probability `p`.
# - Returns the tuple `(grad_a, grad_b, grad_W)`: the mean statistics of the data minus those of the ends.
#
# *Example.* With $W = 0$, $a = 50$ and $b = 0$ every chain ends in $v_k = 1$, wherever it starts. For the single
# row $v = 0$ that gives $\tfrac{\partial L}{\partial a} \approx 0 - 1$, $\tfrac{\partial L}{\partial b} \approx
# \tfrac12 - \tfrac12 = 0$ and $\tfrac{\partial L}{\partial W} \approx 0 \cdot \tfrac12 - 1 \cdot \tfrac12 =
# -\tfrac12$.
#
# Your chains are judged by their distribution, which is known exactly for small machines. Correct chains are
# failed with a probability below $10^{-8}$.
#
# Chapter: *Contrastive divergence*.


# %% exercise="cd_gradient"
def cd_gradient(
    data: np.ndarray, a: np.ndarray, b: np.ndarray, W: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The CD-k estimate of the gradient by a (n,), b (m,) and W (n, m), for data (B, n)."""
    ### BEGIN SOLUTION
    p_data = 0.5 * (1 + np.tanh(0.5 * (b + data @ W)))
    p = p_data
    for _ in range(k):
        h = rng.random(p.shape) < p
        v = (rng.random(data.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
        p = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
    return (
        data.mean(0) - v.mean(0),
        p_data.mean(0) - p.mean(0),
        (data.T @ p_data - v.T @ p) / len(data),
    )
    ### END SOLUTION


# %% tests="cd_gradient" points=20
found = cd_gradient(np.array([[0.0]]), a + 50, b, 0 * W, 3, np.random.default_rng(0))
assert found is not None, "cd_gradient returned None: is there a `return`?"
assert len(found) == 3, f"expected three gradients, (grad_a, grad_b, grad_W), got {len(found)}"
assert [np.shape(g) for g in found] == [(1,), (1,), (1, 1)], (
    f"gradients have the shapes of a, b and W, (1,), (1,) and (1, 1); got {[np.shape(g) for g in found]}"
)
assert np.allclose(found[0], -1), f"the example above has ∂L/∂a = 0 - 1 = -1, got {found[0]}"
assert np.allclose(found[1], 0), f"the example above has ∂L/∂b = 0, got {found[1]}"
assert np.allclose(found[2], -0.5), f"the example above has ∂L/∂W = -1/2, got {found[2]}"

data = np.array([[0.0], [0.0]])
cd_gradient(data, a + 50, b, 0 * W, 1, np.random.default_rng(0))
assert not data.any(), "cd_gradient changed the data that it was given; work on a copy"

found = cd_gradient(
    np.ones((4000, 2)), np.zeros(2), np.zeros(3), np.zeros((2, 3)), 1, np.random.default_rng(1)
)
assert [np.shape(g) for g in found] == [(2,), (3,), (2, 3)], (
    f"with two visible and three hidden units: (2,), (3,) and (2, 3); got {[np.shape(g) for g in found]}"
)
assert np.allclose(found[0], 0.5, atol=0.1), (
    f"without weights and biases half of the bits end as 0: ∂L/∂a is near 1 - 1/2, got {found[0]}"
)

# %% [markdown]
# ### How wrong is it?
#
# CD-k is biased: $k$ steps do not reach the model. Here is one weight's gradient, exactly and by CD.

# %%
rng = np.random.default_rng(3)
small = [rng.normal(size=size) * 1.5 for size in (4, 3, (4, 3))]
rows = np.tile([[1.0, 1, 0, 0], [0, 0, 1, 1]], (1000, 1))
exact = exact_gradient(rows, *small)[2][0, 0]
print(f"exact     {exact:7.3f}")
for k in (1, 2, 5, 20):
    estimate = cd_gradient(rows, *small, k, rng)[2][0, 0]
    print(f"CD-{k:<2}     {estimate:7.3f}")

# %% [markdown]
# ## Exercise 3: persistent chains
#
# CD throws its chains away after each update. *Persistent* CD keeps them: the model changes little in one update,
# so the chains go on from where they were, and in the long run they follow the model.
#
# Do one such step. First move every chain by one step of block Gibbs sampling. Then contrast the data with the
# chains *where they have arrived*, as in exercise 2.
#
# - `data`: shape `(B, n)`. `chains`: shape `(C, n)`. Both hold bits as floats; $C$ and $B$ need not be
#   equal.
# - `rng`: the only source of chance.
# - Returns the tuple `(grad_a, grad_b, grad_W, chains)` with the moved chains, shape `(C, n)`, for the next step.
#
# *Example.* With $W = 0$, $a = 50$ and $b = 0$ all chains move to 1. Two rows of data, $v = 0$ and $v = 1$, and
# five chains give $\tfrac{\partial L}{\partial a} \approx \tfrac12 - 1 = -\tfrac12$.
#
# Chapter: *Persistent chains*.


# %% exercise="pcd_step"
def pcd_step(
    data: np.ndarray,
    chains: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    W: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The gradient estimated from data (B, n) and the chains (C, n) after one more Gibbs step, and the chains."""
    ### BEGIN SOLUTION
    h = rng.random((len(chains), len(b))) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
    chains = (rng.random(chains.shape) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
    p_data, p_chains = (0.5 * (1 + np.tanh(0.5 * (b + v @ W))) for v in (data, chains))
    return (
        data.mean(0) - chains.mean(0),
        p_data.mean(0) - p_chains.mean(0),
        data.T @ p_data / len(data) - chains.T @ p_chains / len(chains),
        chains,
    )
    ### END SOLUTION


# %% tests="pcd_step" points=15
before = np.zeros((5, 1))
found = pcd_step(np.array([[0.0], [1.0]]), before, a + 50, b, 0 * W, np.random.default_rng(0))
assert found is not None, "pcd_step returned None: is there a `return`?"
assert len(found) == 4, f"expected four values, (grad_a, grad_b, grad_W, chains), got {len(found)}"
assert [np.shape(g) for g in found] == [(1,), (1,), (1, 1), (5, 1)], (
    f"expected the shapes (1,), (1,), (1, 1) and, for the chains, (5, 1); got {[np.shape(g) for g in found]}"
)
assert not before.any(), "pcd_step changed the chains that it was given; work on a copy"
assert np.allclose(found[3], 1), f"in the example above all chains move to 1, got {np.ravel(found[3])}"
assert np.allclose(found[0], -0.5), f"in the example above ∂L/∂a = 1/2 - 1, got {found[0]}"
assert np.allclose(found[2], -0.25), f"in the example above ∂L/∂W = 1/4 - 1/2, got {found[2]}"

# %% [markdown]
# ## Exercise 4: bars and stripes
#
# Now train. The data are the 14 pictures of 3×3 pixels that consist of full columns or full rows. No pixel tells
# you anything by itself, each is on half of the time. Only together do they make sense.
#
# Start from small random weights, and climb. Which gradient you use is up to you: exact, CD-k or PCD, with a rate
# that stays or falls, with momentum or without. What counts is the *exact* mean log-likelihood of what you
# return, which `log_likelihood` below computes:
#
# - the 14 pictures, each once, with 16 hidden units: $-4.5$ for part of the points, $-3.5$ for the rest;
# - ten other pictures of nine pixels, with 16 hidden units: $-3.5$.
#
# (Independent pixels reach $-6.24$. The best of all models gives each picture $\tfrac1{14}$, which is
# $-\log 14 = -2.64$.)
#
# - `data`: shape `(B, 9)`, bits as floats. `n_hidden`: $m$. `rng`: the only source of chance.
# - Returns the tuple `(a, b, W)`.
# - One second is enough; the limit stands above. Leave a margin: your function is called with other generators,
#   so try a few seeds.
# - Your function may call your answers to other exercises, and is then as right as they are.
#
# Chapter: *One machine, five ways*.

# %%
pictures = bars_and_stripes(3).reshape(14, 9).double().numpy()
ALL_STATES = (np.arange(2**9)[:, None] >> np.arange(9) & 1).astype(float)


def log_likelihood(data: np.ndarray, a: np.ndarray, b: np.ndarray, W: np.ndarray) -> float:
    """The exact mean log-likelihood of data (B, 9)."""

    def minus_free_energy(v: np.ndarray) -> np.ndarray:
        return v @ a + np.logaddexp(0, b + v @ W).sum(1)

    return minus_free_energy(data).mean() - np.logaddexp.reduce(minus_free_energy(ALL_STATES))


figure, axes = plt.subplots(1, 14, figsize=(11, 1.1))
for axis, picture in zip(axes, pictures):
    axis.imshow(picture.reshape(3, 3), cmap="gray_r", vmin=0, vmax=1)
    axis.set_xticks([])
    axis.set_yticks([])
plt.show()


# %% exercise="train"
def train(
    data: np.ndarray, n_hidden: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters (a, b, W) of a machine with n_hidden hidden units, trained on data (B, n)."""
    ### BEGIN SOLUTION
    n = data.shape[1]
    a, b, W = np.zeros(n), np.zeros(n_hidden), rng.normal(0, 0.1, (n, n_hidden))
    chains = rng.integers(0, 2, (100, n)).astype(float)
    n_steps = 1800
    for step in range(n_steps):
        rate = 0.3 * (1 - step / n_steps)
        h = rng.random((100, n_hidden)) < 0.5 * (1 + np.tanh(0.5 * (b + chains @ W)))
        chains = (rng.random((100, n)) < 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))).astype(float)
        p_data, p_chains = (0.5 * (1 + np.tanh(0.5 * (b + v @ W))) for v in (data, chains))
        a = a + rate * (data.mean(0) - chains.mean(0))
        b = b + rate * (p_data.mean(0) - p_chains.mean(0))
        W = W + rate * (data.T @ p_data / len(data) - chains.T @ p_chains / len(chains))
    return a, b, W
    ### END SOLUTION


# %% tests="train" points=20
trained = train(pictures, 16, np.random.default_rng(0))
assert trained is not None, "train returned None: is there a `return`?"
assert len(trained) == 3, f"expected three arrays, (a, b, W), got {len(trained)}"
assert [np.shape(g) for g in trained] == [(9,), (16,), (9, 16)], (
    f"a, b and W have the shapes (9,), (16,) and (9, 16), got {[np.shape(g) for g in trained]}"
)
reached = log_likelihood(pictures, *trained)
print(f"exact mean log-likelihood: {reached:.3f}")
assert reached > -6.2, f"independent pixels reach -6.24 without any training; this is {reached:.3f}"
assert reached >= -3.5, f"the goal is -3.5, this is {reached:.3f}: more steps, another rate, or more chains"

# %% [markdown]
# ### What it learned
#
# Each hidden unit looks at the picture through its column of $W$. Below are the 16 filters, and fantasies: where
# chains are after 200 steps from random bits. A fantasy that is no bar or stripe has a red frame.

# %%
a_trained, b_trained, W_trained = train(pictures, 16, np.random.default_rng(0))
rng = np.random.default_rng(5)
fantasies = rng.integers(0, 2, (16, 9)).astype(float)
for _ in range(200):
    on = rng.random((16, 16)) < 0.5 * (1 + np.tanh(0.5 * (b_trained + fantasies @ W_trained)))
    fantasies = (rng.random((16, 9)) < 0.5 * (1 + np.tanh(0.5 * (a_trained + on @ W_trained.T)))).astype(
        float
    )

figure, axes = plt.subplots(2, 16, figsize=(11, 1.9))
for axis, column in zip(axes[0], W_trained.T):
    axis.imshow(column.reshape(3, 3), cmap="RdBu", vmin=-abs(W_trained).max(), vmax=abs(W_trained).max())
for axis, fantasy in zip(axes[1], fantasies):
    axis.imshow(fantasy.reshape(3, 3), cmap="gray_r", vmin=0, vmax=1)
    right = (pictures == fantasy).all(1).any()
    for edge in axis.spines.values():
        edge.set(color="black" if right else "red", linewidth=1 if right else 3)
for axis in axes.flat:
    axis.set_xticks([])
    axis.set_yticks([])
axes[0, 0].set_title("filters", loc="left")
axes[1, 0].set_title("fantasies", loc="left")
plt.show()

# %% [markdown]
# ## Exercise 5: a neural energy
#
# The energy can be any network $E_\theta(x)$ with a number for each $x$. You push it down at the data $x^+$ and
# up at *negatives* $x^-$, points that a few Markov steps from data, or from a buffer, have reached. The loss is
#
# $$\ell(\theta) = \frac1B \sum_{i=1}^{B} E_\theta(x_i^+) - \frac1C \sum_{i=1}^{C} E_\theta(x_i^-) + \alpha \Bigl(
# \frac1B \sum_{i=1}^{B} E_\theta(x_i^+)^2 + \frac1C \sum_{i=1}^{C} E_\theta(x_i^-)^2 \Bigr) .$$
#
# For $\alpha = 0$ its gradient is the contrast of exercise 2. The last term is a *penalty* that keeps the
# energies small, since only their differences matter. The negatives are numbers here: nothing is differentiated
# through the chain that made them.
#
# - `energy(parameters, x)`: $E_\theta$ of each point, from a list of tensors and points `(n, d)` to `(n,)`.
# - `parameters`: a list of tensors that do not ask for gradients, and still do not afterwards: work on
#   `p.clone().requires_grad_()`.
# - `data`: shape `(B, d)`. `negatives`: shape `(C, d)`. $B, C \ge 1$. All are of one dtype, `float32` or
#   `float64`.
# - `alpha`: $\alpha \ge 0$.
# - Returns the tuple `(loss, gradients)`: a number, and a tuple of one gradient for each parameter, in their order
#   and shape.
#
# *Example.* $E_\theta(x) = \theta x^2$ with $\theta = 1$, data $x^+ = 1$, negatives $x^- = 0$ and $x^- = 2$, and
# $\alpha = \tfrac12$: energies are $1$, $0$ and $4$. The loss is $1 - 2 + \tfrac12 (1 + 8) = 3.5$. Its gradient
# is $1 - 2 + \tfrac12 \cdot 2\theta\, (1 + 8) = 8$.
#
# Chapter: *Deep energies*.

# %%
Energy = Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor]


def parabola(parameters: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """θ x² at points (n, 1)."""
    return parameters[0] * x[:, 0] ** 2


# %% exercise="contrastive_loss"
def contrastive_loss(
    energy: Energy,
    parameters: list[torch.Tensor],
    data: torch.Tensor,
    negatives: torch.Tensor,
    alpha: float,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The contrastive loss with penalty alpha of data (B, d) and negatives (C, d), and its gradients."""
    ### BEGIN SOLUTION
    leaves = [p.clone().requires_grad_() for p in parameters]
    positive, negative = energy(leaves, data), energy(leaves, negatives)
    penalty = (positive**2).mean() + (negative**2).mean()
    loss = positive.mean() - negative.mean() + alpha * penalty
    return loss.detach(), torch.autograd.grad(loss, leaves)
    ### END SOLUTION


# %% tests="contrastive_loss" points=15
theta = [torch.tensor(1.0)]
found = contrastive_loss(parabola, theta, torch.tensor([[1.0]]), torch.tensor([[0.0], [2.0]]), 0.5)
assert found is not None, "contrastive_loss returned None: is there a `return`?"
assert len(found) == 2, f"expected the tuple (loss, gradients), got {len(found)} values"
assert np.ndim(found[0]) == 0, f"the loss must be one number, got shape {np.shape(found[0])}"
assert np.isclose(float(found[0]), 3.5), f"the loss of the example above is 3.5, got {float(found[0])}"
assert len(found[1]) == 1, f"one parameter has one gradient, got {len(found[1])}"
assert np.shape(found[1][0]) == (), f"a gradient has its parameter's shape, (), got {np.shape(found[1][0])}"
assert np.isclose(float(found[1][0]), 8.0), f"the gradient of the example above is 8, got {found[1][0]}"
assert not theta[0].requires_grad, "contrastive_loss changed the parameter that it was given; work on a clone"

# %% [markdown]
# ### See it work
#
# A small network learns a ring. The negatives are persistent chains, moved by Langevin steps.


# %%
def network(parameters: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """A hidden layer of tanh units, and a weak bowl that keeps the chains near."""
    return torch.tanh(x @ parameters[0] + parameters[1]) @ parameters[2] + 0.1 * (x**2).sum(1)


generator = torch.Generator().manual_seed(0)
angle = 2 * torch.pi * torch.rand(256, generator=generator)
ring = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(256, 2, generator=generator)
parameters = [
    1.5 * torch.randn(2, 32, generator=generator),
    2 * torch.randn(32, generator=generator),
    torch.zeros(32),
]
chains = 2 * torch.randn(256, 2, generator=generator)
for step in range(300):
    for _ in range(5):
        chains.requires_grad_()
        (slope,) = torch.autograd.grad(network(parameters, chains).sum(), chains)
        noise = torch.randn(256, 2, generator=generator)
        chains = (chains - 0.1 * slope + 0.2**0.5 * noise).detach()
    _, gradients = contrastive_loss(network, parameters, ring, chains, 0.001)
    parameters = [p - 0.2 * (1 - step / 300) * g for p, g in zip(parameters, gradients)]

side = torch.linspace(-3.5, 3.5, 80)
grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1).reshape(-1, 2)
density = torch.softmax(-network(parameters, grid), 0).reshape(80, 80)
figure, axes = plt.subplots(1, 3, figsize=(9, 3))
for axis, cloud, title in zip(axes, (ring, chains), ("data", "chains")):
    axis.scatter(*cloud.T, s=3)
    axis.set_title(title)
    axis.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal")
axes[2].imshow(density, origin="lower", extent=(-3.5, 3.5, -3.5, 3.5), cmap="magma")
axes[2].set_title("exp(-energy)")
plt.show()

# %% [markdown] question="what_bias_costs" points=10
# ## Exercise 6: what a biased gradient costs
#
# 1. CD-1 gives a biased gradient, yet it trains. Why is its bias zero where the data already follow the model, and
#    what can go wrong far from there? (4 points)
# 2. Persistent chains follow a model that changes under them. What must hold between the learning rate and the
#    mixing of the chains, and what do you see when it does not? (3 points)
# 3. A training run reports that the energy of the data falls and falls. Is the model getting better? What would you
#    look at instead? (3 points)
#
# Write a few sentences for each.
#
# ### BEGIN SOLUTION
# **A full answer.** (1) If the data have the model's law $p$, so have the chains after $k$ steps, since
# $p P^k = p$: both means agree and the expected CD gradient is zero, as the exact one is.
# Far from there $k$ steps stay near the data, and CD sees only the places that chains reach from there. A mode of
# the model far from all data is never visited: its energy is never raised, and probability collects there.
#
# (2) The model must change slowly against the time that the chains need to forget. With a rate that is too large
# the chains lag behind, the negative statistics belong to an older model, and the likelihood oscillates or falls;
# filters and fantasies all look alike. A falling rate, more chains, more steps an update, or fast weights help.
#
# (3) No: only differences of energies matter, and adding a constant changes no probability. The energy of the
# data may fall while that of everything else falls faster. Look at the exact or annealed log-likelihood, at the
# gap to the energy of samples, or at samples from chains that did not start at the data.
#
# **Rubric.** (1) 2 points for invariance, 2 for modes that no chain visits. (2) 1 point for "slow against mixing",
# 2 for a symptom or a remedy that fits. (3) 2 points for "an energy has no zero", 1 for a quantity that tells.
# ### END SOLUTION
