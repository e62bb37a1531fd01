"""The pixel data element as it stands in a file: native values, or one frame's codestream.

What a header calls the encoding is compared with what is there (PS3.5 A.4, 8.2), as writers get
transfer syntax, item delimiters and offset tables wrong while the picture itself is whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from indexer.archive.decoders.jpeg import frame_header
from indexer.errors import FailedImage, SkippedImage

__all__ = ["PixelData", "components_of", "detect_codec", "find_pixels", "one_frame"]

_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_TAGS = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
_FLOATS = (b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00", b"\x7f\xe0\x00\x08", b"\x7f\xe0\x00\x09")
_LONG_VRS = (b"OB", b"OW", b"UN", b"OF", b"OD", b"OL", b"OV")
_UNDEFINED = 0xFFFFFFFF
_SOI, _J2K, _JP2 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
_STARTS = (_SOI, _J2K, _JP2)
_EOI = b"\xff\xd9"
# Bytes that may follow the end of a codestream: padding and item delimiters.
_TRAILER = 64
_JPEG = "1.2.840.10008.1.2.4."
_RLE = "1.2.840.10008.1.2.5"
# Start of frame marker of a JPEG codestream -> transfer syntax.
_FRAMES = {
    0xC0: _JPEG + "50",
    0xC1: _JPEG + "51",
    0xC2: _JPEG + "50",
    0xC3: _JPEG + "57",
    0xF7: _JPEG + "81",
}
_CAPABILITIES = b"\xff\x50"


@dataclass(frozen=True, slots=True)
class PixelData:
    """The value of a pixel data element.

    Parameters
    ----------
    value
        Native values, or the codestream of the first frame.
    encoded
        Whether it is a codestream.
    announced
        Bytes that the element's length promised; None where it was left open.
    whole
        Whether the items end as they should, or the codestream does.
    frames
        How many pictures there are.
    vr
        ``"OB"`` or ``"OW"``, which matters for native values in big-endian files.
    notes
        What is odd about it (`indexer.archive.notes`).
    """

    value: bytes
    encoded: bool
    announced: int | None
    whole: bool
    frames: int = 1
    vr: str = "OB"
    notes: tuple[str, ...] = ()


def find_pixels(data: bytes, place: int, *, little: bool, native: int | None) -> PixelData | None:
    """The pixel data element that starts at `place`; None where there is none.

    Parameters
    ----------
    data
        The file.
    place
        Where its header ended.
    little
        Whether it is little-endian.
    native
        Bytes of an image of the header's size that is not encoded; None where that is not known.

    Raises
    ------
    FailedImage
        ``unsupported_transfer_syntax``: floating point; ``truncated``.
    """
    head = data[place : place + 12]
    if head[:4] in _FLOATS:
        raise FailedImage(
            "unsupported_transfer_syntax", "floating point pixel data; whole numbers are read"
        )
    if len(head) < 8 or head[:4] not in _TAGS:
        return None
    order: str = "little" if little else "big"
    explicit = head[4:6] in _LONG_VRS and head[6:8] == b"\0\0" and len(head) == 12
    start = place + (12 if explicit else 8)
    length = int.from_bytes(head[8:12] if explicit else head[4:8], order)  # type: ignore[arg-type]
    if data[start : start + 4] == _ITEM and (length == _UNDEFINED or length != native):
        return _first_frame(data, start, length)
    announced = None if length == _UNDEFINED else length
    end = len(data) if announced is None else min(start + announced, len(data))
    value = data[start:end]
    bare = value.startswith(_STARTS) and (native is None or len(value) < native)
    if bare:
        return PixelData(value, True, announced, _ends(value), notes=("encapsulation_mended",))
    whole = announced is not None and len(value) == announced
    frames = max((announced or len(value)) // native, 1) if native else 1
    return PixelData(value, False, announced, whole, frames, "OB" if head[4:6] == b"OB" else "OW")


def one_frame(found: PixelData, stated: int, native: int | None) -> PixelData:
    """The one picture, where the header speaks of several and there is one, or the reverse.

    Parameters
    ----------
    stated
        Frames by the header.
    native
        As for `find_pixels`.

    Raises
    ------
    SkippedImage
        ``multi_frame``: there are several, and the header says so.
    """
    if stated > 1 and (found.frames > 1 or (native is None and not found.encoded)):
        raise SkippedImage("multi_frame", "more than one frame; only single images are indexed")
    if stated > 1:
        return replace(found, notes=(*found.notes, "frames_as_found"))
    # Native values of twice the length may also be of twice the depth.
    if found.frames == 1 or not found.encoded:
        return found
    return replace(found, notes=(*found.notes, "further_frames_left_out"))


def _first_frame(data: bytes, start: int, length: int) -> PixelData:
    """The fragments of the first frame, joined; what ends them need not be a delimiter."""
    end = len(data) if length == _UNDEFINED else min(start + length, len(data))
    at, items = start, []
    while data[at : at + 4] == _ITEM and at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        items.append(data[at + 8 : min(at + 8 + size, end)])
        at += 8 + size
    ended = length != _UNDEFINED or data[at : at + 4] == _SEQUENCE_END
    notes = [] if ended else ["encapsulation_mended"]
    # The first item is the table of offsets, empty or not.
    if items and not items[0].startswith(_STARTS):
        items = items[1:]
    begun = [number for number, item in enumerate(items) if item.startswith(_STARTS)]
    frames = 1
    if len(begun) > 1 and _ends(b"".join(items[begun[0] : begun[1]])):
        frames, items = len(begun), items[begun[0] : begun[1]]
    elif len(items) > 1 and all(detect_codec(item) == _RLE for item in items):
        # Of this encoding a fragment is a frame (PS3.5 A.4.2).
        frames, items = len(items), items[:1]
    stream = b"".join(items)
    whole = _ends(stream) if begun else at <= end
    return PixelData(stream, True, None, whole, frames, notes=tuple(notes))


def _ends(stream: bytes) -> bool:
    # JPEG, JPEG-LS and JPEG 2000 all end with FF D9.
    return _EOI in stream[-_TRAILER:]


def detect_codec(stream: bytes) -> str | None:
    """The transfer syntax that a codestream is of, as far as it tells; None where it does not.

    Of JPEG lossless the plain one, of JPEG-LS and JPEG 2000 the lossy one stands for both.
    """
    if stream.startswith(_SOI):
        try:
            return _FRAMES.get(frame_header(stream).marker)
        except ValueError:
            return None
    place = stream.find(_J2K, 0, 2**16) if stream.startswith((_J2K, _JP2)) else -1
    if place >= 0:
        size = int.from_bytes(stream[place + 4 : place + 6], "big")
        following = stream[place + 4 + size : place + 6 + size]
        return _JPEG + ("203" if following == _CAPABILITIES else "91")
    segments, first = (int.from_bytes(stream[i : i + 4], "little") for i in (0, 4))
    return _RLE if 1 <= segments <= 15 and first == 64 else None


def components_of(stream: bytes) -> tuple[int, int]:
    """Components and bits per sample of a JPEG, JPEG-LS or JPEG 2000 codestream; else zeros."""
    place = stream.find(_J2K, 0, 2**16)
    if place >= 0 and len(stream) > place + 42:
        return int.from_bytes(stream[place + 40 : place + 42]), (stream[place + 42] & 0x7F) + 1
    try:
        header = frame_header(stream)
    except ValueError:
        return 0, 0
    return header.components, header.precision
