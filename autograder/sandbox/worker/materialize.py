"""Arguments out of what crossed the wire: arrays, tensors, random generators and functions."""

import copy
import math
from typing import Any

import numpy as np

if __package__:
    from autograder.sandbox.worker import codec
else:  # inside the sandbox, where the worker's files lie side by side: one codec, whatever else is installed
    import codec  # type: ignore[no-redef]


def materialize(value: Any) -> Any:
    """A deep copy of `value` with every placeholder of the protocol built."""
    if type(value) in codec.PLAIN:
        return value
    if isinstance(value, codec.Tensor):
        import torch  # only where it is needed: the judge of a NumPy assignment starts without it

        return torch.from_numpy(value.array.copy())
    if isinstance(value, codec.Rng):
        if value.kind == "numpy":
            return np.random.default_rng(value.seed)
        import torch

        return torch.Generator().manual_seed(value.seed)
    if isinstance(value, codec.Source):
        import torch

        values = {k: materialize(v) for k, v in value.values.items()}
        return eval(value.expression, {"np": np, "torch": torch, "math": math, **values})
    if isinstance(value, (list, tuple)):
        return type(value)(materialize(v) for v in value)
    if isinstance(value, dict):
        return {k: materialize(v) for k, v in value.items()}
    return copy.deepcopy(value)


def seen(value: Any) -> Any:
    """What a caller sees of an argument: two looks differ where a function has changed it in between."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if codec.is_tensor(value):
        return value.requires_grad, seen(value.detach().numpy())
    if isinstance(value, (list, tuple)):
        return [seen(part) for part in value]
    if isinstance(value, dict):
        return {key: seen(part) for key, part in value.items()}
    return value if type(value) in codec.PLAIN else None


def changed(arguments: list[Any], before: list[Any]) -> list[int]:
    """The places of the arguments that look otherwise than they did `before`."""
    return [place for place, (value, look) in enumerate(zip(arguments, before)) if seen(value) != look]
