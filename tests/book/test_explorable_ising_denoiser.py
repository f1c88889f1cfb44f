"""The interactive denoiser: its posterior, search and sampler are ebmkit's, and its text says what it shows."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ebmkit import data, enumeration, ising

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHAPTER = "ising"
FIGURE = "explorable-ising_denoiser"
STATE = "const d = explorables.ising_denoiser.current; return [d.y, d.seen, d.truth]"
CASES = [(3, 3, 0.5, 0.2), (4, 6, 0.0, 0.1), (5, 4, 1.2, 0.4), (12, 12, 0.7, 0.15)]
MAKE = "const p = new explorables.denoiser.Posterior(arguments[0]);"


def case(rows: int, columns: int, coupling: float, epsilon: float) -> tuple[dict[str, Any], ising.Ising]:
    """The same posterior for the figure and in ebmkit."""
    generator = torch.Generator().manual_seed(rows * columns)
    seen = torch.rand(rows, columns, generator=generator).round().double()
    model = ising.denoising_model(seen, epsilon, coupling)
    spins = ising.to_spins(seen).flatten().int().tolist()
    figure = {"rows": rows, "columns": columns, "seen": spins, "coupling": coupling, "epsilon": epsilon}
    return figure, model


def grid(values: list[int], like: ising.Ising) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(like.event_shape)


def shown(page: Any) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(torch.tensor(values, dtype=torch.float64) for values in page.run(STATE))


def labels(rows: list[str]) -> Tensor:
    return torch.tensor([[float(mark == "#") for mark in row] for row in rows], dtype=torch.float64)


def test_the_small_picture_is_the_lectures_in_ebmkit(page: Any) -> None:
    rows, flips = page.run("const p = explorables.ising_denoiser.PICTURES.slide; return [p.rows, p.flips]")
    picture = data.slide_image()
    assert torch.equal(labels(rows), picture.truth)
    assert torch.equal((labels(rows) - labels(flips)).abs(), picture.noisy)


@pytest.mark.parametrize("shape", CASES)
def test_energies_and_conditionals_are_those_of_ebmkit(page: Any, shape: Any) -> None:
    figure, model = case(*shape)
    y = ising.to_spins(
        data.flip(torch.zeros(model.event_shape), 0.5, generator=torch.Generator().manual_seed(1))
    )
    energy, up = page.run(
        MAKE + "const y = arguments[1]; return [p.energy(y), y.map((_, i) => p.probability(y, i))]",
        figure,
        y.flatten().int().tolist(),
    )
    assert energy == pytest.approx(model.energy(y.double()).item(), abs=1e-10)
    assert up == pytest.approx(model.conditional(y.double()).flatten().tolist(), rel=1e-10)


@pytest.mark.parametrize("shape", CASES)
def test_the_exact_probabilities_are_those_of_ebmkit(page: Any, shape: Any) -> None:
    figure, model = case(*shape)
    exact = page.run(MAKE + "return p.exact()", figure)
    assert exact["logZ"] == pytest.approx(model.exact_log_partition().item(), rel=1e-10)
    means = ising.exact_moments(model).spins.flatten()
    assert exact["ink"] == pytest.approx(((1 + means) / 2).tolist(), abs=1e-9)


@pytest.mark.parametrize("shape", CASES)
def test_the_searches_end_where_those_of_ebmkit_do(page: Any, shape: Any) -> None:
    figure, model = case(*shape)
    cut, greedy = page.run(MAKE + "return [p.minimumCut(), p.icmFrom(p.seen)]", figure)
    best = model.energy(ising.map_by_max_flow(model))
    assert model.energy(grid(cut, model)).item() == pytest.approx(best.item(), abs=1e-9)
    assert torch.equal(grid(greedy, model), ising.icm(model, grid(figure["seen"], model)))


@pytest.mark.parametrize(("shape", "seed"), [(CASES[0], 1), (CASES[2], 99), (CASES[3], 4294967295)])
def test_a_seeded_run_is_the_one_of_ebmkit(page: Any, sfc32: Any, shape: Any, seed: int) -> None:
    figure, model = case(*shape)
    seen = page.run(
        MAKE + "const y = p.seen.slice(), random = explorables.random(arguments[1]), all = [];"
        "for (let i = 0; i < 10; i++) { p.gibbs(y, random); all.push(y.slice()); } return all",
        figure,
        seed,
    )
    replay, spins = sfc32(seed), grid(figure["seen"], model)
    for values in seen:
        spins = ising.gibbs_sweep(model, spins, generator=replay)
        assert torch.equal(grid(values, model), spins)


def test_the_most_probable_pictures_are_those_of_ebmkit(page: Any) -> None:
    figure, model = case(3, 3, 0.5, 0.2)
    ranked = page.run(MAKE + "return p.ranked()", figure)
    exact = enumeration.probabilities(model).sort(descending=True).values
    assert [entry["probability"] for entry in ranked] == pytest.approx(exact.tolist(), rel=1e-10)
    first = -model.energy(grid(ranked[0]["y"], model)) - model.exact_log_partition()
    assert ranked[0]["probability"] == pytest.approx(first.exp().item(), rel=1e-10)


def test_sampling_approaches_the_exact_probabilities(page: Any) -> None:
    # 20,000 sweeps of a small grid decorrelate within some twenty: the standard error of a share is below 0.016,
    # so 0.1 is more than six of them for each of nine pixels, and the seed is fixed besides.
    shares, exact = page.run(
        "const { posterior } = explorables.ising_denoiser.current, random = explorables.random(3);"
        "const y = posterior.seen.slice(), sums = y.map(() => 0), n = 20000;"
        "for (let t = 0; t < n; t++) { posterior.gibbs(y, random); y.forEach((s, i) => { sums[i] += s > 0; }); }"
        "return [sums.map((sum) => sum / n), posterior.exact().ink]"
    )
    assert shares == pytest.approx(exact, abs=0.1)


def test_only_sweeps_after_the_burn_in_are_counted(page: Any) -> None:
    page.step(20)
    assert page.run("return explorables.ising_denoiser.current.counted") == 0
    page.step(5)
    assert page.run("return explorables.ising_denoiser.current.counted") == 5
    assert "after 5 sweeps" in page.readout()


def test_the_read_out_counts_wrong_pixels_and_gives_exact_probabilities(page: Any) -> None:
    picture = data.slide_image()
    model = ising.denoising_model(picture.noisy, 0.2, 0.5)
    truth, noisy = ising.to_spins(picture.truth), ising.to_spins(picture.noisy)
    best, log_z = ising.map_by_max_flow(model), model.exact_log_partition()
    text = page.readout()
    assert f"{int((noisy != truth).sum())} as seen" in text
    assert f"energy {model.energy(noisy):.2f}".replace("-", "−") in text
    assert f"least possible is {model.energy(best):.2f}".replace("-", "−") in text
    assert f"truth {(-model.energy(truth) - log_z).exp():.4f}" in text
    assert f"minimum cut {int((best != truth).sum())}" in text
    pixel = ising.exact_moments(model).spins[1, 0]
    assert f"exact p(ink) = {(1 + pixel) / 2:.3f}" in text  # of the magnified pixel


def test_the_magnified_pixel_adds_up(page: Any) -> None:
    model = ising.denoising_model(data.slide_image().noisy, 0.2, 0.5)
    y, _, _ = shown(page)
    pull = model.local_field(y.reshape(3, 3))[1, 0].item()
    text = page.readout()
    assert f"together a = {pull:.2f}".replace("-", "−") in text
    assert f"σ(2a) = {1 / (1 + math.exp(-2 * pull)):.3f}" in text


def test_keys_choose_a_pixel_and_flip_what_is_seen_or_true_and_the_link_keeps_both(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    _, seen, truth = shown(page)
    page.run(f"document.querySelector('#{FIGURE} canvas').focus()")
    page.press(Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ENTER)
    _, now, same = shown(page)
    assert (seen != now).nonzero().flatten().tolist() == [0]
    assert torch.equal(truth, same)
    page.press(Keys.ARROW_DOWN, "t")
    _, last, painted = shown(page)
    assert (truth != painted).nonzero().flatten().tolist() == [3]
    assert (now != last).nonzero().flatten().tolist() == [3]  # a true pixel keeps its noise
    link = page.driver.current_url
    page.open(link)
    assert [values.tolist() for values in shown(page)[1:]] == [last.tolist(), painted.tolist()]
    assert "&at=3&" in link


def test_a_click_on_what_is_seen_flips_that_pixel(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = page.run(f"return document.querySelector('#{FIGURE} canvas')")
    width, height = canvas.size["width"], canvas.size["height"]
    side = min((width - 12) / 2, height - 22)
    gap = min(width - 2 * side, 40)
    x, y = side + gap + side / 6, 22 + side / 6  # the first pixel of the right picture
    before = shown(page)[1]
    ActionChains(page.driver).move_to_element_with_offset(
        canvas, round(x - width / 2), round(y - height / 2)
    ).click().perform()
    assert (before != shown(page)[1]).nonzero().flatten().tolist() == [0]


def test_a_damaged_link_falls_back_to_what_the_controls_allow(page: Any) -> None:
    page.open(f"{page.driver.current_url.split('#')[0]}#{FIGURE}?picture=cat&J=-3&eps=x&y=012&f=2&method=no")
    posterior = page.run("return explorables.ising_denoiser.current.posterior")
    assert (posterior["size"], posterior["coupling"], posterior["epsilon"]) == (9, 0, 0.2)
    assert page.errors() == []


@pytest.mark.parametrize("picture", ["slide", "letter", "disc", "blank"])
def test_every_picture_can_be_restored_by_every_method(page: Any, picture: str) -> None:
    address = page.driver.current_url.split("#")[0]
    for method in ("gibbs", "icm", "cut"):
        page.open(f"{address}#{FIGURE}?picture={picture}&method={method}&noise=0.1&J=0.5&eps=0.1&seed=2")
        page.step(30)
        y, seen, _ = shown(page)
        rows = 3 if picture == "slide" else 12
        model = ising.denoising_model(ising.to_labels(seen).reshape(rows, rows), 0.1, 0.5)
        energy = model.energy(y.reshape(rows, rows)).item()
        best = model.energy(ising.map_by_max_flow(model)).item()
        assert energy >= best - 1e-9
        if method == "cut":
            assert energy == pytest.approx(best, abs=1e-9)
        if method == "icm":
            assert torch.equal(y, ising.icm(model, seen.reshape(rows, rows)).flatten())
    assert page.errors() == []


def test_the_minimum_cut_is_there_at_once_and_leaves_nothing_to_play(page: Any) -> None:
    setting = (
        f"const c = document.getElementById('{FIGURE}-' + arguments[0]); c.value = arguments[1];"
        "c.dispatchEvent(new Event(arguments[2]))"
    )
    buttons = (
        f"return [...document.querySelectorAll('#{FIGURE} .explorable-buttons button')]"
        ".map((b) => [b.textContent, b.disabled])"
    )
    noisy = data.slide_image().noisy
    page.click("Play")
    page.run(setting, "method", "cut", "change")
    assert page.run(buttons) == [["Play", True], ["Step", True], ["Restart", False]]
    for coupling in (0.5, 0.8, 0.2):
        page.run(setting, "J", coupling, "input")
        best = ising.map_by_max_flow(ising.denoising_model(noisy, 0.2, coupling))
        assert torch.equal(shown(page)[0], best.flatten())
        assert "sweep" not in page.readout()
    page.run(f"document.querySelector('#{FIGURE} .explorable-stage').focus()")
    page.press(".", " ")
    assert page.run(buttons)[0] == ["Play", True]
    assert torch.equal(shown(page)[0], best.flatten())
    page.run(setting, "method", "icm", "change")
    assert page.run(buttons) == [["Play", False], ["Step", False], ["Restart", False]]
    assert "sweep 0" in page.readout()


def test_without_neighbours_the_answer_is_epsilon_and_no_coupling_lifts_it_above_one_half(page: Any) -> None:
    task = page.task("No neighbours")
    noisy = data.slide_image().noisy

    def ink(coupling: float) -> float:
        moments = ising.exact_moments(ising.denoising_model(noisy, 0.2, coupling))
        return (1 + moments.spins[2, 0].item()) / 2

    assert noisy[2, 0] == 0
    assert task["answer"] == pytest.approx(ink(0), abs=1e-9)
    grown = [ink(0.05 * step) for step in range(31)]
    assert grown[:11] == sorted(grown[:11])  # "up to one half"
    assert grown[10] > grown[0] + 0.1
    assert max(*grown, ink(3), ink(6)) < 0.5
    assert f"{task['answer']:.3f}" not in page.readout()  # the untouched figure gives nothing away
    page.try_task("No neighbours")
    assert (
        f"exact p(ink) = {task['answer']:.3f}" in page.readout()
    )  # the pixel of the task is the magnified one
    slide = (
        f"const s = document.getElementById('{FIGURE}-J'); s.value = 0.5; s.dispatchEvent(new Event('input'))"
    )
    page.run(slide)
    assert f"exact p(ink) = {grown[10]:.3f}" in page.readout()


def test_the_most_probable_picture_is_the_truth_only_for_middling_couplings(page: Any) -> None:
    picture = data.slide_image()
    truth = ising.to_spins(picture.truth)
    wrong = {}
    for step in range(31):
        model = ising.denoising_model(picture.noisy, 0.2, 0.05 * step)
        wrong[round(0.05 * step, 2)] = int((ising.map_by_max_flow(model) != truth).sum())
    assert [coupling for coupling, count in wrong.items() if count == 0] == [0.35, 0.4, 0.45, 0.5]
    assert page.task("More smoothing")["answer"] == "paper everywhere"
    page.try_task("More smoothing")
    assert page.readout().startswith("minimum cut, exact: 5 of 9 pixels wrong")
    y, _, _ = shown(page)
    assert (y == -1).all()
    assert wrong[0.8] == 5
    assert "ICM 0" in page.readout()  # the worse search stops at the truth


def test_the_thin_line_goes_before_the_disc(page: Any) -> None:
    assert page.task("What goes first")["answer"] == "the thin line"
    page.try_task("What goes first")
    y, _, truth = shown(page)
    y, truth = y.reshape(12, 12), truth.reshape(12, 12)
    assert (truth[10] > 0).sum() == 10
    assert (y[9:] < 0).all()
    padded = torch.nn.functional.pad(truth, (1, 1, 1, 1), value=0)
    around = torch.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    line = truth[10] > 0
    assert ((around[:, 10, line] < 0).sum(0) >= 2).all()  # neighbours of paper
    assert ((around[:, 10, line] > 0).sum(0) <= 2).all()  # and of ink
    assert (around[:, 4, 4] > 0).all()  # inside the disc
    disc = truth[:8, :8] > 0
    assert (y[:8, :8][disc] > 0).all()
