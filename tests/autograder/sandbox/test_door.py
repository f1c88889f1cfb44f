"""The one door in: whatever comes from a worker is plain and bounded, or a `ProtocolError`; nothing else, ever."""

import json
import random

import numpy as np
import pytest

from autograder.judging.judge import judge
from autograder.sandbox import door
from autograder.sandbox.worker import codec

FUZZ = 4000

CELL = {
    "stdout": "a",
    "stderr": "",
    "displays": [{"result": True, "text": "1", "png": "aGk="}],
    "error": {
        "type": "ValueError",
        "message": "m",
        "line": 2,
        "code": "x",
        "function": "f",
        "late": False,
        "memory": False,
    },
    "seconds": 0.1,
}
REPLY = {"id": "7", "outcomes": [{"value": 1.5, "seconds": 0.1, "changed": [0]}]}
ODD = [
    None,
    True,
    -1,
    2**63,
    10**400,
    1e308,
    float("nan"),
    "",
    "\ud800",
    "x" * 99,
    [],
    {},
    [[]],
    [None],
    {"!": "array"},
]


def test_what_a_worker_says_comes_through_as_it_is():
    assert door.cell(CELL, door.Kept()) == CELL
    assert door.outcomes(REPLY, "7", 1) == REPLY["outcomes"]


def mutated(value, rng):
    """A copy of `value` in which one thing is another, missing or twice."""
    if rng.random() < 0.3 or not value or not isinstance(value, dict | list):
        return rng.choice(ODD)
    if isinstance(value, list):
        place = rng.randrange(len(value))
        return [mutated(v, rng) if i == place else v for i, v in enumerate(value)]
    place = rng.choice(sorted(value))
    kept = {k: mutated(v, rng) if k == place else v for k, v in value.items()}
    if rng.random() < 0.2:
        del kept[place]
    return kept


def test_malformed_cells_and_replies_are_bounded_or_refused():
    rng, refused = random.Random(0), 0
    for _ in range(FUZZ):
        try:
            found = door.cell(mutated(CELL, rng), door.Kept())
            json.dumps(found).encode()
            "".join([found["stdout"], *(d["text"] for d in found["displays"])]).encode("utf-8")
            assert isinstance(found["seconds"], float)
        except codec.ProtocolError:
            refused += 1
        try:
            found = door.outcomes(mutated(REPLY, rng), "7", 1)
            assert len(found) == 1
            assert set(found[0]) & {"value", "raised", "missing", "unsendable"}
        except codec.ProtocolError:
            refused += 1
    assert FUZZ / 4 < refused < 2 * FUZZ


TREES = [
    {"!": "list", "v": [1, {"!": "array", "dtype": "float64", "shape": [1]}]},
    {"!": "dict", "k": ["a", {"!": "tuple", "v": [1, 2]}], "v": [1, 2]},
    {"!": "tensor", "dtype": "bool", "shape": [2, 4]},
    {"!": "scalar", "dtype": "complex64", "shape": []},
    {"!": "foreign", "type": "x"},
    {"!": "rng", "seed": 1, "kind": "numpy"},
    {"!": "source", "e": "1", "v": {"!": "dict", "k": [], "v": []}},
]


def test_malformed_frames_are_values_or_refused():
    rng = random.Random(1)
    for _ in range(FUZZ):
        header = json.dumps(mutated(rng.choice(TREES), rng)).encode()
        if rng.random() < 0.2:
            cut = rng.randrange(len(header) + 1)
            header = header[:cut] + bytes([rng.randrange(256)]) + header[cut:]
        try:
            value = codec.unpack(header, rng.randbytes(rng.choice((0, 8, 64))))
            assert not isinstance(value, codec.Source | codec.Rng)
            repr(value)
        except codec.ProtocolError:
            pass


@pytest.mark.parametrize("header", [0, 1, codec.MAX_HEADER, codec.MAX_HEADER + 1, 2**32 - 1])
@pytest.mark.parametrize("payload", [0, codec.MAX_PAYLOAD + 1, 2**64 - 1])
def test_sizes_that_a_frame_claims_are_believed_only_up_to_the_cap(header, payload):
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(codec.PREFIX.pack(header, payload))
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((codec.ProtocolError, codec.Closed)):
            codec.receive(ours, asked=False)


def test_the_judge_knows_no_source_and_no_generator():
    for tree in TREES[-2:]:
        header = json.dumps(tree).encode()
        with pytest.raises(codec.ProtocolError, match="unknown kind"):
            codec.unpack(header, b"")
        codec.unpack(header, b"", asked=True)


@pytest.mark.parametrize("shape", [[0, 2**26, 2**26, 2**26], [2**26, 2**26, 0], [0] * 17, [2**63, 0]])
def test_a_shape_of_no_elements_and_huge_sides_is_refused(shape):
    header = json.dumps({"!": "array", "dtype": "int8", "shape": shape}).encode()
    with pytest.raises(codec.ProtocolError, match="not allowed"):
        codec.unpack(header, b"")


def test_integers_beyond_64_bits_are_refused_however_they_come():
    for digits in (20, 400, 4000):
        with pytest.raises(codec.ProtocolError, match="64 bits"):
            codec.unpack(b"9" * digits, b"")


def test_keys_that_collide_are_few():
    modulus = 2**61 - 1
    keys = [n * modulus for n in range(-4, 8)]
    assert len({hash(key) for key in keys}) < 3  # what 64 bits allow, and no more
    assert all(-(2**63) <= key < 2**64 for key in keys)
    header = json.dumps({"!": "dict", "k": [8 * modulus * 2], "v": [1]}).encode()
    with pytest.raises(codec.ProtocolError):
        codec.unpack(header, b"")
    many = [{"!": "tuple", "v": [n]} for n in range(codec.MAX_COMPOSITE_KEYS + 1)]
    with pytest.raises(codec.ProtocolError, match="too many keys"):
        codec.unpack(json.dumps({"!": "dict", "k": many, "v": [1] * len(many)}).encode(), b"")


def test_a_truth_value_of_another_byte_counts_once():
    header = json.dumps({"!": "array", "dtype": "bool", "shape": [2]}).encode()
    assert codec.unpack(header, b"\x07\x00").astype(int).sum() == 1


def test_what_a_notebook_shows_is_kept_up_to_a_bound():
    kept, png = door.Kept(), "A" * door.MAX_PICTURE
    shown = CELL | {"displays": [{"result": False, "text": "t" * 30_000, "png": png}] * 60}
    cells = [door.cell(shown, kept) for _ in range(150)]
    assert max(len(c["displays"]) for c in cells) == door.MAX_DISPLAYS
    assert max(sum(bool(d["png"]) for d in c["displays"]) for c in cells) == door.MAX_PICTURES
    total = sum(len(d["png"]) + len(d["text"]) for c in cells for d in c["displays"])
    assert total <= door.NOTEBOOK_BYTES


MALFORMED = """
import sys
worker = sys.modules["notebook"]
answers = {answers}
worker.run_cell = lambda *a, **k: answers
worker._answer = lambda *a, **k: [answers]
"""


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.parametrize(
    "answers",
    [
        {"stdout": 1, "displays": 7, "seconds": "x"},
        {"value": {1: 2}, "seconds": [], "changed": 3},
        {"raised": {"line": "x"}},
        {"value": 2**64 - 1, "stdout": "", "stderr": "", "displays": [3], "seconds": -1},
    ],
)
def test_no_malformed_answer_makes_the_judge_raise(sandbox, toy, notebook, answers):
    cells = ["double = 3", MALFORMED.format(answers=answers), "x = 1", "y = 2"]
    report = judge(notebook(*cells), toy, sandbox, b"key").report
    assert report.score == 0


def test_integers_at_the_edge_are_compared_without_an_error():
    from autograder.exercises.values import close, shape_complaint

    for value in (2**64 - 1, -(2**63), np.uint64(2**64 - 1), 1e308, float("inf")):
        assert shape_complaint(value, 1.0) == ""
        assert not close(value, 1.0, 1e-6, 1e-9)
