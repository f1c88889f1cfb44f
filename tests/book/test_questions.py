"""Questions in the text: one a section, checked in the page, folded without scripts, answered in print."""

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import axe_core_python
import pytest

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
PAGES = (
    "normalization",
    "exponential_families",
    "ising",
    "product_of_experts",
    "five_partition_functions",
    "boltzmann_machines",
    "mcmc",
    "contrastive_divergence",
    "beyond",
    "benchmarks",
)
# Sections that end without a question: they collect, or are questions themselves.
SILENT = (
    "What can go wrong",
    "Try it",
    "Which one to take",
    "Exercises",
    "Assignment",
    "Further reading",
)
PREDICT = re.compile(r"^:::\{predict\}\n(.*?)^:::$", re.DOTALL | re.MULTILINE)
NUMBERS = {  # words of a question whose answer is a number: the number, computed
    "In 64 dimensions you draw one point": math.sqrt(64),
    "Two witnesses saw the same coin": 1 + 2,
    "The curvature of $A$ is a variance. At which": 0,
    "Two members lie close together": 2**2,
    "If you sweep a grid of 8 by 8 pixels": 2**8,
    "Two doctors each know": 100 * 99 / (1 + 99),
    "A torus becomes twice as wide": 4**8 / 4**4,
    "A machine has 500 visible": 2 ** min(500, 12),
    "Take the two states above": abs(1 - 1 / 3 - 1),
    "The flip of a spin would leave": 1 / (1 + math.exp(0)),
    "Your chain needs a burn-in": 100 * (100 * 1000) / (100 * 2000),
    "An estimate of $\\log Z$ is half a nat": 0.5,
    "Of a hundred weighted runs": 1 / (0.9**2 + 99 * (0.1 / 99) ** 2),
}
CONF = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_parser", "questions", "sphinx-mathjax-offline"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_static_path = [{static!r}]
html_css_files = ["course.css"]
html_theme = "basic"
"""
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
AUDIT = """
const done = arguments[arguments.length - 1];
axe.run(".question", {runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}})
   .then((found) => done(found.violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 160))])));
"""
STATE = """
const question = document.querySelectorAll(".question")[arguments[0]];
return [question.querySelector("[role=status]").textContent, question.querySelector("details").open];
"""


def blocks(page: str) -> list[str]:
    return PREDICT.findall((BOOK / f"{page}.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_every_section_asks_one_question(page: str) -> None:
    text = re.sub(
        r"^```\{code-cell\}.*?^```$",
        "",
        (BOOK / f"{page}.md").read_text("utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    silent = {name.split("\n")[0] for name in sections if not PREDICT.search(name)}
    assert silent <= set(SILENT)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "benchmarks"])
def test_a_chapter_has_eight_to_twelve_exercises_in_three_grades_each_with_its_solution(page: str) -> None:
    text = (BOOK / f"{page}.md").read_text("utf-8")
    exercises = re.search(r"^## Exercises$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert exercises
    grades = re.split(r"^### (.*)$", exercises[1], flags=re.MULTILINE)
    posed = [re.findall(r"\{exercise\}.*\n:label: (\S+)", part) for part in grades[2::2]]
    assert grades[1::2] == ["By hand", "By code", "To think about"]
    assert all(len(grade) >= 2 for grade in posed)
    assert 8 <= sum(map(len, posed)) <= 12
    assert {label for grade in posed for label in grade} == set(re.findall(r"\{solution\} (\S+)", text))
    # What is computed is computed when the book is built: the last cell of that grade checks it.
    cells = re.findall(r"```\{code-cell\}.*?^```", grades[4], re.DOTALL | re.MULTILINE)
    assert cells
    assert re.search(r"^(?:assert|claim\()", cells[-1], re.MULTILINE)


def test_every_number_that_is_asked_for_is_the_computed_one() -> None:
    asked = [block for page in PAGES for block in blocks(page) if ":choices:" not in block]
    assert len(asked) == len(NUMBERS)
    for words, number in NUMBERS.items():
        (block,) = [block for block in asked if words in block]
        answer = float(re.findall(r":answer: (.*)", block)[0])
        tolerance = float((re.findall(r":tolerance: (.*)", block) or [1e-12])[0])
        assert abs(answer - number) <= tolerance, words


def test_the_right_choice_stands_at_every_place_about_equally_often() -> None:
    places = []
    for block in (block for page in PAGES for block in blocks(page) if ":choices:" in block):
        choices = [choice.strip() for choice in re.findall(r":choices: (.*)", block)[0].split("|")]
        assert len(choices) == len(set(choices)) > 1
        places.append(choices.index(re.findall(r":answer: (.*)", block)[0]))
    assert max(places.count(place) for place in set(places)) < 0.6 * len(places)


def test_a_downloaded_chapter_has_the_question_its_choices_and_a_folded_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BOOK / "_ext")
    from plain_notebooks import plain_markdown

    page = "".join(f":::{{predict}}\n{block}:::\n" for block in blocks("benchmarks"))
    plain = plain_markdown(page, {}, {}, lambda role, text: text)
    assert plain.count("**Predict.**") == plain.count("</details>") == 5
    assert "- the first\n- the second\n- it depends on what you do\n" in plain
    assert "**0.5**\n\nAll images share" in plain
    assert ":::" not in plain
    assert "\n---" not in plain


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chapter's questions alone, on a bare page."""
    source = tmp_path_factory.mktemp("asked")
    conf = CONF.format(extensions=str(BOOK / "_ext"), static=str(BOOK / "_static"))
    (source / "conf.py").write_text(conf, encoding="utf-8")
    text = "\n\n".join(f":::{{predict}}\n{block}:::" for block in blocks("ising"))
    text = re.sub(r"\{(?:eq|ref|numref)\}`([^`]*)`", r"(\1)", text)
    (source / "index.md").write_text(f"# Questions\n\n{text}\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(source), str(source / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return source / "out" / "index.html"


@pytest.mark.slow
def test_without_scripts_a_question_has_its_choices_and_a_folded_answer(asked: Path) -> None:
    page = asked.read_text(encoding="utf-8")
    questions = [part.split("</details>")[0] for part in page.split('class="question question-predict"')[1:]]
    assert len(questions) == len(blocks("ising"))
    for question in questions:
        assert '<details class="question-answer"><summary>Answer</summary>' in question
        assert ("<li>" in question) or 'data-answer="256"' in question
        assert "<input" not in question
        assert "<button" not in question


@pytest.mark.browser
@pytest.mark.slow
def test_a_question_is_answered_with_the_keyboard_and_says_so(browser: Any, asked: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.open(asked.as_uri())
    number = next(k for k, block in enumerate(blocks("ising")) if ":answer: 256" in block)
    focus = "document.querySelectorAll('.question')[arguments[0]].querySelector('input').focus()"
    browser.run(focus, number)
    browser.press(Keys.ENTER)
    said, opened = browser.run(STATE, number)
    assert said.startswith("Predict first")
    assert not opened
    browser.press("6", "4", Keys.ENTER)
    said, opened = browser.run(STATE, number)
    assert said.startswith("Not so")
    assert opened
    browser.press(Keys.BACKSPACE, Keys.BACKSPACE, "2", "5", "6", Keys.ENTER)
    assert browser.run(STATE, number)[0].startswith("Right")
    browser.run(focus, 1)
    browser.press(" ", Keys.TAB, Keys.ENTER)
    assert browser.run(STATE, 1) == ["Right. The answer below says why.", True]
    assert browser.errors() == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_answered_questions_violate_no_wcag_aa_rule(browser: Any, asked: Path, dark: bool) -> None:
    browser.open(asked.as_uri())
    if dark:
        browser.run(
            "document.documentElement.dataset.theme = 'dark';"
            "document.body.style.cssText = 'background: #14181e; color: #e7ecf2'"
        )
    browser.run(
        "document.querySelectorAll('.question').forEach((q) => {"
        "const radio = q.querySelector('input[type=radio]');"
        "if (radio) radio.checked = true; else q.querySelector('input').value = '256';"
        "q.querySelector('button').click(); })"
    )
    assert browser.run("return [...document.querySelectorAll('details')].every((d) => d.open)")
    browser.driver.execute_script(AXE)
    assert browser.driver.execute_async_script(AUDIT) == []


@pytest.mark.browser
@pytest.mark.slow
def test_a_printed_page_has_the_questions_at_their_places_and_the_answers_at_its_end(
    browser: Any, asked: Path
) -> None:
    browser.open(asked.as_uri())
    shown = (
        "const tall = (s) => [...document.querySelectorAll(s)].filter((e) => e.getClientRects().length).length;"
        "return ['.question-text', '.question .question-answer', '.question button', '.printed-answer'].map(tall)"
    )
    n = len(blocks("ising"))
    assert browser.run(shown) == [n, n, n, 0]
    try:
        browser.command("Emulation.setEmulatedMedia", media="print")
        assert browser.run(shown) == [n, 0, 0, n]
        end = browser.run("return document.querySelector('.printed-answers').innerText")
    finally:
        browser.command("Emulation.setEmulatedMedia", media="")
    assert [f"Question {k}:" in end for k in range(1, n + 1)] == [True] * n
