"""Mends what the theme and the extensions write that a screen reader or a validator stumbles over."""

import re
from typing import Any

from sphinx.application import Sphinx

IDENTIFIER = re.compile(r'(<[a-z][^<>]*?)\s+id="([^"]+)"')


def without_repeated_ids(body: str) -> str:
    """Every id once: each theorem, exercise and proof comes with the same few, which nothing refers to."""
    seen: set[str] = set()

    def once(match: re.Match[str]) -> str:
        if match[2] in seen:
            return match[1]
        seen.add(match[2])
        return match[0]

    return IDENTIFIER.sub(once, body)


def with_list_items(body: str) -> str:
    """The list of works holds list items; its own role for them has been dropped from the standard."""
    return body.replace('role="doc-biblioentry"', 'role="listitem"')


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        context["body"] = with_list_items(without_repeated_ids(context["body"]))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
