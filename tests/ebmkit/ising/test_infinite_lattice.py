"""Onsager's and Yang's formulas against published values and their own derivatives."""

import math

import pytest
import torch
from ising_cases import F64

from ebmkit import ising
from ebmkit.ising import CRITICAL_COUPLING


@pytest.mark.parametrize(
    ("coupling", "log_z"),
    [
        (0.0, math.log(2)),
        (0.2, 0.734530812276),
        (0.7, 1.404221519729),
        (CRITICAL_COUPLING, 0.9296953983416103),
        (178.0, 356.0),
        (1e4, 2e4),
    ],
)
def test_onsagers_log_z_has_the_published_values(coupling, log_z):
    assert float(ising.onsager_log_partition(coupling)) == pytest.approx(log_z, abs=1e-12)
    assert float(ising.onsager_log_partition(-coupling)) == pytest.approx(log_z, abs=1e-12)


@pytest.mark.parametrize(
    ("coupling", "energy", "digit"),
    [
        (0.0, 0.0, 0.0),
        (0.2, -0.428228833240, 1e-12),
        (0.3, -0.7044990708324452, 1e-14),
        (0.4, -1.1060792037457934, 1e-14),
        (CRITICAL_COUPLING, -math.sqrt(2), 1e-14),
        (0.5, -1.7455645753125535, 1e-14),
        (0.7, -1.963775612334, 1e-12),
        (20.0, -2.0, 1e-14),
        (180.0, -2.0, 1e-14),
        (1e4, -2.0, 1e-14),
    ],
)
def test_onsagers_energy_has_the_published_values(coupling, energy, digit):
    assert float(ising.onsager_energy(coupling)) == pytest.approx(energy, abs=digit)
    assert float(ising.onsager_energy(-coupling)) == pytest.approx(-energy, abs=digit)


def test_onsagers_energy_is_minus_the_slope_of_his_log_z():
    coupling = torch.linspace(0.05, 1.0, 39, dtype=F64)
    step = 1e-5
    slope = (ising.onsager_log_partition(coupling + step) - ising.onsager_log_partition(coupling - step)) / (
        2 * step
    )
    torch.testing.assert_close(-slope, ising.onsager_energy(coupling), rtol=0, atol=1e-6)


def test_yangs_magnetization_appears_at_the_critical_coupling():
    assert ising.yang_magnetization(torch.tensor([0.0, 0.3, -0.5, 0.4406])).tolist() == [0, 0, 0, 0]
    assert float(ising.yang_magnetization(0.4407)) > 0.3
    assert float(ising.yang_magnetization(0.7)) == pytest.approx(0.990162538676, abs=1e-12)


def test_the_critical_coupling_is_its_own_dual():
    assert pytest.approx(1.0, abs=1e-15) == math.sinh(2 * CRITICAL_COUPLING)
    assert pytest.approx(2.269185314213022, abs=1e-15) == 1 / CRITICAL_COUPLING


def test_onsager_refuses_a_coupling_that_is_not_finite():
    with pytest.raises(ValueError, match="coupling must be finite, got inf"):
        ising.onsager_energy(math.inf)
