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
# # Assignment 3: Ising models
#
# You repair a noisy picture with a model that was made for magnets, and find out what an energy knows
# without its normalizer.
# The chapter is *Ising models* in the course's book. You write NumPy; no gradient is needed.
#
# **Start.** Install `numpy`, `torch`, `matplotlib` and the library `ebmkit`, the file that ends in
# `.whl`, as the book's page *For students* says.
# The notebook runs in JupyterLab (`jupyter lab ising.ipynb`), in VS Code (open it and choose a Python 3
# kernel), and in Colab.
# In Colab, upload the wheel with the folder icon on the left, then run `%pip install` and the
# wheel's file name in a new cell.
#
# **Work.** Each exercise has a cell that ends in `raise NotImplementedError(...)`. Replace that line by your
# answer. Keep the function's name and its arguments.
#
# **Check.** Run the cell below the answer. No error means that these tests pass. They are not all: hidden
# tests use other grids, drawn when your work is graded.
# Before you hand in, choose *Restart kernel and run all cells*.
#
# **Submit.** Hand in this file under its own name, `ising.ipynb`. Add cells where you like, but do not delete
# or copy the cells that carry points.
#
# **Get help.** Read the section of the chapter that the exercise names, then ask in the course's forum. Say
# which test fails and with which message.
#
# While your work is graded, `ebmkit.data` and `ebmkit.chance` can be imported. The other modules of `ebmkit`
# cannot, `ebmkit.ising` among them: it holds the answers.
# Warnings and printed output cost nothing.

# %%
import matplotlib.pyplot as plt
import numpy as np

from ebmkit.data import slide_image

# %% [markdown]
# ## The model
#
# $x$ is the picture that you see and $y$ the clean picture that you look for. Both are arrays of shape `(n,
# m)` with labels 0 and 1.
# Write $s_i = 2 y_i - 1$ and $t_i = 2 x_i - 1$ for the labels as *spins* $-1$ and $+1$. The energy is
#
# $$E(y) = -h \sum_i t_i\, s_i \;-\; J \sum_{(i,j)} s_i\, s_j , \qquad p(y \mid x) = \frac{e^{-E(y)}}{Z} .$$
#
# The second sum runs over all pairs of neighbours: two pixels side by side, or one above the other. Each pair
# counts once. There are no neighbours across the border.
# `coupling` is $J$, how much neighbours want to agree. `field` is $h$, how much a pixel trusts what was seen.
#
# Labels arrive as integer arrays of any kind, `uint8` among them, the kind that images come in.
# In `uint8` there is no $-1$: `2 * 0 - 1` is 255. Convert before you subtract, for example with
# `np.asarray(labels, dtype=float)`.

# %%
truth, noisy_slide = (picture.numpy().astype(int) for picture in slide_image())
print("the lecture's picture, as seen:")
print(noisy_slide)

# %% [markdown]
# ## Exercise 1: the energy of a labelled grid
#
# Compute $E(y)$.
#
# - `labels`, `noisy`: shape `(n, m)`, labels 0 and 1. A grid can be as small as one pixel.
# - Returns one number.
#
# *Example.* `labels = [[1, 1], [0, 1]]` and `noisy = [[1, 0], [0, 1]]` with $J = 1$ and $h = \tfrac12$.
# Three of the four pixels agree with what was seen, one does not: the first sum is $3 - 1 = 2$.
# Of the four pairs of neighbours two agree, the top row and the right column: the second sum is $2 - 2 = 0$.
# So $E = -\tfrac12 \cdot 2 - 0 = -1$.
#
# Chapter: *The lecture's picture*.


# %% exercise="energy"
def energy(labels: np.ndarray, noisy: np.ndarray, coupling: float, field: float) -> float:
    """E(y) of the picture `labels` where `noisy` was seen; both have shape (n, m) and labels 0 and 1."""
    ### BEGIN SOLUTION
    s = 2 * np.asarray(labels, dtype=float) - 1
    t = 2 * np.asarray(noisy, dtype=float) - 1
    neighbours = (s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum()
    return -field * (s * t).sum() - coupling * neighbours
    ### END SOLUTION


# %% tests="energy" points=15
example_labels = np.array([[1, 1], [0, 1]])
example_noisy = np.array([[1, 0], [0, 1]])

found = energy(example_labels, example_noisy, 1.0, 0.5)
assert found is not None, "energy returned None: is there a `return`?"
assert np.ndim(found) == 0, f"energy must return one number, got shape {np.shape(found)}"
assert np.isclose(found, -1.0), f"the example above has energy -1, got {found}"

found = energy(np.array([[1]]), np.array([[0]]), 1.0, 0.5)
assert np.isclose(found, 0.5), f"one pixel that disagrees with what was seen has energy h = 0.5, got {found}"

found = energy(np.ones((2, 3), dtype=np.uint8), np.ones((2, 3), dtype=np.uint8), 1.0, 0.0)
assert np.isclose(found, -7.0), f"2×3 pixels have 7 pairs of neighbours, so the energy is -7; got {found}"

# %% [markdown]
# ## Exercise 2: the conditional of one pixel
#
# Given all other labels, how probable is label 1 at one pixel? Only its neighbours $N(i)$ and what was seen
# there matter:
#
# $$p(y_i = 1 \mid y_{\text{rest}}, x) = \sigma\Bigl(2 h\, t_i + 2 J \sum_{j \in N(i)} s_j\Bigr), \qquad
# \sigma(a) = \frac{1}{1 + e^{-a}} .$$
#
# Derive it: it is $e^{-E_1} / (e^{-E_1} + e^{-E_0})$, where $E_1$ and $E_0$ are the energies with label 1 and
# label 0 at that pixel.
# $E_1$ and $E_0$ differ by *twice* what pulls on the pixel.
#
# - `labels`, `noisy`: shape `(n, m)`. The label at `(row, column)` itself must not matter.
# - `row`, `column`: where the pixel is, counted from 0.
# - Returns a probability. Couplings can be large: $J = 500$ must give 0 or 1, not NaN.
#
# *Example.* In the grids above the pixel `(0, 0)` was seen as 1. Its neighbours have labels 1 and 0, which
# cancel.
# With $h = \tfrac12$ the probability is $\sigma(1) = 0.731$.
#
# Chapter: *Gibbs sampling*.


# %% exercise="conditional"
def conditional(
    labels: np.ndarray, noisy: np.ndarray, row: int, column: int, coupling: float, field: float
) -> float:
    """The probability of label 1 at (row, column), given the labels (n, m) elsewhere and what was seen."""
    ### BEGIN SOLUTION
    n, m = labels.shape
    neighbours = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    pull = field * (2 * int(noisy[row, column]) - 1)
    for i, j in neighbours:
        if 0 <= i < n and 0 <= j < m:
            pull += coupling * (2 * int(labels[i, j]) - 1)
    return 0.5 * (1 + np.tanh(pull))
    ### END SOLUTION


# %% tests="conditional" points=10
found = conditional(example_labels, example_noisy, 0, 0, 1.0, 0.5)
assert found is not None, "conditional returned None: is there a `return`?"
assert np.ndim(found) == 0, f"conditional must return one number, got shape {np.shape(found)}"
assert 0 <= found <= 1, f"a probability lies between 0 and 1, got {found}"
assert np.isclose(found, 1 / (1 + np.exp(-1))), f"the example above has probability 0.731, got {found}"

found = conditional(np.array([[0]]), np.array([[1]]), 0, 0, 1.0, 0.0)
assert np.isclose(found, 0.5), f"without neighbours and field both labels are equally probable, got {found}"

found = conditional(np.ones((3, 3), dtype=int), np.ones((3, 3), dtype=int), 1, 1, 500.0, 1.0)
assert np.isclose(found, 1.0), f"strongly coupled to four neighbours with label 1: probability 1, got {found}"

# %% [markdown]
# ## Exercise 3: one sweep of Gibbs sampling
#
# A sweep gives every pixel a new label, drawn from its conditional given the *present* labels of its
# neighbours.
# Neighbours must not change at the same time. So colour the grid like a checkerboard: first draw all pixels
# with $i + j$ even, given the odd ones.
# Then draw all pixels with $i + j$ odd, given the new even ones. Pixels of one colour are not neighbours, so
# each half is one operation on whole arrays.
#
# You sweep $B$ pictures at once. They share `noisy` and nothing else: each picture needs random numbers of
# its own.
#
# - `labels`: shape `(B, n, m)`. Return a new array of the same shape.
# - `noisy`: shape `(n, m)`.
# - `rng`: the only source of chance. `rng.random(shape)` gives uniform numbers; `rng.random(shape) < p` is
#   true with probability `p`.
#
# *Example.* With $J = 0$ and $h = 50$ every pixel follows what was seen: a sweep returns $B$ copies of
# `noisy`, whatever `labels` is.
#
# Your sampler is judged by its distribution, computed exactly for small grids. A correct sampler is failed
# with a probability below $10^{-8}$.
#
# Chapter: *Gibbs sampling*.


# %% exercise="gibbs_sweep"
def gibbs_sweep(
    labels: np.ndarray, noisy: np.ndarray, coupling: float, field: float, rng: np.random.Generator
) -> np.ndarray:
    """New labels (B, n, m): the even pixels drawn given the odd ones, then the odd ones given the even."""
    ### BEGIN SOLUTION
    labels = labels.copy()
    parity = np.indices(noisy.shape).sum(0) % 2
    seen = field * (2.0 * noisy - 1)
    for colour in (0, 1):
        s = np.pad(2.0 * labels - 1, ((0, 0), (1, 1), (1, 1)))
        neighbours = s[:, :-2, 1:-1] + s[:, 2:, 1:-1] + s[:, 1:-1, :-2] + s[:, 1:-1, 2:]
        p = 0.5 * (1 + np.tanh(seen + coupling * neighbours))
        drawn = rng.random(labels.shape) < p
        labels = np.where(parity == colour, drawn, labels)
    return labels
    ### END SOLUTION


# %% tests="gibbs_sweep" points=20
before = np.zeros((4, 2, 3), dtype=int)
seen = np.array([[1, 0, 1], [0, 1, 1]])
after = gibbs_sweep(before, seen, 0.0, 50.0, np.random.default_rng(0))
assert after is not None, "gibbs_sweep returned None: is there a `return`?"
assert np.shape(after) == (4, 2, 3), (
    f"the result must have the shape of labels, (4, 2, 3), got {np.shape(after)}"
)
assert np.isin(after, (0, 1)).all(), f"labels are 0 or 1, got {np.unique(after)}"
assert not before.any(), "gibbs_sweep changed the array it was given; work on a copy"
assert (np.asarray(after) == seen).all(), (
    "with a field of 50 and no coupling, every pixel follows what was seen"
)

after = gibbs_sweep(np.zeros((500, 2, 3), dtype=int), seen, 0.0, 0.0, np.random.default_rng(0))
share = np.mean(np.asarray(after, dtype=float), axis=0)
assert (abs(share - 0.5) < 0.25).all(), (
    f"without coupling and field each pixel is 1 half of the time, got\n{share}"
)

# With a strong coupling nothing is left to chance: an even pixel does what its old odd neighbours want, and an odd
# one what its new even neighbours want.
strong = np.array([[[0, 1], [1, 0]]])
after = gibbs_sweep(strong, np.zeros((2, 2), dtype=int), 40.0, 1.0, np.random.default_rng(0))
assert (np.asarray(after) == 1).all(), (
    f"even pixels first, then the odd ones, which see them: all become 1, got\n{np.asarray(after)}"
)
row = np.array([[[0, 1, 0]]])
after = gibbs_sweep(row, np.zeros((1, 3), dtype=int), 40.0, 10.0, np.random.default_rng(0))
assert (np.asarray(after) == 1).all(), (
    f"the ends of a row have one neighbour each, which is 1: all become 1, got\n{np.asarray(after)}"
)

# %% [markdown]
# ## Exercise 4: denoising
#
# *Iterated conditional modes* (ICM) goes downhill: start at the noisy picture, and give each pixel in turn
# the label that is more probable given the others.
# Go on until a whole pass changes nothing. On a tie, keep the label: then the energy falls with every change,
# and the loop ends.
#
# - `noisy`: shape `(n, m)`. `coupling` and `field` are not negative.
# - Returns labels of shape `(n, m)`: a picture of which no single pixel can be changed to lower the energy,
#   and whose energy is not above that of `noisy`.
#
# Another method that does as well or better is welcome.
#
# *Example.* One wrong pixel in the middle of a white 3×3 picture: with $J = 1$, $h = 1$ four neighbours pull
# with 4 and the pixel's own field with 1. It is repaired.
# With $h = 5$ the field is stronger, and the pixel stays.
#
# Chapter: *Climbing downhill: iterated conditional modes*.


# %% exercise="denoise"
def denoise(noisy: np.ndarray, coupling: float, field: float) -> np.ndarray:
    """Labels (n, m) at which no change of one pixel lowers the energy, reached downhill from `noisy`."""
    ### BEGIN SOLUTION
    labels = np.array(noisy)
    seen = field * (2.0 * labels - 1)
    parity = np.indices(labels.shape).sum(0) % 2
    changed = True
    while changed:
        changed = False
        for colour in (0, 1):
            s = np.pad(2.0 * labels - 1, 1)
            pull = seen + coupling * (s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:])
            better = (parity == colour) & (pull * s[1:-1, 1:-1] < -1e-9)
            labels[better] = 1 - labels[better]
            changed = changed or better.any()
    return labels
    ### END SOLUTION


# %% tests="denoise" points=10
white = np.ones((3, 3), dtype=int)
spotted = white.copy()
spotted[1, 1] = 0

restored = denoise(spotted, 1.0, 1.0)
assert restored is not None, "denoise returned None: is there a `return`?"
assert np.shape(restored) == (3, 3), (
    f"the result must have the shape of noisy, (3, 3), got {np.shape(restored)}"
)
assert np.isin(restored, (0, 1)).all(), f"labels are 0 or 1, got {np.unique(restored)}"
assert spotted[1, 1] == 0, "denoise changed the array it was given; work on a copy"
assert (np.asarray(restored) == white).all(), (
    f"the wrong pixel in the middle must be repaired, got\n{restored}"
)

restored = denoise(spotted, 1.0, 5.0)
assert (np.asarray(restored) == spotted).all(), (
    f"with a field of 5 the picture stays as seen, got\n{restored}"
)

# %% [markdown]
# ### See it work
#
# A ring, seen through noise that flips one pixel in ten, and what your function makes of it.

# %%
rows, columns = np.indices((48, 48)) - 23.5
radius = np.hypot(rows, columns)
ring = ((radius > 9) & (radius < 18)).astype(int)
noisy_ring = np.where(np.random.default_rng(3).random(ring.shape) < 0.1, 1 - ring, ring)
restored_ring = denoise(noisy_ring, 1.0, 1.1)

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2))
for axis, picture, title in zip(axes, (ring, noisy_ring, restored_ring), ("true", "seen", "denoised")):
    axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
    axis.set_title(f"{title}: {np.mean(picture != ring):.1%} wrong")
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## Exercise 5: the most probable picture
#
# Find $\arg\max_y p(y \mid x)$. The normalizer does not depend on $y$, so you look for the lowest energy.
# Here you may try all $2^{nm}$ pictures.
#
# - `noisy`: shape `(n, m)`, at most 12 pixels. `coupling` and `field` can be any numbers.
# - Returns labels of shape `(n, m)`. If several pictures are equally probable, any of them is right.
#
# *Example.* The lecture's 3×3 picture (`noisy_slide`, above) with $J = 0.1$ and $h = 1$: neighbours hardly
# matter, and the most probable picture is the one that was seen.
# With $J = 1$ and $h = 0.2$ agreement is worth more than anything that was seen. All pixels get one label:
# the majority's, 0.
#
# Chapter: *Every picture, listed*.


# %% exercise="map_estimate"
def map_estimate(noisy: np.ndarray, coupling: float, field: float) -> np.ndarray:
    """The labels (n, m) of highest p(y | x), found among all pictures; at most 12 pixels."""
    ### BEGIN SOLUTION
    n, m = noisy.shape
    codes = np.arange(2 ** (n * m))
    labels = (codes[:, None] >> np.arange(n * m) & 1).reshape(-1, n, m)
    s = 2 * labels - 1
    t = 2 * noisy.astype(int) - 1
    neighbours = (s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))
    energies = -field * (s * t).sum((1, 2)) - coupling * neighbours
    return labels[energies.argmin()]
    ### END SOLUTION


# %% tests="map_estimate" points=10
found = map_estimate(noisy_slide, 0.1, 1.0)
assert found is not None, "map_estimate returned None: is there a `return`?"
assert np.shape(found) == (3, 3), f"the result must have the shape of noisy, (3, 3), got {np.shape(found)}"
assert np.isin(found, (0, 1)).all(), f"labels are 0 or 1, got {np.unique(found)}"
assert (np.asarray(found) == noisy_slide).all(), f"nearly uncoupled pixels keep what was seen, got\n{found}"

found = map_estimate(noisy_slide, 1.0, 0.2)
assert (np.asarray(found) == 0).all(), f"strongly coupled pixels follow the majority, 0; got\n{found}"

found = map_estimate(np.array([[0, 1, 0, 0]]), 1.0, 1.0)
assert (np.asarray(found) == 0).all(), f"in a row of 0, 1, 0, 0 the 1 is outvoted, got {found}"

# %% [markdown]
# ## Exercise 6: a chain, exactly
#
# Take away the grid and keep a line: each label is tied to the one before and the one after it, as the tags
# of the words in a sentence are. Now there may be $K$ labels, and neighbours need not want to be equal:
#
# $$p(y) = \frac{1}{Z} \exp\Bigl( \sum_{t=1}^{n} s_t(y_t) + \sum_{t=2}^{n} a(y_{t-1}, y_t) \Bigr) .$$
#
# There are $K^n$ labellings, and you list none of them: in every hidden test there is a chain of 40 positions
# or more, whose list would take years. Go from left to right and keep one number for each label: the log of
# the total weight of all beginnings that end in it. At the end this gives $\log Z$. With the largest in place
# of the total, and a note of where it came from, the same walk finds the most probable labelling.
#
# - `scores`: shape `(n, K)`, floats or whole numbers; `scores[t, k]` is $s_t(k)$. A chain can be as short as one
#   position, and there may be one label only.
# - `transitions`: shape `(K, K)`; `transitions[j, k]` is $a(j, k)$, for label $j$ *followed by* label $k$.
# - Returns the tuple `(log_z, labels)`: a number, and labels of shape `(n,)`, counted from 0. If several
#   labellings are equally probable, any of them is right.
# - Scores can be large and chains long: $e^{800}$ overflows. `np.logaddexp.reduce(x, axis=...)` adds numbers
#   whose logarithms you have.
#
# *Example.* The chapter's sentence of three words, with weights $(2, 1)$, $(1, 3)$, $(2, 1)$ for noun and
# verb, 3 for neighbours that differ and 1 for equal ones: $Z = 172$, and the best labelling is 0, 1, 0.
#
# Chapter: *A chain, exactly*.


# %% exercise="decode_chain"
def decode_chain(scores: np.ndarray, transitions: np.ndarray) -> tuple[float, np.ndarray]:
    """log Z of the chain and its most probable labels (n,); scores are (n, K), transitions (K, K)."""
    ### BEGIN SOLUTION
    total = best = np.asarray(scores[0], dtype=float)
    came_from = []
    for row in scores[1:]:
        total = np.logaddexp.reduce(total[:, None] + transitions, axis=0) + row
        candidates = best[:, None] + transitions
        came_from.append(candidates.argmax(axis=0))
        best = candidates.max(axis=0) + row
    labels = [best.argmax()]
    for origin in reversed(came_from):
        labels.append(origin[labels[-1]])
    return np.logaddexp.reduce(total), np.array(labels[::-1])
    ### END SOLUTION


# %% tests="decode_chain" points=15
word_scores = np.log([[2.0, 1.0], [1.0, 3.0], [2.0, 1.0]])
prefer_to_differ = np.log([[1.0, 3.0], [3.0, 1.0]])

found = decode_chain(word_scores, prefer_to_differ)
assert found is not None, "decode_chain returned None: is there a `return`?"
assert isinstance(found, tuple | list), (
    f"decode_chain must return the tuple (log_z, labels), got {type(found).__name__}"
)
assert len(found) == 2, f"decode_chain must return the tuple (log_z, labels), got {len(found)} values"
assert np.ndim(found[0]) == 0, f"log_z must be one number, got shape {np.shape(found[0])}"
assert np.shape(found[1]) == (3,), f"labels must have shape (3,), got {np.shape(found[1])}"
assert np.isclose(found[0], np.log(172)), f"the example above has Z = 172, got exp({found[0]})"
assert np.array_equal(found[1], [0, 1, 0]), f"the best labelling of the example is 0, 1, 0; got {found[1]}"

log_z, labels = decode_chain(np.full((200, 2), 800.0), np.zeros((2, 2)))
assert np.isclose(log_z, 200 * (800 + np.log(2))), f"2^200 labellings of score 160,000 each; got {log_z}"

_, labels = decode_chain(np.zeros((4, 2)), np.array([[-1.0, 0.0], [0.0, -1.0]]))
assert np.asarray(labels).tolist() in ([0, 1, 0, 1], [1, 0, 1, 0]), (
    f"both 0, 1, 0, 1 and 1, 0, 1, 0 are best, and no mixture of them is; got {labels}"
)

# %% [markdown]
# ## Exercise 7: a log-ratio without Z
#
# How much more probable is one picture than another? Take the model without a field, $p(y) \propto e^{J
# \sum_{(i,j)} s_i s_j}$, and compute
#
# $$\log \frac{p(\text{image})}{p(\text{other})} .$$
#
# For pictures of 200×200 pixels $Z$ has $2^{40000}$ terms. You need none of them. This is how an energy finds
# anomalies: a picture is strange where the ratio is low.
#
# - `image`, `other`: both of shape `(n, m)`, labels 0 and 1.
# - Returns one number. It must be right for large pictures too, where $e^{-E}$ overflows.
#
# *Example.* 2×2 pixels have four pairs of neighbours. All agree in a white picture, none in a checkerboard:
# with $J = \tfrac12$ the log-ratio is $\tfrac12 \cdot (4 - (-4)) = 4$.
#
# Chapter: *Comparing without normalizing*.


# %% exercise="log_ratio"
def log_ratio(image: np.ndarray, other: np.ndarray, coupling: float) -> float:
    """log p(image) / p(other) under the model without a field; both pictures have shape (n, m)."""
    ### BEGIN SOLUTION
    a, b = (2 * np.asarray(picture, dtype=float) - 1 for picture in (image, other))
    agreement = [(s[1:] * s[:-1]).sum() + (s[:, 1:] * s[:, :-1]).sum() for s in (a, b)]
    return coupling * (agreement[0] - agreement[1])
    ### END SOLUTION


# %% tests="log_ratio" points=10
checkerboard = np.array([[0, 1], [1, 0]])

found = log_ratio(np.ones((2, 2), dtype=int), checkerboard, 0.5)
assert found is not None, "log_ratio returned None: is there a `return`?"
assert np.ndim(found) == 0, f"log_ratio must return one number, got shape {np.shape(found)}"
assert np.isclose(found, 4.0), f"the example above has log-ratio 4, got {found}"

found = log_ratio(checkerboard, np.ones((2, 2), dtype=int), 0.5)
assert np.isclose(found, -4.0), f"with the pictures exchanged the sign changes: -4, got {found}"

found = log_ratio(np.ones((30, 30), dtype=np.uint8), np.zeros((30, 30), dtype=np.uint8), 1.0)
assert np.isclose(found, 0.0), f"all white and all black are equally probable, got {found}"

# %% [markdown]
# ### A surprise
#
# Guess before you run this cell: which of the four pictures does the model find most probable? Which two can
# it not tell apart?

# %%
blank = np.zeros_like(ring)
shuffled = np.random.default_rng(0).permutation(ring.ravel()).reshape(ring.shape)
pictures = {"the ring": ring, "its negative": 1 - ring, "its pixels shuffled": shuffled, "nothing": blank}
for name, picture in pictures.items():
    print(f"log p({name}) / p(the ring) = {log_ratio(picture, ring, 0.5):9.1f}")

# %% [markdown]
# The shuffled ring is an anomaly, as it should be. But the blank page beats the ring by far, and the negative
# ties with it.
# Low energy means *probable*, and the most probable picture need not look like any picture that you have
# seen.
# A detector that knows only this energy takes an empty page for the most normal one.

# %% [markdown] question="why_icm_gets_stuck" points=10
# ## Exercise 8: why ICM gets stuck
#
# Your answers to exercises 4 and 5 can differ on the same picture, though both look for low energy.
#
# 1. Why does ICM stop at a picture that is not the most probable one? Give a small example, with numbers. (5
#    points)
# 2. Why does Gibbs sampling not stop there? What does it do instead? (3 points)
# 3. Name one way to do better than ICM and say what it costs. (2 points)
#
# Write a few sentences for each.
#
# ### BEGIN SOLUTION
# **A full answer.** ICM changes one pixel at a time and accepts only what lowers the energy. It stops at a
# *local* minimum: every picture one flip away is worse, though one several flips away may be better.
# Take $1 \times 4$ pixels, seen as 0, 0, 1, 1, with $J = 1$. Flipping a pixel at the boundary gains one
# agreeing pair and loses one, and costs $2h$ from the field, so ICM stays at energy $-4h - 1$.
# All pixels 1 has energy $-3$, which is lower as soon as $h < \tfrac12$: two flips away, with a step uphill
# between.
#
# Gibbs sampling *draws* from the conditional instead of taking its mode. A flip that raises the energy by
# $\Delta$ happens with probability $1 / (1 + e^{\Delta})$, never 0.
# It leaves the local minimum sooner or later, and does not stop at the best picture either: it visits
# pictures as often as the posterior says.
#
# Better: many starts (cost grows with their number, no guarantee), simulated annealing (slow cooling),
# flipping blocks or whole rows (exponential in the block), exact max-flow (polynomial, for $J \ge 0$ only),
# enumeration ($2^{nm}$).
#
# **Rubric.** (1) 2 points for "local minimum with respect to single flips", 3 for an example whose energies
# are right. (2) 2 points for "uphill moves have positive probability", 1 for "it samples and does not
# converge to one picture". (3) 1 point for a method that can leave a local minimum, 1 for its cost or
# condition.
# ### END SOLUTION
