"""Plain pictures: PNG, JPEG, JPEG 2000, TIFF, WebP and BMP, read as one grey image."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.archive.decoders.reduced import codestream_digest, draft, open_level, reduced_grid
from indexer.archive.limits import Limits
from indexer.archive.pictures.tiff import quantised, read_tiff, whole_page
from indexer.archive.windowing import CORNERS, GreyImage, Grid, check_size, grey_channel
from indexer.errors import FailedImage, ImageError, SkippedImage

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["picture_format", "read_picture"]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_ORIENTATION = 0x0112
_MIRRORING = frozenset({2, 4, 5, 7})
# Known by their codestream, not by their pixels (ADR 0009).
_ENCODED = frozenset({"JPEG", "JPEG2000"})
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
_SUBFILE = 254
_MP_ENTRIES = 0xB002


def picture_format(data: bytes) -> str | None:
    """The format that a file's first bytes tell, or None where it is no known picture."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for magic, name in _MAGIC:
        if data.startswith(magic):
            # Two letters alone start many texts: a bitmap's header has one of a few sizes.
            if name == "BMP" and int.from_bytes(data[14:18], "little") not in _BMP_HEADERS:
                return None
            return name
    return None


def read_picture(
    data: bytes, kind: str, target: int = 0, limits: Limits | None = None
) -> GreyImage:
    """The grey image in a picture file; EXIF orientation is applied, transparency ignored.

    Parameters
    ----------
    data
        The file's content.
    kind
        Its format, from `picture_format`.
    target
        Side in pixels that the image will be scaled to: JPEG and JPEG 2000 are decoded to a half, a
        quarter ... of their size as far as that does; 0 for all pixels.
    limits
        What the image may cost.

    Raises
    ------
    SkippedImage
        ``colour`` or ``multi_frame``.
    FailedImage
        ``truncated``, ``undecodable_pixels`` or ``too_large``.
    """
    from PIL import Image, UnidentifiedImageError

    most = (limits or Limits()).pixels
    # Pillow warns beyond this, and refuses twice as many.
    Image.MAX_IMAGE_PIXELS = most
    if kind == "WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise FailedImage("truncated", "the WEBP file is shorter than its header says")
    with _pillow_remarks(kind):
        try:
            opened = Image.open(BytesIO(data), formats=[kind])
        except UnidentifiedImageError:
            if kind != "TIFF":
                raise
            pixels, white = read_tiff(data, most)
            bits = 8 * pixels.dtype.itemsize
            return GreyImage(pixels=np.ascontiguousarray(pixels), bits=bits, inverted=white)
    with _pillow_remarks(kind), opened as picture:
        data = _one_page(picture, kind, data)
        check_size(picture.height, picture.width, most)
        rows, columns = picture.height, picture.width
        encoded = codestream_digest(data) if kind in _ENCODED else None
        if target and kind == "JPEG":
            draft(picture, target)
            return _grey_image(picture, reduced_grid(picture.size, (rows, columns), 0.0), encoded)
        if target and kind == "JPEG2000":
            with open_level(data, target) as level:
                return _grey_image(level, reduced_grid(level.size, (rows, columns), 0.5), encoded)
        return _grey_image(picture, None, encoded)


def _one_page(picture: Image.Image, kind: str, data: bytes) -> bytes:
    """Go to the one picture of a file; its bytes, without those of smaller copies after a JPEG."""
    if kind == "TIFF":
        picture.seek(whole_page(_smaller_copies(picture)))
        return data
    if getattr(picture, "n_frames", 1) == 1:
        return data
    if kind == "JPEG":
        # Cameras and phones put previews of other sizes behind the picture (CIPA DC-007).
        size = int(picture.mpinfo[_MP_ENTRIES][0]["Size"])  # type: ignore[attr-defined]
        return data[:size] if 0 < size <= len(data) else data
    raise SkippedImage("multi_frame", f"{kind} of several pages; only single images are indexed")


def _smaller_copies(picture: Image.Image) -> Iterator[bool]:
    """Of each page of a TIFF file in order, whether it is a smaller copy of another."""
    for page in count():
        try:
            picture.seek(page)
        except EOFError:
            return
        yield bool(dict(getattr(picture, "tag_v2", {})).get(_SUBFILE, 0) & 1)


def _grey_image(picture: Image.Image, grid: Grid | None, encoded: bytes | None) -> GreyImage:
    from PIL import ImageOps

    orientation = picture.getexif().get(_ORIENTATION, 1)
    corners = _turned_corners(orientation)
    tags: dict[int, Any] = dict(getattr(picture, "tag_v2", {}))
    picture.load()
    # Pillow turns 8-bit white-is-zero TIFFs round, but not deeper ones.
    inverted = picture.mode[:1] in "IF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    pixels = _grey_pixels(ImageOps.exif_transpose(picture), white=inverted)
    return GreyImage(
        pixels=np.ascontiguousarray(pixels),
        bits=8 * pixels.dtype.itemsize,
        inverted=inverted,
        mirrored=orientation in _MIRRORING,
        grid=grid and grid.turned(corners),
        encoded=encoded and encoded + corners,
    )


def _turned_corners(orientation: int) -> bytes:
    from PIL import Image, ImageOps

    corners = Image.fromarray(CORNERS)
    corners.getexif()[_ORIENTATION] = orientation
    return ImageOps.exif_transpose(corners).tobytes()


def _grey_pixels(picture: Image.Image, *, white: bool) -> npt.NDArray[Any]:
    mode = picture.mode
    if mode == "F":
        return quantised(np.asarray(picture), white=white)
    if mode.startswith("I"):
        values = np.asarray(picture)
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if mode in ("1", "L", "LA", "La"):
        # The alpha channel is dropped, not blended: it says nothing of the patient.
        return np.asarray(picture.convert("L") if mode == "1" else picture.getchannel(0))
    colour = picture.convert("RGBA" if "A" in mode or "transparency" in picture.info else "RGB")
    grey = grey_channel(np.asarray(colour)[:, :, :3])
    if grey is None:
        raise SkippedImage("colour", "a colour picture; only grey ones are indexed")
    return grey


@contextmanager
def _pillow_remarks(kind: str) -> Iterator[None]:
    """Turn what Pillow raises into reasons, and keep its remarks on tags to ourselves."""
    from PIL import Image, UnidentifiedImageError

    logger = logging.getLogger("PIL")
    propagates, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FailedImage("too_large", f"{kind} with more pixels than any radiograph has") from None
    except UnidentifiedImageError:
        raise FailedImage("undecodable_pixels", f"{kind} with a damaged header") from None
    except Exception as error:  # noqa: BLE001 - Pillow's readers raise anything on damaged files
        # Pillow has no class for this: a file that ends early is an OSError that says so.
        early = any(word in str(error).lower() for word in ("truncated", "broken", "end of"))
        if early or isinstance(error, EOFError):
            raise FailedImage("truncated", f"the {kind} file ends early") from None
        raise FailedImage(
            "undecodable_pixels", f"the {kind} file is damaged ({type(error).__name__})"
        ) from None
    finally:
        logger.propagate = propagates
