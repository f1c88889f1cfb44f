"""The sandbox: what a submission can reach, what it may use, and how it ends."""

import os
import socket

import pytest
from inside import run, text

import autograder
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox
from autograder.sandbox.session import Dead

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]
where_isolation_is_possible = pytest.mark.usefixtures("sandbox")
"""For tests that open sandboxes of their own: the shared one skips, with the reason, where none can be had."""


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
    root = os.path.dirname(autograder.__file__)
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
    isolation = Sandbox()
    request.addfinalizer(isolation.close)
    if isolation.level != "namespaces":
        pytest.skip("a zygote is shared only where every submission has namespaces of its own")
    others = []
    for _ in range(2):
        ours, theirs = socket.socketpair()
        isolation.share(theirs)
        others.append(Sandbox(control=ours))
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
    with pytest.raises(Dead):
        second.run_cell("print(x)", 5)
    assert others[1].start().run_cell("print(1)", 5)["stdout"] == "1\n"  # in a zygote of its own


@where_isolation_is_possible
def test_a_zygote_that_is_gone_between_two_submissions_is_replaced(request):
    isolation, (ours, theirs) = Sandbox(), socket.socketpair()
    isolation.share(theirs)
    other = Sandbox(control=ours)
    request.addfinalizer(other.close)
    isolation.close()
    assert other.start().run_cell("print(1)", 5)["stdout"] == "1\n"


@where_isolation_is_possible
def test_a_judge_who_is_hung_up_on_starts_a_sandbox_of_its_own(request):
    ours, theirs = socket.socketpair()
    theirs.close()
    alone = Sandbox(control=ours)
    request.addfinalizer(alone.close)
    assert alone.start().run_cell("print(1)", 5)["stdout"] == "1\n"


def test_a_submission_inherits_no_socket_but_its_own_channel(sandbox):
    sockets = (
        "import os, stat\ncount = 0\nfor fd in range(256):\n    try: count += stat.S_ISSOCK(os.fstat(fd).st_mode)\n"
        "    except OSError: pass\nprint(count)"
    )
    assert text(run(sandbox, sockets)) == "1\n"


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


def test_what_all_inherited_hides_no_memory(sandbox):
    """A process that has become another program shares nothing any more, and holds anew less than all inherited."""
    source = """
import os, sys, time
for _ in range(40):
    if os.fork() == 0:
        work = "held = bytearray(12 << 20); import time; time.sleep(50)"
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", work])
time.sleep(50)
"""
    with pytest.raises(Dead, match="memory"):
        run(sandbox, source, seconds=20, limits=Limits(memory=400 << 20))


def test_many_processes_that_share_what_they_inherited_use_little(sandbox):
    source = """
import os, time
children = [os.fork() for _ in range(3)]
if 0 in children: children = [os.fork() for _ in range(3)]
time.sleep(1)
if 0 in children: os._exit(0)  # else it would answer for the notebook, and perhaps first
print("fine")
"""
    assert "fine" in text(run(sandbox, source, limits=Limits(memory=700 << 20)))


def test_a_submission_can_start_python_itself(sandbox):
    source = (
        "import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', 'print(42)']).decode())"
    )
    assert text(run(sandbox, source)).strip() == "42"


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


def test_an_unknown_level_of_isolation_is_named():
    with pytest.raises(ValueError, match="perfect"):
        Sandbox("perfect")


@where_isolation_is_possible
def test_closing_a_sandbox_leaves_no_process_and_no_folder():
    opened = Sandbox()
    zygote, home = opened._zygote, opened._home
    opened.start()
    opened.close()
    assert zygote is not None
    assert zygote.process is not None
    assert home is not None
    assert zygote.process.poll() is not None
    assert not os.path.exists(home.name)
