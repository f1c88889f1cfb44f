"""A machine without numba, for the tests of many chains."""

import sys

import pytest

from ebmkit.ising import _engines as engines


@pytest.fixture
def without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "ebmkit.ising._kernels", raising=False)
    monkeypatch.delattr("ebmkit.ising._kernels", raising=False)
    assert engines.compiled() is None
