"""Where images come from: folders, zip and tar files, DICOMDIRs and single files, as one stream.

Listing never stops for trouble with a part. A folder that cannot be listed, a damaged zip or tar
and a file that a DICOMDIR names in vain are listed as members, too, which then fail when they are
read: so each is counted, explained and retried like any other file. Nothing is ever unpacked to
disk.
"""

from __future__ import annotations

import atexit
import bz2
import calendar
import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

from indexer.errors import ArchiveError, FailedImage, SkippedImage

__all__ = ["NESTED", "OPEN_I_REPORTS", "Archive", "Kind", "Member", "open_archive", "read_member"]

_Stream: TypeAlias = BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
Kind: TypeAlias = Literal["folder", "zip", "tar", "dicomdir"]

OPEN_I_REPORTS = "ecgen-radiology"

# Between the name of a zip or tar inside a folder and the name of a file in it.
NESTED = "!/"
# A video or disk image beside the radiographs must not fill the memory of a worker.
_LARGEST = 2**30
_OPEN_HANDLES = 4
_ZIP_SUFFIXES = (".zip",)
_TAR_SUFFIXES = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "dicomdir"})
_MEDIA_DIRECTORY = b"1.2.840.10008.1.3.10"
_PICTURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",
)
# What a data set begins with when a DICOM file has no preamble: group 0002 or 0008, either order.
_BARE_DICOM = (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08")
# Everything the readers of the standard library raise over damaged or foreign bytes.
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Parameters
    ----------
    archive
        Absolute path of the archive as the user named it.
    name
        POSIX path inside the archive; ``sub/export.zip!/a/b.dcm`` for a file in a nested zip or
        tar. Bytes that are no UTF-8 read ``\\xe9``, so that every name can be stored as text.
    size
        Bytes; -1 for what is named but cannot be had.
    mtime_ns
        Time of last change in ns since 1970; for a member of a zip or tar its own time.
    offset
        Where its bytes start in an (uncompressed) tar; None makes the reader look for them.
    """

    archive: str
    name: str
    size: int
    mtime_ns: int
    offset: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that `open_archive` has looked at.

    Parameters
    ----------
    path
        Absolute path; of a single picture or DICOM file that file's (kind ``"folder"``).
    kind
        What it is.
    reports
        Where its reports lie, if it is laid out like the Open-i download or the caller said so.
    """

    path: str
    kind: Kind
    reports: Path | None = None

    def members(self) -> Iterator[Member]:
        """All files in a fixed order, one at a time.

        Left out are hidden files, litter of other systems (``Thumbs.db``), DICOMDIRs (they name
        files that are listed anyway) and the ``.xml`` and ``.txt`` files below `reports`.
        """
        if self.kind == "dicomdir":
            yield from _listed_by_dicomdir(self.path)
        elif self.kind == "folder":
            yield from _listed_by_folder(self.path, self.reports)
        else:
            try:
                for entry in _entries(self.path):
                    yield Member(_shown(self.path), *entry)
            except _BROKEN:
                yield Member(_shown(self.path), _shown(os.path.basename(self.path)), -1, 0)


class _Entry(NamedTuple):
    name: str
    size: int
    mtime_ns: int
    offset: int | None


def open_archive(path: Path, reports: Path | None = None) -> Archive:
    """Look at `path` and tell what kind of archive it is.

    Parameters
    ----------
    path
        A folder, a zip or tar (plain, gzip, bzip2, xz), a DICOMDIR, or one picture or DICOM file.
    reports
        A folder of reports, if they are not those of the Open-i layout.

    Raises
    ------
    ArchiveError
        `path` is missing, empty, cannot be read, or is nothing of the above.
    """
    full = os.path.abspath(path)
    try:
        if os.path.isdir(full):
            with os.scandir(full):
                pass
            return Archive(full, "folder", reports or _open_i_reports(full))
        if not stat.S_ISREG(os.stat(full).st_mode):
            raise ArchiveError(f"archive {path}: neither a folder nor a file")
        head = _head(full)
    except OSError as error:
        raise ArchiveError(f"archive {path}: {error.strerror or error}") from error
    if not head:
        raise ArchiveError(f"archive {path}: the file is empty")
    kind = _kind(full, head)
    if kind is None:
        raise ArchiveError(
            f"archive {path}: not a folder, zip, tar, DICOMDIR, DICOM file or picture"
        )
    if kind in ("zip", "tar"):
        try:
            next(iter(_entries(full)), None)
        except _BROKEN as error:
            raise ArchiveError(
                f"archive {path}: no readable {kind} file: damaged, or one packed file to unpack"
            ) from error
    elif kind == "dicomdir":
        _directory_records(full)
    return Archive(full, kind, reports)


def read_member(member: Member) -> bytes:
    """The bytes of one file; keeps the last few zip and tar files open in this process.

    Raises
    ------
    FailedImage
        ``missing_file`` or ``unreadable_file``: why the bytes cannot be had.
    SkippedImage
        ``not_an_image``: over 1 GiB, which no single radiograph is.
    """
    if member.size > _LARGEST:
        raise SkippedImage("not_an_image", "over 1 GiB, which no single radiograph is")
    try:
        path, entry = _locate(member)
        if member.size < 0 and os.path.exists(path):
            raise FailedImage("unreadable_file", "could not be listed, as a whole or to its end")
        if entry is None:
            with open(path, "rb") as file:
                return file.read()
        with _lock:
            return _reader(path).read(entry, member)
    except (FileNotFoundError, KeyError) as error:
        raise FailedImage("missing_file", "the file is named, but is not there") from error
    except _BROKEN as error:
        # Neither str(error) nor the file name: both may hold a patient's name.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise FailedImage("unreadable_file", f"cannot be read: {reason}") from error


# ---- telling kinds apart ------------------------------------------------------------------------


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1024)


def _kind(path: str, head: bytes) -> Kind | None:
    if head[128:132] == b"DICM":
        return "dicomdir" if _MEDIA_DIRECTORY in head else "folder"
    container = _container(head)
    if container:
        return container
    name = os.path.basename(path).lower()
    if name == "dicomdir":
        return "dicomdir"
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    bmp = head[:2] == b"BM" and head[6:10] == bytes(4)
    bare = head.startswith(_BARE_DICOM) and b"\0" in head[4:]
    if webp or bmp or bare or head.startswith(_PICTURES) or name.endswith((".dcm", ".dicom")):
        return "folder"
    return "tar" if name.endswith(_TAR_SUFFIXES) else "zip" if name.endswith(".zip") else None


def _container(head: bytes) -> Literal["zip", "tar"] | None:
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return "zip"
    packed = head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))
    return "tar" if packed or head[257:262] == b"ustar" else None


def _open_i_reports(folder: str) -> Path | None:
    reports = Path(folder, OPEN_I_REPORTS)
    return reports if next(reports.glob("*.xml"), None) else None


# ---- folders ------------------------------------------------------------------------------------


def _listed_by_folder(path: str, reports: Path | None) -> Iterator[Member]:
    archive = _shown(path)
    if not os.path.isdir(path):
        own = os.stat(path)
        yield Member(archive, _shown(os.path.basename(path)), own.st_size, own.st_mtime_ns)
        return
    texts = ""
    if reports is not None:
        texts = os.path.relpath(os.path.abspath(reports), path).replace(os.sep, "/")
        texts = "" if texts == "." else texts + "/"
    for name, status in _walk(path):
        lower = name.lower()
        if reports is not None and lower.endswith((".xml", ".txt")) and name.startswith(texts):
            continue
        shown = _shown(name)
        if status and lower.endswith(_ZIP_SUFFIXES + _TAR_SUFFIXES):
            try:
                for entry in _entries(os.path.join(path, name)):
                    yield Member(archive, shown + NESTED + entry.name, *entry[1:])
                continue
            except _BROKEN:
                pass  # what could not be listed stands for itself, and fails when it is read
        if status:
            yield Member(archive, shown, status.st_size, status.st_mtime_ns)
        else:
            yield Member(archive, shown, -1, 0)


def _walk(root: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Regular files below `root`, depth first; None for the status of what cannot be had."""
    linked: set[str] = set()
    stack = [("", _listing(root, root, linked))]
    while stack:
        prefix, names = stack[-1]
        if not names:
            stack.pop()
            continue
        name = prefix + names.pop()
        path = os.path.join(root, name)
        if name.endswith("/"):
            try:
                stack.append((name, _listing(path, root, linked)))
            except OSError:
                yield name[:-1], None
            continue
        try:
            status = os.stat(path)
        except OSError:
            yield name, None
            continue
        if stat.S_ISREG(status.st_mode):
            yield name, status


def _listing(folder: str, root: str, linked: set[str]) -> list[str]:
    """Names in one folder, last first; those of folders end with a slash."""
    with os.scandir(folder) as entries:
        names = [
            entry.name + "/" if entry.is_dir() else entry.name
            for entry in entries
            if not _is_litter(entry.name)
            and not (entry.is_symlink() and entry.is_dir() and _is_loop(entry.path, root, linked))
        ]
    names.sort(reverse=True)
    return names


def _is_loop(path: str, root: str, linked: set[str]) -> bool:
    """Whether a linked folder is, or contains, one that is walked anyway."""
    target, top = os.path.join(os.path.realpath(path), ""), os.path.join(os.path.realpath(root), "")
    if target in linked or target.startswith(top) or top.startswith(target):
        return True
    linked.add(target)
    return False


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _shown(name: str) -> str:
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _real(path: str) -> str:
    """The path of which `_shown` made `path`."""
    if "\\x" not in path or os.path.lexists(path):
        return path
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda m: bytes.fromhex(m[1].decode()), path.encode())
    return os.fsdecode(raw)


# ---- DICOMDIR -----------------------------------------------------------------------------------


def _directory_records(path: str) -> list[list[str]]:
    """File ids, as lists of components, of the IMAGE records of a DICOMDIR."""
    import pydicom

    from indexer.archive.dicom import quiet

    try:
        with quiet():
            records = pydicom.dcmread(path, force=True).DirectoryRecordSequence
            images = [r for r in records if r.get("DirectoryRecordType") == "IMAGE"]
            ids = [r.get("ReferencedFileID") for r in images]
    except (*_BROKEN, AttributeError, KeyError, TypeError, IndexError, struct.error) as error:
        raise ArchiveError(f"archive {path}: not a readable DICOMDIR") from error
    return [[i] if isinstance(i, str) else list(i) for i in ids if i]


def _listed_by_dicomdir(path: str) -> Iterator[Member]:
    folder = os.path.dirname(path)
    names = lru_cache(maxsize=64)(_names_by_case)
    for parts in _directory_records(path):
        # The standard knows no "..": such an id would lead out of the medium.
        found = None if {"..", "."} & set(parts) else _match_case(folder, parts, names)
        try:
            status = os.stat(os.path.join(folder, found)) if found else None
        except OSError:
            status = None
        if found and status:
            yield Member(_shown(path), _shown(found), status.st_size, status.st_mtime_ns)
        else:
            yield Member(_shown(path), "/".join(p for p in parts if p.strip(".")), -1, 0)


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
        return {name.casefold(): name for name in sorted(os.listdir(folder), reverse=True)}
    except OSError:
        return {}


# ---- zip and tar --------------------------------------------------------------------------------


def _entries(path: str) -> Iterator[_Entry]:
    container = _container(_head(path))
    if container is None and tarfile.is_tarfile(path):
        container = "tar"  # the oldest tars have no magic number
    if container is None:
        raise zipfile.BadZipFile("neither zip nor tar")
    entries = _zip_entries(path) if container == "zip" else _tar_entries(path)
    return (e for e in entries if not any(map(_is_litter, e.name.removeprefix("./").split("/"))))


def _zip_entries(path: str) -> Iterator[_Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.NameToInfo.values():
            if not info.is_dir():
                yield _Entry(info.filename, info.file_size, _zip_time(info.date_time), None)


def _zip_time(date_time: tuple[int, ...]) -> int:
    try:
        # Zip times have no zone; taken as UTC, they are the same wherever they are read.
        return calendar.timegm((*date_time, 0, 0, 0)) * 10**9
    except ValueError:
        return 0


def _tar_entries(path: str) -> Iterator[_Entry]:
    with tarfile.open(path, "r:*", errorlevel=2) as archive:
        while info := archive.next():
            # tarfile keeps every entry it has read, which would fill the memory.
            archive.members.clear()  # type: ignore[attr-defined]
            if info.isreg():
                name = _shown(info.name).removeprefix("./")
                yield _Entry(name, info.size, int(info.mtime * 10**9), info.offset_data)
        # tarfile takes a damaged header for the end: only zeros, or nothing, are one.
        stream = archive.fileobj
        if stream is not None:
            stream.seek(archive.offset)
            if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("damaged header")


class _ZipReader:
    def __init__(self, path: str) -> None:
        self._archive = zipfile.ZipFile(path)

    def read(self, name: str, member: Member) -> bytes:
        info = self._archive.getinfo(name)
        if info.flag_bits & 1:
            raise FailedImage("unreadable_file", "encrypted in its zip file: decrypt that first")
        return self._archive.read(info)

    def close(self) -> None:
        self._archive.close()


class _TarReader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._stream = _decompressed(path)
        self._scan: Iterator[_Entry] = iter(())

    def read(self, name: str, member: Member) -> bytes:
        offset = self._find(name) if member.offset is None else member.offset
        self._stream.seek(offset)
        data = self._stream.read(member.size)
        if len(data) < member.size:
            raise EOFError
        return data

    def _find(self, name: str) -> int:
        # On from the last one found, as members are mostly read in order; then once from the start.
        for attempt in range(2):
            if attempt:
                self._scan = _tar_entries(self._path)
            for entry in self._scan:
                if entry.name == name and entry.offset is not None:
                    return entry.offset
        raise KeyError(name)

    def close(self) -> None:
        self._stream.close()


def _decompressed(path: str) -> _Stream:
    head = _head(path)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(path)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(path)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(path)
    return open(path, "rb")


# ---- reading ------------------------------------------------------------------------------------

_lock = threading.Lock()
_readers: OrderedDict[tuple[int, str, int, int], _ZipReader | _TarReader] = OrderedDict()


def _reader(path: str) -> _ZipReader | _TarReader:
    status = os.stat(path)
    # The process is part of the key: a forked one would share the file's position.
    key = (os.getpid(), path, status.st_mtime_ns, status.st_size)
    if key not in _readers:
        _readers[key] = (_ZipReader if _container(_head(path)) == "zip" else _TarReader)(path)
    _readers.move_to_end(key)
    while len(_readers) > _OPEN_HANDLES:
        _readers.popitem(last=False)[1].close()
    return _readers[key]


@atexit.register
def _close_readers() -> None:
    while _readers:
        _readers.popitem()[1].close()


def _locate(member: Member) -> tuple[str, str | None]:
    """The file that holds a member, and the member's name in it if that is a zip or tar."""
    root = _real(member.archive)
    if os.path.isfile(root):
        kind = _kind(root, _head(root))
        if kind in ("zip", "tar"):
            return root, member.name
        if kind == "dicomdir":
            return _real(os.path.join(os.path.dirname(root), member.name)), None
        return root, None
    path = _real(os.path.join(root, member.name))
    if os.path.lexists(path):
        if path.lower().endswith(_ZIP_SUFFIXES + _TAR_SUFFIXES) and os.path.isfile(path):
            raise FailedImage("unreadable_file", "damaged, or not the zip or tar it is called")
        return path, None
    for match in re.finditer(re.escape(NESTED), member.name):
        container = _real(os.path.join(root, member.name[: match.start()]))
        if os.path.isfile(container):
            return container, member.name[match.end() :]
    return path, None
