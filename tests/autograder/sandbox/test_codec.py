"""The data-only protocol: what goes in comes out, and nothing that is not data gets through."""

import contextlib
import json
import math
import socket
import struct
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder.sandbox.worker import codec
from autograder.sandbox.worker.materialize import materialize

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def round_trip(value):
    frame = codec.pack(value)
    header, payload = codec.PREFIX.unpack(frame[: codec.PREFIX.size])
    body = frame[codec.PREFIX.size :]
    assert len(body) == header + payload
    return codec.unpack(body[:header], body[header:], asked=True)


@given(values)
def test_plain_values_come_back_as_they_went(value):
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)


@given(
    hnp.arrays(st.sampled_from(sorted(codec.DTYPES)), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
)
def test_arrays_come_back_with_their_dtype_shape_and_bits(array):
    back = round_trip(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_tensors_scalars_generators_and_functions_cross_as_what_they_are():
    tensor = round_trip(torch.arange(6.0).reshape(2, 3))
    assert isinstance(tensor, codec.Tensor)
    assert torch.equal(materialize(tensor), torch.arange(6.0).reshape(2, 3))
    assert round_trip(np.float32(1.5)).dtype == np.float32
    function = materialize(round_trip(codec.Source("lambda x: a * x", a=3.0)))
    assert function(2.0) == 6.0
    left, right = (materialize(round_trip(codec.Rng(7))) for _ in range(2))
    assert left.random() == right.random()
    assert isinstance(materialize(round_trip(codec.Rng(7, "torch"))), torch.Generator)


class Liar(np.ndarray):
    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError("the judge must never run this")


class Integer(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        (i for i in range(3)),
        lambda: 1,
        object(),
        Integer(3),
        10**40,
        {1, 2},
        np.array([object()]),
        np.array(["a"]),
    ],
    ids=["generator", "function", "object", "int subclass", "huge int", "set", "object array", "text array"],
)
def test_what_is_not_data_crosses_as_a_type_name_alone(value):
    assert isinstance(round_trip(value), codec.Foreign)


def test_an_array_subclass_crosses_as_the_plain_array_it_holds():
    assert type(round_trip(np.arange(3).view(Liar))) is np.ndarray


def test_a_list_that_contains_itself_is_cut_off():
    loop: list = []
    loop.append(loop)
    back = round_trip(loop)
    for _ in range(codec.MAX_DEPTH):
        back = back[0]
    assert isinstance(back[0], codec.Foreign)


def test_a_value_beyond_the_cap_is_refused_where_it_is_made(monkeypatch):
    monkeypatch.setattr(codec, "MAX_PAYLOAD", 1000)
    with pytest.raises(codec.ProtocolError, match="more than the 1,000"):
        codec.pack(np.zeros(1000))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=64))
def test_the_decoder_survives_any_bytes(header, payload):
    with contextlib.suppress(codec.ProtocolError):
        codec.unpack(header, payload)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["!", "v", "array", "float64", "dict"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["!", "k", "v", "dtype", "shape", "type", "seed", "kind", "e"]),
            inner
            | st.sampled_from(
                ["array", "tensor", "scalar", "dict", "list", "tuple", "rng", "source", "foreign", "int8"]
            ),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=500)
@given(JSON, st.binary(max_size=64))
def test_the_decoder_survives_any_json(tree, payload):
    with contextlib.suppress(codec.ProtocolError):
        codec.unpack(json.dumps(tree).encode(), payload)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b'{"!":"array","dtype":"object","shape":[1]}', "dtype"),
        (b'{"!":"array","dtype":"float64","shape":[-1]}', "shape"),
        (b'{"!":"array","dtype":"float64","shape":[1e9]}', "shape"),
        (b'{"!":"array","dtype":"float64","shape":[999999]}', "more bytes than came"),
        (b'{"!":"pickle","v":"gASV"}', "unknown kind"),
        (b"[" * 5000, "not JSON"),
        (b"[1]", "a list stands"),
        (b'{"!":"dict","k":[{"!":"list","v":[]}],"v":[1]}', "not hashable"),
        (b'{"!":"dict","k":["a"],"v":[1,2]}', "one value for each key"),
        (b'{"!":"dict","v":[1]}', "one value for each key"),
    ],
)
def test_a_malformed_frame_is_refused_with_a_reason(header, complaint):
    with pytest.raises(codec.ProtocolError, match=complaint):
        codec.unpack(header, b"12345678")


def test_bytes_that_nothing_refers_to_are_refused():
    with pytest.raises(codec.ProtocolError, match="nothing refers to"):
        codec.unpack(b"null", b"smuggled")


def test_a_frame_larger_than_the_cap_is_refused_before_it_is_read():
    left, right = socket.socketpair()
    with left, right:
        left.sendall(struct.pack("<IQ", 10, 1 << 60))
        with pytest.raises(codec.ProtocolError, match="larger than"):
            codec.receive(right, time.monotonic() + 1)


def test_a_late_frame_and_a_closed_line_are_told_apart():
    left, right = socket.socketpair()
    with right:
        left.sendall(codec.pack("half")[:7])
        start = time.monotonic()
        with pytest.raises(codec.Late):
            codec.receive(right, start + 0.1)
        assert time.monotonic() - start < 10
        left.close()
        with pytest.raises(codec.Closed):
            codec.receive(right, time.monotonic() + 1)


def test_a_frame_in_many_pieces_is_put_together():
    left, right = socket.socketpair()
    frame = codec.pack({"a": np.arange(1000)})

    def trickle():
        for i in range(0, len(frame), 501):
            left.sendall(frame[i : i + 501])

    with left, right:
        writer = threading.Thread(target=trickle)
        writer.start()
        value = codec.receive(right, time.monotonic() + 5)
        writer.join()
    assert value["a"].sum() == 499500


def test_special_floats_cross_unchanged():
    back = round_trip([math.inf, -math.inf, math.nan])
    assert back[0] == math.inf
    assert back[1] == -math.inf
    assert math.isnan(back[2])
