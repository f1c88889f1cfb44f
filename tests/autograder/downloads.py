"""Folders and zips as people and systems hand them over, and what lies in the inbox after them."""

import zipfile
from pathlib import Path


def zipped(path: Path, members: dict[str, bytes], **more: object) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            information = zipfile.ZipInfo(name, more.get("when", (2026, 10, 1, 12, 0, 0)))
            information.compress_type = zipfile.ZIP_DEFLATED
            information.external_attr = more.get("mode", 0o644) << 16
            archive.writestr(information, data)
    return path


def laid_out(top: Path, members: dict[str, bytes]) -> Path:
    for name, data in members.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return top


def handed_in(classroom) -> dict[str, bytes]:
    """Everything in the inbox, by its path."""
    top = classroom.course.folder("submitted")
    return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}
