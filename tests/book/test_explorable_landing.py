"""The first figure of the book: the lattice of the Ising chapter, at the temperature that its page says."""

import re
from typing import Any

import pytest

from ebmkit import ising

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHAPTER = "index"


def test_each_spin_is_drawn_anew_given_its_neighbours_4096_of_them(page: Any) -> None:
    # The lattice and its sweep are those of the Ising chapter, which are compared with ebmkit's.
    page.click("Pause")
    page.click("Restart")
    page.step(20)
    found = re.fullmatch(
        r"After 20 sweeps \|m\| = ([\d.]+); exact on an endless lattice: ([\d.]+)\.", page.readout()
    )
    assert found
    replayed = page.run(
        "const l = new explorables.ising.Lattice(64, 2.27, 0, 1, 'random'); for (let i = 0; i < 20; i++) l.sweep();"
        "return [Math.abs(l.meanSpin()), l.spins.length]"
    )
    assert replayed[1] == 4096
    assert found[1] == f"{replayed[0]:.2f}"
    assert found[2] == f"{ising.yang_magnetization(1 / 2.27).item():.2f}"


def test_spins_like_to_agree_below_the_critical_temperature_only(page: Any) -> None:
    page.click("Pause")
    slide = (
        "const s = document.getElementById('explorable-landing-T'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input'))"
    )
    page.run(slide, 1.5)
    assert f"lattice: {ising.yang_magnetization(1 / 1.5).item():.2f}." in page.readout()
    page.run(slide, 3.5)
    page.step(50)
    assert "exact on an endless lattice: 0.00." in page.readout()
    assert float(page.readout().split("|m| = ")[1].split(";")[0]) < 0.2
