"""Zip and tar files, plain or compressed: what is in them, and one file's bytes at a time."""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Container, Generator, Iterator
from functools import partial
from io import BytesIO
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

from indexer.archive.sources.names import is_left_out, shown_name, unpacked_name
from indexer.archive.sources.zip_members import zip_bytes, zip_time
from indexer.errors import FailedImage, SkippedImage

__all__ = [
    "BROKEN",
    "NESTED",
    "ContainerEntry",
    "container_kind",
    "entries",
    "file_head",
    "file_kind",
    "is_container_name",
    "is_packed",
    "is_tar",
    "read_entry",
    "unpacked",
]

_Stream: TypeAlias = BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile

_ZIP_SUFFIXES = (".zip",)
_TAR_SUFFIXES = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
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
#: Between the name of a zip or tar inside another archive and the name of a file in it.
NESTED = "!/"
# How deep nested containers are opened, and how large a nested one may be.
_DEPTH, _INNER_BYTES = 4, 2**28
# The place of a link or device in a tar, which is counted and has no bytes of its own.
_NO_FILE = -1


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
    """What a file that starts with `head` is, if it is a container; a packed file may be none."""
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return "zip"
    return "tar" if is_packed(head) or head[257:262] == b"ustar" else None


def file_kind(path: str) -> Literal["zip", "tar"] | None:
    """What the file at `path` is, if it is a container; a zip may stand behind a program."""
    kind = container_kind(file_head(path))
    if kind is None and path.lower().endswith(_ZIP_SUFFIXES) and zipfile.is_zipfile(path):
        return "zip"
    return kind


def is_packed(head: bytes) -> bool:
    """Whether a file that starts with `head` is packed by gzip, bzip2 or xz."""
    return head.startswith((b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0"))


def is_tar(path: str) -> bool:
    """Whether there is a tar in a file, which may be packed."""
    try:
        return tarfile.is_tarfile(path)
    except BROKEN:
        return False


def unpacked(data: bytes, name: str, most: int) -> bytes:
    """What is packed in one file by gzip, bzip2 or xz; any other data as they are.

    Parameters
    ----------
    name
        Of the file: what only begins like packed data, and is not called so, is left as it is.
    most
        Bytes that it may unpack to.

    Raises
    ------
    SkippedImage
        ``too_large``: it unpacks to more than `most` bytes.
    OSError
        Or another of `BROKEN`: the packed data are damaged.
    """
    if not is_packed(data[:6]):
        return data
    try:
        with _decompressed(BytesIO(data)) as stream:
            found = stream.read(most + 1)
    except BROKEN:
        if unpacked_name(name) == name:
            return data
        raise
    if len(found) > most:
        raise SkippedImage("too_large", f"unpacks to over {most >> 20} MiB, the limit for a file")
    return found


def entries(path: str) -> Iterator[ContainerEntry]:
    """The files in a zip or tar, without ignored ones; raises one of `BROKEN` where it is damaged.

    A zip or tar in it is opened in its turn, down to four in each other, and its files are named
    ``inner.zip!/name``; where it cannot be, it stands for itself.
    """
    container = file_kind(path)
    if container is None and not is_tar(path):
        raise zipfile.BadZipFile("neither zip nor tar")
    with open(path, "rb") as file:
        yield from _listed(file, "zip" if container == "zip" else "tar", 1)


def _listed(file: BinaryIO, kind: Literal["zip", "tar"], depth: int) -> Iterator[ContainerEntry]:
    for entry, load in (_zip_entries if kind == "zip" else _tar_entries)(file):
        if is_left_out(entry.name):
            continue
        inner = None
        opened = depth < _DEPTH and entry.size <= _INNER_BYTES and entry.offset != _NO_FILE
        if opened and is_container_name(entry.name):
            inner = _inner_entries(load, depth)
        if inner is None:
            yield entry
        else:
            yield from (e._replace(name=entry.name + NESTED + e.name) for e in inner)


def is_container_name(name: str) -> bool:
    """Whether a file is called a zip or tar."""
    return name.lower().endswith(_ZIP_SUFFIXES + _TAR_SUFFIXES)


def _inner_entries(load: Callable[[], bytes], depth: int) -> list[ContainerEntry] | None:
    try:
        data = load()
        kind = container_kind(data[:1024])
        return None if kind is None else list(_listed(BytesIO(data), kind, depth + 1))
    except (*BROKEN, FailedImage):
        return None


def read_entry(path: str, name: str, size: int, offset: int | None) -> bytes:
    """The bytes of one file in the zip or tar at `path`; keeps the last few of these open.

    Parameters
    ----------
    name, size, offset
        As its `ContainerEntry` says; without an offset a tar is searched for the name.

    Raises
    ------
    FailedImage
        ``unreadable_file``: it is encrypted, or packed in a way that is not read.
    SkippedImage
        ``not_an_image``: it is a link or device.
    KeyError
        There is none of this name.
    OSError
        Or another of `BROKEN`: the container is damaged.
    """
    with _lock:
        return _read_inside(path, (), name, size, offset)


def _read_inside(
    path: str, outer: tuple[str, ...], name: str, size: int, offset: int | None
) -> bytes:
    at = name.find(NESTED)
    while at >= 0 and len(outer) < _DEPTH - 1:
        if is_container_name(name[:at]):
            try:
                chain = (*outer, name[:at])
                return _read_inside(path, chain, name[at + len(NESTED) :], size, offset)
            except KeyError:
                pass  # The name is that of a folder in the container, so a longer one is tried.
        at = name.find(NESTED, at + 1)
    return _reader(path, outer).read(name, size, offset)


_Loaded: TypeAlias = tuple[ContainerEntry, Callable[[], bytes]]


def _zip_entries(file: BinaryIO) -> Iterator[_Loaded]:
    with zipfile.ZipFile(file) as archive:
        for name, info in _zip_names(archive).items():
            entry = ContainerEntry(name, info.file_size, zip_time(info.date_time), None)
            yield entry, partial(zip_bytes, archive, info, info.file_size)


def _zip_names(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by name; of several of one name the second is ``name (2)``."""
    found: dict[str, zipfile.ZipInfo] = {}
    numbers: dict[str, int] = {}
    for info in archive.infolist():
        if not info.is_dir():
            found[_another(info.filename, found, numbers)] = info
    return found


def _another(name: str, taken: Container[str], numbers: dict[str, int]) -> str:
    """The name itself, or with the first number that makes it another than those taken."""
    free = name
    while free in taken:
        numbers[name] = numbers.get(name, 1) + 1
        free = f"{name} ({numbers[name]})"
    return free


def _tar_entries(file: BinaryIO) -> Iterator[_Loaded]:
    seen: set[int] = set()
    numbers: dict[str, int] = {}
    with tarfile.open(fileobj=file, mode="r:*", errorlevel=2) as archive:
        while info := archive.next():
            # tarfile keeps every entry it has read, which would fill the memory.
            archive.members.clear()  # type: ignore[attr-defined]
            if not info.isdir():
                name = _another(shown_name(info.name).removeprefix("./"), _Hashed(seen), numbers)
                seen.add(hash(name))
                size, place = (info.size, info.offset_data) if info.isreg() else (0, _NO_FILE)
                entry = ContainerEntry(name, size, int(info.mtime * 10**9), place)
                yield entry, partial(_tar_bytes, archive, info)
        # tarfile takes a damaged header for the end: only zeros, or nothing, are one.
        stream = archive.fileobj
        if stream is not None:
            stream.seek(archive.offset)
            if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("damaged header")


class _Hashed:
    """Names by their hashes alone, which take a fraction of the memory."""

    def __init__(self, hashes: set[int]) -> None:
        self._hashes = hashes

    def __contains__(self, name: object) -> bool:
        return hash(name) in self._hashes


def _tar_bytes(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    return b"" if file is None else file.read()


class _ZipReader:
    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._file = file = opened()
        self._archive = zipfile.ZipFile(file)
        self._names = _zip_names(self._archive)

    def read(self, name: str, size: int, offset: int | None) -> bytes:
        return zip_bytes(self._archive, self._names[name], size)

    def whole(self, name: str) -> bytes:
        info = self._names[name]
        if info.file_size > _INNER_BYTES:
            raise KeyError(name)
        return zip_bytes(self._archive, info, info.file_size)

    def close(self) -> None:
        self._archive.close()
        self._file.close()


class _TarReader:
    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened = opened
        self._file = opened()
        self._stream = _decompressed(self._file)
        self._scan = self._scanned()

    def read(self, name: str, size: int, offset: int | None) -> bytes:
        if offset == _NO_FILE:
            raise SkippedImage(
                "not_an_image",
                "a link or device in a tar file; a file that it leads to is read where it lies",
            )
        self._stream.seek(self._find(name).offset or 0 if offset is None else offset)
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _scanned(self) -> Generator[_Loaded, None, None]:
        with self._opened() as file:
            yield from _tar_entries(file)

    def whole(self, name: str) -> bytes:
        entry = self._find(name)
        if entry.size > _INNER_BYTES:
            raise KeyError(name)
        return self.read(name, entry.size, entry.offset)

    def _find(self, name: str) -> ContainerEntry:
        # Members are mostly read in order, so the search goes on where the last one ended.
        for attempt in range(2):
            if attempt:
                self._scan.close()
                self._scan = self._scanned()
            for entry, _ in self._scan:
                if entry.name == name and entry.offset is not None:
                    return entry
        raise KeyError(name)

    def close(self) -> None:
        self._scan.close()
        self._stream.close()
        self._file.close()


def _decompressed(file: BinaryIO) -> _Stream:
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(file)
    return file


_lock = threading.Lock()
_Key: TypeAlias = tuple[int, str, tuple[str, ...], int, int]
_readers: OrderedDict[_Key, _ZipReader | _TarReader] = OrderedDict()


def _reader(path: str, outer: tuple[str, ...]) -> _ZipReader | _TarReader:
    """The reader of a file, or of the container that lies in others in it; raises KeyError."""
    status = os.stat(path)
    # Keyed by process too: a forked process shares the position of an open file.
    key = (os.getpid(), path, outer, status.st_mtime_ns, status.st_size)
    if key not in _readers:
        if outer:
            data = _reader(path, outer[:-1]).whole(outer[-1])
            kind, opened = container_kind(data[:1024]), partial(_in_memory, data)
            # A container inside another is held in memory, so only one of them is kept open.
            for old in [k for k in _readers if k[2]]:
                _readers.pop(old).close()
        else:
            kind, opened = file_kind(path), partial(_on_disk, path)
        _readers[key] = (_ZipReader if kind == "zip" else _TarReader)(opened)
    _readers.move_to_end(key)
    while len(_readers) > _OPEN_HANDLES:
        _readers.popitem(last=False)[1].close()
    return _readers[key]


def _in_memory(data: bytes) -> BinaryIO:
    return BytesIO(data)


def _on_disk(path: str) -> BinaryIO:
    return open(path, "rb")


@atexit.register
def _close_readers() -> None:
    while _readers:
        _readers.popitem()[1].close()
