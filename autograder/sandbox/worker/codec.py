"""The only language that judge and worker speak: frames of plain JSON types and raw array bytes.

    frame = header length (4 bytes) · payload length (8 bytes) · JSON header · concatenated array bytes

No pickle anywhere. The reader trusts nothing: it caps both lengths before it allocates, checks every dtype
against a list and every shape against the bytes that came, and rebuilds plain values. This file is mounted
into the sandbox and holds no secret.
"""

import json
import math
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np

PREFIX = struct.Struct("<IQ")
MAX_HEADER = 4 << 20
MAX_PAYLOAD = 64 << 20
MAX_DEPTH = 32
MAX_COMPOSITE_KEYS = 256
DTYPES = frozenset(
    """
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128
""".split()
)
NATIVE = {np.dtype(name): name for name in DTYPES}
LITTLE_ENDIAN = {name: np.dtype(name).newbyteorder("<") for name in DTYPES}
PLAIN = frozenset({type(None), bool, int, float, str})
"""What JSON carries as it is; most of what crosses, so it is asked for first, and quickly."""


class ProtocolError(Exception):
    """What came is not a frame of this protocol; the message says why and is safe to show."""


class Closed(Exception):
    """The other side has gone."""


class Late(Exception):
    """The deadline passed before a whole frame came."""


class Foreign:
    """Stands for a returned value that is not data, such as a generator: only its type's name crosses."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name[:80]

    def __repr__(self) -> str:
        return f"<{self.type_name}>"


class Tensor:
    """Stands for a torch tensor on the judge's side of the wire, as the array it holds."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __repr__(self) -> str:
        return f"tensor({self.array!r})"


class Source:
    """A function to be built in the worker from an expression: `Source("lambda x: -a * x**2", a=2.0)`.

    The expression sees `np`, `torch`, `math` and the given values. Only the judge sends these.
    """

    def __init__(self, expression: str, /, **values: Any) -> None:
        self.expression = expression
        self.values = values


class Rng:
    """A random generator to be built in the worker: `kind` is "numpy" or "torch". Only the judge sends these."""

    def __init__(self, seed: int, kind: str = "numpy") -> None:
        self.seed = seed
        self.kind = kind


def pack(value: Any) -> bytes:
    """One frame holding `value`. What is not data becomes `Foreign`; nothing of it is called or copied."""
    blobs: list[bytes] = []
    tree = _flatten(value, blobs, 0)
    header = json.dumps(tree, separators=(",", ":")).encode()
    payload = b"".join(blobs)
    if len(header) > MAX_HEADER or len(payload) > MAX_PAYLOAD:
        size = len(header) + len(payload)
        raise ProtocolError(
            f"a value of {size:,} bytes is more than the {MAX_PAYLOAD:,} that can be returned"
        )
    return PREFIX.pack(len(header), len(payload)) + header + payload


def unpack(header: bytes, payload: bytes, asked: bool = False) -> Any:
    """The value of a frame's two parts; raises `ProtocolError` on anything that does not fit.

    Only who is `asked`, the worker, knows `Source` and `Rng`: to the judge they are no values.
    """
    try:
        tree = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the frame's header is not JSON: {type(error).__name__}") from None
    reader = _Reader(payload, asked)
    try:
        value = reader.build(tree, 0)
    except RecursionError:  # in telling what is wrong
        raise ProtocolError("the value is nested too deeply") from None
    if reader.used != len(payload):
        raise ProtocolError(f"the frame carries {len(payload) - reader.used} bytes that nothing refers to")
    return value


def send(channel: socket.socket, value: Any) -> None:
    """Write one frame."""
    channel.sendall(pack(value))


def receive(
    channel: socket.socket,
    deadline: float | Callable[[], float] = math.inf,
    cap: int = MAX_PAYLOAD,
    asked: bool = True,
) -> Any:
    """Read one frame until `deadline` (of `time.monotonic`), or while it says that seconds are left."""
    prefix = _read_exactly(channel, PREFIX.size, deadline)
    header_size, payload_size = PREFIX.unpack(prefix)
    if header_size > MAX_HEADER or payload_size > cap:
        raise ProtocolError(
            f"a frame of {header_size + payload_size:,} bytes is larger than the {cap:,} allowed"
        )
    header = _read_exactly(channel, header_size, deadline)
    return unpack(header, _read_exactly(channel, payload_size, deadline), asked)


def _read_exactly(channel: socket.socket, size: int, deadline: float | Callable[[], float]) -> bytes:
    parts: list[bytes] = []
    missing = size
    while missing:
        try:
            part = channel.recv(min(missing, 1 << 20), socket.MSG_DONTWAIT)
        except BlockingIOError:
            _wait(channel, deadline)
            continue
        except ConnectionError:
            raise Closed from None
        if not part:
            raise Closed
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _wait(channel: socket.socket, deadline: float | Callable[[], float]) -> None:
    """Until something can be read; raises `Late` when no time is left."""
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    while (left := deadline() if callable(deadline) else deadline - time.monotonic()) > 0:
        if poller.poll(None if math.isinf(left) else math.ceil(left * 1000)):
            return
    raise Late


def _flatten(value: Any, blobs: list[bytes], depth: int) -> Any:
    if depth > MAX_DEPTH:
        return {"!": "foreign", "type": "a structure nested too deeply"}
    kind = type(value)
    if kind is int and not -(2**63) <= value < 2**64:
        return {"!": "foreign", "type": "int beyond 64 bits"}
    if kind in PLAIN:
        return value
    if kind is list or kind is tuple:
        return {"!": kind.__name__, "v": [_flatten(v, blobs, depth + 1) for v in value]}
    if kind is dict:
        keys = [_flatten(k, blobs, depth + 1) for k in value]
        return {"!": "dict", "k": keys, "v": [_flatten(v, blobs, depth + 1) for v in value.values()]}
    if kind is Source:
        return {"!": "source", "e": value.expression, "v": _flatten(value.values, blobs, depth + 1)}
    if kind is Rng:
        return {"!": "rng", "seed": value.seed, "kind": value.kind}
    if kind is Tensor:
        return _array(value.array, blobs, "tensor")
    if isinstance(value, (np.generic, np.ndarray)):
        return _array(np.asarray(value), blobs, "array" if isinstance(value, np.ndarray) else "scalar")
    if is_tensor(value):
        return _array(value.detach().cpu().resolve_conj().resolve_neg().numpy(), blobs, "tensor")
    if isinstance(value, Foreign):
        return {"!": "foreign", "type": value.type_name}
    return {"!": "foreign", "type": kind.__name__[:80]}


def is_tensor(value: Any) -> bool:
    """Whether `value` is torch's tensor, or says so; torch need not be imported."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _array(array: np.ndarray, blobs: list[bytes], tag: str) -> Any:
    name = NATIVE.get(array.dtype) or array.dtype.name
    if name not in DTYPES:
        return {"!": "foreign", "type": f"array of dtype {name[:40]}"}
    if array.nbytes > MAX_PAYLOAD:
        raise ProtocolError(
            f"an array of {array.nbytes:,} bytes is more than the {MAX_PAYLOAD:,} that can be returned"
        )
    blobs.append(array.astype(LITTLE_ENDIAN[name], copy=False).tobytes())
    return {"!": tag, "dtype": name, "shape": list(array.shape)}


def _is_key(value: Any) -> bool:
    """Whether a value can be a dictionary's key: what is plain, and tuples of it."""
    return type(value) in PLAIN or (type(value) is tuple and all(map(_is_key, value)))


class _Reader:
    def __init__(self, payload: bytes, asked: bool) -> None:
        self.payload = payload
        self.asked = asked
        self.used = 0

    def build(self, tree: Any, depth: int) -> Any:
        if depth > MAX_DEPTH + 1:
            raise ProtocolError("the value is nested too deeply")
        if type(tree) is int and not -(2**63) <= tree < 2**64:
            raise ProtocolError("an integer is beyond 64 bits")
        if type(tree) in PLAIN:
            return tree
        if not isinstance(tree, dict):
            raise ProtocolError("a list stands where a value should")
        tag, items = tree.get("!"), tree.get("v")
        if tag in ("list", "tuple") and isinstance(items, list):
            built = [self.build(v, depth + 1) for v in items]
            return built if tag == "list" else tuple(built)
        if tag == "dict" and isinstance(items, list):
            return self._dict(tree.get("k"), items, depth + 1)
        if tag in ("array", "scalar", "tensor"):
            return self._array(tree, str(tag))
        if tag == "foreign" and isinstance(tree.get("type"), str):
            return Foreign(tree["type"])
        if self.asked:
            return self._placeholder(tree, str(tag), depth)
        raise ProtocolError(f"unknown kind of value: {str(tag)[:40]!r}")

    def _placeholder(self, tree: dict[str, Any], tag: str, depth: int) -> Any:
        if tag == "rng" and isinstance(tree.get("seed"), int) and tree.get("kind") in ("numpy", "torch"):
            return Rng(tree["seed"], tree["kind"])
        if tag == "source" and isinstance(tree.get("e"), str):
            values = self.build(tree.get("v"), depth + 1)
            if isinstance(values, dict) and all(isinstance(k, str) for k in values):
                return Source(tree["e"], **values)
        raise ProtocolError(f"unknown kind of value: {str(tag)[:40]!r}")

    def _dict(self, keys: Any, items: list[Any], depth: int) -> dict[Any, Any]:
        if not isinstance(keys, list) or len(keys) != len(items):
            raise ProtocolError("a dictionary has not one value for each key")
        built = [self.build(key, depth) for key in keys]
        values = [self.build(item, depth) for item in items]
        if not all(type(key) in PLAIN for key in built):
            # Nothing else may decide how keys are hashed: those of tuples can be made to collide.
            if len(built) > MAX_COMPOSITE_KEYS:
                raise ProtocolError("a dictionary has too many keys that are not plain")
            if not all(map(_is_key, built)):
                raise ProtocolError("a dictionary's key is not hashable")
        return dict(zip(built, values))

    def _array(self, tree: dict[str, Any], tag: str) -> Any:
        name, shape = tree.get("dtype"), tree.get("shape")
        if not isinstance(name, str) or name not in DTYPES:
            raise ProtocolError(f"dtype {str(name)[:40]!r} is not allowed")
        sizes_fit = isinstance(shape, list) and len(shape) <= 16
        if not sizes_fit or not all(type(n) is int and 0 <= n <= MAX_PAYLOAD for n in shape):  # type: ignore[union-attr]
            raise ProtocolError(f"shape {str(shape)[:80]} is not allowed")
        assert isinstance(shape, list)
        dtype = LITTLE_ENDIAN[name]
        if math.prod(n for n in shape if n) > MAX_PAYLOAD:
            raise ProtocolError(f"shape {str(shape)[:80]} is not allowed")
        end = self.used + math.prod(shape) * dtype.itemsize
        if end > len(self.payload):
            raise ProtocolError(f"an array of shape {shape} needs more bytes than came")
        raw = self.payload[self.used : end]
        self.used = end
        if name == "bool":  # a byte that is neither 0 nor 1 would count as itself
            array = (np.frombuffer(raw, dtype=np.uint8) != 0).reshape(shape)
        else:
            array = np.frombuffer(raw, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
        if tag == "tensor":
            return Tensor(array)
        return array[()] if tag == "scalar" and array.ndim == 0 else array
