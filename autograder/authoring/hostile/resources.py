"""The notebook dies early, or takes more than its share of the machine."""

from autograder.authoring.hostile.attack import family

DIE_EARLY = family(
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
    closes_every_descriptor="import os; os.closerange(0, 1024)",
    hangs_up_on_the_judge="import os, socket; socket.socket(fileno=os.dup(channel())).shutdown(socket.SHUT_RDWR)",
    puts_something_else_on_the_line="import os; os.dup2(os.open('/dev/zero', os.O_RDWR), channel())",
    signals_every_process_it_can_name="""
        import os, signal
        for pid in others(): did(os.kill, pid, signal.SIGSTOP); did(os.kill, pid, signal.SIGTERM)
        for group in range(2, 300): did(os.killpg, group, signal.SIGKILL)
    """,
    kills_its_own_group="""
        import os, signal
        for group in (0, os.getpgid(0), os.getpgid(os.getppid() or 0)): did(os.setpgid, 0, group)
        os.killpg(0, signal.SIGKILL)
    """,
    alarm_in_a_moment="""
        import signal
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    """,
    becomes_another_program="import os; os.execv('/bin/echo', ['echo', 'score: 100'])",
)

STARVE = family(
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
        answer_with(lambda *a, **k: [[123_456_789] * 1000 for _ in range(600)])
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
    header_of_brackets="""
        import os
        answer_with(lambda *a, **k: os.write(channel(), frame(b"[" * 400_000)))
    """,
    header_of_digits="""
        import os
        answer_with(lambda *a, **k: os.write(channel(), frame(b"9" * 400_000)))
    """,
    header_of_colliding_keys="""
        import os
        keys = ",".join(str(n * (2**61 - 1)) for n in range(16_000)).encode()
        body = b'{"!":"dict","k":[' + keys + b'],"v":[' + b"0," * 15_999 + b"0]}"
        def collide(*args, **kwargs): os.write(channel(), frame(body))
        answer_with(collide)
    """,
    frame_that_claims_to_be_immense="""
        import os, struct
        answer_with(lambda *a, **k: os.write(channel(), struct.pack("<IQ", 2**32 - 1, 2**64 - 1)))
    """,
    dictionary_of_tuples_that_collide="""
        answer_with(lambda *a, **k: {(n * (2**61 - 1), n): 0 for n in range(2_000)})
    """,
    memory_that_processes_share="""
        import mmap, os, time
        for _ in range(6):
            if os.fork() == 0:
                held = mmap.mmap(-1, 900_000_000)
                for i in range(0, len(held), 4096): held[i] = 1
                time.sleep(30)
        time.sleep(5)
    """,
    memory_behind_what_all_inherited="""
        import os, sys, time
        for _ in range(40):
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, "-I", "-S", "-c",
                    "x = bytearray(70 << 20); import time; time.sleep(6)"])
        time.sleep(2)
    """,
    frame_that_drips="""
        import os, time
        def drip(*args, **kwargs):
            os.write(channel(), frame(b"[" * 1000)[:16])
            while True: os.write(channel(), b"["); time.sleep(0.05)
        answer_with(drip)
    """,
    memory_that_has_no_owner="""
        import os
        if did(os.memfd_create, "x"): leak("memfd_create")
        if system_call(29, 194, 0, 1 << 20, 0o1600) >= 0: leak("shmget")
        if system_call(447, 447, 0) >= 0: leak("memfd_secret")
    """,
    descriptors_until_there_are_none="""
        import os
        held = []
        try:
            while True: held.append(os.open("/dev/null", os.O_RDONLY)); held += os.pipe()
        except OSError: pass
    """,
    files_that_have_no_name="""
        import os, tempfile
        held = []
        try:
            for _ in range(20):
                file = tempfile.TemporaryFile(); held.append(file)
                for _ in range(30): file.write(bytes(1 << 20))
                file.flush()
        except (OSError, MemoryError): pass
    """,
    folders_that_nobody_can_look_into="""
        import os, time
        start = os.getcwd()
        try:
            os.mkdir("closed", 0o300); os.chdir("closed")
            for _ in range(40): os.mkdir("d" * 200); os.chdir("d" * 200)
            for n in range(30): open(str(n), "wb").write(bytes(8 << 20))
        except OSError: pass
        time.sleep(1); os.chdir(start)
    """,
    timers_until_there_are_none="""
        import ctypes
        made = 0
        while made < 20_000 and system_call(222, 107, 0, 0, ctypes.byref(ctypes.c_int())) == 0: made += 1
        if made == 20_000: leak(made)
    """,
    memory_that_a_pipe_keeps="""
        import ctypes, mmap, os
        page = mmap.mmap(-1, 4096); page[0] = 1
        place = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.c_char.from_buffer(page)), 1)
        if system_call(278, 75, os.pipe()[1], place, 1, 2) >= 0: leak("vmsplice")
    """,
    what_the_whole_machine_has_a_number_of="""
        import ctypes
        if system_call(206, 0, 65_536, ctypes.byref(ctypes.c_ulong(0))) == 0: leak("io_setup")
        for _ in range(1000):
            if system_call(162, 81) != 0: leak("sync")
        if system_call(306, 267, -1) != 0: leak("syncfs, of all disks")
    """,
    more_than_its_limits_allow="""
        import os, resource
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE,
            resource.RLIMIT_CORE):
            before = resource.getrlimit(kind)
            if did(resource.setrlimit, kind,
                (resource.RLIM_INFINITY,) * 2) and resource.getrlimit(kind) != before: leak(kind)
        for step in (-20, -5, -1):
            if did(os.nice, step): leak(step)
        if did(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)): leak("real time")
    """,
    less_for_others="""
        import os, resource
        for pid in others():
            if did(os.setpriority, os.PRIO_PROCESS, pid, 19): leak(("setpriority", pid))
            if did(os.sched_setaffinity, pid, {0}): leak(("sched_setaffinity", pid))
            if did(resource.prlimit, pid, resource.RLIMIT_CPU, (1, 1)): leak(("prlimit", pid))
            if system_call(251, 30, 1, pid, 3 << 13) == 0: leak(("ioprio_set", pid))
    """,
    displays_without_end="""
        from IPython.display import display
        for i in range(3_000): display(i)
    """,
)
