"""Every level of isolation holds what it says, and the strongest that a host can give is taken."""

import contextlib
import os
import subprocess
import sys

import pytest

from autograder.authoring.hostile import ATTACKS, LEAK, together
from autograder.authoring.samples import solution_notebook
from autograder.exercises.catalogue import assignment_named, available_assignments
from autograder.judging.judge import judge
from autograder.sandbox import limits
from autograder.sandbox.levels import LEVELS, OUTSIDE, NoIsolation
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox import Sandbox
from autograder.sandbox.session import Dead

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]
CLOSED = LEVELS[:-1]


def opened_at(level, *rest):
    """A sandbox at this level, or a skip that says why not."""
    try:
        return Sandbox(level, *rest)
    except NoIsolation as error:
        pytest.skip(f"{level} cannot be had here: {error}")


REACH = """
import os, resource, signal, socket
judge = {judge}
def done(action):
    try: action()
    except OSError: return []
    return [action.__code__.co_consts or "?"]
found = []
found += done(lambda: os.kill(judge, 0))
found += done(lambda: os.setpriority(os.PRIO_PROCESS, judge, 19))
found += done(lambda: os.sched_setaffinity(judge, [0]))
found += done(lambda: resource.prlimit(judge, resource.RLIMIT_CPU, (1, 1)))
found += done(lambda: open(f"/proc/{{judge}}/environ").read())
found += done(lambda: open(f"/proc/{{judge}}/mem"))
found += done(lambda: socket.socket(socket.AF_UNIX).connect({path!r}))
found += done(lambda: socket.socket(socket.AF_UNIX).connect("\\0ebm-test"))
found += done(lambda: os.chmod({secret!r}, 0o777))
found += done(lambda: os.utime({secret!r}))
found += done(lambda: open({secret!r}).read())
found += done(lambda: open({secret!r}, "w"))
found += done(lambda: os.unlink({secret!r}))
print(found)
open("mine", "w").write("x"); print(open("mine").read())
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", CLOSED)
def test_a_submission_reaches_neither_the_judge_nor_its_files(level, tmp_path):
    import socket

    secret, path = tmp_path / "secret", tmp_path / "socket"
    secret.write_text("secret")
    with socket.socket(socket.AF_UNIX) as listening, opened_at(level) as sandbox:
        listening.bind(str(path))
        listening.listen()
        source = REACH.format(judge=os.getpid(), path=str(path), secret=str(secret))
        answer = sandbox.start().run_cell(source, 60)
        assert answer["stdout"].split() == ["[]", "x"], answer
        assert sandbox.start().run_cell("import os; print(os.path.exists('mine'))", 60)["stdout"] == "False\n"
    assert secret.read_text() == "secret"


@pytest.mark.slow
@pytest.mark.parametrize("level", CLOSED)
def test_what_a_submission_leaves_running_is_killed(level):
    source = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(0.05)
    os._exit(0)
os.wait()
"""
    with opened_at(level) as sandbox:
        sandbox.start().run_cell(source, 60)
        sandbox.end()
        assert sandbox.start().run_cell("print(1)", 60)["stdout"] == "1\n"
        assert sandbox._zygote is not None
        process = sandbox._zygote.process
        assert process is not None  # bubblewrap, the first process inside, and the zygote
        sandbox.end()
        assert descendants_of(process.pid) <= (2 if level in ("namespaces", "bubblewrap") else 0)


FILLS = """
import os, time
if kind in ("closed", "deep"): os.mkdir("folder", 0o300 if kind == "closed" else 0o700); os.chdir("folder")
if kind == "deep":
    for number in range(22): os.mkdir("d" * 200); os.chdir("d" * 200)
for number in range(8):
    with open(f"part{number}", "wb") as file: file.write(bytes(10 << 20))
    if kind != "nameless": continue
    held = [*globals().get("held", []), open(f"part{number}", "rb")]; os.remove(f"part{number}")
time.sleep(100)
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", ["bubblewrap", *OUTSIDE])
@pytest.mark.parametrize("kind", ["named", "nameless", "closed", "deep"])
def test_what_a_submission_writes_is_bounded_where_no_mount_of_its_own_does_it(level, kind):
    with opened_at(level) as sandbox:
        if level != "bubblewrap" and kind == "nameless" and (os.getuid() != 0 or level == "user"):
            pytest.skip("a zygote that is not root does not see which files a submission holds open")
        session = sandbox.start(Limits(scratch_bytes=10 << 20))
        with pytest.raises(Dead, match="disk"):
            session.run_cell(f"kind = {kind!r}" + FILLS, 60)
        small = sandbox.start().run_cell("open('a', 'wb').write(bytes(1 << 20)); print(1)", 60)
        assert small["stdout"] == "1\n"


@pytest.mark.slow
@pytest.mark.parametrize("level", OUTSIDE)
def test_what_a_submission_wrote_is_removed_before_the_next_one_starts(level):
    leaves = "import os\nfor _ in range(300): os.mkdir('d' * 200); os.chdir('d' * 200)\nos.mkfifo('f')"
    with opened_at(level) as sandbox:
        with contextlib.suppress(Dead):  # a folder as deep as that is more than it may have
            sandbox.start().run_cell(leaves + "\nos.symlink('/', 'root'); os.chmod('.', 0)", 60)
        sandbox.start()
        folders = list(sandbox._stocked().parent.glob("scratch-*/*"))
        assert [f for f in folders if f.name.startswith("ddd")] == []


def descendants_of(pid):
    """How many processes lie below `pid`."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    below, pairs = {pid}, [tuple(map(int, line.split())) for line in listed.splitlines()]
    for _ in range(10):
        below |= {child for child, parent in pairs if parent in below}
    return len(below) - 1


EVERYTHING = bool(os.environ.get("EBM_EVERY_LEVEL"))
"""Every assignment and every attack by itself at every level, which takes half an hour."""

FULL_MARKS = [("bubblewrap", "ising"), ("user", "mcmc"), ("landlock", "normalization"), ("none", "mcmc")]
if EVERYTHING:
    FULL_MARKS = [(level, name) for level in LEVELS for name in available_assignments()]


@pytest.mark.slow
@pytest.mark.parametrize(("level", "assignment"), FULL_MARKS)
def test_a_right_solution_gets_full_marks(level, assignment):
    chosen = assignment_named(assignment)
    with opened_at(level, chosen.provides, chosen.imports) as sandbox:
        data = solution_notebook(assignment)
        report = judge(data.encode() if isinstance(data, str) else data, chosen, sandbox, b"key").report
    assert report.score == report.max_score - report.manual_points


WALLED = (
    "read the secret",
    "escape or exfiltrate",
    "reach other processes",
    "reach through the kernel",
    "survive",
    "poison the host",
)
"""Families that walls must stop, and no level has the walls of another.

What an answer is worth, the judge finds in the same way at every level.
"""

_RESOURCES = """
memory that has no owner, more than its limits allow, less for others, descriptors until there are none
memory that a pipe keeps, what the whole machine has a number of, timers until there are none
"""
_BY_THEMSELVES = """
memory bomb, memory that processes share, fork bomb, thread storm, many small files, files that have no name
signals every process it can name, kills its parent, kills everyone, closes every descriptor
becomes another program, orphan that answers on the line, handlers at the exit, folder that is hard to remove
"""


def named(names):
    found = names.strip().replace("\n", ", ").split(", ")
    chosen = [attack for attack in ATTACKS if attack.name in found]
    assert len(chosen) == len(found)
    return chosen


BY_THEMSELVES = list(ATTACKS) if EVERYTHING else named(_BY_THEMSELVES)
"""Attacks that end or fill the process that they run in, or speak on its line."""

LEFT = ("history and inputs of ipython", "another submissions files")
"""What looks for traces of others goes first, or it finds those of the attacks beside it."""

TOGETHER = [[a for a in ATTACKS if a.family == family] for family in WALLED] + [named(_RESOURCES)]
TOGETHER = [
    sorted((a for a in of if a not in BY_THEMSELVES), key=lambda a: a.name not in LEFT) for of in TOGETHER
]
TOGETHER = [of for of in TOGETHER if of]
"""The others, a notebook for each family: their cells run one after another, and each of them to its end."""


@pytest.mark.slow
@pytest.mark.parametrize("level", CLOSED[1:])
def test_the_attacks_gain_nothing_and_read_nothing_at_every_level(
    level, toy, hasty_toy, notebook, monkeypatch
):
    """At the strongest level each attack is a test of its own."""
    each = Limits(cell_seconds=4.0, notebook_seconds=12.0)
    tried = [(attack.name, attack.notebook(["double"]), each) for attack in BY_THEMSELVES]
    tried += [
        (f"{of[0].family}, …", together(of, ["double"]), Limits(notebook_seconds=60.0)) for of in TOGETHER
    ]
    with opened_at(level) as sandbox:
        for name, data, allowed in tried:
            with monkeypatch.context() as patch:
                patch.setattr(limits, "PATIENCE", (1.0, 1.0))
                judged = judge(data, hasty_toy, sandbox, b"key", allowed)
            assert judged.report.score == 0, name
            printed = "\n".join(o.stdout for o in judged.outputs).splitlines()
            assert [line for line in printed if LEAK in line] == [], name
            cut = [o for o in judged.outputs if "left out" in o.error or "stopped" in o.error]
            assert allowed is each or cut == [], name
        honest = judge(notebook("def double(x): return 2 * x"), toy, sandbox, b"key").report
    assert honest.score == honest.max_score


HOST = """
import ctypes, os, sys
uid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    assert libc.unshare(0x10000000 | 0x00020000) == 0
    os.write(ready[1], b"x"); os.read(go[0], 1)
    os.setgroups([]); os.setresgid(uid, uid, uid)
    if uid == 0: os.setresuid(0, 0, 0)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    for capability in range(41):
        if capability not in (0, 1, 3, 5, 6, 7):  # as Docker leaves them, and less: no CAP_SYS_ADMIN
            libc.prctl(24, capability, 0, 0, 0)
    if uid: os.setresuid(uid, uid, uid)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{child}/{name}", "w").write("0 0 65536")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

INSIDE = """
from autograder.sandbox.sandbox import Sandbox
with Sandbox() as sandbox:
    print(sandbox.level, sandbox.start().run_cell("print(6 * 7)", 60)["stdout"].strip())
"""


@pytest.mark.slow
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_host_without_namespaces_grades_at_the_next_level_without_being_told(uid, tmp_path):
    """As in a container without CAP_SYS_ADMIN: no user namespaces, as root and as an ordinary user."""
    if os.getuid() != 0:
        pytest.skip("only root can simulate such a host")
    opened_at("landlock").close()
    if uid and not os.access(os.path.dirname(sys.executable), os.X_OK):
        pytest.skip("Python lies where an ordinary user cannot read it")
    done = subprocess.run(
        [sys.executable, "-c", HOST, str(uid), INSIDE],
        cwd=tmp_path,
        env=os.environ | {"EBM_COURSE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if uid and "Permission denied" in done.stderr:
        pytest.skip("an ordinary user cannot run this Python here")
    assert done.returncode == 0, done.stderr
    level, answer = done.stdout.split()
    assert level in ("user", "landlock")
    assert answer == "42"
