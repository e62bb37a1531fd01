"""The one public radiograph that all simulated ones are made of."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.errors import MissingExtraError

__all__ = ["ASPECT", "FilmPixels", "data_folder", "radiograph"]

FilmPixels: TypeAlias = npt.NDArray[np.floating[Any]]

ASPECT = 0.95  # width over height of the part of the source that is used
_SOURCE = "RG1_UNCR.dcm"


def data_folder() -> Path:
    """Where the package ``pydicom-data`` keeps its files.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        from data_store import DataStore
    except ImportError as error:
        raise MissingExtraError(
            "the simulated archive needs the package pydicom-data: pip install 'cxrdex[demo]'"
        ) from error
    return Path(DataStore().data_path)


@lru_cache(maxsize=8)
def radiograph(height: int) -> FilmPixels:
    """The source at `height` rows, 0..1 with bone white; read-only."""
    import pydicom

    data = pydicom.dcmread(data_folder() / _SOURCE)
    stored = data.pixel_array[48:1940, 12:1810].astype(np.float32)  # inside the collimator
    low, high = np.percentile(stored[::4, ::4], (0.5, 99.5))
    linear = np.clip((high - stored) / (high - low), 0, 1) ** 1.5
    width = round(height * ASPECT)
    image = Image.fromarray(linear).resize((width, height), Image.Resampling.LANCZOS)
    pixels: FilmPixels = np.clip(np.asarray(image), 0, 1)
    pixels.setflags(write=False)
    return pixels
