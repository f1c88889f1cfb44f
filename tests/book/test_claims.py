"""Every sentence of the book about a computed number or a figure is checked by a line of the page's code."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PAGES = sorted(path.stem for path in BOOK.glob("*.md") if "{code-cell}" in path.read_text(encoding="utf-8"))
A_PAGE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A page

```{code-cell} ipython3
:mystnb:
:  figure:
:    name: fig-a
:    caption: A curve.
:  image:
:    alt: A curve that rises.
draw()
```

The mean is {glue:text}`mean`, and that is *more* than $x$. It never
falls below 3.7 here.

No number here, and so more may be less.
"""


def extension(name: str) -> ModuleType:
    folder = str(BOOK / "_ext")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


@pytest.mark.parametrize("name", PAGES)
def test_every_sentence_about_a_number_or_a_figure_has_its_claim(name: str) -> None:
    page = extension("claims").read(BOOK / f"{name}.md")
    assert page.stale() == []
    assert page.empty() == []
    assert page.unfounded() == []


@pytest.mark.parametrize("name", PAGES)
def test_no_exemption_is_there_in_vain(name: str) -> None:
    page = extension("claims").read(BOOK / f"{name}.md")
    every = dict(page.exempt)
    for words, why in every.items():
        assert len(why.split()) >= 3, f"{words!r} needs a reason"
        page.exempt = {other: reason for other, reason in every.items() if other != words}
        assert page.unfounded(), f"{words!r} needs no exemption"


def read_text(tmp_path: Path, more: str = "") -> ModuleType:
    path = tmp_path / "a_page.md"
    path.write_text(A_PAGE + more, encoding="utf-8")
    return extension("claims").read(path)


def with_claims(*claims: str) -> str:
    return "\n```{code-cell} ipython3\n" + "\n".join(claims) + "\n```\n"


def test_what_lacks_a_claim_is_listed_by_its_words(tmp_path: Path) -> None:
    assert read_text(tmp_path).unfounded() == [
        "fig-a: rises in: A curve that rises.",
        "prose: more in: The mean is …, and that is more than ….",
        "prose: never, falls, below, 3.7 in: It never falls below 3.7 here.",
        "fig-a: no claim about this figure",
    ]


def test_a_claim_covers_the_words_that_it_repeats_and_no_others(tmp_path: Path) -> None:
    claims = with_claims(
        'claim("that rises", a < b)',
        'claim("The mean is …, and that is more than …", mean > 2)',
        'claim("It never falls", lowest > 3)',
    )
    assert read_text(tmp_path, claims).unfounded() == ["prose: below, 3.7 in: It never falls below 3.7 here."]


def test_a_claim_that_cannot_fail_and_one_that_quotes_nothing_are_listed(tmp_path: Path) -> None:
    page = read_text(tmp_path, with_claims('claim("that rises", True)', 'claim("that jumps", a < b)'))
    assert page.empty() == ["that rises"]
    assert page.stale() == ["that jumps"]


def test_a_false_claim_stops_the_build_and_says_which_sentence_is_wrong() -> None:
    claim = extension("figures").claim
    claim("one is less than two", 1 < 2)
    with pytest.raises(AssertionError, match="one is more than two"):
        claim("one is more than two", 1 > 2)


def test_a_page_runs_with_other_seeds(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        A_PAGE.split("#")[0]
        + with_claims(
            "import torch",
            "from figures import claim",
            "u = torch.rand(1, generator=torch.Generator().manual_seed(0)).item()",
            'claim("one draw in two is small", u < 0.5)',
            'claim("each is below one", u < 1)',
        ),
        encoding="utf-8",
    )
    outcomes = [extension("claims").held(page, shift) for shift in range(20)]
    assert all(outcome["each is below one"] for outcome in outcomes)
    assert {outcome["one draw in two is small"] for outcome in outcomes} == {True, False}
