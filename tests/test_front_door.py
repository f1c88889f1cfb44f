"""What a stranger meets first: licenses, versions, names and files that agree with each other."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import ebmkit

ROOT = Path(__file__).parent.parent
PROJECTS = [tomllib.loads((ROOT / p / "pyproject.toml").read_text())["project"] for p in (".", "autograder")]
MADE = {".venv", "course", "dist", "_build"}
DOORS = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md", "LICENSE-TEXT.md")


def test_one_version_everywhere():
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1]
    assert {cited, ebmkit.__version__} == {project["version"] for project in PROJECTS}


def test_code_is_under_the_license_that_the_metadata_name():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")
    assert {project["license"] for project in PROJECTS} == {"MIT"}
    assert "SPDX-License-Identifier: CC-BY-4.0" in (ROOT / "LICENSE-TEXT.md").read_text()


@pytest.mark.parametrize("door", DOORS)
def test_every_file_that_a_front_page_links_to_exists(door):
    text = (ROOT / door).read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert links
    for link in links:
        assert (ROOT / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("door", DOORS)
def test_every_path_and_make_target_in_backticks_exists(door):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    tops = {path.name for path in ROOT.iterdir()}
    for code in re.findall(r"`([^`\n]+)`", (ROOT / door).read_text()):
        if code.startswith("make "):
            assert code.split()[1] in targets, code
        elif re.fullmatch(r"[\w.-]+(/[\w.-]*)+", code) and code.split("/")[0] in tops - MADE:
            assert (ROOT / code).exists(), code


def test_the_pictures_in_the_readme_are_small_and_show_what_is_still_there():
    shown = json.loads((ROOT / "pictures" / "shown.json").read_text())
    pictures = set(re.findall(r"\((pictures/\w+\.png)\)", (ROOT / "README.md").read_text()))
    assert pictures
    assert pictures <= {f"pictures/{name}.png" for name in shown}
    for name, picture in shown.items():
        assert (ROOT / "pictures" / f"{name}.png").stat().st_size < 150_000
        source = ROOT / picture["source"]
        files = [source] if source.is_file() else sorted(source.rglob("*.py"))
        text = "".join(path.read_text() for path in files)
        assert picture["titles"]
        for title in picture["titles"]:
            assert title in text, (
                f"{name}.png shows {title!r}, which is gone from {source}; run: make pictures"
            )
