"""Names of files: as text that can be stored, back to real ones, and which of them are litter."""

from __future__ import annotations

import os
import re

__all__ = ["is_litter", "real_path", "shown_name"]

_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "dicomdir"})


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden, other systems' litter, or a DICOMDIR."""
    return name.startswith(".") or name.lower() in _LITTER


def shown_name(name: str) -> str:
    """`name` as text; bytes that are no UTF-8 read ``\\xe9``."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def real_path(path: str) -> str:
    """The path of which `shown_name` made `path`."""
    if "\\x" not in path or os.path.lexists(path):
        return path
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda m: bytes.fromhex(m[1].decode()), path.encode())
    return os.fsdecode(raw)
