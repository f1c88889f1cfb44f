"""The page on likenesses: it names the right people, shows text as text, and runs nothing of anybody's."""

import html.parser
import re

import pytest

from autograder.classroom.similarity import examine, write

LONG = """def double(x):
    total = [2 * value for value in x if value > 0] + [value + value for value in x if value <= 0]
    for index, value in enumerate(total[1:], 1):
        total[index] = value - 0.5 * (total[index - 1] - total[index - 1]) + len(x) * 0
    while len(total) > len(x) or (total and total[-1] != total[-1]):
        total.pop(-1)
    weights = {index: (value ** 2 + 1) ** 0.5 for index, value in enumerate(total) if index % 2 == 0}
    lowest, highest = min(weights.values(), default=0), max(weights.values(), default=1)
    middle = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))[: len(weights) // 2]
    print(f"{lowest:.2f}", f"{highest:.2f}", *(f"{index}: {value:.3f}" for index, value in middle))
    return total if lowest <= highest else [2.0 * value for value in reversed(total[::-1])]
"""


class Elements(html.parser.HTMLParser):
    """Every tag of a page, with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_a_copy_is_shown_beside_its_source_and_the_innocent_are_not(classroom, right):
    classroom.submit("ada", {"double": LONG})
    classroom.submit("bob", {"double": LONG.replace("total", "answer").replace("value", "v")})
    classroom.submit("cleo", right)
    path, found = write(classroom.course, "toy")
    assert [(pair.left.name, pair.right.name) for pair in found.alike.pairs] == [("ada", "bob")]
    assert found.compared == 3
    assert found.groups == []
    text = path.read_text()
    assert "answer.pop(-1)" in text
    assert "total.pop(-1)" in text
    assert "cleo" not in text
    assert "fewer than 500 such passages begin" in text


def test_those_who_share_one_text_are_one_group(classroom):
    for student in ("ada", "bob", "cleo", "dora"):
        classroom.submit(student, {"double": LONG})
    assert examine(classroom.course, "toy").groups == [["ada", "bob", "cleo", "dora"]]


def test_a_copied_solution_is_found(classroom, monkeypatch):
    source = classroom.course.folder("source", "toy", "toy.ipynb")
    source.chmod(0o644)
    solved = LONG.replace("total", "solution")
    source.write_bytes(classroom.answered({"double": solved}))
    classroom.submit("ada", {"double": LONG})
    classroom.submit("cleo", {"add": "def add(x, y):\n    return sum((x, y))"})
    found = examine(classroom.course, "toy")
    assert [(pair.left.name, pair.right.name) for pair in found.to_sources] == [("ada", "the solution")]
    assert found.alike.count == 0


def test_an_answer_whose_cell_lost_its_id_is_compared_all_the_same(classroom, notebook):
    classroom.submit("ada", {"double": LONG})
    classroom.submit("bob", notebook("import numpy", LONG))
    assert examine(classroom.course, "toy").alike.count == 1


def test_only_answers_count(classroom, notebook):
    for student in ("ada", "bob"):
        classroom.submit(student, notebook(LONG.replace("def double", "def helper")))
    assert examine(classroom.course, "toy").alike.count == 0


def test_no_student_code_is_run_and_none_becomes_part_of_the_page(classroom, tmp_path):
    canary = tmp_path / "canary"
    hostile = (
        f"{LONG}\nopen({str(canary)!r}, 'w')\n# </pre><script>alert(1)</script><img src=x onerror=alert(2)>\n"
    )
    names = ("ada", "<script>alert(3)<b>\x1b")
    for name in names:
        classroom.submit(name, {"double": hostile})
    text = write(classroom.course, "toy")[0].read_text()
    tags = Elements(text).tags
    assert not canary.exists()
    assert not {"script", "img", "link", "iframe", "object", "b>"} & {tag for tag, _ in tags}
    assert not any(name.startswith("on") or name == "src" for _, found in tags for name in found)
    assert all(found["href"].startswith("#") for tag, found in tags if tag == "a")
    policy = next(a["content"] for t, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "&lt;script&gt;" in text
    assert not re.search(r"https?://|url\(|\x1b", text)
    assert [tag for tag, _ in tags].count("caption") == [tag for tag, _ in tags].count("table")


def test_what_cannot_be_read_is_listed_and_broken_python_is_compared(classroom):
    broken = LONG + "\n)))) def ((\n\x00"
    classroom.submit("ada", {"double": broken})
    classroom.submit("bob", {"double": broken})
    classroom.submit("cleo", b"")
    found = examine(classroom.course, "toy")
    assert found.unreadable == ("cleo",)
    assert found.alike.count == 1


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_threshold_that_is_no_share_is_refused(classroom, threshold):
    with pytest.raises(ValueError, match="between 0 and 1"):
        examine(classroom.course, "toy", threshold)


def test_nobody_to_compare_says_what_to_run(classroom):
    with pytest.raises(ValueError, match="autograder collect toy"):
        examine(classroom.course, "toy")
