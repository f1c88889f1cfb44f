"""The text of an assignment to begin with: the variance of a sample, and why it divides by n - 1."""


def solution(name: str) -> str:
    """`solutions/NAME.py`: the solved notebook as py:percent text."""
    return SOLUTION.replace("NAME", name).replace("TITLE", name.replace("_", " ").capitalize())


def checks(name: str, mistakes: int, alternatives: int) -> str:
    """`checks/NAME.py`: one exercise, with the mistakes and alternatives that the course demands; at least one."""
    parts = [CHECKS, *MISTAKES[: max(1, mistakes)], *ALTERNATIVES[: max(1, alternatives)], ASSIGNMENT]
    return "\n\n".join(part.strip("\n") + "\n" for part in parts).replace("NAME", name)


SOLUTION = '''\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # TITLE
#
# **Work.** Each exercise has a cell that ends in `raise NotImplementedError(...)`. Replace that line by your
# answer. Keep the function's name and its arguments.
#
# **Check.** Run the cell below the answer. No error means that these tests pass. They are not all: hidden
# tests use other inputs, drawn when your work is graded.
#
# **Submit.** Hand in this file under its own name, `NAME.ipynb`. Do not delete or copy the cells that carry
# points.

# %%
import numpy as np

# %% [markdown]
# ## Exercise 1: the variance of a sample
#
# Compute $\\frac{1}{n-1} \\sum_i (x_i - \\bar x)^2$.
#
# - `x`: an array of shape `(n,)`, with at least two numbers.
# - Returns one number.


# %% exercise="variance"
def variance(x: np.ndarray) -> float:
    """The variance of the sample `x` of shape (n,), around its own mean."""
    ### BEGIN SOLUTION
    return ((x - x.mean()) ** 2).sum() / (len(x) - 1)
    ### END SOLUTION


# %% tests="variance" points=80
found = variance(np.array([1.0, 2.0, 6.0]))
assert found is not None, "variance returned None: is there a `return`?"
assert np.ndim(found) == 0, f"variance must return one number, got shape {np.shape(found)}"
assert np.isclose(found, 7.0), f"the variance of 1, 2, 6 is 14 / 2 = 7, got {found}"

# %% [markdown] question="why" points=20
# ## Exercise 2: why n - 1
#
# Why is the sum divided by $n - 1$ and not by $n$?
#
# ### BEGIN SOLUTION
# The points lie closer to their own mean than to the true one, so the sum is too small on average: by the factor
# $(n - 1) / n$.
# ### END SOLUTION
'''

CHECKS = '''
"""Hidden checks of NAME."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Assignment, Exercise


def variance_of(x):
    """The reference: what is right."""
    x = np.asarray(x, dtype=float)
    return float(((x - x.mean()) ** 2).sum() / (len(x) - 1))


variance = Exercise("variance", "The variance of a sample", variance_of)


# Inputs are drawn from `attempt.rng` when a notebook is graded; `compare` calls the student's function and the
# reference with each of them.
@variance.check(50, "random samples")
def _(attempt: Attempt) -> None:
    attempt.compare([(attempt.rng.normal(size=n),) for n in range(3, 20)])


@variance.check(30, "samples of two numbers, and numbers far from zero")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(rng.normal(size=2),), (rng.normal(size=2),), (rng.uniform(100, 101, size=9),)])


# What students get wrong. A mistake must fail, and who makes it is told its name and this hint. Mistakes and
# alternatives stand alone: each can be put into a notebook.
'''.strip("\n")

MISTAKES = [
    """
@variance.mistake("Divide by n - 1: the numbers lie closer to their own mean than to the true one.")
def divides_by_n(x):
    return ((x - x.mean()) ** 2).sum() / len(x)
""",
    """
@variance.mistake("That is the standard deviation; the variance is its square.")
def takes_the_root(x):
    return np.sqrt(((x - x.mean()) ** 2).sum() / (len(x) - 1))
""",
    """
@variance.mistake("Subtract the mean before you square.")
def forgets_the_mean(x):
    return (x**2).sum() / (len(x) - 1)
""",
    """
@variance.mistake("Square the distances; their absolute values measure something else.")
def takes_absolute_distances(x):
    return np.abs(x - x.mean()).sum() / (len(x) - 1)
""",
    """
@variance.mistake("Divide the sum by n - 1.")
def forgets_to_divide(x):
    return ((x - x.mean()) ** 2).sum()
""",
]

ALTERNATIVES = [
    """
# Right answers that are written differently: they must pass.
@variance.alternative
def by_numpy(x):
    return np.var(x, ddof=1)
""",
    """
@variance.alternative
def by_a_loop(x):
    mean = sum(x) / len(x)
    total = 0.0
    for value in x:
        total += (value - mean) ** 2
    return total / (len(x) - 1)
""",
    """
@variance.alternative
def by_all_pairs(x):
    n = len(x)
    return sum((x[i] - x[j]) ** 2 for i in range(n) for j in range(i)) / (n * (n - 1))
""",
]

ASSIGNMENT = """
assignment = Assignment("NAME", (variance,))
"""
