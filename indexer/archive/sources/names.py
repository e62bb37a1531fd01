"""Names of files: as text that can be stored, back to real ones, and which are ignored."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

__all__ = [
    "has_suffix",
    "is_ignored",
    "is_left_out",
    "real_path",
    "shown_name",
    "stem",
    "unpacked_name",
]

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "dicomdir"})
_SYSTEM_FOLDERS = frozenset({"__macosx"})
_PACKED = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)
# A suffix starts with a letter, so that the last number of a UID is not taken for one.
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")


def is_ignored(name: str, *, folder: bool) -> bool:
    """Whether a file or folder is hidden, a system's own, or a DICOMDIR (but no folder)."""
    hidden = name.startswith(".") and name.strip(".") != ""
    return hidden or name.lower() in (_SYSTEM_FOLDERS if folder else _SYSTEM_FILES)


def is_left_out(path: str) -> bool:
    """Whether a file in a zip or tar is ignored, or lies in a folder that is."""
    *folders, name = path.removeprefix("./").split("/")
    return is_ignored(name, folder=False) or any(is_ignored(f, folder=True) for f in folders)


def has_suffix(name: str) -> bool:
    """Whether a file's name says of what kind it is."""
    return _SUFFIX.search(name) is not None


def stem(path: str) -> str:
    """A file's name without folders and suffix; a UID used as name stays whole."""
    name = path.rpartition("/")[2]
    if name in ("", "."):
        name = PurePosixPath(path).name
    return _SUFFIX.sub("", unpacked_name(name))


def unpacked_name(name: str) -> str:
    """The name of what is packed in a file: ``film.dcm`` of ``film.dcm.gz``."""
    return _PACKED.sub("", name)


def shown_name(name: str) -> str:
    """`name` as text; bytes that are no UTF-8 read ``\\xe9``."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def real_path(path: str) -> str:
    """The path that `shown_name` turned into `path`."""
    if "\\x" not in path or os.path.lexists(path):
        return path
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda m: bytes.fromhex(m[1].decode()), path.encode())
    return os.fsdecode(raw)
