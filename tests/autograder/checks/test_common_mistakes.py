"""Common mistakes, made in the notebooks' own solutions: three of four are told their names, and none another.

The named mistakes are written apart from these; what a student is told must not depend on how the code looks.
"""

import functools
import json
from typing import Any

import pytest

from autograder.authoring.samples import solution_notebook
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.likeness import matching_mistake

COMMON = [
    ("boltzmann_machines", "energies", {"-(v @ a) -": "(v @ a) +"}, "has plus signs"),
    ("boltzmann_machines", "energies", {"-(v @ a) -": "-"}, "forgets the visible biases"),
    ("boltzmann_machines", "energies", {"field = b + v @ W": "field = v @ W"}, "forgets the hidden biases"),
    ("boltzmann_machines", "energies", {"(h * field).sum(-1)": "(h * field).sum()"}, "sums over the batch"),
    ("contrastive_divergence", "exact_gradient", {"(b + states": "(states"}, "forgets the hidden biases"),
    ("contrastive_divergence", "exact_gradient", {"p /= p.sum()": "p = 0 * p"}, "forgets the model"),
    (
        "contrastive_divergence",
        "exact_gradient",
        {"p /= p.sum()": "p = np.full(2**n, 0.5**n)"},
        "takes all states for equally probable",
    ),
    (
        "exponential_families",
        "match_moments",
        {"/ len(x)": "/ (len(x) - 1)"},
        "divides by n minus one",
    ),
    ("exponential_families", "match_moments", {"x - mean": "x"}, "forgets to subtract the mean"),
    ("exponential_families", "match_moments", {" / len(x)": ""}, "forgets to divide by n"),
    ("ising", "energy", {"- coupling": "- 2 * coupling"}, "counts every edge twice"),
    ("ising", "energy", {"-field * (s * t).sum() - ": "-"}, "forgets the field"),
    ("ising", "energy", {"-field": "field", "- coupling": "+ coupling"}, "has the wrong sign"),
    ("ising", "energy", {"- coupling": "+ coupling"}, "has the wrong sign before the coupling"),
    ("ising", "energy", {"(s[1:] * s[:-1]).sum() + ": ""}, "forgets the vertical neighbours"),
    ("ising", "map_estimate", {"argmin": "argmax"}, "takes the highest energy"),
    ("ising", "map_estimate", {"-field * (s * t).sum((1, 2)) - ": "-"}, "leaves out what was seen"),
    (
        "ising",
        "decode_chain",
        {"+ transitions": "+ transitions.T"},
        "reads the transitions the other way round",
    ),
    (
        "ising",
        "decode_chain",
        {"labels[::-1]": "labels"},
        "returns the labelling from the last to the first",
    ),
    (
        "ising",
        "decode_chain",
        {"np.logaddexp.reduce(total)": "best.max()"},
        "gives the score of the best labelling for log Z",
    ),
    (
        "ising",
        "log_ratio",
        {"agreement[0] - agreement[1]": "agreement[1] - agreement[0]"},
        "takes the ratio the wrong way round",
    ),
    ("mcmc", "transition_matrix", {"+ np.log(Q)": "+ 0 * Q"}, "takes the proposals for symmetric"),
    ("mcmc", "transition_matrix", {"/ p.sum() ": ""}, "leaves p unnormalized in the flow"),
    ("mcmc", "effective_sample_size", {".sum() - 1)": ".sum())"}, "counts lag zero twice"),
    ("mcmc", "effective_sample_size", {"return n / max": "return max"}, "returns the autocorrelation time"),
    (
        "mcmc",
        "effective_sample_size",
        {" - np.mean(x, dtype=np.float64)": ""},
        "forgets to subtract the mean of the chain",
    ),
    ("normalization", "volumes", {"(edges[1:] + edges[:-1]) / 2": "edges[:-1]"}, "sums over the left ends"),
    ("normalization", "volumes", {"(edges[1:] + edges[:-1]) / 2": "edges[1:]"}, "sums over the right ends"),
    ("normalization", "volumes", {"np.exp(values)": "np.exp(-values)"}, "takes f for an energy"),
    ("normalization", "enumerate_log_z", {"-np.asarray": "np.asarray"}, "forgets the minus sign"),
    ("normalization", "enumerate_log_z", {".sum()), terms": ".sum()), n**q"}, "counts n to the power q"),
    ("normalization", "log_sum_exp", {" + largest[..., 0]": ""}, "forgets to add the maximum back"),
]
"""In which assignment and exercise, what is changed in the solution, and the mistake's name."""


@functools.cache
def solution(assignment: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The names that the notebook imports, and the solutions' sources."""
    cells = [c for c in json.loads(solution_notebook(assignment))["cells"] if c["cell_type"] == "code"]
    names: dict[str, Any] = {}
    exec("".join(cells[0]["source"]), names)
    return names, {c["metadata"].get("nbgrader", {}).get("grade_id", ""): "".join(c["source"]) for c in cells}


def name_told(assignment: str, exercise_name: str, edits: dict[str, str]) -> str | None:
    """What a student is told who makes this mistake; it fails."""
    imports, sources = solution(assignment)
    source = sources[exercise_name]
    for right, wrong in edits.items():
        assert right in source, (exercise_name, right)
        source = source.replace(right, wrong)
    names = dict(imports)
    exec(compile(source, exercise_name, "exec"), names)
    exercise = assignment_named(assignment).exercise(exercise_name)
    tried = list(exercise.tried(names[exercise_name], lambda check: 1))
    assert any(one.complaint for one in tried), (exercise_name, edits)
    match = matching_mistake(exercise, tried)
    return match.mistake.name if match else None


@pytest.mark.slow
def test_of_four_common_mistakes_three_are_told_their_names_and_none_another() -> None:
    told = [(name_told(*case), name) for *case, name in COMMON]
    assert [pair for pair in told if pair[0] not in (None, pair[1])] == []
    unnamed = [name for found, name in told if found is None]
    assert len(unnamed) <= len(COMMON) / 4, unnamed
