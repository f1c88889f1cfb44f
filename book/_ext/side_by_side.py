"""Pages run side by side before Sphinx reads them, one process a core, into the cache that myst-nb reads from.

myst-nb executes a page when it reads it, one after the other. Here jupyter-cache's own worker executes those pages
that the cache does not know; a page that fails is left to myst-nb, whose error names the cell.
"""

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import JupyterCacheAbstract
from jupyter_cache.executors.basic import ExecutionWorkerLocalMProc, ProcessData
from myst_nb.core.config import NbParserConfig
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.display import status_iterator

READ_AS = {"type": "plugin", "name": "myst_nb_md"}
ANEW = "executed: anew"
"""In the head of a page whose code shows what the cache cannot see: it is executed whenever Sphinx reads it."""

logger = logging.getLogger(__name__)


def processors() -> int:
    """The cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def unexecuted(cache: JupyterCacheAbstract, pages: Iterable[Path]) -> list[tuple[int, str]]:
    """The key and path of each page with code that the cache holds no outputs of, the longest page first."""
    found = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        if "{code-cell}" not in text:
            continue
        record = cache.add_nb_to_project(str(page), read_data=READ_AS)
        try:
            known = cache.match_cache_notebook(cache.get_project_notebook(record.pk).nb)
        except KeyError:
            found.append((len(text), record.pk, str(page)))
            continue
        if ANEW in text:
            cache.remove_cache(known.pk)
            found.append((len(text), record.pk, str(page)))
    return [(key, page) for _, key, page in sorted(found, reverse=True)]


def execute(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Execute what Sphinx is about to read and the cache lacks."""
    config: NbParserConfig = env.mystnb_config  # type: ignore[attr-defined]
    if config.execution_mode != "cache":
        return
    cache = get_cache(config.execution_cache_path or ".jupyter_cache")
    waiting = unexecuted(cache, (Path(env.doc2path(name)) for name in docnames))
    if len(waiting) < 2 or processors() == 1:
        return
    forked = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
    with ProcessPoolExecutor(min(processors(), len(waiting)), mp_context=forked) as pool:
        jobs = [
            pool.submit(
                ExecutionWorkerLocalMProc(), ProcessData(key, page, cache, config.execution_timeout, False)
            )
            for key, page in waiting
        ]
        done = (Path(job.result()[1]).stem for job in as_completed(jobs))
        for _ in status_iterator(done, "executing pages... ", "purple", len(jobs), app.verbosity):
            pass


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-before-read-docs", execute, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
