"""What readers can take away: a chapter's assignment, the chapter as a notebook, the student wheel.

    :::{downloads} ising
    :::

links to the assignment's own page, `downloads/ising.zip`, `downloads/ising.ipynb` and the wheel. Assignments
come from dist/assignments/*.zip and the wheel from dist/*.whl; `make` puts them there before it builds the book.
A link to a file that is not there is not written; with EBM_REQUIRE_DOWNLOADS=1 its absence fails the build.
"""

import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import nbformat
from docutils import nodes
from plain_notebooks import plain_notebook
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.osutil import relative_uri


def wheel_name(root: Path) -> str:
    """The file name of the wheel that this repository builds."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name'].replace('-', '_')}-{project['version']}-py3-none-any.whl"


def available(root: Path) -> dict[str, Path]:
    """Files to publish under downloads/, by name."""
    files = {path.name: path for path in (root / "dist" / "assignments").glob("*.zip")}
    wheel = root / "dist" / wheel_name(root)
    if wheel.exists():
        files[wheel.name] = wheel
    return files


def demand(root: Path, chapters: list[str]) -> None:
    wanted = [f"{chapter}.zip" for chapter in chapters] + [wheel_name(root)]
    missing = sorted(set(wanted) - set(available(root)))
    if missing and os.environ.get("EBM_REQUIRE_DOWNLOADS") == "1":
        raise ExtensionError(f"nothing to download for {', '.join(missing)}; run `make release` first")


class Downloads(SphinxDirective):
    """The list of a chapter's downloads."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        chapter = self.arguments[0]
        root = Path(self.env.srcdir)
        wheel = wheel_name(root)
        here = available(root)
        entries = [(f"{chapter}.ipynb", "This chapter as a notebook", True)]
        entries.append((f"{chapter}.zip", "The assignment", f"{chapter}.zip" in here))
        entries.append((wheel, "The library", wheel in here))
        listing = nodes.bullet_list(classes=["downloads"])
        if (page := f"book/exercises/{chapter}") in self.env.found_docs:
            uri = relative_uri(f"{self.env.docname}.html", f"{page}.html")
            link = nodes.reference("", "its exercises in the page", refuri=uri, internal=True)
            words = nodes.paragraph(
                "", "Nothing to install: ", link, nodes.Text(", with an editor and tests")
            )
            listing += nodes.list_item("", words)
        for file, what, exists in entries:
            paragraph = nodes.paragraph("", f"{what}: ")
            if exists:
                uri = relative_uri(f"{self.env.docname}.html", f"downloads/{file}")
                paragraph += nodes.reference("", "", nodes.literal("", file), refuri=uri, internal=True)
            else:
                paragraph += [nodes.literal("", file), nodes.Text(" (ask your instructor for this file)")]
            listing += nodes.list_item("", paragraph)
        return [listing]


class WheelRole(SphinxRole):
    """{wheel}`name` is the wheel's file name; {wheel}`install` the command that installs it."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        name = wheel_name(Path(self.env.srcdir))
        text = f"python -m pip install ./{name}" if self.text == "install" else name
        return [nodes.literal(text, text)], []


def refresh_pages(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """Pages link to what is there, so they are read again when the set of files to download changes."""
    demand(Path(app.srcdir), app.config.course_chapters)
    files = sorted(available(Path(app.srcdir)))
    if getattr(env, "course_downloads", None) == files:
        return []
    env.course_downloads = files  # type: ignore[attr-defined]
    return sorted(env.found_docs)


def offer_notebook(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """The theme's download menu offers the notebook where it would link a source that is not published."""
    chapter = page.removeprefix("book/")
    for group in context.get("header_buttons", []):
        buttons = group.get("buttons", [])
        for button in list(buttons):
            if button.get("label") != "download-source-button":
                continue
            if chapter in app.config.course_chapters:
                button["url"] = context["pathto"](f"downloads/{chapter}.ipynb", 1)
                button.update(
                    text=".ipynb", tooltip="Download this chapter as a notebook", icon="fas fa-code"
                )
            else:
                buttons.remove(button)


def citation(app: Sphinx, role: str, keys: str) -> str:
    """Author (year) of the works cited, as text for a notebook."""
    entries = app.env.get_domain("cite").bibdata.data.entries  # type: ignore[attr-defined]
    texts = []
    for key in re.split(r"\s*,\s*", keys):
        entry = entries[key]
        people = entry.persons.get("author") or entry.persons["editor"]
        names = [str(person.rich_last_names[-1]) for person in people]
        who = (
            names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
        )
        texts.append(
            f"{who} ({entry.fields['year']})" if role.endswith(":t") else f"{who}, {entry.fields['year']}"
        )
    text = "; ".join(texts)
    return text if role.endswith(":t") else f"({text})"


def publish(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    target = Path(app.outdir) / "downloads"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name, path in available(Path(app.srcdir)).items():
        shutil.copyfile(path, target / name)
    style = Path(__file__).with_name("figures.py")
    for chapter in app.config.course_chapters:
        page = Path(app.srcdir) / "book" / f"{chapter}.md"
        glued = Path(app.outdir).parent / "jupyter_execute" / "book" / f"{chapter}.glue.json"
        notebook = plain_notebook(page, glued, style, lambda role, keys: citation(app, role, keys))
        nbformat.write(notebook, target / f"{chapter}.ipynb")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("downloads", Downloads)
    app.add_role("wheel", WheelRole())
    app.connect("env-get-outdated", refresh_pages)
    app.connect("html-page-context", offer_notebook, priority=900)
    app.connect("build-finished", publish, priority=300)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
