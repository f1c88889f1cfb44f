"""Reading what students hand in: anything at all gets a clear answer and never an exception of ours."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.judging import submission
from autograder.judging.submission import Unreadable, parse


def notebook(**changes):
    tree = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []} | changes
    return json.dumps(tree).encode()


def cell(source="x = 1", **nbgrader):
    return {"cell_type": "code", "source": source, "metadata": {"nbgrader": nbgrader} if nbgrader else {}}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (notebook()[:-9], "cut off"),
        (b"print('hello')", "not a notebook"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'{"a": 1}', "not a Jupyter notebook"),
        (b"[1, 2]", "not a Jupyter notebook"),
        (notebook(nbformat=3, cells=None), "too old"),
        (notebook(cells=["x"]), "damaged"),
        (notebook(cells=[cell()] * 1001), "1001 cells"),
        (b"[" * 100_000, "not a notebook"),
    ],
)
def test_what_is_no_notebook_is_refused_with_a_reason(data, reason):
    with pytest.raises(Unreadable, match=reason):
        parse(data)


def test_a_notebook_of_a_hundred_megabytes_is_refused_without_reading_it_all(tmp_path):
    path = tmp_path / "huge.ipynb"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    data = submission.read_bytes(path)
    assert len(data) == submission.MAX_BYTES + 1
    with pytest.raises(Unreadable, match="larger than 20 MB"):
        parse(data)


def test_a_byte_order_mark_and_sources_in_lines_are_fine():
    read = parse(b"\xef\xbb\xbf" + notebook(cells=[cell(["x = 1\n", "y = 2"])]))
    assert read.cells[0].source == "x = 1\ny = 2"


def test_oddities_are_noted_and_cost_nothing():
    double = cell(grade_id="energy", solution=True)
    read = parse(notebook(cells=[double, double], metadata={"kernelspec": {"language": "R"}}))
    assert "'R'" in read.notes[0]
    assert "energy" in read.notes[1]
    assert submission.missing(read, ["energy", "denoise"]) == [
        "the answer cell of denoise is missing; the function was looked for in the other cells"
    ]


def test_our_own_tests_are_told_from_answers():
    read = parse(
        notebook(cells=[cell(grade_id="a-tests", grade=True), cell(grade_id="q", grade=True, solution=True)])
    )
    assert [c.is_test for c in read.cells] == [True, False]


def text_cell(attachments, kind="markdown"):
    return {"cell_type": kind, "source": "x", "metadata": {}, "attachments": attachments}


def test_of_attachments_only_pngs_of_text_cells_are_kept():
    kinds = {"image/png": ["QU", "JD"], "image/svg+xml": "<svg/>", "text/html": "<b>"}
    read = parse(notebook(cells=[text_cell({"a.png": kinds, "b.jpg": {"image/jpeg": "QUJD"}})]))
    assert read.cells[0].pictures == (("a.png", "QUJD"),)
    odd = [text_cell(x) for x in ([], None, {"a": None}, {"a": {"image/png": 3}})]
    assert not any(c.pictures for c in parse(notebook(cells=[*odd, text_cell({"a": kinds}, "code")])).cells)


def test_attached_pictures_are_bounded_in_number_and_size(monkeypatch):
    small = {f"{i}.png": {"image/png": "A"} for i in range(2 * submission.MAX_PICTURES)}
    read = parse(notebook(cells=[text_cell(small), text_cell(small)]))
    assert sum(len(c.pictures) for c in read.cells) == submission.MAX_PICTURES
    monkeypatch.setattr(submission, "MAX_PICTURE_TEXT", 10)
    large = {name: {"image/png": "A" * size} for name, size in (("a", 6), ("b", 6), ("c", 4))}
    (only,) = parse(notebook(cells=[text_cell(large)])).cells
    assert [name for name, _ in only.pictures] == ["a", "c"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cells", "metadata", "nbgrader", "source", "cell_type", "kernelspec", "grade_id"]
            ),
            inner,
        )
    ),
    max_leaves=10,
)


@given(JSON, JSON)
def test_any_json_at_all_is_either_read_or_refused(cells, metadata):
    with contextlib.suppress(Unreadable):
        assert isinstance(parse(notebook(cells=cells, metadata=metadata)), submission.Submission)


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_either_read_or_refused(data):
    with contextlib.suppress(Unreadable):
        assert isinstance(parse(data), submission.Submission)


def test_a_cell_longer_than_anybody_writes_is_not_parsed_here():
    """A grammar takes up a thousand times the text: what is parsed outside the walls is bounded."""
    value = "double = (" + "a," * submission.MAX_PARSED + ")"
    text = {"cell_type": "markdown", "source": value, "metadata": {}}
    tests = cell(value, grade_id="double-tests", grade=True)
    read = parse(notebook(cells=[text, tests]))
    sources, notes = submission.runnable(read, ["double"])
    assert sources == {}
    assert any("is no code cell" in note for note in notes)
    short = parse(notebook(cells=[text | {"source": "double = 1"}, tests | {"source": "double = 2"}]))
    assert submission.runnable(short, ["double"])[0] == {0: "double = 1", 1: "double = 2"}
