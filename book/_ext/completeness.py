"""A build that produced too little is a failed build.

After the last file is written, every expected page must be there with its heading, and every chapter with
its words, equations, figures with alternative text, theorem, exercises with folded solutions, explorable,
and the parts that every chapter has.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LEAST = {
    "words": 2500,
    "equations": 8,
    "figures": 5,
    "definitions": 2,
    "theorems": 1,
    "proofs": 1,
    "exercises": 3,
    "solutions": 3,
    "explorables": 1,
    "citations": 5,
}
CLASSES = {
    "math": "equations",
    "definition": "definitions",
    "theorem": "theorems",
    "exercise": "exercises",
    "solution dropdown": "solutions",
    "explorable": "explorables",
}
PARTS = (
    "What you learn",
    "Where this is in the lecture",
    "What can go wrong",
    "Exercises",
    "Assignment",
    "Notation of this chapter",
    "Further reading",
)
UNSEEN = {"script", "style", "pre"}


@dataclass
class Page(HTMLParser):
    """Counts what a chapter is made of, inside its article."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys([*LEAST, "h1"], 0))
    undescribed: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    in_title: bool = False
    inside: int = 0
    hidden: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        attrs = {name: value or "" for name, value in attributes}
        classes = set(attrs.get("class", "").split())
        self.inside += tag == "article"
        self.hidden += tag in UNSEEN
        if not self.inside:
            return
        self.counts["h1"] += tag == "h1"
        if tag == "h2" or "admonition-title" in classes:
            self.titles.append("")
            self.in_title = True
        self.counts["proofs"] += classes == {"proof", "admonition"}  # theorems carry more classes than these
        for names, what in CLASSES.items():
            self.counts[what] += classes.issuperset(names.split()) and tag in ("div", "section")
        self.counts["citations"] += (
            tag == "a" and "#id" in attrs.get("href", "") and "bibliography" in attrs["href"]
        )
        if tag == "img" and "on-dark" not in classes:
            self.counts["figures"] += 1
            if len(attrs.get("alt", "")) < 20 or "_images/" in attrs["alt"]:
                self.undescribed.append(attrs.get("src", "?"))

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "article"
        self.hidden -= tag in UNSEEN
        self.in_title &= tag not in ("h2", "p")

    def handle_data(self, data: str) -> None:
        if self.in_title:
            self.titles[-1] += data
        if self.inside and not self.hidden:
            self.counts["words"] += sum(word.strip(".,;:()").isalpha() for word in data.split())


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def shortfalls(site: Path, pages: list[str], chapters: list[str]) -> list[str]:
    """What is missing from the built site, in words; empty when it is complete."""
    found = []
    for name in [*pages, *(f"book/{chapter}" for chapter in chapters)]:
        path = site / f"{name}.html"
        if not path.exists():
            found.append(f"{name}: no page")
            continue
        page = read(path)
        if page.counts["h1"] != 1:
            found.append(f"{name}: {page.counts['h1']} headings of the first level, expected one")
        found += [f"{name}: no description of the image {image}" for image in page.undescribed]
        if name.removeprefix("book/") in chapters:
            found += [
                f"{name}: {page.counts[what]} {what}, expected {least} or more"
                for what, least in LEAST.items()
                if page.counts[what] < least
            ]
            titles = {title.rstrip("#").strip() for title in page.titles}
            found += [f"{name}: no part called {part!r}" for part in PARTS if part not in titles]
    found += [
        f"downloads/{chapter}.ipynb: no file"
        for chapter in chapters
        if not (site / "downloads" / f"{chapter}.ipynb").exists()
    ]
    return found


def demand_completeness(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    config: Any = app.config
    missing = shortfalls(Path(app.outdir), config.course_expected_pages, config.course_chapters)
    if missing:
        raise ExtensionError("the book is not complete:\n  " + "\n  ".join(missing))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("course_expected_pages", [], "")
    app.connect("build-finished", demand_completeness, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
