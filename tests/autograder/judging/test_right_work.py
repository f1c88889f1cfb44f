"""Right work keeps its points as the world writes it: what the grader's environment lacks, when names change,
where code stands, what values are called, and however busy the machine is.
"""

import copy
import dataclasses
import json
import os
import subprocess
import sys

import pytest

from autograder.exercises.attempt import LocalAttempt
from autograder.exercises.exercise import Assignment, Exercise
from autograder.judging.judge import judge
from autograder.sandbox.limits import Limits
from autograder.sandbox.worker import warm

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]

RIGHT = "def double(x):\n    return 2 * np.asarray(x)"


def grade(sandbox, toy, data, **limits):
    return judge(data, toy, sandbox, b"key", Limits(**limits)).report


def with_tests(data, *places, **changes):
    """The notebook with the cells at `places` marked as the tests of `double`, and others changed."""
    tree = json.loads(data)
    for place in places:
        marks = {"grade": True, "solution": False, "grade_id": "double-tests", "points": 15}
        tree["cells"][place]["metadata"]["nbgrader"] = marks
    return json.dumps(tree).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "import seaborn as sns; sns.set_theme()",
        "from google.colab import drive; drive.mount('/content/drive')",
        "%load_ext nb_black",
        "%matplotlib widget",
        "import matplotlib; matplotlib.use('TkAgg')",
        "import matplotlib.pyplot as plt; plt.style.use('seaborn')",
        "import os; os.chdir('/content')",
        "import urllib.request; urllib.request.urlretrieve('https://example.org/x', 'x')",
        "name = input('name? ')",
        "from itertools import batched, chain; chain",
        "import json, torchvision, math; math.pi, json.dumps(1)",
        "data = open('/kaggle/input/data.csv').read(); rows = data.split()",
        "get_ipython().kernel.do_shutdown(True)",
        "!no-such-command",
        "%%time\nimport seaborn",
        "import faulthandler; faulthandler.enable()",
        "import sys; sys.stdout.encoding.lower(); sys.stdout.reconfigure(encoding='utf-8'); sys.stderr.fileno()",
        "import sys; sys.stdout.buffer.write(b'bytes'); sys.stdout.flush()",
        "import torch; x = torch.zeros(1).cuda()",
    ],
)
def test_a_line_that_needs_what_is_not_here_takes_nothing_with_it(sandbox, toy, notebook, line):
    report = grade(sandbox, toy, notebook(f"{line}\nimport numpy as np\n{RIGHT}"))
    assert report.score == 15, report.notes


def test_the_card_names_first_the_line_that_needs_what_is_not_here(sandbox, toy, notebook):
    source = "import numpy as np\nimport seaborn as sns\ndef double(x):\n    return sns.twice(x)"
    report = grade(sandbox, toy, notebook(source))
    (exercise,) = report.exercises
    assert report.score == 0
    assert "line 2 (`import seaborn as sns`)" in exercise.cause
    assert "No module named 'seaborn'" in exercise.cause
    assert "does not have" in exercise.checks[0].message


def test_a_students_own_error_ends_its_cell_as_in_jupyter(sandbox, toy, notebook):
    report = grade(sandbox, toy, notebook(f"import numpy as np\n1 / 0\n{RIGHT}"))
    assert report.score == 0
    assert "did not run to its end: ZeroDivisionError" in report.exercises[0].cause


@pytest.mark.sandbox
def test_a_cell_below_a_function_is_not_blamed_for_its_nameerror(toy, sandbox, notebook):
    function, long = "def double(x): return missing(x)", f"raise ValueError({'x' * 5000!r})"
    below = judge(notebook(function, long), toy, sandbox, b"key").report.exercises[0]
    above = judge(notebook(long, function), toy, sandbox, b"key").report.exercises[0]
    assert below.cause == ""
    assert above.cause.startswith("cell 1 did not run to its end: ValueError: xxx")
    assert len(above.cause) < 400


def test_a_misspelt_function_is_named(sandbox, toy, notebook):
    report = grade(sandbox, toy, notebook("def doubles(x): return 2 * x"))
    assert "cell 1 defines `doubles`" in report.exercises[0].cause


@pytest.mark.parametrize(
    "newer",
    [
        "def first[T](x: T) -> T:\n    return x",
        "type Pair = tuple[int, int]",
        'x = {"a": 1}; print(f"{x["a"]}")',
    ],
)
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python has the syntax")
def test_syntax_newer_than_the_graders_is_told_with_both_versions(sandbox, toy, notebook, newer):
    report = grade(sandbox, toy, notebook(f"import numpy as np\n{newer}\n{RIGHT}"))
    assert report.score == 15
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert any(f"needs Python 3.12; grading runs {version}" in note for note in report.notes)


@pytest.mark.parametrize(
    "later",
    [
        "np = 5",
        "%reset -f",
        "def double(x): return x",
        "del double",
        "factor[:] = [9]",
        "np.seterr(all='raise')",
    ],
)
def test_an_exercise_counts_as_it_stood_when_its_tests_ran(sandbox, toy, notebook, later):
    body = "def double(x):\n    np.exp(np.full(2, -1e4))\n    return np.asarray(x) * factor[0]"
    data = notebook("import numpy as np\nfactor = [2]", body, "assert double(2) == 4", later)
    report = grade(sandbox, toy, with_tests(data, 2))
    assert report.score == 15, report.notes
    assert any("as it stood when its tests ran" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_an_answer_in_a_cell_of_another_type_is_run(sandbox, toy, notebook, kind):
    tree = json.loads(notebook("import numpy as np", RIGHT))
    tree["cells"][1]["cell_type"] = kind
    report = grade(sandbox, toy, json.dumps(tree).encode())
    assert report.score == 15
    assert "cell 2 is no code cell, but defines double: it was run as code" in report.notes


def test_an_answer_in_the_tests_cell_is_run_and_the_tests_are_not(sandbox, toy, notebook):
    data = notebook("import numpy as np", f"{RIGHT}\nassert False, 'a test'")
    report = grade(sandbox, toy, with_tests(data, 1))
    assert report.score == 15
    assert "cell 2 holds tests and code of yours: its definitions were run" in report.notes


@pytest.mark.slow
@pytest.mark.parametrize(
    "threads",
    [
        "import torch; torch.set_num_threads(2); torch.randn(400, 400) @ torch.randn(400, 400)",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(2); pool.submit(int).result()",
    ],
)
def test_threads_that_a_notebook_started_do_not_hang_its_checks(sandbox, toy, notebook, threads):
    body = (
        "def double(x):\n    if 'pool' in globals(): return pool.submit(lambda: 2 * x).result()\n"
        "    import torch\n    torch.randn(400, 400) @ torch.randn(400, 400)\n    return 2 * x"
    )
    quick = Limits(cell_seconds=20)
    report = judge(notebook(threads, body), toy, sandbox, b"key", quick).report
    assert report.score == 15, report


VALUES = [
    "(2 * x).astype(np.longdouble)",
    "np.array([Fraction(float(v)) for v in 2 * x], dtype=object)",
    "[Decimal(float(v)) for v in 2 * x]",
    "type('Mine', (list,), {})((2 * x).tolist())",
    "namedtuple('Three', 'a b c')(*(2 * x))",
    "torch.as_tensor(2 * x).to_sparse()",
    "torch.nn.Parameter(torch.as_tensor(2 * x))",
]


@pytest.mark.slow
@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_taken_for_what_it_means(sandbox, toy, notebook, value):
    if "Three" in value:
        value = f"({value}) if len(x) == 3 else 2 * x"
    source = (
        "import numpy as np, torch\nfrom collections import namedtuple\nfrom fractions import Fraction\n"
        f"from decimal import Decimal\ndef double(x): return {value}"
    )
    assert grade(sandbox, toy, notebook(source)).score == 15


def test_our_own_answers_may_use_the_same_values(toy):
    exercise = toy.exercises[0]
    import numpy as np

    for check in exercise.checks:
        LocalAttempt.passes(exercise, check, lambda x: (2 * x).astype(np.longdouble), seed=1)


@pytest.mark.slow
def test_how_busy_the_machine_is_decides_nothing(sandbox, toy, notebook):
    work = (
        "import numpy as np, time\ndef double(x):\n    end = time.process_time() + 0.4\n"
        "    while time.process_time() < end: pass\n    return 2 * x"
    )
    hogs = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))
    ]
    try:
        report = grade(sandbox, toy, notebook(work))
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert report.score == 15, report


def test_work_in_other_processes_counts_too(sandbox, toy, notebook):
    quick = Assignment("toy", (Exercise("double", "t", toy.exercises[0].reference),))
    quick.exercises[0].checks = [dataclasses.replace(toy.exercises[0].checks[0], seconds=0.3)]
    source = (
        "import os, time\ndef double(x):\n    if os.fork() == 0:\n        while True: pass\n"
        "    os.wait()\n    return 2 * x"
    )
    report = grade(sandbox, quick, notebook(source))
    assert report.score == 0
    assert "seconds of processor time" in report.exercises[0].checks[0].message


def test_a_cell_that_is_stopped_leaves_no_half_imported_module(sandbox):
    session = sandbox.start()
    session.run_cell(
        "import sys, os\nos.makedirs('/tmp/here/slow', exist_ok=True)\nsys.path.insert(0, '/tmp/here')\n"
        "open('/tmp/here/slow/part.py', 'w').write('x = 1')\n"
        "code = 'import slow.part, os\\nwhile not os.path.exists(\"/tmp/go\"): pass'\n"
        "open('/tmp/here/slow/__init__.py', 'w').write(code)",
        10,
    )
    assert session.run_cell("import slow", 0.3)["error"]["late"]
    answer = session.run_cell("open('/tmp/go', 'w').close()\nimport slow\nprint(slow.part.x)", 10)
    assert answer["stdout"] == "1\n"


@pytest.mark.slow
def test_the_first_use_of_a_large_library_costs_a_student_nothing(sandbox, toy, notebook):
    """Half a second is less than torch takes to load, and than its derivatives do when they are first taken."""
    quick = copy.copy(toy.exercises[0])
    quick.checks = [dataclasses.replace(check, seconds=0.5) for check in quick.checks]
    answer = (
        "def double(x):\n    import torch\n    from torch.func import jacrev\n"
        "    return torch.diagonal(jacrev(lambda y: y * y)(torch.as_tensor(x, dtype=torch.float64)))"
    )
    imports = (
        "import sys\nprint('torch' in sys.modules)\nimport matplotlib.pyplot, scipy.stats\nscipy.optimize"
    )
    judged = judge(
        notebook(imports, answer), Assignment("toy", (quick,)), sandbox, b"a key", Limits(cell_seconds=0.5)
    )
    assert judged.report.score == 15
    assert (judged.outputs[0].stdout, judged.outputs[0].error) == ("True\n", "")


def test_a_notebook_is_given_the_libraries_that_it_names_and_no_others():
    assert warm.named("import numpy as np\nx = 'torch and scipy'  # no pandas") == []
    assert warm.named("import numpy, torch\nfrom scipy import stats") == ["torch", "scipy", "scipy.stats"]
    assert warm.named("__import__('torch').func.jacrev(f)") == ["torch", "torch.func"]
    assert all(warm.named(f"import {name}") for name in ("torch", "scipy.stats", "pandas", "matplotlib"))
