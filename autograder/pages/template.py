"""The templates of pages; every value on them is escaped."""

import functools
from pathlib import Path
from typing import Any

from markupsafe import Markup

from autograder.judging.report import points

TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def template(name: str) -> Any:
    """A template of `templates/`; a name that it does not know is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "points": lambda value: f"{points(value):g}",
        "drawn": lambda picture: Markup(picture.svg),
        "number": lambda value: f"{value:.1f}".removesuffix(".0"),
        "percent": lambda value: f"{100 * value:.0f}%",
        "correlation": lambda value: "–" if value is None else f"{value:.2f}",
        "time": lambda value: f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms",
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    return environment.get_template(name)
