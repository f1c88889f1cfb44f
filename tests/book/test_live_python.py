"""The Python of the pages, natively: what a run needs, shows, and says when something is wrong."""

import base64
import functools
import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from autograder.authoring.percent import read
from ebmkit import data

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "solutions").glob("*.py"))
MARKS = re.compile(r"^ *### (?:BEGIN|END) SOLUTION\n?", re.MULTILINE)
USES_TORCH = re.compile(r"\btorch\.")

Cell = dict[str, str]


def ask(*requests: dict[str, Any]) -> list[Any]:
    """What the page's Python answers, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("page_python.py"))]
    done = subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def run(cells: list[Cell], *targets: str) -> tuple[bool, list[dict[str, Any]]]:
    (answer,) = ask({"what": "run", "cells": cells, "targets": list(targets)})
    return answer["passed"], answer["items"]


def cell(name: str, source: str, kind: str = "code") -> Cell:
    return {"id": name, "kind": kind, "source": source}


@functools.cache
def solved(chapter: str) -> list[Cell]:
    """The code of a chapter's assignment with its solutions, as the page hands it to Python."""
    found = []
    for each in read(chapter).cells:
        if each.cell_type == "code":
            exercise, tests = each.metadata.get("exercise"), each.metadata.get("tests")
            kind = "exercise" if exercise else "tests" if tests else "code"
            name = exercise or (f"{tests}-tests" if tests else each.id)
            found.append(cell(name, MARKS.sub("", each.source), kind))
    return found


def live_runs(cells: list[Cell]) -> list[tuple[list[Cell], list[str]]]:
    """Every check and every cell that needs no torch: the cells up to it, and the targets."""
    sources = {each["id"]: each["source"] for each in cells}
    runs = []
    for place, each in enumerate(cells):
        name = each["id"].removesuffix("-tests")
        targets = [name, each["id"]] if each["kind"] == "tests" else [each["id"]]
        if each["kind"] != "exercise" and not USES_TORCH.search("".join(sources[t] for t in targets)):
            runs.append((cells[: place + 1], targets))
    return runs


def test_thirty_six_of_the_forty_one_exercises_need_no_torch() -> None:
    checks = [targets for name in CHAPTERS for _, targets in live_runs(solved(name)) if len(targets) == 2]
    exercises = [each for name in CHAPTERS for each in solved(name) if each["kind"] == "exercise"]
    assert (len(checks), len(exercises)) == (36, 41)


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_solutions_pass_their_visible_tests_and_every_figure_is_drawn(chapter: str) -> None:
    runs = live_runs(solved(chapter))
    answers = ask(*({"what": "run", "cells": cells, "targets": targets} for cells, targets in runs))
    for (cells, targets), answer in zip(runs, answers, strict=True):
        kinds = [item["type"] for item in answer["items"]]
        assert (targets, answer["passed"], kinds.count("error")) == (targets, True, 0)
        assert kinds.count("figure") == cells[-1]["source"].count("plt.show()")
        assert kinds.count("check") == (len(kinds) - kinds.count("text") if len(targets) == 2 else 0)
        assert kinds.count("check") >= 4 * (len(targets) == 2)


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_a_run_needs_gives_the_numbers_of_the_whole_notebook(chapter: str) -> None:
    runs = [(cells, targets) for cells, targets in live_runs(solved(chapter)) if len(targets) == 2]
    answers = ask(*({"what": "differences", "cells": cells, "targets": targets} for cells, targets in runs))
    assert answers == [[]] * len(runs)


def test_a_run_takes_what_it_needs_and_nothing_else() -> None:
    cells = [
        cell("setup", "import numpy as np\nx = np.zeros(2)\nunused = 1 / 0"),
        cell("change", "x[0] = 3\nfor step in range(2):\n    print(step)"),
        cell("show", "x.sum()"),
    ]
    passed, items = run(cells, "show")
    assert (passed, [item["type"] for item in items], items[0]["text"]) == (
        True,
        ["value"],
        "np.float64(3.0)",
    )


def test_every_use_of_a_generator_before_the_cell_is_made_again() -> None:
    cells = [
        cell(
            "setup", "import numpy as np\nrng = np.random.default_rng(1)\ndef draw(rng): return rng.random()"
        ),
        cell("use", "first = draw(rng)"),
        cell("show", "float(draw(rng))"),
    ]
    _, items = run(cells, "show")
    assert float(items[0]["text"]) == np.random.default_rng(1).random(2)[1]


def test_an_error_is_shown_with_the_line_of_the_student_s_that_it_comes_from() -> None:
    source = "def f(x):\n    y = x + 1\n    return y.missing\n"
    _, items = run(
        [cell("f", source, "exercise"), cell("f-tests", "found = f(1)\nassert found", "tests")],
        "f",
        "f-tests",
    )
    (error,) = items
    assert (error["cell"], error["line"], error["name"]) == ("f", 3, "AttributeError")
    assert error["trace"] == [["f-tests", 1, "found = f(1)"], ["f", 3, "return y.missing"]]


@pytest.mark.slow
def test_a_line_that_is_no_python_is_named() -> None:
    _, (error,) = run([cell("f", "def f(x):\n    return x +\n", "exercise")], "f")
    assert (error["name"], error["cell"], error["line"]) == ("SyntaxError", "f", 2)


def test_the_first_test_that_fails_is_shown_with_its_message_and_ends_the_check() -> None:
    tests = "a = f()\nassert a > 0, 'positive'\nassert a == 2, f'two, got {a}'\nassert a != 1"
    passed, items = run(
        [cell("f", "def f(): return 1", "exercise"), cell("f-tests", tests, "tests")], "f", "f-tests"
    )
    rows = [(item["number"], item["of"], item["passed"], item["message"], item["source"]) for item in items]
    assert not passed
    assert rows == [(1, 3, True, "", "a > 0"), (2, 3, False, "two, got 1", "a == 2")]


def test_an_assertion_of_the_student_s_own_is_no_test() -> None:
    cells = [
        cell("f", "def f():\n    assert False, 'mine'", "exercise"),
        cell("f-tests", "assert f() is None", "tests"),
    ]
    _, (error,) = run(cells, "f", "f-tests")
    assert (error["type"], error["cell"], error["line"]) == ("error", "f", 2)


@pytest.mark.slow
def test_an_earlier_exercise_that_is_missing_is_named() -> None:
    cells = [
        cell("first", "def first():\n    raise NotImplementedError('not solved yet')", "exercise"),
        cell("second", "def second(): return first()", "exercise"),
        cell("second-tests", "assert second() == 1", "tests"),
    ]
    _, (error,) = run(cells, "second", "second-tests")
    assert (error["unsolved"], error["cell"]) == (True, "first")


@pytest.mark.slow
def test_a_run_prints_no_more_than_a_page_holds() -> None:
    _, items = run([cell("loop", "for i in range(100_000):\n    print(i)")], "loop")
    text = "".join(item["text"] for item in items)
    assert len(text) < 20_200
    assert text.endswith("… and more: the page shows 20,000 characters of a run.\n")


def picture_in(svg: str) -> np.ndarray:
    encoded = re.search(r"base64,([^\"]+)", svg)
    assert encoded
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(encoded[1])), format="png")


@pytest.mark.slow
def test_an_array_is_shown_as_a_picture_with_words_for_who_does_not_see_it() -> None:
    _, items = run([cell("show", "import numpy as np\nnp.array([[0, 1], [1, 0]])")], "show")
    assert [item["type"] for item in items] == ["value", "figure"]
    assert items[1]["alt"] == "an array of 2 rows and 2 columns: 0 white, 1 black"
    assert picture_in(items[1]["svg"])[..., 0].tolist() == [[1, 0], [0, 1]]


def test_what_the_small_matplotlib_lacks_is_named() -> None:
    _, (error,) = run([cell("show", "import matplotlib.pyplot as plt\nplt.violinplot([1])")], "show")
    assert "no plt.violinplot; the notebook's has" in error["message"]


def test_text_in_a_figure_cannot_become_part_of_the_page() -> None:
    source = "import matplotlib.pyplot as plt\nplt.title('<script>')\nplt.plot([1, 2], color='\"><script>')"
    _, (figure,) = run([cell("show", source)], "show")
    assert "<script>" not in figure["svg"]


def test_torch_can_be_imported_and_whoever_uses_it_is_told_where_to() -> None:
    passed, items = run([cell("setup", "import torch\nprint('on')")], "setup")
    assert (passed, items[0]["text"]) == (True, "on\n")
    _, (error,) = run([cell("use", "import torch\ntorch.zeros(1)")], "use")
    assert "do this exercise in the notebook" in error["message"]


def test_the_data_of_the_page_are_those_of_the_library() -> None:
    source = (
        "from ebmkit.data import bars_and_stripes, slide_image\n"
        "bars = bars_and_stripes(3).reshape(14, 9).double().numpy()\n"
        "[[p.numpy().tolist() for p in slide_image()], bars.tolist()]"
    )
    _, (shown,) = run([cell("show", source)], "show")
    pictures = [picture.tolist() for picture in data.slide_image()]
    assert json.loads(shown["text"]) == [pictures, data.bars_and_stripes(3).reshape(14, 9).double().tolist()]


def fetching() -> ModuleType:
    spec = importlib.util.spec_from_file_location("live_fetch", ROOT / "book" / "live" / "fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_archive_other_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "codemirror-state-1.0.0.tgz").write_bytes(b"something else")
    pin = {"name": "@codemirror/state", "version": "1.0.0", "integrity": "sha512-x"}
    with pytest.raises(SystemExit, match="is not the archive that is pinned"):
        fetching().checked(pin, tmp_path)


def test_every_pin_names_a_version_and_a_sha512() -> None:
    pins = json.loads((ROOT / "book" / "live" / "packages.json").read_text(encoding="utf-8"))
    for pin in [*pins["python"], *pins["editor"]]:
        assert re.fullmatch(r"\d[\w.-]*", pin["version"])
        assert len(base64.b64decode(pin["integrity"].removeprefix("sha512-"))) == 64


def test_without_npm_the_book_is_built_and_told_so_and_ci_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = fetching()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module.fetch, "__defaults__", (tmp_path / "live",))
    monkeypatch.delenv("EBM_REQUIRE_ALL", raising=False)
    module.main()
    assert "npm is not there; install it" in capsys.readouterr().err
    monkeypatch.setenv("EBM_REQUIRE_ALL", "1")
    with pytest.raises(SystemExit, match="npm is not there"):
        module.main()


def test_bare_imports_become_relative_ones() -> None:
    module = fetching()
    text = b'import {a} from "@codemirror/state";\nexport {b} from \'crelt\';\nimport "./own.js";'
    packed = io.BytesIO()
    with module.tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in {"package.json": b'{"module": "./index.js"}', "index.js": text}.items():
            entry = module.tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    assert module.editor_module(packed.getvalue()).decode() == (
        'import {a} from "./codemirror-state.js";\nexport {b} from \'./crelt.js\';\nimport "./own.js";'
    )
