"""`{explorable} name`: one interactive figure, with a still picture where scripts do not run, and its tasks.

The directive's content is the still picture (an ordinary figure with alternative text), then `{task}`s: predict,
try, compare with the exact answer. The script `_static/explorables/<name>.js` replaces the picture, and
the tasks are questions that are checked in the page (see `questions`). All scripts are classic ones, so a page
works when opened from a folder.

    ::::{explorable} ising
    :title: The lattice at a temperature you choose
    ```{glue:figure} ising_poster
    :alt: What the still picture shows.
    ```

    :::{task} Below or above
    :try: T=1.5&start=up
    :choices: nearly one | nearly zero
    :answer: nearly one

    How large is |m| at T = 1.5?
    ---
    The exact answer, and why.
    :::
    ::::

A task's `:answer:` is one of its `:choices:`, or a number that counts as right within `:tolerance:`. `:try:` is
the state in which *Try it* shows the figure, as in the figure's own links.
"""

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from questions import Question, question
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HELPERS = ("explorable", "drawing")
PARTS = {  # of figures in several files
    "landing": ("ising",),
    "ising_denoiser": ("ising_denoiser_model",),
    "product_of_experts": ("product_of_experts_model",),
    "contrastive_divergence": ("contrastive_divergence_model",),
    "denoising": ("denoising_model",),
    "mcmc": ("mcmc_targets", "mcmc_chains", "mcmc_diagnostics"),
}


class explorable(nodes.container):
    """The figure in the document tree."""


class Explorable(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"title": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if "title" not in self.options:
            raise self.error(f"explorable {name!r} needs a :title:")
        if not self.content:
            raise self.error(f"explorable {name!r} needs a still picture as its content")
        figure = explorable(name=name, title=self.options["title"])
        self.state.nested_parse(self.content, self.content_offset, figure)
        if not list(figure.findall(nodes.image)):
            raise self.error(f"explorable {name!r}: the content holds no image")
        tasks = list(figure.findall(question))
        for task in tasks:
            task.parent.remove(task)
        return [figure, *_together(name, tasks)]


def _together(name: str, tasks: list[question]) -> list[nodes.Node]:
    return [nodes.container("", *tasks, classes=["explorable-tasks"], ids=[f"tasks-{name}"])] if tasks else []


class Task(Question):
    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {**Question.option_spec, "try": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        return [self.asked(self.arguments[0], "task", state=self.options.get("try", ""))]


def open_explorable(writer: Any, node: explorable) -> None:
    name, title = node["name"], writer.encode(node["title"])
    writer.body.append(
        f'<section class="explorable" id="explorable-{name}" data-explorable="{name}"'
        f' aria-labelledby="explorable-{name}-title">\n'
        f'<p class="explorable-title" id="explorable-{name}-title">{title}</p>\n'
        '<div class="explorable-poster">\n'
    )


def close_explorable(writer: Any, node: explorable) -> None:
    writer.body.append("</div>\n</section>\n")


def open_plain(writer: Any, node: nodes.container) -> None:
    """Other builders show the still picture, the questions and the explanations."""


def add_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """A page loads the helpers and the scripts of its own figures, nothing else."""
    names = [node["name"] for node in doctree.findall(explorable)] if doctree is not None else []
    parts = [part for name in names for part in (*PARTS.get(name, ()), name)]
    for file in [*HELPERS, *parts] if names else []:
        app.add_js_file(f"explorables/{file}.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    plain = (open_plain, open_plain)
    app.setup_extension("questions")
    app.add_node(explorable, html=(open_explorable, close_explorable), latex=plain, text=plain)
    app.add_directive("explorable", Explorable)
    app.add_directive("task", Task)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
