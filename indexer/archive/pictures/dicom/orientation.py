"""Putting the patient's head up and the patient's right on the left."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from indexer.archive.pictures.dicom.elements import text, texts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Turn", "upright", "upright_transform"]

Turn: TypeAlias = "Callable[[npt.NDArray[Any]], tuple[npt.NDArray[Any], bool]]"


def upright_transform(dataset: Dataset) -> Turn:
    """The function that puts the pixels of a dataset upright, with `upright`'s answer."""
    return partial(
        upright,
        orientation=_orientation(dataset),
        flipped=text(dataset, "FieldOfViewHorizontalFlip").upper() == "YES",
    )


def upright(
    pixels: npt.NDArray[Any], orientation: tuple[str, str] | None, flipped: bool
) -> tuple[npt.NDArray[Any], bool]:
    """Put the patient's head up and, on frontal films, the patient's right on the left.

    Patient Orientation (0020,0020) names the anatomical direction of the rows (left to right) and
    of the columns (top to bottom), C.7.6.1.1.1: ``L\\F`` is a frontal film as it is read. It
    describes the pixels as stored, so it decides where it is present. Field of View Horizontal
    Flip (0018,7034), C.8.11.4, says that a flip was applied to what the detector saw; only where
    no orientation is given it is all there is to go by, and the flip is undone. The front-to-back
    direction of laterals has no right side and is left alone.

    Parameters
    ----------
    pixels
        (rows, columns).
    orientation
        Row and column direction, one letter each; None where unknown.
    flipped
        Whether Field of View Horizontal Flip is YES.

    Returns
    -------
    tuple
        The image (a view), and whether it was flipped or transposed.
    """
    if orientation is None:
        return (pixels[:, ::-1], True) if flipped else (pixels, False)
    along_rows, along_columns = orientation
    turned = False
    if along_rows in "HF" and along_columns not in "HF":
        pixels = pixels.T
        along_rows, along_columns, turned = along_columns, along_rows, True
    if along_rows == "R":
        pixels, turned = pixels[:, ::-1], True
    if along_columns == "H":
        pixels, turned = pixels[::-1], True
    return pixels, turned


def _orientation(dataset: Dataset) -> tuple[str, str] | None:
    # Images of animals use other letters (C.7.6.1.1.1); they are left as stored.
    quadruped = text(dataset, "AnatomicalOrientationType").upper() == "QUADRUPED"
    letters = [part.strip().upper()[:1] for part in texts(dataset, "PatientOrientation")]
    if len(letters) != 2 or not all(letter and letter in "LRAPHF" for letter in letters):
        return None
    return ("", "") if quadruped else (letters[0], letters[1])
