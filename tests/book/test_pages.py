"""The built site, read as files: complete, self-contained, described, and without secrets."""

import ast
import builtins
import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from html import unescape
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jupytext
import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from pybtex.database import Entry, Person
from sphinx.errors import ExtensionError

from autograder.exercises.catalogue import available_assignments

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
LOADS = re.compile(
    r'<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)\s*=\s*"([^"]*)"'
    r'|<link\b[^>]*?\bhref\s*=\s*"([^"]*)"'
)


def extension(name: str) -> ModuleType:
    """A module of book/_ext, loaded under its own name where no other module has it."""
    folder = str(ROOT / "book" / "_ext")
    if folder not in sys.path:
        sys.path.append(folder)
    path = ROOT / "book" / "_ext" / f"{name}.py"
    module = importlib.import_module(name)
    if module.__file__ == str(path):
        return module
    spec = importlib.util.spec_from_file_location(f"book_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHAPTERS = extension("chapters").chapters(ROOT)


def test_the_chapters_are_found_and_not_listed(tmp_path: Path) -> None:
    assert sorted(CHAPTERS) == available_assignments()
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    (tmp_path / "_toc.yml").write_text(contents.replace("book/mcmc", "book/chains"))
    with pytest.raises(ExtensionError, match=r"no page for the assignment mcmc: add book/mcmc"):
        extension("chapters").chapters(tmp_path)


def test_every_expected_page_is_there_and_every_chapter_complete(site: Path) -> None:
    shortfalls = extension("completeness").shortfalls(site, CONFIG["course_expected_pages"], CHAPTERS)
    assert shortfalls == []


def test_a_page_that_lacks_something_is_reported_by_name(site: Path, tmp_path: Path) -> None:
    completeness = extension("completeness")
    copy = tmp_path / "site"
    (copy / "book").mkdir(parents=True)
    page = (site / "book" / "ising.html").read_text(encoding="utf-8")
    (copy / "book" / "ising.html").write_text(
        page.replace('class="explorable"', "")
        .replace(' alt="', ' title="')
        .replace("<h1", "<h2")
        .replace("solution dropdown", "solution")
        .replace("proof admonition", "admonition")
        .replace("What can go wrong", "What goes well"),
        encoding="utf-8",
    )
    found = "\n".join(completeness.shortfalls(copy, ["book/index"], ["ising"]))
    for complaint in (
        "book/index: no page",
        "0 headings of the first level",
        "0 explorables",
        "0 solutions",
        "0 proofs",
        "no part called 'What can go wrong'",
        "no description of the image",
        "downloads/ising.ipynb: no file",
    ):
        assert complaint in found


def test_no_page_names_a_script_style_font_or_image_elsewhere(site: Path, pages: list[Path]) -> None:
    found = [
        (str(page), address)
        for page in pages
        for match in LOADS.finditer((site / page).read_text(encoding="utf-8"))
        for address in match.groups()
        if address and re.match(r"(?:https?:)?//", address)
    ]
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8", errors="replace")
        found += [
            (str(style), address)
            for address in re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')]+)", text)
        ]
    assert found == []


def test_every_local_link_leads_to_a_file_and_an_anchor(site: Path, pages: list[Path]) -> None:
    texts = {page: (site / page).read_text(encoding="utf-8") for page in pages}
    ids = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in texts.items()}
    broken = []
    for page, text in texts.items():
        for link in re.findall(r'<a\b[^>]*?\bhref="([^"]*)"', text):
            address, _, anchor = unescape(link).partition("#")
            if re.match(r"[a-z]+:", address):
                continue
            target = (site / page.parent / address).resolve() if address else (site / page).resolve()
            if not target.exists() or (
                anchor and target.suffix == ".html" and anchor not in ids[target.relative_to(site.resolve())]
            ):
                broken.append((str(page), link))
    assert broken == []


def test_every_figure_has_its_own_meaningful_description_and_a_caption(site: Path) -> None:
    for chapter in CHAPTERS:
        text = (site / "book" / f"{chapter}.html").read_text(encoding="utf-8")
        article = text[text.index("<article") : text.index("</article")]
        light = [
            unescape(alt)
            for tag in re.findall(r"<img\b[^>]*>", article)
            if "on-dark" not in tag
            for alt in re.findall(r'alt="([^"]*)"', tag)
        ]
        assert len(light) == len(set(light)) == len(re.findall("<figcaption", article))
        assert all(len(alt.split()) >= 8 and not re.search(r"_images|\.svg|\.png", alt) for alt in light)


def test_every_figure_has_a_dark_partner_of_another_colour_and_the_same_shape(site: Path) -> None:
    pairs = [(path, path.with_name(f"{path.stem}-dark.svg")) for path in (site / "_images").glob("*.svg")]
    pairs = [(light, dark) for light, dark in pairs if not light.stem.endswith("-dark")]
    assert len(pairs) >= 5
    figures = extension("figures")
    for_light_pages = set(figures.LIGHT.values()) - set(figures.DARK.values())
    assert figures.INK in for_light_pages
    drawn = 0
    for light, dark in pairs:
        ink, paper = light.read_text(encoding="utf-8"), dark.read_text(encoding="utf-8")
        # A figure of nothing but pictures has no ink of ours, and is right on either page.
        drawn += any(colour in ink for colour in for_light_pages)
        assert not [colour for colour in for_light_pages if colour in paper]
        assert re.sub(r"#[0-9a-f]{6}", "#", ink) == re.sub(r"#[0-9a-f]{6}", "#", paper)
    assert drawn >= len(pairs) - 5


def relative_luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("palette", "paper"), [("LIGHT", "#ffffff"), ("DARK", "#121212")])
def test_the_palette_contrasts_with_the_page(palette: str, paper: str) -> None:
    for role, colour in getattr(extension("figures"), palette).items():
        high, low = sorted((relative_luminance(colour), relative_luminance(paper)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= (1.2 if role == "grid" else 4.5), (role, colour)


@pytest.mark.parametrize(
    ("value", "spec", "shown"),
    [(-2.5, ".1f", "−2.5"), (9.1e-16, ".0e", "9 · 10⁻¹⁶"), (3e10, ".1e", "3.0 · 10¹⁰"), (0.0, ".0e", "0")],
)
def test_numbers_in_the_prose_are_set_as_in_print(value: float, spec: str, shown: str) -> None:
    assert extension("figures").readable(value, spec) == shown


def test_a_formula_keeps_its_comma_and_its_number(site: Path) -> None:
    together = extension("kept_together").TOGETHER
    formula = r'<span class="math notranslate nohighlight">\(%s\)</span>'
    assert together.fullmatch(formula % "Z" + ".")
    assert together.fullmatch(formula % "J =" + ' <span class="pasted-text">0.34</span>,')
    assert together.fullmatch("6.6 · 10⁻³")
    assert not together.search(formula % "Z" + " is")
    assert not together.search(formula % ("x + " * 20) + ".")
    assert 'class="kept-together"' in (site / "book" / "ising.html").read_text(encoding="utf-8")


def test_pages_on_grading_are_read_again_when_the_grader_or_its_results_change(tmp_path: Path) -> None:
    pages = {"forced": "executed: anew", "cached": "a page"}
    for name, text in pages.items():
        (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
    app = SimpleNamespace(srcdir=tmp_path)
    env = SimpleNamespace(found_docs=set(pages), doc2path=lambda page: str(tmp_path / f"{page}.md"))
    outdated = extension("course_pages").reread_pages_on_grading
    assert outdated(app, env) == ["forced"]
    assert outdated(app, env) == []
    for changed in ("autograder/checks/ising.py", "benchmarks/results/selftest_ising.json"):
        (tmp_path / changed).parent.mkdir(parents=True)
        (tmp_path / changed).touch()
        (tmp_path / changed).write_text("1", encoding="utf-8")
        assert outdated(app, env) == ["forced"]
        assert outdated(app, env) == []


def test_every_page_is_read_again_when_a_style_or_a_script_changes(tmp_path: Path) -> None:
    style = tmp_path / "book" / "_static" / "live" / "live.css"
    style.parent.mkdir(parents=True)
    style.write_text("p { color: black }", encoding="utf-8")
    app = SimpleNamespace(srcdir=tmp_path, config=SimpleNamespace(html_static_path=["book/_static"]))
    env = SimpleNamespace(found_docs={"one", "another"})
    outdated = extension("course_pages").reread_pages_on_styles
    assert outdated(app, env) == ["another", "one"]
    assert outdated(app, env) == []
    style.write_text("p { color: navy }", encoding="utf-8")
    assert outdated(app, env) == ["another", "one"]
    assert outdated(app, env) == []


def test_a_work_without_authors_is_cited_by_its_editors() -> None:
    entry = Entry(
        "book", fields={"year": "2011"}, persons={"editor": [Person("Brooks, S."), Person("Meng, X.")]}
    )
    data = SimpleNamespace(data=SimpleNamespace(entries={"handbook": entry}))
    app = SimpleNamespace(env=SimpleNamespace(get_domain=lambda _: SimpleNamespace(bibdata=data)))
    assert extension("downloads").citation(app, "cite:t", "handbook") == "Brooks and Meng (2011)"


def code_lines(text: str) -> set[str]:
    """Lines that hold code worth hiding: longer than 25 characters, not a comment, not an import."""
    lines = {line.strip() for line in text.splitlines()}
    return {
        line for line in lines if len(line) > 25 and not line.startswith(("#", "import ", "from ", '"""'))
    }


def solution_lines() -> set[str]:
    secret: set[str] = set()
    public: set[str] = (
        set()
    )  # what students are given, stubs among it, the library, and the toy that a page teaches with
    for source in (ROOT / "solutions").glob("*.py"):
        blocks = re.findall(BLOCK, source.read_text(encoding="utf-8"))
        assert blocks, f"{source.name} has no solution to hide"
        secret |= code_lines("\n".join(blocks))
        public |= code_lines(re.sub(BLOCK, "", source.read_text(encoding="utf-8")))
    for source in (ROOT / "autograder" / "checks").rglob("*.py"):
        secret |= code_lines(source.read_text(encoding="utf-8"))
    for source in (ROOT / "ebmkit").rglob("*.py"):
        public |= code_lines(source.read_text(encoding="utf-8"))
    public |= code_lines((ROOT / "autograder" / "authoring" / "toy.py").read_text(encoding="utf-8"))
    return secret - public


BLOCK = re.compile(r"### BEGIN SOLUTION(.*?)### END SOLUTION", re.DOTALL)


def readable_text(path: Path) -> str:
    """The text of a file of the site, of an archive's members too."""
    if path.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(path) as archive:
            return "\n".join(archive.read(name).decode(errors="replace") for name in archive.namelist())
    if path.suffix == ".ipynb":
        return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    text = path.read_text(encoding="utf-8", errors="replace")
    return unescape(re.sub(r"</?span[^>]*>|</?code[^>]*>", "", text)) if path.suffix == ".html" else text


@pytest.mark.slow
def test_no_line_of_a_solution_or_a_hidden_check_is_in_the_site(site: Path) -> None:
    secret = solution_lines()
    assert secret, "no solutions and no checks were found, so this test would see no leak"
    leaks = []
    for path in site.rglob("*"):
        theirs = {"mathjax", "styles", "scripts", "vendor"} & set(path.relative_to(site).parts)
        if path.is_file() and not theirs and path.suffix not in (".svg", ".png", ".woff2", ".ttf", ".inv"):
            text = readable_text(path).replace('\\"', '"')
            leaks += [(str(path.relative_to(site)), line) for line in secret if line in text]
    assert leaks == []


def test_the_leak_test_would_notice_a_leak(site: Path, tmp_path: Path) -> None:
    line = "labels_of_every_pixel = torch.where(energies < best, 1, 0)"
    page = tmp_path / "page.html"
    page.write_text(
        "<pre><span class='n'>labels_of_every_pixel</span> = torch.where(energies &lt; best, 1, 0)</pre>"
    )
    assert line in code_lines(line)
    assert line in readable_text(page)


def test_the_sources_of_the_pages_are_not_published(site: Path) -> None:
    published = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert not any(name.startswith("_sources/") or name.endswith((".md", ".py")) for name in published)
    assert not any(name.startswith(("solutions", "autograder", "tests")) for name in published)


def test_nothing_tells_a_student_to_install_the_library_by_its_name(site: Path, pages: list[Path]) -> None:
    commands = [
        (str(page), command)
        for page in pages
        for command in re.findall(r"pip install[^\n<]*", readable_text(site / page))
    ]
    assert any("./ebm_course-" in command for _, command in commands)
    assert not [
        entry for entry in commands if re.search(r"install\s+(?:ebmkit|ebm-course|ebm_course)\b", entry[1])
    ]


def test_every_command_that_the_book_names_exists() -> None:
    text = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`autograder (\w+)", text))
    assert {"release", "grade", "feedback", "export"} <= named
    command = [str(Path(sys.executable).with_name("autograder")), "--help"]
    usage = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    known = set(re.findall(r"^\W*(\w+)\s", usage.split("Commands", 1)[1], re.MULTILINE))
    assert named <= known


def test_the_downloads_that_a_page_links_are_the_ones_that_were_built(site: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheel = f"ebm_course-{project['version']}-py3-none-any.whl"
    for chapter in CHAPTERS:
        page = (site / "book" / f"{chapter}.html").read_text(encoding="utf-8")
        for name in (f"{chapter}.ipynb", f"{chapter}.zip", wheel):
            assert (f'href="../downloads/{name}"' in page) == (site / "downloads" / name).exists()
        assert (site / "downloads" / f"{chapter}.ipynb").exists()


def downloaded(site: Path, chapter: str) -> Any:
    return nbformat.read(site / "downloads" / f"{chapter}.ipynb", as_version=4)


def codes(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def students_library(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ebmkit` as the wheel has it that a page links, far from the repository."""
    folder = tmp_path_factory.mktemp("library")
    (wheel,) = (site / "downloads").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_as_a_notebook_has_no_markup_of_the_book(site: Path, chapter: str) -> None:
    for cell in downloaded(site, chapter).cells:
        if cell.cell_type == "markdown":
            assert not re.search(
                r"\{[\w:]+\}`|\*(?:ising|fig|def|thm|ex) |^:{3,}|^\([\w-]+\)=", cell.source, re.MULTILINE
            ), cell.source


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_as_a_notebook_is_the_code_that_ran_when_the_book_was_built(
    site: Path, chapter: str
) -> None:
    """It need not run a second time: a build ends at a cell that fails, and no cell reads a file of the book."""
    assert CONFIG["nb_execution_raise_on_error"]
    ran = nbformat.read(site.parent / "jupyter_execute" / "book" / f"{chapter}.ipynb", as_version=4)
    plain = extension("plain_notebooks")
    style = (ROOT / "book" / "_ext" / "figures.py").read_text(encoding="utf-8")
    expected = [plain.STYLE_IMPORT.sub(lambda _: style, source) for source in codes(ran)]
    notebook = codes(downloaded(site, chapter))
    left_out = [source for source in expected if source not in notebook]
    assert notebook == [source for source in expected if source not in left_out]
    assert len(left_out) == {"contrastive_divergence": 1, "boltzmann_machines": 2}.get(chapter, 0)
    readers = {"open", "Path", "__file__", "read_text", "read_bytes", "load", "loadtxt", "imread", "fromfile"}
    bound = {*dir(builtins), "__name__"}
    for source in notebook:
        nodes = list(ast.walk(ast.parse(source)))
        names = {getattr(node, "id", getattr(node, "attr", None)) for node in nodes}
        assert names & readers == set(), source
        read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        bound |= {
            node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        }
        bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        named = (ast.FunctionDef, ast.ClassDef, ast.ExceptHandler)
        bound |= {node.name for node in nodes if isinstance(node, named) and node.name}
        bound |= {(node.asname or node.name).split(".")[0] for node in nodes if isinstance(node, ast.alias)}
        assert read - bound == set(), source


BEGUN_WITHOUT_THE_BOOK = """
import ast, json, pathlib, sys
library, *notebooks = sys.argv[1:]
sys.path.insert(0, library)
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for path in notebooks:
    cells = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["cells"]
    first, *rest = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    shell.reset(new_session=True)
    shell.run_cell(first).raise_error()
    for node in [node for source in rest for node in ast.parse(source).body]:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            shell.run_cell(ast.unparse(node)).raise_error()
    print(json.dumps([sys.modules["ebmkit"].__file__, "figures" in sys.modules, sorted(shell.user_ns)]))
"""


@pytest.mark.slow
def test_every_chapter_as_a_notebook_finds_what_it_imports_without_the_book(
    site: Path, students_library: Path, tmp_path: Path
) -> None:
    paths = [str(site / "downloads" / f"{chapter}.ipynb") for chapter in CHAPTERS]
    command = [sys.executable, "-I", "-c", BEGUN_WITHOUT_THE_BOOK, str(students_library), *paths]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(lines) == len(CHAPTERS)
    for chapter, line in zip(CHAPTERS, lines):
        library, with_the_books_module, names = json.loads(line)
        assert (Path(library).is_relative_to(students_library), with_the_books_module) == (True, False)
        page = (ROOT / "book" / f"{chapter}.md").read_text(encoding="utf-8")
        (imported,) = re.findall(r"^from figures import (.*)$", page, re.MULTILINE)
        assert set(imported.split(", ")) <= set(names)


@pytest.mark.slow
def test_a_chapter_as_a_notebook_runs_from_its_first_cell_to_its_last_without_the_book(
    site: Path, students_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(students_library))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in the book: two threads on two busy cores are slower
    notebook = downloaded(site, "exponential_families")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [
        *range(1, len(codes(notebook)) + 1)
    ]


def test_the_code_of_every_page_passes_the_linter(tmp_path: Path) -> None:
    for page in (ROOT / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        if "{code-cell}" in text:
            notebook = jupytext.reads(text, fmt="md:myst")
            code = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
            (tmp_path / f"{page.stem}.py").write_text(code + "\n", encoding="utf-8")
    assert list(tmp_path.glob("*.py"))
    options = ["--config", str(ROOT / "pyproject.toml"), "--line-length", "92"]  # what fits on a page
    command = [sys.executable, "-m", "ruff", "check", *options, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_prose_avoids_the_words_the_style_forbids() -> None:
    for page in (ROOT / "book").glob("*.md"):
        prose = re.sub(r"```\{code-cell\}.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.findall(r"\b(?:obviously|simply|just)\b", prose, re.IGNORECASE), page.name
