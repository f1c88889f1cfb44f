"""The interactive die: its parameters, entropy and rolls are ebmkit's, and it obeys pointer, keys and link."""

import itertools
import math
from typing import Any

import pytest
import torch

from ebmkit import exponential_families

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DIE = exponential_families.Categorical(3)
POINTS = [[0.0, 0.0], [1.0, -0.5], [-4.0, 4.0], [4.0, 4.0], [-3.3, -2.7]]
STATE = "return explorables.exponential_families.current.theta"


def vector(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def call(browser: Any, name: str, *arguments: Any) -> Any:
    return browser.run(f"return explorables.exponential_families.{name}(...arguments)", *arguments)


@pytest.mark.parametrize("theta", POINTS)
def test_log_partition_means_covariance_and_entropy_are_those_of_ebmkit(
    page: Any, theta: list[float]
) -> None:
    exact = vector(theta)
    p = DIE.standard(exact)
    assert call(page, "logPartition", theta) == pytest.approx(DIE.log_partition(exact).item(), rel=1e-12)
    assert call(page, "probabilities", theta) == pytest.approx(p.tolist(), rel=1e-12)
    assert call(page, "probabilities", theta)[:2] == pytest.approx(DIE.mean_parameters(exact).tolist())
    for shown, row in zip(call(page, "covariance", theta), DIE.fisher_information(exact).tolist()):
        assert shown == pytest.approx(row, rel=1e-9, abs=1e-15)
    assert call(page, "entropy", theta) == pytest.approx(-(p * p.log()).sum().item(), abs=1e-12)


@pytest.mark.parametrize("theta", POINTS)
def test_the_way_back_to_natural_parameters_is_that_of_ebmkit(page: Any, theta: list[float]) -> None:
    p = DIE.standard(vector(theta))
    expected = DIE.natural_parameters(p[:2])
    assert call(page, "natural", p.tolist()) == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-12)


def test_the_divergence_is_the_one_of_ebmkit(page: Any) -> None:
    for first in POINTS:
        for second in POINTS:
            expected = DIE.kl_divergence(vector(first), vector(second)).item()
            assert call(page, "divergence", first, second) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("theta", "seed"), [([0.0, 0.0], 1), ([1.0, -0.5], 7), ([-2.0, 1.5], 123456789)])
def test_a_seeded_run_is_the_one_of_ebmkit(page: Any, sfc32: Any, theta: list[float], seed: int) -> None:
    n_rounds = 30
    shown = page.run(
        """
        const [theta, seed, rounds] = arguments;
        const rolls = new explorables.exponential_families.Rolls(theta, seed);
        for (let i = 0; i < rounds; i++) rolls.step();
        return [rolls.n, rolls.counts, rolls.estimate()];
        """,
        theta, seed, n_rounds,
    )  # fmt: skip
    borders = DIE.standard(vector(theta)).cumsum(0)[:2]
    faces = (sfc32(seed).uniforms(10 * n_rounds, 1) >= borders).sum(-1)
    assert shown[0] == 10 * n_rounds
    assert shown[1] == faces.bincount(minlength=3).tolist()
    assert shown[2] == pytest.approx(DIE.maximum_likelihood(faces).tolist(), rel=1e-9)


def test_a_face_that_never_came_up_leaves_no_finite_estimate(page: Any) -> None:
    page.open(page.driver.current_url.split("#")[0] + "#explorable-exponential_families?t1=4&t2=-4&seed=1")
    page.click("Step")
    counts, estimate = page.run(
        "const r = explorables.exponential_families.current; return [r.counts, r.estimate()]"
    )
    assert 0 in counts
    assert estimate is None
    assert "no finite θ" in page.readout()


def test_the_read_out_states_the_exact_answer_beside_the_rolled_one(page: Any) -> None:
    for _ in range(4):
        page.click("Step")
    text = page.readout()
    theta = vector(page.run(STATE))
    mean, spread = DIE.mean_parameters(theta), (DIE.fisher_information(theta).diagonal() / 40).sqrt()
    assert f"A = {DIE.log_partition(theta):.4f}" in text
    assert f"μ = ({mean[0]:.4f}, {mean[1]:.4f})" in text
    assert f"(at most {math.log(3):.4f})" in text
    assert "40 rolls" in text
    assert f"exact standard deviations ({spread[0]:.4f}, {spread[1]:.4f})" in text
    assert page.run("return document.querySelector('.explorable-announcer').textContent") == text


@pytest.mark.parametrize(("index", "target"), [(0, (2.0, -1.0)), (1, (0.2, 0.5))])
def test_the_die_can_be_dragged_in_either_picture(page: Any, index: int, target: tuple[float, float]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = page.run("return document.querySelectorAll('.explorable-views canvas')[arguments[0]]", index)
    page.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    width, height = canvas.size["width"], canvas.size["height"]
    low, high = ((-4, 4), (0, 1))[index]
    x = 30 + (target[0] - low) / (high - low) * (width - 40) - width / 2
    y = height - 26 - (target[1] - low) / (high - low) * (height - 50) - height / 2
    drag = ActionChains(page.driver).move_to_element_with_offset(canvas, round(x) - 20, round(y) + 10)
    drag.click_and_hold().move_by_offset(20, -10).release().perform()
    theta = vector(page.run(STATE))
    reached = theta if index == 0 else DIE.mean_parameters(theta)
    assert reached.tolist() == pytest.approx(target, abs=0.06 if index == 0 else 0.02)
    assert f"t1={theta[0].item():g}" in page.driver.current_url


def test_the_keyboard_moves_the_die_and_rolls_it(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.run("document.querySelector('.explorable-stage').focus()")
    page.press(".", ".")
    assert "20 rolls" in page.readout()
    page.run("document.getElementById('explorable-exponential_families-t1').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page.run(STATE) == pytest.approx([1.05, -0.5])
    assert "No roll yet" in page.readout()


def test_a_link_restores_the_state(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-exponential_families?t1=-1.25&t2=2&seed=9&speed=2")
    assert page.run(STATE) == [-1.25, 2]
    assert page.run("return document.getElementById('explorable-exponential_families-seed').value") == "9"
    assert page.errors() == []


@pytest.mark.parametrize("nonsense", ["t1=abc&t2=", "t1=1e9&t2=-1e9&seed=1e99&speed=-3"])
def test_a_damaged_link_falls_back_to_what_the_controls_allow(page: Any, nonsense: str) -> None:
    page.open(page.driver.current_url.split("#")[0] + f"#explorable-exponential_families?{nonsense}")
    assert all(-4 <= value <= 4 for value in page.run(STATE))
    page.click("Step")
    assert page.errors() == []


LEARN = """
    const [theta, target, steps] = arguments;
    const learner = new explorables.exponential_families.Learner(theta, target), seen = [];
    for (let i = 0; i <= steps; i++) { seen.push([...learner.theta, learner.gap()]); learner.step(); }
    return seen;
"""


@pytest.mark.parametrize("theta", POINTS)
@pytest.mark.parametrize("target", [[0.2, 0.5], [0.02, 0.96], [0.96, 0.02]])
def test_learning_follows_the_gradient_of_ebmkit_down_the_exact_gap(
    page: Any, theta: list[float], target: list[float]
) -> None:
    seen = page.run(LEARN, theta, target, 200)
    goal = DIE.natural_parameters(vector(target))
    now = vector(theta)
    for first, second, gap in seen:
        assert [first, second] == pytest.approx(now.tolist(), abs=1e-9)
        assert gap == pytest.approx(DIE.kl_divergence(goal, now).item(), abs=1e-9)
        now = now + vector(target) - DIE.mean_parameters(now)
    gaps = [gap for _, _, gap in seen]
    assert all(later <= before + 1e-12 for before, later in itertools.pairwise(gaps))
    assert gaps[-1] < max(0.01, 0.1 * gaps[0])


def test_the_gap_is_the_height_of_the_curve_above_its_tangent_at_the_target(page: Any) -> None:
    goal, theta = DIE.natural_parameters(vector([0.2, 0.5])), vector([-3.0, 1.0])
    tangent = DIE.log_partition(goal) + vector([0.2, 0.5]) @ (theta - goal)
    (_, _, gap), *_ = page.run(LEARN, [-3.0, 1.0], [0.2, 0.5], 0)
    assert gap == pytest.approx((DIE.log_partition(theta) - tangent).item(), abs=1e-12)


def test_the_figure_learns_and_says_how_large_the_gap_is(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-exponential_families?mode=learn&t1=2&t2=-1&a1=0.3&a2=0.6")
    before = page.run("return explorables.exponential_families.current.gap()")
    assert f"KL(target ‖ die) = {before:.4f}" in page.readout()
    page.step(40)
    assert page.run("return explorables.exponential_families.current.gap()") < 0.1 * before
    assert page.run("return explorables.exponential_families.current.target") == [0.3, 0.6]
    page.open(f"{address}#explorable-exponential_families?mode=learn&a1=0.9&a2=0.9")
    target = page.run("return explorables.exponential_families.current.target")
    assert sum(target) == pytest.approx(0.98)
    assert page.errors() == []


def test_the_tasks_answers_are_exact(page: Any) -> None:
    double = page.task("Twice as probable")["answer"]
    for other in (-2.0, 0.0, 3.0):
        p = DIE.standard(vector([double, other]))
        assert (p[0] / p[2]).item() == pytest.approx(2, abs=0.002)

    page.try_task("Four times as many rolls")

    def spread() -> float:
        return float(page.readout().split("exact standard deviations (")[1].split(",")[0])

    page.step(10)
    hundred = spread()
    page.step(30)
    assert "400 rolls" in page.readout()
    assert spread() / hundred == pytest.approx(page.task("Four times as many rolls")["answer"], abs=0.01)

    page.try_task("Where learning ends")
    exact = DIE.natural_parameters(vector([0.2, 0.5]))
    assert page.task("Where learning ends")["answer"] == pytest.approx(exact[1].item(), abs=0.0005)
    page.step(60)
    learner = page.run("const l = explorables.exponential_families.current; return [l.theta, l.gap()]")
    assert learner[0] == pytest.approx(exact.tolist(), abs=0.01)
    assert learner[1] < 1e-4


def test_the_lines_are_of_equal_entropy(page: Any) -> None:
    lines = page.run("return explorables.exponential_families.lines")
    levels = []
    for line in lines:
        p = torch.tensor([point for point in line if point], dtype=torch.float64)
        entropies = -(p * p.log()).sum(-1)
        assert len(p) > 30
        assert (entropies.max() - entropies.min()).item() < 1e-6
        levels.append(entropies.mean().item() / math.log(3))
    assert levels == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.95], abs=1e-6)


@pytest.mark.parametrize("theta", POINTS[:2])
def test_the_ellipse_is_two_standard_deviations_of_the_mean_of_the_rolls(
    page: Any, theta: list[float]
) -> None:
    for n in (100, 400):
        apart = torch.tensor(call(page, "spread", theta, n), dtype=torch.float64)
        apart = apart - DIE.mean_parameters(vector(theta))
        inverse = DIE.fisher_information(vector(theta)).inverse()
        distance = torch.einsum("ni,ij,nj->n", apart, inverse, apart) * n
        assert distance.sqrt().tolist() == pytest.approx([2.0] * 61, rel=1e-9)


def test_both_estimates_close_in_as_the_fisher_information_says(page: Any) -> None:
    # 200 runs: a root mean square has a relative standard error of 0.05, and a third is six of them.
    theta = [1.0, -0.5]
    seen = page.run(
        "const F = explorables.exponential_families;"
        "return Array.from({length: 200}, (_, seed) => { const r = new F.Rolls([1, -0.5], seed + 1), at = [];"
        "for (let i = 0; i < 160; i++) { r.step(); if (r.n !== 400 && r.n !== 1600) continue;"
        " at.push([r.frequencies().slice(0, 2), r.estimate()]); }"
        "return at; })"
    )
    runs = torch.tensor(seen, dtype=torch.float64)  # (200, 2 sizes, mean or natural, 2)
    fisher = DIE.fisher_information(vector(theta))
    exact = torch.stack([DIE.mean_parameters(vector(theta)), vector(theta)])
    variances = torch.stack([fisher.diagonal(), fisher.inverse().diagonal()])
    for size, n in enumerate((400, 1600)):
        found = (runs[:, size] - exact).square().mean(0).sqrt()
        expected = (variances / n).sqrt()
        assert found.flatten().tolist() == pytest.approx(expected.flatten().tolist(), rel=0.33)
