"""The interactive samplers: their steps, exact answers and diagnostics are ebmkit's, and the controls work."""

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ebmkit import EnergyModel, mcmc, normalization
from ebmkit.kernel import Kernel

pytestmark = [pytest.mark.browser, pytest.mark.slow]

POSITIONS = "return explorables.mcmc.current.positions"


def gaussian(x: Tensor, y: Tensor) -> Tensor:
    rho = 0.9
    return (x**2 - 2 * rho * x * y + y**2) / (2 * (1 - rho**2))


def banana(x: Tensor, y: Tensor) -> Tensor:
    return (x / 1.5) ** 2 / 2 + ((y - 0.4 * x**2 + 1.5) / 0.5) ** 2 / 2


def wells(x: Tensor, y: Tensor) -> Tensor:
    return 20 * (x**2 / 4 - 1) ** 2 - 0.25 * x + y**2 / 2


def ring(x: Tensor, y: Tensor) -> Tensor:
    return (((x**2 + y**2).sqrt() - 2.5) / 0.3) ** 2 / 2


class Plane(EnergyModel):
    """An energy of two coordinates, without a gradient of its own: ebmkit differentiates it."""

    event_shape = (2,)

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def energy(self, x: Tensor) -> Tensor:
        return self.formula(x[..., 0], x[..., 1])


MODELS = {f.__name__: Plane(f) for f in (gaussian, banana, wells, ring)}
BETAS = (1.0, 0.6, 0.35, 0.2, 0.1)


def tempered(model: EnergyModel, step: float) -> mcmc.ParallelTempering:
    return mcmc.ParallelTempering(
        [
            mcmc.MetropolisHastings(mcmc.Tempered(model, beta), mcmc.GaussianRandomWalk(step / beta**0.5))
            for beta in BETAS
        ]
    )


KERNELS: dict[str, Callable[[EnergyModel, float], Kernel]] = {
    "metropolis": lambda model, step: mcmc.MetropolisHastings(model, mcmc.GaussianRandomWalk(step)),
    "langevin": lambda model, step: mcmc.Langevin(model, step),
    "mala": lambda model, step: mcmc.MALA(model, step),
    "hmc": lambda model, step: mcmc.HMC(model, step, n_leapfrog=10, jitter=0.0),
}


def steps(browser: Any) -> int:
    return browser.run("return explorables.mcmc.current.draws[0].length")


@pytest.mark.parametrize("name", MODELS)
def test_energies_and_gradients_are_those_of_ebmkit(page: Any, name: str) -> None:
    points = 4 * torch.randn(30, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    script = (
        "const e = explorables.mcmc.ENERGIES[arguments[0]];"
        "return arguments[1].map((z) => [e.energy(...z), ...e.gradient(...z)])"
    )
    shown = torch.tensor(page.run(script, name, points.tolist()), dtype=torch.float64)
    torch.testing.assert_close(shown[:, 0], MODELS[name].energy(points), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(-shown[:, 1:], MODELS[name].score(points), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_the_exact_answers_are_integrals(page: Any, name: str) -> None:
    shown = page.run(
        "const t = explorables.mcmc.exact(arguments[0]); return [t.mean, t.logZ, t.marginals.map((m) => [...m])]",
        name,
    )
    window = page.run("const e = explorables.mcmc.ENERGIES[arguments[0]]; return [e.x, e.y]", name)
    corners = [[side[end] for side in window] for end in (0, 1)]
    model = MODELS[name]
    log_z = normalization.log_quadrature(model, *corners).value
    assert shown[1] == pytest.approx(log_z.item(), abs=1e-5)
    for axis in (0, 1):
        moment = normalization.quadrature(
            lambda z, axis=axis: z[:, axis] * (-model.energy(z) - log_z).exp(), *corners, atol=1e-8
        )
        assert shown[0][axis] == pytest.approx(moment.value.item(), abs=1e-4)
        low, high = window[axis]
        assert sum(shown[2][axis]) * (high - low) / len(shown[2][axis]) == pytest.approx(1, abs=1e-9)


def test_the_windows_hold_all_but_a_thousandth_of_the_mass(page: Any) -> None:
    exact = {"gaussian": math.log(2 * math.pi * math.sqrt(0.19)), "banana": math.log(2 * math.pi * 0.75)}
    for name, log_z in exact.items():
        shown = page.run("return explorables.mcmc.exact(arguments[0]).logZ", name)
        assert log_z - 1.5e-3 < shown < log_z + 1e-6


@pytest.mark.parametrize("sampler", KERNELS)
@pytest.mark.parametrize(
    ("name", "seed"), [("gaussian", 3), ("banana", 7), ("wells", 1), ("ring", 4294967295)]
)
def test_a_seeded_run_is_the_one_of_ebmkit(page: Any, sfc32: Any, sampler: str, name: str, seed: int) -> None:
    size, n_steps = {"metropolis": 1.1, "langevin": 0.005, "mala": 0.02, "hmc": 0.15}[sampler], 40
    shown = page.run(
        """
        const [energy, kernel, step, seed, n] = arguments;
        const chains = new explorables.mcmc.Chains({energy, kernel, step, start: "apart", seed});
        const seen = [[...chains.positions]];
        for (let i = 0; i < n; i++) { chains.step(); seen.push([...chains.positions]); }
        return [seen, chains.accepted];
        """,
        name, sampler, size, seed, n_steps,
    )  # fmt: skip
    kernel, replay = KERNELS[sampler](MODELS[name], size), sfc32(seed)
    state = kernel.init(torch.tensor(shown[0][0], dtype=torch.float64))
    moved = 0
    for seen in shown[0][1:]:
        before = state.position
        state, _ = kernel.step(state, generator=replay)
        moved += int((state.position != before).any(-1).sum())
        torch.testing.assert_close(
            torch.tensor(seen, dtype=torch.float64), state.position, rtol=1e-6, atol=1e-6
        )
    assert shown[1] == moved
    assert moved > 0


@pytest.mark.parametrize("leapfrog", [1, 23])
def test_a_path_of_any_number_of_leapfrog_steps_is_the_one_of_ebmkit(
    page: Any, sfc32: Any, leapfrog: int
) -> None:
    shown, points = page.run(
        "const c = new explorables.mcmc.Chains({energy: 'ring', kernel: 'hmc', step: 0.1,"
        " leapfrog: arguments[0], start: 'apart', seed: 4}), seen = [[...c.positions]];"
        "for (let i = 0; i < 20; i++) { c.step(); seen.push([...c.positions]); }"
        "return [seen, c.moves.map((move) => move.path.length)]",
        leapfrog,
    )
    kernel, replay = mcmc.HMC(MODELS["ring"], 0.1, n_leapfrog=leapfrog, jitter=0.0), sfc32(4)
    state = kernel.init(torch.tensor(shown[0], dtype=torch.float64))
    for seen in shown[1:]:
        state, _ = kernel.step(state, generator=replay)
        torch.testing.assert_close(
            torch.tensor(seen, dtype=torch.float64), state.position, rtol=1e-6, atol=1e-6
        )
    assert points == [leapfrog + 1] * 4  # every point of the path is drawn


@pytest.mark.parametrize("name", ["wells", "banana"])
def test_a_seeded_tempered_run_is_the_one_of_ebmkit(page: Any, sfc32: Any, name: str) -> None:
    shown, swapped = page.run(
        "const c = new explorables.mcmc.Chains({energy: arguments[0], kernel: 'tempering', step: 0.6,"
        " start: 'together', seed: 5}); const look = () => c.replicas.map((r) => [...r.positions]);"
        "const seen = [look()]; for (let i = 0; i < 60; i++) { c.step(); seen.push(look()); }"
        "return [seen, c.swapped]",
        name,
    )
    kernel, replay = tempered(MODELS[name], 0.6), sfc32(5)
    state = kernel.init(torch.tensor(shown[0], dtype=torch.float64))
    for seen in shown[1:]:
        state, _ = kernel.step(state, generator=replay)
        torch.testing.assert_close(
            torch.tensor(seen, dtype=torch.float64), state.position, rtol=1e-9, atol=1e-9
        )
    assert swapped > 100


@pytest.mark.parametrize("name", MODELS)
def test_gibbs_draws_each_coordinate_from_its_conditional(page: Any, sfc32: Any, name: str) -> None:
    window = page.run("const e = explorables.mcmc.ENERGIES[arguments[0]]; return [e.x, e.y]", name)
    shown = page.run(
        "const c = new explorables.mcmc.Chains({energy: arguments[0], kernel: 'gibbs', step: 1,"
        " start: 'apart', seed: 6}), seen = [[...c.positions]];"
        "for (let i = 0; i < 5; i++) { c.step(); seen.push([...c.positions]); } return seen",
        name,
    )
    shown = torch.tensor(shown, dtype=torch.float64)
    replay, model = sfc32(6), MODELS[name]
    for before, after in itertools.pairwise(shown):
        for axis in (0, 1):
            others = before[:, 1] if axis == 0 else after[:, 0]
            low, high = window[axis]
            line = torch.linspace(low, high, 40_001, dtype=torch.float64)
            for u, other, drawn in zip(replay.uniforms(4), others, after[:, axis]):
                fixed = other.expand_as(line)
                weights = (-model.formula(*((line, fixed) if axis == 0 else (fixed, line)))).exp()
                below = weights[line <= drawn].sum() / weights.sum()
                assert below.item() == pytest.approx(u.item(), abs=2e-3)


def test_a_chain_that_leaves_the_finite_numbers_stays_where_it_was(page: Any) -> None:
    seen = page.run(
        """
        const chains = new explorables.mcmc.Chains({
          energy: "banana", kernel: "langevin", step: 3, start: "apart", seed: 1,
        });
        for (let i = 0; i < 100; i++) chains.step();
        return chains.positions.flat().every(Number.isFinite) && chains.energies.every(Number.isFinite);
        """
    )
    assert seen is True


@pytest.mark.parametrize("n_steps", [4, 5, 37, 400])
@pytest.mark.parametrize("memory", [0.0, 0.9, -0.6])
def test_the_diagnostics_are_those_of_ebmkit(page: Any, n_steps: int, memory: float) -> None:
    generator = torch.Generator().manual_seed(n_steps)
    draws = torch.randn(n_steps, 4, dtype=torch.float64, generator=generator)
    for t in range(1, n_steps):
        draws[t] += memory * draws[t - 1]
    draws = (4 * draws).round() / 4  # ties, as rejected steps make them
    shown = page.run(
        "return [explorables.mcmc.rHat(arguments[0]), explorables.mcmc.ess(arguments[0])]", draws.T.tolist()
    )
    assert shown[0] == pytest.approx(mcmc.r_hat(draws).item(), rel=1e-9)
    assert shown[1] == pytest.approx(mcmc.ess_bulk(draws).item(), rel=1e-9)


def test_the_read_out_states_the_exact_mean_and_the_diagnostics(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-mcmc?energy=banana&sampler=hmc&step=0.2&start=apart&speed=6&seed=5")
    for _ in range(30):
        page.click("Step")
    text = page.readout()
    draws = torch.tensor(page.run("return explorables.mcmc.current.draws"), dtype=torch.float64).transpose(
        0, 1
    )
    assert draws.shape == (30, 4, 2)
    assert f"(exact {0.4 * 1.5**2 - 1.5:.2f})".replace("-", "−") in text
    assert f"R-hat x {mcmc.r_hat(draws)[0]:.3f}" in text
    assert f"effective sample size x {mcmc.ess_bulk(draws)[0]:.0f}" in text
    assert page.run("return document.querySelector('.explorable-announcer').textContent") == text


def choose(page: Any, key: str, value: str) -> None:
    page.run(
        "const s = document.getElementById('explorable-mcmc-' + arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event(s.tagName === 'SELECT' ? 'change' : 'input'))",
        key,
        value,
    )


def jump(page: Any, n_steps: int) -> None:
    """Many steps of the figure's own chains, drawn once."""
    page.run("for (let i = 1; i < arguments[0]; i++) explorables.mcmc.current.step()", n_steps)
    page.step(1)


def diagnosed(page: Any) -> dict[str, float]:
    draws = torch.tensor(page.run("return explorables.mcmc.current.draws"), dtype=torch.float64)
    x = draws[:, -2000:, 0].T
    return {"r_hat": mcmc.r_hat(x).item(), "mean": draws[..., 0].mean().item()}


def test_too_small_a_step_is_always_taken_and_too_large_a_one_hardly_ever(page: Any) -> None:
    # "Make the step too small and too large, and watch the acceptance and R-hat."
    seen = {}
    for step in ("0.05", "0.8", "3"):
        choose(page, "step", step)
        jump(page, 1000)
        accepted = page.run("const c = explorables.mcmc.current; return c.accepted / c.proposed")
        seen[step] = (accepted, diagnosed(page)["r_hat"])
    assert seen["0.05"][0] > 0.9
    assert seen["0.05"][1] > 1.5
    assert seen["3"][0] < 0.1
    assert seen["0.8"][1] < seen["3"][1] < seen["0.05"][1]


def test_two_wells_and_a_start_together_show_a_perfect_r_hat_beside_a_wrong_mean(page: Any) -> None:
    choose(page, "energy", "wells")
    choose(page, "start", "together")
    jump(page, 2000)
    found, exact = diagnosed(page), page.run("return explorables.mcmc.exact('wells').mean[0]")
    assert found["r_hat"] < 1.01
    assert found["mean"] < -1.9
    assert exact > 0.9
    text = page.readout()
    assert f"R-hat x {found['r_hat']:.3f}" in text
    draws = page.run("return explorables.mcmc.current.draws.flat().map((z) => z[0])")
    assert max(draws) < 0  # no chain has crossed


def test_the_task_about_r_hat_is_what_hamiltonian_chains_show_and_tempering_mends_it(page: Any) -> None:
    assert page.task("A perfect diagnosis")["answer"].startswith("R̂ below 1.01 and a mean near −2")
    page.try_task("A perfect diagnosis")
    jump(page, 1000)
    found = diagnosed(page)
    assert found["r_hat"] < 1.01
    assert found["mean"] == pytest.approx(-2, abs=0.1)
    choose(page, "sampler", "tempering")
    jump(page, 2000)
    assert diagnosed(page)["mean"] == pytest.approx(
        page.run("return explorables.mcmc.exact('wells').mean[0]"), abs=0.3
    )
    share = page.run(
        "const m = explorables.mcmc.exact('wells').marginals[0];"
        "return m.slice(m.length / 2).reduce((a, b) => a + b) / m.reduce((a, b) => a + b)"
    )
    assert share == pytest.approx(0.73, abs=0.005)


def test_gibbs_forgets_as_slowly_as_its_task_says(page: Any) -> None:
    task = page.task("One coordinate at a time")
    assert task["answer"] == pytest.approx(0.9**2)
    page.try_task("One coordinate at a time")
    assert page.run("return explorables.mcmc.current.kernel") == "gibbs"
    # The lag-one autocorrelation of 4 x 4,000 draws has a standard error of about sqrt(1 - 0.81^2) / 126 = 0.005;
    # six of them allow one false failure in 10^9, and the seed is fixed besides.
    jump(page, 4000)
    x = torch.tensor(
        page.run("return explorables.mcmc.current.draws.map((c) => c.map((z) => z[0]))")
    ).double()
    x = x - x.mean()
    assert ((x[:, 1:] * x[:, :-1]).mean() / (x**2).mean()).item() == pytest.approx(0.81, abs=0.03)


def test_one_leapfrog_step_is_mala(page: Any) -> None:
    assert page.task("A path of one step")["answer"] == "MALA"
    page.try_task("A path of one step")
    state = "const c = explorables.mcmc.current; return [c.kernel, c.leapfrog]"
    assert page.run(state) == ["hmc", 1]
    run = (
        "const c = new explorables.mcmc.Chains({energy: 'banana', start: 'apart', seed: 3, ...arguments[0]});"
        "for (let i = 0; i < 60; i++) c.step(); return c.draws"
    )
    paths = page.run(run, {"kernel": "hmc", "leapfrog": 1, "step": 0.4})
    mala = page.run(run, {"kernel": "mala", "step": 0.08})
    assert [z for chain in paths for point in chain for z in point] == pytest.approx(
        [z for chain in mala for point in chain for z in point], abs=1e-6
    )


def test_buttons_keyboard_and_restart_move_the_chains(page: Any) -> None:
    first = page.run(POSITIONS)
    page.click("Step")
    assert steps(page) == 1
    page.run("document.querySelector('.explorable-stage').focus()")
    page.press(".", ".")
    assert steps(page) == 3
    moved = page.run(POSITIONS)
    assert moved != first
    page.press("r")
    assert (steps(page), page.run(POSITIONS)) == (0, first)
    page.play_and_pause(steps)


def test_a_link_restores_the_state_and_nonsense_falls_back(page: Any) -> None:
    address = page.driver.current_url.split("#")[0]
    page.open(f"{address}#explorable-mcmc?energy=ring&sampler=mala&step=0.07&start=together&seed=11")
    state = "const c = explorables.mcmc.current; return [c.target.label, c.kernel, c.size]"
    assert page.run(state) == ["ring", "mala", 0.07]
    page.open(f"{address}#explorable-mcmc?energy=volcano&sampler=&step=-7&start=never&seed=x&speed=1e9")
    assert page.run(state) == ["correlated Gaussian", "metropolis", 0.01]
    assert page.errors() == []


def test_every_sampler_runs_on_every_energy_without_an_error(page: Any) -> None:
    options = (
        "return [...document.getElementById('explorable-mcmc-' + arguments[0]).options].map((o) => o.value)"
    )
    for energy in page.run(options, "energy"):
        choose(page, "energy", energy)
        for sampler in page.run(options, "sampler"):
            choose(page, "sampler", sampler)
            page.step(8)
            assert "R-hat x" in page.readout()
    assert page.errors() == []


def test_a_colour_means_one_chain_in_the_traces_and_in_the_plane(page: Any) -> None:
    # Each chain's own colour is in both pictures, and no other colour is drawn beside ink and greys.
    choose(page, "energy", "ring")
    page.step(30)
    inks = (
        "const style = getComputedStyle(document.querySelector('.explorable'));"
        "const names = ['curve', 'curve2', 'curve3', 'dot'].map((n) => '--explorable-' + n);"
        "const hex = names.map((n) => style.getPropertyValue(n).trim());"
        "return [0, 2].map((k) => { const c = document.querySelectorAll('.explorable-views canvas')[k];"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();"
        "for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255)"
        " seen.add('#' + [0, 1, 2].map((j) => d[i + j].toString(16).padStart(2, '0')).join(''));"
        "return hex.map((h) => seen.has(h)); })"
    )
    assert page.run(inks) == [[True] * 4, [True] * 4]


def test_another_sampler_brings_its_own_step_size(page: Any) -> None:
    page.run(
        "const s = document.getElementById('explorable-mcmc-sampler'); s.value = 'hmc';"
        "s.dispatchEvent(new Event('change'))"
    )
    assert page.run("const c = explorables.mcmc.current; return [c.kernel, c.size]") == ["hmc", 0.2]
    assert "sampler=hmc" in page.driver.current_url
    assert "step=0.2" in page.driver.current_url


def test_the_canvas_follows_the_theme(page: Any) -> None:
    picture = "return [...document.querySelectorAll('.explorable-views canvas')].map((c) => c.toDataURL())"
    light = page.run(picture)
    page.run("document.documentElement.dataset.theme = 'dark'")
    time.sleep(0.3)
    dark = page.run(picture)
    assert all(before != after for before, after in zip(light, dark))


def test_every_proposal_is_shown_with_where_it_led_by_which_path_and_whether_it_was_taken(page: Any) -> None:
    for sampler in ("metropolis", "langevin", "mala", "hmc", "gibbs"):
        steps_ = page.run(
            "const { Chains, defaultStep } = explorables.mcmc, kernel = arguments[0], energy = 'banana';"
            "const c = new Chains({energy, kernel, step: defaultStep(energy, kernel), start: 'apart', seed: 2});"
            "const seen = []; for (let i = 0; i < 40; i++) { const before = [...c.positions]; c.step();"
            "seen.push([before, c.moves, [...c.positions]]); } return seen",
            sampler,
        )
        taken = []
        for before, moves, after in steps_:
            assert len(moves) == 4
            for start, move, end in zip(before, moves, after):
                assert move["path"][0] == start
                assert move["path"][-1] == move["end"]
                assert end == (move["end"] if move["taken"] else start)
                taken.append(move["taken"])
        assert any(taken)
        assert all(taken) == (sampler in ("langevin", "gibbs"))


def test_the_barrier_is_as_high_as_the_task_says_and_far_apart_warns_at_once(page: Any) -> None:
    left, top = (wells(torch.tensor(x), torch.zeros(())).item() for x in (-2.0, 0.0))
    assert top - left == pytest.approx(20, abs=0.6)
    page.try_task("A perfect diagnosis")
    jump(page, 1000)
    assert page.run("return Math.max(...explorables.mcmc.current.draws.flat().map((z) => z[0]))") < 0
    choose(page, "start", "apart")
    page.step(10)
    assert float(page.readout().split("R-hat x ")[1].split(",")[0]) > 1.5


def test_with_tempering_the_right_well_gets_its_share(page: Any) -> None:
    # 4 x 8,000 draws that change sides every hundred steps or so: a standard error of about 0.02. One fixed seed.
    share = page.run(
        "const c = new explorables.mcmc.Chains({energy: 'wells', kernel: 'tempering', step: 0.6, start: 'together',"
        " seed: 1}); for (let i = 0; i < 8000; i++) c.step();"
        "const x = c.draws.flat().map((z) => z[0]); return x.filter((u) => u > 0).length / x.length"
    )
    assert share == pytest.approx(0.73, abs=0.12)
