"""The file itself is the attack: its metadata, its cells, its bytes."""

import base64
import json
from collections.abc import Callable
from typing import Any

from autograder.authoring.hostile.attack import Attack, as_it_is

Change = Callable[[dict[str, Any]], bytes | None]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def _twisted(name: str, change: Change) -> Attack:
    def written(document: dict[str, Any]) -> bytes:
        return change(document) or as_it_is(document)

    return Attack("twist the notebook", name, written=written)


def _code(source: Any, **more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    return empty | {"id": "own", "source": source} | more


def _marked(grade_id: str, **more: Any) -> dict[str, Any]:
    marks = {
        "schema_version": 3,
        "grade_id": grade_id,
        "grade": True,
        "solution": False,
        "locked": True,
        "points": 1e6,
    }
    return {"nbgrader": marks | more}


def _full_marks_in_the_metadata(document: dict[str, Any]) -> None:
    document["metadata"] |= {
        "score": 100,
        "max_score": 100,
        "nbgrader": {"score": 100},
        "otter": {"OK_FORMAT": True},
    }
    for cell in document["cells"]:
        cell["metadata"] = _marked("double-tests", score=1e6)


def _the_same_id_for_every_cell(document: dict[str, Any]) -> None:
    for cell in document["cells"]:
        cell["id"] = "double"
    document["cells"] += [_code("x = 1", id="double"), _code("x = 2", id="double-tests")]


def _tests_that_pass_whatever_is_there(document: dict[str, Any]) -> None:
    document["cells"].append(_code("assert True", id="double-tests", metadata=_marked("double-tests")))
    document["cells"].append(
        _code("double = lambda x: x", id="double", metadata=_marked("double", solution=True))
    )


def _outputs_that_say_full_marks(document: dict[str, Any]) -> None:
    for cell in document["cells"]:
        cell["execution_count"] = 100
        cell["outputs"] = [
            {"output_type": "stream", "name": "stdout", "text": "score: 100"},
            {
                "output_type": "display_data",
                "metadata": {},
                "data": {"text/html": "<script>alert(1)</script>"},
            },
            {
                "output_type": "error",
                "ename": "<script>",
                "evalue": "<script>",
                "traceback": ["<script>alert(1)</script>"],
            },
        ]


def _another_language(document: dict[str, Any]) -> None:
    document["metadata"] = {
        "kernelspec": {"name": "bash", "language": "bash"},
        "language_info": {"name": "../../x"},
    }


def _a_version_of_the_future(document: dict[str, Any]) -> None:
    document |= {"nbformat": 4, "nbformat_minor": 10**6}


def _metadata_as_deep_as_can_be(document: dict[str, Any]) -> bytes:
    deep = "[" * 50_000 + "]" * 50_000
    return as_it_is(document | {"metadata": {"x": "DEEP"}}).replace(b'"DEEP"', deep.encode())


def _numbers_that_are_none(document: dict[str, Any]) -> bytes:
    text = as_it_is(document | {"metadata": {"a": "A", "b": "B", "c": "C"}})
    return text.replace(b'"A"', b"NaN").replace(b'"B"', b"1e99999").replace(b'"C"', b"9" * 5000)


def _keys_twice(document: dict[str, Any]) -> bytes:
    return b'{"cells": [], "nbformat": 4, ' + as_it_is(document)[1:]


def _cells_that_are_none(document: dict[str, Any]) -> None:
    odd: list[Any] = [
        None,
        1,
        "cell",
        [],
        {},
        {"cell_type": "code"},
        {"cell_type": 7, "source": 7},
        _code({"a": 1}),
    ]
    document["cells"] += [*odd, _code("x", id=5), _code("x", metadata=[]), _code("x", outputs="no")]


def _markdown_full_of_scripts(document: dict[str, Any]) -> None:
    text = (
        "<script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:alert(1)) "
        "[b](javascript&colon;alert(1)) "
        "[c](&#106;avascript:alert(1)) [d](data&colon;text/html,x) "
        "<iframe srcdoc='<script>alert(1)</script>'></iframe> "
        "<meta http-equiv=refresh content='0;url=https://example.org'> <style>*{display:none}</style> "
        "![e](attachment:e.svg) <svg><animate onbegin=alert(1) attributeName=x></svg> <form action=https://example.org>"
    )
    svg = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>").decode()
    attached = {
        "e.svg": {"image/svg+xml": svg},
        "f.png": {"image/png": PNG, "text/html": "<script>alert(1)</script>"},
    }
    for kind in ("markdown", "raw"):
        cell = {
            "cell_type": kind,
            "id": f"note-{kind}",
            "metadata": {"raw_mimetype": "text/html"},
            "source": text,
        }
        document["cells"].append(cell | ({"attachments": attached} if kind == "markdown" else {}))


def _names_that_are_paths(document: dict[str, Any]) -> None:
    for cell, name in zip(document["cells"], ("../../../etc/passwd", "<script>alert(1)</script>")):
        cell["id"] = name
        cell["metadata"] = _marked(name, solution=True, grade=False)
    document["metadata"]["title"] = "{{ 7 * 7 }}<script>alert(1)</script>"


def _surrogates_and_controls(document: dict[str, Any]) -> None:
    document["cells"].append(_code("# \ud800 \x00 \u202e \x1b[2J\nprint('\ud800')", id="odd"))
    document["cells"].append(
        {"cell_type": "markdown", "id": "o", "metadata": {}, "source": "\ud800\x00\u202e"}
    )


def _thousands_of_cells(document: dict[str, Any]) -> None:
    document["cells"] += [
        {"cell_type": "markdown", "id": f"m{n}", "metadata": {}, "source": "*" * 50} for n in range(5000)
    ]


def _another_encoding(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode("utf-16")


def _a_line_that_begins_a_hundred_thousand_imports(document: dict[str, Any]) -> None:
    document["cells"].append(_code("# " + "import " * 100_000 + "scipy " * 100_000))


def _a_grammar_a_thousand_times_its_size(document: dict[str, Any]) -> None:
    text = "double = (" + "a," * 1_000_000 + ")"
    document["cells"].append({"cell_type": "markdown", "id": "double", "metadata": {}, "source": text})
    document["cells"].append(_code(text, id="tests", metadata=_marked("double-tests")))


def _names_like_the_one_that_is_asked_for(document: dict[str, Any]) -> None:
    names = "".join(f"def doubl{number}\n" for number in range(100_000))
    document["cells"] = [_code(f'"""\n{names}"""')]


TWIST_THE_NOTEBOOK = [
    _twisted(change.__name__.removeprefix("_").replace("_", " "), change)
    for change in (
        _full_marks_in_the_metadata,
        _the_same_id_for_every_cell,
        _tests_that_pass_whatever_is_there,
        _outputs_that_say_full_marks,
        _another_language,
        _a_version_of_the_future,
        _metadata_as_deep_as_can_be,
        _numbers_that_are_none,
        _keys_twice,
        _cells_that_are_none,
        _markdown_full_of_scripts,
        _names_that_are_paths,
        _surrogates_and_controls,
        _thousands_of_cells,
        _another_encoding,
        _a_line_that_begins_a_hundred_thousand_imports,
        _a_grammar_a_thousand_times_its_size,
        _names_like_the_one_that_is_asked_for,
    )
]
