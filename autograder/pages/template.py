"""The templates of pages; every value on them is escaped."""

import functools
from pathlib import Path
from typing import Any

from markupsafe import Markup

from autograder.judging.report import points

TEMPLATES = Path(__file__).parent / "templates"


def _sentence(text: str) -> str:
    """`text` with a capital letter in front, unless it begins with a name of the exercise, such as a or μ_1."""
    first, _, rest = text.partition(" ")
    is_name = "_" in first or (len(first) == 1 and rest.startswith(("is ", "differs ")))
    return text if is_name else text[:1].upper() + text[1:]


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
        "capitalize_first": _sentence,
    }
    return environment.get_template(name)
