"""The interactive samplers: their steps, exact answers and diagnostics are ebmkit's, and the controls work."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ebmkit import EnergyModel, kernel, mcmc, normalization

pytestmark = [pytest.mark.browser, pytest.mark.slow]

POSITIONS = "return explorables.mcmc.current.positions"


def gaussian(x: Tensor, y: Tensor) -> Tensor:
    rho = 0.9
    return (x**2 - 2 * rho * x * y + y**2) / (2 * (1 - rho**2))


def banana(x: Tensor, y: Tensor) -> Tensor:
    return (x / 1.5) ** 2 / 2 + ((y - 0.4 * x**2 + 1.5) / 0.5) ** 2 / 2


def wells(x: Tensor, y: Tensor) -> Tensor:
    return 4 * (x**2 / 4 - 1) ** 2 - 0.25 * x + y**2 / 2


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
KERNELS: dict[str, Callable[[EnergyModel, float], kernel.Kernel]] = {
    "metropolis": lambda model, step: mcmc.MetropolisHastings(model, mcmc.GaussianRandomWalk(step)),
    "langevin": lambda model, step: mcmc.Langevin(model, step),
    "mala": lambda model, step: mcmc.MALA(model, step),
    "hmc": lambda model, step: mcmc.HMC(model, step, n_leapfrog=10),
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
    size, n_steps = {"metropolis": 1.1, "langevin": 0.02, "mala": 0.05, "hmc": 0.15}[sampler], 40
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
        state, _ = kernel.step(state, replay)
        moved += int((state.position != before).any(-1).sum())
        torch.testing.assert_close(
            torch.tensor(seen, dtype=torch.float64), state.position, rtol=1e-6, atol=1e-6
        )
    assert shown[1] == moved
    assert moved > 0


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


def test_all_chains_in_one_well_agree_on_the_wrong_mean(page: Any) -> None:
    seen = page.run(
        """
        const chains = new explorables.mcmc.Chains({
          energy: "wells", kernel: "mala", step: 0.1, start: "together", seed: 2,
        });
        for (let i = 0; i < 60; i++) chains.step();
        return chains.draws.map((c) => c.map((z) => z[0]));
        """
    )
    exact = page.run("return explorables.mcmc.exact('wells').mean[0]")
    assert exact > 0
    assert max(max(chain) for chain in seen) < exact


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
