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
# # Assignment 5: Boltzmann machines
#
# You write a restricted Boltzmann machine from its energy up, let one that remembers three letters repair a
# noisy picture, and then go one layer deeper.
# The chapter is *Boltzmann machines* in the course's book. You write NumPy; no gradient is needed.
#
# **Start.** Install `numpy`, `torch`, `matplotlib` and the library `ebmkit`, the file that ends in
# `.whl`, as the book's page *For students* says.
# The notebook runs in JupyterLab (`jupyter lab boltzmann_machines.ipynb`), in VS Code (open it and choose a
# Python 3 kernel), and in Colab.
# In Colab, upload the wheel with the folder icon on the left, then run `%pip install` and the
# wheel's file name in a new cell.
#
# **Work.** Each exercise has a cell that ends in `raise NotImplementedError(...)`. Replace that line by your
# answer. Keep the function's name and its arguments.
#
# **Check.** Run the cell below the answer. No error means that these tests pass. They are not all: hidden
# tests use other machines, drawn when your work is graded.
# Before you hand in, choose *Restart kernel and run all cells*.
#
# **Submit.** Hand in this file under its own name, `boltzmann_machines.ipynb`. Add cells where you like, but
# do not delete or copy the cells that carry points.
#
# **Get help.** Read the section of the chapter that the exercise names, then ask in the course's forum. Say
# which test fails and with which message.
#
# While your work is graded, `ebmkit.data` and `ebmkit.chance` can be imported. The other modules of `ebmkit`
# cannot, `ebmkit.boltzmann_machines` among them: it holds the answers.
# Warnings and printed output cost nothing.

# %%
import matplotlib.pyplot as plt
import numpy as np

# %% [markdown]
# ## The restricted Boltzmann machine
#
# $v$ holds $n$ *visible* units, for example the pixels of a picture, and $h$ holds $m$ *hidden* units. All are
# bits, 0 or 1. Every visible unit is tied to every hidden one, and no two units of one layer are tied:
#
# $$E(v, h) = -a \cdot v - b \cdot h - v^\top W h, \qquad p(v, h) = \frac{e^{-E(v, h)}}{Z} .$$
#
# `a` has shape `(n,)`, `b` has shape `(m,)`, and `W` has shape `(n, m)`: `W[i, j]` ties visible unit $i$ to
# hidden unit $j$.
# You handle $B$ states at once: `v` has shape `(B, n)` and `h` has shape `(B, m)`. Bits arrive as floats or as
# integers of any kind, `uint8` among them. In `uint8`, `-v` wraps around: multiply first, then change signs.
#
# The machine of the examples has two visible units and one hidden unit:

# %%
a = np.array([1.0, -1.0])
b = np.array([0.5])
W = np.array([[2.0], [-3.0]])

# %% [markdown]
# ## Exercise 1: energy and free energy
#
# Compute $E(v, h)$ and the *free energy*
#
# $$F(v) = -\log \sum_{h} e^{-E(v, h)} = -a \cdot v - \sum_{j=1}^{m} \log\bigl(1 + e^{\,b_j + (v^\top
# W)_j}\bigr) .$$
#
# $F$ is the energy that the visible units alone have: $p(v) = e^{-F(v)} / Z$. Derive the second form: given $v$,
# the sum over $h$ is a product of one sum for each hidden unit.
#
# - `v`: shape `(B, n)`. `h`: shape `(B, m)`. The batch may be empty.
# - Returns `(E, F)`, both of shape `(B,)`.
# - Weights can be as large as 1000. $\log(1 + e^x)$ is nearly $x$ there, not infinite.
#
# *Example.* In the machine above take $v = (1, 0)$ and $h = (1)$. Then $E = -1 - 0.5 - 2 = -3.5$, and
# $F = -1 - \log(1 + e^{2.5}) = -3.579$.
#
# Chapter: *Restricted Boltzmann machines*.


# %% exercise="energies"
def energies(
    v: np.ndarray, h: np.ndarray, a: np.ndarray, b: np.ndarray, W: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The energy E(v, h) and the free energy F(v) of each row, both of shape (B,)."""
    ### BEGIN SOLUTION
    field = b + v @ W
    energy = -(v @ a) - (h * field).sum(-1)
    free_energy = -(v @ a) - np.logaddexp(0, field).sum(-1)
    return energy, free_energy
    ### END SOLUTION


# %% tests="energies" points=20
found = energies(np.array([[1, 0]]), np.array([[1]]), a, b, W)
assert found is not None, "energies returned None: is there a `return`?"
assert len(found) == 2, f"return two arrays, E and F, got {len(found)} values"
assert np.shape(found[0]) == (1,), f"one state has an E of shape (1,), got {np.shape(found[0])}"
assert np.shape(found[1]) == (1,), f"one state has an F of shape (1,), got {np.shape(found[1])}"
assert np.allclose(found[0], -3.5), f"the example above has E = -3.5, got {found[0]}"
assert np.allclose(found[1], -1 - np.log1p(np.exp(2.5))), f"the example above has F = -3.579, got {found[1]}"

_, found = energies(np.array([[0, 0]] * 3), np.zeros((3, 1)), a, 1000 * b, W)
assert np.allclose(found, -500), f"log(1 + exp(500)) is 500, so F = -500 here, got {found}"

found = energies(
    np.array([[1, 0], [1, 1]]),
    np.array([[1, 0], [1, 1]]),
    np.array([0.5, -1.0]),
    np.array([1.0, 2.0]),
    np.array([[1.0, 2.0], [3.0, 4.0]]),
)
assert np.shape(found[0]) == np.shape(found[1]) == (2,), (
    f"two states have two energies, got the shapes {np.shape(found[0])} and {np.shape(found[1])}"
)
assert np.allclose(found[0], [-2.5, -12.5]), f"two states of four units: E = (-2.5, -12.5), got {found[0]}"
fields = np.array([[2.0, 4.0], [5.0, 8.0]])
expected = [-0.5, 0.5] - np.log1p(np.exp(fields)).sum(1)
assert np.allclose(found[1], expected), f"their F is {expected}, got {found[1]}"

# %% [markdown]
# ## Exercise 2: the conditionals of a layer
#
# Given one layer, the units of the other are independent: nothing ties them. So
#
# $$p(h_j = 1 \mid v) = \sigma\bigl(b_j + (v^\top W)_j\bigr), \qquad
# p(v_i = 1 \mid h) = \sigma\bigl(a_i + (W h)_i\bigr), \qquad \sigma(x) = \frac{1}{1 + e^{-x}} .$$
#
# - `v`: shape `(B, n)`. `h`: shape `(B, m)`.
# - Returns `(p_h, p_v)` of shapes `(B, m)` and `(B, n)`: the first given `v`, the second given `h`.
# - Weights can be as large as 1000: the result is 0 or 1 there, not NaN.
#
# *Example.* In the machine above $v = (1, 0)$ gives $p(h = 1 \mid v) = \sigma(2.5) = 0.924$. And $h = (1)$ gives
# $p(v = 1 \mid h) = (\sigma(3), \sigma(-4)) = (0.953, 0.018)$.
#
# Chapter: *Conditionals*.


# %% exercise="conditionals"
def conditionals(
    v: np.ndarray, h: np.ndarray, a: np.ndarray, b: np.ndarray, W: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """p(h_j = 1 | v) of shape (B, m) and p(v_i = 1 | h) of shape (B, n), row by row."""
    ### BEGIN SOLUTION
    p_h = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
    p_v = 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))
    return p_h, p_v
    ### END SOLUTION


# %% tests="conditionals" points=15
found = conditionals(np.array([[1, 0]]), np.array([[1]]), a, b, W)
assert found is not None, "conditionals returned None: is there a `return`?"
assert len(found) == 2, f"return two arrays, p_h and p_v, got {len(found)} values"
p_h, p_v = found
assert np.shape(p_h) == (1, 1), f"p_h has the shape of h, (1, 1), got {np.shape(p_h)}"
assert np.shape(p_v) == (1, 2), f"p_v has the shape of v, (1, 2), got {np.shape(p_v)}"
assert np.allclose(p_h, 1 / (1 + np.exp(-2.5))), f"the example above has p_h = 0.924, got {p_h}"
assert np.allclose(p_v, [1 / (1 + np.exp(-3)), 1 / (1 + np.exp(4))]), (
    f"the example above has p_v = (0.953, 0.018), got {p_v}"
)

p_h, _ = conditionals(np.array([[1, 0]]), np.array([[1]]), a, b, 400 * W)
assert np.allclose(p_h, 1), f"where the field is 800.5 the unit is on for certain, got {p_h}"

# %% [markdown]
# ## Exercise 3: one step of block Gibbs sampling
#
# Whole layers can be drawn at once. One step goes up and down: draw $h \sim p(h \mid v)$, then $v' \sim p(v' \mid
# h)$. It leaves $p(v)$ as it is.
#
# - `v`: shape `(B, n)`.
# - `rng`: the only source of chance. `rng.random(shape)` gives uniform numbers; `rng.random(shape) < p` is true
#   with probability `p`. Each row needs numbers of its own.
# - Returns `(h, v_new)`: the hidden bits that you drew, shape `(B, m)`, and the new visible bits that you drew
#   from *them*, shape `(B, n)`. Both hold 0 and 1.
#
# *Example.* With $W = 0$, $a = (50, -50)$ and $b = (50)$ every step gives $h = (1)$ and $v' = (1, 0)$.
#
# Your sampler is judged by its distribution, computed exactly for a small machine. A correct sampler is failed
# with a probability below $10^{-8}$.
#
# Chapter: *Block Gibbs sampling*.


# %% exercise="gibbs_step"
def gibbs_step(
    v: np.ndarray, a: np.ndarray, b: np.ndarray, W: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hidden bits h ~ p(h | v) of shape (B, m), and new visible bits drawn from p(v | h), shape (B, n)."""
    ### BEGIN SOLUTION
    p_h = 0.5 * (1 + np.tanh(0.5 * (b + v @ W)))
    h = (rng.random(p_h.shape) < p_h).astype(float)
    p_v = 0.5 * (1 + np.tanh(0.5 * (a + h @ W.T)))
    return h, (rng.random(p_v.shape) < p_v).astype(float)
    ### END SOLUTION


# %% tests="gibbs_step" points=15
before = np.zeros((5, 2))
found = gibbs_step(before, np.array([50.0, -50.0]), np.array([50.0]), 0 * W, np.random.default_rng(0))
assert found is not None, "gibbs_step returned None: is there a `return`?"
assert len(found) == 2, f"return two arrays, h and the new v, got {len(found)} values"
h, after = found
assert np.shape(h) == (5, 1), f"h must have shape (5, 1), got {np.shape(h)}"
assert np.shape(after) == (5, 2), f"the new v must have the shape of v, (5, 2), got {np.shape(after)}"
assert (np.asarray(h) == 1).all(), f"the example above has h = 1 in each row, got\n{h}"
assert (np.asarray(after) == [1, 0]).all(), f"the example above has v' = (1, 0) in each row, got\n{after}"
assert not before.any(), "gibbs_step changed the array it was given; work on a copy"

h, after = gibbs_step(np.zeros((1000, 2)), 0 * a, 0 * b, 0 * W, np.random.default_rng(0))
share = np.mean(np.asarray(after, dtype=float), axis=0)
assert (abs(share - 0.5) < 0.2).all(), (
    f"without weights and biases each unit is on half of the time, got {share}"
)

# %% [markdown]
# ## Exercise 4: the exact log-likelihood
#
# How well does a machine fit data $v^{(1)}, \dots, v^{(N)}$? The *mean log-likelihood* is
#
# $$\frac1N \sum_{k=1}^{N} \log p(v^{(k)}) = -\frac1N \sum_{k=1}^{N} F(v^{(k)}) - \log Z, \qquad
# Z = \sum_v e^{-F(v)} = \sum_h e^{\,b \cdot h} \prod_{i=1}^{n} \bigl(1 + e^{\,a_i + (W h)_i}\bigr) .$$
#
# The two sums give the same $Z$. The first has $2^n$ terms, the second $2^m$. Take the shorter one: here one
# layer has at most 10 units, and the other may have hundreds.
#
# - `data`: shape `(N, n)`, $N \ge 1$.
# - Returns one number, in nats. $Z$ itself may be far too large for a float: stay with logarithms.
#
# *Example.* With all parameters 0, each of the $2^n$ pictures is equally probable: the result is $-n \log 2$.
#
# Chapter: *Exact likelihood*.


# %% exercise="log_likelihood"
def log_likelihood(data: np.ndarray, a: np.ndarray, b: np.ndarray, W: np.ndarray) -> float:
    """The mean of log p(v) over the rows of data (N, n), exactly; one layer has at most 10 units."""
    ### BEGIN SOLUTION
    free_energy = -(data @ a) - np.logaddexp(0, b + data @ W).sum(-1)
    if len(a) < len(b):
        a, b, W = b, a, W.T  # now the hidden layer is the smaller one
    h = np.arange(2 ** len(b))[:, None] >> np.arange(len(b)) & 1
    log_terms = h @ b + np.logaddexp(0, a + h @ W.T).sum(-1)
    return -free_energy.mean() - np.logaddexp.reduce(log_terms)
    ### END SOLUTION


# %% tests="log_likelihood" points=15
found = log_likelihood(np.array([[1, 0], [0, 0]]), 0 * a, 0 * b, 0 * W)
assert found is not None, "log_likelihood returned None: is there a `return`?"
assert np.ndim(found) == 0, f"log_likelihood must return one number, got shape {np.shape(found)}"
assert np.isclose(found, -2 * np.log(2)), f"four equally probable pictures: -2 log 2 = -1.386, got {found}"

pictures = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
total = sum(np.exp(log_likelihood(picture[None], a, b, W)) for picture in pictures)
assert np.isclose(total, 1), f"the probabilities of all four pictures must add to 1, got {total}"

found = log_likelihood(np.ones((3, 200)), np.zeros(200), np.zeros(2), np.zeros((200, 2)))
assert np.isclose(found, -200 * np.log(2)), f"200 visible units and two hidden ones: -200 log 2, got {found}"

# %% [markdown]
# ### See it work
#
# A machine made by hand that remembers three letters. Each of its three hidden units stands for one letter: it
# pulls ink to where its letter has ink and away from where it has none, and it comes on where the picture
# resembles its letter.
# Nobody tells the machine which letter it sees. Watch block Gibbs sampling repair noisy ones, and see how much
# more probable the machine finds a letter than noise.

# %%
E = "11111 10000 10000 11110 10000 10000 11111"
B = "11110 10001 10001 11110 10001 10001 11110"
M = "10001 11011 10101 10101 10001 10001 10001"
letters = np.array([[float(ink) for ink in picture.replace(" ", "")] for picture in (E, B, M)])
memory = 3.5 * (2 * letters.T - 1)
memory_b = 18 - 3.5 * letters.sum(1)
memory_a = np.zeros(35)

rng = np.random.default_rng(7)
seen = np.where(rng.random(letters.shape) < 0.1, 1 - letters, letters)
path = [seen]
for _ in range(4):
    path.append(gibbs_step(path[-1], memory_a, memory_b, memory, rng)[1])

noise = (rng.random((100, 35)) < 0.5).astype(float)
for name, pictures in {"the letters": letters, "seen": seen, "noise": noise}.items():
    print(f"{name:12} {log_likelihood(pictures, memory_a, memory_b, memory):7.2f} nats a picture")

h, _ = gibbs_step(path[-1], memory_a, memory_b, memory, rng)
_, restored = conditionals(letters, h, memory_a, memory_b, memory)
figure, axes = plt.subplots(3, 6, figsize=(8, 4.6))
for column, pictures in enumerate([*path, restored]):
    titles = ["seen", "step 1", "step 2", "step 3", "step 4", "p(v = 1 | h)"]
    axes[0, column].set_title(titles[column])
    for row in range(3):
        axes[row, column].imshow(pictures[row].reshape(7, 5), cmap="gray_r", vmin=0, vmax=1)
        axes[row, column].set_axis_off()
plt.show()

# %% [markdown]
# ## Exercise 5: the energy of a deep Boltzmann machine
#
# Stack layers $x_0$ (visible), $x_1, \dots, x_L$ and tie neighbours only:
#
# $$E(x_0, \dots, x_L) = -\sum_{l=0}^{L} b_l \cdot x_l - \sum_{l=0}^{L-1} x_l^\top W_l\, x_{l+1} .$$
#
# With $L = 1$ this is the RBM.
#
# - `layers`: a list of $L + 1$ arrays, `layers[l]` of shape `(B, n_l)`.
# - `biases`: a list of $L + 1$ arrays, `biases[l]` of shape `(n_l,)`.
# - `weights`: a list of $L$ arrays, `weights[l]` of shape `(n_l, n_{l+1})`.
# - Returns an array of shape `(B,)`.
#
# *Example.* Three layers of one unit, all on, with biases 1, 2, 3 and weights 10 and 20: $E = -6 - 30 = -36$.
# With the middle unit off, $E = -1 - 3 = -4$: the outer layers meet only through it.
#
# Chapter: *Deep Boltzmann machines*.


# %% exercise="dbm_energy"
def dbm_energy(layers: list[np.ndarray], biases: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    """The energy (B,) of states given layer by layer: layers[l] (B, n_l), weights[l] (n_l, n_{l+1})."""
    ### BEGIN SOLUTION
    total = sum(x @ bias for x, bias in zip(layers, biases))
    for low, matrix, high in zip(layers, weights, layers[1:]):
        total = total + ((low @ matrix) * high).sum(-1)
    return -total
    ### END SOLUTION


# %% tests="dbm_energy" points=10
one = [np.array([1.0]), np.array([2.0]), np.array([3.0])]
ties = [np.array([[10.0]]), np.array([[20.0]])]
found = dbm_energy([np.ones((2, 1)), np.array([[1.0], [0.0]]), np.ones((2, 1))], one, ties)
assert found is not None, "dbm_energy returned None: is there a `return`?"
assert np.shape(found) == (2,), f"two states have energies of shape (2,), got {np.shape(found)}"
assert np.allclose(found, [-36, -4]), f"the two states of the example have energies -36 and -4, got {found}"

found = dbm_energy([np.array([[1, 0]]), np.array([[1]])], [a, b], [W])
assert np.allclose(found, -3.5), f"with two layers it is the RBM of exercise 1: -3.5, got {found}"

# %% [markdown]
# ## Exercise 6: one pass of mean field
#
# In a deep machine $p(x_1, \dots, x_L \mid x_0)$ does not factorize: the hidden layers are tied to each other.
# *Mean field* takes the best factorized distribution instead. It keeps a mean $\mu_l$ for every hidden layer, with
# the visible layer fixed at the data, $\mu_0 = x_0$. One pass visits $l = 1, 2, \dots, L$ in this order and sets
#
# $$\mu_l \leftarrow \sigma\bigl(b_l + \mu_{l-1} W_{l-1} + W_l\, \mu_{l+1}\bigr) ,$$
#
# always with the *newest* means of its neighbours. The top layer has no neighbour above: its last term is
# missing. Each update raises a lower bound on $\log p(x_0)$.
#
# - `means`: a list of $L + 1$ arrays, `means[l]` of shape `(B, n_l)`; `means[0]` is the data.
# - `biases`, `weights`: as in exercise 5.
# - Returns a list of $L$ arrays, the new means of the *hidden* layers $1, \dots, L$. Fields can be as large as
#   1000.
#
# *Example.* Three layers of one unit, biases 0, weights 2 and 4, means $(1, \tfrac12, \tfrac12)$. First $\mu_1 =
# \sigma(2 + 4 \cdot \tfrac12) = \sigma(4) = 0.982$. Then $\mu_2 = \sigma(4 \cdot 0.982) = 0.981$.
#
# Chapter: *Mean field*.


# %% exercise="mean_field_pass"
def mean_field_pass(
    means: list[np.ndarray], biases: list[np.ndarray], weights: list[np.ndarray]
) -> list[np.ndarray]:
    """The new means of hidden layers 1 … L, updated in this order; means[l] (B, n_l), means[0] is the data."""
    ### BEGIN SOLUTION
    new = list(means)
    for l in range(1, len(new)):
        field = biases[l] + new[l - 1] @ weights[l - 1]
        if l + 1 < len(new):
            field = field + new[l + 1] @ weights[l].T
        new[l] = 0.5 * (1 + np.tanh(0.5 * field))
    return new[1:]
    ### END SOLUTION


# %% tests="mean_field_pass" points=15
start = [np.array([[1.0]]), np.array([[0.5]]), np.array([[0.5]])]
zeros = [np.zeros(1)] * 3
found = mean_field_pass(start, zeros, [np.array([[2.0]]), np.array([[4.0]])])
assert found is not None, "mean_field_pass returned None: is there a `return`?"
assert len(found) == 2, f"return the means of the two hidden layers, got {len(found)} arrays"
assert np.shape(found[0]) == np.shape(found[1]) == (1, 1), (
    f"means have the shapes of the layers, (1, 1), got {np.shape(found[0])} and {np.shape(found[1])}"
)
first = 1 / (1 + np.exp(-4.0))
assert np.allclose(found[0], first), f"the example above has μ_1 = 0.982, got {found[0]}"
assert np.allclose(found[1], 1 / (1 + np.exp(-4 * first))), (
    f"the example above has μ_2 = 0.981, got {found[1]}"
)
assert start[1][0, 0] == 0.5, "mean_field_pass changed the means it was given; work on a copy"
assert start[2][0, 0] == 0.5, "mean_field_pass changed the means it was given; work on a copy"
biases = [np.zeros(1), np.array([1.0]), np.array([-1.0])]
found = mean_field_pass(start, biases, [np.array([[2.0]]), np.array([[4.0]])])
first = 1 / (1 + np.exp(-5.0))
assert np.allclose(found[0], first), (
    f"with a bias of 1 the field is 1 + 2 + 2, so μ_1 = 0.993, got {found[0]}"
)
assert np.allclose(found[1], 1 / (1 + np.exp(1 - 4 * first))), (
    f"with a bias of -1 the top has the field 4 μ_1 - 1, so μ_2 = 0.951, got {found[1]}"
)

# %% [markdown]
# ### A surprise
#
# One visible unit that says nothing, and two hidden units that want to be alike: both off or both on, equally
# probable. Their exact means are one half, whatever the weight $w$ that ties them. Guess before you run the
# cell: what does mean field say as $w$ grows?

# %%
ties_tried = np.linspace(0, 10, 41)
answers = {0.4: [], 0.6: []}
for start, found in answers.items():
    for w in ties_tried:
        hidden = [np.array([[start]]), np.array([[start]])]
        for _ in range(200):
            hidden = mean_field_pass(
                [np.zeros((1, 1)), *hidden],
                [np.zeros(1), np.array([-w / 2]), np.array([-w / 2])],
                [np.zeros((1, 1)), np.array([[w]])],
            )
        found.append(float(hidden[0][0, 0]))
plt.figure(figsize=(5, 3))
for start, found in answers.items():
    plt.plot(ties_tried, found, label=f"mean field from {start}")
plt.axhline(0.5, color="k", linewidth=0.8, label="exact")
plt.xlabel("weight w between the two")
plt.ylabel("mean of a hidden unit")
plt.legend()
plt.show()

# %% [markdown]
# Up to $w = 4$ the means are exact. Beyond, mean field picks a side, and which one depends on where it started. A
# factorized distribution cannot say "alike, but I don't know which".

# %% [markdown] question="what_depth_costs" points=10
# ## Exercise 7: what depth costs
#
# 1. In an RBM $p(h \mid v)$ factorizes. Show where the proof uses that no two hidden units are tied, and why the
#    same argument fails for $p(x_1, x_2 \mid x_0)$ in a deep machine. (3 points)
# 2. The hidden units of an RBM are independent given $v$. Are they independent without it? Give a reason. (2
#    points)
# 3. A deep machine has layers of 64, 10, 100 and 10 units. How do you compute $\log Z$ exactly, and how many terms
#    has your sum? (3 points)
# 4. In the surprise above, the bound on $\log p(x_0)$ is not tight for $w > 4$. Say what that costs a learner that
#    uses mean field. (2 points)
#
# Write a few sentences for each.
#
# ### BEGIN SOLUTION
# **A full answer.** (1) For fixed $v$, $-E(v, h)$ is a constant plus $\sum_j h_j (b_j + (v^\top W)_j)$, a sum of
# terms in one $h_j$ each; its exponential is a product, and so is the normalizer. A tie between $h_j$ and $h_k$
# would add a term in both. In the deep machine $x_1^\top W_1 x_2$ is such a term.
#
# (2) No. $v$ ties them: summing $v$ out leaves $\prod_i (1 + e^{a_i + (W h)_i})$, which is no product of
# functions of single $h_j$. That is how an RBM represents dependence.
#
# (3) Only neighbours are tied, so even and odd layers form an RBM: $64 + 100$ units on one side, $10 + 10$ on
# the other. List the states of the two small layers, $2^{20}$ terms, and sum the even layers in closed form.
#
# (4) It raises a bound, not the likelihood. The gap is $\mathrm{KL}(q \,\|\, p(x_1, x_2 \mid x_0)) > 0$, here
# $\log 2$ for large $w$, as $q$ covers one of two modes. The learner is drawn to models whose posterior is nearly
# factorized.
#
# **Rubric.** (1) 2 points for "a sum over $j$, so a product", 1 for the term in two hidden layers. (2) 1 point
# for "no", 1 for a reason. (3) 1 point for grouping layers by parity, 1 for the closed form, 1 for $2^{20}$. (4)
# 1 point for "bound, not likelihood", 1 for the gap or the bias towards factorized posteriors.
# ### END SOLUTION
