"""How the book's pages run and load: the kernel finds `figures`, the maths comes from the site itself."""

import os
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

REDIRECT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="refresh" content="0; url={target}"></head>
<body><main><h1>{title}</h1><p><a href="{target}">Open the book</a></p></main></body></html>
"""


def prepare_kernels(app: Sphinx) -> None:
    """Kernels inherit this environment; one thread each keeps run times comparable."""
    here = str(Path(__file__).parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if here not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([here, *paths])
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def use_svg_maths(app: Sphinx, config: Config) -> None:
    """MathJax's SVG output needs no fonts, which some browsers refuse to load from file://."""
    config["mathjax_path"] = "mathjax/tex-svg.js"


def write_redirect(app: Sphinx, error: Exception | None) -> None:
    """index.html at the top of the site leads to the landing page."""
    if error is None and app.builder.format == "html":
        page = REDIRECT.format(title=app.config.html_title, target=f"{app.config.root_doc}.html")
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    prepare_kernels(app)
    app.connect("config-inited", use_svg_maths, priority=900)
    app.connect("build-finished", write_redirect, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
