"""The interactive product of experts: its numbers are ebmkit's, and its samples follow the exact curves."""

import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ebmkit import EnergyModel, normalization
from ebmkit import product_of_experts as poe

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXPERTS = [
    [(-1.5, 1.0, 1.0), (1.5, 0.8, 1.0)],
    [(-4.0, 0.3, 1.0), (4.0, 0.3, 4.0)],
    [(0.5, 2.5, 1.0), (-2.0, 0.7, 0.0), (3.0, 1.1, 1.0)],
]
Experts = list[tuple[float, float, float]]


def as_objects(experts: Experts) -> list[dict[str, float]]:
    return [{"kind": "bell", **dict(zip(("mean", "sd", "weight"), expert))} for expert in experts]


# Kind, place, width, weight.
MIXED = [
    [("hump", -1.5, 1.0, 1.0), ("hump", 1.5, 0.8, 1.0)],
    [("bell", 0.0, 1.0, 1.0), ("veto", 0.3, 0.7, 4.0)],
    [("hump", -2.0, 0.6, 2.0), ("veto", 3.9, 2.5, 1.0), ("bell", 1.0, 2.0, 0.5)],
    [("hump", 4.0, 2.5, 1.0), ("bell", -4.0, 2.5, 1.0)],
]


class Expert(EnergyModel):
    """One expert in ebmkit, in the box from -6 to 6."""

    event_shape = (1,)

    def __init__(self, kind: str, place: float, width: float, _: float) -> None:
        super().__init__()
        self.kind, self.place, self.width = kind, place, width
        ends = [torch.tensor(value, dtype=torch.float64) for value in ([[place]], [[width]], [0.9])]
        self.hump = poe.UnigaussExperts(*ends, low=-6.0, high=6.0).requires_grad_(False)

    def energy(self, x: Tensor) -> Tensor:
        if self.kind == "hump":
            return self.hump.energy(x)
        if self.kind == "bell":
            place, width = (torch.tensor(value, dtype=torch.float64) for value in (self.place, self.width))
            return -torch.distributions.Normal(place, width).log_prob(x[..., 0])
        hole = min(6.0, self.place + self.width) - max(-6.0, self.place - self.width)
        level = torch.full_like(x[..., 0], math.log(12 - hole))
        return torch.where((x[..., 0] - self.place).abs() < self.width, math.inf, level)


def exact(experts: list[tuple[str, float, float, float]]) -> tuple[float, float, float]:
    """log Z, mean and width of the product by ebmkit's quadrature, piece by piece between the vetoes' edges."""
    model = poe.ProductOfExperts([Expert(*e) for e in experts], weights=[e[3] for e in experts])
    edges = {-6.0, 6.0}
    for kind, place, width, _ in experts:
        if kind == "veto":
            edges |= {edge for edge in (place - width, place + width) if -6 < edge < 6}
    moments = torch.zeros(3, dtype=torch.float64)
    for low, high in itertools.pairwise(sorted(edges)):
        for power in range(3):

            def f(x: Tensor, power: int = power, low: float = low, high: float = high) -> Tensor:
                inside = x.clamp(low + 1e-12, high - 1e-12)
                return x[..., 0] ** power * (-model.energy(inside)).exp()

            moments[power] += normalization.quadrature(f, [low], [high], rtol=1e-10, atol=1e-14).value
    mean = moments[1] / moments[0]
    return moments[0].log().item(), mean.item(), (moments[2] / moments[0] - mean**2).sqrt().item()


def with_kinds(experts: list[tuple[str, float, float, float]]) -> list[dict[str, Any]]:
    return [dict(zip(("kind", "mean", "sd", "weight"), expert)) for expert in experts]


@pytest.mark.parametrize("experts", MIXED)
def test_products_with_humps_and_vetoes_are_those_of_ebmkit(page: Any, experts: Any) -> None:
    shown = page.run("return explorables.product_of_experts.product(arguments[0])", with_kinds(experts))
    log_z, mean, width = exact(experts)
    assert shown["logZ"] == pytest.approx(log_z, abs=1e-4)
    assert shown["mean"] == pytest.approx(mean, abs=1e-4)
    assert shown["sd"] == pytest.approx(width, abs=1e-4)
    assert sum(shown["density"]) * 12 / 2400 == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("experts", MIXED)
def test_samples_of_humps_and_vetoes_follow_the_exact_answers(page: Any, experts: Any) -> None:
    # The walk must pass between humps, so its 100,000 draws are worth at least 1,000: six standard errors are
    # below 0.2 widths. The mixture's are independent. The seed is fixed besides.
    seen = page.run(
        "const p = explorables.product_of_experts, s = new p.Samples(arguments[0], 5);"
        "for (let i = 0; i < 100000; i++) s.step(); const m = p.mixtureOnGrid(arguments[0]);"
        "return [s.product.mean, s.product.sd, s.mixture.mean, s.mixture.sd, m.mean, m.sd]",
        with_kinds(experts),
    )
    _, mean, width = exact(experts)
    assert seen[0] == pytest.approx(mean, abs=0.2 * width)
    assert seen[1] == pytest.approx(width, abs=0.15 * width)
    assert seen[2] == pytest.approx(seen[4], abs=0.03 * seen[5])
    assert seen[3] == pytest.approx(seen[5], abs=0.03 * seen[5])


def test_nothing_forbidden_is_ever_drawn_and_a_product_that_forbids_all_says_so(page: Any) -> None:
    experts = with_kinds([("bell", 0.0, 1.0, 1.0), ("veto", 0.0, 1.0, 1.0)])
    drawn = page.run(
        "const s = new explorables.product_of_experts.Samples(arguments[0], 5), seen = [];"
        "for (let i = 0; i < 5000; i++) { s.step(); seen.push(s.walker); } return seen",
        experts,
    )
    assert min(abs(x) for x in drawn) >= 1
    assert min(drawn) < -1 < 1 < max(drawn)  # the walk gets from one side to the other
    address = page.driver.current_url.split("#")[0]
    vetoes = "&".join(f"k{n}=veto&m{n}={m}&s{n}=2.5" for n, m in (("q", -4), ("r", 0), ("t", 4)))
    page.open(f"{address}#explorable-product_of_experts?n=3&{vetoes}")
    page.step(3)
    assert "forbid everything" in page.readout()
    assert page.errors() == []


def test_the_tasks_answers_are_exact(page: Any) -> None:
    state = "const p = explorables.product_of_experts; return p.product(p.current.experts)"
    page.try_task("Three voices against one")
    bells = poe.product_of_gaussians(
        torch.tensor([-2.0, 2.0]).double(), torch.ones(2).double(), torch.tensor([1.0, 3.0]).double()
    )
    assert page.task("Three voices against one")["answer"] == pytest.approx(bells.mean.item())
    assert page.run(state)["mean"] == pytest.approx(bells.mean.item())
    assert bells.covariance.sqrt().item() == pytest.approx(0.5)

    page.try_task("Two that may abstain")
    assert page.task("Two that may abstain")["answer"] == page.run(state)["humps"] == 2
    assert "2 humps" in page.readout()
    for name in "qr":
        page.run(
            "const s = document.getElementById('explorable-product_of_experts-k' + arguments[0]);"
            "s.value = 'bell'; s.dispatchEvent(new Event('change'))",
            name,
        )
    between = page.run(state)
    assert (between["humps"], abs(round(between["mean"], 9))) == (1, 0)

    page.try_task("A louder veto")
    loud = page.run(state)
    quiet = page.run(
        "const p = explorables.product_of_experts;"
        "return p.product(p.current.experts.map((e) => ({...e, weight: 1})))"
    )
    assert loud["density"] == pytest.approx(quiet["density"], abs=1e-12)
    assert loud["logZ"] < quiet["logZ"] - 1
    assert loud["humps"] == 2
    assert page.task("A louder veto")["answer"].startswith("nothing")
    for weight in (0.1, 1, 4):  # "the bell fills the hole, however small its weight"
        mixed, multiplied = page.run(
            "const p = explorables.product_of_experts, [bell, veto] = p.current.experts;"
            "const experts = [{...bell, weight: arguments[0]}, veto];"
            "return [p.mixtureOnGrid(experts).density[1200], p.product(experts).density[1200]]",
            weight,
        )
        assert mixed > 0.9 * weight / (4 + weight) * 0.39
        assert multiplied == 0


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
    page.open(f"{address}#explorable-product_of_experts?n=3&mq=-2&sq=0.5&mr=1&sr=1.5&wr=2&mt=0.5&st=2&seed=9")
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


@pytest.mark.parametrize("nonsense", ["n=9&mq=abc&wr=-5&kq=star", "mq=1e9&sq=0&wr=1e9&seed=1e99&speed=-1"])
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


WEIGHTS = [(0.3, 3.7, 1.0), (4.0, 0.1, 2.2), (0.0, 1.0, 2.5), (1.5, 0.0, 0.0)]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("experts", MIXED)
def test_weights_make_the_product_that_they_make_in_ebmkit(page: Any, experts: Any, weights: Any) -> None:
    weighted = [(*expert[:3], weight) for expert, weight in zip(experts, weights)]
    shown = page.run("return explorables.product_of_experts.product(arguments[0])", with_kinds(weighted))
    log_z, mean, width = exact([e for e in weighted if e[3] > 0])  # an expert without weight is not there
    assert shown["logZ"] == pytest.approx(log_z, abs=1e-3)
    assert shown["mean"] == pytest.approx(mean, abs=1e-3)
    assert shown["sd"] == pytest.approx(width, abs=1e-3)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("experts", MIXED)
def test_weights_make_the_mixture_that_they_make_in_ebmkit(page: Any, experts: Any, weights: Any) -> None:
    weighted = [(*expert[:3], weight) for expert, weight in zip(experts, weights)]
    shown = page.run(
        "const p = explorables.product_of_experts, m = p.mixtureOnGrid(arguments[0]);"
        "return [p.GRID.filter((_, i) => i % 97 === 0), m.density.filter((_, i) => i % 97 === 0), m.mean]",
        with_kinds(weighted),
    )
    # Each expert cut to the box: its energy with its own mass there taken off.
    parts = [Cut(expert, exact([(*expert[:3], 1.0)])[0]) for expert in weighted]
    model = poe.Mixture(parts, weights[: len(experts)])
    x = torch.tensor(shown[0], dtype=torch.float64)[:, None]
    assert shown[1] == pytest.approx((-model.energy(x)).exp().tolist(), rel=1e-3, abs=1e-9)
    means = [exact([(*expert[:3], 1.0)])[1] for expert in weighted]
    total = sum(w for *_, w in weighted)
    expected = sum(w * mean for (*_, w), mean in zip(weighted, means)) / total
    assert shown[2] == pytest.approx(expected, abs=1e-3)


class Cut(Expert):
    """An expert as a density on the box."""

    def __init__(self, expert: tuple[str, float, float, float], log_mass: float) -> None:
        super().__init__(*expert)
        self.log_mass = log_mass

    def energy(self, x: Tensor) -> Tensor:
        return super().energy(x) + self.log_mass


def test_log_z_tells_experts_that_agree_from_experts_that_do_not(page: Any) -> None:
    # "Watch the product when they agree, when they differ, and when one gets a larger weight."
    seen = page.run(
        "const { product } = explorables.product_of_experts;"
        "const e = (mean, weight = 1) => ({kind: 'bell', mean, sd: 1, weight});"
        "return [product([e(0), e(0.5)]), product([e(-3), e(3)]), product([e(-3), e(3, 3)])]"
        ".map(({logZ, mean, sd}) => [logZ, mean, sd])"
    )
    agreeing, differing, louder = seen
    assert agreeing[0] > differing[0] + 5
    assert agreeing[2] == pytest.approx(differing[2], abs=1e-12)  # "however much the two disagree"
    assert (differing[1], louder[1]) == (pytest.approx(0), pytest.approx(1.5))
    assert louder[2] < differing[2]


def test_where_two_bells_of_the_task_meet_both_are_nearly_zero(page: Any) -> None:
    page.try_task("Two that may abstain")
    low = page.run(
        "const p = explorables.product_of_experts;"
        "return p.current.experts.map((e) => Math.exp(p.logNormal(0, e)) / Math.exp(p.logNormal(e.mean, e)))"
    )
    assert max(low) < 0.001


def test_the_walk_sees_only_the_product_of_the_scores(page: Any) -> None:
    # A constant factor, such as a veto's weight brings, changes log Z and no step.
    walks = page.run(
        "const { Samples, product } = explorables.product_of_experts;"
        "return [1, 3].map((weight) => { const experts = [{kind: 'bell', mean: 0, sd: 1, weight: 1},"
        " {kind: 'veto', mean: 0, sd: 1, weight}], s = new Samples(experts, 8), seen = [];"
        "s.draw = () => 0;"  # the mixture asks for as much chance with any weights
        "for (let i = 0; i < 300; i++) { s.step(); seen.push(s.walker); } return [seen, product(experts).logZ]; })"
    )
    assert walks[0][0] == pytest.approx(walks[1][0], abs=1e-12)
    assert walks[0][1] > walks[1][1] + 1


def test_a_finger_moves_an_expert_by_its_handle_and_scrolls_elsewhere(
    new_browser: Callable[..., Any], figures: Path
) -> None:
    phone = new_browser(width=390)
    phone.command("Emulation.setTouchEmulationEnabled", enabled=True)
    phone.open(f"{figures.as_uri()}/product_of_experts.html")
    phone.run("document.querySelector('.explorable-views').scrollIntoView({behavior: 'instant'})")
    phone.run("scrollBy(0, -200)")
    means = "return explorables.product_of_experts.current.experts.map((e) => e.mean)"
    left, top, width, height = phone.run(
        "const box = document.querySelector('.explorable-views canvas').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height]"
    )
    before, scrolled = phone.run(means), phone.run("return scrollY")
    swipe(phone, left + width - 20, top + height / 2, 0, -60)
    time.sleep(0.5)
    assert phone.run(means) == before
    assert phone.run("return scrollY") > scrolled + 20
    top -= phone.run("return scrollY") - scrolled
    unit = (width - 24) / 12
    peak = 30 + (height - 52) * (1 - 1 / 1.15)  # the higher of the two handles
    swipe(phone, left + 12 + 7.5 * unit, top + peak, unit, 0)
    assert phone.run(means) == [before[0], pytest.approx(before[1] + 1, abs=0.15)]


def swipe(phone: Any, x: float, y: float, dx: float, dy: float) -> None:
    phone.command("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    for part in range(1, 11):
        moved = [{"x": x + dx * part / 10, "y": y + dy * part / 10}]
        phone.command("Input.dispatchTouchEvent", type="touchMove", touchPoints=moved)
    phone.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
