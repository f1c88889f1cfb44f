"""The interactive product of experts: its numbers are ebmkit's, and its samples follow the exact curves."""

import math
from typing import Any

import pytest
import torch

from ebmkit import product_of_experts as poe

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXPERTS = [
    [(-1.5, 1.0, 1.0), (1.5, 0.8, 1.0)],
    [(-4.0, 0.3, 1.0), (4.0, 0.3, 4.0)],
    [(0.5, 2.5, 1.0), (-2.0, 0.7, 0.0), (3.0, 1.1, 1.0)],
]
Experts = list[tuple[float, float, float]]


def as_objects(experts: Experts) -> list[dict[str, float]]:
    return [dict(zip(("mean", "sd", "weight"), expert)) for expert in experts]


def drawn(browser: Any) -> int:
    return int(browser.readout().rsplit(" ", 1)[1].rstrip("."))


@pytest.mark.parametrize("experts", EXPERTS)
def test_the_product_is_the_one_of_ebmkit(page: Any, experts: Experts) -> None:
    means, widths, weights = torch.tensor(experts, dtype=torch.float64).T
    expected = poe.product_of_gaussians(means, widths**2, weights)
    shown = page.run("return explorables.product_of_experts.product(arguments[0])", as_objects(experts))
    assert shown["mean"] == pytest.approx(expected.mean.item(), rel=1e-12)
    assert shown["sd"] == pytest.approx(expected.covariance.sqrt().item(), rel=1e-12)
    assert shown["logZ"] == pytest.approx(expected.log_partition.item(), rel=1e-12)


@pytest.mark.parametrize("experts", EXPERTS)
def test_the_mixture_is_the_one_of_ebmkit(page: Any, experts: Experts) -> None:
    components = [torch.distributions.Normal(*torch.tensor(e[:2], dtype=torch.float64)) for e in experts]
    model = poe.Mixture(components, [weight for _, _, weight in experts], event_shape=())
    x = torch.linspace(-5.5, 5.5, 23, dtype=torch.float64)
    script = "return arguments[1].map((x) => explorables.product_of_experts.mixture(x, arguments[0]))"
    shown = page.run(
        f"const a = arguments; {script.replace('arguments', 'a')}", as_objects(experts), x.tolist()
    )
    assert shown == pytest.approx(model.log_prob(x).exp().tolist(), rel=1e-10)


def test_the_samples_follow_the_exact_answers(page: Any) -> None:
    # Means of 20,000 draws, those of the walk correlated over some ten steps: twelve standard errors are
    # far beyond a false failure of 1e-6, and the seed is fixed besides.
    experts = EXPERTS[0]
    means, widths, weights = torch.tensor(experts, dtype=torch.float64).T
    product = poe.product_of_gaussians(means, widths**2, weights)
    seen = page.run(
        "const s = new explorables.product_of_experts.Samples(arguments[0], 7);"
        "for (let i = 0; i < 20000; i++) s.step();"
        "return [s.product.mean, s.product.sd, s.mixture.mean, s.mixture.sd, s.product.n]",
        as_objects(experts),
    )
    spread = math.sqrt(float((widths**2 + means**2).mean() - means.mean() ** 2))
    assert seen[0] == pytest.approx(product.mean.item(), abs=0.1)
    assert seen[1] == pytest.approx(product.covariance.sqrt().item(), abs=0.08)
    assert seen[2] == pytest.approx(means.mean().item(), abs=0.15)
    assert seen[3] == pytest.approx(spread, abs=0.1)
    assert seen[4] == 20000


def test_the_same_seed_gives_the_same_samples(page: Any) -> None:
    run = (
        "const run = (seed) => { const s = new explorables.product_of_experts.Samples(arguments[0], seed);"
        "for (let i = 0; i < 50; i++) s.step(); return [s.walker, s.mixture.mean]; };"
        "return [run(3), run(3), run(4)]"
    )
    first, again, other = page.run(
        run.replace("arguments[0]", "e").replace("const run", "const e = arguments[0], run", 1),
        as_objects(EXPERTS[2]),
    )
    assert first == again
    assert first != other


def test_play_step_and_restart_count_the_samples(page: Any) -> None:
    page.click("Step")
    page.click("Step")
    assert drawn(page) == 2
    page.click("Restart")
    assert drawn(page) == 0
    page.play_and_pause(drawn)


def test_the_read_out_states_the_exact_product(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-product_of_experts?n=3&mq=-2&sq=0.5&mr=1&sr=1.5&w=2&mt=0.5&st=2&seed=9")
    expected = poe.product_of_gaussians(
        torch.tensor([-2.0, 1.0, 0.5]).double(),
        torch.tensor([0.5, 1.5, 2.0]).double() ** 2,
        torch.tensor([1.0, 2.0, 1.0]).double(),
    )
    text = page.readout()
    assert f"log Z = {expected.log_partition.item():.3f}".replace("-", "−") in text
    assert f"mean {expected.mean.item():.2f}".replace("-", "−") in text
    assert page.errors() == []


def test_a_drag_moves_the_nearest_expert_and_the_link_follows(page: Any) -> None:
    from selenium.webdriver import ActionChains

    canvas = page.run("return document.querySelector('.explorable-views canvas')")
    width = page.run("return document.querySelector('.explorable-views canvas').clientWidth")
    per_unit = (width - 24) / 12
    chain = ActionChains(page.driver)
    chain.move_to_element_with_offset(canvas, round(1.5 * per_unit), 0).click_and_hold()
    chain.move_by_offset(round(1.5 * per_unit), 0).release().perform()
    means = page.run("return explorables.product_of_experts.current.experts.map((e) => e.mean)")
    assert means[0] == pytest.approx(-1.5)
    assert means[1] == pytest.approx(3.0, abs=0.11)
    assert f"mr={means[1]:g}" in page.driver.current_url


@pytest.mark.parametrize("nonsense", ["n=9&mq=abc&w=-5", "mq=1e9&sq=0&w=1e9&seed=1e99&speed=-1"])
def test_a_damaged_link_falls_back_to_what_the_controls_allow(page: Any, nonsense: str) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-product_of_experts?{nonsense}")
    experts = page.run("return explorables.product_of_experts.current.experts")
    assert len(experts) == 2
    for expert in experts:
        assert -4 <= expert["mean"] <= 4
        assert 0.3 <= expert["sd"] <= 2.5
        assert 0 <= expert["weight"] <= 4
    assert page.errors() == []


def test_arrow_keys_move_an_expert(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.run("document.getElementById('explorable-product_of_experts-mq').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return explorables.product_of_experts.current.experts[0].mean") == pytest.approx(-1.4)
