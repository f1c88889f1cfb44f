"""A chapter as a notebook that runs and reads well outside the book.

Code cells stay as they are, but for those that need what is stored beside the book. Text is turned from MyST into
plain Markdown: directives become bold titles and folded blocks, roles become text, citations become
"Author (year)", computed numbers become the numbers.
"""

import ast
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jupytext
import nbformat

STYLE_IMPORT = re.compile(r"^from figures import [^\n]*\n", re.MULTILINE)
STORED = "benchmarks/results"  # a reader has no such files, and the text already says what is in them
FENCE = re.compile(r"^(?P<marks>:{3,}|`{3,})\{(?P<kind>[\w:-]+)\}\s*(?P<argument>.*)$")
ROLE = re.compile(r"\{(?P<role>[\w:-]+)\}`(?P<text>[^`]+)`")
LABEL = re.compile(r"^[:`]{3,}\{([\w:-]+)\} ?(.*)\n(?::(?!label)[\w-]+:.*\n)*:label: *(\S+)", re.MULTILINE)
TITLES = {
    "prf:definition": "Definition",
    "prf:theorem": "Theorem",
    "prf:lemma": "Lemma",
    "prf:corollary": "Corollary",
    "prf:proof": "Proof",
    "exercise": "Exercise",
    "admonition": "",
    "note": "Note",
    "warning": "Warning",
    "tip": "Tip",
}
FOLDED = {"solution": "Solution", "dropdown": ""}
DROPPED = {"explorable", "downloads", "bibliography", "glue:figure", "live-exercise"}
PREDICT = re.compile(
    r"^:::\{predict\}\n(?P<options>(?::\w+:[^\n]*\n)+)\n(?P<question>.*?)\n---\n(?P<explanation>.*?)^:::$",
    re.DOTALL | re.MULTILINE,
)


def role_text(
    match: re.Match[str],
    numbers: Mapping[str, str],
    labels: Mapping[str, str],
    cite: Callable[[str, str], str],
) -> str:
    role, text = match["role"], match["text"]
    if text in labels:
        return labels[text]
    if role.startswith("glue:"):
        return numbers[text.split(":")[0]]
    if role.startswith("cite"):
        return cite(role, text)
    if role == "math":
        return f"${text}$"
    named = re.fullmatch(r"(.*?)\s*<([^>]+)>", text, re.DOTALL)
    label = (named[1] if named else text.split("/")[-1]).replace("-", " ")
    return f"*{label}*"


def labelled(cells: list[Any]) -> dict[str, str]:
    """What a reference to each label reads: numbers for equations and figures, titles for the rest."""
    labels: dict[str, str] = {}
    equations = figures = 0
    for cell in cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if name:
            figures += 1
            labels[name] = f"Fig. {figures}"
        for kind, title, label in LABEL.findall(cell.source if cell.cell_type == "markdown" else ""):
            equations += kind == "math"
            labels[label] = f"({equations})" if kind == "math" else f"*{title.strip()}*"
    return labels


def predicted(match: re.Match[str]) -> str:
    """A question with its choices as a list and its answer folded."""
    options = dict(re.findall(r"^:(\w+): (.*)$", match["options"], re.MULTILINE))
    choices = [f"- {choice.strip()}" for choice in options.get("choices", "").split("|") if choice.strip()]
    folded = (
        f"<details><summary>Answer</summary>\n\n**{options['answer']}**\n{match['explanation']}\n</details>"
    )
    return "\n\n".join(
        ["**Predict.**", match["question"].strip(), *["\n".join(choices)] * bool(choices), folded]
    )


def plain_markdown(
    source: str, numbers: Mapping[str, str], labels: Mapping[str, str], cite: Callable[[str, str], str]
) -> str:
    """MyST `source` without its directives and roles."""
    out: list[str] = []
    open_fences: list[tuple[str, str]] = []  # the closing marks and what to write when they come
    skipping_options = False
    dropping = 0
    for line in PREDICT.sub(predicted, source).splitlines():
        fence = FENCE.match(line)
        if fence:
            kind, argument = fence["kind"], fence["argument"].strip()
            before, after = "", ""
            if kind in DROPPED:
                dropping += 1
            elif kind == "math":
                before, after = "$$", "$$"
            elif kind in FOLDED:
                title = FOLDED[kind] or argument
                before, after = f"<details><summary>{title}</summary>\n", "\n</details>"
            else:
                title = TITLES.get(kind, kind)
                name = f"{title} ({argument})" if title and argument else title or argument
                before = f"**{name}.**\n" if name else ""
            open_fences.append((fence["marks"], after if kind not in DROPPED else "drop"))
            if before and not dropping:
                out.append(before)
            skipping_options = True
        elif open_fences and line.strip() == open_fences[-1][0]:
            _, after = open_fences.pop()
            if after == "drop":
                dropping -= 1
            elif after and not dropping:
                out.append(after)
        elif skipping_options and re.match(r"^:[\w-]+:", line):
            label = line.split(maxsplit=1)[-1]
            if open_fences[-1][1] == "$$" and label in labels and not dropping:
                out.append(f"\\tag{{{labels[label].strip('()')}}}")
        else:
            skipping_options = False
            if not dropping and not re.fullmatch(r"\([\w:-]+\)=", line):
                out.append(line)
    text = "\n".join(out).strip()
    return ROLE.sub(lambda match: role_text(match, numbers, labels, cite), text)


def glued_numbers(glued: Path) -> dict[str, str]:
    """What the page's code computed for its prose, from the file that myst-nb keeps beside the executed page."""
    if not glued.exists():  # a page that shows no number of its own
        return {}
    outputs = json.loads(glued.read_text(encoding="utf-8"))
    texts = {name: output["data"].get("text/plain", "") for name, output in outputs.items()}
    return {name: text.strip("'") for name, text in texts.items()}


def without_stored(cells: list[Any]) -> list[Any]:
    """`cells` without those that read what is stored beside the book, and those that need what these made.

    Where such a cell drew a figure, its caption stands.
    """
    here: list[Any] = []
    made: set[str] = set()
    missed: set[str] = set()
    for cell in cells:
        if cell.cell_type != "code":
            here.append(cell)
            continue
        nodes = list(ast.walk(ast.parse(cell.source)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        sets = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        sets |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        if STORED in cell.source or missed & ({node.id for node in names} - sets):
            missed |= sets - made
            if caption := cell.metadata.get("mystnb", {}).get("figure", {}).get("caption"):
                here.append(nbformat.v4.new_markdown_cell(f"**A figure of the book.** {caption}"))
        else:
            made |= sets
            missed -= sets
            here.append(cell)
    return here


def plain_notebook(page: Path, glued: Path, style: Path, cite: Callable[[str, str], str]) -> Any:
    """The chapter at `page` as a notebook; `style` is the source of the figures' style, put in its first use."""
    notebook = jupytext.read(page)
    numbers = glued_numbers(glued)
    labels = labelled(notebook.cells)
    notebook.cells = without_stored(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, numbers, labels, cite)
        elif STYLE_IMPORT.search(cell.source):
            cell.source = STYLE_IMPORT.sub(lambda match: style.read_text(encoding="utf-8"), cell.source)
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return notebook
