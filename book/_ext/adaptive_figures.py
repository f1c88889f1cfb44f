"""A dark version of every figure that a page draws.

`figures` draws in one palette. Here each such SVG gets a partner in the dark palette, and each `<img>` on
a page becomes a pair of which course.css shows one (the theme's own classes for this would hide captions).
Other images are left alone.
"""

import re
from pathlib import Path
from typing import Any

from figures import CREATOR, DARK, LIGHT
from sphinx.application import Sphinx

IMAGE = re.compile(r'<img\b[^>]*?\bsrc="(?P<path>[^"]*_images/(?P<name>[^"/]+)\.svg)"[^>]*>')


def is_ours(path: Path) -> bool:
    return path.exists() and CREATOR in path.read_text(encoding="utf-8")


def darkened(svg: str) -> str:
    """The same drawing in the dark palette."""
    partner = {LIGHT[role]: DARK[role] for role in LIGHT}
    return re.sub("|".join(partner), lambda match: partner[match.group()], svg)


def with_class(tag: str, name: str) -> str:
    if 'class="' in tag:
        return tag.replace('class="', f'class="{name} ', 1)
    return tag.replace("<img", f'<img class="{name}"', 1)


def with_size(tag: str, svg: str) -> str:
    """Width and height in the tag keep the text in place while the image loads."""
    points = re.search(r'<svg\b[^>]*?\bwidth="([\d.]+)pt" height="([\d.]+)pt"', svg)
    if points is None or "width=" in tag:
        return tag
    width, height = (round(float(length) * 4 / 3) for length in points.groups())
    return tag.replace("<img", f'<img width="{width}" height="{height}"', 1)


def pair_images(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Replace each figure by a light and a dark one. Sphinx copies the images only after the pages."""
    if "body" not in context:
        return
    sources = {name: Path(app.srcdir) / path for path, name in app.builder.images.items()}

    def pair(match: re.Match[str]) -> str:
        name, tag = match["name"], match.group()
        source = sources.get(f"{name}.svg")
        if source is None or not is_ours(source):
            return tag
        tag = with_size(tag, source.read_text(encoding="utf-8"))
        dark = tag.replace(f"{name}.svg", f"{name}-dark.svg").replace("<img", '<img loading="lazy"', 1)
        return with_class(tag, "on-light") + with_class(dark, "on-dark dark-light")

    context["body"] = IMAGE.sub(pair, context["body"])


def write_dark_images(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for light in (Path(app.outdir) / "_images").glob("*.svg"):
        if not light.stem.endswith("-dark") and is_ours(light):
            dark = light.with_name(f"{light.stem}-dark.svg")
            dark.write_text(darkened(light.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", pair_images)
    app.connect("build-finished", write_dark_images, priority=200)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
