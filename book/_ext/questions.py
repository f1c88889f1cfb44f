"""`{predict}`: a question to answer before you read on, checked in the page.

    :::{predict}
    :choices: rises | falls
    :answer: falls

    The question, in one sentence or two.
    ---
    The explanation, shown with the answer.
    :::

An `:answer:` is one of the `:choices:`, or a number that counts as right within `:tolerance:`. The script
`_static/questions.js` turns the choices into radio buttons, or shows a field for a number, and *Check* compares;
nothing is counted or kept. Without scripts the answer is folded below the question. A printed page has the
questions at their places and the answers at its end. The tasks of interactive figures are such questions too.
"""

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SPLIT = "---"  # between a question and its explanation


class question(nodes.container):
    """Two containers: the question and the explanation."""


class printed_answer(nodes.container):
    """The answer and the explanation once more, at the end of a printed page."""


class Question(SphinxDirective):
    """Reads answer, choices and explanation; stops the build where no prediction could be right."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "answer": directives.unchanged_required,
        "choices": directives.unchanged_required,
        "tolerance": float,
    }

    def asked(self, title: str, kind: str, **attributes: Any) -> question:
        options, lines = self.options, list(self.content)
        if "answer" not in options or SPLIT not in lines:
            raise self.error(
                f"{kind} {title!r} needs an :answer:, and {SPLIT} between question and explanation"
            )
        choices = [choice.strip() for choice in options["choices"].split("|")] if "choices" in options else []
        if choices and options["answer"] not in choices:
            raise self.error(f"{kind} {title!r}: the answer {options['answer']!r} is none of {choices}")
        if not choices and not _is_number(options["answer"]):
            raise self.error(
                f"{kind} {title!r}: the answer {options['answer']!r} is no number; give :choices:"
            )
        middle = lines.index(SPLIT)
        parts = nodes.container(), nodes.container()
        for holder, part in zip(parts, (lines[:middle], lines[middle + 1 :]), strict=True):
            self.state.nested_parse(StringList(part), self.content_offset, holder)
        return question(
            "",
            *parts,
            title=title,
            kind=kind,
            answer=options["answer"],
            choices=choices,
            tolerance=options.get("tolerance", 0.0),
            **attributes,
        )


class Predict(Question):
    def run(self) -> list[nodes.Node]:
        number = self.env.temp_data.get("predictions", 0) + 1
        self.env.temp_data["predictions"] = number
        return [self.asked(f"Question {number}", "predict")]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(answer: str) -> str:
    """The answer as the page shows it, with a minus sign where it is a negative number."""
    return answer.replace("-", "−") if _is_number(answer) else answer


def gather(app: Sphinx, doctree: nodes.document) -> None:
    """Put the answers of a page's predictions at its end, where only a printer shows them."""
    asked = [node for node in doctree.findall(question) if node["kind"] == "predict"]
    if not asked:
        return
    answers = []
    for node in asked:
        copies = [child.deepcopy() for child in node.children[1].children]
        for part in (part for copy in copies for part in copy.findall(nodes.Element)):
            part["ids"], part["names"] = [], []
        answers.append(printed_answer("", *copies, title=node["title"], answer=node["answer"]))
    end = nodes.container("", nodes.rubric("", "Answers"), *answers, classes=["printed-answers"])
    next(iter(doctree.findall(nodes.section))).append(end)


def write_question(writer: Any, node: question) -> None:
    """The question, its choices, and the folded answer; `questions.js` finds what it needs in the attributes."""
    escape = writer.attval
    state = f' data-try="{escape(node["state"])}"' if node.get("state") else ""
    writer.body.append(
        f'<div class="question question-{node["kind"]}" data-answer="{escape(node["answer"])}"'
        f' data-tolerance="{node["tolerance"]:g}"{state}>\n'
        f'<p class="question-title">{writer.encode(node["title"])}</p>\n'
        '<div class="question-text">\n'
    )
    text, explanation = node.children
    for child in text.children:
        child.walkabout(writer)
    items = "".join(f"<li>{writer.encode(choice)}</li>" for choice in node["choices"])
    writer.body.append(f'<ul class="question-choices">{items}</ul>\n' if items else "")
    writer.body.append(
        '</div>\n<details class="question-answer"><summary>Answer</summary>\n'
        f"<p><strong>{writer.encode(shown(node['answer']))}</strong></p>\n"
    )
    for child in explanation.children:
        child.walkabout(writer)
    writer.body.append("</details>\n</div>\n")
    raise nodes.SkipNode


def open_printed_answer(writer: Any, node: printed_answer) -> None:
    writer.body.append(
        f'<div class="printed-answer"><p><strong>{writer.encode(node["title"])}: '
        f"{writer.encode(shown(node['answer']))}</strong></p>\n"
    )


def close_printed_answer(writer: Any, node: printed_answer) -> None:
    writer.body.append("</div>\n")


def open_plain(writer: Any, node: nodes.container) -> None:
    """Other builders show the question and the explanation."""


def add_script(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if doctree is not None and any(doctree.findall(question)):
        app.add_js_file("questions.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    plain = (open_plain, open_plain)
    app.add_node(question, html=(write_question, None), latex=plain, text=plain)
    app.add_node(printed_answer, html=(open_printed_answer, close_printed_answer), latex=plain, text=plain)
    app.add_directive("predict", Predict)
    app.connect("doctree-read", gather)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
