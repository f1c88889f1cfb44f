"""A corpus of hostile submissions: every way known to us of getting points without an answer.

Each attack is the source of a cell that runs after every exercise has been answered wrongly (`wrong` returns
None). It succeeds if it gains a point, reads something hidden (it then prints `LEAK`), changes the host or
another submission, or harms the grader. The families follow Kratzke, "Smart like a fox" (CSEDU 2019), and the
attacks measured against nbgrader and otter. The corpus runs against the real pipeline in the tests, and
against other autograders in `benchmarks/`.
"""

from autograder.authoring.hostile import answers, kernel, notebooks, resources, results, secrets, walls
from autograder.authoring.hostile.attack import CANARY, LEAK, PRELUDE, Attack, together

ATTACKS: tuple[Attack, ...] = tuple(
    answers.PATCH_THE_CHECKER
    + answers.LIE_WITH_OBJECTS
    + secrets.READ_THE_SECRET
    + answers.KNOW_THE_INPUTS
    + results.FORGE_THE_RESULT
    + resources.DIE_EARLY
    + resources.STARVE
    + walls.ESCAPE
    + walls.REACH_OTHERS
    + kernel.THROUGH_THE_KERNEL
    + results.SURVIVE
    + results.POISON_THE_HOST
    + notebooks.TWIST_THE_NOTEBOOK
    + answers.ATTACK_THE_STATISTICS
)

__all__ = ["ATTACKS", "CANARY", "LEAK", "PRELUDE", "Attack", "together"]
