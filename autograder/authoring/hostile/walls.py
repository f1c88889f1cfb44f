"""The way out: other processes, the kernel, the network."""

from autograder.authoring.hostile.attack import family

ESCAPE = family(
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
    sockets_of_other_services="""
        import glob, os, socket
        paths = ["/var/run/docker.sock", "/run/docker.sock", "/run/dbus/system_bus_socket",
            "/run/containerd/containerd.sock"]
        paths += glob.glob("/tmp/.X11-unix/*") + glob.glob("/run/user/*/*") + glob.glob("/var/run/postgresql/.s*")
        paths += glob.glob("/tmp/**/*sock*", recursive=True) + ["\\0" + name for name in ("ebm-test",
            "/tmp/.X11-unix/X0")]
        for path in paths:
            if did(lambda: socket.socket(socket.AF_UNIX).connect(path)): leak(path)
        if did(lambda: open("/proc/net/unix")) and len(open("/proc/net/unix").read().splitlines()) > 2:
            for line in open("/proc/net/unix").read().splitlines()[1:]:
                name = line.split()[-1]
                if not name.startswith("@"): continue
                if did(lambda: socket.socket(socket.AF_UNIX).connect("\\0" + name[1:])): leak(name)
    """,
    every_family_of_sockets="""
        import socket
        for family in (socket.AF_INET, socket.AF_INET6, 16, 17, 38, 40, 30, 31, 29, 44):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
                if did(socket.socket, family, kind): leak((family, kind))
    """,
    rings_probes_and_programs_in_the_kernel="""
        import ctypes
        room = ctypes.create_string_buffer(256)
        for name, numbers, arguments in (
            ("io_uring_setup", (425, 425), (8, room)), ("userfaultfd", (323, 282), (1,)), ("bpf", (321,
                280), (0, room, 128)),
            ("perf_event_open", (298, 241), (room, 0, -1, -1, 0)), ("kcmp", (312, 272), (1, 1, 0, 0, 0)),
            ("fsopen", (430, 430), (b"tmpfs", 0)), ("open_tree", (428, 428), (-100, b"/", 1)),
            ("mount_setattr", (442, 442), (-100, b"/", 0, room, 32)), ("landlock_create_ruleset", (444,
                444), (room, 8, 0)),
            ("init_module", (175, 105), (room, 0, b"")), ("kexec_load", (246, 104), (0, 0, 0, 0)),
            ("pivot_root", (155, 41), (b"/tmp", b"/tmp")), ("swapon", (167, 224), (b"/tmp", 0)),
                ("quotactl", (179, 60), (0, 0, 0, 0)),
        ):
            if system_call(*numbers, *arguments) >= 0: leak(name)
    """,
    keystrokes_for_the_judges_terminal="""
        import fcntl, glob, os
        for path in ["/dev/tty", "/dev/console", *glob.glob("/dev/pts/[0-9]*"), *glob.glob("/dev/tty[0-9]*")]:
            if did(lambda: os.write(os.open(path, os.O_WRONLY | os.O_NOCTTY), b"")): leak(path)
        for fd in range(0, 16):
            for request in (0x5412, 0x541C, 0x5412 | 1 << 32):
                if did(fcntl.ioctl, fd, request & 0xFFFFFFFF, b"x"): leak((fd, request))
    """,
    new_namespaces_by_clone="""
        import ctypes
        arguments = (ctypes.c_uint64 * 11)(0x10000000)
        made = system_call(435, 435, arguments, 88)
        if made == 0: __import__("os")._exit(0)
        if made > 0: leak("clone3")
        made = system_call(56, 220, 0x10000000 | 17, 0, 0, 0, 0)
        if made == 0: __import__("os")._exit(0)
        if made > 0: leak("clone")
        for flag in (0x20000, 0x20000000, 0x40000000, 0x08000000, 0x02000000, 0x04000000, 0x80):
            if ctypes.CDLL(None).unshare(flag) == 0: leak(hex(flag))
    """,
    modes_owners_and_times_of_files_outside="""
        import os, sys
        for path in ("/dev/null", "/usr", os.__file__, sys.executable, "/opt/course", "/"):
            for action in (lambda: os.chmod(path, 0o777), lambda: os.utime(path), lambda: os.chown(path, 0, 0),
                           lambda: os.setxattr(path, "user.x", b"x"), lambda: os.truncate(path, 0)):
                if os.path.realpath(path) != "/dev/null" or action.__code__.co_names[1] not in ("truncate",):
                    if did(action): leak(path)
    """,
    links_to_files_outside="""
        import os, sys
        for path in (os.__file__, sys.executable, "/dev/null", "/etc/ld.so.cache"):
            if did(os.link, path, "linked"): leak(path)
            if did(os.rename, path, "moved"): leak(path)
    """,
    capabilities_and_identities="""
        import ctypes, os
        libc = ctypes.CDLL(None)
        if libc.prctl(47, 2, 21, 0, 0) == 0: leak("ambient")
        if libc.prctl(38, 0, 0, 0, 0) == 0: leak("no_new_privs is gone")
        held = (ctypes.c_uint32 * 6)()
        if libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), held) == 0 and any(held): leak("capabilities")
        for number in (0, os.getuid() + 1, 61001):
            for call in (os.setuid, os.seteuid, os.setgid):
                if did(call, number): leak((call.__name__, number))
        if did(os.setgroups, [0]): leak("setgroups")
        if did(os.chroot, "/tmp"): leak("chroot")
    """,
)

REACH_OTHERS = family(
    "reach other processes",
    messages_and_semaphores="""
        if system_call(68, 186, 0x65626D, 0o666) >= 0: leak("a queue that another submission left")
        system_call(68, 186, 0x65626D, 0o1666)
        for key in range(0, 40):
            if system_call(64, 190, key, 1, 0) >= 0 and key: leak(("semget", key))
    """,
    queues_with_names="""
        import ctypes
        attributes = (ctypes.c_long * 8)(0, 1, 8)
        found = system_call(240, 180, b"ebm", 0o102, 0o666, attributes)
        if found >= 0:
            held = system_call(240, 180, b"ebm", 0o2, 0, 0)
    """,
    debugger_on_whoever_is_there="""
        import ctypes
        for pid in others():
            for request in (16, 0x4206):
                if ctypes.CDLL(None).ptrace(request, pid, 0, 0) == 0: leak(pid)
        if ctypes.CDLL(None).prctl(0x59616D61, -1, 0, 0, 0) == 0: pass
    """,
    memory_of_others_is_given_up="""
        import ctypes
        for pid in others():
            handle = system_call(434, 434, pid, 0)
            room = (ctypes.c_uint64 * 2)(0, 4096)
            if handle >= 0 and system_call(440, 440, handle, room, 1, 21, 0) >= 0: leak(("process_madvise", pid))
            if handle >= 0 and system_call(448, 448, handle, 0) == 0: leak(("process_mrelease", pid))
            if system_call(256, 238, pid, 8, 0, 0) >= 0: leak(("migrate_pages", pid))
    """,
    files_of_the_zygote="""
        import os
        for place in ("/opt/course", os.path.dirname(os.path.abspath(__import__("codec").__file__))):
            for name in (*(os.listdir(place) if did(os.listdir, place) else ()), "new.py"):
                path = os.path.join(place, name)
                if not os.path.isdir(path) and did(lambda: open(path,
                    "r+b" if os.path.exists(path) else "wb")): leak(path)
                if did(os.remove, path): leak(path)
    """,
    kernel_settings_of_this_submission="""
        import glob, os
        for path in ("/proc/self/oom_score_adj", "/proc/self/autogroup", "/proc/1/oom_score_adj"):
            if did(lambda: os.write(os.open(path, os.O_WRONLY), b"-17")): leak(path)
        for path in glob.glob("/proc/sys/**/*", recursive=True)[:400] + glob.glob("/sys/fs/cgroup/*")[:50]:
            if not os.path.isdir(path) and did(lambda: os.open(path, os.O_WRONLY)): leak(path)
    """,
)
