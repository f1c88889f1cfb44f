"""The commands of who makes a course: init, new, check, release, samples, selftest."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autograder.terminal import FAILED_CODE, AsJson, Assignment, Assignments, course_here, write_json

if TYPE_CHECKING:
    from autograder.authoring.check import Step
    from autograder.authoring.selftest import Table
    from autograder.exercises.exercise import Assignment as Exercises


def register(app: typer.Typer) -> None:
    """Add the commands to the door."""
    for command, example in COMMANDS.items():
        app.command(epilog=f"Example: {example}")(command)


def init(folder: Annotated[Path, typer.Argument(help="A new folder, or one that is no course yet.")]) -> None:
    """Make a folder a course of your own; its settings are in course.toml."""
    from autograder.authoring.new import new_course

    for path in new_course(folder):
        print(f"wrote {path}")
    print(f"Next: cd {folder}; autograder new NAME")


def new(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _, such as first_steps.")],
) -> None:
    """Write an assignment that works at once: a solution with one exercise, and its hidden checks."""
    from autograder.authoring.new import new_assignment

    course = course_here()
    for path in new_assignment(course, name):
        print(f"wrote {path.relative_to(course.settings.root)}")
    print(f"Next: change them; autograder check {name}; autograder release {name}")


def check(assignments: Assignments = None, as_json: AsJson = False) -> int:
    """Say in seconds what is wrong with an assignment. Exits with 1 if something is.

    Looks at points, right and wrong code, the notebook from top to bottom, and what reaches students.
    """
    course = course_here()
    found: dict[str, Any] = {}
    for name in _chosen(assignments):
        steps = _looked_at(course, name, quiet=as_json)
        found[name] = [{"holds": s.holds, "problems": s.problems} for s in steps]
    problems = sum(len(step["problems"]) for steps in found.values() for step in steps)
    if as_json:
        write_json(found)
    elif problems:
        print(f"{problems} problem{'s' if problems > 1 else ''}: not ready to be released", file=sys.stderr)
    return FAILED_CODE if problems else 0


def _looked_at(course: Any, name: str, quiet: bool) -> "list[Step]":
    from autograder.authoring.check import check as look
    from autograder.exercises.catalogue import assignment_named

    steps = []
    if not quiet:
        print(name)
    for step in look(course, assignment_named(name)):
        steps.append(step)
        if not quiet:
            print("\n".join(f"  {line}" for line in str(step).splitlines()), flush=True)
    return steps


def _chosen(assignments: list[str] | None) -> list[str]:
    from autograder.exercises.catalogue import available_assignments

    if chosen := assignments or available_assignments():
        return chosen
    raise ValueError("there is no assignment yet; write one with: autograder new NAME")


def release(
    assignments: Assignments = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Leave out what `autograder check` looks at.")
    ] = False,
) -> None:
    """Check assignments, and derive the students' notebooks, without solutions, and a zip of each to hand out.

    One that has a problem is not released, and what was released before stays as it was. What was checked already
    and has not changed since is not checked again.
    """
    from autograder.authoring.release import release_checked

    course = course_here()
    for name in _chosen(assignments):
        print(f"{name}: {release_checked(course, name, unchecked)}", flush=True)


def samples(assignment: Assignment) -> None:
    """Put sample submissions, made from the solution and its named mistakes, into the course's inbox."""
    from autograder.authoring.samples import write_samples

    course = course_here()
    written = write_samples(course, assignment)
    print(f"{len(written)} sample submissions in {course.folder('submitted')}")


def selftest(
    assignment: Assignment,
    seeds: Annotated[int, typer.Option(min=1, help="How often each check is drawn.")] = 50,
    checks_only: Annotated[
        bool, typer.Option("--checks-only", help="Leave out attacks and habits, which take minutes.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check the checks: right code must pass, mistakes must fail, attacks gain and habits cost nothing.

    Exits with 1 if that does not hold.
    """
    import dataclasses

    from autograder.authoring.selftest import selftest as examine
    from autograder.authoring.selftest import slipped
    from autograder.exercises.catalogue import assignment_named

    chosen = assignment_named(assignment)
    table = dataclasses.replace(examine(chosen, range(seeds)), slips=slipped(chosen))
    if not checks_only:
        table = _attacked(chosen, table)
    if as_json:
        write_json(dataclasses.asdict(table) | {"holds": table.holds})
    else:
        print(table)
    return 0 if table.holds else FAILED_CODE


def _attacked(chosen: "Exercises", table: "Table") -> "Table":
    """The table with attacks and habits, where there is a sandbox for them."""
    import dataclasses

    from rich.console import Console
    from rich.progress import track

    from autograder.authoring.hostile import ATTACKS
    from autograder.authoring.selftest import attacked, endured
    from autograder.authoring.wild import WILD
    from autograder.sandbox.levels import NoIsolation
    from autograder.sandbox.sandbox import Sandbox

    console = Console(stderr=True)
    try:
        with Sandbox("auto", chosen.provides, chosen.imports) as sandbox:
            attacks = track(ATTACKS, "hostile submissions", console=console)
            table = dataclasses.replace(table, hostile=attacked(chosen, attacks, sandbox))
            habits = track(WILD, "right notebooks as people write them", console=console)
            return dataclasses.replace(table, wild=endured(chosen, habits, sandbox))
    except NoIsolation as error:
        return dataclasses.replace(table, not_attacked=" ".join(str(error).split()))


COMMANDS: dict[Callable[..., Any], str] = {
    init: "autograder init statistics",
    new: "autograder new first_steps",
    check: "autograder check first_steps",
    release: "autograder release first_steps",
    samples: "autograder samples first_steps",
    selftest: "autograder selftest first_steps --checks-only",
}
"""Each with its example, which a test runs, in this order."""
