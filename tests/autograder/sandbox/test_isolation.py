"""What a fork is limited to."""

import os
import sys

import pytest

from autograder.sandbox.worker import isolation


@pytest.fixture
def packages(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "elsewhere")])
    isolation.accelerator_libraries.cache_clear()
    yield tmp_path
    isolation.accelerator_libraries.cache_clear()


def library(folder, name, size):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    os.truncate(folder / name, size)


def test_torchs_build_without_an_accelerator_widens_no_limit(packages):
    library(packages / "torch" / "lib", "libtorch_cpu.so", 400 << 20)
    assert isolation.accelerator_libraries() == 0


def test_the_libraries_of_an_accelerator_are_no_memory_of_a_submissions(packages):
    library(packages / "torch" / "lib", "libtorch_cuda.so", 1 << 30)
    library(packages / "nvidia" / "cu13" / "lib", "libcublasLt.so.13", 700 << 20)
    library(packages / "nvidia" / "cu13" / "include", "cublas.h", 1 << 20)
    assert isolation.accelerator_libraries() == (1 << 30) + (700 << 20)
