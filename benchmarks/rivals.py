"""The same attacks, the same noisy right work and the same class through this autograder, nbgrader and otter.

    python benchmarks/rivals.py [PART …] [--copies 32] [--environments FOLDER]

The parts, all of them if none is named: `attacks` (hostile submissions and right ones that make noise, on the Ising
assignment), `wild` (right work of that assignment as people and their tools write it), `ising` and `plain`
(submissions a second on the Ising assignment, and on one whose cells and checks cost next to nothing). nbgrader
runs in an environment of its own, in the version of requirements.lock and with its default pipeline; otter too, in
the newest version on PyPI, without containers and in as many processes as there are processors.
Both get plain hidden asserts on fixed inputs; ours runs its hidden checks, statistics included.
Nothing is compared with a figure that was not measured here. Results go to `benchmarks/results/rivals.json`.

The attacks are chosen to be harmless to a machine without a sandbox: none starves it, hangs a kernel, kills
processes of others, or leaves anything behind. The part `environments` makes the environments and measures nothing.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
from checks import plain
from nbformat import NotebookNode
from throughput import BIN, ENVIRONMENT, RESULTS, ROOT, hidden_asserts, per_second, run

from autograder.authoring.hostile import ATTACKS, PRELUDE, Attack
from autograder.authoring.percent import nbgrader_notebook
from autograder.authoring.release import publish
from autograder.authoring.wild import WILD, Wild
from autograder.course import Course
from autograder.exercises.catalogue import assignment_named
from autograder.judging.handout import MARKS

Students = Mapping[str, bytes]
Scores = dict[str, float | None]

CHECKS = Path(__file__).parent / "checks"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ebm-course-rivals"
WALL_CLOCK = 3600
"""Seconds that one command may take before the benchmark gives up."""


# --- What is graded


@dataclasses.dataclass(frozen=True)
class Corpus:
    """One assignment: solved, with nbgrader's metadata, and plain hidden asserts for each exercise."""

    name: str
    solved: NotebookNode
    hidden: dict[str, str]

    @property
    def points(self) -> dict[str, float]:
        """The points of each exercise that is graded by machine."""
        exercises = assignment_named(self.name).exercises
        return {exercise.name: exercise.points for exercise in exercises}

    def notebook(
        self, answers: Mapping[str, str], first: str | None = None, last: str | None = None
    ) -> bytes:
        """The solution with other answers; a cell before everything and one after it where they are given."""
        made = nbformat.from_dict(self.solved)
        for cell in made.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            lines = answers.get(name, cell.source).split("\n")
            cell.source = "\n".join(line for line in lines if line.strip() not in MARKS)
        if first is not None:
            made.cells.insert(0, nbformat.v4.new_code_cell(first, id="first"))
        if last is not None:
            made.cells.append(nbformat.v4.new_code_cell(last, id="last"))
        text: str = nbformat.writes(made)
        return text.encode()

    def answers(self) -> dict[str, str]:
        cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source for cell in self.solved.cells}
        return {name: cells[name] for name in self.points}


def ising() -> Corpus:
    hidden = {name.removesuffix("-tests"): _within_marks(text) for name, text in hidden_asserts().items()}
    return Corpus("ising", nbgrader_notebook("ising"), hidden)


def _within_marks(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if line and "HIDDEN TESTS" not in line)


def plain_functions() -> Corpus:
    return Corpus("plain", plain.solved_notebook(), plain.hidden_asserts())


def class_of(corpus: Corpus, copies: int) -> dict[str, bytes]:
    """So many different right submissions."""
    return {f"student-{n:03d}": corpus.notebook({}, last=f"# submission {n}") for n in range(copies)}


CHOSEN = (
    "numpy testing always passes",
    "assertions are stripped from later cells",
    "input transformer empties later cells",
    "equal to everything",
    "float subclass",
    "array subclass with its own rules",
    "nan everywhere",
    "prints a score",
    "gives a score as the cells value",
    "exception named like a pass",
    "claims another exercise id",
    "exits hard",
)

FOUND_ELSEWHERE = tuple(
    Attack(family, name, textwrap.dedent(source))
    for family, name, source in (
        (
            "read the secret",
            "expected values read from the running tests",
            """
            import ast, glob
            import numpy as np
            def oracle(name):
                def answer(*args):
                    texts = [In[-1]] + [open(path).read() for path in glob.glob("tests/*.py")]
                    for node in (n for text in texts for n in ast.walk(ast.parse(text))):
                        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "isclose": continue
                        call, value = node.args[:2]
                        if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != name: continue
                        try: given = [eval(ast.unparse(a), {"np": np}) for a in call.args]
                        except Exception: continue
                        if len(given) == len(args) and all(np.array_equal(a, b) for a, b in zip(given, args)):
                            return ast.literal_eval(value)
                return answer
            for name in NAMES:
                globals()[name] = oracle(name)
            """,
        ),
        (
            "read the secret",
            "solution taken from the instructors files",
            """
            import glob, json
            import numpy as np
            for path in glob.glob("../../../source/*/*.ipynb") + glob.glob("../source/**/*.ipynb", recursive=True):
                for cell in json.load(open(path))["cells"]:
                    if cell["cell_type"] == "code" and "BEGIN SOLUTION" in "".join(cell["source"]):
                        exec("".join(cell["source"]), globals())
            """,
        ),
        (
            "patch the checker",
            "test cases of otter pass without running",
            """
            try:
                from otter.test_files.exception_test import test_case
                test_case.call_func = lambda self, environment: None
            except ImportError: pass
            """,
        ),
        (
            "patch the checker",
            "results of otter say full marks",
            """
            try:
                from otter.test_files import GradingResults
                from otter.test_files.abstract_test import TestFile
                TestFile.score = property(lambda self: self.possible)
            except ImportError: pass
            """,
        ),
    )
)

NOISE = {
    "right, with a Python warning in each call": 'import warnings; warnings.warn("slow, but right")',
    "right, with progress on standard error": 'import sys; print("100%", file=sys.stderr)',
    "right, with a C library's line on standard error": 'import os; os.write(2, b"could not initialize NNPACK\\n")',
    "right, with 20 MB of output": 'LOUD[:1] and print("x" * LOUD.pop())',
}

NOISY = """
import functools
LOUD = [20_000_000]
def noisy(function):
    @functools.wraps(function)
    def talking(*args):
        {noise}
        return function(*args)
    return talking
"""


def attacks() -> list[Attack]:
    known = {attack.name: attack for attack in ATTACKS}
    return [*(known[name] for name in CHOSEN), *FOUND_ELSEWHERE]


def trials(corpus: Corpus) -> dict[str, bytes]:
    """Students by what they do: right, wrong, hostile and noisy."""
    wrong = dict.fromkeys(corpus.points, "pass")
    made = {
        "right": corpus.notebook({}),
        "wrong": corpus.notebook(wrong, first=PRELUDE.format(names=list(corpus.points))),
    }
    for number, attack in enumerate(attacks()):
        first = PRELUDE.format(names=list(corpus.points)) + attack.source
        made[f"attack-{number:02d}"] = corpus.notebook(wrong, first=first)
    for number, noise in enumerate(NOISE.values()):
        loud = {name: f"{source}\n{name} = noisy({name})" for name, source in corpus.answers().items()}
        made[f"noise-{number}"] = corpus.notebook(loud, first=NOISY.format(noise=noise))
    return made


NOT_TRIED = {
    "a package by pip": "would install it, and so change what comes after",
    "a package by the magic": "would install it, and so change what comes after",
    "a package by conda": "would install it, and so change what comes after",
    "an endless loop that is stopped": "otter's own function sets no limit",
}
"""Habits that are left out, and why."""


def habits() -> list[Wild]:
    return [habit for habit in WILD if habit.name not in NOT_TRIED]


# --- Who grades


@dataclasses.dataclass(frozen=True)
class Environment:
    """A virtual environment of a rival's own."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, package: str, *pinned: str) -> "Environment":
        """Make it unless it is there: the rival, what the notebooks need, and the students' wheel."""
        environment = cls(folder)
        ready = folder / ".ready"
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            run([sys.executable, "-m", "venv", str(folder)], ROOT)
            lock = ROOT / "requirements.lock"
            install = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
            run([*install, package, *pinned], ROOT, PIP_CONSTRAINT=str(lock) if "==" in package else "")
            run([*install, "--no-deps", str(ROOT)], ROOT)
            ready.touch()
        return environment

    @property
    def environ(self) -> dict[str, str]:
        return ENVIRONMENT | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def version(self, package: str) -> str:
        code = f"from importlib.metadata import version; print(version({package!r}))"
        done = subprocess.run([self.tool("python"), "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def tool(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def call(self, command: list[str], where: Path) -> None:
        """Run a command, whose failure is part of what is measured."""
        subprocess.run(
            command, cwd=where, env=self.environ, capture_output=True, check=False, timeout=WALL_CLOCK
        )


def locked(*names: str) -> list[str]:
    """The requirements of these names, as requirements.lock has them."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if line.partition("==")[0] in names]


class Ours:
    """This autograder: `autograder grade` in the sandbox."""

    name = "ours"

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self.corpus, self.course = corpus, Course(folder)
        shutil.copy(ROOT / "nbgrader_config.py", folder)
        os.environ["EBM_COURSE"] = str(folder)  # `publish` runs nbgrader, which reads the course's settings
        publish(self.course, assignment_named(corpus.name), corpus.solved)

    def submit(self, students: Students) -> None:
        put(self.course.folder("submitted"), self.corpus.name, students)

    def grade(self, student: str | None = None) -> float:
        command = [str(BIN / "autograder"), "grade", self.corpus.name]
        command += ["--student", student] if student else []
        return run(command, self.course.root, EBM_COURSE=str(self.course.root), EBM_CHECKS=str(CHECKS))

    def scores(self) -> Scores:
        from autograder.classroom.store import Store

        store = Store(self.course, self.corpus.name)
        reports = {s: store.load_report(store.recorded(s) or "") for s in store.students()}
        return {student: report.score if report else None for student, report in reports.items()}

    @property
    def isolation(self) -> str:
        from autograder.classroom.store import Store

        store = Store(self.course, self.corpus.name)
        report = store.load_report(store.recorded(store.students()[0]) or "")
        return report.isolation if report else ""


class NbGrader:
    """nbgrader's default pipeline: one command, one submission after another."""

    name = "nbgrader"

    def __init__(self, corpus: Corpus, folder: Path, environment: Environment) -> None:
        self.corpus, self.folder, self.environment = corpus, folder, environment
        (folder / "nbgrader_config.py").write_text(
            f"c = get_config()\nc.CourseDirectory.root = {str(folder)!r}\nc.CourseDirectory.course_id = 'stock'\n"
        )
        notebook = nbformat.from_dict(corpus.solved)
        for cell in notebook.cells:
            name = str(cell.metadata.get("nbgrader", {}).get("grade_id", "")).removesuffix("-tests")
            if cell.metadata.get("nbgrader", {}).get("grade") and name in corpus.hidden:
                cell.source += f"\n### BEGIN HIDDEN TESTS\n{corpus.hidden[name]}\n### END HIDDEN TESTS\n"
        source = folder / "source" / corpus.name
        source.mkdir(parents=True)
        nbformat.write(notebook, source / f"{corpus.name}.ipynb")
        self._run("generate_assignment", corpus.name, "--create")

    def _run(self, *arguments: str) -> float:
        return run([self.environment.tool("nbgrader"), *arguments], self.folder, **self.environment.environ)

    def submit(self, students: Students) -> None:
        put(self.folder / "submitted", self.corpus.name, students)

    def grade(self, student: str | None = None) -> float:
        return self._run(
            "autograde", self.corpus.name, "--create", *(["--student", student] if student else [])
        )

    def try_each(self, students: Students) -> None:
        """Grade all; where a submission ends the command, those that are left one by one."""
        command = [self.environment.tool("nbgrader"), "autograde", self.corpus.name, "--create"]
        self.environment.call(command, self.folder)
        done = self.scores()
        for student in [student for student in students if student not in done]:
            self.environment.call([*command, "--student", student], self.folder)

    def scores(self) -> Scores:
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}") as book:
            return {
                submission.student.id: sum(
                    grade.auto_score or 0.0
                    for notebook in submission.notebooks
                    for grade in notebook.grades
                    if grade.cell.name.removesuffix("-tests") in self.corpus.points
                )
                for submission in book.assignment_submissions(self.corpus.name)
                if (self.folder / "autograded" / submission.student.id / self.corpus.name).exists()
            }


class Otter:
    """otter without containers: its own `grade_submission` in a process for each processor."""

    name = "otter"

    def __init__(self, corpus: Corpus, folder: Path, environment: Environment) -> None:
        self.corpus, self.folder, self.environment = corpus, folder, environment
        (folder / "tests").mkdir()
        (folder / "submitted").mkdir()
        functions = ", ".join(corpus.points)
        for name, points in corpus.points.items():
            body = textwrap.indent(f"import numpy as np\n{corpus.hidden[name]}", "    ")
            (folder / "tests" / f"{name}.py").write_text(
                "from otter.test_files import test_case\n\nOK_FORMAT = False\n"
                f"name = {name!r}\npoints = {points}\n\n"
                f"@test_case(hidden=True)\ndef test_{name}({functions}):\n{body}\n"
            )
        run(
            [environment.tool("otter"), "generate", "-t", "tests", "-o", "autograder.zip"],
            folder,
            **environment.environ,
        )

    def submit(self, students: Students) -> None:
        for student, data in students.items():
            (self.folder / "submitted" / f"{student}.ipynb").write_bytes(data)

    def grade(self, student: str | None = None) -> float:
        done = set(self.scores())
        paths = sorted((self.folder / "submitted").glob(f"{student or '*'}.ipynb"))
        todo = [str(path) for path in paths if path.stem not in done]
        driver = str(Path(__file__).parent / "otter_driver.py")
        scores = str(self.folder / f"scores-{len(done)}.json")
        command = [self.environment.tool("python"), driver, "autograder.zip", scores, *todo]
        return run(command, self.folder, **self.environment.environ)

    def scores(self) -> Scores:
        found: Scores = {}
        for path in self.folder.glob("scores-*.json"):
            found |= {student: score for student, (score, _) in json.loads(path.read_text()).items()}
        return found


def put(folder: Path, name: str, students: Students) -> None:
    for student, data in students.items():
        path = folder / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


# --- What is measured

Grader = Ours | NbGrader | Otter
Makers = list[Callable[[Corpus, Path], Grader]]


def throughput(corpus: Corpus, makers: Makers, copies: int) -> dict[str, object]:
    """Submissions a second of each, once the command has started, on the same class."""
    students = class_of(corpus, copies)
    found: dict[str, dict[str, float]] = {}
    for maker in makers:
        with tempfile.TemporaryDirectory() as folder:
            grader = maker(corpus, Path(folder))
            grader.submit(students)
            seconds = grader.grade("student-000"), grader.grade()
            expected = dict.fromkeys(students, sum(corpus.points.values()))
            if grader.scores() != expected:
                raise SystemExit(f"{grader.name} did not give everybody full points: {grader.scores()}")
            found[grader.name] = {
                "first_submission_seconds": round(seconds[0], 2),
                "other_submissions_seconds": round(seconds[1], 2),
                "submissions_per_second": round(per_second(seconds, copies), 2),
            }
    ours = found["ours"]["submissions_per_second"]
    ratios = {
        name: round(ours / figures["submissions_per_second"], 1)
        for name, figures in found.items()
        if name != "ours"
    }
    return {"copies": copies, "systems": found, "times_as_fast_as": ratios}


def scores_of(
    maker: Callable[[Corpus, Path], Grader], corpus: Corpus, students: Students
) -> tuple[str, Scores]:
    """A grader's name, and what it gives to each of these students; None where it ends without a grade."""
    with tempfile.TemporaryDirectory() as folder:
        grader = maker(corpus, Path(folder))
        grader.submit(students)
        if isinstance(grader, NbGrader):
            grader.try_each(students)
        else:
            grader.grade()
        given = grader.scores()
    return grader.name, {student: given.get(student) for student in students}


def verdicts(corpus: Corpus, makers: Makers) -> dict[str, object]:
    """What each system gives to hostile work, and what it takes from right work that makes noise."""
    students = trials(corpus)
    total = sum(corpus.points.values())
    tried = attacks()
    found: dict[str, object] = {}
    for maker in makers:
        name, scores = scores_of(maker, corpus, students)
        if scores["right"] != total or scores["wrong"] != 0:
            raise SystemExit(f"{name}: right work got {scores['right']}, wrong {scores['wrong']}")
        outcomes = {attack.name: scores[f"attack-{n:02d}"] for n, attack in enumerate(tried)}
        noisy = {noise: scores[f"noise-{n}"] for n, noise in enumerate(NOISE)}
        found[name] = {
            "attacks_that_gained_points": sum(1 for score in outcomes.values() if score),
            "attacks_left_without_a_grade": sum(1 for score in outcomes.values() if score is None),
            "noisy_right_work_that_lost_points": sum(1 for score in noisy.values() if score != total),
            "points_lost_by_noisy_right_work": sum(total - (score or 0.0) for score in noisy.values()),
            "attacks": outcomes,
            "noise": noisy,
        }
    return {
        "attacks": len(tried),
        "families": {attack.name: attack.family for attack in tried},
        "noisy": len(NOISE),
        "points": total,
        "systems": found,
    }


def habitual(corpus: Corpus, makers: Makers) -> dict[str, object]:
    """What each system takes from right work as people and their tools write it."""
    solved, tried = corpus.notebook({}), habits()
    students = {f"habit-{n:03d}": habit.applied(solved) for n, habit in enumerate(tried)}
    total = sum(corpus.points.values())
    found: dict[str, object] = {}
    for maker in makers:
        name, scores = scores_of(maker, corpus, students | {"right": solved})
        if scores["right"] != total:
            raise SystemExit(f"{name}: right work as it is got {scores['right']} of {total:g}")
        by_habit = {habit.name: scores[f"habit-{n:03d}"] for n, habit in enumerate(tried)}
        found[name] = {
            "lost_points": sum(1 for score in by_habit.values() if score != total),
            "left_without_a_grade": sum(1 for score in by_habit.values() if score is None),
            "points_lost": sum(total - (score or 0.0) for score in by_habit.values()),
            "habits": by_habit,
        }
    return {
        "habits": len(tried),
        "families": {habit.name: habit.family for habit in tried},
        "not_tried": NOT_TRIED,
        "points": total,
        "systems": found,
    }


PARTS: dict[str, Callable[[Makers, int], dict[str, object]]] = {
    "attacks": lambda makers, _: verdicts(ising(), makers),
    "wild": lambda makers, _: habitual(ising(), makers),
    "ising": lambda makers, copies: throughput(ising(), makers, copies),
    "plain": lambda makers, copies: throughput(plain_functions(), makers, copies),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if left out")
    parser.add_argument("--copies", type=int, default=32)
    parser.add_argument("--environments", type=Path, default=CACHE)
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - {*PARTS, "environments"}:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    os.environ["EBM_CHECKS"] = str(CHECKS)
    needed = locked("numpy", "torch", "matplotlib", "ipykernel")
    (stock,) = locked("nbgrader")
    nbgrader = Environment.made(chosen.environments / stock, stock, *needed)
    otter = Environment.made(chosen.environments / "otter", "otter-grader", *needed)
    versions = {
        "ours": "this revision",
        "nbgrader": nbgrader.version("nbgrader"),
        "otter": otter.version("otter-grader"),
    }
    makers: Makers = [Ours, lambda c, f: NbGrader(c, f, nbgrader), lambda c, f: Otter(c, f, otter)]
    for part in [p for p in chosen.parts if p in PARTS] or ([] if chosen.parts else list(PARTS)):
        measured = PARTS[part](makers, chosen.copies)
        here = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}
        record(part, here | measured)
        print(json.dumps({part: measured}, indent=1))


def record(part: str, measured: dict[str, object]) -> None:
    """Put a part's results beside those of the others."""
    path = RESULTS / "rivals.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(known | {part: measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
