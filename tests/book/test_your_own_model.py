"""The page on models of one's own: its code runs, and its table of methods is the library's."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "your_own_model.md").read_text(encoding="utf-8")
ASKED = re.compile(r"(?:has|get)attr\((?:self\.)?(?:model|path|energy|component|expert), \"([a-z_]+)\"")


def test_the_code_of_the_page_runs_from_top_to_bottom() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "your_own_model.md", "exec"), names)


def test_every_method_that_the_library_looks_for_is_in_the_table() -> None:
    asked = set()
    for path in (ROOT / "ebmkit").rglob("*.py"):
        asked |= set(ASKED.findall(path.read_text(encoding="utf-8")))
    rows = re.findall(r"^\| (`[^|]*`) \|", PAGE, flags=re.MULTILINE)
    offered = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert len(asked) >= 14
    assert asked - {"event_shape", "energy"} <= offered
    # What the library calls without asking first: a path's methods, and what overrides one of EnergyModel.
    assert offered - asked == {"score", "base_log_partition", "sample_base"}
