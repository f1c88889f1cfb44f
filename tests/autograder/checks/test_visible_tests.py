"""What the tests that students see catch at once: gross errors that one row, or a draw of chance, would hide."""

import pytest

from autograder.exercises.catalogue import assignment_named

GROSS = {
    ("ising", "gibbs_sweep"): (
        "changes all pixels at once",
        "visits odd pixels first",
        "never visits odd pixels",
        "samples on a torus",
        "returns what it was given",
        "changes the array it was given",
    ),
    ("boltzmann_machines", "energies"): (
        "sums over the batch",
        "has plus signs",
        "forgets the visible biases",
        "forgets the hidden biases in the free energy",
        "adds the logarithms",
    ),
    ("boltzmann_machines", "mean_field_pass"): (
        "leaves out the biases",
        "hears from below alone",
        "updates all layers at once",
    ),
    ("contrastive_divergence", "cd_gradient"): ("climbs down the likelihood", "sums over the batch"),
}


@pytest.mark.parametrize(("place", "names"), GROSS.items(), ids=[e for _, e in GROSS])
def test_gross_mistakes_fail_in_the_students_own_notebook(place, names, solved):
    assignment, name = place
    exercise, notebook = assignment_named(assignment).exercise(name), solved(assignment)
    wrong = {mistake.name: mistake.function for mistake in exercise.mistakes}
    for mistake in names:
        with pytest.raises(AssertionError):
            exec(notebook.sources[f"{name}-tests"], notebook.before[name] | {name: wrong[mistake]})
