"""JPEG of other kinds than the everyday one, as a plug-in of pydicom that survives damaged files.

libjpeg-turbo, as imagecodecs bundles it, reads lossless and 12-bit JPEG; gdcm stands in without it.

pydicom's own gdcm plug-in refuses JPEG Extended with 12 bits, which gdcm reads
(https://github.com/tfmoraes/python-gdcm/issues/35). And gdcm ends the whole process when the
segments ahead of the scan are damaged, so they are checked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

__all__ = [
    "DECODER_DEPENDENCIES",
    "FrameHeader",
    "decode_frame",
    "frame_header",
    "is_available",
    "segments",
]

_SYNTAXES = tuple("1.2.840.10008.1.2.4." + end for end in ("50", "51", "57", "70"))
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("python-gdcm>=3.0.24",))

_START_OF_SCAN, _EVERYDAY = 0xDA, 0xC0
_END = b"\xff\xd9"
# Padding and item delimiters may follow the end.
_TRAILER = 64
# Tables that share the number range of frame headers (ITU-T T.81, table B.1).
_NO_FRAMES = frozenset({0xC4, 0xC8, 0xCC})


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What the frame header of a JPEG or JPEG-LS codestream says (ITU-T T.81, B.2.2).

    Parameters
    ----------
    marker
        Second byte of its marker, which tells the coding process.
    precision
        Bits per sample.
    rows, columns, components
        Size of the image.
    """

    marker: int
    precision: int
    rows: int
    columns: int
    components: int


def is_available(uid: str) -> bool:
    """Whether gdcm is installed and `uid` is a JPEG transfer syntax."""
    return uid in DECODER_DEPENDENCIES and find_spec("gdcm") is not None


def frame_header(stream: bytes) -> FrameHeader:
    """The frame header of a codestream whose segments are whole up to its first scan.

    Raises
    ------
    ValueError
        They are not, or there is no frame header.
    """
    found = None
    for marker, start, end in segments(stream):
        if marker == _START_OF_SCAN and found:
            return found
        body = stream[start + 4 : end]
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES) or marker == 0xF7:
            if len(body) < 6 or found:
                break
            rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            found = FrameHeader(marker, body[0], rows, columns, body[5])
    raise ValueError("the segments ahead of the JPEG scan are damaged")


def segments(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a codestream, up to its first scan's header."""
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        end = min(at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big"), len(stream))
        yield marker, at, end
        if marker == _START_OF_SCAN:
            return
        at = end


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame.

    Parameters
    ----------
    src
        A JPEG codestream.
    runner
        What pydicom knows of the image.

    Returns
    -------
    bytes
        Grey values, one byte each up to 8 bits, else two, little-endian; colour by pixel.

    Raises
    ------
    ValueError
        The codestream is damaged or is not of the size that the DICOM header says.
    """
    header = frame_header(src)
    if (header.rows, header.columns) != (runner.rows, runner.columns):
        raise ValueError(f"the codestream has {header.columns} x {header.rows} pixels")
    if header.components != runner.samples_per_pixel or not 2 <= header.precision <= 16:
        raise ValueError(f"{header.components} components of {header.precision} bits")
    if header.components == 1 and header.marker != _EVERYDAY and find_spec("imagecodecs"):
        return _decode_by_turbo(src, runner, header)
    if header.components > 1:
        from pydicom.pixels.decoders import gdcm as plugin

        return plugin._decode_frame(src, runner)
    return _decode_grey(src, runner, header.precision)


def _decode_by_turbo(src: bytes, runner: DecodeRunner, header: FrameHeader) -> bytes:
    """Lossless or extended, by libjpeg-turbo 3: five times as fast as gdcm."""
    from imagecodecs import jpeg8_decode

    # libjpeg-turbo fills what is missing with grey pixels and reports no error.
    if _END not in src[-_TRAILER:]:
        raise ValueError("the codestream has no end marker")
    frame: bytes = jpeg8_decode(src).tobytes()
    runner.set_option("bits_allocated", 8 if header.precision <= 8 else 16)
    return frame


def _decode_grey(src: bytes, runner: DecodeRunner, precision: int) -> bytes:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(src)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    monochrome = gdcm.PhotometricInterpretation.MONOCHROME2
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(monochrome))
    kind = gdcm.TransferSyntax.GetTSType(str.__str__(runner.transfer_syntax))
    image.SetTransferSyntax(gdcm.TransferSyntax(kind))
    allocated = 8 if precision <= 8 else 16
    image.SetPixelFormat(
        gdcm.PixelFormat(1, allocated, precision, precision - 1, runner.pixel_representation)
    )
    # gdcm hands its char* over as str.
    frame: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    runner.set_option("bits_allocated", allocated)
    return frame
