"""The feedback page: it teaches, it runs nothing, and it keeps the secrets."""

import base64
import html
import html.parser
import io
import itertools
import json
import re
import struct
import time
import zlib

import numpy as np
import pytest

from autograder.classroom.feedback_files import regenerate
from autograder.exercises.catalogue import assignment_named
from autograder.exercises.pictures import Picture
from autograder.judging.handout import Handout
from autograder.judging.judge import CellOutput, Judged
from autograder.judging.report import GRADED, CheckResult, ExerciseResult, Report
from autograder.judging.submission import Cell, Submission
from autograder.pages.feedback import LONGEST_LINE, MAX_COLOURED, page
from autograder.pages.graded_notebook import (
    checked_png,
    entries,
    graded_notebook,
    in_words,
    with_own_pictures,
    without_html,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)><a href='javascript:alert(3)'>x</a>"


class Tags(html.parser.HTMLParser):
    """Every tag and attribute that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def png(width: int = 2, height: int = 2) -> bytes:
    from PIL import Image

    memory = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(memory, "PNG")
    return memory.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def handout(classroom) -> Handout:
    return Handout.of(classroom.course, assignment_named("toy"))


def hostile_judged() -> tuple[Submission, Judged]:
    """A verdict in which everything that a student can choose is hostile."""
    drawn = Picture("grids", ("01",), ("13",), (HOSTILE, HOSTILE), HOSTILE)
    checks = (
        CheckResult(
            "double.1",
            40,
            0.0,
            "random arrays",
            HOSTILE,
            "squares instead",
            HOSTILE,
            picture=drawn,
            example=HOSTILE,
        ),
    )
    exercises = (ExerciseResult("double", "Twice as much", checks),)
    report = Report("toy", GRADED, exercises, (HOSTILE,), "namespaces+seccomp", max_score=80)
    display = {"result": True, "text": HOSTILE, "png": encoded(HOSTILE.encode())}
    output = CellOutput(0, HOSTILE, HOSTILE, [display], HOSTILE)
    cells = (Cell("code", f"'''{HOSTILE}'''"), Cell("markdown", HOSTILE), Cell("raw", HOSTILE))
    return Submission(cells), Judged(report, (output,))


def test_nothing_of_a_students_runs_in_the_page(handout):
    submission, judged = hostile_judged()
    text = page(HOSTILE, submission, judged, handout, {"why": {"comment": HOSTILE}})
    seen = Tags(text).tags
    names = {tag for tag, _ in seen}
    assert not names & {"script", "a", "iframe", "object", "embed", "link", "form", "base", "img"}
    assert not [(tag, name) for tag, attributes in seen for name in attributes if name.startswith("on")]
    assert text.count("&lt;script&gt;") >= 8
    assert [attributes["role"] for tag, attributes in seen if tag == "svg"] == ["img"]


def test_the_page_says_what_is_left_out_and_shows_the_question_in_the_cell_of_its_answer(handout):
    asked = Cell("markdown", "Why? Say it in a sentence.\n\nBecause.", grade_id="why")
    instruction = Cell("markdown", next(iter(handout.instructions)))
    text = page("ada", Submission((asked, instruction)), hostile_judged()[1], handout, {})
    cells = text.partition("<h2>Your cells</h2>")[2]
    assert "Why? Say it in a sentence." in cells
    assert instruction.source not in html.unescape(cells)
    assert "Tests are left out, and instructions that stand in cells of their own." in cells


def test_the_page_forbids_scripts_and_every_request(handout):
    text = page("ada", *hostile_judged(), handout, {})
    policy = [a["content"] for tag, a in Tags(text).tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text


def test_the_page_is_readable_by_machine_and_human(handout):
    text = page("ada", *hostile_judged(), handout, {})
    tags = Tags(text).tags
    assert ("html", {"lang": "en"}) in tags
    assert any(a.get("name") == "viewport" for _, a in tags)
    assert "prefers-color-scheme: dark" in text
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


@pytest.mark.slow
def test_the_page_teaches(classroom, right):
    classroom.submit("ada", right | {"double": "def double(x):\n    print('here I am')\n    return x ** 2"})
    classroom.grade()
    text = classroom.page("ada")
    for words in (
        "40 <small>of 100",
        "Random arrays",
        "Squares instead?",
        "Twice a number is not its square.",
        "0 / 30",
        "# must give",
    ):
        assert words in text
    assert text.count("Twice a number is not its square.") == 1
    assert "isolation: none" in text


@pytest.mark.slow
def test_hidden_inputs_and_what_they_make_a_function_print_stay_hidden(classroom, right):
    spy = "def double(x):\n    print('spied', x)\n    raise ValueError(f'spied {x}')"
    classroom.submit("ada", right | {"double": spy})
    classroom.grade()
    text = classroom.page("ada")
    examples = re.findall(r'<div class="example">.*?<pre tabindex="0">(.*?)</pre>', text, re.DOTALL)
    assert examples
    for example in map(
        html.unescape, examples
    ):  # what it raises there is of the public input, which stands above
        with pytest.raises(ValueError, match="spied") as raised:
            exec(spy + "\n" + example, {"np": np})
        assert f"raised ValueError: {' '.join(str(raised.value).split())}" in example
    # In the student's own source and on public examples, and nowhere else; in no comment at all.
    told = 2 * len(examples)  # the message, and the line that raised it
    assert text.count("spied") == 2 + told
    assert json.dumps(classroom.autograded("ada")).count("spied") == 2 + told
    assert "spied" not in " ".join(filter(None, classroom.entries("ada").comment.values()))


@pytest.mark.slow
def test_the_students_own_output_and_pictures_are_shown_and_our_tests_are_not(classroom, right):
    plot = (
        "import numpy as np\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\n"
        "plt.show()\nprint('hello')\n3 + 4"
    )
    classroom.submit("ada", right | {"toy-01": plot, "why": "My *reason*"})
    classroom.grade()
    text = classroom.page("ada")
    assert "data:image/png;base64," in text
    assert "hello" in text
    assert ">7<" in text
    assert "My *reason*" in text
    assert "assert double(1)" not in text
    assert "Solve everything." not in text


@pytest.mark.slow
def test_pages_are_written_again_with_what_a_human_decided(classroom, right):
    classroom.submit("ada", right | {"why": "Because."})
    classroom.grade()
    assert "20 more points are still to be given by hand" in classroom.page("ada")
    by_hand = {"why": {"score": 12.5, "comment": "Nearly."}}
    assert len(list(regenerate(classroom.course, "toy", lambda student: by_hand))) == 1
    text = classroom.page("ada")
    assert "92.5 <small>of 100" in text
    assert "Nearly." in text
    assert "still to be given" not in text


def test_a_sentence_begins_with_a_capital_and_a_name_stays_as_it_is_written():
    from autograder.pages.template import template

    sentence = template("feedback.html").environment.filters["capitalize_first"]
    assert sentence("a draw comes out too often") == "A draw comes out too often"
    for message in ("a is an array of shape (2,)", "μ_2 differs from the definition", "b differs from it"):
        assert sentence(message) == message


def test_a_real_picture_passes_with_its_extras_removed():
    data = png()
    chunk = b"tEXt" + b"comment\0<script>"
    extra = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    dirty = data[:33] + extra + data[33:]
    assert base64.b64decode(checked_png(encoded(dirty) + "\n")) == data
    assert base64.b64decode(checked_png(encoded(data + b"<script>trailing"))) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg onload=alert(1)>",
        b"\x89PNG\r\n\x1a\n<script>",
        png()[:-20],
        png()[:43] + bytes([png()[43] ^ 1]) + png()[44:],
        b"\x89PNG\r\n\x1a\n" + png()[33:],
        png(5000, 1),
    ],
)
def test_what_only_claims_to_be_a_picture_is_dropped(data):
    assert checked_png(encoded(data)) == ""


def test_text_that_is_no_base64_is_no_picture():
    assert checked_png('"><script>') == ""


@pytest.mark.parametrize(
    "source", ["<script>x</script>", "<!-- x -->", "<?php ?>", "a </div>", "<IMG SRC=x>", "<a\n href=x>"]
)
def test_no_tag_can_begin_in_a_students_text(source):
    assert not re.search(r"<[A-Za-z/!?]", without_html(source))


def test_formulas_and_words_stay_as_they_are():
    for source in ("$a < b$", "x <3 y", "2 <= 3", "*emphasis* & more"):
        assert without_html(source) == source


def test_raw_cells_cannot_bring_html_into_the_graded_notebook(handout):
    notebook = graded_notebook(*hostile_judged(), handout)
    texts = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] != "code"]
    assert any("alert" in text for text in texts)
    assert not [text for text in texts if re.search(r"^(?! {4}).*<[A-Za-z/!?]", text, re.MULTILINE)]


SCRIPTS = r"""
[a](javascript:alert(1))
[a](javascript&colon;alert(1))
[a](&#106;avascript:alert(1))
[a](&#x6A;avascript&#58;alert(1))
[a](&amp;#106;avascript&amp;colon;alert(1))
[a](&amp;amp;#106;avascript:alert(1))
[a](data&colon;text/html,x)
[a](data:text/html;base64,PHNjcmlwdD4=)
[a](<java\tscript:alert(1)>)
[a]( JaVaScRiPt:alert(1))
[a](java\\script:alert(1))
[a](javascript\\:alert(1))
[a](vbscript:x)
[a](file:///etc/passwd)
[a](blob:x)
[a](feed:javascript:alert(1))
[a](x-apple:y)
[b]\n\n[b]: javascript&colon;alert(1)
[b]\n\n[b]: <&#106;avascript:alert(1)>
[b][c]\n\n[c]:\n  data&colon;text/html,x
<javascript:alert(1)>
&lt;a href="javascript:alert(1)">x&lt;/a>
&amp;lt;img src=x onerror=alert(1)>
$\\href{javascript:alert(1)}{x}$
""".strip().splitlines()


@pytest.mark.parametrize("source", [line.encode().decode("unicode_escape") for line in SCRIPTS])
def test_a_students_link_leads_to_a_page_or_a_mailbox_alone(source):
    tags = rendered(Cell("markdown", source))
    for _, attributes in tags.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name == "href" and value and not value.startswith("#"):
                assert re.match(r"(https?|mailto):", value), value
    assert "\\href" not in without_html(source)


@pytest.mark.parametrize(
    "source",
    [
        "[a](https://x.example/a?b=1)",
        "[a](http://x.example:80/)",
        "[a](mailto:a@x.example)",
        "[a](part.html#x:y)",
    ],
)
def test_a_students_harmless_link_stays(source):
    assert without_html(source) == source


def test_entities_nested_without_end_cost_little():
    source = "&" + "amp;" * 200_000 + "colon;"
    assert ":" not in without_html(f"[a](javascript{source}x)").split("(")[-1]


def illustrated(source, **pictures):
    return Cell("markdown", source, pictures=tuple((f"{name}.png", data) for name, data in pictures.items()))


def rendered(cell) -> Tags:
    """What nbgrader's pages make of a student's text cell."""
    import nbformat
    from nbconvert import HTMLExporter

    source, kept = with_own_pictures(cell.source, cell)
    made = nbformat.v4.new_markdown_cell(without_html(source))
    made["attachments"] = {name: {"image/png": picture} for name, picture in kept.items()}
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True)
    return Tags(exporter.from_notebook_node(nbformat.v4.new_notebook(cells=[made]))[0])


@pytest.mark.parametrize(
    "source",
    [
        "![](http://evil.example/t.png)",
        '![a](http://evil.example/(t).png "title")',
        "![a](<http://evil.example/t u.png>)",
        "![a](//evil.example/t.png)",
        "![a](figure.png)",
        "![a][b]\n\n[b]: http://evil.example/t.png",
        "![b]\n\n[b]: http://evil.example/t.png",
        "![a [b] c](http://evil.example/t.png)",
        "![a\\](attachment:good.png)](http://evil.example/t.png)",
        "![a`](attachment:good.png)`](http://evil.example/t.png)",
        "!\\![a](http://evil.example/t.png)",
        "![![a](attachment:good.png)](http://evil.example/t.png)",
        "![a](data:image/png;base64,QUJD)",
        "![a](attachment:bad.png)",
        "![a](attachment:absent.png)",
        "![a][b]\n\n[b]: attachment:absent.png",
        "&#33;[a](http://evil.example/t.png)",
        '![a](attachment:"><img/src=http://evil.example/x.png>)',
    ],
)
def test_nbgraders_pages_fetch_no_picture_that_a_student_names(source):
    cell = illustrated(source, good=encoded(png()), bad=encoded(b"<svg onload=alert(1)>"))
    shown = [attributes["src"] for tag, attributes in rendered(cell).tags if tag == "img"]
    assert shown in ([], [f"data:image/png;base64,{encoded(png())}"])


def test_an_attached_picture_is_shown_once_and_what_is_left_out_is_named():
    once = "![my *sketch*](attachment:a%20b.png)"
    cell = Cell(
        "markdown", f"See {once}{once} ![](attachment:x_<b>`.jpg)", pictures=(("a b.png", encoded(png())),)
    )
    source, kept = with_own_pictures(cell.source, cell)
    assert kept == {"picture-1.png": encoded(png())}
    assert source.startswith(
        "See ![my sketch](attachment:picture-1.png)(picture left out: my sketch, a%20b.png)"
    )
    assert not re.search(r"[`*$;]", with_own_pictures("![*a*`](attachment:x`*y*$&semi;.png)", cell)[0])


def test_an_attached_picture_is_on_our_page_and_one_left_out_is_named(handout):
    _, judged = hostile_judged()
    good = illustrated("![](attachment:good.png) ![](attachment:photo.jpg)", good=encoded(png()))
    text = page("ada", Submission((Cell("code", "x"), good)), judged, handout, {})
    shown = [attributes for tag, attributes in Tags(text).tags if tag == "img"]
    assert shown == [{"src": f"data:image/png;base64,{encoded(png())}", "alt": "Picture 1 in cell 2"}]
    assert "picture left out: photo.jpg" in text


@pytest.mark.parametrize("piece", ["![", "![a](", "![a](b ", '![a](x" ', "![a]((b)", " ", "![a]( "])
def test_hostile_markdown_is_read_in_little_time(piece):
    start = time.process_time()
    with_own_pictures(piece * 100_000, illustrated(""))
    with_own_pictures("![a](" + piece * 100_000, illustrated(""))
    assert time.process_time() - start < 5


def test_what_would_take_long_to_colour_is_shown_in_one_colour(handout):
    """A text of zeros takes a lexer the square of its length; a notebook may hold a thousand cells of it."""
    wide = "'%" + "0" * LONGEST_LINE
    line = "x = 1  # one of many\n"
    many = [Cell("code", line * 900 + f"y = {number}") for number in range(40)]
    assert sum(len(cell.source) for cell in many) > MAX_COLOURED
    cells = (Cell("code", "x = 1"), Cell("code", wide), *many)
    report = Report("toy", GRADED, (), max_score=15.0)
    shown = re.findall(
        r"<code[^>]*>(.*?)</code>", page("ada", Submission(cells), Judged(report), handout, {}), re.S
    )
    coloured = ["<span" in text for text in shown]
    assert coloured[:2] == [True, False]
    assert wide.replace("'", "&#39;") in shown[1]
    assert 0 < sum(coloured[2:]) <= MAX_COLOURED // len(many[0].source)
    assert len(coloured) == 42


def test_no_text_of_a_students_function_is_in_a_comment(handout):
    """nbgrader's pages read a comment as Markdown with HTML in it."""
    answer = "# your function raised ValueError: <img src=x onerror=alert(1)> ![a](https://example.org/a.png)"
    check = CheckResult("double.1", 15, 0.0, "arrays", "wrong", example=f"double(1)\n# must give 2\n{answer}")
    cause = "cell 1 (`<script>alert(1)</script> [x](javascript:alert(1))`) needs what is not here"
    result = ExerciseResult("double", "Twice", (check,), cause)
    judged = Judged(Report("toy", GRADED, (result,), max_score=15.0))
    (told,) = (e.comment for e in entries(Submission(()), judged, handout) if e.grade_id == "double")
    assert "must give 2" in told
    for bad in ("onerror", "https://example.org", "<script", "javascript:", "!["):
        assert bad not in told
    assert "onerror" in in_words(result)  # in the graded notebook it is the text of an output
