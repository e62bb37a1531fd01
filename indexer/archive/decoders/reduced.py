"""JPEG and JPEG 2000 at a fraction of their size, which their codestreams hold ready.

JPEG is scaled in its cosine transform, JPEG 2000 by leaving out the finest wavelets: most of the
work of decoding, and all of the work on pixels that are averaged away later, is never done.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from indexer.archive.decoders.jpeg import frame_header, segments
from indexer.archive.windowing import Grid

if TYPE_CHECKING:
    from PIL import Image
    from pydicom.dataset import Dataset

__all__ = [
    "ENCODED",
    "codestream_digest",
    "draft",
    "open_level",
    "reduced_grid",
    "reduced_pixels",
    "stated_size",
]

_JPEG = "1.2.840.10008.1.2.4."
_DCT = frozenset(_JPEG + end for end in ("50", "51"))
_WAVELETS = frozenset(_JPEG + end for end in ("90", "91", "201", "202", "203"))
#: Transfer syntaxes whose images are known by their codestream, not by their pixels (ADR 0009).
ENCODED = _DCT | _WAVELETS

# The decoded image must be at least this many times as long as the canvas (ADR 0009, measured by
# benchmarks/reduced.py). The reversible wavelet needs least, as it is nearest to averaging.
_DCT_MARGIN, _LOSSY_MARGIN, _REVERSIBLE_MARGIN = 3.0, 3.0, 1.9

_START = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"
# The codestream of a JP2 file begins within this many bytes.
_BOXES = 65536
# Bytes after the end marker: padding and item delimiters.
_TRAILER = 64
_CODING_STYLE = 0x52
_START_OF_TILE = 0x90
# JPEG segments that do not affect its pixels: comments and application data, except Adobe's.
_REMARKS = frozenset({0xFE, *range(0xE0, 0xF0)} - {0xEE})


def codestream_digest(stream: bytes) -> bytes:
    """BLAKE3 of a JPEG or JPEG 2000 codestream without remarks, padding and boxes around it."""
    last = stream.rfind(_END)
    stream = stream if last < 0 else stream[: last + 2]
    if stream[:2] != b"\xff\xd8":
        return blake3(memoryview(stream)[max(stream.find(_START), 0) :]).digest()
    digest = blake3()
    end = 2
    for marker, start, end in segments(stream):
        if marker not in _REMARKS:
            digest.update(stream[start:end])
    digest.update(memoryview(stream)[end:])
    return digest.digest()


def reduced_grid(size: tuple[int, int], whole: tuple[int, int], middle: float) -> Grid | None:
    """How a picture of `size` (columns, rows) lies on a `whole` one (rows, columns).

    Parameters
    ----------
    middle
        How far the middle of a pixel lies from the middle of those it stands for: 0.0 where it is
        their mean, 0.5 where it is a wavelet's, which lies on the first of them.
    """
    step = 1
    while -(-whole[0] // step) > size[1] or -(-whole[1] // step) > size[0]:
        step *= 2
    shift = middle * (1 - 1 / step)
    return Grid(*whole, step, shift, shift) if step > 1 else None


def reduced_pixels(
    dataset: Dataset, stream: bytes, target: int
) -> tuple[npt.NDArray[Any], Grid] | None:
    """Stored values of a grey image at the smallest scale 1/2, 1/4 ... that does for `target`.

    Parameters
    ----------
    dataset
        What the header says of the pixels.
    stream
        The codestream of its one frame.
    target
        Side in pixels that the image will be scaled to.

    Returns
    -------
    tuple or None
        The smaller image (rows, columns), and how it lies on the whole one; None where it has to be
        decoded in full, because it is small, of another transfer syntax, damaged, or not what its
        header says.
    """
    size = (int(dataset.Columns), int(dataset.Rows))
    signed = dataset.PixelRepresentation == 1
    if min(size) < 2 * target or _END not in stream[-_TRAILER:]:
        return None
    uid = str(dataset.file_meta.TransferSyntaxUID)
    try:
        if uid in _DCT and not signed:
            pixels, middle = _scaled_jpeg(stream, size, target), 0.0
        elif uid in _WAVELETS:
            pixels, middle = _wavelet_level(stream, size, signed, target), 0.5
        else:
            return None
        if pixels is None:
            return None
        grid = reduced_grid((pixels.shape[1], pixels.shape[0]), (size[1], size[0]), middle)
        return None if grid is None else (pixels, grid)
    except Exception:  # noqa: BLE001 - the decoders of the full image say what is wrong with it
        return None


def stated_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 codestream claims; None if damaged."""
    at = stream.find(_START, 0, _BOXES)
    if at >= 0:
        right, bottom, left, top = (
            int.from_bytes(stream[at + n : at + n + 4], "big") for n in (8, 12, 16, 20)
        )
        return bottom - top, right - left
    try:
        header = frame_header(stream)
    except ValueError:
        return None
    return header.rows, header.columns


def draft(picture: Image.Image, target: int) -> None:
    """Let a JPEG be decoded at the smallest scale that does for sides of `target` pixels."""
    least = round(_DCT_MARGIN * target)
    picture.draft(None, (least, least))


def open_level(stream: bytes, target: int) -> Image.Image:
    """A JPEG 2000 picture at the coarsest wavelet level that does for sides of `target` pixels."""
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

    picture = Jpeg2KImageFile(BytesIO(stream))
    levels, reversible = _coding_style(stream)
    least, level = (_REVERSIBLE_MARGIN if reversible else _LOSSY_MARGIN) * target, 0
    while min(picture.size) >> (level + 1) >= least and level < levels:
        level += 1
    # Pillow's own way rounds the size to the nearest, openjpeg rounds it up.
    picture._size = (-(-picture.size[0] >> level), -(-picture.size[1] >> level))
    tile = picture.tile[0]
    assert isinstance(tile.args, tuple)
    codec, _, *rest = tile.args
    picture.tile = [tile._replace(extents=(0, 0, *picture.size), args=(codec, level, *rest))]
    return picture


def _scaled_jpeg(stream: bytes, size: tuple[int, int], target: int) -> npt.NDArray[Any] | None:
    from PIL import Image

    with Image.open(BytesIO(stream), formats=["JPEG"]) as picture:
        if picture.size != size or picture.mode != "L":
            return None
        draft(picture, target)
        # A picture that is not made smaller is left to the decoder of full images.
        return None if picture.size == size else np.asarray(picture)


def _wavelet_level(
    stream: bytes, size: tuple[int, int], signed: bool, target: int
) -> npt.NDArray[Any] | None:
    # Some writers put the codestream into the boxes of a JP2 file.
    at = stream.find(_START)
    corners = [int.from_bytes(stream[at + n : at + n + 4], "big") for n in (8, 12, 16, 20)]
    components, depth = int.from_bytes(stream[at + 40 : at + 42], "big"), stream[at + 42]
    precision = (depth & 0x7F) + 1
    # Values must have the sign that the header states before they are averaged.
    if corners != [*size, 0, 0] or components != 1 or bool(depth & 0x80) != signed:
        return None
    with open_level(stream, target) as picture:
        if picture.mode not in ("L", "I;16") or picture.size == size:
            return None
        stored = np.asarray(picture)
    # Pillow scales to the full 8 or 16 bits, and moves signed values up.
    values = stored >> (8 * stored.dtype.itemsize - precision)
    if not signed:
        return values
    return (values.astype(np.int32) - (1 << (precision - 1))).astype(f"i{stored.dtype.itemsize}")


def _coding_style(stream: bytes) -> tuple[int, bool]:
    """How often the wavelets of JPEG 2000 halve it, and if they are 5/3 (ITU-T T.800, A.6.1)."""
    at = stream.find(_START) + 2
    while at + 4 <= len(stream) and stream[at] == 0xFF and stream[at + 1] != _START_OF_TILE:
        if stream[at + 1] == _CODING_STYLE:
            return stream[at + 9], stream[at + 13] == 1
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    raise ValueError("the JPEG 2000 codestream has no coding style")
