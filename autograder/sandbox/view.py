"""What a submission sees of this machine's files: the system, Python and its packages, and nothing of the course.

    /usr/bin, /usr/lib, /usr/share/fonts, …    the system's programs, libraries and fonts
    PREFIX/lib                                 Python's own library, wherever Python lies
    /opt/environment                           its environment, wherever that lies
    /opt/packages/N                            further folders of packages, as a user's own
    /opt/course                                the worker, and what is provided of ebmkit

Only these folders are mounted, never the prefix they lie in, and what is hidden in them is covered. `look` is then
run by a fork inside, as a student would: grading starts only if it finds nothing.
"""

import dataclasses
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from autograder.course import Course

INSIDE = Path("/opt/environment")
PACKAGES = Path("/opt/packages")
PYTHON = Path("/opt/python")
WRITTEN = ("/tmp", "/home/student", "/dev")
OURS = ("autograder", "ebmkit")
SYSTEM = """
/usr/bin /usr/sbin /usr/lib /usr/lib32 /usr/lib64 /usr/libexec /usr/local/bin /usr/local/lib /usr/local/lib64
/usr/share/fonts /usr/share/fontconfig /usr/share/zoneinfo /usr/share/locale /usr/share/i18n /usr/share/terminfo
/usr/share/mime /usr/share/misc /usr/share/X11 /usr/local/share/fonts
""".split()
LINKED = ("/bin", "/sbin", "/lib", "/lib64", "/lib32")
SETTINGS = ("/etc/ld.so.cache", "/etc/fonts", "/etc/localtime", "/etc/alternatives")
FOLDERS = (f"{INSIDE}/bin/python3", "/etc/fonts", "/opt/course", "/home/student")
FOLDERS_OF_PACKAGES = ("site-packages", "dist-packages")


def python() -> Path:
    """The interpreter itself, outside any environment."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def within(path: Path) -> Path:
    """Where something of Python's own is inside: where it is here, but for places that submissions write to."""
    top = library().parent
    if not path.is_relative_to(top) or not any(top.is_relative_to(place) for place in WRITTEN):
        return path
    return PYTHON / path.relative_to(top)


def library() -> Path:
    """The folder of Python's own library: PREFIX/lib, its shared objects included."""
    return Path(sysconfig.get_path("stdlib")).resolve().parent


def environment() -> Path | None:
    """Where the environment's packages lie; None where Python itself holds them."""
    return Path(sys.prefix).resolve() / "lib" if sys.prefix != sys.base_prefix else None


def further_packages() -> list[Path]:
    """Folders of packages that lie neither in the environment nor in the system: a user's own."""
    known = [library(), *([place] if (place := environment()) else []), *map(Path, SYSTEM)]
    found = dict.fromkeys(
        Path(entry).resolve() for entry in sys.path if Path(entry).name in FOLDERS_OF_PACKAGES
    )
    return [path for path in found if path.is_dir() and not any(path.is_relative_to(k) for k in known)]


def packages_inside() -> list[str]:
    """Where `further_packages` lie inside."""
    return [str(PACKAGES / str(number)) for number, _ in enumerate(further_packages())]


def hidden() -> set[Path]:
    """Every file and folder that no submission may see, wherever it lies."""
    course = Course.here()
    repository = Path(__file__).parent.parent.parent
    found = {root / name for root in (course.root, repository) for name in ("course", "solutions")}
    found |= {course.settings.solutions, course.settings.checks}
    if chosen := os.environ.get("EBM_CHECKS"):
        found.add(Path(chosen))
    for name in OURS:
        spec = importlib.util.find_spec(name)
        found.update(map(Path, (spec.submodule_search_locations or ()) if spec is not None else ()))
        found.update(folder / name for folder in _folders_of_packages())
    return {path.resolve() for path in found if path.exists()}


def _folders_of_packages() -> Iterator[Path]:
    """All that can be found from what is mounted, of this Python or another."""
    yield from further_packages()
    for place in (library(), environment() or library(), *map(Path, SYSTEM)):
        for name in FOLDERS_OF_PACKAGES:
            yield from place.glob(f"python3*/{name}")


def mounts(course: Path, environment_variables: dict[str, str]) -> list[str]:
    """What bubblewrap is told to mount, read-only but for scratch; what is hidden is covered."""
    arguments: list[str] = []
    shown = [(Path(name), Path(name)) for name in SYSTEM if os.path.exists(name)]
    shown += [(library(), within(library()))]
    if not any(python().is_relative_to(source) for source, _ in shown):
        shown.append((python(), within(python())))
    if kept := environment():
        shown.append((kept, INSIDE / "lib"))
    shown += [(path, PACKAGES / str(number)) for number, path in enumerate(further_packages())]
    for place in (
        *(there for _, there in shown),
        *map(Path, FOLDERS),
    ):
        for parent in reversed(place.parents):
            arguments += ["--perms", "0755", "--dir", str(parent)]
    for name in LINKED:
        path = Path(name)
        if path.is_symlink():
            arguments += ["--symlink", os.readlink(path), name]
        elif path.exists():
            arguments += ["--ro-bind", name, name]
            shown.append((path, path))
    covered: list[str] = []
    for source, there in shown:
        arguments += ["--ro-bind", str(source), str(there)]
        for secret in sorted(hidden()):
            inside = there / secret.relative_to(source) if secret.is_relative_to(source) else there
            if inside != there and str(inside) not in covered:
                covered.append(str(inside))
    for name in SETTINGS:
        arguments += ["--ro-bind-try", name, name]
    for name in covered:
        arguments += ["--tmpfs", name, "--remount-ro", name]
    # An environment of our own making: where the real one lies, and what else it holds, neither shows nor matters.
    arguments += ["--symlink", str(within(python())), str(INSIDE / "bin" / "python3")]
    arguments += ["--ro-bind", str(course / "pyvenv.cfg"), str(INSIDE / "pyvenv.cfg")]
    arguments += ["--ro-bind", str(course), "/opt/course", "--proc", "/proc", "--dev", "/dev"]
    arguments += ["--tmpfs", "/tmp", "--dir", "/home/student", "--clearenv"]
    if within(library()) != library():
        arguments += ["--setenv", "LD_LIBRARY_PATH", str(within(library()))]
    for name, value in environment_variables.items():
        arguments += ["--setenv", name, value]
    return arguments


def readable() -> list[str]:
    """What a submission may read where nothing can be mounted: the same folders, but for what is hidden in them."""
    places = [*map(Path, (*SYSTEM, *LINKED, *SETTINGS)), library(), python(), *further_packages()]
    places += [place] if (place := environment()) else []
    secrets = hidden()
    found = [str(part) for place in places if place.exists() for part in _without(place.resolve(), secrets)]
    return [*dict.fromkeys(found)]


def _without(place: Path, secrets: set[Path]) -> Iterator[Path]:
    """The place, or where something hidden lies in it what else lies there."""
    if place in secrets:
        return
    if not any(secret.is_relative_to(place) for secret in secrets):
        yield place
        return
    for part in place.iterdir():
        if not part.is_symlink():
            yield from _without(part, secrets)


def configuration() -> str:
    """The `pyvenv.cfg` of the environment inside: like the real one, but for the paths in it."""
    system_too = "true" if environment() is None or _sees_the_systems_packages() else "false"
    return f"home = {within(python()).parent}\ninclude-system-site-packages = {system_too}\n"


def _sees_the_systems_packages() -> bool:
    try:
        lines = (Path(sys.prefix) / "pyvenv.cfg").read_text().lower().splitlines()
    except OSError:
        return False
    return "include-system-site-packages = true" in map(str.strip, lines)


@dataclasses.dataclass(frozen=True)
class Look:
    """A cell that looks for what must not be seen, by the names that it has here and by names alone."""

    paths: tuple[str, ...]
    roots: tuple[str, ...]

    @property
    def source(self) -> str:
        return LOOK.format(paths=self.paths, roots=self.roots, ours=OURS)


def look() -> Look:
    """What a fork inside shall look for, in what is mounted and at every path that something hidden has here."""
    roots = ("/", *SYSTEM, str(within(library())), str(INSIDE), str(PACKAGES))
    paths = set()
    for secret in hidden():
        paths.add(str(secret))
        if secret.is_dir():
            paths |= {str(path) for path in secret.glob("*.py")}
            paths |= {str(path) for path in (secret / "checks").glob("*.py")}
            paths |= {str(path) for path in (secret / "grading.key", secret / "gradebook.db")}
    return Look(tuple(sorted(paths)), roots)


LOOK = '''
def _look(paths, roots, ours):
    import os
    seen = []
    def sees(path):
        """Whether a file can be read, or a folder holds something that can be named."""
        try:
            if os.path.isdir(path):
                return bool(os.listdir(path))
            with open(path, "rb") as file:
                return bool(file.read(1))
        except OSError:
            return False
    seen += [path for path in paths if sees(path)]
    waiting = [(root, 0) for root in roots]
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                entries = list(entries)
        except OSError:
            continue
        for entry in entries:
            path = entry.path
            if entry.name in ("grading.key", "gradebook.db"):
                seen.append(path)
            if path in ("/proc", "/sys", "/dev", "/opt/course") or not entry.is_dir(follow_symlinks=False):
                continue
            if entry.name in ours or entry.name in ("solutions", "submitted", "autograded"):
                seen += [path] * sees(path) * (entry.name in ours or depth < 3)
            elif depth < 4 and not folder.endswith("-packages"):
                waiting.append((path, depth + 1))
    return sorted(set(seen))
print(*_look({paths!r}, {roots!r}, {ours!r}), sep="\\n")
'''
