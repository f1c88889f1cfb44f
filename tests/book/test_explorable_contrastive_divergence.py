"""The interactive machines on bars and stripes: every update is ebmkit's, and the controls work."""

import functools
import math
import time
from typing import Any

import pytest
import torch

from ebmkit import contrastive_divergence as learning
from ebmkit import data
from ebmkit.boltzmann_machines import RBM, bit_states

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


@pytest.mark.parametrize(("schedule", "copies"), [("falling", 1), ("constant", 4), ("falling", 8)])
def test_a_falling_rate_and_more_chains_update_as_ebmkit_does(
    page: Any, sfc32: Any, schedule: str, copies: int
) -> None:
    seen, rates, chains = page.run(
        "const [schedule, copies, n] = arguments, rates = [];"
        "const race = new explorables.contrastive_divergence.Race({rate: 0.5, k: 2, seed: 3, schedule, copies});"
        "for (let i = 0; i < n; i++) { rates.push(race.rate); race.update(); }"
        "return [race.curves.pcd, rates, race.chains]",
        schedule,
        copies,
        20,
    )
    model, generator = start(sfc32(3)), sfc32(5)
    state = {"chains": PICTURES.repeat(copies, 1)}
    for update in range(20):
        assert seen[update] == pytest.approx(log_likelihood(model), abs=1e-9)
        rate = 0.5 / (1 + 19 * update / 4000) if schedule == "falling" else 0.5
        assert rates[update] == pytest.approx(rate, rel=1e-12)
        gradient = learning.pcd(model, PICTURES, k=2, state=state, generator=generator)
        state = gradient.state
        with torch.no_grad():
            for parameter, tensor in model.named_parameters():
                tensor -= rate * gradient.parameters[parameter]
    assert torch.equal(torch.tensor(chains, dtype=torch.float64), state["chains"])


def test_the_rate_falls_to_a_twentieth_where_the_figure_rests(page: Any) -> None:
    share = page.run(
        "const c = explorables.contrastive_divergence;"
        "const race = new c.Race({rate: 1, k: 1, seed: 1, schedule: 'falling'});"
        "race.updates = c.LIMIT; return [race.rate, c.LIMIT]"
    )
    assert share == [pytest.approx(1 / 20), 4000]


def test_the_best_possible_likelihood_is_the_tasks_answer(page: Any) -> None:
    task = page.task("The best there is")
    assert task["answer"] == pytest.approx(-math.log(14), abs=task["tolerance"])
    assert len(PICTURES.unique(dim=0)) == 14


def test_at_a_constant_rate_pcd_falls_far_below_cd(page: Any) -> None:
    assert page.task("Chains at a constant rate")["answer"].endswith("falls far below CD")
    _, curves, _ = page.run(RUN, 0.3, 1, 1, 1000)
    best = max(curves["pcd"])
    assert f"{best:.1f}" == "-3.5"
    assert curves["pcd"][-1] < -5
    assert curves["pcd"][-1] < curves["cd"][-1] - 1.5
    page.try_task("Chains at a constant rate")
    page.step(3)
    shown = page.run("return explorables.contrastive_divergence.current.curves.pcd")
    assert shown == curves["pcd"][:4]


def test_sixteen_times_as_many_chains_quarter_the_error_and_with_a_falling_rate_pcd_stays_above_cd(
    page: Any, sfc32: Any
) -> None:
    # 400 averages of independent states each: the ratio of the two root mean squares has a relative standard error
    # of about 0.02, so 0.03 absolute is six of them; the generator is fixed besides.
    model = start(sfc32(1))
    with torch.no_grad():
        model.W *= 20
    states = bit_states(9).double()
    p = (-model.energy(states)).softmax(0).detach()
    statistics = (states[:, :, None] * model.hidden_probability(states)[:, None, :]).flatten(1).detach()
    exact = p @ statistics
    generator = torch.Generator().manual_seed(0)
    errors = [
        (statistics[p.multinomial(400 * n, True, generator=generator)].reshape(400, n, -1).mean(1) - exact)
        .square()
        .sum(1)
        .mean()
        .sqrt()
        for n in (14, 224)
    ]
    task = page.task("Sixteen times as many chains")
    assert (errors[1] / errors[0]).item() == pytest.approx(task["answer"], abs=task["tolerance"])
    page.try_task("Sixteen times as many chains")
    seen = page.run(
        "const race = explorables.contrastive_divergence.current;"
        "for (let i = 0; i < 1000; i++) race.update(); return [race.curves.cd, race.curves.pcd, race.chains.length]"
    )
    assert seen[2] == 224
    assert min(after - before for before, after in list(zip(seen[0], seen[1]))[400:]) > 0


def test_the_weights_are_drawn_and_follow_the_chosen_machine(page: Any) -> None:
    page.step(20)
    picture = "return document.querySelectorAll('.explorable-views canvas')[2].toDataURL()"
    cd = page.run(picture)
    page.run(
        f"const s = document.getElementById('{FIGURE}-show'); s.value = 'exact';"
        "s.dispatchEvent(new Event('change'))"
    )
    assert page.run(picture) != cd


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


def test_three_machines_start_alike_and_the_exact_curve_lacks_the_divergence(page: Any, sfc32: Any) -> None:
    machines, _, _ = page.run(RUN, 0.3, 1, 1, 0)
    assert machines["exact"] == machines["cd"] == machines["pcd"]
    _, curves, _ = page.run(RUN, 0.3, 1, 1, 100)
    model = start(sfc32(1))
    for _ in range(100):
        gradient = learning.maximum_likelihood(model, PICTURES, state={})
        with torch.no_grad():
            for name, tensor in model.named_parameters():
                tensor -= 0.3 * gradient.parameters[name]
    log_p = (-model.energy(PICTURES) - model.exact_log_partition()).detach()
    divergence = (-math.log(14) - log_p).mean().item()
    assert curves["exact"][-1] == pytest.approx(-math.log(14) - divergence, abs=1e-9)


def test_a_higher_rate_makes_the_persistent_chains_lose_earlier(page: Any) -> None:
    # "Turn up the rate and watch what the persistent chains do."
    ends = {rate: page.run(RUN, rate, 1, 1, 400)[1] for rate in (0.1, 1.0)}
    assert ends[0.1]["pcd"][-1] > max(ends[0.1]["pcd"]) - 0.3  # a low rate: it has not lost what it learned
    assert min(ends[1.0]["pcd"][200:]) < max(ends[1.0]["pcd"]) - 1.5
    assert ends[1.0]["cd"][-1] > ends[1.0]["pcd"][-1]


def test_large_weights_make_the_chains_sluggish_and_cd_pays_with_its_bias(page: Any) -> None:
    moved, largest, exact, cd = page.run(
        "const { Race } = explorables.contrastive_divergence;"
        "const race = new Race({rate: 0.3, k: 1, seed: 1}), moved = [], largest = [];"
        "for (let i = 0; i < 1000; i++) { const before = race.chains; race.update();"
        "moved.push(race.chains.flat().filter((bit, n) => bit !== before.flat()[n]).length / (14 * 9));"
        "largest.push(Math.max(...race.machines.pcd.W.flat().map(Math.abs))); }"
        "return [moved, largest, race.curves.exact.at(-1), race.curves.cd.at(-1)]"
    )
    assert sum(moved[-100:]) < 0.6 * sum(moved[:100])
    assert largest[-1] > 3 * largest[50]
    assert cd < exact - 0.2


def test_the_price_of_a_falling_rate_is_speed(page: Any) -> None:
    ends = page.run(
        "const { Race } = explorables.contrastive_divergence;"
        "return ['constant', 'falling'].map((schedule) => { const race = new Race("
        "{rate: 0.3, k: 1, seed: 1, schedule, copies: 1}); for (let i = 0; i < 1000; i++) race.update();"
        "return race.curves.exact.at(-1); })"
    )
    assert ends[1] < ends[0] - 0.05
