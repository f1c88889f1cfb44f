"""The page that says what every number is checked against names tests that exist, for every part of the library."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import ebmkit

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "ebmkit"
PAGE = (ROOT / "book" / "checked_against.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+) \| (.+) \| ([\w ]+) \(`([\w/]+\.py)`\) \|$", PAGE, flags=re.MULTILINE)

EXACT = (
    "exact|log_partition|kaufman|onsager|yang|map_by|moments|probabilities$|expectation|quadrature|_log_prob"
    "|log_sum_exp|product_of|mixture_of|maximum_|expected_|transition_matrix"
)
"""What a function is called that promises a number or a law without an error."""


def exact_functions() -> set[str]:
    """The public functions that promise an exact answer, as a user writes them."""
    names = [name for name in ebmkit._MODULES if name != "partition"]  # its one name is ebmkit.log_partition
    rooms = [(f"{name}.", importlib.import_module(f"ebmkit.{name}")) for name in names]
    return {
        prefix + key
        for prefix, room in [("", ebmkit), *rooms]
        for key in room.__all__
        if inspect.isfunction(getattr(room, key)) and re.search(EXACT, key)
    }


def test_every_exact_answer_and_law_has_a_row_whose_test_speaks_of_it() -> None:
    rows = {what.strip("`"): (sentence, file) for what, _, sentence, file in ROWS if what.startswith("`")}
    assert len(exact_functions()) > 30
    assert exact_functions() <= rows.keys()
    for name, (sentence, file) in rows.items():
        source = (TESTS / file).read_text(encoding="utf-8")
        test = source.partition(f"def test_{sentence.replace(' ', '_')}(")[2].partition("\ndef ")[0]
        key = name.rpartition(".")[2]
        assert re.search(rf"\b{key}\b", source), f"{file} never speaks of {key}"
        assert test, (file, sentence)


def test_every_test_that_the_page_names_is_there_and_asserts_something() -> None:
    assert len(ROWS) >= 40
    assert len(ROWS) == PAGE.count(".py")
    for _, _, sentence, file in ROWS:
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        tests = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        test = tests[f"test_{sentence.replace(' ', '_')}"]
        assert re.search(r"assert|raises|close\(", ast.unparse(test)), (file, test.name)


def test_the_page_speaks_of_every_part_of_the_library_that_computes() -> None:
    named = {file.split("/")[0].removeprefix("test_").removesuffix(".py") for _, _, _, file in ROWS}
    # What only loads, keeps or names things computes no number; testing and partition hand on those of others.
    others = {"data", "energy", "kernel", "partition", "saving", "testing"}
    assert set(ebmkit._MODULES) - others <= named
