"""Doors of the kernel that stand open to everybody: new calls, odd numbers, memory that belongs to no process."""

from autograder.authoring.hostile.attack import family

THROUGH_THE_KERNEL = family(
    "reach through the kernel",
    calls_that_are_newer_than_any_list="""
        import ctypes
        used = (424, 434, 435, 436, 437, 439, 441, 449, 453, 454, 455, 456, 462)
        for number in range(424, 512):
            if number not in used and system_call(number, number, -1, 0, 0, 0, 0, 0) >= 0: leak(number)
            if number not in used and ctypes.get_errno() not in (1, 38): leak((number, ctypes.get_errno()))
    """,
    watches_that_need_no_rights="""
        for flags in (0x200, 0x600, 0xE00):
            if system_call(300, 262, flags, 0) >= 0: leak(("fanotify_init", flags))
        if system_call(253, 26, 0) >= 0: leak("inotify_init")
    """,
    semaphores_by_the_million="""
        for _ in range(20):
            if system_call(64, 190, 0, 32_000, 0o1600) >= 0: leak("semget")
    """,
    queues_that_outlive_whoever_filled_them="""
        if system_call(68, 186, 0, 0o1600) >= 0: leak("msgget")
        if system_call(240, 180, b"ebm", 0o102, 0o600, 0) >= 0: leak("mq_open")
    """,
    buffers_of_sockets_as_large_as_can_be="""
        import socket
        for option in (7, 8, 32, 33):
            end = socket.socketpair()[0]
            before = [end.getsockopt(1, kind) for kind in (7, 8)]
            did(end.setsockopt, 1, option, 1 << 26)
            system_call(54, 208, end.fileno(), 1 | 1 << 32, option | 1 << 32, (1 << 26).to_bytes(4, "little"), 4)
            if [end.getsockopt(1, kind) for kind in (7, 8)] != before: leak(option)
    """,
    terminals_until_there_are_none="""
        import os
        for path in ("/dev/ptmx", "/dev/pts/ptmx"):
            if did(os.open, path, os.O_RDWR | os.O_NOCTTY): leak(path)
    """,
    locks_by_numbers_that_the_kernel_cuts="""
        import os, struct, sys
        handle = os.open(os.__file__, os.O_RDONLY)
        for command in (5, 6, 7, 36, 37, 38, 1024, 1026):
            for upper in (0, 1 << 32, 1 << 40):
                asked = struct.pack("hhqqi", 0, 0, 0, 0, 0) if command < 100 else 0
                if system_call(72, 25, handle, command | upper, asked) >= 0: leak((command, upper))
    """,
    sockets_by_numbers_that_the_kernel_cuts="""
        import socket
        for family in (2, 10, 16, 17, 40):
            for upper in (1 << 32, 1 << 33 | 1 << 32):
                if system_call(41, 198, family | upper, 2, 0) >= 0: leak(family)
    """,
    calls_of_another_architecture="""
        import ctypes, mmap, os, platform
        if platform.machine() == "x86_64":
            code = mmap.mmap(-1, 4096, prot=7)
            code.write(bytes((0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3)))
            getpid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
            for attempt in (getpid, lambda: system_call(39 | 1 << 30, 172)):
                if os.fork() == 0: os._exit(9 if attempt() > 0 else 8)
                if os.waitstatus_to_exitcode(os.wait()[1]) == 9: leak("another architecture")
    """,
    signals_with_a_message="""
        import ctypes, os
        message = ctypes.create_string_buffer(128)
        ctypes.memmove(message, (ctypes.c_int * 3)(18, 0, -1), 12)
        for pid in {*others(), os.getppid()} - {0}:
            if system_call(129, 138, pid, 18, message) == 0: leak(("rt_sigqueueinfo", pid))
            if system_call(297, 240, pid, pid, 18, message) == 0: leak(("rt_tgsigqueueinfo", pid))
            if system_call(200, 130, pid, 18) == 0: leak(("tkill", pid))
            handle = system_call(434, 434, pid, 0)
            if handle >= 0 and system_call(424, 424, handle, 18, 0, 0) == 0: leak(("pidfd_send_signal", pid))
    """,
    signals_by_an_open_file="""
        import fcntl, os
        for pid in [*others(), *(-n for n in others())]:
            end, other = os.pipe()
            did(fcntl.fcntl, end, 8, pid); did(fcntl.fcntl, end, 10, 9)
            did(fcntl.fcntl, end, 4, os.O_ASYNC | os.O_NONBLOCK)
            os.write(other, b"x"); os.close(end); os.close(other)
    """,
    limits_groups_and_pointers_of_others="""
        import ctypes, os
        room = ctypes.create_string_buffer(64)
        for pid in {*others(), os.getppid()} - {0}:
            if system_call(302, 261, pid, 7, 0, room) == 0: leak(("prlimit64", pid))
            if system_call(274, 100, pid, room, room) == 0: leak(("get_robust_list", pid))
            if did(os.setpgid, pid, 0): leak(("setpgid", pid))
            if ctypes.CDLL(None).prctl(62, 2, pid, 1, 0) == 0: leak(("PR_SCHED_CORE", pid))
            if system_call(311, 271, pid, room, 1, room, 1, 0) >= 0: leak(("process_vm_writev", pid))
    """,
    name_clock_and_accounts_of_the_machine="""
        import ctypes
        room = ctypes.create_string_buffer(256)
        for name, numbers, arguments in (
            ("sethostname", (170, 161), (b"x", 1)), ("setdomainname", (171, 162), (b"x", 1)),
            ("acct", (163, 89), (0,)), ("iopl", (172, 172), (3,)), ("clock_settime", (227, 112), (0, room)),
            ("settimeofday", (164, 170), (room, 0)), ("vhangup", (153, 58), ()),
            ("reboot", (169, 142), (0, 0, 0, 0)), ("personality", (135, 92), (0x0040000,)),
        ):
            if system_call(*numbers, *arguments) == 0: leak(name)
    """,
    pages_that_are_called_broken="""
        import ctypes, mmap
        page = mmap.mmap(-1, 4096); page[0] = 1
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        for advice in (100, 101):
            if ctypes.CDLL(None).madvise(ctypes.c_void_p(address), 4096, advice) == 0: leak(advice)
    """,
    datagrams_to_whoever_listens="""
        import socket
        try: end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]
        except OSError: end = None
        for place in ("\\0ebm-test", "/dev/log", "/run/systemd/journal/socket", "/run/systemd/notify"):
            if end is not None and did(end.sendto, b"x", place): leak(place)
    """,
    device_nodes_of_its_own="""
        import os, stat
        for kind, major, minor in ((stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 1, 11), (stat.S_IFBLK, 8, 0)):
            if did(os.mknod, f"node{major}-{minor}", kind | 0o666, os.makedev(major, minor)): leak((major, minor))
    """,
    names_that_no_program_expects="""
        import os
        for name in (b"\\xff\\xfe\\n", b"-rf", b"*", b"$(id)", b"x" * 255, "\\u202e".encode()):
            did(os.mkdir, name); did(os.mkfifo, os.path.join(name, b"fifo"))
            did(os.symlink, b"..", os.path.join(name, b"up")); did(os.symlink, b"/", os.path.join(name, b"root"))
    """,
    process_that_is_named_like_its_statistics="""
        import ctypes, os, time
        for name in (b") R 0 0 0", b"x\\nRssAnon: 0", b"\\xff) S 1 ("):
            ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
            if os.fork() == 0: time.sleep(0.2); os._exit(0)
        time.sleep(0.1)
    """,
    child_that_is_its_parents_sibling="""
        import os, time
        if os.fork() == 0:
            if system_call(56, 220, 0x8000 | 17, 0, 0, 0, 0) == 0:
                os.setpgid(0, 0); time.sleep(600)
            os._exit(0)
        os.wait()
    """,
    folders_by_what_their_owner_may_change="""
        import os
        for place in ("/tmp", "/home/student", "/dev/shm", "/dev", "/opt/course", "/proc", "/"):
            for call in (lambda: os.mknod(place + "/ebm-course-" + "canary"), lambda: os.rmdir(place)):
                if did(call) and place not in ("/tmp", "/home/student", "/dev/shm"): leak(place)
    """,
)
