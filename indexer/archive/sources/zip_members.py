"""One file of a zip: its time, and its bytes."""

from __future__ import annotations

import calendar
import zipfile

from indexer.errors import FailedImage

__all__ = ["zip_bytes", "zip_time"]

# Compression methods of zip files that the standard library does not read (APPNOTE 4.4.5).
_METHODS = {
    1: "Shrink",
    6: "Implode",
    9: "Deflate64",
    93: "Zstandard",
    95: "XZ",
    96: "JPEG",
    97: "WavPack",
    98: "PPMd",
    99: "AES encryption",
}


def zip_time(date_time: tuple[int, ...]) -> int:
    """Nanoseconds since 1970 of a time as zip files write it; 0 of one that cannot be.

    Parameters
    ----------
    date_time
        Year, month, day, hour, minute, second.
    """
    try:
        # Zip times have no zone; taken as UTC, they are the same wherever they are read.
        return calendar.timegm((*date_time, 0, 0, 0)) * 10**9
    except ValueError:
        return 0


def zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    """The bytes of one file.

    Parameters
    ----------
    size
        As it was listed.

    Raises
    ------
    FailedImage
        ``unreadable_file``: it is encrypted, or packed by a method that is not read.
    OSError
        Or another of `containers.BROKEN`: the zip is damaged.
    """
    if info.flag_bits & 1:
        raise FailedImage("unreadable_file", "encrypted in its zip file: decrypt that first")
    try:
        with archive.open(info) as file:
            # No more than the size that was listed, whatever the packed data unpack to.
            return file.read(size) + file.read(1)
    except NotImplementedError:
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise FailedImage(
            "unreadable_file",
            f"packed in its zip file by {method}, which is not read: pack it again with Deflate",
        ) from None
