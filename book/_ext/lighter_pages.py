"""Takes off the pages what they carry and do not use: some two thousand icons of the theme."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ICON = re.compile(
    r'(?P<quote>"?)(?P<name>[\w$-]+)(?P=quote):\[\d+,\d+,\[(?P<aliases>[^\]]*)\],"[0-9a-f]+",'
    r'(?:"[^"]*"|\[[^\]]*\])\],?'
)
USED = re.compile(r"\bfa-([a-z0-9-]+)")


def icons_in_use(site: Path) -> set[str]:
    """Names of icons that a page or a script of the site mentions."""
    files = [
        *site.rglob("*.html"),
        *(site / "_static").glob("*.js"),
        *(site / "_static" / "scripts").glob("*.js"),
    ]
    texts = (path.read_text(encoding="utf-8") for path in files if path.name != "fontawesome.js")
    return {name for text in texts for name in USED.findall(text)}


def keep_icons(script: str, names: set[str]) -> str:
    """The icon script with no other icons than those called `names`."""

    def keep(match: re.Match[str]) -> str:
        called = {match["name"], *re.findall(r'"([^"]+)"', match["aliases"])}
        return match[0] if called & names else ""

    return ICON.sub(keep, script)


def drop_unused_icons(app: Sphinx, error: Exception | None) -> None:
    script = Path(app.outdir) / "_static" / "scripts" / "fontawesome.js"
    if error is not None or app.builder.name != "html":
        return
    text = script.read_text(encoding="utf-8")
    lighter = keep_icons(text, icons_in_use(Path(app.outdir)))
    if '"M' not in lighter:
        raise ExtensionError(
            "no icon is left: the theme's icon script has another form than lighter_pages expects"
        )
    script.write_text(lighter, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", drop_unused_icons, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
