"""Keeps on one line what belongs together: a number and its power of ten, a short formula and what follows it.

A browser may break a line on either side of a formula, so that a full stop begins the next one.
"""

import re
from typing import Any

from sphinx.application import Sphinx

FORMULA = r'<span class="math notranslate nohighlight">\\\((?:(?!</span>).){1,60}\\\)</span>'
NUMBER = r'(?<==\\\)</span>) <span class="pasted-text">[^<]{1,20}</span>'
POWER = "[0-9.]+ · 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"
TOGETHER = re.compile(rf"{FORMULA}(?:{NUMBER}[.,;:!?)]*|[.,;:!?)]+)|{POWER}")


def keep_together(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        context["body"] = TOGETHER.sub(r'<span class="kept-together">\g<0></span>', context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", keep_together)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
