"""The pages that list things: the API reference, the glossary, the map of the slides, the landing page."""

import importlib
import inspect
import re
import sys
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest

import ebmkit
from autograder.exercises.catalogue import available_assignments

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
CHAPTERS = available_assignments()


@pytest.fixture(scope="module")
def api() -> ModuleType:
    folder = str(BOOK / "_ext")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module("api_reference")


def headings(chapter: str) -> set[str]:
    text = re.sub(r"```.*?```", "", (BOOK / f"{chapter}.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    return {re.sub(r"\$", "", title).strip() for title in re.findall(r"^#{2,3} (.*)$", text, re.MULTILINE)}


def test_every_section_that_the_map_of_slides_names_is_in_the_chapter_it_links() -> None:
    parts = re.split(r"^## ", (BOOK / "slides.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    named = 0
    for part in parts:
        titles: set[str] = set()
        for chapter in re.findall(r"\]\((\w+)\.md\)", part):
            titles |= headings(chapter)
        for row in re.findall(r"^\|.*\|(.*)\|$", part, re.MULTILINE)[2:]:
            for section in re.findall(r"\*([^*]+)\*", row):
                assert section in titles, (section, sorted(titles))
                named += 1
    assert named >= 30


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_of_an_assignment_names_a_section_of_its_chapter(chapter: str) -> None:
    source = (ROOT / "solutions" / f"{chapter}.py").read_text(encoding="utf-8")
    named = re.findall(r"^# Chapter: \*(.+)\*\.$", source, re.MULTILINE)
    assert len(named) == source.count('# %% exercise="') >= 4
    assert set(named) <= headings(chapter)


def test_the_map_and_the_landing_page_lead_to_every_chapter() -> None:
    for page in ("slides", "index"):
        linked = set(re.findall(r"\]\((\w+)\.md\)", (BOOK / f"{page}.md").read_text(encoding="utf-8")))
        assert set(CHAPTERS) <= linked


def test_glossary_terms_are_in_order_and_have_two_sentences_and_a_link() -> None:
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S.*)\n((?:  .*\n)+)", text.split("{glossary}\n", 1)[1], re.MULTILINE)
    terms = [term for term, _ in entries]
    assert len(terms) >= 40
    assert terms == sorted(terms, key=str.lower)
    for term, description in entries:
        assert re.search(r"\(\[[^\]]+\]\(\w+\.md\)\)\.\n$", description), term
        assert len(re.findall(r"\.(?=\s|$)", re.sub(r"\$[^$]*\$", "x", description))) == 2, term


def test_the_reference_lists_what_the_package_offers_by_itself(api: ModuleType) -> None:
    things = dict(api.of_the_package(ebmkit))
    assert set(things) == {"set_validation", "validation"}
    text = api.section_of(ebmkit, list(things.items())).astext()
    assert "validation(on: bool)" in text
    assert "set_validation(on: bool)" in text


def test_the_reference_lists_the_methods_of_log_partition(api: ModuleType) -> None:
    text = ebmkit.log_partition.__doc__ or ""
    listed = {
        name
        for line in re.findall(r"^    - (.*):", text, re.MULTILINE)
        for name in re.findall(r'`"(\w+)"`', line)
    }
    assert listed == set(ebmkit.partition._METHODS)


@pytest.mark.slow
def test_the_reference_lists_every_public_name_of_the_library(site: Path, api: ModuleType) -> None:
    page = (site / "book" / "api.html").read_text(encoding="utf-8")
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    for name in ebmkit._MODULES:
        module = importlib.import_module(f"ebmkit.{name}")
        for key, thing in vars(module).items():
            home = getattr(thing, "__module__", None) or ""
            own = home == module.__name__ or home.startswith(f"{module.__name__}._")
            own = own and not key.startswith("_")
            if own and (inspect.isfunction(thing) or inspect.isclass(thing)):
                assert f"{module.__name__}.{key}" in ids
                first = inspect.cleandoc(thing.__doc__ or "").split("\n")[0]
                plain = unescape(re.sub(r"<[^>]+>", "", page))
                assert " ".join(first.replace("`", "").split()) in " ".join(plain.split()), key


def test_a_signature_names_its_types_without_their_modules(api: ModuleType) -> None:
    from ebmkit import annealing, mcmc, partition

    assert api.signature("Tempered", mcmc.Tempered) == "Tempered(model: EnergyModel, beta: float)"
    assert api.signature("log_partition", partition.log_partition).endswith("-> Estimate")
    assert api.signature("AnnealingPath", annealing.AnnealingPath) == "AnnealingPath"


def test_a_signature_names_the_functions_among_its_defaults(api: ModuleType) -> None:
    def learn(learner=api.signature, size=len): ...  # type: ignore[no-untyped-def]

    assert api.signature("learn", learn) == "learn(learner=signature, size=len)"


def test_an_indented_block_of_a_docstring_stands_as_it_is_written(api: ModuleType) -> None:
    blocks = api.described("One `sentence`\nover two lines.\n\n    a = b\n      + c\n\nThe end.")
    assert [block.astext() for block in blocks] == [
        "One sentence over two lines.",
        "a = b\n  + c",
        "The end.",
    ]
    assert [block.tagname for block in blocks] == ["paragraph", "literal_block", "paragraph"]


def test_an_example_in_a_docstring_stands_as_it_is_written(api: ModuleType) -> None:
    _, example = api.described("One sentence.\n\n>>> x = 1\n>>> x + x\n2")
    assert example.astext() == ">>> x = 1\n>>> x + x\n2"
    assert example["language"] == "pycon"


def test_a_list_in_a_docstring_is_a_list(api: ModuleType) -> None:
    (listed,) = api.described("- one `name`\n  over two lines\n- and two - with a dash")
    assert listed.tagname == "bullet_list"
    assert [item.astext() for item in listed] == ["one name over two lines", "and two - with a dash"]
