"""The interactive denoiser: energy, score and guess are those of ebmkit's mixture, the walkers its Langevin."""

import math
from typing import Any

import pytest
import torch

from ebmkit import mcmc
from ebmkit import product_of_experts as poe

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHAPTER = "beyond"
FIGURE = "explorable-denoising"
DATA = {
    "equal": ([-1.0, 1.0], [0.5, 0.5]),
    "unequal": ([-1.0, 1.0], [0.7, 0.3]),
    "three": ([-2.0, 0.0, 2.0], [1 / 3, 1 / 3, 1 / 3]),
}
EXACT = """
    const [data, sigma, ys] = arguments, m = explorables.denoising, d = m.DATA[data];
    return [m.energy, m.score, m.denoised].map((f) => ys.map((y) => f(y, sigma, d)));
"""


def blurred(data: str, sigma: float) -> poe.Mixture:
    points, weights = DATA[data]
    width = torch.tensor(sigma, dtype=torch.float64)
    bells = [torch.distributions.Normal(torch.tensor(x, dtype=torch.float64), width) for x in points]
    return poe.Mixture(bells, weights, event_shape=())


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("sigma", [0.1, 0.6, 4.0])
def test_energy_score_and_guess_are_those_of_ebmkits_mixture(page: Any, data: str, sigma: float) -> None:
    y = torch.linspace(-3.5, 3.5, 29, dtype=torch.float64)
    energy, score, guess = page.run(EXACT, data, sigma, y.tolist())
    model = blurred(data, sigma)
    assert energy == pytest.approx((-model.log_prob(y)).tolist(), rel=1e-10, abs=1e-12)
    assert score == pytest.approx(model.score(y).tolist(), rel=1e-9, abs=1e-9)
    points, weights = (torch.tensor(part, dtype=torch.float64) for part in DATA[data])
    posterior = (weights.log() - (y[:, None] - points) ** 2 / (2 * sigma**2)).softmax(1)
    assert guess == pytest.approx((posterior @ points).tolist(), rel=1e-10, abs=1e-12)


def test_a_step_of_a_walker_is_ebmkits_langevin(page: Any) -> None:
    y, sigma, noise = torch.linspace(-3, 3, 13, dtype=torch.float64), 0.7, 0.83
    moved = page.run(
        "const [ys, sigma, noise] = arguments, m = explorables.denoising;"
        "return ys.map((y) => m.langevin(y, sigma, m.DATA.unequal, noise))",
        y.tolist(),
        sigma,
        noise,
    )
    kernel = mcmc.Langevin(blurred("unequal", sigma), 0.2 * sigma**2)
    state, _ = kernel.step(kernel.init(y), generator=torch.Generator().manual_seed(1))
    drawn = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    spread = math.sqrt(2 * 0.2 * sigma**2)
    assert (state.position + spread * (noise - drawn)).tolist() == pytest.approx(moved, rel=1e-9)


def test_the_exact_share_is_the_normal_distributions(page: Any) -> None:
    for data, (points, weights) in DATA.items():
        for sigma in (0.1, 0.5, 4.0):
            shown = page.run(
                "const m = explorables.denoising; return m.share(arguments[1], m.DATA[arguments[0]])",
                data,
                sigma,
            )
            bells = torch.distributions.Normal(torch.tensor(points).double(), torch.tensor(sigma).double())
            expected = (
                torch.tensor(weights, dtype=torch.float64) * bells.cdf(torch.zeros(()).double())
            ).sum()
            assert shown == pytest.approx(expected.item(), abs=1e-9)


def test_the_answers_of_the_tasks_are_what_the_figure_shows(page: Any) -> None:
    page.try_task("The best guess")
    guess = page.run(
        "const m = explorables.denoising, w = m.current; return m.denoised(0.5, w.sigma, w.data)"
    )
    assert page.task("The best guess")["answer"] == pytest.approx(guess, abs=0.001)
    assert guess == pytest.approx(math.tanh(0.5), abs=1e-12)
    assert f"= {guess:.3f}" in page.readout()

    border = page.task("When two wells become one")["answer"]
    wells = "const m = explorables.denoising; return m.wells(arguments[0], m.DATA.equal)"
    assert [page.run(wells, border + shift) for shift in (-0.04, 0.04)] == [2, 1]

    # 400 walkers: a share's standard error is at most 0.025, and six of them fail once in 5e8.
    page.try_task("The share that walks down")
    finish = (
        "const w = explorables.denoising.current; for (let i = 0; i < 300; i++) w.step(); return w.left()"
    )
    assert page.run(finish) == pytest.approx(0.5, abs=0.15)
    page.run("explorables.show('denoising', 'schedule=falling')")
    assert page.run(finish) == pytest.approx(0.68, abs=0.15)


def test_walkers_from_above_find_nearly_the_share_of_the_data(page: Any) -> None:
    """68 % of 20,000: the standard error is 0.0033, and six of them fail once in 5e8."""
    share = page.run(
        "const m = explorables.denoising; let sum = 0; for (let seed = 1; seed <= 50; seed++) {"
        "const w = new m.Walk({data: m.DATA.unequal, sigma: 0.2, schedule: 'falling', seed});"
        "for (let i = 0; i < 240; i++) w.step(); sum += w.left(); } return sum / 50"
    )
    assert share == pytest.approx(0.68, abs=0.02)


def test_the_same_seed_gives_the_same_walk(page: Any) -> None:
    first, again, other = page.run(
        "const m = explorables.denoising, run = (seed) => { const w = new m.Walk("
        "{data: m.DATA.three, sigma: 0.4, schedule: 'falling', seed}); for (let i = 0; i < 9; i++) w.step();"
        "return w.walkers; }; return [run(3), run(3), run(4)]"
    )
    assert first == again
    assert first != other


def test_step_and_restart_count_and_a_damaged_link_falls_back(page: Any) -> None:
    page.click("Step")
    page.click("Step")
    assert "Steps: 2." in page.readout()
    page.click("Restart")
    assert "Steps: 0." in page.readout()
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#{FIGURE}?data=nothing&sigma=-7&y=1e9&schedule=up&seed=x")
    assert page.run("const w = explorables.denoising.current; return [w.sigma, w.schedule]") == [
        0.1,
        "constant",
    ]
    assert page.errors() == []


def test_400_walkers_start_wide_and_the_levels_fall_from_4_in_200_steps(page: Any) -> None:
    levels, spread, size = page.run(
        "const m = explorables.denoising;"
        "const w = new m.Walk({data: m.DATA.unequal, sigma: 0.2, schedule: 'falling', seed: 2});"
        "const spread = Math.sqrt(w.walkers.reduce((sum, y) => sum + y * y, 0) / w.walkers.length), seen = [];"
        "for (let i = 0; i < 210; i++) { seen.push(w.level()); w.step(); } return [seen, spread, w.walkers.length]"
    )
    assert size == 400
    assert spread == pytest.approx(4, abs=0.9)  # six standard errors of the root mean square of 400
    assert levels[0] == 4
    assert levels[:201] == sorted(levels, reverse=True)[:201]
    assert levels[199] > 0.2
    assert levels[200:] == pytest.approx([0.2] * 10)


def test_the_read_out_has_the_numbers_of_the_first_answer(page: Any) -> None:
    page.try_task("The best guess")
    assert "the score is −0.038" in page.readout()
    assert 1 / (1 + math.exp(-2 * 0.5)) == pytest.approx(0.731, abs=0.0005)
    at, to = page.run("const m = explorables.denoising; return [0.5, m.denoised(0.5, 1, m.DATA.equal)]")
    assert to < at < 1  # to the left, away from the nearer point


def test_two_equal_bells_merge_when_two_standard_deviations_apart(page: Any) -> None:
    for sigma in (0.7, 1.3):
        h = 1e-3
        energies = page.run(
            "const [sigma, ys] = arguments, m = explorables.denoising;"
            "return ys.map((y) => m.energy(y, sigma, m.DATA.equal))",
            sigma,
            [-h, 0, h],
        )
        curvature = (energies[0] - 2 * energies[1] + energies[2]) / h**2
        assert curvature == pytest.approx(sigma**-2 - sigma**-4, rel=1e-3)
    wells = page.run(
        "const m = explorables.denoising, out = []; for (const apart of [1, 3]) for (const off of [-0.04, 0.04])"
        "out.push(m.wells(apart / 2 + off, {points: [-apart / 2, apart / 2], weights: [0.5, 0.5]})); return out"
    )
    assert wells == [2, 1, 2, 1]


def test_what_is_missing_is_lost_at_the_last_levels(page: Any) -> None:
    # 20,000 walkers: a share's standard error is 0.0035, and 0.025 is seven of them.
    middle, exact, end = page.run(
        "const m = explorables.denoising; let middle = 0, end = 0, exact = 0;"
        "for (let seed = 1; seed <= 50; seed++) {"
        "const w = new m.Walk({data: m.DATA.unequal, sigma: 0.2, schedule: 'falling', seed});"
        "while (w.level() > 0.8) w.step(); middle += w.left() / 50; exact = m.share(w.level(), w.data);"
        "while (w.steps < 240) w.step(); end += w.left() / 50; } return [middle, exact, end]"
    )
    assert middle == pytest.approx(exact, abs=0.025)
    assert end < 0.7 - 0.01
