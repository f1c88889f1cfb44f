"""ARCHITECTURE.md draws the rooms and walks through them; both are made from the code, and compared with the page.

Where they differ, the test's message is the text that belongs on the page.
"""

import ast
import gc
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from types import FrameType

import pytest
import torch
from toy_course import RIGHT, Classroom

from autograder.classroom.batch import Job
from autograder.classroom.gradebook import Book, Graded
from autograder.classroom.lane import Lane
from autograder.judging.fingerprint import result_key
from autograder.pages.graded_notebook import Entry
from autograder.ways.collect import collect
from ebmkit import mcmc
from ebmkit.ising import Ising

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "ARCHITECTURE.md"


def rooms(package: str) -> dict[str, Path]:
    """The files of a package, each by its module's name."""
    top = ROOT / package
    return {".".join(path.relative_to(top).with_suffix("").parts): path for path in top.rglob("*.py")}


def room(module: str) -> str:
    """The folder that a module lies in, or its own name where it lies in the hall."""
    parts = module.split(".")
    return "sandbox/worker" if parts[:2] == ["sandbox", "worker"] else parts[0]


def arrows(package: str) -> dict[str, set[str]]:
    """Which room imports which."""
    modules = rooms(package)
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in modules.items():
        here = room(module)
        if here == "__init__":
            continue
        found[here] |= set()
        for name in imported(path):
            inside = name.removeprefix(f"{package}.")
            known = inside in modules or f"{inside}.__init__" in modules
            if name.startswith(f"{package}.") and known and room(inside) != here:
                found[here].add(room(inside))
    return dict(found)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def drawn(package: str) -> str:
    """The rooms as a Mermaid flowchart: an arrow for each import that no longer way implies."""
    direct = arrows(package)
    below: dict[str, set[str]] = {}
    for name in TopologicalSorter(direct).static_order():
        below[name] = direct[name].union(*(below[other] for other in direct[name]))
    lines = ["flowchart TD"]
    for name in sorted(direct):
        needed = {a for a in direct[name] if not any(a in below[b] for b in direct[name] - {a})}
        lines += [f"  {name} --> {other}" for other in sorted(needed)]
        if not needed and not any(name in others for others in direct.values()):
            lines.append(f"  {name}")
    return "\n".join(lines)


def block(kind: str, title: str) -> str:
    """The first fenced block of a kind below a heading of the page."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}$.*?^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{PAGE.name} has no {kind} block below '## {title}'"
    return found[1].rstrip("\n")


class Walk:
    """The rooms that functions are called in: in the order of their first calls, and who calls into whom."""

    def __init__(self) -> None:
        self.rooms: list[str] = []
        self.steps: set[tuple[str, str]] = set()


@contextmanager
def walked(package: str) -> Iterator[Walk]:
    """Follows every call into a package's files until the block ends."""
    top = str(ROOT / package) + "/"
    walk = Walk()

    def place(frame: FrameType | None) -> str:
        path = frame.f_code.co_filename if frame is not None else ""
        inside = path.removeprefix(top).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return room(inside) if path.startswith(top) else ""

    def watch(frame: FrameType, event: str, _: object) -> None:
        here = place(frame)
        if event != "call" or not here or frame.f_code.co_name == "<module>":
            return
        if here not in walk.rooms:
            walk.rooms.append(here)
        caller = place(frame.f_back)
        if caller and caller != here:
            walk.steps.add((caller, here))

    before = sys.getprofile()
    gc.collect()
    gc.disable()  # what an earlier test left behind would end when it likes, in the middle of the walk
    sys.setprofile(watch)
    try:
        yield walk
    finally:
        sys.setprofile(before)
        gc.enable()


@pytest.mark.parametrize("package", ["autograder", "ebmkit"])
def test_the_rooms_are_drawn_as_the_imports_run(package: str) -> None:
    assert block("mermaid", f"The rooms of {package}") == drawn(package)


def test_a_notebook_walks_as_the_page_says(classroom: Classroom, tmp_path: Path) -> None:
    handed_in = tmp_path / "inbox" / "alice" / "toy.ipynb"
    handed_in.parent.mkdir(parents=True)
    handed_in.write_bytes(classroom.answered(RIGHT))
    with Lane(classroom.course, "toy", "none") as lane, walked("autograder") as walk:
        (outcome,) = collect(classroom.course, "toy", tmp_path / "inbox")
        job = job_of(classroom, lane)
        answer = lane.answer(job)
        with Book(classroom.course) as book:
            entries = tuple(Entry(**entry) for entry in answer["students"]["alice"])
            book.record("toy", [Graded("alice", "", entries)])
    assert outcome.student == "alice"
    assert answer["score"] == 80
    assert block("text", "One notebook, from upload to feedback") == " → ".join(walk.rooms)
    assert climbing(walk, "autograder") == {("exercises", "judging"), ("sandbox/worker", "sandbox")}


def climbing(walk: Walk, package: str) -> set[tuple[str, str]]:
    """The calls into a room that the caller's room does not import."""
    direct = arrows(package)
    return {(here, there) for here, there in walk.steps if there not in direct[here]}


def job_of(classroom: Classroom, lane: Lane) -> dict[str, object]:
    """The job that the command would give to a lane for alice's notebook."""
    import hashlib

    path = classroom.course.folder("submitted", "alice", "toy", "toy.ipynb")
    data = path.read_bytes()
    key = result_key(bytes.fromhex(lane.environment), data)
    target = {"student": "alice", "shown": "alice", "notes": [], "by_hand": {}}
    job = Job(key, str(path), hashlib.sha256(data).hexdigest(), "", False, [target])
    return vars(job)


def test_a_tensor_walks_as_the_page_says() -> None:
    model = Ising((3, 3), coupling=0.4)
    generator = torch.Generator().manual_seed(0)
    spins = torch.ones(10, 3, 3, dtype=torch.float64)
    with walked("ebmkit") as walk:
        draws = mcmc.sample(mcmc.Gibbs(model), spins, 5, generator=generator)
    assert draws.shape == (5, 10, 3, 3)
    assert block("text", "One tensor, from a chapter through a sampler") == " → ".join(walk.rooms)
