"""Which sentences of a page say something about a computed number or a figure, and which line of code checks it.

A page checks a sentence with `claim("the sentence's own words", condition)` in a code cell (see `figures`).
The build runs every claim and fails where the condition is false. This module reads a page's source and lists

- `unfounded`: words that compare or generalize ("more than", "never", "lies on") in a caption, in an
  alternative text, or in a paragraph that shows a computed number or refers to a figure, and that stand in
  no claim; a figure without a single claim; and decimals that were typed instead of computed;
- `stale`: claims whose words are no longer on the page;
- `empty`: claims whose condition cannot fail.

    python book/_ext/claims.py book/ising.md              the claims of a page, and what lacks one
    python book/_ext/claims.py --seeds 10 book/ising.md   runs its code with ten seeds: how often each claim holds

Exempt are the words in tests/book/not_claims.toml, each with its reason.
"""

import argparse
import ast
import contextlib
import io
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jupytext

COMPARING = re.compile(
    r"""\b(?:
    more | fewer | less | most(?!\s+probable) | least |
    (?:large|close|wide)(?:r|st) |
    (?:high|low|small|fast|slow|long|short|strong|weak|steep|narrow|sharp|bigg|tight|few)(?:er|est) |
    better | best | worse | worst | further | furthest | farther | beyond |
    always | never | nowhere | everywhere | nothing | none | neither | nearly | almost | barely | hardly |
    (?:above|below)(?!,) | within | exceeds? | agrees? | equals? | coincides?|
    rises? | rose | falls? | fell | grows? | grew | shrinks? | climbs? | drops? | lies? | lay | follows? | stays? |
    matches | touch(?:es)? | overlaps? | fans? | gathers? | crowds? |
    twice | half | double[sd]? | times | beats? | wins? | loses? | gains? | improves? | too\s+(?:high|low)
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
TYPED_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\w)")
SEED = re.compile(r"manual_seed\((\d+)\)")
EXEMPT = Path(__file__).parents[2] / "tests" / "book" / "not_claims.toml"
ROLE = re.compile(r"\{[\w:-]+\}`[^`]*`")
DISPLAY = re.compile(r"^```\{math\}.*?^```|\$\$.*?\$\$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"\$[^$]+\$|`[^`]*`")
COMPUTED = re.compile(r"\{glue:text\}`|\{numref\}`")
END = re.compile(r"(?<=[.!?:])\s+(?=[^\s])")
SHOWN_BELOW = re.compile(r"```\{glue:figure\} (\S+)\n(.*?)```", re.DOTALL)


class Claim(NamedTuple):
    """The words of a page that a condition in its code checks."""

    words: str
    condition: str
    can_fail: bool


class Passage(NamedTuple):
    """Words of a page in which a comparison is a claim: where they stand, and how they read."""

    where: str
    words: str


@dataclass
class Page:
    claims: list[Claim] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)  # name: caption and alternative text
    prose: str = ""
    exempt: Mapping[str, str] = field(default_factory=dict)  # words: why they need no claim

    def quoted(self, words: str) -> list[tuple[int, int]]:
        """The stretches of `words` that a claim or an exemption repeats."""
        repeated = [claim.words for claim in self.claims] + list(self.exempt)
        return [match.span() for text in repeated for match in re.finditer(re.escape(text), words)]

    def unfounded(self) -> list[str]:
        found = []
        for where, words in self.passages:
            quoted = self.quoted(words)
            compared = [match.span() for kind in (COMPARING, TYPED_DECIMAL) for match in kind.finditer(words)]
            open_ = [span for span in compared if not any(low <= span[0] < high for low, high in quoted)]
            for begin, end in sentences(words):
                here = [words[slice(*span)] for span in sorted(open_) if begin <= span[0] < end]
                if here:
                    found.append(f"{where}: {', '.join(here)} in: {words[begin:end]}")
        silent = [name for name, text in self.figures.items() if not self.quoted(text)]
        return found + [f"{name}: no claim about this figure" for name in silent]

    def stale(self) -> list[str]:
        return [
            words
            for words in [*(claim.words for claim in self.claims), *self.exempt]
            if words not in self.prose
        ]

    def empty(self) -> list[str]:
        return [claim.words for claim in self.claims if not claim.can_fail]


def plain(text: str) -> str:
    """The words of MyST `text`; computed numbers, formulas and references become `…`."""
    text = re.sub(r"\{(?:term|doc)\}`([^`<]*)[^`]*`", r"\1", text)
    text = DISPLAY.sub("…", ROLE.sub("…", text))
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", INLINE.sub("…", text))
    return re.sub(r"\s+", " ", text.replace("*", "")).strip()


def sentences(words: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for gap in END.finditer(words):
        yield begin, gap.start()
        begin = gap.end()
    yield begin, len(words)


def claims_of(code: str) -> Iterator[Claim]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "claim":
            words, condition = node.args[0], node.args[1]
            if not isinstance(words, ast.Constant):
                raise ValueError(f"line {node.lineno}: the words of a claim must be written out")
            depends = any(isinstance(part, ast.Name | ast.Attribute) for part in ast.walk(condition))
            yield Claim(" ".join(str(words.value).split()), ast.unparse(condition), depends)


def read(path: Path) -> Page:
    """The claims and the claiming words of a page's source."""
    page = Page(exempt=exemptions().get(path.stem, {}))
    everything = []
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            page.claims += claims_of(cell.source)
            drawn = cell.metadata.get("mystnb", {})
            if "figure" in drawn:
                texts = [plain(str(drawn["figure"]["caption"])), plain(str(drawn["image"]["alt"]))]
                name = drawn["figure"]["name"]
                page.passages += [Passage(name, text) for text in texts]
                page.figures[name] = " ".join(texts)
                everything.append(page.figures[name])
            continue
        everything.append(plain(SHOWN_BELOW.sub("", cell.source)))
        for name, inside in SHOWN_BELOW.findall(cell.source):
            text = plain(inside.removeprefix(":alt:"))
            page.passages.append(Passage(name, text))
            page.figures[name] = text
            everything.append(text)
        for paragraph in re.split(r"\n\s*\n", SHOWN_BELOW.sub("", cell.source)):
            if COMPUTED.search(paragraph) and not paragraph.lstrip().startswith("|"):
                page.passages.append(Passage("prose", plain(paragraph)))
    page.prose = " ".join(everything)
    return page


def exemptions() -> dict[str, dict[str, str]]:
    return tomllib.loads(EXEMPT.read_text(encoding="utf-8"))


def held(path: Path, shift: int) -> dict[str, bool]:
    """Which claims hold when the page's code runs with every seed moved by `shift`."""
    import figures
    import matplotlib
    import matplotlib.pyplot

    matplotlib.use("agg")
    outcome: dict[str, bool] = {}

    def note(words: str, condition: Any, margin: str = "") -> None:
        outcome[" ".join(words.split())] = bool(condition)

    changed = {"claim": note, "number": lambda *_: None, "keep": lambda *_: None}
    before = {name: getattr(figures, name) for name in changed}
    vars(figures).update(changed)
    space: dict[str, Any] = {"__name__": path.stem}
    try:
        for cell in jupytext.read(path).cells:
            if cell.cell_type == "code":
                code = SEED.sub(lambda match: f"manual_seed({int(match[1]) + shift})", cell.source)
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(code, str(path), "exec"), space)
                matplotlib.pyplot.close("all")
    finally:
        vars(figures).update(before)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=0, metavar="N", help="run the code with N seeds")
    options = parser.parse_args()
    for path in options.pages:
        page = read(path)
        runs = [held(path, 1000 * k) for k in range(options.seeds)]
        times = Counter(words for run in runs for words, holds in run.items() if holds)
        print(f"{path}: {len(page.claims)} claims")
        for claim in page.claims:
            often = f"[{times[claim.words]}/{len(runs)}] " if runs else ""
            print(f"  {often}{claim.words}\n      {claim.condition}")
        for kind in ("unfounded", "stale", "empty"):
            for line in getattr(page, kind)():
                print(f"  {kind}: {line}")


if __name__ == "__main__":
    main()
