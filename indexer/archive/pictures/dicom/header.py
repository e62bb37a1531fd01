"""Telling DICOM files from others, and reading their headers."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from indexer.archive.decoders.transfer_syntaxes import prepare_pydicom
from indexer.archive.limits import Limits
from indexer.archive.pictures.dicom.elements import quiet
from indexer.errors import FailedImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["inflated", "is_dicom", "read_header", "split_at_pixels"]

_DEFLATED, _EXPLICIT = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1"
_TRANSFER_SYNTAX = b"\x02\0\x10\0UI"
# Bytes that hold the meta group, and bytes that are inflated at a time.
_META, _CHUNK = 2048, 2**20
# Most reads of a header: pydicom reads each element by itself, so millions of empty ones cost
# minutes.
_MAX_READS = 500_000
# A deflated data set starts at once (PS3.5 A.5); zlib and gzip put a header of their own first.
_DEFLATE_WINDOWS = (-zlib.MAX_WBITS, 32 + zlib.MAX_WBITS)


class _Counted(BytesIO):
    """A file that is read in no more than `_MAX_READS` pieces."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS:
            raise FailedImage("too_large", "more DICOM elements than any header has")
        return super().read(size)


def is_dicom(data: bytes) -> bool:
    """Whether a file's content is DICOM: by its prefix, or by a first element that looks right."""
    if data[128:132] == b"DICM":
        return True
    # Without preamble a data set starts with its meta group or, that missing too, with group 8.
    if len(data) < 16 or data[:2] not in (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08"):
        return False
    try:
        header = read_header(data)
    except FailedImage:
        return False
    return "SOPClassUID" in header or ("Modality" in header and "Rows" in header)


def inflated(data: bytes, most: int = Limits.file_bytes) -> tuple[bytes, bool]:
    """A file with a deflated data set unpacked, and whether that was wrapped as it should not be.

    Parameters
    ----------
    data
        Any DICOM file; one that is not deflated is given back as it is.
    most
        Bytes that it may unpack to.

    Raises
    ------
    FailedImage
        ``too_large``; ``truncated``: the packed data end early; ``not_dicom``: they are damaged.
    """
    place = data.find(_TRANSFER_SYNTAX, 132, _META) + 8 if data[128:132] == b"DICM" else 7
    size = int.from_bytes(data[place - 2 : place], "little")
    if place < 8 or data[place : place + size].strip(b"\0 ") != _DEFLATED:
        return data, False
    # The length of the meta group (0002,0000) stands at its beginning.
    start = 144 + int.from_bytes(data[140:144], "little")
    head = data[:place] + _EXPLICIT.ljust(size, b"\0") + data[place + size : start]
    if data[start : start + 4] in (b"\x08\0\x05\0", b"\x08\0\x08\0", b"\x08\0\x16\0"):
        # The transfer syntax says deflated, but the data set is not.
        return head + data[start:], True
    problem = FailedImage("not_dicom", "its deflated data set is damaged")
    for wrapping in _DEFLATE_WINDOWS:
        try:
            return head + _inflate(memoryview(data)[start:], wrapping, most), wrapping > 0
        except zlib.error:
            continue
        except EOFError:
            problem = FailedImage("truncated", "the deflated data set ends early")
    raise problem


def _inflate(packed: memoryview, wrapping: int, most: int) -> bytes:
    inflater, parts, size = zlib.decompressobj(wrapping), [], 0
    while packed and not inflater.eof:
        parts.append(inflater.decompress(packed, _CHUNK))
        packed = memoryview(inflater.unconsumed_tail)
        size += len(parts[-1])
        if size > most:
            raise FailedImage(
                "too_large", f"a deflated data set of more than {most >> 20} MiB, the limit"
            )
    if not inflater.eof:
        raise EOFError
    return b"".join(parts)


def read_header(data: bytes) -> Dataset:
    """The header of a DICOM file, read up to its pixels.

    Raises
    ------
    FailedImage
        ``not_dicom``: it cannot be parsed; ``truncated``: the file ends inside it.
    """
    return split_at_pixels(data)[0]


def split_at_pixels(data: bytes) -> tuple[Dataset, int]:
    """The header of a file, and where its pixel data element starts: its end where it has none.

    Raises
    ------
    FailedImage
        As `read_header`.
    """
    prepare_pydicom()
    from pydicom import dcmread

    with quiet() as cut_short:
        file = _Counted(data)
        try:
            header = dcmread(file, stop_before_pixels=True, force=True)
        except FailedImage:
            raise
        except Exception as error:  # noqa: BLE001 - damaged headers raise anything
            raise _unreadable(error) from None
        if cut_short() or _ends_inside(header):
            raise FailedImage("truncated", "the file ends inside its DICOM header")
    return header, file.tell()


def _ends_inside(header: Dataset) -> bool:
    """Whether the last element has fewer bytes than it announces; pydicom takes what there is."""
    if not header:
        return False
    last = header.get_item(max(header.keys()))
    length, value = getattr(last, "length", None), getattr(last, "value", None)
    return isinstance(value, bytes) and length not in (None, 0xFFFFFFFF) and len(value) < length


def _unreadable(error: Exception) -> FailedImage:
    kind = type(error).__name__
    if isinstance(error, MemoryError):
        return FailedImage("too_large", "its DICOM elements need more memory than there is")
    if isinstance(error, EOFError):
        return FailedImage("truncated", f"the DICOM file ends early ({kind})")
    return FailedImage("not_dicom", f"it starts like DICOM, but cannot be parsed ({kind})")
