"""Reading ``.npy`` files whose type and shape are known."""

from __future__ import annotations

import tokenize
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["load_array"]


def load_array(
    path: Path, shape: tuple[int, ...] | None, dtype: str, *, mapped: bool = True
) -> npt.NDArray[Any]:
    """An array of a file.

    Parameters
    ----------
    shape
        What it must have; None for any.
    dtype
        Kind of its numbers, as numpy names it: ``"f"`` or ``"i"``.
    mapped
        Map the file, so that what is not looked at is not read; it must not be empty then.

    Raises
    ------
    OSError
        There is no such file, or it may not be read.
    ValueError
        It is damaged, or holds something else.
    """
    try:
        # Mapped first, even where a copy is wanted: a damaged header may claim any size.
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if not mapped or not array.size:
            array = np.array(array)
    except ValueError:
        if shape is None or 0 not in shape:
            raise
        # The operating system cannot map an empty array, so it is read instead.
        array = np.load(path, allow_pickle=False)
    except (EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError) as error:
        raise ValueError(f"{path.name} is damaged") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != dtype:
        raise ValueError(f"{path.name} is damaged")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{path.name} has the shape {array.shape}, not {shape}")
    # A plain array: numpy makes a new memmap of every slice of one.
    return array.view(np.ndarray)
