"""The built site, a browser that looks at it, and what the tests of its interactive figures share."""

import base64
import contextlib
import functools
import http.server
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ebmkit import data

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
CHROMIUM_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage --force-color-profile=srgb"
).split()


def built_after_its_sources(site: Path) -> bool:
    index = site / "index.html"
    if not index.exists():
        return False
    sources = [ROOT / "_config.yml", ROOT / "_toc.yml", *(ROOT / "ebmkit").rglob("*.py")]
    sources += [
        path for path in (ROOT / "book").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    return max(path.stat().st_mtime for path in sources) <= index.stat().st_mtime


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML book: the one at hand if it is newer than its sources, else built with warnings as errors."""
    built = ROOT / "_build" / "html"
    if not built_after_its_sources(built):
        command = [sys.executable, "-m", "jupyter_book.cli.main", "build", ".", "-W", "-n", "--keep-going"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return built


FIGURES_CONF = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_parser", "explorables"]
myst_enable_extensions = ["colon_fence"]
html_theme = "basic"
html_static_path = [{static!r}]
html_css_files = ["course.css"]
html_copy_source = False
exclude_patterns = ["_build"]
"""
EXPLORABLE = re.compile(r"^(?P<marks>:{3,})\{explorable\}.*?^(?P=marks)$", re.MULTILINE | re.DOTALL)
PIXEL = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='300' height='200'><rect width='300' height='200'/></svg>"
)


def stand_in_machine() -> str:
    """Random weights and some digits, in place of the machine that the chapter's code trains."""
    generator = torch.Generator().manual_seed(0)

    def one_byte(*shape: int) -> dict[str, Any]:
        bits = torch.randint(-127, 128, shape, generator=generator).to(torch.int8)
        return {"level": 1 / 64, "bytes": base64.b64encode(bits.numpy().tobytes()).decode()}

    images = data.digits(binarise=True).images[:6].flatten(1).int().tolist()
    examples = [{"digit": k, "bits": "".join(map(str, image))} for k, image in enumerate(images)]
    parts = {"W": one_byte(64, 14), "a": one_byte(64), "b": one_byte(14)}
    stored = json.dumps({"hidden": 14, **parts, "examples": examples})
    return f'<script type="application/json" id="boltzmann-machine">{stored}</script>'


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interactive figures and their tasks alone, each chapter's on a bare page, by the book's own directive.

    Nothing of the chapter's code runs, so this takes seconds; the still pictures are blank.
    """
    source = tmp_path_factory.mktemp("figures")
    conf = FIGURES_CONF.format(extensions=str(EXTENSIONS), static=str(ROOT / "book" / "_static"))
    (source / "conf.py").write_text(conf, encoding="utf-8")
    (source / "blank.svg").write_text(PIXEL, encoding="utf-8")
    for chapter in (ROOT / "book").glob("*.md"):
        page = chapter.read_text(encoding="utf-8")
        blocks = [block[0] for block in EXPLORABLE.finditer(page)]
        if blocks:
            text = re.sub(r"\{glue:figure\} \w+", "{figure} blank.svg", "\n\n".join(blocks))
            if "boltzmann-machine" in page:
                text = f"```{{raw}} html\n{stand_in_machine()}\n```\n\n{text}"
            (source / chapter.name).write_text(
                f"---\norphan: true\n---\n# {chapter.stem}\n\n{text}\n", "utf-8"
            )
    command = [sys.executable, "-m", "sphinx", "-q", "-W", str(source), str(source / "_build")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return source / "_build"


@pytest.fixture(scope="session")
def pages(site: Path) -> list[Path]:
    """Every page of the site, relative to it."""
    found = sorted(path.relative_to(site) for path in site.rglob("*.html") if "_static" not in path.parts)
    assert Path("book/ising.html") in found
    return found


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    """The address of a plain static server with the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def browser_binaries() -> tuple[str, str]:
    """Chromium and its driver; skips without them, or fails where EBM_REQUIRE_ALL=1 asks for every test."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium and driver:
        return chromium, driver
    missing = "Chromium and chromedriver" if not chromium else "chromedriver"
    reason = f"{missing} not found; on Debian: apt-get install chromium chromium-driver"
    if os.environ.get("EBM_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Browser:
    """A Chromium of its own, with the few things the tests ask of it."""

    TASK = """
        const named = (t) => t.querySelector(".question-title").textContent === arguments[0];
        const task = [...document.querySelectorAll(".question")].find(named);
    """
    SETTLED = """
        const done = arguments[arguments.length - 1];
        const settled = () => window.MathJax && MathJax.startup && MathJax.startup.promise
          ? MathJax.startup.promise.then(() => setTimeout(done, 50)) : setTimeout(done, 50);
        if (document.readyState === "complete") settled(); else addEventListener("load", settled);
    """

    def __init__(self, profile: Path, width: int, dark: bool, calm: bool, scripts: bool, *flags: str) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        chromium, driver = browser_binaries()
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in [*CHROMIUM_FLAGS, f"--user-data-dir={profile}", *flags]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.scripts = scripts
        self.figure = ".explorable"  # the one that is clicked and read
        self.driver = webdriver.Chrome(options, Service(driver))
        # Far above what any of this takes: a busy machine must not fail a test.
        self.driver.set_script_timeout(500)
        self.driver.set_page_load_timeout(500)
        self.driver.command_executor.client_config.timeout = 600
        metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        self.motion = "reduce" if calm else "no-preference"
        self.prefer("dark" if dark else "light")
        self.command("Emulation.setScriptExecutionDisabled", value=not scripts)

    def command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def prefer(self, colour: str) -> None:
        """Have the reader's system prefer `light` or `dark`, on the open page too."""
        features = {"prefers-color-scheme": colour, "prefers-reduced-motion": self.motion}
        listed = [{"name": name, "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=listed)

    def open(self, address: str) -> None:
        """Open a page afresh and wait until it has loaded and its formulas are set."""
        self.driver.get("about:blank")
        self.requests(), self.errors()
        self.driver.get(address)
        if self.scripts:
            self.driver.execute_async_script(self.SETTLED)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def requests(self) -> list[str]:
        """Every address that was asked for since the last look."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = [message for message in messages if message["method"] == "Network.requestWillBeSent"]
        return [message["params"]["request"]["url"] for message in asked]

    def errors(self) -> list[str]:
        """What the page complained about since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def click(self, label: str) -> None:
        """Press a button of the page's interactive figure."""
        self.run(
            "const buttons = [...document.querySelectorAll(arguments[0] + ' .explorable-buttons button')];"
            "buttons.find((button) => button.textContent === arguments[1]).click()",
            self.figure,
            label,
        )

    def play_and_pause(self, count: Callable[["Browser"], int]) -> None:
        """Play until three steps are counted, then pause: nothing may move after that."""
        self.click("Play")
        end = time.monotonic() + 30
        while count(self) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        self.click("Pause")
        paused = count(self)
        assert paused >= 3
        time.sleep(0.4)
        assert count(self) == paused

    def task(self, title: str) -> dict[str, Any]:
        """What the page says about a task: its `answer`, a number where it is one, and its `tolerance`."""
        found = self.run(
            self.TASK + "return {...task.dataset}",
            title,
        )
        with contextlib.suppress(ValueError):
            found["answer"] = float(found["answer"])
        return {**found, "tolerance": float(found["tolerance"])}

    def try_task(self, title: str) -> None:
        """Press *Try it in the figure* of a task."""
        self.run(
            self.TASK
            + "[...task.querySelectorAll('button')].find((b) => b.textContent.startsWith('Try')).click()",
            title,
        )

    def step(self, n: int) -> None:
        """Press *Step* n times."""
        self.run(
            "const all = [...document.querySelectorAll(arguments[0] + ' .explorable-buttons button')];"
            "const step = all.find((button) => button.textContent === 'Step');"
            "for (let i = 0; i < arguments[1]; i++) step.click()",
            self.figure,
            n,
        )

    def readout(self) -> str:
        """What the page's interactive figure says in words."""
        script = "return document.querySelector(arguments[0] + ' .explorable-readout').textContent"
        return str(self.run(script, self.figure))


class Sfc32:
    """The generator of explorable.js in Python; as a generator for `ebmkit.chance` it draws one by one."""

    def __init__(self, seed: int) -> None:
        self.state = [0, seed & 0xFFFFFFFF, 0x9E3779B9, 1]
        for _ in range(16):
            self.next()

    def next(self) -> float:
        a, b, c, d = self.state
        t = (a + b + d) & 0xFFFFFFFF
        rotated = ((c << 21) | (c >> 11)) & 0xFFFFFFFF
        self.state = [
            b ^ (b >> 9),
            (c + (c << 3)) & 0xFFFFFFFF,
            (rotated + t) & 0xFFFFFFFF,
            (d + 1) & 0xFFFFFFFF,
        ]
        return t / 2**32

    def next_normal(self) -> float:
        radius = math.sqrt(-2 * math.log(1 - self.next()))
        return radius * math.cos(2 * math.pi * self.next())

    def uniforms(self, *shape: int) -> Tensor:
        draws = [self.next() for _ in range(math.prod(shape))]
        return torch.tensor(draws, dtype=torch.float64).reshape(shape)

    def normal(self, like: Tensor) -> Tensor:
        draws = [self.next_normal() for _ in range(like.numel())]
        return torch.tensor(draws, dtype=torch.float64).reshape(like.shape)

    def bernoulli(self, probability: Tensor) -> Tensor:
        return self.uniforms(*probability.shape) < probability


@pytest.fixture(scope="session")
def started_browser(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., contextlib.AbstractContextManager[Browser]]:
    """A fresh Chromium for a `with`: `started_browser(width=1400, dark=False, calm=False, scripts=True)`."""

    @contextlib.contextmanager
    def start(
        width: int = 1400,
        dark: bool = False,
        calm: bool = False,
        scripts: bool = True,
        flags: tuple[str, ...] = (),
    ) -> Iterator[Browser]:
        browser = Browser(tmp_path_factory.mktemp("profile"), width, dark, calm, scripts, *flags)
        try:
            yield browser
        finally:
            browser.driver.quit()

    return start


@pytest.fixture
def new_browser(started_browser: Callable[..., Any]) -> Iterator[Callable[..., Browser]]:
    """Starts a fresh Chromium, with the options of `started_browser`, that ends with the test."""
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(started_browser(**options))


@pytest.fixture(scope="session")
def only_browser(started_browser: Callable[..., Any]) -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.fixture
def browser(only_browser: Browser) -> Iterator[Browser]:
    """A Chromium that most tests share."""
    yield only_browser
    only_browser.figure = ".explorable"
    only_browser.driver.get("about:blank")  # a figure left in view would keep a processor busy


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, figures: Path) -> Browser:
    """The interactive figure that the module tests, in view; a module may name its chapter as CHAPTER."""
    name = Path(request.module.__file__).stem.removeprefix("test_explorable_")
    browser.open(f"{figures.as_uri()}/{getattr(request.module, 'CHAPTER', name)}.html")
    browser.figure = f"#explorable-{name}"
    browser.run(
        "document.querySelector(arguments[0] + ' .explorable-stage')"
        ".scrollIntoView({block: 'center', behavior: 'instant'})",
        browser.figure,
    )
    return browser


@pytest.fixture
def sfc32() -> type[Sfc32]:
    """Replays the figures' generator: `sfc32(seed)`."""
    return Sfc32
