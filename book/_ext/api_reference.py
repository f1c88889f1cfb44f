"""The library's reference, read off its docstrings.

    :::{api-reference} ebmkit
    :::

writes one section for the package and one for each public module: what the module says about itself, then every
public function and class with its signature and docstring, in the order of the source. Docstrings are plain
text: paragraphs, `code` in backticks, lists of lines that begin with "- ", and formulas in indented blocks and
examples that begin with ">>> ", which are set as they stand.
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

QUALIFIER = re.compile(
    r"\b(?:torch|typing|collections\.abc|numpy|np|pathlib|ebmkit)\.(?:(?:_C|[a-z_]+)\.)*(?=[A-Za-z])"
)
FUNCTION = re.compile(r"<(?:built-in )?function (?:\w+\.)*(\w+)(?: at 0x[0-9a-f]+)?>")
CODE = re.compile(r"(`[^`\n]+`)")
UNDERLINED = re.compile(r"^(\w[\w ]*)\n-{3,}\n")
FIELD = re.compile(r"^(\w+):\n((?:    .*\n?)+)", re.MULTILINE)


def public(owner: Any, module: str) -> Iterator[tuple[str, Any]]:
    """The functions and classes that `owner` defines, also in files of its folder, in the order of the source."""
    found, files = [], []
    for name, thing in vars(owner).items():
        thing = inspect.unwrap(thing) if inspect.isfunction(thing) else thing
        if name.startswith("_") or not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        if thing.__module__ == module or thing.__module__.startswith(f"{module}._"):
            if thing.__module__ not in files:
                files.append(thing.__module__)
            line = inspect.getsourcelines(thing)[1] if inspect.ismodule(owner) else 0
            found.append((files.index(thing.__module__), line, name, thing))
    for _, _, name, thing in sorted(found, key=lambda row: row[:2]):
        yield name, thing


def files_of(module: Any) -> list[str]:
    """The files of a module: one, or all of its folder."""
    folder = getattr(module, "__path__", None)
    return [str(module.__file__)] if folder is None else sorted(map(str, Path(folder[0]).glob("*.py")))


def signature(name: str, thing: Any) -> str:
    """`name(arguments) -> result` without the modules of its types; a protocol takes no arguments."""
    if getattr(thing, "_is_protocol", False):
        return name
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return name
    text = re.sub(r"^\(self(?:, )?", "(", text)
    if inspect.isclass(thing):
        text = text.removesuffix(" -> None")
    return name + QUALIFIER.sub("", FUNCTION.sub(r"\1", text).replace("'", ""))


def inline(text: str) -> list[nodes.Node]:
    """Running text with its `code` set as code."""
    return [
        nodes.literal("", piece[1:-1]) if CODE.fullmatch(piece) else nodes.Text(piece)
        for piece in CODE.split(text)
        if piece
    ]


def described(docstring: str) -> list[nodes.Node]:
    """A docstring as paragraphs and, where it is indented, as it stands."""
    blocks: list[nodes.Node] = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        heading = UNDERLINED.match(block)
        if heading:
            fields = FIELD.findall(block[heading.end() :] + "\n")
            blocks += [
                nodes.paragraph(
                    "", "", nodes.literal("", field), nodes.Text(": "), *inline(" ".join(text.split()))
                )
                for field, text in fields
            ]
        elif all(line.startswith("    ") for line in block.splitlines()):
            text = textwrap.dedent(block)
            blocks.append(nodes.literal_block(text, text, language="text", classes=["formula"]))
        elif block.startswith(">>> "):
            blocks.append(nodes.literal_block(block, block, language="pycon"))
        elif block.startswith("- "):
            items = (" ".join(item.split()) for item in re.split(r"^- ", block, flags=re.MULTILINE)[1:])
            listed = (nodes.list_item("", nodes.paragraph("", "", *inline(item))) for item in items)
            blocks.append(nodes.bullet_list("", *listed))
        else:
            blocks.append(nodes.paragraph("", "", *inline(" ".join(block.split()))))
    return blocks


def is_documented(thing: Any) -> bool:
    """Whether a docstring was written for it; named tuples and dataclasses make one up."""
    text = thing.__doc__ or ""
    return bool(text.strip()) and not text.startswith(f"{thing.__name__}(")


def entry(path: str, name: str, thing: Any) -> nodes.definition_list_item:
    """One function or class: its signature as the term, its docstring and methods as the description."""
    term = nodes.term("", "", nodes.literal("", signature(name, thing)), ids=[path])
    description = nodes.definition("", *(described(thing.__doc__) if is_documented(thing) else []))
    if inspect.isclass(thing):
        methods = [(key, method) for key, method in public(thing, thing.__module__) if is_documented(method)]
        if methods:
            description += listing(path, methods)
    return nodes.definition_list_item("", term, description)


def listing(path: str, things: list[tuple[str, Any]]) -> nodes.definition_list:
    items = [entry(f"{path}.{name}", name, thing) for name, thing in things]
    return nodes.definition_list("", *items, classes=["api"])


def of_the_package(package: Any) -> Iterator[tuple[str, Any]]:
    """What the package offers by itself: public names whose home is a private module."""
    for name, home in package._HOME.items():
        if home.startswith("_"):
            yield name, inspect.unwrap(getattr(package, name))


def section_of(module: Any, things: list[tuple[str, Any]]) -> nodes.Node:
    """What a module says about itself, then every one of the things that is documented."""
    path = module.__name__
    section = nodes.section(
        "",
        nodes.title("", "", nodes.literal("", path)),
        ids=[path.replace(".", "-")],
        support_smartquotes=False,  # x' is a point, not a quotation
    )
    section += described(module.__doc__ or "")
    documented = [(key, thing) for key, thing in things if is_documented(thing)]
    if documented:
        section += listing(path, documented)
    return section


class ApiReference(SphinxDirective):
    """Every public module of a package."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        package = importlib.import_module(self.arguments[0])
        self.env.note_dependency(__file__)
        at_the_door = list(of_the_package(package))
        for _, thing in at_the_door:
            self.env.note_dependency(str(inspect.getsourcefile(thing)))
        sections = [section_of(package, at_the_door)]
        for name in package._MODULES:
            module = importlib.import_module(f"{package.__name__}.{name}")
            for file in files_of(module):
                self.env.note_dependency(file)
            sections.append(section_of(module, list(public(module, module.__name__))))
        return sections


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("api-reference", ApiReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
