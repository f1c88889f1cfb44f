"""`{explorable} name`: one interactive figure, with a still picture where scripts do not run.

The directive's content is the still picture (an ordinary figure with alternative text). The script
`_static/explorables/<name>.js` replaces it; `_static/explorables/explorable.js` is the shared helper.
Both are classic scripts, so a page works when opened from a folder.

    :::{explorable} ising
    :title: The lattice at a temperature you choose
    ```{glue:figure} ising_poster
    :alt: What the still picture shows.
    ```
    :::
"""

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


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
        return [figure]


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


def open_plain(writer: Any, node: explorable) -> None:
    """Other builders show the still picture."""


def add_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """A page loads the helper and the scripts of its own figures, nothing else."""
    names = [node["name"] for node in doctree.findall(explorable)] if doctree is not None else []
    for file in ["explorable", *names] if names else []:
        app.add_js_file(f"explorables/{file}.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    plain = (open_plain, open_plain)
    app.add_node(explorable, html=(open_explorable, close_explorable), latex=plain, text=plain)
    app.add_directive("explorable", Explorable)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
