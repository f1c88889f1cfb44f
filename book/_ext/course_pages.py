"""How the book's pages run and load: the kernel finds `figures`, the maths comes from the site itself."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from side_by_side import ANEW
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

REDIRECT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="_static/favicon.svg">
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


def fingerprint(paths: Iterable[Path]) -> str:
    """Changes when one of the files does."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def forget_stale_results(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """The cache knows a page by its own code alone, so a change of the library must empty it."""
    library = (Path(app.srcdir) / "ebmkit").rglob("*.py")
    current = fingerprint([*library, Path(__file__).with_name("figures.py")])
    cache = Path(app.outdir).parent / ".jupyter_cache"
    mark = cache / "library.sha256"
    if mark.exists() and mark.read_text(encoding="utf-8") == current:
        return []
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    mark.write_text(current, encoding="utf-8")
    return sorted(env.found_docs)


def reread_pages_on_grading(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """Pages that are executed anew show the grader and what was measured, so they follow both."""
    root = Path(app.srcdir)
    current = fingerprint([*root.glob("autograder/**/*.py"), *root.glob("benchmarks/results/*.json")])
    if getattr(env, "course_grader", None) == current:
        return []
    env.course_grader = current  # type: ignore[attr-defined]
    return sorted(page for page in env.found_docs if ANEW in Path(env.doc2path(page)).read_text("utf-8"))


def reread_pages_on_styles(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """Every page names its styles and scripts with their checksums, and without a page to write none is copied."""
    folders = [Path(app.srcdir) / folder for folder in app.config.html_static_path]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    current = fingerprint(files)
    if getattr(env, "course_styles", None) == current:
        return []
    env.course_styles = current  # type: ignore[attr-defined]
    return sorted(env.found_docs)


def use_svg_maths(app: Sphinx, config: Config) -> None:
    """MathJax's SVG output needs no fonts, which some browsers refuse to load from file://."""
    config["mathjax_path"] = "mathjax/tex-svg.js"


def trim_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out what would start a remote kernel, and what is there twice (its second run is an error)."""
    kept, seen = [], set()
    for script in context.get("script_files", []):
        text = f"{script.filename or ''}{script.attributes.get('body', '')}"
        if "thebe" not in text.lower() and text not in seen:
            kept.append(script)
        seen.add(text)
    context["script_files"] = kept


def write_redirect(app: Sphinx, error: Exception | None) -> None:
    """index.html at the top of the site leads to the landing page."""
    if error is None and app.builder.format == "html":
        page = REDIRECT.format(title=app.config.html_title, target=f"{app.config.root_doc}.html")
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def remove_stale_pages(app: Sphinx, error: Exception | None) -> None:
    """What an earlier build wrote and this one does not know must not stay in the site."""
    if error is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    current = {site / f"{name}.html" for name in (*app.env.found_docs, "index", "search")}
    for page in site.rglob("*.html"):
        if page not in current and "_static" not in page.relative_to(site).parts:
            page.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    prepare_kernels(app)
    app.connect("config-inited", use_svg_maths, priority=900)
    app.connect("env-get-outdated", forget_stale_results, priority=100)
    app.connect("env-get-outdated", reread_pages_on_grading)
    app.connect("env-get-outdated", reread_pages_on_styles)
    app.connect("html-page-context", trim_scripts, priority=900)
    app.connect("build-finished", write_redirect, priority=100)
    app.connect("build-finished", remove_stale_pages, priority=150)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
