"""Runs cells of a notebook in the page, with what they need of the cells before them.

Every run starts from nothing: an empty namespace, then the steps that its cells depend on, in the notebook's
order, then the cells. So no result depends on what was run before, and a Python that was stopped loses nothing.
A step depends on another when it reads a name that the other one binds or changes.

Cells come as dictionaries with `id`, `kind` ("code", "exercise" or "tests") and `source`. What a run shows goes
to `emit` at once: texts, values with a picture of them, figures, the tests one by one, an error with its line.
"""

import ast
import contextlib
import io
import linecache
import re
import symtable
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import pictures

Cell = dict[str, Any]
Emit = Callable[[dict[str, Any]], None]
MOST_TEXT = 20_000
UNSOLVED = "raise NotImplementedError"


@dataclass
class Step:
    """Statements that run together: one of a notebook's own, or a whole cell that a student wrote."""

    cell: Cell
    nodes: list[ast.stmt]
    error: SyntaxError | None = None
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    reads_later: set[str] = field(default_factory=set)  # inside functions: looked up when these are called


def steps_of(cell: Cell) -> list[Step]:
    """The steps of a cell, with what each binds, changes and reads."""
    try:
        nodes = ast.parse(cell["source"], cell["id"]).body
    except SyntaxError as error:
        names = re.findall(r"^(?:def|class)\s+(\w+)", cell["source"], re.MULTILINE)
        return [Step(cell, [], error, binds=set(names))]
    whole = cell["kind"] == "exercise"
    groups = [nodes] if whole else [[node] for node in nodes]
    return [described(Step(cell, group)) for group in groups if group]


def described(step: Step) -> Step:
    for node in step.nodes:
        table = symtable.symtable(ast.unparse(node), step.cell["id"], "exec")
        symbols = table.get_symbols()
        reads = {symbol.get_name() for symbol in symbols if symbol.is_referenced()}
        step.reads |= reads - step.binds - set(bound_first(node))
        step.binds |= {
            symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()
        }
        step.reads_later |= set(globals_read(table))
        step.changes |= set(changed_names(node))
    return step


def bound_first(node: ast.stmt) -> Iterator[str]:
    """Names that a loop binds before its body reads them."""
    if isinstance(node, ast.For):
        before = {part.id for part in ast.walk(node.iter) if isinstance(part, ast.Name)}
        names = (part.id for part in ast.walk(node.target) if isinstance(part, ast.Name))
        yield from (name for name in names if name not in before)


def globals_read(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that functions, classes and comprehensions in `table` look up in the notebook."""
    for child in table.get_children():
        yield from (s.get_name() for s in child.get_symbols() if s.is_global() and s.is_referenced())
        yield from globals_read(child)


def changed_names(node: ast.AST) -> Iterator[str]:
    """Names whose objects a statement changes in place, `x[0] = 1` or `x.append(1)`; not inside functions."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    owner: ast.AST | None = None
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        owner = node
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func
    while isinstance(owner, ast.Attribute | ast.Subscript):
        owner = owner.value
    if isinstance(owner, ast.Name):
        yield owner.id
    for child in ast.iter_child_nodes(node):
        yield from changed_names(child)


def imported_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)


class Dependencies:
    """The steps that some steps need, found by going back from them."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.modules = {name for step in steps for node in step.nodes for name in imported_names(node)}
        self.wanted: set[int] = set()
        self.asked: set[tuple[str, int]] = set()

    def need(self, index: int) -> None:
        """Take a step, and what it reads; what its functions read is looked up when all has run."""
        if index in self.wanted:
            return
        self.wanted.add(index)
        step = self.steps[index]
        for name in step.reads:
            self.need_name(name, index)
        for name in step.reads_later - step.binds:
            self.need_name(name, len(self.steps))

    def need_name(self, name: str, before: int) -> None:
        """Take the last step before `before` that binds `name`, and those that change it from there on."""
        if (name, before) in self.asked:
            return
        self.asked.add((name, before))
        for index in range(before - 1, -1, -1):
            step = self.steps[index]
            if name in step.binds:
                self.need(index)
                if any("default_rng" in ast.unparse(node) for node in step.nodes):
                    self.need_uses(name, index + 1, before)
                return
            if name in step.changes and name not in self.modules:
                self.need(index)

    def need_uses(self, name: str, start: int, before: int) -> None:
        """A generator of random numbers is changed by every use, wherever it is handed to."""
        for index in range(start, before):
            if name in self.steps[index].reads:
                self.need(index)


def plan(cells: list[Cell], targets: list[str]) -> list[Step]:
    """The steps of the target cells and those that they need, in the notebook's order."""
    steps = [step for cell in cells for step in steps_of(cell)]
    found = Dependencies(steps)
    for index, step in enumerate(steps):
        if step.cell["id"] in targets:
            found.need(index)
    return [steps[index] for index in sorted(found.wanted)]


class Output(io.TextIOBase):
    """What a run prints: sent on line by line, and no more than a page holds."""

    def __init__(self, emit: Emit) -> None:
        self.emit, self.pending, self.left = emit, "", MOST_TEXT

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.left > 0:
            self.pending += text[: self.left]
            self.left -= len(text)
            if self.left <= 0:
                self.pending += f"\n… and more: the page shows {MOST_TEXT:,} characters of a run.\n"
            if "\n" in self.pending or len(self.pending) > 400:
                self.flush()
        return len(text)

    def flush(self) -> None:
        if self.pending:
            self.emit({"type": "text", "text": self.pending})
            self.pending = ""


class Run:
    """One run: a namespace of its own, and where what it shows goes."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.namespace: dict[str, Any] = {"__name__": "__main__"}

    def execute(self, step: Step, nodes: list[ast.stmt]) -> None:
        if step.error:
            raise step.error
        exec(compile(ast.Module(nodes, []), step.cell["id"], "exec"), self.namespace)

    def unseen(self, step: Step) -> None:
        """A step that another one needs: what it prints or draws is not shown again."""
        with contextlib.redirect_stdout(io.StringIO()), plt.unseen():
            self.execute(step, step.nodes)

    def seen(self, step: Step, is_last: bool) -> None:
        """A step of a target; a cell's last line that is an expression shows its value, as in a notebook."""
        last = step.nodes[-1] if step.nodes else None
        if is_last and isinstance(last, ast.Expr):
            self.execute(step, step.nodes[:-1])
            self.show(eval(compile(ast.Expression(last.value), step.cell["id"], "eval"), self.namespace))
        else:
            self.execute(step, step.nodes)

    def show(self, value: Any) -> None:
        """A value as text, and its arrays as pictures."""
        if value is None:
            return
        with np.printoptions(threshold=120, edgeitems=4, precision=5, suppress=True, linewidth=88):
            text = repr(value)
        self.emit({"type": "value", "text": text if len(text) < 4000 else text[:4000] + " …"})
        for svg, words in pictures.of(value):
            self.emit({"type": "figure", "svg": svg, "alt": words})

    def test(self, step: Step, number: int, of: int) -> bool:
        """One visible test: shown with what it asserts, and its message where it fails."""
        row = {"type": "check", "source": summary(step), "number": number, "of": of}
        try:
            self.execute(step, step.nodes)
        except AssertionError as error:
            if innermost_cell(error) != step.cell["id"]:
                raise  # an assertion of the student's own
            self.emit(row | {"passed": False, "message": str(error)})
            return False
        self.emit(row | {"passed": True, "message": ""})
        return True


def asserts(step: Step) -> list[ast.Assert]:
    return [part for node in step.nodes for part in ast.walk(node) if isinstance(part, ast.Assert)]


def summary(step: Step) -> str:
    """What the assertions of a step say, in their own code."""
    return " and ".join(ast.unparse(part.test) for part in asserts(step))


def innermost_cell(error: BaseException) -> str:
    return traceback.extract_tb(error.__traceback__)[-1].filename


def play(steps: list[Step], targets: list[str], this: Run) -> bool:
    """Run the steps; the tests among the targets up to the first that fails. Whether all passed."""
    of = sum(bool(asserts(s)) for s in steps if s.cell["kind"] == "tests" and s.cell["id"] in targets)
    number = 0
    for place, step in enumerate(steps):
        if step.cell["id"] not in targets:
            this.unseen(step)
        elif step.cell["kind"] == "tests" and asserts(step):
            number += 1
            if not this.test(step, number, of):
                return False
        else:
            following = steps[place + 1].cell["id"] if place + 1 < len(steps) else ""
            this.seen(step, is_last=following != step.cell["id"])
    return True


def run(cells: list[Cell], targets: list[str], emit: Emit) -> bool:
    """Run the cells with the ids `targets` and what they need; whether all went well and every test passed."""
    output = Output(emit)
    by_id = {cell["id"]: cell for cell in cells}
    for name, cell in by_id.items():  # lets tracebacks quote a cell's lines
        linecache.cache[name] = (len(cell["source"]), None, cell["source"].splitlines(keepends=True), name)
    plt.begin(emit)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            passed = play(plan(cells, targets), targets, Run(emit))
            output.flush()
            plt.show()
        return passed
    except BaseException as error:  # whatever it is, the page shows it and goes on
        output.flush()
        emit(description(error, by_id))
        return False


def description(error: BaseException, cells: dict[str, Cell]) -> dict[str, Any]:
    """An error as the page shows it: its message, and the last line of a student's that it passed through."""
    if isinstance(error, SyntaxError) and error.filename in cells:
        frames = [(error.filename, error.lineno or 1, (error.text or "").strip())]
        message = error.msg
    else:
        trace = traceback.extract_tb(error.__traceback__)
        frames = [(f.filename, f.lineno or 1, f.line or "") for f in trace if f.filename in cells]
        message = str(error)
    written = [frame for frame in frames if cells[frame[0]]["kind"] == "exercise"]
    cell, line, text = (written or frames or [("", 0, "")])[-1]
    return {
        "type": "error",
        "name": type(error).__name__,
        "message": message,
        "cell": cell,
        "line": line,
        "unsolved": isinstance(error, NotImplementedError) and UNSOLVED in text,
        "trace": [list(frame) for frame in frames[-8:]],
    }
