"""The one door through which anything of a student's comes to the judge.

Frames are decoded with `codec`, which knows plain values and arrays alone here; what they say is then put into the
few forms below. Whatever does not fit is a `ProtocolError`, which costs the check or the cell that it came with.

    a cell    {stdout, stderr, displays: [{result, text, png}], error: {type, message, line, …} or None, seconds}
    a call    {value, seconds, changed: [places of arguments]}
              or {raised: {…}} or {missing: True} or {unsendable: text}
"""

import math
from typing import Any

from autograder.sandbox.worker.codec import ProtocolError

MAX_TEXT = 25_000
MAX_DISPLAYS = 50
MAX_DISPLAY_TEXT = 20_000
MAX_PICTURE = 400_000
MAX_PICTURES = 12
NOTEBOOK_BYTES = 16 << 20
"""What is kept of all that a notebook shows; a longer one is cut, and says so."""
MAX_SECONDS = 1e6


class Kept:
    """How much of a notebook's output may still be kept."""

    def __init__(self, left: int = NOTEBOOK_BYTES) -> None:
        self.left = left

    def take(self, text: str) -> str:
        """As much of `text` as there is room for."""
        part = text[: self.left]
        self.left -= len(part)
        return part


def text_of(value: Any, most: int = MAX_TEXT) -> str:
    """Text that every page can hold: what is no character stands as a question mark."""
    if not isinstance(value, str):
        raise ProtocolError("something else stands where text should")
    return value[:most].encode("utf-8", "replace").decode()


def cell(answer: Any, kept: Kept) -> dict[str, Any]:
    """What a cell did, as plain, bounded values."""
    answer = _mapping(answer)
    displays = answer.get("displays")
    if not isinstance(displays, list):
        raise ProtocolError("a cell's displays are no list")
    fields = {name: value for name, value in answer.items() if name not in ("stdout", "stderr", "displays")}
    return _plain(fields) | {
        "stdout": kept.take(text_of(answer.get("stdout"))),
        "stderr": kept.take(text_of(answer.get("stderr"))),
        "displays": _displays(displays[:MAX_DISPLAYS], kept),
        "error": _error(answer["error"]) if answer.get("error") is not None else None,
        "seconds": _seconds(answer.get("seconds")),
    }


def outcomes(reply: Any, identity: str, calls: int) -> list[dict[str, Any]]:
    """What the calls of one request came to; at most as many as were asked for, and at least one."""
    reply = _mapping(reply)
    found = reply.get("outcomes")
    if reply.get("id") != identity or not isinstance(found, list) or not 1 <= len(found) <= max(1, calls):
        raise ProtocolError("the reply does not answer this call")
    return [_outcome(_mapping(outcome)) for outcome in found]


FORMS = ("value", "raised", "missing", "unsendable")


def _outcome(outcome: dict[str, Any]) -> dict[str, Any]:
    form = next((name for name in FORMS if name in outcome), None)
    further = {name: value for name, value in outcome.items() if name not in (*FORMS, "seconds", "changed")}
    if form == "value":
        changed = outcome.get("changed", [])
        if not isinstance(changed, list) or not all(type(place) is int for place in changed):
            raise ProtocolError("what a call changed are no places of arguments")
        seconds = _seconds(outcome.get("seconds", 0.0))
        return _plain(further) | {"value": outcome["value"], "seconds": seconds, "changed": changed}
    if form == "raised":
        return _plain(further) | {"raised": _error(outcome["raised"])}
    if form == "missing":
        return _plain(further) | {"missing": True}
    if form == "unsendable":
        return _plain(further) | {"unsendable": text_of(outcome["unsendable"], 300)}
    raise ProtocolError("an outcome has no form that is known")


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ProtocolError("something else stands where named values should")
    return value


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Further fields that say little: numbers and short text, or a few of them; anything else is refused."""
    return {text_of(name, 40): _little(value) for name, value in list(fields.items())[:20]}


def _little(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return text_of(value, 2000)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list) and depth < 4:
        return [_little(item, depth + 1) for item in value[:100]]
    if isinstance(value, dict) and depth < 4:
        return {text_of(name, 80): _little(item, depth + 1) for name, item in list(value.items())[:100]}
    raise ProtocolError("a field holds what it should not")


def _displays(displays: list[Any], kept: Kept) -> list[dict[str, Any]]:
    """Texts and pictures; what is no display is left out, and so are pictures beyond what is kept."""
    found, pictures = [], 0
    for entry in displays:
        entry = _mapping(entry)
        png = entry.get("png", "")
        if not isinstance(png, str) or not png.isascii():
            raise ProtocolError("a picture is no text in base64")
        if len(png) > MAX_PICTURE or pictures == MAX_PICTURES or len(png) > kept.left:
            png = ""
        pictures += bool(png)
        text = kept.take(text_of(entry.get("text", ""), MAX_DISPLAY_TEXT))
        found.append({"result": entry.get("result") is True, "text": text, "png": kept.take(png)})
    return found


TEXTS: dict[str, int] = {"type": 80, "message": 2000, "code": 200, "function": 80}


def _error(error: Any) -> dict[str, Any]:
    """What was raised: its type, message and line, and what else is said of it."""
    error = _mapping(error)
    line = error.get("line", 0)
    if type(line) is not int or not 0 <= line < 10**7:
        raise ProtocolError("an error's line is no number of a line")
    texts = {name: text_of(error.get(name, ""), most) for name, most in TEXTS.items()}
    further = {name: value for name, value in error.items() if name not in (*TEXTS, "line", "late", "memory")}
    marks = {name: error.get(name) is True for name in ("late", "memory")}
    return _plain(further) | texts | marks | {"line": line}


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_SECONDS:
        raise ProtocolError("a time is no number of seconds")
    return float(value)
