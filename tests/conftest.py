"""One thread for each test process: the suite runs one process a core."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that share a sandbox or the built site run in one process."""
    if item.get_closest_marker("xdist_group") is not None:
        return
    if item.get_closest_marker("sandbox") is not None:
        item.add_marker(pytest.mark.xdist_group("sandbox"))
    elif item.path.is_relative_to(item.config.rootpath / "tests" / "book"):
        item.add_marker(pytest.mark.xdist_group("book"))
