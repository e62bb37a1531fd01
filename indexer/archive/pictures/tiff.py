"""TIFF files of kinds that Pillow does not read: other depths, signs, byte orders and floats."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.archive.windowing import check_size, grey_channel
from indexer.errors import FailedImage, SkippedImage

__all__ = ["quantised", "read_tiff", "whole_page"]

_MIN_IS_WHITE, _REDUCED = 0, 1
# A picture has a few smaller copies at most. The pages of a file are a chain, which a damaged file
# may close to a ring without an end.
_MAX_PAGES = 64
# Without a handler of its own a logger writes on stderr, even one that passes nothing on.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# A picture of fewer finite values than this part is none.
_MOSTLY = 0.5


def whole_page(copies: Iterable[bool]) -> int:
    """The number of the page that is the file's one picture, not a smaller copy of it.

    Parameters
    ----------
    copies
        Of each page in order, whether it is a smaller copy. It may be endless.

    Raises
    ------
    SkippedImage
        ``multi_frame``.
    FailedImage
        ``undecodable_pixels``: the chain of pages is longer than any picture's.
    """
    count, whole = 0, []
    for copy in copies:
        if not copy:
            whole.append(count)
        count += 1
        if len(whole) > 1:
            break
        if count > _MAX_PAGES:
            raise FailedImage("undecodable_pixels", f"TIFF of more than {_MAX_PAGES} pages")
    if count == 1:
        return 0
    if len(whole) != 1:
        raise SkippedImage("multi_frame", "TIFF of several pages; only single images are indexed")
    return whole[0]


def read_tiff(data: bytes, most: int) -> tuple[npt.NDArray[Any], bool]:
    """The grey values (rows, columns) of a TIFF file, and whether small ones are white.

    Raises
    ------
    SkippedImage
        ``colour`` or ``multi_frame``.
    FailedImage
        ``undecodable_pixels`` or ``too_large``.
    """
    import tifffile

    logger = logging.getLogger("tifffile")
    propagates, logger.propagate = logger.propagate, False
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            number = whole_page(bool(p.aspage().subfiletype & _REDUCED) for p in file.pages)
            page = file.pages[number].aspage()
            check_size(page.imagelength, page.imagewidth, most)
            values = np.asarray(page.asarray())
            if page.axes == "SYX":
                values = np.moveaxis(values, 0, -1)
            white = page.photometric == _MIN_IS_WHITE
    finally:
        logger.propagate = propagates
    if values.ndim == 3:
        grey = grey_channel(values[:, :, :3]) if values.shape[2] >= 3 else values[:, :, 0]
        if grey is None:
            raise SkippedImage("colour", "a colour picture; only grey ones are indexed")
        values = grey
    if values.ndim != 2:
        raise FailedImage("undecodable_pixels", "TIFF of more than two dimensions")
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.itemsize >= 4 and np.issubdtype(values.dtype, np.integer):
        fits = values.max() < 2**31 and values.min() >= -(2**31)
        values = values.astype(np.int32 if fits else np.float64)
    if not np.issubdtype(values.dtype, np.integer):
        values = quantised(values, white=white)
    return values.astype(values.dtype.newbyteorder("="), copy=False), white


def quantised(values: npt.NDArray[Any], *, white: bool = False) -> npt.NDArray[np.uint16]:
    """Any numbers as 16-bit values between the least and the largest one.

    What is no finite number, as programs write it beyond the film's edges, is black.

    Parameters
    ----------
    white
        Whether small values are white.
    """
    if np.iscomplexobj(values):
        raise FailedImage("undecodable_pixels", "pixel values that are complex numbers")
    finite = np.isfinite(values)
    if finite.mean() < _MOSTLY:
        raise FailedImage("undecodable_pixels", "most pixel values are no finite numbers")
    low, high = (
        float(values.min(where=finite, initial=np.inf)),
        float(values.max(where=finite, initial=-np.inf)),
    )
    if not finite.all():
        values = np.where(finite, values, high if white else low)
    scale = 65535.0 / (high - low) if high > low else 0.0
    scaled: npt.NDArray[np.uint16] = np.rint((values - low) * scale).astype(np.uint16)
    return scaled
