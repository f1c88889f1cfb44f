"""Of ebmkit, a submission finds what is provided, and is told why the rest is withheld."""

import pytest
from inside import run, text

from autograder.sandbox.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]
where_isolation_is_possible = pytest.mark.usefixtures("sandbox")
"""For tests that open sandboxes of their own: the shared one skips, with the reason, where none can be had."""


def test_withheld_modules_of_ebmkit_say_why(sandbox):
    (error,) = run(sandbox, "import ebmkit.ising")["failures"]
    assert error["type"] == "ImportError"
    assert "not available while this assignment is graded" in error["message"]


@where_isolation_is_possible
def test_provided_modules_of_ebmkit_can_be_imported():
    with Sandbox(provided=("energy",)) as opened:
        answer = opened.start().run_cell(
            "from ebmkit.energy import EnergyModel\nprint(EnergyModel.__name__)", 20
        )
        assert text(answer) == "EnergyModel\n"
