"""The result itself is forged, or what others read and run is poisoned."""

from autograder.authoring.hostile.attack import family

FORGE_THE_RESULT = family(
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
    worker_claims_that_cells_never_failed="""
        import sys
        worker = sys.modules["notebook"]
        worker.run_cell = lambda *a, **k: {"stdout": "", "stderr": "", "displays": [], "error": None,
            "seconds": 0.0,
                                           "score": 100, "failures": [{"score": 100}]}
    """,
    reply_with_keys_twice="""
        import os
        body = b'{"!":"dict","k":["id","id","outcomes","outcomes"],"v":["0","1",{"!":"list","v":[]},1]}'
        def twice(*args, **kwargs): os.write(channel(), frame(body)); return 1.0
        answer_with(twice)
    """,
    names_of_exercises_as_properties="""
        import builtins
        for name in NAMES: setattr(builtins, name, lambda *a, **k: True)
        globals().clear()
    """,
    exit_code_and_standard_error="""
        import os, sys
        sys.stderr.write('{"grade": 100}\\n'); os.write(1, b"100"); os.write(2, b"100")
        raise SystemExit("score: 100/100")
    """,
    environment_of_another_autograder="""
        import json, os
        os.environ.update(GRADE="100", SCORE="100", NBGRADER_VALIDATING="1")
        for name in ("results.json", "grade.txt", ".otter_results.pkl", "score", "metadata.yml"):
            open(name, "w").write(json.dumps({"score": 100, "total": 100}))
    """,
)

POISON_THE_HOST = family(
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
    every_representation_is_a_script="""
        from IPython.display import display
        evil = "<script>alert(1)</script>"
        display({"text/html": evil, "text/markdown": "[x](javascript:alert(1))",
            "image/svg+xml": "<svg onload=alert(1)>",
                 "application/javascript": "alert(1)", "text/latex": r"$\\href{javascript:alert(1)}{x}$",
                     "text/plain": evil,
                 "application/vnd.plotly.v1+json": {"x": evil}, "image/png": evil}, raw=True)
    """,
    picture_that_unpacks_to_gigabytes="""
        import base64, struct, zlib
        from IPython.display import display
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
        data = zlib.compress(bytes(50_000_000), 9)
        png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        display({"image/png": base64.b64encode(png).decode(), "text/plain": "x"}, raw=True)
    """,
    text_that_no_page_can_hold="""
        print("\\ud800\\udfff\\x00\\x1b]8;;javascript:alert(1)\\x07x\\u202e\\u2066\\ufeff" + "a\\u0300" * 3000)
        raise type("\\ud800<script>", (Exception,), {})("\\ud800" * 50)
    """,
    files_that_python_runs_at_its_start="""
        import os, sys
        code = f"open('/tmp/{'ebm-course-' + 'canary'}', 'w')"
        names = ("sitecustomize.py", "usercustomize.py", "conftest.py", "evil.pth", "autograder.py",
            "numpy.py", "codec.py",
                 "jupyter_config.py", ".ipython/profile_default/startup/0.py", "ipython_config.py",
                     "matplotlibrc")
        for place in {*sys.path, os.path.expanduser("~"), "/tmp", "/opt/course", sys.prefix, "."}:
            for name in names:
                path = os.path.join(place or ".", name)
                if did(os.makedirs, os.path.dirname(path), 0o777, True): did(lambda: open(path, "w").write(code))
    """,
    files_that_a_shell_runs_at_its_start="""
        import os, subprocess
        for name in (".bashrc", ".profile", ".bash_profile", ".pythonrc", ".gitconfig", ".config/pip/pip.conf"):
            path = os.path.join(os.path.expanduser("~"), name)
            did(os.makedirs, os.path.dirname(path), 0o777, True)
            did(lambda: open(path, "w").write("touch /tmp/ebm-course-" + "canary"))
        os.environ.update(BASH_ENV=path, ENV=path, PYTHONSTARTUP=path, PYTHONPATH="/tmp",
            LD_PRELOAD="/tmp/evil.so")
        subprocess.run("echo x", shell=True)
    """,
    links_where_the_grader_might_write="""
        import os
        for name in ("toy.ipynb", "results.json", "feedback.html", "gradebook.db", "grading.key"):
            for target in ("/etc/passwd", "/proc/self/mem", "../../../../tmp/ebm-course-" + "canary"):
                did(os.symlink, target, name); did(os.remove, name)
            did(os.mkfifo, name)
    """,
)

SURVIVE = family(
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
    handlers_at_the_exit="""
        import atexit, os, sys, threading, weakref
        def at_the_end(*args):
            for fd in range(3, 64): did(os.write, fd, frame(b'{"!":"dict","k":["status"],"v":["done"]}'))
        atexit.register(at_the_end); sys.excepthook = sys.unraisablehook = at_the_end
        threading.excepthook = at_the_end
        weakref.finalize(at_the_end, at_the_end)
        os.register_at_fork(before=at_the_end, after_in_child=at_the_end, after_in_parent=at_the_end)
    """,
    orphan_that_answers_on_the_line="""
        import os, time
        if os.fork() == 0:
            for _ in range(200):
                did(os.write, channel(),
                    frame(b'{"!":"dict","k":["id","outcomes"],"v":["0",{"!":"list","v":[]}]}'))
                time.sleep(0.01)
            os._exit(0)
    """,
    many_orphans_of_orphans="""
        import os, time
        for _ in range(6):
            if os.fork() == 0:
                os.setsid(); os.setpgid(0, 0)
                if os.fork() == 0: time.sleep(600)
                os._exit(0)
    """,
    folder_that_is_hard_to_remove="""
        import os
        start = os.getcwd()
        for _ in range(1500):
            if not did(os.mkdir, "d" * 200) or not did(os.chdir, "d" * 200): break
        did(os.chmod, ".", 0); os.chdir("/"); did(os.chmod, start, 0)
    """,
    locks_that_others_would_wait_for="""
        import fcntl, os, sys
        for path in (os.__file__, sys.executable, "/dev/null", "/opt/course/codec.py"):
            for command, kind in ((fcntl.flock, fcntl.LOCK_EX), (fcntl.lockf, fcntl.LOCK_SH)):
                if did(lambda: command(os.open(path, os.O_RDONLY), kind | fcntl.LOCK_NB)): leak(path)
    """,
    watches_on_files_of_others="""
        import os
        if system_call(294, 26, 0) >= 0: leak("inotify_init1")
        if system_call(300, 262, 0, 0) >= 0: leak("fanotify_init")
    """,
)
