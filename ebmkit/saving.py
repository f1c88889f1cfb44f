"""A model in a file: what it was made of, and the numbers it has come to since.

    save(model, path);   load(path) -> the same model

The file holds numbers, names and tensors alone, and reading it runs nothing that it holds.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit._models import check_is_model
from ebmkit.energy import EnergyModel

__all__ = ["load", "save"]

_FORMAT = "an ebmkit model, 1"
_PLAIN = (bool, int, float, str, type(None))


def save(model: EnergyModel, path: str | Path) -> None:
    """Write a model with its configuration to `path`: which model it is, what it was made of, and its state.

    Takes every model that is made of numbers, tensors, arrays, generators and other models, your own classes among
    them. Raises `TypeError`, naming what stands in the way, for one that is made of something else, a function or a
    network, say: keep the state of those by `torch.save(model.state_dict(), path)`.

    >>> import tempfile, torch, ebmkit
    >>> grid = ebmkit.ising.Ising((2, 3), 0.4, field=0.1, periodic=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ebmkit.save(grid, f"{folder}/grid.pt")
    ...     again = ebmkit.load(f"{folder}/grid.pt")
    >>> again
    Ising(shape=(2, 3), periodic=True)
    >>> bool(again.exact_log_partition() == grid.exact_log_partition())
    True
    """
    check_is_model(model, "save")
    torch.save({"format": _FORMAT, "model": _described(model)}, path)


def load(path: str | Path, classes: type[EnergyModel] | Sequence[type[EnergyModel]] = ()) -> EnergyModel:
    """The model that `save` wrote to `path`, on the CPU and in the precision it had.

    `classes` are those of your own that the file may name, or the one class. Raises `ValueError` where the file is
    none of `save`'s, is damaged, or names a class that is neither public in ebmkit nor among `classes`.

    >>> import ebmkit
    >>> from ebmkit import ising
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.pt"
    ...     ebmkit.save(ising.Ising((2, 2), 0.4), path)
    ...     print(ebmkit.load(path).event_shape)
    (2, 2)
    """
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is damaged or no file of ebmkit.save; nothing of it was run") from error
    if not isinstance(kept, dict) or kept.get("format") != _FORMAT:
        raise ValueError(f"{path} holds no model that ebmkit.save wrote; load a state by torch.load")
    own = [classes] if isinstance(classes, type) else classes
    return _made(kept["model"], {kind.__name__: kind for kind in own})


def _described(model: EnergyModel) -> dict[str, Any]:
    args, options = model._made_by
    name = type(model).__name__
    return {
        "room": type(model).__module__.removeprefix("ebmkit.").split(".")[0],
        "class": name,
        "args": [_kept(x, f"argument {k} of {name}") for k, x in enumerate(args)],
        "options": {key: _kept(x, f"{key} of {name}") for key, x in options.items()},
        "state": (
            state := {key: tensor.detach().cpu().clone() for key, tensor in model.state_dict().items()}
        ),
        # Buffers that a state leaves out follow from the arguments, but for their precision.
        "others": {key: _name(x.dtype) for key, x in model.named_buffers() if key not in state},
    }


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _kept(x: Any, what: str) -> Any:
    """x as plain numbers, names and tensors: what needs more is a dict that says its kind."""
    if isinstance(x, EnergyModel):
        return {"kind": "model", "of": _described(x)}
    if isinstance(x, Generator):
        return {"kind": "generator"}  # what it drew is in the state
    if isinstance(x, np.ndarray | np.generic):
        return {"kind": "array", "of": torch.from_numpy(np.asarray(x).copy())}
    if isinstance(x, torch.dtype):
        return {"kind": "dtype", "of": _name(x)}
    if isinstance(x, Tensor):
        return x.detach().cpu().clone()
    if isinstance(x, torch.Size | tuple):
        return {"kind": "tuple", "of": [_kept(part, what) for part in x]}
    if isinstance(x, list):
        return [_kept(part, what) for part in x]
    if isinstance(x, _PLAIN):
        return x
    raise TypeError(
        f"{what} is a {type(x).__name__}, which a file cannot hold without running code when it is read; keep the "
        "state by torch.save(model.state_dict(), path), and load it into a model made anew"
    )


def _made(described: dict[str, Any], classes: dict[str, type[EnergyModel]]) -> EnergyModel:
    kind = classes.get(described["class"]) or _public(described["room"], described["class"])
    args = [_again(x, classes) for x in described["args"]]
    options = {key: _again(x, classes) for key, x in described["options"].items()}
    model = kind(*args, **options)
    model.load_state_dict(described["state"], assign=True)  # in the precision that the state has
    for key, dtype in described["others"].items():
        owner, _, buffer = key.rpartition(".")
        held = model.get_submodule(owner)._buffers
        held[buffer] = model.get_buffer(key).to(getattr(torch, dtype))
    return model


def _again(x: Any, classes: dict[str, type[EnergyModel]]) -> Any:
    if isinstance(x, list):
        return [_again(part, classes) for part in x]
    if not isinstance(x, dict):
        return x
    kind: str = x["kind"]
    of: Any = x.get("of")
    if kind == "model":
        return _made(of, classes)
    if kind == "generator":
        return Generator()
    if kind == "array":
        return of.numpy()
    if kind == "dtype":
        return getattr(torch, of)
    return tuple(_again(part, classes) for part in of)


def _public(room: str, name: str) -> type[EnergyModel]:
    """A model that a public module of ebmkit offers by this name."""
    import ebmkit

    module = importlib.import_module(f"ebmkit.{room}") if room in ebmkit._MODULES else None
    kind = getattr(module, name, None) if name in getattr(module, "__all__", ()) else None
    if not (isinstance(kind, type) and issubclass(kind, EnergyModel)):
        raise ValueError(
            f"the file names the model {name}, which ebmkit does not offer; give its class: load(path, [{name}])"
        )
    return kind
