"""Pages that run side by side leave the same outputs as pages that run one after the other."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"

CONF = """
import sys
sys.path.insert(0, {extensions!r})
extensions = {names}
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
"""
PAGE = """---
kernelspec: {{name: python3, display_name: Python 3}}
file_format: mystnb
---

# A page

```{{code-cell}} python
x = {number}
x * x
```

```{{code-cell}} python
{last}
```
"""


def build(
    folder: Path, names: list[str], lasts: tuple[str, ...] = ("x", "x")
) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    (folder / "conf.py").write_text(CONF.format(extensions=str(EXTENSIONS), names=names))
    (folder / "index.md").write_text("# Index\n\n```{toctree}\na\nb\n```\n")
    for name, number, last in zip("ab", (3, 4), lasts):
        (folder / f"{name}.md").write_text(PAGE.format(number=number, last=last))
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-b",
        "html",
        str(folder),
        str(folder / "_build" / "html"),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def outputs(folder: Path) -> dict[str, list]:
    cache = get_cache(folder / "_build" / ".jupyter_cache")
    bundles = [cache.get_cache_bundle(record.pk) for record in cache.list_cache_records()]
    return {
        Path(b.record.uri).name: [c.outputs for c in b.nb.cells if c.cell_type == "code"] for b in bundles
    }


@pytest.mark.slow
def test_the_cache_holds_what_pages_run_one_after_the_other_leave(tmp_path):
    together = build(tmp_path / "together", ["myst_nb", "side_by_side"])
    alone = build(tmp_path / "alone", ["myst_nb"])
    assert together.returncode == alone.returncode == 0, together.stderr + alone.stderr
    assert re.search(r"executing pages\.\.\. .*\[100%\]", together.stdout)
    assert outputs(tmp_path / "together") == outputs(tmp_path / "alone")
    assert {len(cells) for cells in outputs(tmp_path / "together").values()} == {2}
    assert (
        "Executing notebook" not in together.stdout + together.stderr
    )  # myst-nb found all of it in the cache
    assert "Executing notebook" in alone.stdout + alone.stderr


@pytest.mark.slow
def test_a_page_that_fails_fails_the_build_and_shows_its_error(tmp_path):
    failed = build(tmp_path / "failing", ["myst_nb", "side_by_side"], ("x", "1 / 0"))
    assert failed.returncode != 0
    assert "b.md" in failed.stderr
    assert "ZeroDivisionError" in failed.stderr + failed.stdout


def test_a_page_that_is_executed_anew_is_forgotten_whenever_it_is_read(tmp_path):
    spec = importlib.util.spec_from_file_location("side_by_side", EXTENSIONS / "side_by_side.py")
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    anew = PAGE.format(number=1, last="x + x + x  # the longest").replace(
        "file_format", f"{extension.ANEW}\nfile_format"
    )
    for name, text in {
        "anew": anew,
        "prose": "# Prose\n",
        "short": PAGE.format(number=1, last="x"),
    }.items():
        (tmp_path / f"{name}.md").write_text(text)
    (tmp_path / "long.md").write_text(PAGE.format(number=2, last="x + 1  # a longer page"))
    cache = get_cache(tmp_path / "cache")
    pages = sorted(tmp_path.glob("*.md"))
    found = extension.unexecuted(cache, pages)
    assert [Path(page).stem for _, page in found] == ["anew", "long", "short"]
    for key, _ in found:
        cache.cache_notebook_bundle(
            CacheBundleIn(cache.get_project_notebook(key).nb, "page"), check_validity=False
        )
    assert len(cache.list_cache_records()) == 3
    assert [Path(page).stem for _, page in extension.unexecuted(cache, pages)] == ["anew"]
    assert len(cache.list_cache_records()) == 2, "whoever executes it finds nothing old"
