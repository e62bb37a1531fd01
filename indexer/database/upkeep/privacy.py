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
    "manufacturer; texts of reports; readings; checksums of files; what people said of images, "
    "with the names that they sign in with; keyed hashes of what was forgotten",
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


# What of a folder's and of a file's permissions lets everybody in.
_BY_ALL = (stat.S_IXOTH, stat.S_IROTH)
# Ends of files that SQLite keeps beside a database file; what was written last may be in them.
_BESIDE = ("-wal", "-shm", "-journal")


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
            for name, holds in {**_HOLDS, **_others(layout.root)}.items()
            if (layout.root / name).exists()
        ]
        manifest = database.manifest
        if manifest.text == "elasticsearch":
            place = f"Elasticsearch, index {manifest.text_index}"
            who = "whoever the server lets in"
            holds = _HOLDS["text"]
            if manifest.vectors == "elasticsearch":
                holds += f"; {_HOLDS['embeddings']}"
            holdings.append(Holding(place, holds, None, who))
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


def _others(root: Path) -> dict[str, str]:
    """What lies in the folder and is no part of a database."""
    known = {name + end for name in _HOLDS for end in ("", *_BESIDE)}
    return {
        path.name: "not known: no part of a database"
        for path in sorted(root.iterdir())
        if path.name not in known and path.suffix != ".lock"
    }


def _files(path: Path) -> list[Path]:
    """The files of a part: of a file also those that SQLite keeps beside it."""
    if path.is_dir():
        return [p for p in path.rglob("*") if p.is_file()]
    beside = (path.with_name(path.name + end) for end in _BESIDE)
    return [path, *(p for p in beside if p.is_file())]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in _files(path))


def _readers(root: Path, name: str) -> str:
    """Who gets through the permissions to at least one file of a part, which may be a few only."""
    files = _files(root / name)
    owner = _name(root.stat().st_uid, "user")
    everybody = [f for f in files if _lets(root, f, *_BY_ALL)]
    if everybody:
        return "everybody on this machine" + _share(everybody, files)
    group = [f for f in files if _lets(root, f, stat.S_IXGRP, stat.S_IRGRP)]
    if group:
        names = sorted({_name(file.stat().st_gid, "group") for file in group})
        return f"{owner} and the group {', '.join(names)}{_share(group, files)}"
    return f"{owner} alone"


def _lets(root: Path, file: Path, search: int, read: int) -> bool:
    """Whether a file may be read, and the folders on the way from `root` be passed."""
    way = [folder for folder in file.parents if folder == root or root in folder.parents]
    return bool(file.stat().st_mode & read) and all(f.stat().st_mode & search for f in way)


def _share(some: list[Path], files: list[Path]) -> str:
    return "" if len(some) == len(files) else f" ({len(some)} of its {len(files)} files)"


def _warnings(root: Path) -> list[str]:
    if root.stat().st_mode & stat.S_IXOTH:
        others = [p for p in root.rglob("*") if p.is_file() and _lets(root, p, *_BY_ALL)]
        if others:
            return [
                f"everybody on this machine can read {len(others)} files of {root}: "
                "the next command that writes it takes that away"
            ]
    return []


def _name(number: int, kind: str) -> str:
    if os.name != "posix":
        return str(number)
    import grp
    import pwd

    try:
        return pwd.getpwuid(number).pw_name if kind == "user" else grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
