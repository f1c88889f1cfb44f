"""The interactive Boltzmann machine: its numbers are ebmkit's, and painting obeys pointer, keyboard and link."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ebmkit.boltzmann_machines import RBM, bit_states

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIDE = 8
STATE = "return explorables.boltzmann_machines.current"
UNKNOWN = "_"


@pytest.fixture
def machine(page: Any) -> RBM:
    return loaded(page)


def loaded(page: Any) -> RBM:
    """The page's machine in ebmkit."""
    stored = page.run(
        "const { hidden, W, a, b } = explorables.boltzmann_machines.load().machine;"
        "return { hidden, W: [...W], a: [...a], b: [...b] }"
    )
    rbm = RBM(SIDE**2, stored["hidden"], dtype=torch.float64).requires_grad_(False)
    for name in "Wab":
        parameter = getattr(rbm, name)
        parameter.copy_(torch.tensor(stored[name], dtype=torch.float64).reshape(parameter.shape))
    return rbm


def call(page: Any, script: str, *arguments: Any) -> Any:
    """Runs `script` where `machine` is the page's machine."""
    return page.run(f"const {{ machine }} = explorables.boltzmann_machines.load(); {script}", *arguments)


def pictures(n: int) -> Tensor:
    return torch.rand(n, SIDE**2, generator=torch.Generator().manual_seed(n)).round().double()


def test_the_chapter_leaves_a_trained_machine_of_as_many_units_as_the_task_says(
    browser: Any, site: Path
) -> None:
    browser.open(f"{site.as_uri()}/book/boltzmann_machines.html")
    rbm = loaded(browser)
    examples = browser.run("return explorables.boltzmann_machines.load().examples")
    digits = torch.tensor(
        [[float(bit) for bit in example["bits"]] for example in examples], dtype=torch.float64
    )
    # Test digits are more probable than noise by far.
    assert rbm.energy(digits).max() < rbm.energy(pictures(100)).min()
    assert browser.task("An exact answer to a large question")["answer"] == 2 ** rbm.W.shape[1]


def test_conditionals_and_free_energy_are_those_of_ebmkit(page: Any, machine: RBM) -> None:
    for v in pictures(5):
        bits = v.int().tolist()
        shown = call(page, "return [...machine.hiddenProbability(arguments[0])]", bits)
        assert shown == pytest.approx(machine.hidden_probability(v).tolist(), rel=1e-9)
        free = call(page, "return machine.freeEnergy(arguments[0])", bits)
        assert free == pytest.approx(machine.energy(v).item(), abs=1e-9)
        h = (v[: machine.W.shape[1]]).int()
        shown = call(page, "return [...machine.visibleProbability(arguments[0])]", h.tolist())
        assert shown == pytest.approx(machine.visible_probability(h.double()).tolist(), rel=1e-9)


def test_the_sum_over_hidden_states_is_the_exact_log_z_of_ebmkit(page: Any, machine: RBM) -> None:
    log_z = call(page, "return machine.exact(arguments[0]).logWeight", UNKNOWN * SIDE**2)
    assert log_z == pytest.approx(machine.exact_log_partition().item(), abs=1e-9)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_exact_probabilities_are_those_of_the_clamped_machine(page: Any, machine: RBM, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    v = torch.rand(SIDE**2, generator=generator).round().double()
    free = torch.randperm(SIDE**2, generator=generator)[:10]
    known = "".join(UNKNOWN if i in free else str(int(bit)) for i, bit in enumerate(v))
    candidates = v.repeat(2**10, 1)
    candidates[:, free] = bit_states(10)
    log_weights = -machine.energy(candidates)
    means = log_weights.softmax(0) @ candidates
    shown = call(page, "return machine.exact(arguments[0])", known)
    assert shown["logWeight"] == pytest.approx(log_weights.logsumexp(0).item(), abs=1e-9)
    assert shown["means"] == pytest.approx(means.tolist(), abs=1e-9)


def test_a_seeded_run_is_the_block_gibbs_sampling_of_ebmkit(page: Any, machine: RBM, sfc32: Any) -> None:
    start = pictures(1)[0]
    known = "".join(str(int(bit)) if i % SIDE < 4 else UNKNOWN for i, bit in enumerate(start))
    n_steps = 20
    runs = call(
        page,
        "let [v, known, n] = arguments; const random = explorables.random(5), seen = [];"
        "for (let i = 0; i < n; i++) { v = machine.step(v, known, random); seen.push([...v]); }"
        "return seen",
        start.int().tolist(),
        known,
        n_steps,
    )
    replay = sfc32(5)
    held = torch.tensor([mark != UNKNOWN for mark in known])
    v = start
    for shown in runs:
        v = torch.where(held, start, machine.gibbs_step(v, generator=replay))
        assert shown == v.int().tolist()


def test_steps_keep_what_is_known_and_restart_begins_again(page: Any) -> None:
    first = page.run(STATE)
    for count in (1, 2, 3):
        page.click("Step")
        now = page.run(STATE)
        assert now["steps"] == count
        assert all(mark in (UNKNOWN, str(bit)) for mark, bit in zip(now["known"], now["v"]))
    assert now["v"] != first["v"]
    page.click("Restart")
    assert page.run(STATE) == first


def test_play_moves_and_pause_stops(page: Any) -> None:
    page.play_and_pause(lambda browser: browser.run(STATE)["steps"])


def test_the_pointer_paints_and_the_link_restores_the_painting(page: Any) -> None:
    from selenium.webdriver import ActionChains

    before = page.run(STATE)["known"]
    assert before[27] in "01"
    canvas = page.run("return document.querySelector('.explorable-views canvas')")
    cell = page.run("return document.querySelector('.explorable-views canvas').clientWidth") / SIDE
    at = (round(2.5 * cell), round(-3.5 * cell))  # from the centre: row 0, column 6, unknown at first
    ActionChains(page.driver).move_to_element_with_offset(canvas, *at).click().perform()
    painted = page.run(STATE)
    assert before[6] == UNKNOWN
    assert painted["known"][6] == "1"
    assert painted["v"][6] == 1
    link = page.driver.current_url
    page.open(link)
    assert page.run(STATE)["known"] == painted["known"]
    assert page.errors() == []


def test_the_keyboard_paints(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    before = page.run(STATE)["known"]
    page.run("document.querySelector('.explorable-views canvas').focus()")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ENTER)
    after = page.run(STATE)["known"]
    assert [i for i in range(SIDE**2) if before[i] != after[i]] == [36]
    assert after[36] == "1"


@pytest.mark.parametrize("nonsense", ["v=01&start=99&seed=-1", "v=" + "2" * 64 + "&speed=99&brush=x"])
def test_a_damaged_link_falls_back(page: Any, nonsense: str) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-boltzmann_machines?{nonsense}")
    assert len(page.run(STATE)["known"]) == SIDE**2
    assert page.errors() == []


def test_the_read_out_states_the_exact_log_probability(page: Any, machine: RBM) -> None:
    known = page.run(STATE)["known"]
    weight = call(page, "return machine.exact(arguments[0]).logWeight", known)
    expected = weight - machine.exact_log_partition().item()
    text = page.run("return document.querySelector('.explorable-readout').textContent")
    shown = f"{expected:.2f}".replace("-", "−")
    assert f"log-probability is {shown}." in text


def test_the_hidden_units_are_drawn_from_the_picture_before_and_shown(
    page: Any, sfc32: Any, machine: RBM
) -> None:
    before = page.run(STATE)
    assert before["h"] is None
    replay = sfc32(1)
    replay.uniforms(SIDE**2)  # the random picture
    page.click("Step")
    now = page.run(STATE)
    p = machine.hidden_probability(torch.tensor(before["v"], dtype=torch.float64))
    assert now["h"] == replay.bernoulli(p).int().tolist()
    assert f"Hidden units that are on: {sum(now['h'])} of 14" in page.readout()


def test_the_read_out_states_the_exact_log_probability_of_the_completion(page: Any, machine: RBM) -> None:
    page.step(3)
    state = page.run(STATE)
    weight = call(page, "return machine.exact(arguments[0]).logWeight", state["known"])
    expected = -machine.energy(torch.tensor(state["v"], dtype=torch.float64)).item() - weight
    assert expected < 0
    assert f"this completion {expected:.2f}".replace("-", "−") in page.readout()


def test_with_nothing_known_the_exact_log_probability_is_zero(page: Any) -> None:
    page.try_task("Nothing known")
    assert page.task("Nothing known")["answer"] == 0
    assert "0 of 64 pixels known, their exact log-probability is 0.00." in page.readout()


def test_the_first_task_opens_half_of_the_pixels(page: Any) -> None:
    page.try_task("An exact answer to a large question")
    assert "32 of 64 pixels known" in page.readout()
    assert page.task("An exact answer to a large question")["answer"] == 2**14


def test_over_a_fixed_picture_the_hidden_units_are_tossed_anew(page: Any, machine: RBM, sfc32: Any) -> None:
    assert page.task("A fixed picture")["answer"].startswith("each is drawn anew")
    bits = "".join(str(int(bit)) for bit in pictures(1)[0])
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-boltzmann_machines?v={bits}&seed=2")
    replay = sfc32(2)
    replay.uniforms(SIDE**2)
    p = machine.hidden_probability(pictures(1)[0])
    for _ in range(4):
        page.click("Step")
        assert page.run(STATE)["h"] == replay.bernoulli(p).int().tolist()  # the same coins each time
        replay.uniforms(SIDE**2)  # for the pixels, which are held
    assert "Log-probability of this completion" not in page.readout()


def test_the_brush_erases_and_the_machine_fills_what_was_erased(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.run(
        "const s = document.getElementById('explorable-boltzmann_machines-brush'); s.value = '_';"
        "s.dispatchEvent(new Event('change'))"
    )
    page.run("document.querySelector('.explorable-views canvas').focus()")
    before = page.run(STATE)["known"]
    page.press(Keys.ENTER)
    known = page.run(STATE)["known"]
    assert (before[27] in "01", known[27]) == (True, UNKNOWN)
    assert "31 of 64 pixels known" in page.readout()
    inks = page.run(
        "const m = explorables.boltzmann_machines, seen = []; for (let i = 0; i < 60; i++) {"
        "document.querySelectorAll('.explorable-buttons button')[1].click(); seen.push(m.current.v[27]); }"
        " return seen"
    )
    assert sorted(set(inks)) == [0, 1]  # it is drawn again and again


def test_each_hidden_unit_is_framed_while_it_is_on(page: Any) -> None:
    page.run(
        "const c = CanvasRenderingContext2D.prototype, stroke = c.strokeRect; window.frames4 = [];"
        "c.strokeRect = function (...a) { if (this.lineWidth === 4) window.frames4.push(this.strokeStyle);"
        " return stroke.apply(this, a); }"
    )
    page.step(1)
    drawn = page.run("return window.frames4")
    ink = page.run(
        "return getComputedStyle(document.querySelector('.explorable')).getPropertyValue('--explorable-ink').trim()"
    )
    on = page.run(STATE)["h"]
    assert [frame == ink for frame in drawn] == [bool(bit) for bit in on]
    assert 0 < sum(on) < 14


def test_a_painted_pixel_counts_by_its_probability_and_each_further_one_lowers_the_sum(
    page: Any, machine: RBM
) -> None:
    from selenium.webdriver.common.keys import Keys

    assert 2**32 > 4e9  # "more than four billion completions"
    page.try_task("Nothing known")
    page.run("document.querySelector('.explorable-views canvas').focus()")

    def logged() -> float:
        return float(page.readout().split("log-probability is ")[1].split(". ")[0].replace("−", "-"))

    nothing = UNKNOWN * SIDE**2
    chance = call(page, "return machine.exact(arguments[0]).means[27]", nothing)
    exact = [0.0]
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN):
        page.press(Keys.ENTER, key)
        weight = call(page, "return machine.exact(arguments[0]).logWeight", page.run(STATE)["known"])
        exact.append(weight - machine.exact_log_partition().item())
        assert logged() == pytest.approx(exact[-1], abs=0.006)
    assert exact[1] == pytest.approx(torch.tensor(chance).log().item(), abs=1e-6)
    assert all(after < before for before, after in itertools.pairwise(exact))
