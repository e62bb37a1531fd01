"""Checksums of a database's files, so that a byte that changes by itself is noticed.

``checksums.json`` is written whenever a writer closes. While one is at work, or after it was
killed, the file is open: then only files that are never changed once written are held to it.
Shards are not in it, as the ledger knows theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from blake3 import blake3

from indexer import advice
from indexer.database.access import unreadable
from indexer.database.durable import write_durably, writing
from indexer.database.sqlite import file_bytes
from indexer.errors import DatabaseError

__all__ = [
    "CHECKSUMS",
    "Damage",
    "check",
    "check_open",
    "check_truth",
    "is_whole",
    "kept_manifest",
    "open_seal",
    "read_checked",
    "seal",
    "write_checked",
]

CHECKSUMS = "checksums.json"
_FORMAT = 1
_FOLDERS = ("text", "vectors")
_FILES = ("manifest.json", "ledger.sqlite", "thumbnails.sqlite")
# Files of an embedded text store that each commit replaces. All other files are written once.
_REPLACED = ("meta.json", ".managed.json", "facets.json", "schema.json")
# Files smaller than this are read whole when a database is opened; of larger ones only the size is
# compared.
_QUICK_BYTES = 64 << 20
_TRIES = 3

_Entry: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what was written.

    Parameters
    ----------
    name
        Its path inside the database.
    what
        ``"missing"``, or ``"changed"``.
    """

    name: str
    what: Literal["missing", "changed"]

    def __str__(self) -> str:
        return f"{self.name} is missing" if self.what == "missing" else f"{self.name} was changed"


def seal(root: Path) -> None:
    """Write the checksums of all files; those that are unchanged by size and time are not read."""
    before = _read(root) or {"files": {}}
    files = {name: _entry(root, name, before["files"].get(name)) for name in _names(root)}
    manifest = (root / "manifest.json").read_text()
    _write(root, {"sealed": True, "files": files, "manifest": manifest})


def open_seal(root: Path) -> None:
    """A writer begins: from now on files may change."""
    found = _read(root)
    if found is not None and found["sealed"]:
        _write(root, {**found, "sealed": False})
    elif not (root / CHECKSUMS).exists():
        # Its loss is noticed from now on.
        manifest = (root / "manifest.json").read_text()
        _write(root, {"sealed": False, "files": {}, "manifest": manifest})


def kept_manifest(root: Path) -> str | None:
    """The manifest as it was when the database was last closed."""
    found = _read(root)
    return found["manifest"] if found else None


def check(root: Path, part: str = "", *, quick: bool = False) -> list[Damage]:
    """What is not as it was written; an empty list where there are no checksums.

    Parameters
    ----------
    part
        Beginning of the names that are looked at.
    quick
        Do not read what is large.
    """
    for _ in range(_TRIES):
        found = _read(root)
        if found is None:
            return []
        damages = list(_compare(root, found, part, quick))
        # A writer may have begun or ended while files were read.
        if not damages or _read(root) == found:
            return damages
    return []


def _compare(root: Path, found: dict[str, Any], part: str, quick: bool) -> Iterator[Damage]:
    for name, entry in sorted(found["files"].items()):
        if not name.startswith(part) or not (found["sealed"] or _is_permanent(root, name)):
            continue
        path = root / name
        try:
            size = path.stat().st_size
            same = size == entry["size"] and (
                (quick and size > _QUICK_BYTES) or _digest(path) == entry["blake3"]
            )
        except FileNotFoundError:
            yield Damage(name, "missing")
        except OSError as error:
            raise DatabaseError(
                unreadable(path) or f"{path} cannot be read: {error.strerror}"
            ) from error
        else:
            if not same:
                yield Damage(name, "changed")


def check_open(root: Path, part: str) -> None:
    """Refuse to open what is not as it was written.

    Raises
    ------
    DatabaseError
        It names the file and says what to do.
    """
    if damages := check(root, part, quick=True):
        raise DatabaseError(f"the database {root} is damaged: {damages[0]}; {advice.REPAIR}")


def check_truth(root: Path) -> None:
    """Refuse a database of which that is damaged from which all else is made.

    Raises
    ------
    DatabaseError
        As `check_open`.
    """
    for name in ("manifest.json", "ledger.sqlite"):
        check_open(root, name)


def is_whole(root: Path) -> bool:
    """Whether the checksums themselves are whole, or were never written."""
    return not (root / CHECKSUMS).exists() or _read(root) is not None


def _is_permanent(root: Path, name: str) -> bool:
    """Whether a file is never changed, so that it is right or gone."""
    folder, _, rest = name.partition("/")
    return folder in _FOLDERS and rest not in _REPLACED and (root / name).exists()


def _names(root: Path) -> Iterator[str]:
    for name in _FILES:
        if (root / name).is_file():
            yield name
    for folder in _FOLDERS:
        for place, _, files in os.walk(root / folder):
            for name in files:
                if not name.endswith((".lock", ".tmp")):
                    yield Path(place, name).relative_to(root).as_posix()


def _entry(root: Path, name: str, before: _Entry | None) -> _Entry:
    path = root / name
    status = path.stat()
    now = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    if before is not None and all(before[key] == value for key, value in now.items()):
        return before
    return {**now, "blake3": _digest(path)}


def _digest(path: Path) -> str:
    # Hashed in this thread alone: a pool of threads would not survive a fork of this process.
    digest = blake3()
    if path.suffix == ".sqlite":
        for piece in file_bytes(path):
            digest.update(piece)
    elif path.stat().st_size:
        digest.update_mmap(path)
    return digest.hexdigest()


def read_checked(path: Path) -> dict[str, Any] | None:
    """What `write_checked` wrote; None where there is nothing, or something else."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = json.loads(path.read_bytes())
        if data["format"] == _FORMAT and data["digest"] == _own_digest(data):
            return dict(data)
    return None


def write_checked(path: Path, data: dict[str, Any]) -> None:
    """Write a JSON object with a checksum of its own, durably."""
    data = {**data, "format": _FORMAT}
    data["digest"] = _own_digest(data)
    with writing(path.parent):
        write_durably(path, (json.dumps(data, indent=1) + "\n").encode())


def _read(root: Path) -> dict[str, Any] | None:
    return read_checked(root / CHECKSUMS)


def _write(root: Path, data: dict[str, Any]) -> None:
    write_checked(root / CHECKSUMS, data)


def _own_digest(data: dict[str, Any]) -> str:
    rest = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
