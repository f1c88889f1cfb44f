"""Exercises done in the page, in a real browser: solved, checked, handed in and graded; stopped, kept, erased."""

import hashlib
import itertools
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import axe_core_python
import pytest

import autograder
from autograder.authoring.percent import read

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "solutions").glob("*.py"))
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
AUDIT = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}})
   .then((found) => done(found.violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 160))])));
"""
PASTE = """
const content = document.querySelector(`[data-cell="${arguments[0]}"] .cm-content`);
content.focus();
document.getSelection().selectAllChildren(content);
const data = new DataTransfer();
data.setData("text/plain", arguments[1]);
content.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
"""
STATUS = "document.querySelector(`[data-cell='${arguments[0]}'] .live-status`).textContent"


@pytest.fixture(scope="module")
def live_site(site: Path) -> Path:
    """The site with its assignments and with Python for its pages."""
    if not (site / "live" / "vendor" / "python").exists() or not list(
        (site / "live" / "assignments").glob("*")
    ):
        reason = "the site was built without Python for its pages or without assignments; run: make book"
        if os.environ.get("EBM_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return site


def test_what_was_fetched_is_served_as_it_was_pinned(live_site: Path) -> None:
    vendor = live_site / "live" / "vendor"
    expected = json.loads((vendor / "fetched.json").read_text(encoding="utf-8"))["files"]
    found = {path.relative_to(vendor).as_posix(): path for path in vendor.rglob("*") if path.is_file()}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}
    assert {name: value for name, value in digests.items() if name != "fetched.json"} == expected
    with zipfile.ZipFile(vendor / "python" / "numpy.zip") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"numpy", "numpy-2.0.1.dist-info"}


def test_the_page_checks_with_the_notebook_that_students_get(live_site: Path) -> None:
    for chapter in CHAPTERS:
        with zipfile.ZipFile(live_site / "downloads" / f"{chapter}.zip") as archive:
            released = archive.read(f"{chapter}/{chapter}.ipynb")
        assert (live_site / "live" / "assignments" / f"{chapter}.ipynb").read_bytes() == released
        cells = {"".join(cell["source"]) for cell in json.loads(released)["cells"]}
        for cell in read(chapter).cells:
            if "tests" in cell.metadata:
                assert cell.source in cells


class Live:
    """An assignment's page and what a student does on it."""

    def __init__(self, browser: Any, address: str, folder: Path) -> None:
        self.browser = browser
        self.folder = folder
        browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        browser.open(address)

    def wait(self, script: str, *arguments: Any, seconds: float = 120) -> Any:
        end = time.monotonic() + seconds
        while not (found := self.browser.run(script, *arguments)):
            assert time.monotonic() < end, (script, arguments, self.browser.errors())
            time.sleep(0.05)
        return found

    def click(self, label: str, inside: str = ".live-bar") -> None:
        self.browser.run(
            "[...document.querySelectorAll(`${arguments[1]} button`)]"
            ".find((button) => button.textContent === arguments[0]).click()",
            label,
            inside,
        )

    def begin(self) -> None:
        self.click("Start")
        self.wait("return document.querySelector('.live-progress')")

    def write(self, cell: str, source: str) -> None:
        self.browser.run(PASTE, cell, source)

    def press(self, label: str, cell: str) -> str:
        """What the status says when a run has ended."""
        self.click(label, f"[data-cell='{cell}']")
        return self.ended(cell)

    def ended(self, cell: str) -> str:
        return str(
            self.wait(f"const text = {STATUS}; return !/Loading|is here|Running/.test(text) && text", cell)
        )

    def hand_in(self, name: str) -> Path:
        self.click("Hand in: download the notebook")
        path, end = self.folder / name, time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < end, list(self.folder.iterdir())
            time.sleep(0.05)
        return path

    def open_notebook(self, path: Path) -> str:
        before = self.browser.run("return document.querySelector('.live-bar .live-status').textContent")
        from selenium.webdriver.common.by import By

        self.browser.driver.find_element(By.CSS_SELECTOR, ".live-bar input[type=file]").send_keys(str(path))
        script = "const text = document.querySelector('.live-bar .live-status').textContent;"
        return str(self.wait(script + "return text !== arguments[0] && text", before))

    def source(self, cell: str) -> str:
        lines = "[...document.querySelectorAll(`[data-cell='${arguments[0]}'] .live-editor .cm-line`)]"
        return str(self.browser.run(f"return {lines}.map((line) => line.textContent).join('\\n')", cell))


def shift_enter(live: Live) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(live.browser.driver).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()


@pytest.fixture
def opened(
    new_browser: Callable[..., Any], live_site: Path, served: str, tmp_path: Path
) -> Callable[..., Live]:
    """Opens the page of an assignment in a fresh browser."""

    def start(chapter: str = "ising", **how: Any) -> Live:
        return Live(new_browser(**how), f"{served}/book/exercises/{chapter}.html", tmp_path)

    return start


def answers(chapter: str) -> Iterator[tuple[str, str]]:
    """The exercises that need no torch, and their solutions."""
    cells = read(chapter).cells
    for cell, tests in itertools.pairwise(cells):
        if (name := cell.metadata.get("exercise")) and "torch." not in cell.source + tests.source:
            lines = cell.source.splitlines()
            yield name, "\n".join(line for line in lines if not line.strip().startswith("### "))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_an_assignment_is_solved_checked_and_handed_in_from_the_page(
    opened: Callable[..., Live], chapter: str, served: str
) -> None:
    live = opened(chapter)
    live.begin()
    solved = dict(answers(chapter))
    assert len(solved) >= 4
    for name, source in solved.items():
        live.write(name, source)
        verdict = live.press("Check", name)
        assert verdict.startswith("All "), (name, verdict)
    progress = live.browser.run("return document.querySelector('.live-progress').textContent")
    assert progress.startswith(f"{len(solved)} of {len(solved)} exercises")
    outside = [
        url for url in live.browser.requests() if not url.startswith((served, "data:", "blob:", "about:"))
    ]
    assert (outside, live.browser.errors()) == ([], [])
    report = autograder.grade(live.hand_in(f"{chapter}.ipynb"), chapter)
    results = {result.name: (result.score, result.points) for result in report.exercises}
    assert {name: results[name][0] for name in solved} == {name: results[name][1] for name in solved}


@pytest.mark.browser
@pytest.mark.slow
def test_a_wrong_answer_is_shown_with_its_line_and_a_run_that_never_ends_can_be_stopped(
    opened: Callable[..., Live],
) -> None:
    live = opened()
    live.begin()
    assert live.press("Check", "energy").startswith("Not solved yet")
    live.write("energy", "def energy(labels, noisy, coupling, field):\n    return -9.0\n")
    assert live.press("Check", "energy") == "Test 3 of 5 fails: the example above has energy -1, got -9.0"
    live.write("energy", "def energy(labels, noisy, coupling, field):\n    x = 1\n    return x / 0\n")
    assert live.press("Run", "energy") == "ZeroDivisionError, line 3: division by zero"
    marked = live.browser.run(
        "return document.querySelector('[data-cell=energy] .live-error-line').textContent"
    )
    assert marked == "    return x / 0"
    live.write("energy", "def energy(*arguments):\n    while True:\n        pass\n")
    live.click("Check", "[data-cell='energy']")
    live.wait(f"return {STATUS} === 'Running …'", "energy")
    live.click("Stop", "[data-cell='energy']")
    assert live.ended("energy").startswith("Stopped. Your text is kept")
    assert "while True" in live.source("energy")
    live.write(
        "energy", "def energy(labels, noisy, coupling, field):\n    print('here')\n    return labels\n"
    )
    assert live.press("Run", "energy").startswith("Ran ")
    shown = live.browser.run("return document.querySelector('[data-cell=energy] .live-output').textContent")
    assert shown.startswith("here\narray([[1, 1],")
    picture = live.browser.run("return document.querySelector('[data-cell=energy] .live-figure img').alt")
    assert picture.startswith("an array of 2 rows and 2 columns")
    assert live.browser.run("return liveLimits.run") == 60
    live.browser.run("liveLimits.run = 1")
    live.write("energy", "def energy(*arguments):\n    while True:\n        pass\n")
    assert live.press("Run", "energy").startswith("Ended after 1 seconds: does a loop never end?")


@pytest.mark.browser
@pytest.mark.slow
def test_an_exercise_inside_a_chapter_runs_there_and_is_the_work_of_the_assignment(
    opened: Callable[..., Live], served: str
) -> None:
    live = opened()
    live.browser.open(f"{served}/book/ising.html")
    asked = [url for url in live.browser.requests() if "/live/vendor/" in url or url.endswith("worker.js")]
    assert asked == []
    live.browser.run("document.querySelectorAll('.live-place').forEach((place) => { place.open = true; })")
    live.click("Do it here", "[data-cell='decode_chain']")
    live.wait("return document.activeElement.closest('[data-cell=decode_chain] .cm-content')")
    hint = "document.querySelector('[data-cell=decode_chain] .live-buttons > #live-keys')"
    assert live.browser.run(f"return {hint}.checkVisibility() && {hint}.textContent").startswith(
        "In an editor"
    )
    solution = dict(answers("ising"))["decode_chain"]
    live.write("decode_chain", solution)
    verdict = live.press("Check", "decode_chain")
    assert verdict.startswith("All "), verdict
    live.browser.open(f"{served}/book/exercises/ising.html")
    live.click("Go on with your work")
    live.wait("return document.querySelector('.live-progress')")
    assert live.source("decode_chain").splitlines()[-1] == solution.splitlines()[-1]
    assert live.browser.errors() == []


@pytest.mark.browser
@pytest.mark.slow
def test_python_in_the_page_asks_for_nothing_outside_the_site_and_a_request_of_its_own_would_be_seen(
    opened: Callable[..., Live], served: str, tmp_path: Path
) -> None:
    """What a worker asks for is in no log of the page's, but in that of the whole browser."""
    log = tmp_path / "network.json"
    live = opened(flags=(f"--log-net-log={log}", "--disable-features=AutofillServerCommunication"))
    live.begin()
    live.write("energy", "def energy(*arguments):\n    return 1.0\n")
    assert live.press("Run", "energy").startswith("Ran ")
    live.write(
        "energy",
        "def energy(*arguments):\n    import js\n    js.fetch('http://127.0.0.1:9/elsewhere')\n    return 1.0\n",
    )
    assert live.press("Run", "energy").startswith("Ran ")
    live.browser.driver.quit()
    # Chromium's own requests belong to no page; a line of the log is an event.
    of_the_page = re.compile(r'"network_isolation_key":"http://127\.0\.0\.1 [^\n]*?"url":"([^"]+)"')
    asked = set(of_the_page.findall(log.read_text("utf-8", "replace")))
    assert f"{served}/_static/live/worker.js" in asked
    assert any(url.startswith(f"{served}/live/vendor/python/") for url in asked)
    assert {url for url in asked if not url.startswith((served, "data:", "blob:"))} == {
        "http://127.0.0.1:9/elsewhere"
    }


@pytest.mark.browser
@pytest.mark.slow
def test_work_is_kept_opened_and_erased(opened: Callable[..., Live], tmp_path: Path) -> None:
    live = opened()
    live.begin()
    live.write("energy", "def energy(labels, noisy, coupling, field):\n    return 'mine'\n")
    question = "[data-cell='why_icm_gets_stuck']"
    live.browser.run(
        "const area = document.querySelector(`${arguments[0]} textarea`); area.value = 'It stops.';"
        "area.dispatchEvent(new Event('input'))",
        question,
    )
    handed = json.loads(live.hand_in("ising.ipynb").read_text(encoding="utf-8"))
    texts = {
        cell["metadata"].get("nbgrader", {}).get("grade_id"): "".join(cell["source"])
        for cell in handed["cells"]
    }
    assert "return 'mine'" in texts["energy"]
    assert texts["why_icm_gets_stuck"].startswith("## Exercise 8")
    assert texts["why_icm_gets_stuck"].endswith("Write a few sentences for each.\n\nIt stops.")

    live.browser.open(live.browser.driver.current_url)  # a reload, and the way of who comes back
    live.click("Go on with your work")
    live.wait("return document.querySelector('.live-progress')")
    assert "return 'mine'" in live.source("energy")
    assert (
        live.browser.run("return document.querySelector(`${arguments[0]} textarea`).value", question)
        == "It stops."
    )

    live.browser.run("window.confirm = () => true")
    for cell in handed["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "energy":
            cell["source"] = "def energy(labels, noisy, coupling, field):\n    return helper\n"
    own = {"cell_type": "code", "id": "mine", "metadata": {}, "source": "helper = -1.0", "outputs": []}
    handed["cells"].insert(2, own)
    handed["cells"] = [
        cell
        for cell in handed["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade_id") != "log_ratio"
    ]
    half_done = tmp_path / "half-done.ipynb"
    half_done.write_text(json.dumps(handed), encoding="utf-8")
    told = live.open_notebook(half_done)
    assert told == (
        "Opened. 1 cell of your own: kept, run where needed, and handed in. "
        "Put back at its end, for they were missing: log_ratio."
    )
    assert "return helper" in live.source("energy")
    assert live.press("Check", "energy").startswith(
        "Test 4 of 5 fails"
    )  # the example passes with the helper's -1
    (tmp_path / "ising.ipynb").unlink()
    again = json.loads(live.hand_in("ising.ipynb").read_text(encoding="utf-8"))
    assert [cell["id"] for cell in again["cells"]].count("mine") == 1

    other = tmp_path / "other.ipynb"
    other.write_text('{"cells": []}', encoding="utf-8")
    live.browser.run(
        "window.confirm = () => { throw new Error('asked before it is known to be a notebook'); }"
    )
    assert "holds no exercise of the assignment ising. Your work is as it was." in live.open_notebook(other)
    live.browser.run("window.confirm = () => true")
    live.click("Erase my work")
    assert live.browser.run("return Object.keys(localStorage).filter((key) => key.startsWith('ebm'))") == []
    assert "NotImplementedError" in live.source("energy")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1400, False), (390, True)], ids=["wide-light", "phone-dark"])
def test_an_exercise_at_work_violates_no_rule_of_accessibility_and_needs_no_mouse(
    opened: Callable[..., Live], width: int, dark: bool
) -> None:
    live = opened(width=width, dark=dark, calm=True)
    live.browser.run("document.querySelector('.live-bar button').focus()")
    live.browser.press(" ")
    live.wait("return document.querySelector('.live-progress')")
    live.browser.run(
        "document.querySelectorAll('details.live-tests').forEach((fold) => { fold.open = true; })"
    )
    live.browser.run("document.querySelector('[data-cell=energy] .cm-content').focus()")
    from selenium.webdriver.common.keys import Keys

    shift_enter(live)
    assert live.ended("energy").startswith("Not solved yet")
    live.write(
        "energy", "import numpy as np\ndef energy(*arguments):\n    print(1)\n    return np.eye(3) / 3\n"
    )
    shift_enter(live)
    live.wait(f"return {STATUS}.startsWith('Ran ')", "energy")
    live.press("Check", "energy")
    overflow = live.browser.run(
        "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    )
    assert overflow == 0
    live.browser.run(AXE)
    assert live.browser.driver.execute_async_script(AUDIT) == []

    at = "return document.activeElement.textContent"
    live.write("energy", "def energy(*arguments):\n    while True:\n        pass\n")
    live.browser.run(
        "[...document.querySelectorAll('[data-cell=energy] .live-buttons button')]"
        ".find((b) => b.textContent === 'Check').focus()"
    )
    live.browser.press(" ")
    live.wait(f"return {STATUS} === 'Running …'", "energy")
    assert live.browser.run(at) == "Stop"
    assert live.browser.driver.execute_async_script(AUDIT) == []
    live.browser.press(" ")
    assert live.ended("energy").startswith("Stopped")
    assert live.browser.run(at) == "Check"  # where the reader was
    live.write("energy", "def energy(:\n")
    live.browser.press(Keys.ESCAPE)
    shift_enter(live)
    live.wait(f"return {STATUS}.startsWith('SyntaxError, line 1')", "energy")
    assert live.browser.run(
        "const box = document.querySelector('[data-cell=energy] .live-status').getBoundingClientRect();"
        "return box.top >= 0 && box.bottom <= innerHeight"
    )
    assert live.browser.driver.execute_async_script(AUDIT) == []
    live.browser.run("document.querySelector('[data-cell=energy] .cm-content').focus()")
    live.browser.press(Keys.ESCAPE)
    live.browser.press(Keys.TAB)
    assert not live.browser.run("return document.activeElement.closest('[data-cell=energy] .live-editor')")


@pytest.mark.browser
@pytest.mark.slow
def test_nothing_is_loaded_before_somebody_asks_and_a_folder_says_how_to_be_served(
    browser: Any, live_site: Path, served: str
) -> None:
    browser.open(f"{served}/book/exercises/ising.html")
    assert not [
        url for url in browser.requests() if "/live/vendor/" in url or url.endswith((".ipynb", "worker.js"))
    ]
    browser.open(f"{live_site.as_uri()}/book/exercises/ising.html")
    browser.run("document.querySelector('.live-exercise .live-button').click()")
    told = browser.run("return document.querySelector('.live-exercise .live-status').textContent")
    assert f'python -m http.server -d "{live_site}"' in told
    assert "http://localhost:8000/book/exercises/ising.html" in told


@pytest.mark.browser
@pytest.mark.slow
def test_the_landing_page_moves_unless_motion_is_unwelcome_and_shows_its_doors_on_the_first_screen(
    new_browser: Callable[..., Any], site: Path
) -> None:
    sweeps = (
        "return Number(document.querySelector('.explorable-readout').textContent.match(/After (\\d+)/)[1])"
    )
    for calm in (False, True):
        browser = new_browser(calm=calm)
        browser.open(f"{site.as_uri()}/book/index.html")
        end = time.monotonic() + 30
        while browser.run(sweeps) < 2 and time.monotonic() < (end if not calm else end - 29):
            time.sleep(0.05)
        assert (browser.run(sweeps) >= 2) != calm
        doors = browser.run(
            "return [...document.querySelectorAll('.sd-card')].map((c) => c.getBoundingClientRect().bottom)"
        )
        assert len(doors) == 3
        assert max(doors) <= 1000
        assert not [url for url in browser.requests() if "/live/vendor/" in url]
