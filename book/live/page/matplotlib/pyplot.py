"""What the assignments draw with matplotlib, drawn as SVG: the same names, far fewer of them.

Lines, points, pictures, histograms and filled contours (as pictures of their levels), on axes that may be
logarithmic. Text and axes have the colour of the page. Whatever else is asked for raises an error that says so.
"""

import contextlib
import html
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
import pixels

DPI = 72
CYCLE = ("#1f77b4", "#d95f02", "#2c9c4b", "#d62728", "#9467bd", "#8c6d31", "#e377c2", "#7f7f7f")
NAMED = {"k": "currentColor", "black": "currentColor", "r": "#d62728", "red": "#d62728", "b": "#1f77b4"}
NAMED |= {"g": "#2c9c4b", "gray": "#7f7f7f", "grey": "#7f7f7f", "blue": "#1f77b4", "green": "#2c9c4b"}
STYLE = re.compile(r"(?P<colour>C\d|[bgrk])?(?P<marker>[o.sx])?(?P<line>--|-\.|-|:)?(?P<after>[o.sx])?")
DASHES = {"--": "6 4", ":": "2 3", "-.": "6 3 2 3"}
GREEK = {r"\theta": "θ", r"\beta": "β", r"\sigma": "σ", r"\log": "log", r"\,": " ", r"\pi": "π"}


def text_of(words: Any) -> str:
    """Words without the marks of a formula, safe inside SVG."""
    plain = str(words)
    if plain.count("$") >= 2:
        for sign, letter in GREEK.items():
            plain = plain.replace(sign, letter)
        plain = re.sub(r"[${}]", "", plain)
    return html.escape(plain)


def colour_of(name: Any, default: str) -> str:
    if name is None:
        return default
    if re.fullmatch(r"C\d", str(name)):
        return CYCLE[int(name[1]) % len(CYCLE)]
    return html.escape(NAMED.get(str(name), str(name)))


def ticks_of(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """Round numbers between two ends, and how they are written."""
    if log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        step = max(1, (last - first) // 4)
        return [(10.0**n, f"{10.0**n:g}") for n in range(first, last + 1, step)]
    rough = (high - low) / 4
    scale = 10 ** math.floor(math.log10(rough))
    step = min((m * scale for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - rough))
    places = np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1) * step
    return [(float(place), f"{place:.6g}") for place in places + 0.0]


class Spine:
    """One edge of an axes' frame."""

    def __init__(self) -> None:
        self.colour, self.width = "currentColor", 0.8

    def set(self, color: Any = None, linewidth: float = 0.8) -> None:
        self.colour, self.width = colour_of(color, "currentColor"), linewidth

    def set_visible(self, visible: bool) -> None:
        self.width = 0.8 if visible else 0


class Axes:
    """One frame with what is drawn in it."""

    def __init__(self, figure: "Figure") -> None:
        self.figure = figure
        self.marks: list[Callable[[Callable[..., Any], Callable[..., Any]], str]] = []
        self.labels: list[tuple[str, str]] = []
        self.title, self.title_side, self.x_label, self.y_label = "", "center", "", ""
        self.x_limits: list[float] = [math.inf, -math.inf]
        self.y_limits: list[float] = [math.inf, -math.inf]
        self.fixed: dict[str, tuple[float, float]] = {}
        self.log = {"x": False, "y": False}
        self.ticks: dict[str, list[tuple[float, str]] | None] = {"x": None, "y": None}
        self.equal = self.legend_shown = self.upside_down = self.tight = False
        self.framed = True
        self.colour = 0
        self.spines = {side: Spine() for side in ("left", "right", "top", "bottom")}

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"the page's small matplotlib has no axes.{name}; the notebook's has")

    def next_colour(self) -> str:
        self.colour += 1
        return CYCLE[(self.colour - 1) % len(CYCLE)]

    def reach(self, x: Any, y: Any) -> None:
        """Widen the limits so that the points are inside."""
        for limits, values, log in ((self.x_limits, x, self.log["x"]), (self.y_limits, y, self.log["y"])):
            finite = np.asarray(values, dtype=float)
            finite = finite[np.isfinite(finite) & ((finite > 0) | (not log))]
            if finite.size:
                limits[:] = [min(limits[0], float(finite.min())), max(limits[1], float(finite.max()))]

    def plot(self, *arguments: Any, color: Any = None, label: Any = None, **style: Any) -> None:
        data = [a for a in arguments if not isinstance(a, str)]
        mark = STYLE.fullmatch(next((a for a in arguments if isinstance(a, str)), ""))
        if mark is None or not data:
            raise ValueError("plot takes x, y and a style like 'o-'; one line at a time in the page")
        y = np.asarray(data[-1], dtype=float)
        x = np.arange(len(y)) if len(data) == 1 else np.asarray(data[0], dtype=float)
        colour = colour_of(color or mark["colour"], "") or self.next_colour()
        marker = mark["marker"] or mark["after"] or style.get("marker", "")
        line = mark["line"] or ("" if marker else "-")
        self.reach(x, y)
        if label is not None:
            self.labels.append((colour, text_of(label)))
        columns = [y] if y.ndim == 1 else list(y.T)
        self.marks.append(lambda to_x, to_y: "".join(drawn(x, c, to_x, to_y) for c in columns))

        def drawn(x: Any, y: Any, to_x: Any, to_y: Any) -> str:
            keep = np.isfinite(x) & np.isfinite(y)
            px, py = to_x(x[keep]), to_y(y[keep])
            opacity = f'opacity="{style.get("alpha", 1)}"'
            found = ""
            if line:
                width = style.get("linewidth", style.get("lw", 1.4))
                dash = f' stroke-dasharray="{DASHES[line]}"' if line in DASHES else ""
                points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py))
                found = f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"'
                found += f" {opacity}{dash}/>"
            if marker:
                size = style.get("markersize", style.get("ms", 6 if marker != "." else 4)) / 2
                dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{size}"/>' for a, b in zip(px, py))
                found += f'<g fill="{colour}" {opacity}>{dots}</g>'
            return found

    def semilogx(self, *arguments: Any, **style: Any) -> None:
        self.log["x"] = True
        self.plot(*arguments, **style)

    def semilogy(self, *arguments: Any, **style: Any) -> None:
        self.log["y"] = True
        self.plot(*arguments, **style)

    def loglog(self, *arguments: Any, **style: Any) -> None:
        self.log["x"] = self.log["y"] = True
        self.plot(*arguments, **style)

    def scatter(self, x: Any, y: Any, s: float = 16, **style: Any) -> None:
        self.plot(np.asarray(x), np.asarray(y), "o", markersize=math.sqrt(s), **style)

    def axhline(self, y: float = 0, color: Any = None, linewidth: float = 1.4, label: Any = None) -> None:
        colour = colour_of(color, CYCLE[0])
        self.reach([], [y])
        if label is not None:
            self.labels.append((colour, text_of(label)))
        self.marks.append(
            lambda to_x, to_y: (
                f'<line x1="{to_x(None)[0]:.1f}" x2="{to_x(None)[1]:.1f}" y1="{to_y(y):.1f}"'
                f' y2="{to_y(y):.1f}" stroke="{colour}" stroke-width="{linewidth}"/>'
            )
        )

    def hist(
        self, values: Any, bins: int = 10, range: Any = None, density: bool = False, **style: Any
    ) -> tuple[Any, Any]:
        heights, edges = np.histogram(np.asarray(values), bins=bins, range=range, density=density)
        colour = colour_of(style.get("color"), "") or self.next_colour()
        self.reach(edges, [0, *heights])
        if style.get("label") is not None:
            self.labels.append((colour, text_of(style["label"])))

        def drawn(to_x: Any, to_y: Any) -> str:
            left, right, top, floor = to_x(edges[:-1]), to_x(edges[1:]), to_y(heights), to_y(0)
            bars = "".join(
                f'<rect x="{a:.1f}" y="{t:.1f}" width="{b - a:.2f}" height="{max(floor - t, 0):.1f}"/>'
                for a, b, t in zip(left, right, top)
            )
            return f'<g fill="{colour}" opacity="{style.get("alpha", 1)}">{bars}</g>'

        self.marks.append(drawn)
        return heights, edges

    def imshow(
        self, values: Any, cmap: str = "viridis", vmin: Any = None, vmax: Any = None, **how: Any
    ) -> None:
        array = np.asarray(values, dtype=float)
        if array.ndim != 2:
            raise ValueError(f"imshow takes an array of two axes in the page, got shape {array.shape}")
        low = float(np.nanmin(array) if vmin is None else vmin)
        high = float(np.nanmax(array) if vmax is None else vmax)
        n, m = array.shape
        upright = how.get("origin") == "lower"
        x0, x1, y0, y1 = how.get("extent") or (-0.5, m - 0.5, -0.5, n - 0.5)
        self.upside_down = not upright
        self.equal = how.get("aspect", "equal") == "equal"
        self.picture(array[::-1] if upright else array, (x0, x1, y0, y1), low, high, cmap)

    def picture(self, array: Any, extent: Any, low: float, high: float, cmap: str) -> None:
        x0, x1, y0, y1 = extent
        address = pixels.png(pixels.colours(array, low, high, cmap))
        self.tight = True
        self.reach([x0, x1], [y0, y1])

        def drawn(to_x: Any, to_y: Any) -> str:
            (left, right), (a, b) = sorted(to_x(np.array([x0, x1]))), sorted(to_y(np.array([y0, y1])))
            return (
                f'<image x="{left:.1f}" y="{a:.1f}" width="{right - left:.1f}" height="{b - a:.1f}"'
                f' preserveAspectRatio="none" style="image-rendering: pixelated" href="{address}"/>'
            )

        self.marks.append(drawn)

    def contourf(self, x: Any, y: Any, values: Any, levels: int = 8, cmap: str = "viridis") -> None:
        x, y, array = (np.asarray(a, dtype=float) for a in (x, y, values))
        low, high = float(array.min()), float(array.max())
        steps = np.floor((array - low) / ((high - low) or 1) * levels).clip(0, levels - 1)
        extent = (x.min(), x.max(), y.min(), y.max())
        self.picture(steps[::-1], extent, 0, levels - 1, cmap)

    def set_title(self, words: Any, loc: str = "center", **_: Any) -> None:
        self.title, self.title_side = text_of(words), loc

    def set_xlabel(self, words: Any, **_: Any) -> None:
        self.x_label = text_of(words)

    def set_ylabel(self, words: Any, **_: Any) -> None:
        self.y_label = text_of(words)

    def set_xlim(self, low: float, high: float) -> None:
        self.fixed["x"] = (float(low), float(high))

    def set_ylim(self, low: float, high: float) -> None:
        self.fixed["y"] = (float(low), float(high))

    def set_xticks(self, places: Any, labels: Any = None) -> None:
        self.ticks["x"] = [
            (float(p), text_of(w)) for p, w in zip(places, labels or [f"{p:g}" for p in places])
        ]

    def set_yticks(self, places: Any, labels: Any = None) -> None:
        self.ticks["y"] = [
            (float(p), text_of(w)) for p, w in zip(places, labels or [f"{p:g}" for p in places])
        ]

    def set_axis_off(self) -> None:
        self.framed = False

    def set_aspect(self, aspect: str) -> None:
        self.equal = aspect == "equal"

    def axis(self, how: str) -> None:
        self.equal, self.framed = how == "equal", how != "off"

    def set(self, **properties: Any) -> None:
        for name, value in properties.items():
            pair = name in ("xlim", "ylim")
            getattr(self, f"set_{name}")(*value if pair else (value,))

    def legend(self, **_: Any) -> None:
        self.legend_shown = True

    def limits(self, which: str) -> tuple[float, float]:
        low, high = self.fixed.get(which) or (self.x_limits if which == "x" else self.y_limits)
        if not math.isfinite(low + high):
            return 0.0, 1.0
        if low == high:
            return low - 0.5, high + 0.5
        if which in self.fixed or self.tight:
            return low, high
        if self.log[which]:
            room = (high / low) ** 0.05
            return low / room, high * room
        return low - 0.05 * (high - low), high + 0.05 * (high - low)

    def svg(self, left: float, top: float, width: float, height: float) -> str:
        """The axes inside a box that leaves room for its words."""
        room_left = (56 if self.y_label else 36) if self.framed and self.ticks["y"] != [] else 4
        room_below = (34 if self.x_label else 20) if self.framed and self.ticks["x"] != [] else 4
        room_above = 20 if self.title else 5
        x, y = left + room_left, top + room_above
        w, h = width - room_left - 6, height - room_above - room_below
        (x0, x1), (y0, y1) = self.limits("x"), self.limits("y")
        if self.equal:
            scale = min(w / (x1 - x0), h / (y1 - y0))
            if self.tight:
                x, w, h = x + (w - scale * (x1 - x0)) / 2, scale * (x1 - x0), scale * (y1 - y0)
            else:
                mx, my = (x0 + x1) / 2, (y0 + y1) / 2
                x0, x1, y0, y1 = (
                    mx - w / scale / 2,
                    mx + w / scale / 2,
                    my - h / scale / 2,
                    my + h / scale / 2,
                )

        def place(value: Any, low: float, high: float, log: bool) -> Any:
            if log:
                with np.errstate(divide="ignore", invalid="ignore"):
                    value, low, high = np.log(value), math.log(low), math.log(high)
            return (value - low) / (high - low)

        def to_x(value: Any) -> Any:
            return (x, x + w) if value is None else x + w * place(value, x0, x1, self.log["x"])

        def to_y(value: Any) -> Any:
            share = place(value, y0, y1, self.log["y"])
            return y + h * (share if self.upside_down else 1 - share)

        box = " ".join(f"{number:.1f}" for number in (x, y, w, h))
        window = f'<svg x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" viewBox="{box}">'  # cuts off
        inside = "".join(mark(to_x, to_y) for mark in self.marks)
        parts = [f"{window}{inside}</svg>", self.words(x, y, w, h)]
        if self.framed:
            parts.append(self.frame(x, y, w, h, to_x, to_y, (x0, x1), (y0, y1)))
        return "".join(parts)

    def words(self, x: float, y: float, w: float, h: float) -> str:
        middle, anchor = (x, "start") if self.title_side == "left" else (x + w / 2, "middle")
        found = [f'<text x="{middle:.1f}" y="{y - 6:.1f}" text-anchor="{anchor}">{self.title}</text>']
        if self.x_label:
            found.append(
                f'<text x="{x + w / 2:.1f}" y="{y + h + 29:.1f}" text-anchor="middle">{self.x_label}</text>'
            )
        if self.y_label:
            at = f"{x - 44:.1f} {y + h / 2:.1f}"
            found.append(
                f'<text transform="translate({at}) rotate(-90)" text-anchor="middle">{self.y_label}</text>'
            )
        for row, (colour, label) in enumerate(self.labels if self.legend_shown else []):
            line = y + 13 + 14 * row
            found.append(
                f'<rect x="{x + w - 12:.1f}" y="{line - 8:.1f}" width="8" height="8" fill="{colour}"/>'
            )
            found.append(f'<text x="{x + w - 17:.1f}" y="{line:.1f}" text-anchor="end">{label}</text>')
        return "".join(found)

    def frame(self, x: float, y: float, w: float, h: float, to_x: Any, to_y: Any, xs: Any, ys: Any) -> str:
        ends = {"left": (x, y, x, y + h), "right": (x + w, y, x + w, y + h)}
        ends |= {"top": (x, y, x + w, y), "bottom": (x, y + h, x + w, y + h)}
        found = [
            f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" stroke="{self.spines[side].colour}"'
            f' stroke-width="{self.spines[side].width}"/>'
            for side, (a, b, c, d) in ends.items()
        ]
        for value, label in self.shown_ticks("x", *xs):
            found.append(
                f'<text x="{to_x(value):.1f}" y="{y + h + 14:.1f}" text-anchor="middle">{label}</text>'
            )
        for value, label in self.shown_ticks("y", *ys):
            found.append(f'<text x="{x - 5:.1f}" y="{to_y(value) + 4:.1f}" text-anchor="end">{label}</text>')
        return "".join(found)

    def shown_ticks(self, which: str, low: float, high: float) -> list[tuple[float, str]]:
        own = self.ticks[which]
        chosen = ticks_of(low, high, self.log[which]) if own is None else own
        return [(value, label) for value, label in chosen if low <= value <= high]


class Figure:
    """A grid of axes."""

    def __init__(self, rows: int, columns: int, size: tuple[float, float]) -> None:
        self.width, self.height = (inches * DPI for inches in size)
        self.axes = np.array([[Axes(self) for _ in range(columns)] for _ in range(rows)], dtype=object)

    def svg(self) -> str:
        rows, columns = self.axes.shape
        w, h = self.width / columns, self.height / rows
        inside = "".join(self.axes[i, j].svg(j * w, i * h, w, h) for i in range(rows) for j in range(columns))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
            f' width="{self.width:.0f}" font-size="11" fill="currentColor">{inside}</svg>'
        )

    def in_words(self) -> str:
        titles = [axes.title for axes in self.axes.flat if axes.title]
        named = f": {'; '.join(html.unescape(title) for title in titles)}" if titles else ""
        return f"figure of {self.axes.size} part{'s' * (self.axes.size > 1)}{named}"

    def suptitle(self, words: Any, **_: Any) -> None:
        self.axes[0, 0].set_title(words)

    def tight_layout(self) -> None:
        """The parts stand side by side as they are."""


_open: list[Figure] = []
_emit: list[Callable[[dict[str, Any]], None]] = []


def begin(emit: Callable[[dict[str, Any]], None]) -> None:
    """A run begins: no figure is open, and figures go to `emit`."""
    _open.clear()
    _emit[:] = [emit]


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """What is drawn inside is thrown away."""
    emit, shown = list(_emit), list(_open)
    _emit.clear()
    try:
        yield
    finally:
        _emit[:], _open[:] = emit, shown


def figure(figsize: tuple[float, float] = (6.4, 4.8), **_: Any) -> Figure:
    _open.append(Figure(1, 1, figsize))
    return _open[-1]


def subplots(
    nrows: int = 1,
    ncols: int = 1,
    figsize: tuple[float, float] = (6.4, 4.8),
    squeeze: bool = True,
    **how: Any,
) -> tuple[Figure, Any]:
    _open.append(Figure(nrows, ncols, figsize))
    axes = _open[-1].axes
    if not squeeze:
        return _open[-1], axes
    return _open[-1], axes[0, 0] if axes.size == 1 else axes.reshape(-1) if 1 in axes.shape else axes


def gcf() -> Figure:
    return _open[-1] if _open else figure()


def gca() -> Axes:
    return gcf().axes[0, 0]  # type: ignore[no-any-return]


def show() -> None:
    for drawn in _open:
        for emit in _emit:
            emit({"type": "figure", "svg": drawn.svg(), "alt": drawn.in_words()})
    _open.clear()


def close(*_: Any) -> None:
    _open.clear()


def tight_layout() -> None:
    """The parts stand side by side as they are."""


RENAMED = {"title": "set_title", "xlabel": "set_xlabel", "ylabel": "set_ylabel", "xlim": "set_xlim"}
RENAMED |= {"ylim": "set_ylim", "xticks": "set_xticks", "yticks": "set_yticks"}
SHARED = "plot semilogx semilogy loglog scatter axhline hist imshow contourf legend axis".split()


def __getattr__(name: str) -> Any:
    if name in RENAMED or name in SHARED:
        return getattr(gca(), RENAMED.get(name, name))
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"the page's small matplotlib has no plt.{name}; the notebook's has")
