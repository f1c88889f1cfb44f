"""The interactive machines on bars and stripes: every update is ebmkit's, and the controls work."""

import functools
import math
import time
from typing import Any

import pytest
import torch

from ebmkit import contrastive_divergence as learning
from ebmkit import data
from ebmkit.boltzmann_machines import RBM

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PICTURES = data.bars_and_stripes(3).double().reshape(-1, 9)
FIGURE = "explorable-contrastive_divergence"
RUN = """
    const [rate, k, seed, n] = arguments;
    const race = new explorables.contrastive_divergence.Race({rate, k, seed});
    for (let i = 0; i < n; i++) race.update();
    return [race.machines, race.curves, race.chains];
"""


def start(generator: Any) -> RBM:
    """The machine with which the figure begins."""
    model = RBM(9, 8, scale=0.0, dtype=torch.float64)
    with torch.no_grad():
        model.W.copy_(0.1 * generator.normal(model.W))
    return model


def log_likelihood(model: RBM) -> float:
    return float((-model.energy(PICTURES).mean() - model.exact_log_partition()).detach())


def updates(browser: Any) -> int:
    return int(browser.run("return explorables.contrastive_divergence.current.updates"))


def test_the_data_are_the_bars_and_stripes_of_ebmkit(page: Any) -> None:
    shown = page.run("return explorables.contrastive_divergence.DATA")
    assert torch.equal(torch.tensor(shown, dtype=torch.float64), PICTURES)


@pytest.mark.parametrize(("rate", "k", "seed"), [(0.3, 1, 1), (1.0, 3, 42), (0.05, 2, 4294967295)])
def test_every_rule_updates_as_ebmkit_does(page: Any, sfc32: Any, rate: float, k: int, seed: int) -> None:
    n_updates = 40
    machines, curves, chains = page.run(RUN, rate, k, seed, n_updates)
    rules = {
        "exact": (learning.maximum_likelihood, None),
        "cd": (functools.partial(learning.cd, k=k), sfc32((seed + 1) & 0xFFFFFFFF)),
        "pcd": (functools.partial(learning.pcd, k=k), sfc32((seed + 2) & 0xFFFFFFFF)),
    }
    for name, (rule, generator) in rules.items():
        model, state = start(sfc32(seed)), {}
        assert curves[name][0] == pytest.approx(log_likelihood(model), abs=1e-12)
        for update in range(1, n_updates + 1):
            gradient = rule(model, PICTURES, state=state, generator=generator)
            state = gradient.state
            with torch.no_grad():
                for parameter, tensor in model.named_parameters():
                    tensor -= rate * gradient.parameters[parameter]
            assert curves[name][update] == pytest.approx(log_likelihood(model), abs=1e-9)
        for parameter, tensor in model.named_parameters():
            shown = torch.tensor(machines[name][parameter], dtype=torch.float64)
            torch.testing.assert_close(shown, tensor.detach(), rtol=1e-8, atol=1e-10)
        if name == "pcd":
            assert torch.equal(torch.tensor(chains, dtype=torch.float64), state["chains"])


def test_no_machine_beats_the_best_possible_likelihood(page: Any) -> None:
    _, curves, _ = page.run(RUN, 0.5, 1, 5, 400)
    assert max(max(curve) for curve in curves.values()) < -math.log(14)
    assert curves["exact"][-1] > curves["exact"][0] + 1


def test_the_read_out_states_the_exact_likelihoods_and_the_limit(page: Any) -> None:
    for _ in range(3):
        page.click("Step")
    text = page.readout()
    curves = page.run("return explorables.contrastive_divergence.current.curves")
    assert "Update 3," in text
    for label, name in (("exact", "exact"), ("CD", "cd"), ("PCD", "pcd")):
        assert f"{label} {curves[name][-1]:.3f}".replace("-", "−") in text
    assert f"the best possible is {-math.log(14):.3f}".replace("-", "−") in text
    assert page.run("return document.querySelector('.explorable-announcer').textContent") == text


def test_buttons_keyboard_and_restart_work(page: Any) -> None:
    first = page.run("return explorables.contrastive_divergence.current.machines.cd.W")
    page.click("Step")
    page.run("document.querySelector('.explorable-stage').focus()")
    page.press(".", ".")
    assert updates(page) == 3
    assert page.run("return explorables.contrastive_divergence.current.machines.cd.W") != first
    page.press("r")
    assert updates(page) == 0
    assert page.run("return explorables.contrastive_divergence.current.machines.cd.W") == first
    page.play_and_pause(updates)


def test_a_link_restores_the_state_and_nonsense_falls_back(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    state = "const r = explorables.contrastive_divergence.current; return [r.rate, r.k]"
    page.open(f"{address}#{FIGURE}?rate=0.6&k=5&show=pcd&speed=2&seed=9")
    assert page.run(state) == [0.6, 5]
    assert page.run(f"return document.getElementById('{FIGURE}-show').value") == "pcd"
    page.open(f"{address}#{FIGURE}?rate=-4&k=many&show=magic&speed=1e9&seed=")
    assert page.run(state) == [0.05, 1]
    assert page.errors() == []


@pytest.mark.parametrize("shown", ["cd", "pcd", "exact"])
def test_each_machine_can_be_shown_and_follows_the_theme(page: Any, shown: str) -> None:
    page.run(
        f"const s = document.getElementById('{FIGURE}-show'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('change'))",
        shown,
    )
    page.click("Step")
    picture = "return [...document.querySelectorAll('.explorable-views canvas')].map((c) => c.toDataURL())"
    light = page.run(picture)
    page.run("document.documentElement.dataset.theme = 'dark'")
    time.sleep(0.3)
    dark = page.run(picture)
    assert all(before != after for before, after in zip(light, dark))
    assert page.errors() == []
    assert f"show={shown}" in page.driver.current_url
