"""What must not be in a notebook that students get: solutions, and cells that need what grading leaves out."""

import builtins
import symtable
from typing import Any

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"


def needs_of_tests(notebook: Any) -> list[tuple[str, int]]:
    """Names that cells which are run need, each with its cell, and that only cells of tests define."""
    made: set[str] = set()
    tested: set[str] = set()
    needed: list[tuple[str, int]] = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        marks = cell.metadata.get("nbgrader", {})
        binds, needs = _global_names(cell.source)
        if marks.get("grade") and not marks.get("solution"):
            tested |= binds
        else:
            needed += [(wanted, index) for wanted in sorted(needs)]
            made |= binds
    return [(wanted, index) for wanted, index in needed if wanted in tested - made]


def _global_names(source: str) -> tuple[set[str], set[str]]:
    """The global names that a cell binds, and those that it reads, functions included."""
    lines = [line if not line.lstrip().startswith(("%", "!")) else "" for line in source.splitlines()]
    table = symtable.symtable("\n".join(lines), "cell", "exec")
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    needs: set[str] = set()
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        symbols = (s for s in scope.get_symbols() if s.is_referenced())
        needs |= {s.get_name() for s in symbols if scope is table or s.is_global()}
    return binds, needs - set(dir(builtins))


def leaks(notebook: Any, shown_cells: list[Any]) -> list[str]:
    """What of the instructor's `notebook` would reach students in `shown_cells` and stands only in a solution."""
    secret: set[str] = set()
    public: set[str] = set()
    for cell in notebook.cells:
        inside = False
        for line in cell.source.splitlines():
            if BEGIN in line or END in line:
                inside = BEGIN in line
            elif line.strip():
                (secret if inside else public).add(line.strip())
    shown = {line.strip() for cell in shown_cells for line in "".join(cell["source"]).splitlines()}
    found = [
        f"a line of the solution would reach students: {line!r}" for line in sorted((secret - public) & shown)
    ]
    if any(BEGIN in line or END in line for line in shown):
        found.append("a solution's markers would reach students")
    return found
