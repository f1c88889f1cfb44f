"""The page that says what every number is checked against names tests that exist, for every part of the library."""

import ast
import re
from pathlib import Path

import ebmkit

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "ebmkit"
PAGE = (ROOT / "book" / "checked_against.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+) \| (.+) \| ([\w ]+) \(`([\w/]+\.py)`\) \|$", PAGE, flags=re.MULTILINE)


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
