"""An assignment's page, made of the notebook that students get, with Python in the page for who asks for it.

    :::{assignment} ising
    :::

as all of `book/exercises/ising.md` becomes the notebook of `dist/assignments/ising.zip`: its text, its code, and
a `live-cell` for each exercise, which is its stub and its visible tests until a script makes an editor of it.
`_static/live/live.js` is that script; Python and the editor come from dist/live (`make live`). Without them, or
without the assignment, the pages say so and point to the notebook.

    :::{live-exercise} ising energy
    :::

is one exercise of an assignment inside a chapter, folded; what is written there is the work of the assignment's
own page.

    :::{live-line} A line of code to start from
    np.round(np.pi, 3)
    :::

is one line that runs, anywhere in the book.
"""

import ast
import hashlib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

FENCE = re.compile(r"^:::\{assignment\} (?P<name>\w+)\n:::\s*$", re.MULTILINE)
ELSEWHERE = ("**Start.**", "**Work.**", "**Check.**", "**Submit.**")  # how to do it in a notebook
TORCH = re.compile(r"\btorch\.")
SHOWS = re.compile(r"\bprint\(|\.show\(\)")
DATE = (1980, 1, 1, 0, 0, 0)
MODULES = Path(__file__).parents[1] / "live" / "page"

NOT_RELEASED = """# Assignment: {title}

This copy of the book was built without its assignments.
Ask your instructor for the notebook; who has the repository makes it with `make release`.
"""


def notebook_of(root: Path, name: str) -> dict[str, Any] | None:
    """The notebook inside an assignment's zip, with each source as one text; None where there is no zip."""
    path = root / "dist" / "assignments" / f"{name}.zip"
    if not path.exists():
        return None
    with zipfile.ZipFile(path) as archive:
        notebook: dict[str, Any] = json.loads(archive.read(f"{name}/{name}.ipynb"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def marks(cell: dict[str, Any]) -> dict[str, Any]:
    """What nbgrader says about a cell."""
    return cell["metadata"].get("nbgrader", {})  # type: ignore[no-any-return]


def kind(cell: dict[str, Any]) -> str:
    """What a cell is on the page: text, code, exercise, tests or question."""
    about = marks(cell)
    if about.get("solution"):
        return "question" if about.get("grade") else "exercise"
    if about.get("grade"):
        return "tests"
    return "code" if cell["cell_type"] == "code" else "text"


def is_shown(paragraph: str) -> bool:
    return not paragraph.lstrip().startswith(ELSEWHERE)


def as_page(name: str, notebook: dict[str, Any]) -> str:
    """The page's Markdown: texts as they are, a directive for each other cell, tests with their exercise."""
    parts = []
    for index, cell in enumerate(notebook["cells"]):
        what = kind(cell)
        if what in ("text", "question"):
            paragraphs = re.split(r"\n{2,}", cell["source"])
            if what == "question":
                paragraphs.pop()  # where the answer goes
            kept = list(filter(is_shown, paragraphs))
            if index == 0:  # below the title and the first words
                kept.insert(2, f":::{{live-bar}} {name}\n:::")
            parts += kept
        if what in ("code", "exercise", "question"):
            parts.append(f":::{{live-cell}} {name} {index}\n:::")
    return "\n\n".join(parts) + "\n"


def expand(app: Sphinx, page: str, source: list[str]) -> None:
    """A page with `{assignment}` becomes the assignment's notebook."""
    found = FENCE.search(source[0])
    if found is None:
        return
    notebook = notebook_of(Path(app.srcdir), found["name"])
    title = found["name"].replace("_", " ")
    text = as_page(found["name"], notebook) if notebook else NOT_RELEASED.format(title=title)
    source[0] = source[0][: found.start()] + text + source[0][found.end() :]


class live(nodes.container):
    """A piece of code that a script can make live; its children are what is shown without one."""


class folded(nodes.container):
    """Content behind a summary."""


def code(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="python")


def statement_of(before: list[dict[str, Any]]) -> tuple[str, str]:
    """Title and text of an exercise, from the cells before it."""
    text = next(cell["source"] for cell in reversed(before) if cell["cell_type"] == "markdown")
    heading, _, rest = text.partition("\n")
    paragraphs = [part for part in re.split(r"\n{2,}", rest.strip()) if not part.startswith("Chapter:")]
    return heading.partition(": ")[2], "\n\n".join(paragraphs)


def first_call(tests: str, name: str) -> str:
    """A call of the exercise's function as its tests make it: something to try."""
    module = ast.parse(tests)
    calls = [node.value for node in module.body if isinstance(node, ast.Assign)]
    for call in [*calls, *ast.walk(module)]:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name:
            return ast.unparse(call)
    return f"{name}()"


class LiveDirective(SphinxDirective):
    """What the directives share: where the site's files are from their page."""

    option_spec: ClassVar[dict[str, Any]] = {}

    @property
    def root(self) -> Path:
        return Path(self.env.srcdir)

    def node(self, what: str, **attributes: Any) -> live:
        return live(kind=what, data=attributes, page=self.env.docname)


class LiveCell(LiveDirective):
    """One cell of an assignment: `{live-cell} ising 5`."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        name, index = self.arguments[0], int(self.arguments[1])
        notebook = notebook_of(self.root, name)
        if notebook is None:
            raise self.error(f"the assignment {name} is not released")
        cells = notebook["cells"]
        cell = cells[index]
        what, tests = kind(cell), cells[index + 1]["source"] if kind(cell) == "exercise" else ""
        if what == "question":
            return [self.node(what, assignment=name, cell=marks(cell)["grade_id"])]
        shown = [code(cell["source"])]
        if TORCH.search(cell["source"] + tests):
            return [*shown, self.elsewhere(name)]
        if what == "code":
            if not SHOWS.search(cell["source"]):
                return shown
            return [self.filled(self.node(what, assignment=name, cell=cell["id"]), shown)]
        exercise = marks(cell)["grade_id"]
        section = self.node(what, assignment=name, cell=exercise, try_=first_call(tests, exercise))
        points = marks(cells[index + 1])["points"]
        fold = folded("", code(tests), summary=f"The tests that you see ({points:g} points)")
        return [self.filled(section, [*shown, fold])]

    def elsewhere(self, name: str) -> nodes.Node:
        uri = relative_uri(f"{self.env.docname}.html", f"downloads/{name}.zip")
        link = nodes.reference("", "the assignment's notebook", refuri=uri, internal=True)
        text = "This code needs torch, which the page's Python does not have: run it in "
        return nodes.paragraph("", "", nodes.Text(text), link, nodes.Text("."), classes=["live-elsewhere"])

    def filled(self, section: live, children: list[nodes.Node]) -> live:
        section += children
        return section


class LiveExercise(LiveCell):
    """One exercise of an assignment at its place in the chapter: `{live-exercise} ising energy`."""

    def run(self) -> list[nodes.Node]:
        name, exercise = self.arguments
        notebook = notebook_of(self.root, name)
        if notebook is None:
            return []
        cells = notebook["cells"]
        index = next((k for k, cell in enumerate(cells) if marks(cell).get("grade_id") == exercise), None)
        if index is None:
            raise self.error(f"the assignment {name} has no exercise {exercise!r}")
        title, statement = statement_of(cells[:index])
        self.arguments[1] = str(index)
        text = nodes.container()
        self.state.nested_parse(StringList(statement.splitlines()), self.content_offset, text)
        points = marks(cells[index + 1])["points"]
        summary = f"Do it here: {title} ({points:g} points of the assignment)"
        return [folded("", *text.children, *super().run(), summary=summary, classes=["live-place"])]


class LiveBar(LiveDirective):
    """What stands above an assignment: how to begin, how far one is, and the ways in and out."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        uri = relative_uri(f"{self.env.docname}.html", f"downloads/{name}.zip")
        bar = self.node("bar", assignment=name)
        link = nodes.reference("", "the assignment with its notebook", refuri=uri, internal=True)
        text = "To work on your own machine, download "
        bar += nodes.paragraph("", "", nodes.Text(text), link, nodes.Text("."))
        return [bar]


class LiveLine(LiveDirective):
    """One line of code that runs."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        section = self.node("line", label=self.arguments[0])
        section += code("\n".join(self.content))
        return [section]


def open_live(writer: Any, node: live) -> None:
    up = relative_uri(f"{node['page']}.html", "").rstrip("/") or "."
    there = (Path(writer.builder.srcdir) / "dist" / "live" / "fetched.json").exists()
    data = {"kind": node["kind"], "site": f"{up}/", "python": "here" if there else "none", **node["data"]}
    attributes = "".join(f' data-{name.rstrip("_")}="{writer.attval(text)}"' for name, text in data.items())
    writer.body.append(f'<div class="live live-{node["kind"]}"{attributes}>\n')


def close_live(writer: Any, node: live) -> None:
    writer.body.append("</div>\n")


def open_folded(writer: Any, node: folded) -> None:
    names = " ".join(node["classes"]) or "live-tests"
    writer.body.append(f'<details class="{names}"><summary>{writer.encode(node["summary"])}</summary>\n')


def close_folded(writer: Any, node: folded) -> None:
    writer.body.append("</details>\n")


def open_plain(writer: Any, node: nodes.Node) -> None:
    """Other builders show the code."""


def add_script(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if doctree is not None and next(doctree.findall(live), None):
        app.add_js_file("live/live.js", loading_method="defer")
        app.add_css_file("live/live.css")


def inputs(root: Path) -> str:
    """Changes when an assignment does, or when Python for the pages comes or goes."""
    digest = hashlib.sha256()
    for path in [
        *sorted((root / "dist" / "assignments").glob("*.zip")),
        root / "dist" / "live" / "fetched.json",
    ]:
        if path.exists():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def reread_pages(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    current = inputs(Path(app.srcdir))
    if getattr(env, "course_live", None) == current:
        return []
    env.course_live = current  # type: ignore[attr-defined]
    live_pages = re.compile(r"^:{3,}\{(?:assignment|downloads|live-line|live-exercise)\}", re.MULTILINE)
    return sorted(
        page for page in env.found_docs if live_pages.search(Path(env.doc2path(page)).read_text("utf-8"))
    )


def modules() -> bytes:
    """What Python in the page imports besides NumPy, as one zip; the same bytes every time."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(MODULES.rglob("*.py")):
            entry = zipfile.ZipInfo(path.relative_to(MODULES).as_posix(), DATE)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return memory.getvalue()


def publish(app: Sphinx, error: Exception | None) -> None:
    """The notebooks, the modules, and Python itself where it was fetched, into the site's folder `live`."""
    if error is not None or app.builder.format != "html":
        return
    root, target = Path(app.srcdir), Path(app.outdir) / "live"
    shutil.rmtree(target, ignore_errors=True)
    (target / "assignments").mkdir(parents=True)
    (target / "modules.zip").write_bytes(modules())
    for name in app.config.course_chapters:
        if (path := root / "dist" / "assignments" / f"{name}.zip").exists():
            with zipfile.ZipFile(path) as archive:
                data = archive.read(f"{name}/{name}.ipynb")
            (target / "assignments" / f"{name}.ipynb").write_bytes(data)
    if (fetched := root / "dist" / "live").exists():
        shutil.copytree(fetched, target / "vendor")


def setup(app: Sphinx) -> dict[str, bool]:
    plain = (open_plain, open_plain)
    app.add_node(live, html=(open_live, close_live), latex=plain, text=plain)
    app.add_node(folded, html=(open_folded, close_folded), latex=plain, text=plain)
    app.add_directive("live-cell", LiveCell)
    app.add_directive("live-exercise", LiveExercise)
    app.add_directive("live-bar", LiveBar)
    app.add_directive("live-line", LiveLine)
    app.connect("source-read", expand)
    app.connect("env-get-outdated", reread_pages)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", publish, priority=350)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
