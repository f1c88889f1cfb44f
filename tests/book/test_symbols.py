"""A symbol that a chapter uses is listed: on the notation page, or in the chapter's own table."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
CHAPTERS = (
    "normalization",
    "exponential_families",
    "ising",
    "product_of_experts",
    "boltzmann_machines",
    "mcmc",
    "contrastive_divergence",
    "beyond",
)
GREEK = (
    "alpha beta gamma delta varepsilon epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi varphi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell"
).split()
# Letters that count, index or run under a sum or an integral, and are introduced where they stand.
DUMMIES = set("ijklnmtuvcdeNK") | {"pi", "delta", "varphi", "phi", "gamma", "Gamma", "epsilon"}
MATHS = re.compile(
    r"^```\{math\}\n(.*?)^```|\$\$(.+?)\$\$|(?<!\$)\$(?!\$)([^$]+)\$", re.DOTALL | re.MULTILINE
)
WORDS = re.compile(r"\\(?:text|mathrm|operatorname|label|begin|end|eqref|mathbf|tag)\*?\{[^}]*\}|:label:.*")


def symbols(text: str) -> set[str]:
    """The letters in the formulas of `text`: Greek ones by name, Latin ones as they are."""
    text = re.sub(r"```\{code-cell\}.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set()
    for match in MATHS.finditer(text):
        formula = WORDS.sub(" ", next(part for part in match.groups() if part is not None))
        found |= set(re.findall(r"\\mathcal\{(\w)\}", formula))
        formula = re.sub(r"\\mathcal\{\w\}|\\mathbb\{\w\}", " ", formula)
        found |= {name for name in re.findall(r"\\([A-Za-z]+)", formula) if name in GREEK}
        found |= set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", formula)))
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_symbol_of_a_chapter_is_listed(chapter: str) -> None:
    page = (BOOK / f"{chapter}.md").read_text(encoding="utf-8")
    body, _, table = page.partition("} Notation of this chapter")
    exercises = body.find("## Exercises")  # an exercise may name its own numbers
    listed = symbols(table.split(":::\n")[0]) | symbols((BOOK / "notation.md").read_text(encoding="utf-8"))
    assert symbols(body[:exercises]) - listed - DUMMIES == set()


def test_symbols_are_found_in_formulas_and_not_in_words_or_code() -> None:
    page = "A $\\theta_1^2$ and\n$$\nQ = \\text{no} + \\mathcal{E}\n$$\n```{code-cell}\nx = 1 # $W$\n```\n"
    assert symbols(page) == {"theta", "Q", "E"}
