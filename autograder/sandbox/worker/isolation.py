"""What a fork does to itself before it touches a student's code: namespaces, mounts, limits, filter.

Order matters: drop root, enter new namespaces, mount private scratch space, set limits, give up every
capability, restrict paths, and last install the system-call filter. Each step raises `OSError` if the host
refuses it. Sources: namespaces(7), user_namespaces(7), capabilities(7), landlock(7), seccomp(2).
"""

import contextlib
import ctypes
import functools
import os
import resource
import select
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_FLAGS = {
    "user": 0x10000000,
    "pid": 0x20000000,
    "mount": 0x00020000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18
)  # fmt: skip
PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
SECCOMP_MODE_FILTER = 2
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
SCRATCH = ("/tmp", "/home/student", "/dev/shm")
MOST_FILES = 4096 * len(SCRATCH)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def drop_root(uid: int) -> None:
    """Become `uid` for good when started as root, so that limits on processes count and no file is ours."""
    if os.getuid() != 0:
        return
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Changing the uid clears the dumpable flag, and with it the right to write one's own uid_map.
    _check(_libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def enter_namespaces() -> None:
    """New user, pid, mount, net, ipc, uts and cgroup namespaces; the caller must fork to become pid 1."""
    uid, gid = os.getuid(), os.getgid()
    flags = 0
    for flag in CLONE_FLAGS.values():
        flags |= flag
    _check(_libc.unshare(flags), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"), ("gid_map", f"1000 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def mount_scratch(size: int) -> None:
    """Fresh tmpfs of `size` bytes over every writable place, so that no two submissions share a file."""
    _check(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
    for place in SCRATCH:
        options = f"size={size},mode=1777,nr_inodes=4096".encode()
        _check(
            _libc.mount(b"tmpfs", place.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, options), f"mount {place}"
        )
    for name in DEVICES:  # the host's own: what can be written to must not be touched otherwise
        flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID
        _check(_libc.mount(None, f"/dev/{name}".encode(), None, flags, None), f"remount /dev/{name}")


def replace_processes(facts: dict[str, bytes]) -> None:
    """A /proc of our own namespace, or where the host refuses one a folder of a few facts about the machine.

    The one that the zygote has shows every submission that it serves.
    """
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    if _libc.mount(b"proc", b"/proc", b"proc", flags, None) == 0:
        return
    _check(_libc.mount(b"tmpfs", b"/proc", b"tmpfs", flags, b"size=1m,mode=0555"), "mount /proc")
    for name, text in facts.items():
        with open(f"/proc/{name}", "wb") as file:
            file.write(text)
    _check(_libc.mount(None, b"/proc", None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, None), "remount /proc")


@functools.cache
def accelerator_libraries() -> int:
    """Bytes of the shared objects that torch's build for an accelerator maps when it is imported; 0 without one.

    They are code in files, gigabytes of it, and no memory of a submission's.
    """
    folders = [os.path.join(path, "nvidia") for path in sys.path]
    folders = [folder for folder in folders if os.path.isdir(folder)]
    if not folders:
        return 0
    folders += [os.path.join(path, "torch", "lib") for path in sys.path]
    return sum(
        os.stat(os.path.join(place, name)).st_size
        for folder in folders
        for place, _, names in os.walk(folder)
        for name in names
        if ".so" in name
    )


def limit(limits: dict[str, int]) -> None:
    """Resource limits, inherited by every fork: memory and file size in bytes, CPU in seconds."""
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory"] + accelerator_libraries()),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_SIGPENDING, 1024),  # a timer counts as one, against all of the user's
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def drop_capabilities() -> None:
    """Give up every capability, and the way to gain any by exec."""
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    number = SYS_CAPSET.get(os.uname().machine)
    if number is None:
        raise OSError(f"no capset number for {os.uname().machine}; add it to SYS_CAPSET")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _check(_libc.syscall(number, header, (ctypes.c_uint32 * 6)()), "capset")


DENIED = """
mount umount2 pivot_root move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr chroot
unshare setns ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd keyctl
add_key request_key bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff quotactl
acct syslog open_by_handle_at name_to_handle_at clock_settime settimeofday adjtimex clock_adjtime
sethostname setdomainname personality modify_ldt lookup_dcookie vhangup iopl ioperm
landlock_create_ruleset mbind migrate_pages move_pages
memfd_create memfd_secret shmget shmat shmctl shmdt
semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
inotify_init inotify_init1 fanotify_init fanotify_mark
vmsplice io_setup
setpriority ioprio_set sched_setscheduler sched_setparam sched_setattr
""".split()
"""Ways to more rights, to other processes, to what others do, and to memory that belongs to no process.

A pipe keeps every page that `vmsplice` put into it, all of a huge page for one byte; of what `io_setup` takes the
whole machine has a fixed number.
"""


NEW = range(424, 512)
"""Numbers of the system calls since Linux 5.1, the same on every architecture; some of them are still to come."""
NEW_AND_USED = frozenset((424, 434, 436, 437, 439, 441, 449, 453, 454, 455, 456, 462))
"""pidfd_send_signal and _open, close_range, openat2, faccessat2, epoll_pwait2, futexes, map_shadow_stack, mseal."""


LOCKS = (5, 6, 7, 36, 37, 38, 1024, 1026)
"""fcntl's commands that lock, lease or watch a file, and those that tell of a lock."""


BUFFERS = (7, 8, 32, 33)
"""setsockopt's SO_SNDBUF and SO_RCVBUF, and as root may call them."""


OUTSIDE = """
socket connect bind listen accept accept4 process_mrelease
setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid
""".split()
"""Refused too where a submission shares its kernel's names and its user with others, whom it must not reach.

Landlock says nothing on sockets that have a path.
"""


MODES = """
chmod fchmodat fchmodat2 chown lchown fchown fchownat utime utimes utimensat futimesat
setxattr lsetxattr removexattr lremovexattr
""".split()
"""Modes, owners and times of files: refused where a submission is the user that grades to the machine's devices.

Landlock says nothing on them, and bubblewrap shows the machine's own /dev/null, which root owns.
"""


def refuse_to_reach_others(rules: Any, seccomp: Any) -> None:
    """No connection, no messages and nobody else's priority."""
    for name in OUTSIDE:
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            rules.add_rule(seccomp.ERRNO(1), name)
    rules.add_rule(seccomp.ERRNO(1), "socketpair", seccomp.Arg(1, seccomp.MASKED_EQ, 15, 2))


def compile_filter(seccomp: Any, outside: bool = False, modes: bool = True) -> bytes:
    """A program that refuses the system calls no notebook needs, and every socket that is not a Unix one."""
    refuse = seccomp.ERRNO(1)
    rules = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    for name in DENIED if modes else [*DENIED, *MODES]:
        # Some of them not every libseccomp or architecture knows by name.
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            rules.add_rule(refuse, name)
    for number in NEW:  # whatever may be called by its number alone: as on an older kernel, it is not there
        if number not in NEW_AND_USED:
            with contextlib.suppress(RuntimeError, OSError):  # refused by its name already
                rules.add_rule(seccomp.ERRNO(38), number)
    rules.add_rule(seccomp.ERRNO(97), "socket", seccomp.Arg(0, seccomp.NE, 1))
    for request in (0x5412, 0x541C):  # to type into the judge's terminal
        rules.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    # The kernel may share processors among sessions: a submission stays one, whatever it believes.
    rules.add_rule(seccomp.ERRNO(0), "setsid")
    for name in ("sync", "syncfs"):  # all disks of the machine, for everybody
        rules.add_rule(seccomp.ERRNO(0), name)
    for name in ("prlimit64", "sched_setaffinity"):  # of another process, be it this submission's own zygote
        rules.add_rule(refuse, name, seccomp.Arg(0, seccomp.NE, 0))
    if outside:
        refuse_to_reach_others(rules, seccomp)
    # A lock on a file that all can read would be seen by the submissions beside this one.
    rules.add_rule(seccomp.ERRNO(37), "flock")
    for command in LOCKS:  # the kernel reads 32 bits of it
        rules.add_rule(seccomp.ERRNO(37), "fcntl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, command))
    # No more of the kernel's memory than it gives by itself; said to be done, as the kernel says it.
    for option in BUFFERS:
        socket_option = seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, 1)
        size = seccomp.Arg(2, seccomp.MASKED_EQ, 0xFFFFFFFF, option)
        rules.add_rule(seccomp.ERRNO(0), "setsockopt", socket_option, size)
    rules.add_rule(
        refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_FLAGS["user"], CLONE_FLAGS["user"])
    )
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        rules.add_rule(
            seccomp.ERRNO(38), "clone3"
        )  # ENOSYS: the C library falls back to clone, which we can read
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


class _Program(ctypes.Structure):
    """struct sock_fprog: instructions of eight bytes each."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def load_filter(program: bytes) -> None:
    """Install a compiled filter; needs no new privileges to be set before."""
    filter_ = _Program(len(program) // 8, program)
    _check(
        _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0),
        "prctl(PR_SET_SECCOMP)",
    )


LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
ABI_VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | 1 << 15
READABLE = """
/usr /lib /lib32 /lib64 /bin /etc/ld.so.cache /etc/fonts /etc/localtime /etc/alternatives /proc
/opt/environment /opt/packages /opt/python
""".split()


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_version() -> int:
    """The version of Landlock that this kernel speaks; 0 for none."""
    return max(0, int(_libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, ABI_VERSION)))


def restrict_paths(version: int, course: str, readable: list[str], writable: list[str]) -> None:
    """Landlock: read the system and `course`, write to scratch and devices, reach nothing else; for good.

    Whatever the mounts and permissions say: a second wall. Later versions also forbid TCP, and signals and
    abstract sockets to the outside. Source: landlock(7).
    """
    rights = (1 << (13, 14, 15, 15, 16)[min(version, 5) - 1]) - 1
    ruleset = _Ruleset(rights, 3, 3)
    size = 8 if version < 4 else 16 if version < 6 else 24
    handle = _libc.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    _check(min(handle, 0), "landlock_create_ruleset")
    try:
        for path in (*readable, course):
            _allow(handle, path, EXECUTE | READ_FILE | READ_DIR)
        for path in writable:
            _allow(handle, path, rights)
        _check(_libc.syscall(LANDLOCK_RESTRICT_SELF, handle, 0), "landlock_restrict_self")
    finally:
        os.close(handle)


def _allow(ruleset: int, path: str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(path):
                rights &= ON_FILES
            rule = _PathBeneath(rights, descriptor)
            added = _libc.syscall(LANDLOCK_ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
            _check(added, f"landlock_add_rule {path}")
        finally:
            os.close(descriptor)


def become_init(limits: dict[str, int], program: bytes, landlock: int, facts: dict[str, bytes]) -> None:
    """Everything above, in order. Returns only in the process that may run a student's code, as pid 1."""
    drop_root(limits["uid"])
    enter_namespaces()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(min(255, 128 + os.WTERMSIG(status)) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    mount_scratch(limits["scratch_bytes"])
    replace_processes(facts)
    os.chdir("/home/student")
    harden(limits, program, landlock)


def harden(limits: dict[str, Any], program: bytes, landlock: int) -> None:
    """The part that works without namespaces: limits, no capabilities, no new privileges, paths, the filter.

    Where nothing is mounted, `limits` name what may be read and the one folder that may be written to.
    """
    limit(limits)
    drop_capabilities()
    if landlock:
        readable = limits.get("readable") or [*READABLE, sys.prefix, sys.base_prefix]
        scratch = limits.get("scratch")
        devices = [f"/dev/{name}" for name in DEVICES[:-1]]
        writable = [scratch, *devices] if scratch else [*SCRATCH, *devices]
        restrict_paths(landlock, os.path.dirname(os.path.abspath(__file__)), readable, writable)
    if program:
        load_filter(program)


def processes(session: int | None = None) -> list[int]:
    """All processes but our init, our parent and ourselves; of `session` alone, if given."""
    found = []
    for pid in _all_processes():
        if pid not in (1, os.getpid(), os.getppid()):
            with contextlib.suppress(OSError):
                if session is None or os.getsid(pid) == session:
                    found.append(pid)
    return found


def facts() -> dict[str, bytes]:
    """What libraries ask /proc for, about the machine alone."""
    found = {}
    for name in ("cpuinfo", "meminfo"):
        with contextlib.suppress(OSError), open(f"/proc/{name}", "rb") as file:
            found[name] = file.read(1 << 19)
    return found


def adopt() -> None:
    """Have every process below us that loses its parent become our child, so that we find it."""
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def close_memory() -> None:
    """Let no process of the same user read or write ours."""
    _check(_libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def reap() -> None:
    """Clear away the remains of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def threads_of_user() -> int:
    """How many threads our user has, which a limit on their number counts in."""
    count = 0
    for pid in _all_processes():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{pid}/task"))
    return count


def take_scratch(folder: str) -> None:
    """Make `folder` the place for temporary files, and the one to work in."""
    os.environ.update(HOME=folder, TMPDIR=folder, MPLCONFIGDIR=folder, IPYTHONDIR=folder)
    tempfile.tempdir = None
    os.chdir(folder)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, which below the first process of a pid namespace is all of that namespace."""
    children: dict[int, list[int]] = {}
    for other in _all_processes():
        with contextlib.suppress(OSError), open(f"/proc/{other}/stat", "rb") as file:
            parent = int(file.read().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(other)
    found: list[int] = []
    generation = [pid]
    while generation:
        generation = [child for parent in generation for child in children.get(parent, ())]
        found += generation
    return found


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def held_bytes(pid: int | str) -> int:
    """Resident memory of a process that no file backs: its own, and what it shares with others.

    Source: proc_pid_status(5), RssAnon and RssShmem.
    """
    with open(f"/proc/{pid}/status", "rb") as file:
        lines = file.read().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith((b"RssAnon:", b"RssShmem:")))


SHARING = 16
"""So many processes are believed to hold still what they inherited, where the kernel does not say."""


def memory(pids: list[int], inherited: int, sharing: int = sys.maxsize) -> int:
    """What processes use together; the `inherited` bytes of the zygote count once for the first `sharing`."""
    held = sorted(_held_by(pids), reverse=True)
    return inherited + sum(max(0, own - inherited * (place < sharing)) for place, own in enumerate(held))


def could_hide(pids: list[int], most: int) -> bool:
    """Whether they hold more than `most` bytes if none of them shares anything with another."""
    return len(pids) > 1 and sum(_held_by(pids)) > most


def unshared_memory(pids: list[int], inherited: int) -> int:
    """What they use together, where some may have given up what they inherited: every page counts once.

    Slow, and needs the right to look into the processes. Source: proc_pid_smaps_rollup(5).
    """
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                lines = file.read().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            return memory(pids, inherited, SHARING)
        parts = [line.split() for line in lines if line.startswith((b"Pss_Anon:", b"Pss_Shmem:"))]
        total += 1024 * sum(int(part[1]) for part in parts)
    return total


def _held_by(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            found.append(held_bytes(pid))
    return found


def stored_bytes(folder: str, pids: list[int]) -> int:
    """What lies in a folder and below it, and what these processes hold open of files without a name.

    More files than a submission may have count as more bytes than it may have, and so does a folder that cannot be
    looked into: one that its owner closed, or that lies deeper than any path reaches.
    """
    found: dict[tuple[int, int], int] = {}
    for status in _held_open(pids):
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
            found[status.st_dev, status.st_ino] = status.st_blocks * 512
    waiting = [folder]
    while waiting:
        try:
            for entry in os.scandir(waiting.pop()):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
                if len(found) > MOST_FILES:
                    return sys.maxsize
        except (FileNotFoundError, NotADirectoryError):  # removed meanwhile
            continue
        except OSError:
            return sys.maxsize
    return sum(found.values())


def _held_open(pids: list[int]) -> Iterator[os.stat_result]:
    """What processes hold open, as far as we may see that."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    yield os.stat(entry.path)


def mounted_bytes() -> int:
    """What lies in the places that submissions write to, where each is a mount of its own.

    More files than a submission may have count as more bytes than it may have.
    """
    mounts = {os.stat(place).st_dev: os.statvfs(place) for place in SCRATCH if os.path.ismount(place)}
    if sum(mount.f_files - mount.f_ffree for mount in mounts.values()) > MOST_FILES:
        return sys.maxsize
    return sum((mount.f_blocks - mount.f_bfree) * mount.f_frsize for mount in mounts.values())


KILL_SECONDS = 40.0
"""To give up its memory a process needs a processor, and those put lowest get little of a busy machine.

Less than a judge waits for the zygote's word (`RELAY_SECONDS`): a zygote that gives up takes all its judges along.
"""


def kill_all(find: Callable[[], list[int]], pid: int) -> None:
    """Kill and reap `pid`, our child, and every process that `find` finds; bounded in time."""
    end = time.monotonic() + KILL_SECONDS
    while time.monotonic() < end:
        alive = find()
        for other in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(other, signal.SIGKILL)
        if is_reaped(pid) and not alive:
            return
        _wait(pid, 0.01)
    raise OSError("some processes of a submission could not be killed")


def _wait(pid: int, seconds: float) -> None:
    """Until `pid` has ended, or so long."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:  # reaped already: what it left behind needs a moment
        time.sleep(0.001)
        return
    try:
        select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)


def is_reaped(pid: int) -> bool:
    """Whether our child `pid` has ended; its remains are cleared away."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
