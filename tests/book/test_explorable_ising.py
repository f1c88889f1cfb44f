"""The interactive Ising model: its numbers are ebmkit's, and it obeys mouse, keyboard, link and settings."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ebmkit import ising

pytestmark = [pytest.mark.browser, pytest.mark.slow]

INTO_VIEW = (
    "document.querySelector('#explorable-ising .explorable-stage')"
    ".scrollIntoView({block: 'center', behavior: 'instant'})"
)
SPINS = "return [...explorables.ising.current.spins]"


def sweeps(browser: Any) -> int:
    return int(browser.readout().split("sweep ")[1].split(":")[0])


@pytest.mark.parametrize("seed", [0, 1, 4294967295])
def test_the_generator_is_the_one_the_tests_replay(page: Any, sfc32: Any, seed: int) -> None:
    script = "const next = explorables.random(arguments[0]); return Array.from({length: 50}, next)"
    replay = sfc32(seed)
    assert page.run(script, seed) == [replay.next() for _ in range(50)]


@pytest.mark.parametrize("temperature", [0.5, 2.27, 4.0])
@pytest.mark.parametrize("field", [-0.5, 0.0, 0.3])
def test_update_probabilities_are_those_of_ebmkit(page: Any, temperature: float, field: float) -> None:
    model = ising.Ising((5, 5), coupling=1 / temperature, field=field / temperature, periodic=True)
    for up in range(5):
        spins = -torch.ones(5, 5, dtype=torch.float64)
        for row, column in [(1, 2), (3, 2), (2, 1), (2, 3)][:up]:
            spins[row, column] = 1
        expected = model.conditional(spins)[2, 2].item()
        script = "return explorables.ising.updateProbability(...arguments)"
        assert page.run(script, temperature, field, 2 * up - 4) == pytest.approx(expected, rel=1e-12)


def test_exact_curves_are_those_of_ebmkit(page: Any) -> None:
    critical = 1 / ising.CRITICAL_COUPLING
    assert page.run("return explorables.ising.criticalTemperature") == pytest.approx(critical, rel=1e-14)
    temperatures = [1.0, 1.7, 2.2, critical - 1e-6, critical, critical + 1e-6, 2.4, 3.1, 4.0]
    for name, exact in (("energy", ising.onsager_energy), ("magnetization", ising.yang_magnetization)):
        drawn = page.run(f"return arguments[0].map(explorables.ising.{name})", temperatures)
        expected = [exact(1 / temperature).item() for temperature in temperatures]
        assert drawn == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("temperature", "field", "seed"), [(2.27, 0.0, 1), (1.2, 0.1, 7), (4.0, -0.5, 123456789)]
)
def test_a_seeded_run_is_the_one_of_ebmkit(
    page: Any, sfc32: Any, temperature: float, field: float, seed: int
) -> None:
    size, n_sweeps = 8, 30
    runs = page.run(
        """
        const [size, T, h, seed, sweeps] = arguments;
        const lattice = new explorables.ising.Lattice(size, T, h, seed, "random");
        const seen = [];
        for (let i = 0; i <= sweeps; i++) {
          seen.push([[...lattice.spins], lattice.meanEnergy(), lattice.meanSpin()]);
          lattice.sweep();
        }
        return seen;
        """,
        size, temperature, field, seed, n_sweeps,
    )  # fmt: skip
    replay = sfc32(seed)
    model = ising.Ising((size, size), coupling=1 / temperature, field=field / temperature, periodic=True)
    spins = 2.0 * replay.bernoulli(torch.full((size, size), 0.5, dtype=torch.float64)) - 1
    for shown, energy, mean in runs:
        assert torch.equal(torch.tensor(shown).reshape(size, size).double(), spins)
        assert energy == pytest.approx(temperature * model.energy(spins).item() / size**2, abs=1e-12)
        assert mean == pytest.approx(spins.mean().item(), abs=1e-12)
        spins = ising.gibbs_sweep(model, spins, generator=replay)


def test_step_makes_one_sweep_and_restart_begins_again_with_the_same_spins(page: Any) -> None:
    first = page.run(SPINS)
    for count in (1, 2, 3):
        page.click("Step")
        assert sweeps(page) == count
    moved = page.run(SPINS)
    assert moved != first
    page.click("Restart")
    assert sweeps(page) == 0
    assert page.run(SPINS) == first
    for _ in range(3):
        page.click("Step")
    assert page.run(SPINS) == moved


def test_play_moves_what_is_drawn_and_pause_stops_it(page: Any) -> None:
    picture = "return document.querySelector('#explorable-ising .explorable-views canvas').toDataURL()"
    before = page.run(picture)
    page.play_and_pause(sweeps)
    assert page.run(picture) != before


def test_the_read_out_states_the_exact_answer_beside_the_sampled_one(page: Any) -> None:
    page.open(page.driver.current_url.split("#")[0] + "#explorable-ising?T=1.8&h=0&speed=6&start=up&seed=3")
    for _ in range(60):
        page.click("Step")
    text = page.readout()
    assert f"|m| {ising.yang_magnetization(1 / 1.8).item():.3f}" in text
    assert f"energy {ising.onsager_energy(1 / 1.8).item():.3f}".replace("-", "−") in text
    assert "Means over 10 sweeps" in text
    assert (
        page.run("return document.querySelector('#explorable-ising .explorable-announcer').textContent")
        == text
    )


def test_the_keyboard_plays_steps_restarts_and_turns_the_temperature(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.run("document.querySelector('#explorable-ising .explorable-stage').focus()")
    page.press(".", ".")
    assert sweeps(page) == 2
    page.press("r")
    assert sweeps(page) == 0
    page.press(" ")
    time.sleep(0.7)
    page.press(" ")
    played = sweeps(page)
    assert played > 0
    page.run("document.getElementById('explorable-ising-T').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page.run("return explorables.ising.current.temperature") == pytest.approx(2.28)
    page.press(".")
    assert sweeps(page) == 1  # counted from the change of temperature
    reached = []
    page.run("document.querySelector('#explorable-ising .explorable-stage').focus()")
    for _ in range(12):
        page.press(Keys.TAB)
        reached.append(page.run("return document.activeElement.textContent || document.activeElement.id"))
    assert {
        "Play",
        "Step",
        "Restart",
        "explorable-ising-T",
        "explorable-ising-h",
        "explorable-ising-seed",
    } <= set(reached)


def test_a_link_restores_the_state_and_a_change_updates_the_link(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-ising?T=1.5&h=0.1&start=up&speed=2&seed=9")
    state = "const l = explorables.ising.current; return [l.temperature, l.field, l.meanSpin()]"
    assert page.run(state) == [1.5, 0.1, 1]
    assert page.run("return document.getElementById('explorable-ising-seed').value") == "9"
    assert page.errors() == []
    page.run(
        "const T = document.getElementById('explorable-ising-T');"
        "T.value = 3.25; T.dispatchEvent(new Event('input'))"
    )
    link = page.driver.current_url
    assert "T=3.25" in link
    assert "h=0.1" in link
    page.open(link)
    assert page.run(state)[0] == 3.25


@pytest.mark.parametrize("nonsense", ["T=abc&h=&seed=-5", "T=1e9&h=-1e9&speed=99&start=sideways&seed=1e99"])
def test_a_damaged_link_falls_back_to_what_the_controls_allow(page: Any, nonsense: str) -> None:
    page.open(page.driver.current_url.split("#")[0] + f"#explorable-ising?{nonsense}")
    temperature, field = page.run("const l = explorables.ising.current; return [l.temperature, l.field]")
    assert 1 <= temperature <= 4
    assert -0.5 <= field <= 0.5
    assert page.errors() == []


def test_the_critical_temperature_is_marked_and_can_be_chosen(page: Any) -> None:
    page.run("document.getElementById('explorable-ising-T').value = 1.5")
    page.run("document.querySelector('#explorable-ising .explorable-mark').click()")
    critical = 1 / ising.CRITICAL_COUPLING
    assert page.run("return explorables.ising.current.temperature") == pytest.approx(critical, abs=0.005)


def test_it_rests_while_it_is_off_screen(page: Any) -> None:
    page.click("Play")
    time.sleep(0.3)
    page.run("document.body.style.paddingBottom = '3000px'")
    page.run("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    time.sleep(0.5)
    resting = page.run(SPINS)
    time.sleep(0.7)
    assert page.run(SPINS) == resting
    page.run(INTO_VIEW)
    time.sleep(0.7)
    assert page.run(SPINS) != resting


def test_with_reduced_motion_nothing_starts_alone_and_the_picture_changes_slowly(
    new_browser: Callable[..., Any], figures: Path
) -> None:
    browser = new_browser(calm=True)
    browser.figure = "#explorable-ising"
    browser.open(f"{figures.as_uri()}/ising.html")
    browser.run(INTO_VIEW)
    time.sleep(0.5)
    assert sweeps(browser) == 0
    browser.run(
        "const canvas = CanvasRenderingContext2D.prototype, put = canvas.putImageData; window.drawn = 0;"
        "canvas.putImageData = function (...a) { window.drawn++; return put.apply(this, a); }"
    )
    browser.click("Play")
    start = time.monotonic()
    time.sleep(2)
    drawn, elapsed = browser.run("return window.drawn"), time.monotonic() - start
    browser.click("Pause")
    assert 1 <= drawn <= 2 * elapsed + 1


def test_the_canvas_follows_the_theme(page: Any) -> None:
    curve = "return document.querySelectorAll('#explorable-ising .explorable-views canvas')[1].toDataURL()"
    light = page.run(curve)
    page.run("document.documentElement.dataset.theme = 'dark'")
    time.sleep(0.3)
    assert page.run(curve) != light


def test_the_lattice_settles_at_yangs_value_as_its_task_says(page: Any) -> None:
    task = page.task("Below the critical temperature")
    assert task["answer"] == pytest.approx(ising.yang_magnetization(1 / 1.8).item(), abs=0.0005)
    assert ising.yang_magnetization(1 / 2.2).item() == pytest.approx(0.785, abs=0.0005)
    page.try_task("Below the critical temperature")
    page.step(150)
    mean = float(page.readout().split("Means over 100 sweeps: |m| ")[1].split(",")[0])
    assert mean == pytest.approx(task["answer"], abs=task["tolerance"])


def test_from_noise_two_domains_form_and_last(page: Any) -> None:
    assert page.task("A start from noise")["answer"].startswith("below 0.3")
    assert ising.yang_magnetization(1 / 1.2).item() > 0.99
    run = (
        "const l = new explorables.ising.Lattice(64, 1.2, 0, arguments[0], 'random'), seen = [];"
        "for (let i = 0; i < arguments[1]; i++) { l.sweep(); seen.push(Math.abs(l.meanSpin())); } return seen"
    )
    stuck, lucky = (page.run(run, seed, sweeps) for seed, sweeps in ((3, 2500), (2, 1200)))
    assert max(stuck[400:]) < 0.3
    assert min(lucky[700:]) > 0.98
    page.try_task("A start from noise")
    page.step(5)
    assert abs(page.run("return explorables.ising.current.meanSpin()")) == pytest.approx(stuck[4], abs=1e-12)


def test_against_a_weak_field_the_spins_stay_up_though_down_is_far_more_probable(page: Any) -> None:
    assert page.task("A field against the spins")["answer"].startswith("they stay up")
    model = ising.Ising((64, 64), coupling=1 / 1.5, field=-0.1 / 1.5, periodic=True)
    up = torch.ones(64, 64, dtype=torch.float64)
    assert model.log_ratio(-up, up).item() == pytest.approx(546, abs=0.5)
    assert 1.5 * model.log_ratio(-up, up).item() == pytest.approx(819, abs=0.5)
    run = (
        "const l = new explorables.ising.Lattice(64, 1.5, arguments[0], 1, 'up'), seen = [];"
        "for (let i = 0; i < 300; i++) { l.sweep(); seen.push(l.meanSpin()); } return seen"
    )
    assert min(page.run(run, -0.1)[:200]) > 0.9
    strong = page.run(run, -0.3)
    assert strong[20] > 0.9
    assert strong[-1] < -0.9
    assert 50 < next(t for t, m in enumerate(strong) if m < 0) < 250  # "after some hundred sweeps"


def test_patches_grow_towards_the_critical_temperature_and_settle_most_slowly_there(page: Any) -> None:
    # "how the size of the patches changes near T_c, how long the dots take to settle there": the seed is fixed, and
    # each difference is several times what other seeds show.
    seen = page.run(
        """
        const { Lattice } = explorables.ising;
        return arguments[0].map((T) => {
          const l = new Lattice(64, T, 0, 5, T < 2 ? "up" : "random"), m = [], alike = [];
          for (let t = 0; t < 1000; t++) {
            l.sweep();
            if (t < 300) continue;
            m.push(l.meanSpin());
            if (t % 10) continue;
            let sum = 0;
            l.spins.forEach((spin, i) => { sum += spin * l.spins[64 * Math.floor(i / 64) + (i + 6) % 64]; });
            alike.push(sum / 4096);
          }
          return [m, alike];
        });
        """,
        [1.8, 2.27, 2.6, 3.4],
    )
    together, memory = [], []  # six sites apart; twenty sweeps apart
    for spins, alike in seen:
        together.append(sum(alike) / len(alike))
        m = torch.tensor(spins, dtype=torch.float64)
        m = m - m.mean()
        memory.append(((m[:-20] * m[20:]).mean() / m.square().mean()).item())
    assert (
        together[3] < 0.04 < together[2] < 0.3 < together[1] < together[0]
    )  # patches grow towards T_c from above
    assert memory[1] > 0.6 > max(memory[0], memory[2], memory[3])


def test_a_small_field_lifts_the_dots_off_the_curve(page: Any) -> None:
    # "what a small field does to them": above T_c, where the exact curve without a field is zero.
    lifted = {}
    address = page.driver.current_url.split("#")[0]
    for field in (0, 0.1):
        page.open(f"{address}#explorable-ising?T=2.6&h={field}&seed=4")
        page.run("for (let i = 0; i < 200; i++) explorables.ising.current.sweep()")
        page.step(150)
        lifted[field] = float(page.readout().split("sweeps: |m| ")[1].split(",")[0])
    assert lifted[0] < 0.35
    assert lifted[0.1] > 0.55


def test_the_two_domains_stretch_around_the_torus(page: Any) -> None:
    spins = page.run(
        "const l = new explorables.ising.Lattice(64, 1.2, 0, 3, 'random');"
        "for (let i = 0; i < 400; i++) l.sweep(); return [...l.spins]"
    )
    assert sorted(around(spins)) == [-1, 1]


def around(spins: list[int]) -> list[int]:
    """The colour of each connected patch that holds a third of the torus and meets every row or every column."""
    left, found = set(range(64 * 64)), []
    while left:
        patch, edge = set(), [left.pop()]
        while edge:
            site = edge.pop()
            patch.add(site)
            row, column = divmod(site, 64)
            for r, c in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                next_to = 64 * (r % 64) + c % 64
                if next_to in left and spins[next_to] == spins[site]:
                    left.remove(next_to)
                    edge.append(next_to)
        lines = max(len({site // 64 for site in patch}), len({site % 64 for site in patch}))
        if len(patch) > 64 * 64 / 3 and lines == 64:
            found.append(spins[edge[0] if edge else min(patch)])
    return found


def test_a_small_patch_costs_more_at_its_border_than_it_gains_and_vanishes(page: Any) -> None:
    costs, gone = page.run(
        """
        const { Lattice } = explorables.ising;
        const runs = Array.from({length: 40}, (_, seed) => {
          const l = new Lattice(64, 1.5, -0.1, seed, "up"), before = l.meanEnergy();
          const patch = [0, 1, 2].flatMap((r) => [0, 1, 2].map((c) => 64 * (20 + r) + 20 + c));
          for (const site of patch) l.spins[site] = -1;
          const cost = 4096 * (l.meanEnergy() - before);
          for (let t = 0; t < 60; t++) l.sweep();
          return [cost, patch.reduce((sum, site) => sum + l.spins[site], 0) > 4];
        });
        return [runs[0][0], runs.filter(([, vanished]) => vanished).length];
        """
    )
    assert costs == pytest.approx(2 * 12 - 2 * 0.1 * 9)
    assert gone >= 36


def test_amber_is_up_and_blue_is_down(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-ising?T=1&start=up")
    inks = page.run(
        "const c = document.querySelector('#explorable-ising canvas');"
        "const d = c.getContext('2d').getImageData(9, 9, 1, 1).data;"
        "const style = getComputedStyle(document.querySelector('#explorable-ising'));"
        "const up = style.getPropertyValue('--explorable-up');"
        "return [up.trim(), '#' + [0, 1, 2].map((k) => d[k].toString(16).padStart(2, '0')).join('')]"
    )
    assert inks[0] == inks[1] == "#f0b13c"  # amber
