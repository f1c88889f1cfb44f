"""One submission behind the walls: its cells, and the calls that forks of its state answer."""

import contextlib
import time

import numpy as np
import pytest
from inside import run

from autograder.sandbox import session as module
from autograder.sandbox.session import Dead
from autograder.sandbox.worker import codec

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]


def test_cells_run_under_ipython_semantics_and_share_a_namespace(sandbox):
    session = sandbox.start()
    assert session.run_cell("%matplotlib inline\nx = 20\nx + 1", 10)["displays"][0]["text"] == "21"
    assert session.run_cell("print(x); _", 10)["stdout"] == "20\n"
    assert session.run_cell("!echo from the shell", 10)["stdout"] == "from the shell\n"
    assert session.run_cell("import asyncio; await asyncio.sleep(0); 3", 10)["displays"][0]["text"] == "3"


def test_a_figure_comes_back_as_a_picture(sandbox):
    answer = run(sandbox, "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()")
    assert answer["displays"][0]["png"].startswith("iVBOR")


def test_an_error_says_its_type_and_the_students_line(sandbox):
    error = run(sandbox, "x = 1\ny = x / 0")["error"]
    assert (error["type"], error["line"], error["code"]) == ("ZeroDivisionError", 2, "y = x / 0")
    assert run(sandbox, "def f(:\n  pass")["error"]["type"] == "SyntaxError"


def test_a_cell_is_stopped_when_its_time_is_up_and_the_state_survives(sandbox):
    session = sandbox.start()
    session.run_cell("x = 5", 5)
    assert session.run_cell("while True: pass", 0.3)["error"]["late"]
    assert session.run_cell("print(x)", 5)["stdout"] == "5\n"


def test_a_cell_that_cannot_be_interrupted_is_killed(sandbox, monkeypatch):
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    source = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
while True: pass
"""
    before = sandbox.spent
    with pytest.raises(Dead, match="late"):
        run(sandbox, source, seconds=0.3)
    assert sandbox.spent - before < 10


def test_printed_output_is_bounded_in_bytes(sandbox):
    answer = run(sandbox, "print('x' * 300_000_000)", seconds=20)
    assert len(answer["stdout"]) < 25_000
    assert "more characters not kept" in answer["stdout"]


def test_a_check_runs_in_a_fork_that_leaves_the_state_as_it_was(sandbox):
    session = sandbox.start()
    session.run_cell("seen = []\ndef f(x):\n    seen.append(x); return len(seen)", 5)
    for _ in range(2):
        with session.check(5, 0) as line:
            assert line.call("f", [((1.0,), {})])[0]["value"] == 1


def test_a_crash_or_hang_in_a_check_harms_that_check_alone(sandbox):
    session = sandbox.start()
    session.run_cell(
        "import os\ndef die(): os._exit(3)\ndef hang():\n    while True: pass\ndef fine(): return 7", 5
    )
    for name in ("die", "hang"):
        with session.check(0.5, 0) as line, contextlib.suppress(codec.Late, codec.Closed):
            line.call(name, [((), {})])
    with session.check(5, 0) as line:
        assert line.call("fine", [((), {})])[0]["value"] == 7


def test_processes_left_by_a_check_are_killed(sandbox):
    session = sandbox.start()
    session.run_cell(
        "import os, time\ndef f():\n    if os.fork() == 0: os.setsid(); time.sleep(60)\n    return 1\n"
        "def alive(pid):\n    try: os.kill(pid, 0); return True\n    except OSError: return False\n"
        "def count(): return sum(map(alive, range(2, 300)))",
        5,
    )

    def count() -> int:
        with session.check(5, 0) as line:
            return line.call("count", [((), {})])[0]["value"]

    before = count()
    for _ in range(3):
        with session.check(5, 0) as line:
            line.call("f", [((), {})])
    for _ in range(100):  # the killed take a moment to be gone
        if count() == before:
            break
        time.sleep(0.1)
    assert count() == before


def test_arrays_tensors_and_random_generators_reach_the_student(sandbox):
    session = sandbox.start()
    session.run_cell("def f(a, t, rng, g): return a.sum() + float(t.sum()) + 0 * rng.random() + g(2.0)", 5)
    args = (np.ones(3), codec.Tensor(np.ones(4)), codec.Rng(1), codec.Source("lambda x: k * x", k=10.0))
    with session.check(60, 0) as line:
        assert float(line.call("f", [(args, {})])[0]["value"]) == 27.0


def test_the_judge_can_see_whether_arguments_were_changed(sandbox):
    session = sandbox.start()
    session.run_cell("def f(a):\n    a[0] = 9\n    return 1", 5)
    with session.check(5, 0) as line:
        (outcome,) = line.call("f", [((np.zeros(2),), {})])
    assert outcome["changed"] == [0]


def test_the_same_seed_gives_unseeded_code_the_same_numbers(sandbox):
    session = sandbox.start()
    session.run_cell(
        "import random, numpy as np, torch\n"
        "def f(): return np.random.random() + float(torch.rand(())) + random.random()",
        60,
    )
    drawn = []
    for seed in (1, 1, 2):
        with session.check(5, seed) as line:
            drawn.append(float(line.call("f", [((), {})])[0]["value"]))
    assert drawn[0] == drawn[1] != drawn[2]
