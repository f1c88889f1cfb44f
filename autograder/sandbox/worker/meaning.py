"""What a returned value means: a named tuple is a tuple, a Series an array, a Fraction a number.

Runs beside the function that returned it, in the sandbox for a student's. What it makes are plain values; the
judge knows no others.
"""

import decimal
import fractions
import numbers
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

DEPTH = 32
PLAIN = (bool, int, float, str, type(None))


def plain(value: Any, depth: int = 0) -> Any:
    """`value` out of plain types and arrays where it has a meaning as such; unchanged where it has none."""
    if type(value) in PLAIN or depth > DEPTH:
        return value
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic):
        return np.float64(value) if value.dtype.kind == "f" and value.dtype.itemsize > 8 else value
    if isinstance(value, tuple):
        return tuple(plain(part, depth + 1) for part in tuple.__iter__(value))
    if isinstance(value, list):
        return [plain(part, depth + 1) for part in list.__iter__(value)]
    if isinstance(value, dict):
        return {plain(key, depth + 1): plain(part, depth + 1) for key, part in dict.items(value)}
    if isinstance(value, (decimal.Decimal, fractions.Fraction)):
        return float(value)
    if isinstance(value, (bool, int, float, str)):
        return next(kind for kind in (bool, int, float, str) if isinstance(value, kind))(value)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor(torch, value)
    return _from_elsewhere(value, depth)


def _array(array: np.ndarray) -> np.ndarray:
    """An array of a kind that the judge knows: `longdouble` and objects that are numbers as float64."""
    if isinstance(array, np.ma.MaskedArray):
        return array
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    if array.dtype.kind == "c" and array.dtype.itemsize > 16:
        return array.astype(np.complex128)
    if array.dtype.kind == "O" and all(isinstance(x, REAL) for x in array.flat):
        return np.array([float(x) for x in array.flat]).reshape(array.shape)
    return array


REAL = (numbers.Real, decimal.Decimal, np.bool_)


def _tensor(torch: Any, tensor: Any) -> Any:
    """A dense tensor of a kind that NumPy knows."""
    tensor = tensor.detach()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    known = (torch.float16, torch.float32, torch.float64)
    return tensor.float() if tensor.is_floating_point() and tensor.dtype not in known else tensor


def _from_elsewhere(value: Any, depth: int) -> Any:
    """What other libraries call an array, a table or a sparse matrix; a mapping that is no dict."""
    package = type(value).__module__.partition(".")[0]
    if package == "pandas" and hasattr(value, "to_numpy"):
        return _array(np.asarray(value.to_numpy()))
    if package == "scipy" and hasattr(value, "toarray"):
        return _array(np.asarray(value.toarray()))
    if package in ("jax", "jaxlib") and hasattr(value, "__array__"):
        return _array(np.asarray(value))
    if isinstance(value, Mapping):
        return {plain(key, depth + 1): plain(value[key], depth + 1) for key in value}
    return value
