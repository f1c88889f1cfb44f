"""The files in a folder or a zip, whoever packed it, without unpacking anything.

Each file is read by itself, up to the size that is asked for. Links are not followed, and no path in an archive is
used. Names come as people see them: macOS packs UTF-8 without saying so and letters apart from their accents,
old Windows programs put \\ between folders, and both leave files behind that nobody handed in.
"""

import contextlib
import dataclasses
import io
import os
import re
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from autograder.classroom import inbox

MAX_ENTRIES = 1_000_000
MAX_EXPANSION = 100
FREE_BYTES = 256 << 20
"""All that is read from an archive together may be this much, and `MAX_EXPANSION` times the archive's size more."""

MAX_PACKED = 64 << 20
"""A zip that a student packed is looked into up to this size."""

LEFT_BEHIND = frozenset({"__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "$recycle.bin"})
UTF8_FLAG = 0x800


@dataclasses.dataclass(frozen=True)
class Member:
    """A file in the folder or zip: where it lies, when it was changed, and a way to read so many bytes of it.

    `inner` is its path in a zip that a student packed; `parts` are then those of that zip.
    """

    parts: tuple[str, ...]
    modified: float
    read: Callable[[int], bytes]
    refusal: str = ""
    inner: str = ""

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def path(self) -> str:
        return "/".join((*self.parts, self.inner) if self.inner else self.parts)

    @property
    def given_name(self) -> str:
        """The name that a student gave the file, as far as the system that it came from kept it."""
        return self.inner.rpartition("/")[2] or self.name

    @property
    def is_notebook(self) -> bool:
        return self.given_name.lower().endswith(".ipynb")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[list[Member]]:
    """The files in a folder or zip, without what systems leave behind; raises `ValueError` if it is neither."""
    if path.is_dir():
        yield _unpacked(_visible(_in_folder(path)))
    elif path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                yield _unpacked(_visible(_in_archive(archive, path.stat().st_size)))
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(
                f"{path} is no zip archive, or it is damaged: {error}; download it again, or unpack it and "
                "collect the folder"
            ) from None
    else:
        raise ValueError(f"there is no folder or zip {path}")


def _visible(members: list[Member]) -> list[Member]:
    return [member for member in members if not any(map(_is_left_behind, member.parts))]


def _is_left_behind(part: str) -> bool:
    """Whether a name is that of what editors and systems leave behind."""
    return part.lower() in LEFT_BEHIND or (part.startswith(".") and part != ".." and "\\" not in part)


def _unpacked(members: list[Member]) -> list[Member]:
    """The files, and in place of a zip that a student packed the notebooks in it, if there are some."""
    found = []
    for member in members:
        packed = member.name.lower().endswith(".zip") and not member.refusal
        found += (_packed_by_a_student(member) if packed else []) or [member]
    return found


def _packed_by_a_student(zipped: Member) -> list[Member]:
    """The notebooks in a student's zip, each opened again when it is read: no class fits into memory."""
    try:
        with zipfile.ZipFile(io.BytesIO(_whole(zipped))) as archive:
            inside = _visible(_in_archive(archive, 0))
    except (inbox.Rejected, zipfile.BadZipFile, NotImplementedError, ValueError):
        return []  # it is no hand-in that can be read, and stays what it is

    def reader(name: str) -> Callable[[int], bytes]:
        def read(most: int) -> bytes:
            with zipfile.ZipFile(io.BytesIO(_whole(zipped))) as archive:
                (member,) = (m for m in _visible(_in_archive(archive, 0)) if m.path == name)
                return member.read(most)

        return read

    paths = [m.path for m in inside]
    return [
        Member(zipped.parts, m.modified, reader(m.path), m.refusal, m.path)
        for m in inside
        if m.is_notebook and paths.count(m.path) == 1
    ]


def _whole(zipped: Member) -> bytes:
    data = zipped.read(MAX_PACKED + 1)
    if len(data) > MAX_PACKED:
        raise inbox.Rejected(f"it is larger than {MAX_PACKED >> 20} MB")
    return data


def _in_folder(top: Path) -> list[Member]:
    members = []
    for folder, folders, names in os.walk(top):
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*names, *linked]):
            path = Path(folder, name)
            status = path.lstat()
            parts = tuple(unicodedata.normalize("NFC", part) for part in path.relative_to(top).parts)
            if name in linked:
                parts = (*parts, "*.ipynb")
            refusal = "it is a link or no plain file" if not stat.S_ISREG(status.st_mode) else ""
            members.append(Member(parts, status.st_mtime, _file_reader(path), refusal))
        folders.sort()
    return members


def _file_reader(path: Path) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            raise inbox.Rejected(f"it cannot be opened: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise inbox.Rejected("it is no plain file")
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most)

    return read


class _Budget:
    """How many bytes an archive may still give: small archives that unpack to very much are cut short."""

    def __init__(self, size: int) -> None:
        self.left = FREE_BYTES + MAX_EXPANSION * size

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise inbox.Rejected(
                "the archive unpacks to far more than its size; unpack it yourself, and look"
            )


def _in_archive(archive: zipfile.ZipFile, size: int) -> list[Member]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"the archive has {len(entries)} entries; at most {MAX_ENTRIES} are read")
    budget = _Budget(size)
    names = [_name(entry) for entry in entries]
    # Some Windows programs know no other separator; elsewhere a backslash is part of a file's name.
    if not any("/" in name for name in names):
        names = [name.replace("\\", "/") for name in names]
    return [
        _entry(archive, entry, name, budget)
        for entry, name in zip(entries, names)
        if not entry.is_dir() and not name.endswith("/")
    ]


def _name(entry: zipfile.ZipInfo) -> str:
    """The entry's name: UTF-8 where its bytes are that, whatever its flag says, else as MS-DOS wrote names."""
    name = entry.filename
    if not entry.flag_bits & UTF8_FLAG:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, budget: _Budget) -> Member:
    parts = PurePosixPath(name).parts or ("(no name)",)
    refusal = ""
    if name.startswith("/") or ".." in parts or re.match("[A-Za-z]:", name):
        refusal = "its path leads out of the archive"
    elif "\\" in name:
        refusal = "its path has a backslash; pack the archive with / between folders"
    elif stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        refusal = "it is a link or no plain file"
    elif entry.flag_bits & 1:
        refusal = "it is encrypted"
    elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refusal = "it is compressed in an unusual way"
    try:
        modified = time.mktime((*entry.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        modified = 0.0

    def read(most: int) -> bytes:
        try:
            with archive.open(entry) as file:
                data = file.read(most)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            OSError,
            RuntimeError,
        ) as error:
            raise inbox.Rejected(f"it is damaged in the archive: {error}") from None
        budget.spend(len(data))
        return data

    return Member(parts, modified, read, refusal)
