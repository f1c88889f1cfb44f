"""Values that came back from a function under test: what they are, whether they agree, and that in words."""

from typing import Any

import numpy as np

from autograder.sandbox.worker import codec


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | codec.Tensor) or hasattr(value, "detach")


MOST_NUMBERS = codec.MAX_PAYLOAD // 8
"""So many numbers may stand in a list: as float64, the bytes of the largest array that can be returned."""


def numpy_of(value: Any) -> np.ndarray:
    """A plain array out of an array, a tensor, a number or a nested list of numbers.

    Raises `ValueError` for a list of which NumPy would make far more bytes than came.
    """
    if isinstance(value, codec.Tensor):
        return value.array
    if hasattr(value, "detach"):
        return np.asarray(value.detach().cpu())
    if isinstance(value, list | tuple) and _numbers_in(value) > MOST_NUMBERS:
        raise ValueError(f"a list of more than {MOST_NUMBERS:,} numbers is too long to be looked at")
    return np.asarray(value)


def _numbers_in(value: list[Any] | tuple[Any, ...]) -> int:
    """How many numbers a nested list holds; `ValueError` for text, which NumPy makes as long as the longest."""
    count = 0
    for part in value:
        if isinstance(part, str):
            raise ValueError("a list that holds text is no array")
        if isinstance(part, list | tuple):
            count += _numbers_in(part)
        else:
            count += part.size if isinstance(part, np.ndarray) else 1
    return count


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
            several = isinstance(value, tuple | list)
            came = f"a {type(value).__name__} of {len(value)}" if several else describe(value)
            return f"your function returned {came}; expected a tuple of {len(expected)} values"
        return next((c for v, e in zip(value, expected) if (c := shape_complaint(v, e))), "")
    if isinstance(expected, str):
        return "" if isinstance(value, str) else f"your function returned {describe(value)}; expected text"
    if isinstance(value, NUMBER) and isinstance(expected, NUMBER):
        return "your function returned NaN" if value != value and expected == expected else ""
    target = numpy_of(expected)
    wanted = "a number" if target.ndim == 0 else f"an array of shape {target.shape}"
    complaint = f"your function returned {describe(value, target.shape)}; expected {wanted}"
    try:
        found = numpy_of(value)
    except ValueError:
        return complaint
    if isinstance(value, codec.Foreign | str | dict) or value is None or found.dtype.kind not in "biufc":
        return complaint
    if found.shape != target.shape and not (target.ndim == 0 and found.size == 1):
        return complaint
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


ORDINALS = ("first", "second", "third", "fourth")


def describe(value: Any, wanted: tuple[int, ...] = ()) -> str:
    """What came back, in words, without its contents; an array's shape only as it differs from what is `wanted`."""
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
        return f"a tensor {_differing(value.array.shape, wanted)}"
    if isinstance(value, np.ndarray):
        return f"an array {_differing(value.shape, wanted)}"
    return f"a value of type {type(value).__name__}"


def _differing(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """How a shape differs from another: lengths are the student's to choose, and could spell out a hidden input."""
    if len(shape) > len(ORDINALS):
        return f"with more than {len(ORDINALS)} axes"
    if len(shape) != len(wanted):
        return f"with {len(shape)} {'axis' if len(shape) == 1 else 'axes'}"
    if shape != wanted and sorted(shape) == sorted(wanted):
        return "with its axes in another order"
    pairs = zip(ORDINALS, shape, wanted)
    told = [f"{name} axis is too {'long' if n > m else 'short'}" for name, n, m in pairs if n != m]
    return f"whose {' and whose '.join(told)}" if told else "of the right shape"


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
