"""A network in 8-bit integers, their ranges taken from simulated radiographs (by NNCF)."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.errors import MissingExtraError
from indexer.simulation import simulate_pictures

__all__ = ["quantise"]

_PICTURES = 128


def quantise(model: Any, size: int) -> Any:
    """The network with its convolutions and products in int8.

    Parameters
    ----------
    model
        An OpenVINO network with inputs of shape (1, 1, size, size).

    Raises
    ------
    MissingExtraError
        NNCF or pydicom-data is not installed.
    """
    pictures = _pictures(size)
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError("int8 needs the extra: pip install 'cxrdex[int8]'") from error
    nncf.set_log_level(logging.ERROR)
    # NNCF prints its progress on stdout, where the answer of a command belongs.
    with contextlib.redirect_stdout(io.StringIO()):
        return nncf.quantize(
            model,
            nncf.Dataset([picture[None, None] for picture in pictures]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pictures),
        )


def _pictures(size: int) -> list[npt.NDArray[np.uint8]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate_pictures(folder, _PICTURES, size=size)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [np.asarray(Image.open(file).convert("L")) for file in files]
