"""Pictures in the feedback, drawn by the judge's side as small SVG out of nothing but numbers.

A verdict keeps the numbers. They hold no name of a state and no hidden input: bars are shares in whole percent,
ordered by the exact law, and grids show an example that students have. No text of a student's is in a picture.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from autograder.exercises.sequential import Count

BARS, GRIDS = "bars", "grids"
MOST = 40
"""More features than this are not drawn; those that fit their probability best are left out."""

OFF = 5
SIDE = 64
NAMESPACE = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 320, 120


@dataclasses.dataclass(frozen=True)
class Picture:
    """`bars`: percent found and percent exact. `grids`: two pictures as rows of digits, each with its title.

    A digit is the label of a pixel; 2 and 3 are the labels 0 and 1 of pixels that are marked.
    """

    kind: str
    left: tuple[Any, ...]
    right: tuple[Any, ...]
    titles: tuple[str, str] = ("", "")
    note: str = ""

    @classmethod
    def from_data(cls, data: Any) -> "Picture | None":
        """Its fields as JSON keeps them, read back; None where there is no picture."""
        if not data:
            return None
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**plain)

    @property
    def in_words(self) -> str:
        """What the picture shows, for who cannot see it, and under it for who can."""
        if self.kind == BARS:
            off = sum(abs(a - b) > OFF for a, b in zip(self.left, self.right))
            return (
                f"{len(self.left)} features of what your function drew. Bars: how often each came out. Lines: how "
                f"often it should. {off or 'None'} of the bars {'ends' if off == 1 else 'end'} more than {OFF} "
                "percentage points from the line."
            )
        return self.note

    @property
    def svg(self) -> str:
        """The picture as an element of an HTML page."""
        return _bars(self) if self.kind == BARS else _grids(self)

    @property
    def svg_file(self) -> str:
        """The picture as a document of its own, as notebooks hold one."""
        return self.svg.replace("<svg ", f'<svg xmlns="{NAMESPACE}" ', 1)


def bars(counts: Sequence["Count"]) -> Picture | None:
    """How often each feature came out, beside its probability, from rare to frequent; the features stay unnamed."""
    chosen = sorted(counts, key=lambda count: count.p_value)[:MOST]
    pairs = sorted((round(100 * c.probability), round(100 * c.hits / c.draws)) for c in chosen if c.draws)
    if not pairs:
        return None
    exact, found = zip(*pairs)
    return Picture(BARS, found, exact)


def grids(
    seen: "np.ndarray", found: "np.ndarray", marked: "np.ndarray", titles: tuple[str, str], note: str
) -> Picture:
    """Two pictures of labels 0 and 1, side by side; pixels of the second can be marked."""
    if max(seen.shape) > SIDE or seen.shape != found.shape:
        raise ValueError(
            f"a picture has at most {SIDE} rows and columns, got shapes {seen.shape} and {found.shape}"
        )
    return Picture(GRIDS, _rows(seen), _rows(found + 2 * marked.astype(int)), titles, note)


def _rows(picture: "np.ndarray") -> tuple[str, ...]:
    return tuple("".join(map(str, row)) for row in picture.astype(int).tolist())


# Colours follow the page where it sets them (light and dark), and stand by themselves in a notebook.
INK, SOFT, FOUND, WRONG = (
    "var(--ink,#24292f)",
    "var(--line,#d0d4da)",
    "var(--bar,#5b9a86)",
    "var(--wrong,#b3372f)",
)


def _framed(width: int, height: int, body: str, words: str) -> str:
    from markupsafe import escape

    return (
        f'<svg role="img" aria-label="{escape(words)}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{body}</svg>'
    )


def _bars(picture: Picture) -> str:
    """Bars in one path, those far off in another, and the exact law as a path of lines."""
    step = WIDTH / len(picture.left)
    right: list[str] = []
    wrong: list[str] = []
    lines: list[str] = []
    for index, (found, exact) in enumerate(zip(picture.left, picture.right)):
        x, height = index * step, found * (HEIGHT - 8) / 100
        shape = f"M{x + 0.15 * step:.1f} {HEIGHT - 1}v-{height:.1f}h{0.7 * step:.1f}v{height:.1f}z"
        (wrong if abs(found - exact) > OFF else right).append(shape)
        lines.append(
            f"M{x + 0.02 * step:.1f} {HEIGHT - 1 - exact * (HEIGHT - 8) / 100:.1f}h{0.96 * step:.1f}"
        )
    body = (
        f'<path d="M0 {HEIGHT - 0.5}h{WIDTH}" stroke="{SOFT}"/>'
        f'<path d="{"".join(right)}" fill="{FOUND}"/><path d="{"".join(wrong)}" fill="{WRONG}"/>'
        f'<path d="{"".join(lines)}" stroke="{INK}" stroke-width="2"/>'
    )
    return _framed(WIDTH, HEIGHT, body, picture.in_words)


def _grids(picture: Picture) -> str:
    """Each grid as one path of its dark pixels and one of those that are marked."""
    from markupsafe import escape

    columns, rows = len(picture.left[0]), len(picture.left)
    size = max(2, min(16, (WIDTH // 2 - 8) // columns))
    width, height, head = columns * size, rows * size, 18
    body = ""
    for place, (title, grid) in enumerate(zip(picture.titles, (picture.left, picture.right))):
        x = place * (width + 16)
        dark, marked = _path(grid, "13", size), _path(grid, "23", size)
        body += (
            f'<g transform="translate({x + 0.5} {head + 0.5})">'
            f'<text y="-5" font-size="12" font-family="sans-serif" fill="{INK}">{escape(title)}</text>'
            f'<rect width="{width}" height="{height}" fill="none" stroke="{SOFT}"/>'
            f'<path d="{dark}" fill="{INK}"/><path d="{marked}" fill="{WRONG}"/></g>'
        )
    return _framed(2 * width + 17, height + head + 1, body, picture.in_words)


def _path(grid: Sequence[str], digits: str, size: int) -> str:
    """One rectangle for each run of these digits in a row."""
    runs = ((i, run) for i, row in enumerate(grid) for run in re.finditer(f"[{digits}]+", row))
    return "".join(
        f"M{size * run.start()} {size * i}h{size * len(run[0])}v{size}h-{size * len(run[0])}z"
        for i, run in runs
    )
