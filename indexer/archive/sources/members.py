"""Where images come from: folders, zip and tar files, DICOMDIRs and single files, as one stream.

Listing never stops for trouble with a part. A folder that cannot be listed, a damaged zip or tar
and a file that a DICOMDIR names in vain are listed as members, too, which then fail when they are
read: so each is counted, explained and retried like any other file. Nothing is ever unpacked to
disk.
"""

from __future__ import annotations

import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from indexer.archive.limits import Limits
from indexer.archive.sources.containers import (
    BROKEN,
    NESTED,
    entries,
    file_head,
    file_kind,
    is_container_name,
    is_packed,
    is_tar,
    read_entry,
    unpacked,
)
from indexer.archive.sources.dicomdir import file_ids, referenced_files
from indexer.archive.sources.folders import walk
from indexer.archive.sources.names import has_suffix, real_path, shown_name
from indexer.archive.sources.one_file import only_file
from indexer.archive.sources.regular_file import read_regular_file, too_large
from indexer.archive.sources.remote import is_address, open_address, read_remote, remote_files
from indexer.errors import ArchiveError, FailedImage

__all__ = [
    "OPEN_I_REPORTS",
    "REPORT_SUFFIXES",
    "Archive",
    "ArchiveKind",
    "Member",
    "open_archive",
    "read_film",
    "read_member",
    "read_named",
]

ArchiveKind: TypeAlias = Literal["folder", "zip", "tar", "dicomdir", "address"]

OPEN_I_REPORTS = "ecgen-radiology"
#: Suffixes of report files.
REPORT_SUFFIXES = (".xml", ".txt", ".hl7", ".rtf", ".html", ".htm")

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


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Parameters
    ----------
    archive
        Absolute path of the archive as the user named it, or its address.
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
    kind: ArchiveKind
    reports: Path | None = None

    def members(self) -> Iterator[Member]:
        """All files in a fixed order, one at a time.

        Left out are hidden files, those of operating systems (``Thumbs.db``), DICOMDIRs (they name
        files that are listed anyway) and files that are called reports below `reports`.
        """
        if self.kind == "address":
            for file in remote_files(self.path):
                yield Member(self.path, *file)
        elif self.kind == "dicomdir":
            for name, status in referenced_files(self.path):
                yield _file(shown_name(self.path), name, status)
        elif self.kind == "folder":
            yield from _listed_by_folder(self.path, self.reports)
        else:
            try:
                for entry in entries(self.path):
                    yield Member(shown_name(self.path), *entry)
            except BROKEN:
                yield Member(shown_name(self.path), shown_name(os.path.basename(self.path)), -1, 0)


def open_archive(path: Path | str, reports: Path | None = None) -> Archive:
    """Look at `path` and tell what kind of archive it is.

    Parameters
    ----------
    path
        A folder, a zip or tar (plain, gzip, bzip2, xz), a DICOMDIR, one picture or DICOM file, or
        an address (`remote`).
    reports
        A folder of reports, if they are not those of the Open-i layout.

    Raises
    ------
    ArchiveError
        `path` is missing, empty, cannot be read, or is nothing of the above.
    """
    if isinstance(path, str) and is_address(path):
        return Archive(open_address(path), "address", reports)
    full = os.path.abspath(path)
    try:
        if os.path.isdir(full):
            with os.scandir(full):
                pass
            return Archive(full, "folder", reports or _open_i_reports(full))
        if not stat.S_ISREG(os.stat(full).st_mode):
            raise ArchiveError(f"archive {path}: neither a folder nor a file")
        head = file_head(full)
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
            next(iter(entries(full)), None)
        except BROKEN as error:
            raise ArchiveError(
                f"archive {path}: no readable {kind} file: damaged, or one packed file to unpack"
            ) from error
    elif kind == "dicomdir":
        file_ids(full)
    return Archive(full, kind, reports)


def read_member(member: Member, most: int = Limits.file_bytes) -> bytes:
    """The bytes of one file; keeps the last few zip and tar files open in this process.

    Parameters
    ----------
    member
        What `Archive.members` gave.
    most
        Bytes that a file may have: a video or disk image beside the radiographs must not fill the
        memory, nor a file that grows while it is read.

    Raises
    ------
    FailedImage
        ``missing_file`` or ``unreadable_file``: why the bytes cannot be had.
    SkippedImage
        ``too_large``.
    """
    if member.size > most:
        raise too_large(most)
    with _named_reasons():
        if is_address(member.archive):
            return unpacked(read_remote(member.archive, member.name, most), member.name, most)
        path, entry = _locate(member)
        if member.size < 0 and os.path.exists(path):
            raise FailedImage("unreadable_file", "could not be listed, as a whole or to its end")
        if entry is None:
            return unpacked(read_regular_file(path, most), path, most)
        return unpacked(read_entry(path, entry, member.size, member.offset), entry, most)


def read_film(source: str | bytes, name: str, most: int = Limits.file_bytes) -> tuple[bytes, str]:
    """The bytes and the name of one file of at most `most`, in a zip or tar those of its only file.

    Parameters
    ----------
    source
        Path of a regular file, or its bytes, which are called `name`.

    Raises
    ------
    FailedImage, SkippedImage
        As of `read_member` and `indexer.archive.sources.one_file.only_file`.
    """
    with _named_reasons():
        data = read_regular_file(source, most) if isinstance(source, str) else source
        return only_file(data, name, most)


def read_named(archive: str, name: str, most: int = Limits.file_bytes) -> bytes:
    """The bytes of one file of an archive that is not listed anew, as `Member` names it.

    Parameters and errors are those of `read_member`.
    """
    if is_address(archive):
        return read_member(Member(archive, name, 0, 0), most)
    with _named_reasons():
        path, packed = _locate(Member(archive, name, 0, 0))
        if packed is None:
            return unpacked(read_regular_file(path, most), path, most)
        for entry in entries(path):
            if entry.name == packed:
                if entry.size > most:
                    raise too_large(most)
                return unpacked(read_entry(path, packed, entry.size, entry.offset), packed, most)
        raise FailedImage("missing_file", "is not in its container any more")


def plain_path(archive: str, name: str) -> Path | None:
    """Where a file of an archive lies; None where it is gone or lies in a container."""
    with suppress(FailedImage), _named_reasons():
        path, packed = _locate(Member(archive, name, 0, 0))
        if packed is None and os.path.isfile(path):
            return Path(path).absolute()
    return None


# ---- telling kinds apart ------------------------------------------------------------------------


def _kind(path: str, head: bytes) -> ArchiveKind | None:
    if head[128:132] == b"DICM":
        return "dicomdir" if _MEDIA_DIRECTORY in head else "folder"
    container = file_kind(path)
    if container and is_packed(head) and not is_tar(path):
        return "folder"  # one packed file
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
    if is_container_name(name):
        return "zip" if name.endswith(".zip") else "tar"
    return None


def _open_i_reports(folder: str) -> Path | None:
    reports = Path(folder, OPEN_I_REPORTS)
    return reports if next(reports.glob("*.xml"), None) else None


# ---- listing ------------------------------------------------------------------------------------


def _listed_by_folder(path: str, reports: Path | None) -> Iterator[Member]:
    archive = shown_name(path)
    if not os.path.isdir(path):
        yield _file(archive, os.path.basename(path), os.stat(path))
        return
    texts = ""
    if reports is not None:
        texts = os.path.relpath(os.path.abspath(reports), path).replace(os.sep, "/")
        texts = "" if texts == "." else texts + "/"
    for name, status in walk(path):
        lower = name.lower()
        if reports is not None and lower.endswith(REPORT_SUFFIXES) and name.startswith(texts):
            continue
        if status and stat.S_ISREG(status.st_mode) and _is_container(os.path.join(path, name)):
            any_inside = False
            try:
                for entry in entries(os.path.join(path, name)):
                    yield Member(archive, shown_name(name) + NESTED + entry.name, *entry[1:])
                    any_inside = True
            except BROKEN:
                any_inside = False
            # A container that is empty, or damaged before its first file, is counted as one file.
            if any_inside:
                continue
        yield _file(archive, name, status)


def _is_container(path: str) -> bool:
    """Whether a file is a zip or tar by its name or, where that has no suffix, by its content."""
    if has_suffix(path):
        return is_container_name(path)
    try:
        kind = file_kind(path)
    except OSError:
        return False
    # A single packed file is unpacked when it is read.
    return kind == "zip" or (kind == "tar" and is_tar(path))


def _file(archive: str, name: str, status: os.stat_result | None) -> Member:
    if status is None:
        return Member(archive, shown_name(name), -1, 0)
    return Member(archive, shown_name(name), status.st_size, status.st_mtime_ns)


# ---- reading ------------------------------------------------------------------------------------


@contextmanager
def _named_reasons() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, KeyError):
        raise FailedImage("missing_file", "the file is named, but is not there") from None
    except BROKEN as error:
        # Neither str(error) nor the error as cause: its text may hold a patient's name.
        raise FailedImage("unreadable_file", f"cannot be read: {_why(error)}") from None


def _why(error: Exception) -> str:
    """What an error means, by its type, and what to do about it."""
    if isinstance(error, PermissionError):
        return "permission denied: let the user who runs cxrdex read it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, EOFError):
        return "what it is packed in ends too early: fetch that again"
    if isinstance(error, zipfile.BadZipFile):
        return "damaged in its zip file, whose checksum or structure is wrong"
    if isinstance(error, tarfile.TarError):
        return "damaged in its tar file"
    if isinstance(error, zlib.error | lzma.LZMAError | OSError):
        return "damaged inside what it is packed in"
    return f"damaged in what it is packed in ({type(error).__name__})"


def _locate(member: Member) -> tuple[str, str | None]:
    """The file that holds a member, and the member's name in it if that is a zip or tar."""
    root = real_path(member.archive)
    if os.path.isfile(root):
        kind = _kind(root, file_head(root))
        if kind in ("zip", "tar"):
            return root, member.name
        if kind == "dicomdir":
            return real_path(os.path.join(os.path.dirname(root), member.name)), None
        return root, None
    path = real_path(os.path.join(root, member.name))
    if os.path.lexists(path):
        if is_container_name(path) and os.path.isfile(path):
            raise FailedImage(
                "unreadable_file", "damaged, empty, or not the zip or tar it is called"
            )
        return path, None
    for match in re.finditer(re.escape(NESTED), member.name):
        container = real_path(os.path.join(root, member.name[: match.start()]))
        if os.path.isfile(container):
            return container, member.name[match.end() :]
    return path, None
