"""The look of the book's figures: one palette, safe for colour-blind readers, in a light and a dark version.

A page draws once, in the light palette, as SVG without a background. When the page is written,
`adaptive_figures` derives the dark version by exchanging each colour for its partner in `DARK`.
Spins keep their two colours in both versions, so that "amber is +1" holds in either.
"""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib_inline.backend_inline import set_matplotlib_formats

LIGHT = {
    "ink": "#1f2329",
    "muted": "#57606b",
    "grid": "#d3d8de",
    "blue": "#0a5fa8",
    "orange": "#b8500a",
    "green": "#0b7a5c",
    "purple": "#8440a1",
}
DARK = {
    "ink": "#e7ecf2",
    "muted": "#a5afba",
    "grid": "#3c444e",
    "blue": "#63b0f0",
    "orange": "#f2935a",
    "green": "#4cc29a",
    "purple": "#cf9be8",
}
INK, MUTED, GRID, BLUE, ORANGE, GREEN, PURPLE = LIGHT.values()
UP, DOWN = "#f0b13c", "#234e7d"
SPINS = ListedColormap([DOWN, UP], name="spins")
SUPERSCRIPTS = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
CREATOR = "figures of the course on energy-based models"

plt.rcParams.update(
    {
        "figure.facecolor": "none",
        "figure.figsize": (5.8, 3.4),
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.titlesize": 11,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE]),
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.color": MUTED,
        "ytick.labelcolor": INK,
        "text.color": INK,
        "legend.frameon": False,
        "font.size": 11,
        "lines.linewidth": 1.8,
        "svg.hashsalt": "course",
    }
)
set_matplotlib_formats("svg", metadata={"Date": None, "Creator": CREATOR})  # type: ignore[no-untyped-call]


def show_spins(ax: Any, spins: Any, title: str = "", cells: bool = False) -> None:
    """Draw a grid of -1/+1 on `ax`: blue is -1, amber is +1; `cells` marks the borders and writes the signs."""
    grid = np.asarray(spins)
    ax.imshow(grid, cmap=SPINS, vmin=-1, vmax=1, interpolation="none")
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if cells:
        for (row, column), spin in np.ndenumerate(grid):
            ink = "#101418" if spin > 0 else "#fdfdfe"
            ax.text(column, row, f"{spin:+.0f}".replace("-", "−"), ha="center", va="center", color=ink)


def readable(value: Any, spec: str = "") -> str:
    """`value` as a page shows it: with a real minus sign, and powers of ten where `spec` asks for an exponent."""
    text = format(value, spec).replace("-", "−")
    mantissa, exponential, exponent = text.partition("e") if spec.endswith("e") else (text, "", "")
    if not exponential:
        return text
    power = exponent.removeprefix("+").replace("−0", "−").lstrip("0")
    return f"{mantissa} · 10{power.translate(SUPERSCRIPTS)}" if power else mantissa


def number(name: str, value: Any, spec: str = "") -> None:
    """Keep `value`, formatted, under `name` for the page's prose: {glue:text}`name`.

    In a downloaded notebook the prose already carries its numbers, and this does nothing.
    """
    try:
        from myst_nb import glue
    except ImportError:
        return
    glue(name, readable(value, spec), display=False)


def claim(words: str, condition: Any, margin: str = "") -> None:
    """Check a sentence: `words` are its own, as the page reads; the build stops unless `condition` holds.

    `margin` says, where chance plays a part, by how much the condition holds and for how many seeds.
    `claims` finds the sentences that lack a claim, and the claims whose words have left the page.
    """
    if not condition:
        raise AssertionError(f"the page says {words!r}, and it is not so")


def keep(name: str, figure: Any) -> None:
    """Keep `figure` under `name`, to be placed elsewhere on the page with {glue:figure}."""
    try:
        from myst_nb import glue
    except ImportError:
        return
    glue(name, figure, display=False)
    plt.close(figure)
