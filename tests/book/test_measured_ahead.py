"""Pictures trained ahead come from the script that the page names, with the recipe that stands there now."""

import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def mnist_pictures() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("mnist_pictures")
        sys.modules.pop("mnist_pictures", None)


def test_the_kept_pictures_are_of_the_recipe_in_the_script(mnist_pictures: Any) -> None:
    kept = json.loads(mnist_pictures.RESULTS.read_text(encoding="utf-8"))
    recipe = json.loads(json.dumps(dataclasses.asdict(mnist_pictures.RECIPE)))
    assert kept["recipe"] == recipe
    assert [len(kept["filters"]["weights"]), len(kept["filters"]["weights"][0])] == [recipe["units"], 784]
    assert {name: len(rows) for name, rows in kept["dreams"].items()} == dict.fromkeys(
        map(str, recipe["steps"]), recipe["chains"]
    )


def test_a_small_run_of_the_script_repeats_itself_bit_for_bit(mnist_pictures: Any) -> None:
    small = dataclasses.replace(mnist_pictures.RECIPE, hidden=6, epochs=1, units=3, chains=2, steps=(0, 1, 2))
    images = torch.rand(150, 16, generator=torch.Generator().manual_seed(0))
    first, again, other = (
        mnist_pictures.run(dataclasses.replace(small, seed=seed), images) for seed in (4, 4, 5)
    )
    assert first["filters"] == again["filters"]
    assert first["dreams"] == again["dreams"]
    assert first["filters"] != other["filters"]
    kept = torch.tensor(first["filters"]["weights"])
    assert kept.shape == (3, 16)
    assert kept.abs().max() == 127
    shades = torch.tensor(list(first["dreams"].values()))
    assert shades.shape == (3, 2, 16)
    assert 0 <= shades.min() <= shades.max() <= 255


@pytest.mark.slow
def test_the_deep_energy_was_measured_with_the_recipe_in_the_script() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        deep_energy = importlib.import_module("deep_energy")
    kept = json.loads(deep_energy.RESULTS.read_text(encoding="utf-8"))
    assert kept["recipe"] == json.loads(json.dumps(dataclasses.asdict(deep_energy.RECIPE)))
    assert [run["seed"] for run in kept["runs"]] == [1, 2]
    tiny = dataclasses.replace(deep_energy.TRIAL, width=4, epochs=1, steps=1, long=(0, 1), temperatures=2)
    first, again = (deep_energy.run(tiny, seed=3) for _ in range(2))
    assert set(first) == set(kept["runs"][0])
    first.pop("training_processor_seconds"), again.pop("training_processor_seconds")
    assert first == again


def test_the_gpu_was_measured_by_the_tasks_in_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gpu = importlib.import_module("gpu")
    kept = json.loads(gpu.RESULTS.read_text(encoding="utf-8"))
    assert [row["what"] for row in kept["rows"]] == list(gpu.TASKS)
    assert [set(row["seconds"]) for row in kept["rows"]] == [{"cpu", "cuda"}] * len(gpu.TASKS)
    tried = gpu.measure(("cpu",), small=True)
    assert all(row["seconds"]["cpu"] > 0 for row in tried)
