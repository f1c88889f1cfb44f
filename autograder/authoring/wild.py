"""Right notebooks as the world writes them: no transformation here may cost a point.

The opposite of `hostile.py`. Each does to a solved notebook what a tool, a service or a person does to theirs:
`WILD[0].applied(solution_notebook("ising"))` is such a notebook. `source` says where that is documented.
"""

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

Tree = dict[str, Any]
Change = Callable[[Tree], None]


@dataclasses.dataclass(frozen=True)
class Wild:
    """One habit: what is done to a solved notebook, and where that can be read about."""

    family: str
    name: str
    change: Change
    source: str = ""
    encode: Callable[[Tree], bytes] | None = None

    def applied(self, notebook: bytes) -> bytes:
        """The notebook's bytes after the change."""
        tree = json.loads(notebook)
        self.change(tree)
        return self.encode(tree) if self.encode else json.dumps(tree).encode()


def is_answer(cell: Tree) -> bool:
    marks = cell["metadata"].get("nbgrader", {})
    return cell["cell_type"] == "code" and marks.get("solution") is True


def is_test(cell: Tree) -> bool:
    marks = cell["metadata"].get("nbgrader", {})
    return marks.get("grade") is True and marks.get("solution") is not True


def code_cell(source: str) -> Tree:
    return {
        "cell_type": "code",
        "id": "wild",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def first_code(tree: Tree) -> int:
    return next(i for i, cell in enumerate(tree["cells"]) if cell["cell_type"] == "code")


def text_of(cell: Tree) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def above_the_imports(line: str) -> Change:
    """The line stands first in the cell that imports: whatever it takes with it is lost to every exercise."""

    def change(tree: Tree) -> None:
        cell = tree["cells"][first_code(tree)]
        cell["source"] = f"{line}\n{text_of(cell)}"

    return change


def below_the_imports(line: str) -> Change:
    def change(tree: Tree) -> None:
        cell = tree["cells"][first_code(tree)]
        cell["source"] = f"{text_of(cell)}\n{line}"

    return change


def at_the_end(source: str) -> Change:
    """A cell of the student's own after everything."""

    def change(tree: Tree) -> None:
        tree["cells"].append(code_cell(source))

    return change


def in_every_answer(edit: Callable[[str], str]) -> Change:
    def change(tree: Tree) -> None:
        for cell in filter(is_answer, tree["cells"]):
            cell["source"] = edit(text_of(cell))

    return change


def in_every_cell(edit: Callable[[Tree], None]) -> Change:
    def change(tree: Tree) -> None:
        for cell in tree["cells"]:
            edit(cell)

    return change


def returning(expression: str) -> Change:
    """Every answer's value `v` goes through an expression, as another student would have returned it."""

    def edit(tree: Tree) -> None:
        for cell in filter(is_answer, tree["cells"]):
            name = cell["metadata"]["nbgrader"]["grade_id"]
            cell["source"] = f"{text_of(cell)}\n\n{HABIT.format(expression=expression, name=name)}"

    return edit


HABIT = """\
def _habit(function):
    import collections, functools
    import numpy as np
    @functools.wraps(function)
    def habit(*arguments, **keywords):
        v = function(*arguments, **keywords)
        return {expression}
    return habit
{name} = _habit({name})"""


def with_metadata(**fields: Any) -> Change:
    def change(tree: Tree) -> None:
        tree["metadata"] |= fields

    return change


def each_cells_metadata(**fields: Any) -> Change:
    return in_every_cell(lambda cell: cell["metadata"].update(copy.deepcopy(fields)))


def renamed_kind(kind: str) -> Change:
    """The answer cells' type was changed by a slip of the keyboard (Y, M and R change it in Jupyter)."""

    def change(tree: Tree) -> None:
        for cell in filter(is_answer, tree["cells"]):
            cell["cell_type"] = kind
            cell.pop("outputs", None)
            cell.pop("execution_count", None)

    return change


def merged_into_tests(tree: Tree) -> None:
    """Each answer was merged into its tests' cell below (Shift M in Jupyter keeps one cell's metadata)."""
    cells: list[Tree] = []
    waiting = ""
    for cell in tree["cells"]:
        if is_answer(cell):
            waiting += text_of(cell) + "\n\n"
        else:
            if is_test(cell) and waiting:
                cell["source"], waiting = waiting + text_of(cell), ""
            cells.append(cell)
    tree["cells"] = cells


def merged_with_tests(tree: Tree) -> None:
    """As before, but the answer's metadata was kept."""
    cells: list[Tree] = []
    for cell in tree["cells"]:
        if is_test(cell) and cells and is_answer(cells[-1]):
            cells[-1]["source"] = text_of(cells[-1]) + "\n\n" + text_of(cell)
        else:
            cells.append(cell)
    tree["cells"] = cells


def one_cell(tree: Tree) -> None:
    """All code in one cell."""
    code = [cell for cell in tree["cells"] if cell["cell_type"] == "code"]
    tree["cells"] = [code_cell("\n\n".join(text_of(cell) for cell in code if not is_test(cell)))]


def without_tests(tree: Tree) -> None:
    tree["cells"] = [cell for cell in tree["cells"] if not is_test(cell)]


def without_text(tree: Tree) -> None:
    tree["cells"] = [cell for cell in tree["cells"] if cell["cell_type"] == "code"]


def twice(tree: Tree) -> None:
    """Every answer cell was copied, id and all."""
    tree["cells"] = [
        c for cell in tree["cells"] for c in ([cell, copy.deepcopy(cell)] if is_answer(cell) else [cell])
    ]


def stubs_before(tree: Tree) -> None:
    """The stub was kept, and the answer written into a new cell below it."""
    cells: list[Tree] = []
    for cell in tree["cells"]:
        if is_answer(cell):
            name = cell["metadata"]["nbgrader"]["grade_id"]
            stub = copy.deepcopy(cell) | {"source": f"def {name}(*arguments):\n    raise NotImplementedError"}
            cells += [stub, code_cell(text_of(cell))]
        else:
            cells.append(cell)
    tree["cells"] = cells


def lines_as_lists(tree: Tree) -> None:
    for cell in tree["cells"]:
        cell["source"] = text_of(cell).splitlines(keepends=True)


def old_format(tree: Tree) -> None:
    tree["nbformat_minor"] = 2
    for cell in tree["cells"]:
        cell.pop("id", None)


def outputs_of_all_kinds(cell: Tree) -> None:
    if cell["cell_type"] == "code":
        cell["execution_count"] = 7
        cell["outputs"] = [
            {"output_type": "stream", "name": "stdout", "text": ["a\n"] * 500},
            {
                "output_type": "display_data",
                "metadata": {},
                "data": {"application/vnd.plotly.v1+json": {"x": [None]}},
            },
            {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": ["\x1b[0;31m"]},
        ]


def typed(source: str) -> str:
    return f"from __future__ import annotations\n\n{source}"


def bare(function: Callable[[Tree], Any]) -> Change:
    def change(tree: Tree) -> None:
        function(tree)

    return change


JUPYTER = "https://jupyter-notebook.readthedocs.io/en/stable/notebook.html"
MAGICS = "https://ipython.readthedocs.io/en/stable/interactive/magics.html"
COLAB = "https://colab.research.google.com/notebooks/io.ipynb"
NBFORMAT = "https://nbformat.readthedocs.io/en/latest/format_description.html"
BACKENDS = "https://matplotlib.org/stable/users/explain/figure/backends.html"
KAGGLE = "https://www.kaggle.com/docs/notebooks"
PEP_695 = "https://peps.python.org/pep-0695/"
PEP_701 = "https://peps.python.org/pep-0701/"
CRLF = "https://git-scm.com/docs/gitattributes"

_ABSENT = [
    (
        "seaborn for the looks of figures",
        "import seaborn as sns; sns.set_theme()",
        "https://seaborn.pydata.org/tutorial/introduction.html",
    ),
    ("seaborn in a line of many", "import sys, seaborn, math", ""),
    ("Colab's drive", "from google.colab import drive\ndrive.mount('/content/drive')", COLAB),
    ("Colab's files", "from google.colab import files; uploaded = files.upload()", COLAB),
    (
        "Colab's forms",
        "#@title Imports { display-mode: 'form' }\nn = 3 #@param {type:'integer'}",
        "https://colab.research.google.com/notebooks/forms.ipynb",
    ),
    ("Colab's userdata", "from google.colab import userdata\ntoken = userdata.get('HF_TOKEN')", COLAB),
    ("a folder of Colab's", "import os; os.chdir('/content')", COLAB),
    (
        "a file of Kaggle's",
        "rows = open('/kaggle/input/rows.csv').read().split()\nn_rows = len(rows)",
        KAGGLE,
    ),
    (
        "Kaggle's walk over the inputs",
        "import os\nfor folder, _, names in os.walk('/kaggle/input'):\n    print(names)",
        KAGGLE,
    ),
    (
        "torchvision",
        "from torchvision import datasets, transforms",
        "https://pytorch.org/vision/stable/index.html",
    ),
    (
        "a data set that is downloaded",
        "import urllib.request; urllib.request.urlretrieve('https://example.org/a', 'a')",
        "https://docs.python.org/3/library/urllib.request.html",
    ),
    ("black in the notebook", "%load_ext nb_black", MAGICS),
    (
        "autoreload",
        "%load_ext autoreload\n%autoreload 2",
        "https://ipython.readthedocs.io/en/stable/config/extensions/autoreload.html",
    ),
    ("figures as widgets", "%matplotlib widget", "https://matplotlib.org/ipympl/"),
    ("figures in a window", "%matplotlib qt", MAGICS),
    ("figures in the notebook, the old way", "%matplotlib notebook", BACKENDS),
    ("a backend with a window", "import matplotlib; matplotlib.use('TkAgg')", BACKENDS),
    (
        "a style that was renamed",
        "import matplotlib.pyplot as plt; plt.style.use('seaborn')",
        "https://matplotlib.org/stable/api/prev_api_changes/api_changes_3.6.0.html",
    ),
    (
        "a parameter that does not exist",
        "import matplotlib.pyplot as plt; plt.rcParams['figure.retina'] = True",
        "",
    ),
    ("sharper figures", "%config InlineBackend.figure_format = 'retina'", MAGICS),
    (
        "a question to the user",
        "name = input('Your name: ')",
        "https://docs.python.org/3/library/functions.html#input",
    ),
    (
        "an import of Python 3.12",
        "from itertools import batched, pairwise",
        "https://docs.python.org/3/library/itertools.html#itertools.batched",
    ),
    ("a package by pip", "!pip install -q seaborn", MAGICS),
    ("a package by the magic", "%pip install seaborn", MAGICS),
    ("a package by conda", "%conda install -y seaborn", MAGICS),
    (
        "a graphics card",
        "import torch; on_card = torch.zeros(1).cuda()",
        "https://docs.pytorch.org/docs/stable/notes/cuda.html",
    ),
    (
        "a device if there is one",
        "import torch; device = 'cuda' if torch.cuda.is_available() else 'cpu'",
        "https://docs.pytorch.org/docs/stable/notes/cuda.html",
    ),
    ("the kernel's own object", "get_ipython().kernel.shell", ""),
    ("a module of the student's", "from my_helpers import plot_grid", ""),
    ("a module beside the notebook", "%run helpers.py", MAGICS),
    (
        "an environment file",
        "from dotenv import load_dotenv; load_dotenv()",
        "https://pypi.org/project/python-dotenv/",
    ),
    ("progress bars", "from tqdm.notebook import tqdm", "https://tqdm.github.io/docs/notebook/"),
    (
        "widgets",
        "import ipywidgets as widgets; slider = widgets.IntSlider(); display(slider)",
        "https://ipywidgets.readthedocs.io/en/stable/",
    ),
    ("a shell cell's directory", "%cd /content/drive/MyDrive", MAGICS),
]

_STREAMS = [
    (
        "faulthandler",
        "import faulthandler; faulthandler.enable()",
        "https://docs.python.org/3/library/faulthandler.html",
    ),
    (
        "the encoding of standard output",
        "import sys; print(sys.stdout.encoding.lower())",
        "https://docs.python.org/3/library/sys.html#sys.stdout",
    ),
    (
        "UTF-8 for standard output",
        "import sys; sys.stdout.reconfigure(encoding='utf-8')",
        "https://docs.python.org/3/library/io.html#io.TextIOWrapper.reconfigure",
    ),
    (
        "bytes on standard output",
        "import sys; sys.stdout.buffer.write(b'bytes\\n'); sys.stdout.flush()",
        "https://docs.python.org/3/library/sys.html#sys.stdout",
    ),
    (
        "standard output's descriptor",
        "import sys; assert sys.stdout.fileno() >= 0 and not sys.stdout.isatty()",
        "",
    ),
    (
        "logging",
        "import logging; logging.basicConfig(level=logging.DEBUG)",
        "https://docs.python.org/3/howto/logging.html",
    ),
    (
        "warnings as errors",
        "import warnings; warnings.simplefilter('error')",
        "https://docs.python.org/3/library/warnings.html",
    ),
]

_LATER = [
    ("a name of a library reused", "np = 5"),
    ("everything forgotten", "%reset -f"),
    ("a short name reused", "plt = rng = x = 3"),
    ("gradients switched off", "import torch; torch.set_grad_enabled(False)"),
    ("another default type", "import torch; torch.set_default_dtype(torch.float16)"),
    ("an error of one's own", "1 / 0"),
    ("an endless loop that is stopped", "while True: pass"),
    ("the end of the kernel", "import os; os._exit(0)"),
    ("the kernel's polite end", "quit()"),
    ("a warning for every number", "import numpy as np; np.seterr(all='warn')"),
    ("printing set", "import numpy as np; np.set_printoptions(precision=2)"),
    ("global seeds", "import numpy as np, random; np.random.seed(0); random.seed(0)"),
    ("builtins shadowed", "list = dict = sum = max = None"),
    (
        "a pool of threads",
        "from concurrent.futures import ThreadPoolExecutor as Pool\npool = Pool(2)\npool.submit(int).result()",
    ),
    (
        "threads for torch",
        "import torch; torch.set_num_threads(2); torch.randn(300, 300) @ torch.randn(300, 300)",
    ),
    ("a long figure", "import matplotlib.pyplot as plt\nfor _ in range(25): plt.figure()"),
]

_FILES: list[Wild] = [
    Wild(
        "the file",
        "a byte order mark",
        bare(lambda t: None),
        "",
        lambda t: b"\xef\xbb\xbf" + json.dumps(t).encode(),
    ),
    Wild(
        "the file",
        "lines that end as on Windows",
        bare(lambda t: None),
        CRLF,
        lambda t: json.dumps(t, indent=1).replace("\n", "\r\n").encode(),
    ),
    Wild(
        "the file", "carriage returns inside cells", in_every_answer(lambda s: s.replace("\n", "\r\n")), CRLF
    ),
    Wild(
        "the file",
        "characters as they are",
        bare(lambda t: None),
        NBFORMAT,
        lambda t: json.dumps(t, ensure_ascii=False).encode(),
    ),
    Wild("the file", "not a number among the metadata", with_metadata(score=float("nan")), ""),
    Wild("the file", "lists of lines", lines_as_lists, NBFORMAT),
    Wild("the file", "an older format without ids", old_format, NBFORMAT),
    Wild("the file", "every cell with one id", in_every_cell(lambda c: c.update(id="same")), NBFORMAT),
    Wild(
        "the file",
        "an unknown kernel",
        with_metadata(kernelspec={"name": "conda-env-ml", "display_name": "ml", "language": "python"}),
        NBFORMAT,
    ),
    Wild("the file", "no metadata at all", bare(lambda t: t.update(metadata={})), NBFORMAT),
    Wild("the file", "outputs of all kinds", in_every_cell(outputs_of_all_kinds), NBFORMAT),
    Wild(
        "the editor",
        "Colab's metadata",
        with_metadata(colab={"provenance": [], "gpuType": "T4"}, accelerator="GPU"),
        COLAB,
    ),
    Wild(
        "the editor",
        "Colab's cells",
        each_cells_metadata(id="x7", colab={"base_uri": "https://localhost:8080/"}, outputId="1f"),
        COLAB,
    ),
    Wild(
        "the editor",
        "VS Code's cells",
        each_cells_metadata(vscode={"languageId": "python"}),
        "https://code.visualstudio.com/docs/datascience/jupyter-notebooks",
    ),
    Wild(
        "the editor",
        "Kaggle's cells",
        each_cells_metadata(_uuid="d629", trusted=True, execution={"iopub.status.busy": "x"}),
        KAGGLE,
    ),
    Wild(
        "the editor",
        "tags, collapsed and hidden",
        each_cells_metadata(tags=["hide-input"], collapsed=True, jupyter={"source_hidden": True}),
        NBFORMAT,
    ),
    Wild(
        "the editor",
        "papermill's parameters",
        each_cells_metadata(papermill={"duration": 0.1, "status": "completed"}),
        "https://papermill.readthedocs.io/en/latest/",
    ),
]

_CELLS: list[Wild] = [
    Wild("cells", "answers turned into text", renamed_kind("markdown"), JUPYTER),
    Wild("cells", "answers turned into raw cells", renamed_kind("raw"), JUPYTER),
    Wild("cells", "answers merged into the tests", merged_into_tests, JUPYTER),
    Wild("cells", "tests merged into the answers", merged_with_tests, JUPYTER),
    Wild("cells", "everything in one cell", one_cell, JUPYTER),
    Wild("cells", "tests deleted", without_tests, JUPYTER),
    Wild("cells", "text deleted", without_text, JUPYTER),
    Wild("cells", "answers copied", twice, JUPYTER),
    Wild("cells", "stubs kept and answers below", stubs_before, JUPYTER),
    Wild("cells", "answers timed", in_every_answer(lambda s: f"%%time\n{s}"), MAGICS),
    Wild("cells", "answers' output captured", in_every_answer(lambda s: f"%%capture\n{s}"), MAGICS),
    Wild("cells", "annotations postponed", in_every_answer(typed), "https://peps.python.org/pep-0563/"),
    Wild("cells", "tabs for spaces", in_every_answer(lambda s: s.replace("    ", "\t")), ""),
    Wild("cells", "an error after the answer", in_every_answer(lambda s: f"{s}\n\nassert 1 == 2"), ""),
    Wild(
        "cells",
        "Python 3.12: type parameters",
        above_the_imports("def first[T](items: list[T]) -> T:\n    return items[0]"),
        PEP_695,
    ),
    Wild(
        "cells",
        "Python 3.12: quotes in f-strings",
        above_the_imports('config = {"n": 1}\nprint(f"{config["n"]}")'),
        PEP_701,
    ),
]

_VALUES = [
    (
        "named tuples",
        "collections.namedtuple('Found', [f'x{i}' for i in range(len(v))])(*v) if type(v) is tuple else v",
    ),
    ("lists for tuples", "list(v) if type(v) is tuple else v"),
    ("subclasses of list", "type('Mine', (list,), {})(v) if type(v) is list else v"),
    ("NumPy's own numbers", "np.float64(v) if type(v) is float else v"),
    (
        "arrays of long doubles",
        "v.astype(np.longdouble) if type(v) is np.ndarray and v.dtype == float else v",
    ),
    ("arrays of objects", "v.astype(object) if type(v) is np.ndarray and v.dtype == float else v"),
    (
        "arrays of the other byte order",
        "v.astype(v.dtype.newbyteorder()) if type(v) is np.ndarray and v.dtype == float else v",
    ),
    ("arrays that are Fortran's", "np.asfortranarray(v) if type(v) is np.ndarray else v"),
    ("arrays without dimensions", "np.array(v) if type(v) is float else v"),
    ("masked arrays", "np.ma.array(v) if type(v) is np.ndarray and v.dtype == float else v"),
]

WILD: tuple[Wild, ...] = (
    *(Wild("not here", name, above_the_imports(line), source) for name, line, source in _ABSENT),
    *(Wild("streams", name, below_the_imports(line), source) for name, line, source in _STREAMS),
    *(Wild("later", name, at_the_end(source)) for name, source in _LATER),
    *_FILES,
    *_CELLS,
    *(Wild("values", name, returning(expression)) for name, expression in _VALUES),
)
"""Every habit, from every family."""
