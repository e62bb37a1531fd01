"""Who may read a database: its owner alone, or a group that its folder belongs to.

The folder says it: with permissions for its group, everything in it has them; others have none.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from indexer import advice
from indexer.errors import CxrdexError, DatabaseError, DiskFullError

__all__ = [
    "TO_READ",
    "TO_WRITE",
    "check_descriptors",
    "check_readable",
    "check_room",
    "give_to_group",
    "keep_wal_files",
    "set_modes",
    "share",
    "unreadable",
]

_SQLITE = ("ledger.sqlite", "thumbnails.sqlite", "cohorts.sqlite", "labels.sqlite")
_LOGS = ("-wal", "-shm")
#: Files that must be left to open for whoever reads a database, and for whoever writes or verifies
#: one: without them, what cannot be opened would be taken for damaged.
TO_READ, TO_WRITE = 12, 32
# So few are left where one that could not be opened may be sound.
_SPENT = 6
# What SQLite makes beside four files, and as much again.
_ROOM = 1 << 18


def give_to_group(root: Path, name: str) -> None:
    """Let a group read a database.

    Raises
    ------
    DatabaseError
        There is no such group, or this user may not give the folder to it.
    """
    if os.name != "posix":
        raise DatabaseError("groups are known on Unix alone")
    import grp

    try:
        number = grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise DatabaseError(f"there is no group {name!r} on this machine") from error
    try:
        os.chown(root, -1, number)
        root.chmod(0o2750)
    except OSError as error:
        raise DatabaseError(
            f"{root} cannot be given to the group {name!r} ({error.strerror}): its owner must be a "
            "member of it"
        ) from error
    set_modes(root)


def set_modes(root: Path) -> None:
    """Give every file and folder of a database the permissions that its root has.

    Files of other owners are left as they are, and so is what vanishes meanwhile.
    """
    if os.name != "posix":
        return
    status = root.stat()
    shared = bool(status.st_mode & stat.S_IRGRP)
    for path in (root, *_below(root)):
        with suppress(FileNotFoundError, PermissionError):
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                continue
            if shared and found.st_gid != status.st_gid:
                os.chown(path, -1, status.st_gid)
            wanted = _mode(stat.S_ISDIR(found.st_mode), shared)
            if stat.S_IMODE(found.st_mode) != wanted:
                path.chmod(wanted)


def share(path: Path) -> None:
    """Let those read a file or folder who may read the folder that it lies in, and nobody else."""
    with suppress(OSError):
        if os.name != "posix":
            return
        shared = bool(path.parent.stat().st_mode & stat.S_IRGRP)
        path.chmod(_mode(path.is_dir(), shared))


def _mode(is_folder: bool, shared: bool) -> int:
    if is_folder:
        return 0o2750 if shared else 0o700
    return 0o640 if shared else 0o600


def _below(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield Path(folder, name)


def keep_wal_files(root: Path) -> None:
    """Leave empty logs beside closed SQLite files.

    Who may not write the folder cannot make them, and without them could not read while another
    process writes.
    """
    for name in _SQLITE:
        if (root / name).exists():
            for suffix in _LOGS:
                # One that is there may be in use, and would lose its locks when it is closed here.
                with suppress(OSError):
                    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
                    os.close(os.open(root / f"{name}{suffix}", flags, 0o600))


def check_descriptors(count: int) -> None:
    """Refuse to begin where fewer than `count` files may be opened.

    Raises
    ------
    CxrdexError
        It says so, and what to do.
    """
    if (why := _few_descriptors(count)) is not None:
        raise CxrdexError(why)


def _few_descriptors(count: int) -> str | None:
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return None
        return (
            f"too few files may be open ({len(opened)} more, a database takes {count}): "
            "raise `ulimit -n`"
        )
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return None


def check_room(root: Path) -> None:
    """Refuse to look for damage where the disk is full: SQLite reads through files that it makes
    beside its own, so that a sound one could not be opened.

    Raises
    ------
    DiskFullError
        It says so.
    """
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(bytes(_ROOM))
    except OSError as error:
        # Where nothing may be written at all, as on a read-only mount, it is read without.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(
                f"no space is left in {root}, without which its files cannot be opened: free some"
            ) from error


def unreadable(path: Path) -> str | None:
    """What to say of a file or folder that is there but that this user may not read, or for which
    no descriptor is left; of a file of SQLite, its logs are needed, too."""
    if (why := _few_descriptors(_SPENT)) is not None:
        return f"{path} cannot be opened: {why}"
    logs = (path.with_name(f"{path.name}{end}") for end in _LOGS) if path.name in _SQLITE else ()
    found = (_unreadable(place) for place in (path, *filter(os.path.exists, logs)))
    return next(filter(None, found), None) or _locked_in(path)


def check_readable(root: Path) -> None:
    """Refuse a database of which this user may not read all.

    Raises
    ------
    DatabaseError
        It names the first such file or folder.
    """
    for path in _below(root):
        if (why := _unreadable(path)) is not None:
            raise DatabaseError(why)


def _locked_in(path: Path) -> str | None:
    """What to say of a file of SQLite that was copied while it was written, without all its logs,
    to where nothing can be written."""
    log, shared = (path.with_name(f"{path.name}{end}") for end in _LOGS)
    if path.name not in _SQLITE or os.access(path.parent, os.W_OK) or shared.exists():
        return None
    if not log.exists():
        return None
    return (
        f"{path} was copied while it was written, and {log.name} can be read only in a folder that "
        "may be written: copy the database to one"
    )


def _unreadable(path: Path) -> str | None:
    place = path
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    # Folders above it need only be searchable.
    wanted = os.X_OK if place != path else os.R_OK | (os.X_OK if os.path.isdir(path) else 0)
    if not os.path.exists(place) or os.access(place, wanted):
        return None
    return f"this user may not read {place}: its owner can share the database with {advice.SHARE}"
