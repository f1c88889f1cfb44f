"""Python and the editor for the pages' live exercises, from their own packages on npm into dist/live/.

    python book/live/fetch.py

`npm pack` fetches what packages.json pins, by version and by the SHA-512 of the archive; nothing of it is
committed. Without npm, or without a network, the book is built all the same: its exercises are then shown
and not run. With EBM_REQUIRE_ALL=1 that is an error.
"""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINS = HERE / "packages.json"
TARGET = HERE.parents[1] / "dist" / "live"
STAMP = "fetched.json"
DATE = (1980, 1, 1, 0, 0, 0)
RUNTIME = ("pyodide.js", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
UNUSED = re.compile(
    r"/(?:tests|f2py|distutils|_examples)/|/_core/(?:include|lib)/|\.pyi$|\.dist-info/(?!LICENSE)"
)
IMPORT = re.compile(r"""(\b(?:from|import)\s*)(["'])(@?[\w-]+(?:/[\w-]+)?)\2""")


class NotFetched(RuntimeError):
    """The files are not to be had here; the message says why and what to do."""


def fingerprint() -> str:
    """Changes when other packages are pinned or they are unpacked in another way."""
    return hashlib.sha256(PINS.read_bytes() + Path(__file__).read_bytes()).hexdigest()


def is_current(target: Path = TARGET) -> bool:
    """Whether `target` holds what is pinned now, every file as it was unpacked."""
    stamp = target / STAMP
    if not stamp.exists():
        return False
    kept = json.loads(stamp.read_text(encoding="utf-8"))
    return kept["fingerprint"] == fingerprint() and all(
        (target / name).exists() and digest(target / name) == expected
        for name, expected in kept["files"].items()
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pack(pins: list[dict[str, str]], folder: Path) -> list[bytes]:
    """The archives of the pinned packages, checked against their integrity."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetched("npm is not there; install it (Debian: apt-get install npm) and run: make live")
    wanted = [f"{pin['name']}@{pin['version']}" for pin in pins]
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), *wanted]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        raise NotFetched("npm did not answer within 300 s; run again later: make live") from None
    if done.returncode:
        raise NotFetched(f"npm could not fetch them ({done.stderr.strip()[-300:]}); run again: make live")
    return [checked(pin, folder) for pin in pins]


def checked(pin: dict[str, str], folder: Path) -> bytes:
    """The archive of one package; raises `SystemExit` when it is another than the pinned one."""
    name = pin["name"].removeprefix("@").replace("/", "-")
    data = (folder / f"{name}-{pin['version']}.tgz").read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != pin["integrity"]:
        raise SystemExit(
            f"{pin['name']} {pin['version']} is not the archive that is pinned: its integrity is {found}, "
            f"book/live/packages.json says {pin['integrity']}"
        )
    return data


def members(archive: bytes) -> dict[str, bytes]:
    """The files of a tar archive in memory, by name; links and devices are left out."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def runtime_files(archive: bytes) -> dict[str, bytes]:
    """Python itself: what the loader asks for, with a list of packages that names none."""
    files = members(archive)
    lock: dict[str, Any] = json.loads(files["package/pyodide-lock.json"])
    lock["packages"] = {}
    chosen = {name: files[f"package/{name}"] for name in RUNTIME}
    chosen["pyodide.js"] = re.sub(rb"\n//# sourceMappingURL=\S+", b"", chosen["pyodide.js"])
    return chosen | {"pyodide-lock.json": json.dumps(lock).encode()}


def numpy_archive(archive: bytes) -> bytes:
    """NumPy without its own tests, stubs and compilers, as one zip; the same bytes every time."""
    inner = next(data for name, data in members(archive).items() if name.endswith(".tar.gz"))
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, data in sorted(members(inner).items()):
            _, found, member = name.partition("site-packages/")
            if found and not UNUSED.search(member):
                packed.writestr(zipfile.ZipInfo(member, DATE), data, zipfile.ZIP_DEFLATED)
    return memory.getvalue()


def module_name(package: str) -> str:
    return package.removeprefix("@").replace("/", "-") + ".js"


def editor_module(archive: bytes) -> bytes:
    """A package's published module, its imports made relative: a browser resolves no bare names."""
    files = members(archive)
    description = json.loads(files["package/package.json"])
    entry = description.get("module") or description["exports"]["import"]
    text = files[f"package/{entry.removeprefix('./')}"].decode("utf-8")
    return IMPORT.sub(lambda found: f"{found[1]}{found[2]}./{module_name(found[3])}{found[2]}", text).encode()


def licences(pins: list[dict[str, str]], archives: list[bytes]) -> str:
    """Who made what, and under which terms."""
    texts = []
    for pin, archive in zip(pins, archives, strict=True):
        files = members(archive)
        stated = pin.get("license") or json.loads(files["package/package.json"]).get("license", "")
        text = "".join(
            data.decode("utf-8") for name, data in files.items() if re.search(r"package/LICEN[CS]E", name)
        )
        texts.append(f"{pin['name']} {pin['version']}: {stated}\n\n{text}".strip())
    return ("\n\n" + "-" * 72 + "\n\n").join(texts) + "\n"


def gather(pins: dict[str, list[dict[str, str]]]) -> dict[str, bytes]:
    """Every file to serve, by its name under the target."""
    everything = [*pins["python"], *pins["editor"]]
    with tempfile.TemporaryDirectory() as folder:
        archives = pack(everything, Path(folder))
    runtime, numpy, *modules = archives
    files = {f"python/{name}": data for name, data in runtime_files(runtime).items()}
    files["python/numpy.zip"] = numpy_archive(numpy)
    for pin, archive in zip(pins["editor"], modules, strict=True):
        files[f"editor/{module_name(pin['name'])}"] = editor_module(archive)
    files["licences.txt"] = licences(everything, archives).encode()
    return files


def fetch(target: Path = TARGET) -> str:
    """Fill `target` unless it is current; returns what was done, in words."""
    if is_current(target):
        return f"Python for the pages is in {target}"
    files = gather(json.loads(PINS.read_text(encoding="utf-8")))
    shutil.rmtree(target, ignore_errors=True)
    for name, data in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    kept = {"fingerprint": fingerprint(), "files": {name: digest(target / name) for name in sorted(files)}}
    (target / STAMP).write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return f"Python for the pages: {sum(map(len, files.values())) / 1e6:.1f} MB in {target}"


def main() -> None:
    try:
        print(fetch())
    except NotFetched as error:
        if os.environ.get("EBM_REQUIRE_ALL") == "1":
            raise SystemExit(f"Python for the pages: {error}") from None
        print(f"The pages' exercises will be shown and not run: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
