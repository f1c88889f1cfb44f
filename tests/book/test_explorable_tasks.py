"""The tasks below the interactive figures: predict, try, compare; by keyboard, aloud, and without scripts."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_core_python
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
AUDIT = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}})
   .then((found) => done(found.violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 160))])));
"""
# The landing page's figure asks nothing, so that it fits one screen; it leads on to the tasks of the Ising chapter.
CHAPTERS = [
    "normalization",
    "exponential_families",
    "ising",
    "product_of_experts",
    "boltzmann_machines",
    "mcmc",
    "contrastive_divergence",
    "beyond",
]
TASKS = """
return [...document.querySelectorAll(".question")].map((t) => ({
  ...t.dataset, title: t.querySelector(".question-title").textContent,
  choices: [...t.querySelectorAll("input[type=radio]")].map((i) => i.value),
  folded: !t.querySelector("details").open, explanation: t.querySelector("details").textContent,
  figure: t.closest(".explorable-tasks").id.replace("tasks-", ""),
}));
"""
ANSWER = """
const [index, text] = arguments, task = document.querySelectorAll(".question")[index];
const radio = [...task.querySelectorAll("input[type=radio]")].find((i) => i.value === text);
if (radio) radio.checked = true; else task.querySelector("input[type=text]").value = text;
task.querySelector("button").click();
return [task.querySelector("[role=status]").textContent, task.querySelector("details").open];
"""


@pytest.fixture
def bare(browser: Any, figures: Path) -> Callable[[str], Any]:
    """Opens a chapter's figures and tasks."""

    def open_chapter(chapter: str) -> Any:
        browser.open(f"{figures.as_uri()}/{chapter}.html")
        return browser

    return open_chapter


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_figure_has_two_or_three_tasks_whose_right_answers_are_taken(bare: Any, chapter: str) -> None:
    page = bare(chapter)
    tasks = page.run(TASKS)
    figures = page.run(
        "return [...document.querySelectorAll('.explorable')].map((f) => f.dataset.explorable)"
    )
    for figure in figures:
        assert 2 <= sum(task["figure"] == figure for task in tasks) <= 3, figure
    for index, task in enumerate(tasks):
        assert task["folded"]
        assert len(task["explanation"].split()) > 15
        wrong = next((c for c in task["choices"] if c != task["answer"]), "1e9")
        said, opened = page.run(ANSWER, index, wrong)
        assert said.startswith("Not what happens")
        assert not opened
        said, opened = page.run(ANSWER, index, task["answer"])
        assert said.startswith("Right")
        assert opened
    assert page.errors() == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_trying_a_task_sets_the_figure_up_as_its_link_would(bare: Any, chapter: str) -> None:
    page = bare(chapter)
    for index, task in enumerate(page.run(TASKS)):
        page.run(
            "const t = document.querySelectorAll('.question')[arguments[0]];"
            "[...t.querySelectorAll('button')].find((b) => b.textContent.startsWith('Try')).click()",
            index,
        )
        linked = page.run("return location.hash").split("?")[1].split("&")
        for part in task["try"].split("&"):
            key, value = part.split("=")
            shown = next(p.split("=")[1] for p in linked if p.startswith(f"{key}="))
            assert shown == value or float(shown) == float(value), (task["title"], key, shown, value)
        stage = page.run("return document.activeElement.closest('.explorable').dataset.explorable")
        assert stage == task["figure"]
    assert page.errors() == []


def test_nothing_is_judged_before_there_is_a_prediction(bare: Any) -> None:
    page = bare("ising")
    for index, task in enumerate(page.run(TASKS)):
        empty = ANSWER.replace("if (radio) radio.checked = true; else task", "if (!radio && text) task")
        for nothing in [""] if task["choices"] else ["", "a fifth", "1/", "1/0", "1/2/3"]:
            said, opened = page.run(empty, index, nothing)
            assert said.startswith("Predict first"), task["title"]
            assert not opened


@pytest.mark.parametrize(
    ("given", "right"),
    [("0.957", True), ("0,95", True), (" .96 ", True), ("0.9", False), ("-0.957", False), ("1,000", False)],
)
def test_a_number_counts_within_its_tolerance_however_it_is_written(
    bare: Any, given: str, right: bool
) -> None:
    page = bare("ising")
    assert page.run("return questions.isRight(arguments[0], '0.957', 0.02)", given) is right
    assert page.run("return questions.isRight('−0,5', '-0.5', 0)") is True


@pytest.mark.parametrize(
    ("given", "right"),
    [("1/5", True), (" 2 / 10 ", True), ("0,4⁄2", True), ("-1/-5", True), ("1/4", False), ("−1/5", False)],
)
def test_a_fraction_counts_as_its_number(bare: Any, given: str, right: bool) -> None:
    page = bare("ising")
    index = next(k for k, task in enumerate(page.run(TASKS)) if task["title"] == "No neighbours")
    said, opened = page.run(ANSWER, index, given)
    assert said.startswith("Right" if right else "Not what happens")
    assert opened is right


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_floats_over_the_page_is_gone_while_a_figure_is_in_view(bare: Any, chapter: str) -> None:
    page = bare(chapter)
    page.run(
        "document.documentElement.style.scrollBehavior = 'auto';"
        "const up = document.createElement('button'), rest = document.createElement('p');"
        "up.id = 'pst-back-to-top'; rest.style.height = '300vh'; document.body.append(rest, up)"
    )
    look = (
        "const done = arguments[1]; document.querySelector(arguments[0]).scrollIntoView();"
        "setTimeout(() => done(getComputedStyle(document.getElementById('pst-back-to-top')).visibility), 200)"
    )
    assert page.driver.execute_async_script(look, ".explorable") == "hidden"
    assert page.driver.execute_async_script(look, "#pst-back-to-top") == "visible"


def test_the_keyboard_chooses_checks_and_opens(bare: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page = bare("ising")
    state = page.TASK + (
        "task.querySelector(arguments[1])?.focus();"
        "return [task.querySelector('[role=status]').textContent, task.querySelector('details').open]"
    )
    number, choice = "Below the critical temperature", "A start from noise"
    page.run(state, number, "input")
    page.press("0", ".", "9", "6", Keys.ENTER)
    said, opened = page.run(state, number, "none")
    assert said.startswith("Right")
    assert opened
    page.run(state, choice, "input")
    page.press(" ", Keys.ARROW_DOWN, Keys.TAB, Keys.ENTER)
    assert page.run(state, choice, "none")[0].startswith("Right")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_figures_and_tasks_violate_no_wcag_aa_rule_once_they_are_answered(bare: Any, dark: bool) -> None:
    for chapter in CHAPTERS:
        page = bare(chapter)
        if dark:
            page.run(
                "document.documentElement.dataset.theme = 'dark';"
                "document.body.style.cssText = 'background: #14181e; color: #e7ecf2'"
            )
        for index, task in enumerate(
            page.run(TASKS)
        ):  # one wrong, one checked without a prediction, the others right
            if index == 1:
                page.run("document.querySelectorAll('.question')[1].querySelector('button').click()")
            else:
                wrong = index == 0 and not task["choices"]
                page.run(ANSWER, index, "1e9" if wrong else task["answer"])
        page.step(3)
        page.driver.execute_script(AXE)
        found = [
            violation
            for violation in page.driver.execute_async_script(AUDIT)
            if "sphinx" not in str(violation) and ("explorable" in str(violation) or "task" in str(violation))
        ]
        assert found == [], chapter


def test_without_scripts_the_questions_choices_and_folded_answers_are_there(figures: Path) -> None:
    html = (figures / "ising.html").read_text(encoding="utf-8")
    tasks = [part.split("</details>")[0] for part in html.split('class="question question-task"')[1:]]
    assert len(tasks) >= 5
    for task in tasks:
        assert re.search(r'<details class="question-answer"><summary>Answer</summary>\s*<p>', task)
        assert "question-text" in task
        assert "<input" not in task
        assert "<button" not in task


def test_a_task_without_a_right_answer_stops_the_build(tmp_path: Path) -> None:
    extensions = Path(__file__).parents[2] / "book" / "_ext"
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(extensions)!r})\n"
        "extensions = ['myst_parser', 'explorables']\nmyst_enable_extensions = ['colon_fence']\n"
    )
    wrong = {
        ":answer: 0.5\n\nWhy?": "between question and explanation",
        ":choices: a | b\n:answer: c\n\nWhy?\n---\nBecause.": "'c' is none of ['a', 'b']",
        ":answer: plenty\n\nWhy?\n---\nBecause.": "'plenty' is no number",
    }
    tasks = [f":::{{task}} One\n{body}\n:::\n" for body in wrong]
    (tmp_path / "index.md").write_text("\n\n".join(["# Page", *tasks]))
    command = [sys.executable, "-m", "sphinx", "-q", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    for complaint in wrong.values():
        assert complaint in done.stderr


WRITTEN = """
const canvas = CanvasRenderingContext2D.prototype, write = canvas.fillText, clear = canvas.clearRect;
const written = new Map();  // what stands on each canvas now
window.cut = [];
window.overlapping = new Set();
canvas.clearRect = function () {
  written.set(this.canvas, []);
  return clear.apply(this, arguments);
};
canvas.fillText = function (words, x, y) {
  const size = this.measureText(words), box = {
    words, left: x - size.actualBoundingBoxLeft, right: x + size.actualBoundingBoxRight,
    top: y - size.actualBoundingBoxAscent, bottom: y + size.actualBoundingBoxDescent,
  };
  const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
  if (box.left < -1 || box.right > width + 1 || y < 4 || y > height - 4) {
    window.cut.push([words, box.left, box.right, width, y, height]);
  }
  const others = written.get(this.canvas) || [];
  for (const other of others) {
    const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
    const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
    if (across > 0.5 && down > 0.5) window.overlapping.add(`${other.words} | ${words}`);
  }
  others.push(box);
  written.set(this.canvas, others);
  return write.apply(this, arguments);
};
"""


@pytest.mark.parametrize("width", [360, 1280])
def test_no_word_in_a_picture_is_cut_or_lies_on_another_and_no_control_is_too_small_for_a_thumb(
    new_browser: Callable[..., Any], figures: Path, width: int
) -> None:
    page = new_browser(width=width)
    for chapter in [*CHAPTERS, "index"]:
        page.open(f"{figures.as_uri()}/{chapter}.html")
        page.run(WRITTEN)
        for name in page.run(
            "return [...document.querySelectorAll('.explorable')].map((f) => f.dataset.explorable)"
        ):
            page.figure = f"#explorable-{name}"
            page.step(6)
            for task in page.run(TASKS):
                if task["figure"] == name:
                    page.try_task(task["title"])
                    page.step(1)
            assert page.run("return window.cut") == [], name
            assert page.run("return [...window.overlapping]") == [], name
            small = page.run(
                "return [...document.querySelectorAll(`${arguments[0]} :is(button, select, input)`)]"
                ".filter((c) => c.checkVisibility())"
                ".map((c) => [c.id || c.textContent, c.offsetWidth, c.offsetHeight])"
                ".filter(([, wide, tall]) => Math.min(wide, tall) < 24)",
                page.figure,
            )
            assert small == [], name


def test_on_a_phone_try_it_shows_the_pictures_and_scrolling_past_them_paints_nothing(
    new_browser: Callable[..., Any], figures: Path
) -> None:
    phone = new_browser(width=390)
    phone.command("Emulation.setTouchEmulationEnabled", enabled=True)
    phone.command(
        "Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True
    )
    for chapter in CHAPTERS:
        phone.open(f"{figures.as_uri()}/{chapter}.html")
        phone.run("document.documentElement.style.scrollBehavior = 'auto'")
        for task in phone.run(TASKS):
            phone.run(phone.TASK + "task.scrollIntoView()", task["title"])
            phone.try_task(task["title"])
            top, bottom, height = phone.run(
                "const figure = document.getElementById(`explorable-${arguments[0]}`);"
                "const box = (part) => figure.querySelector(part).getBoundingClientRect();"
                "return [box('canvas').top, box('.explorable-buttons').bottom, innerHeight]",
                task["figure"],
            )
            assert -1 < top < 200, task["title"]
            assert bottom <= height + 1, task["title"]  # play is under the thumb
            if task["figure"] != "exponential_families":  # two pictures to drag in, which want their size
                tall = phone.run(
                    "return document.querySelector(`#explorable-${arguments[0]} .explorable-views`).offsetHeight",
                    task["figure"],
                )
                # Between the book's bar at the top and play at the bottom.
                assert tall <= 844 - 2 * 64, task["title"]
    phone.open(f"{figures.as_uri()}/ising.html")
    phone.run("document.querySelector('#explorable-ising_denoiser canvas').scrollIntoView({block: 'center'})")
    state = "const d = explorables.ising_denoiser.current; return [d.truth, d.seen, scrollY]"
    before = phone.run(state)
    left, top = phone.run(
        "const box = document.querySelector('#explorable-ising_denoiser canvas').getBoundingClientRect();"
        "return [box.left, box.top]"
    )
    for part in range(11):
        kind, finger = "touchMove" if part else "touchStart", {"x": left + 40, "y": top + 100 - 8 * part}
        phone.command("Input.dispatchTouchEvent", type=kind, touchPoints=[finger])
    phone.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    after = phone.run(state)
    assert after[:2] == before[:2]
    assert after[2] > before[2] + 20
