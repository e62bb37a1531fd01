"""TIFF files of kinds that Pillow does not read: other depths, signs, byte orders and floats."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.archive.windowing import check_size, grey_of
from indexer.errors import FailedImage, SkippedImage

__all__ = ["quantised", "read_tiff"]

_MIN_IS_WHITE, _REDUCED = 0, 1


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
            pages = [page.aspage() for page in file.pages]
            whole = [page for page in pages if not page.subfiletype & _REDUCED] or pages
            if len(whole) != 1:
                raise SkippedImage(
                    "multi_frame", "TIFF of several pages; only single images are indexed"
                )
            page = whole[0]
            check_size(page.imagelength, page.imagewidth, most)
            values = np.asarray(page.asarray())
            if page.axes == "SYX":
                values = np.moveaxis(values, 0, -1)
            white = page.photometric == _MIN_IS_WHITE
    finally:
        logger.propagate = propagates
    if values.ndim == 3:
        grey = grey_of(values[:, :, :3]) if values.shape[2] >= 3 else values[:, :, 0]
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
        values = quantised(values)
    return values.astype(values.dtype.newbyteorder("="), copy=False), white


def quantised(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Any numbers as 16-bit values between the least and the largest one."""
    if np.iscomplexobj(values):
        raise FailedImage("undecodable_pixels", "pixel values that are complex numbers")
    if not np.isfinite(values).all():
        raise FailedImage("undecodable_pixels", "pixel values that are no finite numbers")
    low, high = float(values.min()), float(values.max())
    scale = 65535.0 / (high - low) if high > low else 0.0
    scaled: npt.NDArray[np.uint16] = np.rint((values - low) * scale).astype(np.uint16)
    return scaled
