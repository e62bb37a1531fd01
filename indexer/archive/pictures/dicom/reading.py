"""DICOM file to one upright grey image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from indexer.archive.decoders.reduced import ENCODED, codestream_digest
from indexer.archive.limits import Limits
from indexer.archive.pictures.dicom.chest import require_chest
from indexer.archive.pictures.dicom.elements import quiet, text
from indexer.archive.pictures.dicom.header import inflated, split_at_pixels
from indexer.archive.pictures.dicom.orientation import upright_transform
from indexer.archive.pictures.dicom.outside import (
    covered,
    inside,
    joined,
    padding_ranges,
    raw_padding,
)
from indexer.archive.pictures.dicom.pixels import attach_pixels, reduced_values, stored_values
from indexer.archive.pictures.dicom.tone import presentations
from indexer.archive.windowing import CORNERS, GreyImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["DicomFile", "open_dicom", "read_image"]


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A DICOM file whose header shows a chest radiograph.

    Parameters
    ----------
    header
        Its elements; `read_image` puts right what does not fit the pixels.
    data
        The file, unpacked if it was deflated.
    place
        Where its pixel data element starts.
    deflated
        Whether it was.
    notes
        What is odd about the header (`indexer.archive.notes`).
    """

    header: Dataset
    data: bytes
    place: int
    deflated: bool
    notes: tuple[str, ...]


def open_dicom(data: bytes, limits: Limits | None = None) -> DicomFile:
    """Read the header of a DICOM file that is to be a chest radiograph.

    Raises
    ------
    SkippedImage, FailedImage
        As `inflated`, `split_at_pixels` and `require_chest`.
    """
    plain, oddly = inflated(data, (limits or Limits()).file_bytes)
    header, place = split_at_pixels(plain)
    notes = require_chest(header)
    if oddly:
        notes = (*notes, "encoding_as_found")
    return DicomFile(header, plain, place, plain is not data and not oddly, notes)


def read_image(
    file: DicomFile,
    target: int = 0,
    limits: Limits | None = None,
    polarity: Mapping[str, bool] | None = None,
) -> tuple[GreyImage, str]:
    """The pixels of an image, and its transfer syntax's name.

    Parameters
    ----------
    target
        Side in pixels that the image will be scaled to: JPEG and JPEG 2000 are decoded to a half, a
        quarter ... of their size as far as that does; 0 for all pixels.
    limits
        What the image may cost.
    polarity
        By beginnings of manufacturers' names in lower case, whether small values are white,
        whatever their headers say.

    Raises
    ------
    SkippedImage
        ``no_pixels`` or ``colour``.
    FailedImage
        ``truncated``, ``undecodable_pixels``, ``contradictory_header``, ``too_large`` or
        ``unsupported_transfer_syntax``.
    """
    dataset = file.header
    with quiet():
        most = (limits or Limits()).pixels
        stream, odd = attach_pixels(dataset, file.data, file.place, most)
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        mask, masked = covered(dataset, rows, columns)
        padding, grid = padding_ranges(dataset), None
        small = reduced_values(dataset, stream, target, padding) if mask is None else None
        if small is None:
            pixels, bits, mended = stored_values(dataset, stream is None)
            if stream is None:
                mask = joined(mask, raw_padding(dataset))
            if mask is not None and mask.shape != pixels.shape:
                mask, masked = None, ("shutter_ignored",)
        else:
            (pixels, grid), bits, mended = small, int(dataset.BitsStored), ()
        photometric = str(dataset.PhotometricInterpretation)
        grey = photometric.startswith("MONOCHROME")
        inverted = photometric == "MONOCHROME1" or (
            # DX images state the inversion in two elements, C.8.11.3.1.2; it is applied once.
            text(dataset, "PresentationLUTShape").upper() == "INVERSE"
        )
        exchanged = _overridden(dataset, polarity or {}, inverted)
        film = partial(inside, pixels, mask, padding)
        turn = upright_transform(dataset)
        pixels, mirrored = turn(pixels)
        corners, encoded = turn(CORNERS)[0].tobytes(), None
        syntax = dataset.file_meta.TransferSyntaxUID
        if stream is not None and syntax in ENCODED:
            encoded = codestream_digest(stream) + corners
        tones, broken = presentations(dataset, film) if grey else ((), ())
        image = GreyImage(
            pixels=np.ascontiguousarray(pixels),
            bits=bits,
            inverted=inverted,
            tones=tones,
            padding=tuple(padding) if grey else (),
            outside=None if mask is None else np.ascontiguousarray(turn(mask)[0]),
            exchanged=exchanged,
            mirrored=mirrored,
            grid=grid and grid.turned(corners),
            encoded=encoded,
            notes=(
                *(*file.notes, *odd, *masked, *mended, *broken),
                *(("polarity_overridden",) if exchanged else ()),
            ),
        )
        return image, "Deflated Explicit VR Little Endian" if file.deflated else syntax.name


def _overridden(dataset: Dataset, polarity: Mapping[str, bool], inverted: bool) -> bool:
    """Whether what is set for the manufacturer differs from what the header says."""
    maker = " ".join(text(dataset, "Manufacturer").casefold().split())
    found = [white for name, white in polarity.items() if maker.startswith(name.casefold())]
    return bool(found) and found[-1] != inverted
