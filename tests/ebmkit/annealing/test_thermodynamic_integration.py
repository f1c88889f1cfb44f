"""Thermodynamic integration near the ends of its path."""

import math

from annealing_cases import Still, seeded
from toy_models import Boltzmann

from ebmkit.annealing import (
    thermodynamic_integration,
)


def test_a_slope_next_to_an_end_of_the_path_does_not_leave_it():
    # In float32 the step of the difference, 5e-3, is wider than the way from the first of 64 nodes to 0.
    model = Boltzmann(5).float()
    value, error, _ = thermodynamic_integration(
        model, generator=seeded(), n_nodes=64, n_chains=2000, n_steps=1, burn_in=0, transition=Still
    )
    assert abs(value - 5 * math.log(2)) < 7 * error  # as above: 3e-12
