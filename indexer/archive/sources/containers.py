"""Zip and tar files, plain or compressed: what is in them, and one file's bytes at a time."""

from __future__ import annotations

import atexit
import bz2
import calendar
import gzip
import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

from indexer.archive.sources.names import is_litter, shown_name
from indexer.errors import FailedImage

__all__ = [
    "BROKEN",
    "TAR_SUFFIXES",
    "ZIP_SUFFIXES",
    "ContainerEntry",
    "container_kind",
    "entries",
    "file_head",
    "read_entry",
]

_Stream: TypeAlias = BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile

ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
# Everything the readers of the standard library raise over damaged or foreign bytes.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
)
_OPEN_HANDLES = 4


class ContainerEntry(NamedTuple):
    """One file in a zip or tar, as `indexer.archive.sources.members.Member` has it."""

    name: str
    size: int
    mtime_ns: int
    offset: int | None


def file_head(path: str) -> bytes:
    """The first bytes of a file, enough to tell its kind."""
    with open(path, "rb") as file:
        return file.read(1024)


def container_kind(head: bytes) -> Literal["zip", "tar"] | None:
    """What a file that starts with `head` is, if it is a container."""
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return "zip"
    packed = head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))
    return "tar" if packed or head[257:262] == b"ustar" else None


def entries(path: str) -> Iterator[ContainerEntry]:
    """The files in a zip or tar, but for litter; raises one of `BROKEN` where it is damaged."""
    container = container_kind(file_head(path))
    if container is None and tarfile.is_tarfile(path):
        container = "tar"  # the oldest tars have no magic number
    if container is None:
        raise zipfile.BadZipFile("neither zip nor tar")
    found = _zip_entries(path) if container == "zip" else _tar_entries(path)
    return (e for e in found if not any(map(is_litter, e.name.removeprefix("./").split("/"))))


def read_entry(path: str, name: str, size: int, offset: int | None) -> bytes:
    """The bytes of one file in the zip or tar at `path`; keeps the last few of these open.

    Parameters
    ----------
    name, size, offset
        As its `ContainerEntry` says; without an offset a tar is searched for the name.

    Raises
    ------
    FailedImage
        ``unreadable_file``: it is encrypted.
    KeyError
        There is none of this name.
    OSError
        Or another of `BROKEN`: the container is damaged.
    """
    with _lock:
        return _reader(path).read(name, size, offset)


def _zip_entries(path: str) -> Iterator[ContainerEntry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.NameToInfo.values():
            if not info.is_dir():
                yield ContainerEntry(info.filename, info.file_size, _zip_time(info.date_time), None)


def _zip_time(date_time: tuple[int, ...]) -> int:
    try:
        # Zip times have no zone; taken as UTC, they are the same wherever they are read.
        return calendar.timegm((*date_time, 0, 0, 0)) * 10**9
    except ValueError:
        return 0


def _tar_entries(path: str) -> Iterator[ContainerEntry]:
    with tarfile.open(path, "r:*", errorlevel=2) as archive:
        while info := archive.next():
            # tarfile keeps every entry it has read, which would fill the memory.
            archive.members.clear()  # type: ignore[attr-defined]
            if info.isreg():
                name = shown_name(info.name).removeprefix("./")
                yield ContainerEntry(name, info.size, int(info.mtime * 10**9), info.offset_data)
        # tarfile takes a damaged header for the end: only zeros, or nothing, are one.
        stream = archive.fileobj
        if stream is not None:
            stream.seek(archive.offset)
            if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("damaged header")


class _ZipReader:
    def __init__(self, path: str) -> None:
        self._archive = zipfile.ZipFile(path)

    def read(self, name: str, size: int, offset: int | None) -> bytes:
        info = self._archive.getinfo(name)
        if info.flag_bits & 1:
            raise FailedImage("unreadable_file", "encrypted in its zip file: decrypt that first")
        with self._archive.open(info) as file:
            # No more than the size that was listed, whatever the packed data unpack to.
            return file.read(size) + file.read(1)

    def close(self) -> None:
        self._archive.close()


class _TarReader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._stream = _decompressed(path)
        self._scan: Iterator[ContainerEntry] = iter(())

    def read(self, name: str, size: int, offset: int | None) -> bytes:
        self._stream.seek(self._find(name) if offset is None else offset)
        data = self._stream.read(size)
        if len(data) < size:
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
    head = file_head(path)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(path)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(path)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(path)
    return open(path, "rb")


_lock = threading.Lock()
_readers: OrderedDict[tuple[int, str, int, int], _ZipReader | _TarReader] = OrderedDict()


def _reader(path: str) -> _ZipReader | _TarReader:
    status = os.stat(path)
    # The process is part of the key: a forked one would share the file's position.
    key = (os.getpid(), path, status.st_mtime_ns, status.st_size)
    if key not in _readers:
        _readers[key] = (_ZipReader if container_kind(file_head(path)) == "zip" else _TarReader)(
            path
        )
    _readers.move_to_end(key)
    while len(_readers) > _OPEN_HANDLES:
        _readers.popitem(last=False)[1].close()
    return _readers[key]


@atexit.register
def _close_readers() -> None:
    while _readers:
        _readers.popitem()[1].close()
