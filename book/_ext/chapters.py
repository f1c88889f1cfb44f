"""The chapters: the pages of `_toc.yml`, in its order, that have an assignment.

Nowhere are they listed a second time: an assignment is a module of hidden checks, and the table of contents says
where its page stands. The other extensions find the names in the configuration value `course_chapters`.
"""

from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

from autograder.exercises.catalogue import available_assignments


def chapters(root: Path) -> list[str]:
    """The names of all chapters; raises `ExtensionError` for an assignment that no page goes with."""
    contents: dict[str, Any] = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    listed = [Path(page["file"]) for part in contents["parts"] for page in part["chapters"]]
    pages = [page.name for page in listed if page.parent.name != "exercises"]
    assignments = available_assignments()
    if lost := sorted(set(assignments) - set(pages)):
        raise ExtensionError(
            f"_toc.yml names no page for the assignment {', '.join(lost)}: add book/{lost[0]}"
        )
    return [page for page in pages if page in assignments]


def find(app: Sphinx, config: Config) -> None:
    config.course_chapters = chapters(Path(app.srcdir))  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("course_chapters", [], "env")
    app.connect("config-inited", find)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
