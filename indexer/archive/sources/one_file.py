"""The one film in a zip or tar, for who asks for films like it."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from typing import TypeVar

from indexer.archive.sources.containers import container_kind, is_packed, unpacked
from indexer.archive.sources.names import is_left_out, shown_name
from indexer.archive.sources.regular_file import too_large
from indexer.archive.sources.zip_members import zip_bytes
from indexer.errors import SkippedImage

__all__ = ["only_file"]

_File = TypeVar("_File")

# How deep containers in each other are opened.
_DEPTH = 4


def only_file(data: bytes, name: str, most: int) -> tuple[bytes, str]:
    """The one file in a zip or tar, be it packed or in another, and its name; else what is given.

    Parameters
    ----------
    data, name
        Content and name of a file.
    most
        Bytes that a file may have.

    Raises
    ------
    SkippedImage
        ``not_an_image``: there is more than one file in it, or none; ``too_large``.
    FailedImage
        ``unreadable_file``: it is encrypted, or packed in a way that is not read.
    OSError
        Or another of `indexer.archive.sources.containers.BROKEN`: it is damaged.
    """
    for _ in range(_DEPTH):
        data = unpacked(data, name, most)
        kind = container_kind(data[:1024])
        if kind is None or is_packed(data[:6]):
            break
        data, name = (_in_zip if kind == "zip" else _in_tar)(data, most)
    return data, name


def _in_zip(data: bytes, most: int) -> tuple[bytes, str]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        files = (info for info in archive.infolist() if not info.is_dir())
        info = _only((i for i in files if not is_left_out(shown_name(i.filename))), "zip")
        if info.file_size > most:
            raise too_large(most)
        return zip_bytes(archive, info, info.file_size), info.filename


def _in_tar(data: bytes, most: int) -> tuple[bytes, str]:
    with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
        files = (info for info in archive if not info.isdir())
        info = _only((i for i in files if not is_left_out(shown_name(i.name))), "tar")
        if info.size > most:
            raise too_large(most)
        file = archive.extractfile(info) if info.isreg() else None
        return (b"" if file is None else file.read()), info.name


def _only(files: Iterator[_File], kind: str) -> _File:
    found = list(islice(files, 2))
    if len(found) == 1:
        return found[0]
    holds = "more than one file" if found else "no file"
    raise SkippedImage(
        "not_an_image",
        f"a {kind} with {holds} in it: one film is asked for; unpack it and name that one",
    )
