"""What a fork is limited to."""

import os
import subprocess
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


def test_what_was_inherited_hides_no_memory_of_a_process_that_became_another_program() -> None:
    """Such a process holds nothing of it any more: where no control group counts, its own pages do."""
    work = "held = bytearray(40 << 20); print('held', flush=True); input()"
    children = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    try:
        assert [child.stdout.readline() for child in children if child.stdout] == [b"held\n"] * 4
        pids, inherited, most = [child.pid for child in children], 100 << 20, 150 << 20
        assert isolation.memory(pids, inherited) == inherited
        assert isolation.could_hide(pids, most)
        assert not isolation.could_hide(pids[:1], most)
        assert most < isolation.unshared_memory(pids, inherited) < 4 * (60 << 20)
    finally:
        for child in children:
            child.communicate(b"\n", timeout=20)
