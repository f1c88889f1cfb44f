"""The built site in a browser: no request leaves it, nothing fails, everything can be read."""

import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import axe_core_python
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
# What an audit's time goes into and can find nothing new in. Of a set formula, most of a page's elements, the
# strokes are hidden from assistive technology and the rest is what is spoken. A chapter's code has thousands of
# words of a few kinds: one of each kind on each ground says about contrast what all of them say. While it is seen
# where words stand, what is folded is open.
THINNED = """
document.querySelectorAll("mjx-container > svg").forEach((strokes) => strokes.replaceChildren());
document.querySelectorAll("mjx-assistive-mml").forEach((spoken) => spoken.replaceChildren(spoken.textContent));
const shown = new Set([...document.querySelectorAll("article pre")].filter((block) => block.checkVisibility()));
const folds = [...document.querySelectorAll("article details:not([open])")];
folds.forEach((fold) => { fold.open = true; });
const look = (element) => {
  const style = getComputedStyle(element);
  const traits = ["color", "backgroundColor", "fontSize", "fontWeight", "opacity"];
  return [element.className, ...traits.map((trait) => style[trait])].join();
};
const grounds = new Map(), kept = new Set(), repeated = [];
for (const word of document.querySelectorAll("article pre span")) {
  if (word.childElementCount) continue;
  const block = word.closest("pre"), [place, edge] = [word, block].map((part) => part.getBoundingClientRect());
  if (!word.checkVisibility() || !place.width || place.left < edge.left || place.right > edge.right) continue;
  if (!grounds.has(block)) {
    const around = [shown.has(block)];
    for (let part = block; part; part = part.parentElement) around.push(look(part));
    grounds.set(block, around.join());
  }
  const kind = look(word) + grounds.get(block);
  if (kept.has(kind)) repeated.push(word); else kept.add(kind);
}
for (const word of repeated) word.replaceWith(word.textContent);
folds.forEach((fold) => { fold.open = false; });
"""
AUDIT = """
const done = arguments[arguments.length - 1];
const [rules] = arguments, levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
axe.run({exclude: [["mjx-container > svg"]]},
        {resultTypes: ["violations"],
         runOnly: rules ? {type: "rule", values: rules} : {type: "tag", values: levels}})
   .then((found) => done(found.violations.map((v) => [v.id, v.nodes.map((n) => n.html.slice(0, 160))])),
         (error) => done([String(error)]));
"""
OF_LOOKS = ["color-contrast", "link-in-text-block"]  # what has to do with width or colour
# Bootstrap fades from colour to colour; what is half faded is nobody's choice.
FADED = """
const done = arguments[arguments.length - 1];
requestAnimationFrame(() => requestAnimationFrame(() => {
  for (const running of document.getAnimations()) if (running instanceof CSSTransition) running.finish();
  done();
}));
"""
SHOWN = """
const done = arguments[arguments.length - 1];
const figures = [...document.querySelectorAll("article figure")].filter((f) => !f.closest(".explorable"));
const shown = (figure) => [...figure.querySelectorAll("img")].filter((image) => image.clientWidth > 100);
const load = (image) => { image.loading = "eager"; return image.decode(); };
Promise.all(figures.flatMap(shown).map(load)).then(() => done(figures.map((figure) => [
  shown(figure).filter((image) => image.naturalWidth > 100).map((image) => image.className),
  figure.querySelector("figcaption").clientHeight > 0,
])));
"""
MEASURED = """
const count = (selector) => document.querySelectorAll(selector).length;
return [
  ["article .math", "article .math mjx-container", "mjx-merror, [data-mjx-error]"].map(count),
  [...document.querySelectorAll("article div.math")]
    .filter((formula) => formula.scrollWidth > formula.clientWidth)
    .map((formula) => [formula.id, formula.previousElementSibling?.textContent.slice(-60)]),
  document.documentElement.scrollWidth - document.documentElement.clientWidth,
];
"""
# TeX that a reader sees raw: text outside of a set formula and of code.
RAW_MATHS = r"""
const article = document.querySelector("article");
if (!article) return [];
const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
const raw = [];
while (walker.nextNode()) {
  const parent = walker.currentNode.parentElement;
  if (parent.closest("pre, code, script, mjx-container")) continue;
  const text = walker.currentNode.data;
  if (/\$|\\[a-zA-Z(\[]/.test(text)) raw.push(text.slice(0, 80));
}
return raw;
"""


@pytest.fixture(scope="module", params=["file", "http"])
def origin(request: pytest.FixtureRequest, site: Path, served: str) -> str:
    return site.as_uri() if request.param == "file" else served


def outside(browser: Any, origin: str) -> list[str]:
    """What was asked for since the last look and is not of the site."""
    return [url for url in browser.requests() if not url.startswith((origin, "data:", "blob:", "about:"))]


@dataclass
class Look:
    """What one page showed in one view."""

    requests: list[str]
    errors: list[str]
    raw_maths: list[str]
    formulas: list[int]
    """How many there are, how many are set, how many are wrong."""
    cut_formulas: list[list[str]]
    overflow: int
    figures: dict[str, list[tuple[list[str], bool]]]
    """In each colour the classes of the pictures shown, and whether the caption is shown, of each figure."""
    violations: list[Any]


def audit(browser: Any, rules: list[str] | None = None) -> list[Any]:
    """What axe finds on the open page."""
    browser.run(AXE)
    return list(browser.driver.execute_async_script(AUDIT, rules))


def look(browser: Any, origin: str, page: Path, colours: tuple[str, str]) -> Look:
    """Look at a page, opened in the first colour and then changed to the second."""
    browser.prefer(colours[0])
    browser.open(f"{origin}/{page}")
    seen = browser.run(RAW_MATHS), *browser.run(MEASURED)
    figures, violations = {}, []
    for colour, rules in zip(colours, (None, OF_LOOKS)):
        browser.prefer(colour)
        browser.driver.execute_async_script(FADED)
        figures[colour] = browser.driver.execute_async_script(SHOWN)
        browser.run(THINNED)
        if page.as_posix() != "index.html":  # leads on to the landing page, which is looked at as itself
            violations += [(colour, *found) for found in audit(browser, rules)]
    return Look(outside(browser, origin), browser.errors(), *seen, figures, violations)


@dataclass
class View:
    """Every page as it looks on one screen."""

    width: int
    looks: dict[str, Look]

    def __getitem__(self, name: str) -> dict[str, Any]:
        """One property of every page."""
        return {page: getattr(seen, name) for page, seen in self.looks.items()}


# In the first colour with every rule of accessibility, in the second with those that may differ.
VIEWS = {"wide": (1280, ("light", "dark")), "phone": (390, ("dark", "light"))}


@pytest.fixture(scope="module")
def view(
    request: pytest.FixtureRequest, started_browser: Callable[..., Any], served: str, pages: list[Path]
) -> View:
    """Every page is opened once on each screen, and everything is looked at while it is open."""
    width, colours = VIEWS[request.param]
    with started_browser(width=width) as browser:
        return View(width, {page.as_posix(): look(browser, served, page, colours) for page in pages})


on_every_screen = pytest.mark.parametrize(
    "view",
    [pytest.param(view, marks=pytest.mark.xdist_group(f"view-{view}")) for view in VIEWS],
    indirect=True,
    scope="module",
)


def nothing(found: dict[str, Any]) -> dict[str, Any]:
    """What an innocent property of all pages leaves: the pages where something was found."""
    return {page: value for page, value in found.items() if value}


@on_every_screen
def test_no_page_asks_for_anything_outside_the_site_or_logs_an_error(view: View) -> None:
    assert len(view.looks) > 20
    assert nothing(view["requests"]) == {}
    assert nothing(view["errors"]) == {}


def test_no_page_opened_from_a_folder_asks_for_anything_or_logs_an_error(
    browser: Any, site: Path, pages: list[Path]
) -> None:
    for page in pages:
        browser.open(f"{site.as_uri()}/{page}")
        assert (page, outside(browser, site.as_uri())) == (page, [])
        assert (page, browser.errors()) == (page, [])


def test_the_request_test_would_notice_a_request(browser: Any, served: str) -> None:
    browser.open(f"{served}/book/index.html")
    browser.requests()
    browser.run('document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:9/elsewhere.png"}))')
    assert "http://127.0.0.1:9/elsewhere.png" in outside(browser, served)


@on_every_screen
def test_every_formula_is_set_and_none_is_raw(view: View) -> None:
    assert nothing(view["raw_maths"]) == {}
    for page, (formulas, containers, wrong) in view["formulas"].items():
        assert (page, containers, wrong) == (page, formulas, 0)
    assert view["formulas"]["book/ising.html"][0] > 50


@on_every_screen
def test_no_page_violates_wcag_aa(view: View) -> None:
    assert nothing(view["violations"]) == {}


def test_the_audit_would_notice_one_pale_word_in_code_and_one_in_the_text(browser: Any, served: str) -> None:
    browser.open(f"{served}/book/where_to_grade.html")
    browser.run(
        "const words = [...document.querySelectorAll('article pre span')];"
        "const last = words.findLast((word) => /^\\w\\w+$/.test(word.textContent));"
        "const marked = [last, document.querySelector('article p')];"
        "marked.forEach((word, i) => {"
        "  word.id = `pale-${i}`; word.style.setProperty('color', '#e8e8e8', 'important');"
        "});"
    )
    browser.run(THINNED)
    ((rule, nodes),) = audit(browser, ["color-contrast"])
    assert rule == "color-contrast"
    assert {"pale-0", "pale-1"} <= set(re.findall(r'id="(pale-\d)"', "".join(nodes))), nodes


@on_every_screen
def test_no_page_is_wider_than_its_screen(view: View) -> None:
    assert nothing(view["overflow"]) == {}


@on_every_screen
def test_figures_show_one_version_and_their_caption(view: View) -> None:
    for page, figures in view["figures"].items():
        for colour in ("light", "dark"):
            for images, captioned in figures[colour]:
                assert (page, colour, len(images), captioned) == (page, colour, 1, True)
                assert ("on-dark" in images[0]) == (colour == "dark")
    assert view["figures"]["book/ising.html"]["light"]


@on_every_screen
def test_no_formula_is_cut_on_a_laptop(view: View) -> None:
    if view.width >= 1280:  # on a phone a long formula scrolls
        assert nothing(view["cut_formulas"]) == {}


def test_search_finds_a_chapter(browser: Any, origin: str) -> None:
    browser.open(f"{origin}/search.html?q=Onsager")
    found = browser.driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1], until = Date.now() + 10000;
        (function look() {
          const links = [...document.querySelectorAll("#search-results li a")].map((a) => a.getAttribute("href"));
          if (links.length || Date.now() > until) done(links); else setTimeout(look, 100);
        })();
        """
    )
    assert any("book/ising.html" in link for link in found)


def test_a_chapter_weighs_less_than_a_megabyte_and_a_half_with_gzip(
    browser: Any, site: Path, served: str
) -> None:
    browser.open(f"{served}/book/ising.html")
    paths = {unquote(urlsplit(url).path).lstrip("/") for url in browser.requests() if url.startswith(served)}
    weight = sum(len(gzip.compress((site / path).read_bytes())) for path in paths)
    assert len(paths) > 10
    assert weight < 1.5e6


def test_without_scripts_a_chapter_shows_its_text_figures_and_the_still_picture(
    new_browser: Callable[..., Any], site: Path
) -> None:
    browser = new_browser(scripts=False)
    browser.open(f"{site.as_uri()}/book/ising.html")
    tree = browser.command("DOMSnapshot.captureSnapshot", computedStyles=["display"])
    strings, document = tree["strings"], tree["documents"][0]
    nodes, layout = document["nodes"], set(document["layout"]["nodeIndex"])
    shown = []
    for index, name in enumerate(nodes["nodeName"]):
        attributes = [strings[i] for i in nodes["attributes"][index]]
        attributes = dict(zip(attributes[::2], attributes[1::2]))
        if strings[name] == "IMG" and index in layout:
            shown.append(attributes)
        assert "explorable-stage" not in attributes.get("class", "")
    assert len(shown) >= 6
    assert all("on-dark" not in image["class"] for image in shown)
    assert any("three lattices" in image["alt"].lower() for image in shown)


def test_a_printed_chapter_has_its_still_picture_and_all_of_its_code(browser: Any, site: Path) -> None:
    chapters = sorted(path.stem for path in (ROOT / "solutions").glob("*.py"))
    assert len(chapters) == 7
    for chapter in chapters:
        browser.open(f"{site.as_uri()}/book/{chapter}.html")
        browser.command("Emulation.setEmulatedMedia", media="print")
        stage, poster, cut = browser.run(
            "const height = (part) => document.querySelector('.explorable-' + part).clientHeight;"
            "const code = [...document.querySelectorAll('article pre')];"
            "const cut = code.filter((block) => block.scrollWidth > block.clientWidth);"
            "return [height('stage'), height('poster'), cut.map((block) => block.textContent.slice(0, 80))]"
        )
        browser.command("Emulation.setEmulatedMedia", media="")
        assert (chapter, stage, cut) == (chapter, 0, [])
        assert poster > 100


def test_folded_solutions_open_with_the_keyboard(browser: Any, site: Path) -> None:
    browser.open(f"{site.as_uri()}/book/ising.html")
    height = "return document.querySelector('div.solution').clientHeight"
    folded = browser.run(height)
    browser.run("document.querySelector('div.solution button.toggle-button').focus()")
    browser.press(" ")
    assert browser.run(height) > folded + 50


def test_numbers_in_the_prose_are_filled_in(site: Path) -> None:
    page = (site / "book" / "ising.html").read_text(encoding="utf-8")
    assert len(re.findall(r"pasted-text", page)) > 30
    assert "{glue" not in page
