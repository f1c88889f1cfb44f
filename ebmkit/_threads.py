"""How many threads compiled loops take."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def as_many_threads_as_torch() -> Iterator[int]:
    """Compiled loops run on torch's number of threads, and torch's and numba's are as before afterwards.

    numba takes every processor whatever `OMP_NUM_THREADS` says, and when its OpenMP starts torch gets as many.
    """
    from numba import config, get_num_threads, set_num_threads

    for_torch, for_numba = torch.get_num_threads(), get_num_threads()
    set_num_threads(min(for_torch, config.NUMBA_NUM_THREADS))
    try:
        yield for_torch
    finally:
        set_num_threads(for_numba)
        torch.set_num_threads(for_torch)
