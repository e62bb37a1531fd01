"""Who can read a database, and what of a patient is where."""

from __future__ import annotations

import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.database.reader import DatabaseReader

__all__ = ["Holding", "Privacy", "look"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A part of a database.

    Parameters
    ----------
    part
        Name of the file or folder, or what holds it outside of the folder.
    holds
        What of a patient is in it, in words.
    bytes
        Its size; None where it is not in the folder.
    readers
        Who can read it, in words.
    """

    part: str
    holds: str
    bytes: int | None
    readers: str


@dataclass(frozen=True, slots=True)
class Privacy:
    """What `look` found.

    Parameters
    ----------
    holdings
        Part by part.
    warnings
        What is more open than it should be.
    counts
        Images, studies, patients, reports, thumbnails, and what was forgotten.
    """

    holdings: tuple[Holding, ...]
    warnings: tuple[str, ...]
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


_HOLDS = {
    "ledger.sqlite": "paths of files, which may hold names; pseudonymous ids; sex, age, year, "
    "manufacturer; texts of reports; readings",
    "labels.sqlite": "what people said of images, with the names that they sign in with; "
    "pseudonymous ids",
    "embeddings": "a vector of each image, by which pictures alike are found; pseudonymous ids",
    "vectors": "the same vectors, for searching",
    "text": "texts of reports and annotations; sex, age, year, manufacturer; pseudonymous ids",
    "semantic": "texts of annotations, and vectors of them",
    "thumbnails.sqlite": "small pictures; none where text is said to be burned in",
    "cohorts.sqlite": "names and notes that people gave; pseudonymous ids",
    "manifest.json": "nothing of a patient",
    "checksums.json": "nothing of a patient",
    "labels.checksum.json": "nothing of a patient",
    "cohorts.checksum.json": "nothing of a patient",
}


def look(path: Path) -> Privacy:
    """Look at the permissions and contents of a database.

    Raises
    ------
    DatabaseError
        There is none, or it may not be read.
    """
    with DatabaseReader.open(path) as database:
        layout, images = database.layout, database.ledger.images
        holdings = [
            Holding(name, holds, _size(layout.root / name), _readers(layout.root, name))
            for name, holds in _HOLDS.items()
            if (layout.root / name).exists()
        ]
        manifest = database.manifest
        if manifest.text == "elasticsearch":
            place = f"Elasticsearch, index {manifest.text_index}"
            who = "whoever the server lets in"
            holdings.append(Holding(place, _HOLDS["text"], None, who))
        key = os.environ.get("CXRDEX_KEY_FILE") or "the user's configuration"
        who = "its owner; with it, a known name or number can be looked for among the ids"
        holdings.append(Holding("id key", f"the secret of all ids, in {key}", None, who))
        counts = {
            "images": images.count,
            "studies": images.studies,
            "patients": images.patients,
            "reports": images.with_report,
            "thumbnails": sum(1 for _ in images.with_picture()),
            "forgotten": len(database.ledger.forgotten.all()),
            "documents waiting for the text store": database.ledger.outbox.count,
        }
    return Privacy(tuple(holdings), tuple(_warnings(layout.root)), counts)


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


def _readers(root: Path, name: str) -> str:
    """Who gets through the permissions of the folder and of the part."""
    status = root.stat()
    modes = [status.st_mode, *(p.lstat().st_mode for p in _all(root / name))]
    if all(mode & stat.S_IROTH for mode in modes) and status.st_mode & stat.S_IXOTH:
        return "everybody on this machine"
    if all(mode & stat.S_IRGRP for mode in modes) and status.st_mode & stat.S_IXGRP:
        return f"{_name(status.st_uid, 'user')} and the group {_name(status.st_gid, 'group')}"
    return f"{_name(status.st_uid, 'user')} alone"


def _warnings(root: Path) -> list[str]:
    if root.stat().st_mode & stat.S_IXOTH:
        others = [p for p in _all(root) if p.lstat().st_mode & stat.S_IROTH]
        if others:
            return [
                f"everybody on this machine can read {len(others)} files and folders of {root}: "
                "the next command that writes it takes that away"
            ]
    return []


def _all(path: Path) -> list[Path]:
    return [path, *path.rglob("*")] if path.is_dir() else [path]


def _name(number: int, kind: str) -> str:
    if os.name != "posix":
        return str(number)
    import grp
    import pwd

    try:
        return pwd.getpwuid(number).pw_name if kind == "user" else grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
