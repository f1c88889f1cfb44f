"""Values that came back from a function under test: what they are, whether they agree, and that in words."""

from typing import Any

import numpy as np

from autograder.sandbox.worker import codec


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | codec.Tensor) or hasattr(value, "detach")


def numpy_of(value: Any) -> np.ndarray:
    """A plain array out of an array, a tensor, a number or a nested list of numbers."""
    if isinstance(value, codec.Tensor):
        return value.array
    if hasattr(value, "detach"):
        return np.asarray(value.detach().cpu())
    return np.asarray(value)


def alike(left: Any, right: Any) -> bool:
    """Whether two values of whatever kind hold the same numbers."""
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(alike(a, b) for a, b in zip(left, right))
    first, second = numpy_of(left), numpy_of(right)
    if first.shape != second.shape:
        return False
    return bool(np.allclose(first, second, rtol=1e-6, atol=0.0, equal_nan=True))


def shape_complaint(value: Any, expected: Any) -> str:
    """What is wrong with the kind or shape of `value`, in words; empty if it can be compared."""
    if isinstance(expected, tuple):
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            return f"your function returned {describe(value)}; expected a tuple of {len(expected)} values"
        return next((c for v, e in zip(value, expected) if (c := shape_complaint(v, e))), "")
    if isinstance(expected, str):
        return "" if isinstance(value, str) else f"your function returned {describe(value)}; expected text"
    if isinstance(value, NUMBER) and isinstance(expected, NUMBER):
        return "your function returned NaN" if value != value and expected == expected else ""
    target = numpy_of(expected)
    wanted = "a number" if target.ndim == 0 else f"an array of shape {target.shape}"
    try:
        found = numpy_of(value)
    except ValueError:
        return f"your function returned {describe(value)}; expected {wanted}"
    if isinstance(value, codec.Foreign | str | dict) or value is None or found.dtype.kind not in "biufc":
        return f"your function returned {describe(value)}; expected {wanted}"
    if found.shape != target.shape and not (target.ndim == 0 and found.size == 1):
        return f"your function returned {describe(value)}; expected {wanted}"
    if np.isnan(found.astype(complex)).any() and not np.isnan(target.astype(complex)).any():
        return "your function returned NaN"
    return ""


KNOWN_TYPES = frozenset(
    """
generator function method builtin_function_or_method type module map filter zip range enumerate set
frozenset bytes bytearray complex ellipsis dict_keys dict_values dict_items list_iterator tuple_iterator
coroutine async_generator range_iterator zip_longest product chain repeat partial
Generator RandomState BitGenerator Figure Axes DataFrame Index Dataset DataLoader Module Parameter
""".split()
)


def describe(value: Any) -> str:
    """What came back, in words, without its contents."""
    if value is None:
        return "None (is there a `return`?)"
    if isinstance(value, codec.Foreign):
        # A type's name is the student's to choose, and could spell out a hidden input.
        return (
            f"a value of type {value.type_name}"
            if value.type_name in KNOWN_TYPES
            else "something that is not data"
        )
    if isinstance(value, codec.Tensor):
        return f"a tensor of shape {value.array.shape}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}" + (
            "" if value.dtype.kind in "biufc" else f" and dtype {value.dtype}"
        )
    return f"a value of type {type(value).__name__}"


NUMBER = (float, int)
LARGE = 2.0**63
"""From here on NumPy does not calculate with integers as Python does."""


def close(value: Any, expected: Any, rtol: float, atol: float) -> bool:
    """Whether `value` agrees with `expected` in kind, shape and size."""
    if isinstance(expected, tuple):
        return all(close(v, e, rtol, atol) for v, e in zip(value, expected))
    if isinstance(expected, str):
        return bool(value == expected)
    if isinstance(value, NUMBER) and isinstance(expected, NUMBER) and abs(value) < LARGE > abs(expected):
        return bool(abs(value - expected) <= atol + rtol * abs(expected))  # most answers; much quicker
    found, target = numpy_of(value), numpy_of(expected)
    return bool(np.allclose(found.reshape(target.shape), target, rtol=rtol, atol=atol, equal_nan=True))
