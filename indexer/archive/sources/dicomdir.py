"""DICOMDIRs: which files the directory of a DICOM medium names (PS3.3 F, PS3.10 8)."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache

from indexer.errors import ArchiveError

__all__ = ["file_ids", "referenced_files"]

# Everything pydicom raises over damaged or foreign bytes, mostly at the first look at a value.
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    TypeError,
    struct.error,
    zlib.error,
)


# Suffixes and versions that copying adds to a file id.
_SUFFIX = re.compile(r"(?:\.[a-z][a-z0-9]{0,7}|\.)?(?:;\d+)?$")


def file_ids(path: str) -> list[list[str]]:
    """File ids, as lists of components, of the IMAGE records of a DICOMDIR.

    Raises
    ------
    ArchiveError
        It cannot be parsed, or is none.
    """
    import pydicom

    from indexer.archive.pictures.dicom.elements import quiet

    try:
        with quiet():
            records = pydicom.dcmread(path, force=True).DirectoryRecordSequence
            images = [r for r in records if r.get("DirectoryRecordType") == "IMAGE"]
            ids = [r.get("ReferencedFileID") for r in images]
    except _BROKEN as error:
        raise ArchiveError(f"archive {path}: not a readable DICOMDIR") from error
    return [[i] if isinstance(i, str) else list(i) for i in ids if i]


def referenced_files(path: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """The files that a DICOMDIR names, below its folder; None for the status of a missing one."""
    folder = os.path.dirname(path)
    names = lru_cache(maxsize=64)(_names_by_case)
    for parts in file_ids(path):
        # The standard knows no "..": such an id would lead out of the medium.
        found = None if {"..", "."} & set(parts) else _match_case(folder, parts, names)
        try:
            status = os.stat(os.path.join(folder, found)) if found else None
        except OSError:
            status = None
        if found and status:
            yield found, status
        else:
            yield "/".join(p for p in parts if p.strip(".")), None


def _match_case(
    folder: str, parts: list[str], names: Callable[[str], dict[str, str]]
) -> str | None:
    """The file of a DICOMDIR's upper-case id, which many systems store in lower case."""
    found: list[str] = []
    for part in parts:
        here = os.path.join(folder, *found)
        name = part if os.path.lexists(os.path.join(here, part)) else None
        name = name or names(here).get(part.casefold())
        if name is None:
            return None
        found.append(name)
    return "/".join(found)


def _names_by_case(folder: str) -> dict[str, str]:
    try:
        names = sorted(os.listdir(folder), reverse=True)
    except OSError:
        return {}
    # Copying puts suffixes behind the names, and some systems show ISO 9660's version numbers.
    bare = {_SUFFIX.sub("", name.casefold()): name for name in names}
    return {**bare, **{name.casefold(): name for name in names}}
