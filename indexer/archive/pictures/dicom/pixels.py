"""Stored values of a DICOM image, as its pixel data has them where the header says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.archive.decoders.reduced import reduced_pixels, stated_size
from indexer.archive.decoders.transfer_syntaxes import decode_pixels
from indexer.archive.pictures.dicom.chest import RADIOGRAPHS
from indexer.archive.pictures.dicom.elements import number, text
from indexer.archive.pictures.dicom.encapsulation import (
    PixelData,
    components_of,
    detect_codec,
    find_pixels,
    one_frame,
)
from indexer.archive.plausibility import are_cut_words, fits_better, is_smoother, roughness
from indexer.archive.windowing import Grid, check_size, grey_channel
from indexer.errors import FailedImage, SkippedImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["attach_pixels", "reduced_values", "stored_values"]

_JPEG = "1.2.840.10008.1.2.4."
_RLE = "1.2.840.10008.1.2.5"
_IMPLICIT, _EXPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_NATIVE = frozenset({_IMPLICIT, _EXPLICIT, _BIG})
# Transfer syntaxes that one decoder reads alike: which of them a header names does not matter.
_SAME_DECODER = (
    frozenset(_JPEG + end for end in ("50", "51")),
    frozenset(_JPEG + end for end in ("57", "70")),
    frozenset(_JPEG + end for end in ("80", "81")),
    frozenset(_JPEG + end for end in ("90", "91")),
    frozenset(_JPEG + end for end in ("201", "202", "203")),
    frozenset({_RLE}),
)
# How the terms of Photometric Interpretation begin that are of colours.
_COLOURS = ("RGB", "YBR", "PALETTE", "HSV", "ARGB", "CMYK", "XYB")
# If the mean step between neighbours is above this part of the range, the byte order is doubted.
_ROUGH = 0.1
# If more than this part of the values needs more bits than stated, the depth is doubted.
_ABOVE = 0.01
# Neutral chroma of YBR, which grey images stored so have everywhere.
_NEUTRAL = 128


def attach_pixels(
    dataset: Dataset, data: bytes, place: int, most: int
) -> tuple[bytes | None, tuple[str, ...]]:
    """Give a header its pixel data, both made to fit each other.

    Parameters
    ----------
    dataset
        The header, from `split_at_pixels`; filled in and put right.
    data, place
        The file, and where the pixel data element starts.
    most
        Pixels that the image may have.

    Returns
    -------
    tuple
        The codestream of an encoded image, else None; and notes on what did not fit.

    Raises
    ------
    SkippedImage
        ``no_pixels``, ``multi_frame``.
    FailedImage
        ``truncated``, ``too_large``, ``contradictory_header``, ``unsupported_transfer_syntax``.
    """
    frames = int(number(dataset, "NumberOfFrames") or 1)
    _complete(dataset)
    rows, columns = (int(number(dataset, key) or 0) for key in ("Rows", "Columns"))
    if rows and columns:
        check_size(rows, columns, most)
    _, little = dataset.original_encoding
    native = _native_bytes(dataset, rows, columns) if rows and columns else None
    found = find_pixels(data, place, little=little is not False, native=native)
    if found is None:
        if not (rows and columns) and text(dataset, "SOPClassUID") in RADIOGRAPHS:
            raise FailedImage("truncated", "a radiograph that ends before its pixels and its size")
        raise SkippedImage("no_pixels", "an image header without pixel data")
    found = one_frame(found, frames, native)
    if found.encoded:
        return _attach_encoded(dataset, found, most)
    return None, _attach_native(dataset, found, (rows, columns), most)


def _complete(dataset: Dataset) -> None:
    """Fill in what a decoder needs and a sloppy writer left out."""
    from pydicom.dataset import FileMetaDataset

    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    samples = int(number(dataset, "SamplesPerPixel") or 1)
    dataset.SamplesPerPixel = samples
    photometric = text(dataset, "PhotometricInterpretation").upper()
    default = "MONOCHROME2" if samples == 1 else "RGB"
    if photometric.startswith("MONO"):
        # MONOCHROME, MONO1, MONOCHROME 2 and the like.
        photometric = "MONOCHROME1" if "1" in photometric else "MONOCHROME2"
    elif samples == 1 and not photometric.startswith(_COLOURS):
        # A word that DICOM does not define decides nothing.
        photometric = default
    dataset.PhotometricInterpretation = (photometric or default).replace("_COLOR", " COLOR")
    allocated = int(number(dataset, "BitsAllocated") or 0)
    if allocated <= 0:
        allocated = 16 if (number(dataset, "BitsStored") or 8) > 8 else 8
    elif allocated > 1:
        # Pixels are kept in whole bytes: 12 bits allocated are 12 of 16.
        allocated = -(-allocated // 8) * 8
    _set_depth(dataset, allocated, int(number(dataset, "BitsStored") or allocated))
    dataset.PixelRepresentation = 1 if number(dataset, "PixelRepresentation") == 1 else 0
    if samples > 1 and number(dataset, "PlanarConfiguration") is None:
        dataset.PlanarConfiguration = 0
    if "NumberOfFrames" in dataset:
        del dataset.NumberOfFrames


def _set_depth(dataset: Dataset, allocated: int, stored: int) -> None:
    dataset.BitsAllocated = allocated
    dataset.BitsStored = stored if 1 <= stored <= allocated else allocated
    high = number(dataset, "HighBit")
    valid = high is not None and dataset.BitsStored - 1 <= high < allocated
    dataset.HighBit = int(high) if high is not None and valid else dataset.BitsStored - 1


def _native_bytes(dataset: Dataset, rows: int, columns: int) -> int:
    values = rows * columns * int(dataset.SamplesPerPixel)
    # Subsampled colour (C.7.6.3.1.2) has two values per pixel.
    if str(dataset.PhotometricInterpretation) == "YBR_FULL_422":
        values = values * 2 // 3
    return (values * int(dataset.BitsAllocated) + 7) // 8


# ---- encoded ------------------------------------------------------------------------------------


def _attach_encoded(dataset: Dataset, found: PixelData, most: int) -> tuple[bytes, tuple[str, ...]]:
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    notes = list(found.notes)
    stream, stated = found.value, str(dataset.file_meta.get("TransferSyntaxUID") or "")
    codec = detect_codec(stream)
    if codec and not any({codec, stated} <= alike for alike in _SAME_DECODER):
        if stated:
            notes.append("encoding_as_found")
        dataset.file_meta.TransferSyntaxUID = UID(codec)
    elif not stated or stated in _NATIVE:
        raise FailedImage(
            "undecodable_pixels", "its encoded pixel data is in no known encoding, or damaged"
        )
    size = stated_size(stream)
    if size and min(size) > 0:
        # A codestream may be larger than the header says.
        check_size(*size, most)
        if size != (number(dataset, "Rows"), number(dataset, "Columns")):
            notes.append("size_as_found")
        dataset.Rows, dataset.Columns = size
    elif not (number(dataset, "Rows") and number(dataset, "Columns")):
        raise _no_size()
    if _fit_samples(dataset, stream):
        notes.append("bits_as_found")
    if not found.whole:
        raise FailedImage("truncated", f"the pixel data ends after {len(stream)} bytes, too early")
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    return stream, tuple(notes)


def _fit_samples(dataset: Dataset, stream: bytes) -> bool:
    """Take components and depth from the codestream; tells whether the header said otherwise."""
    components, precision = components_of(stream)
    if components not in (1, 3):
        return False
    grey = str(dataset.PhotometricInterpretation).startswith(("MONOCHROME", "PALETTE"))
    changed = components != dataset.SamplesPerPixel or grey != (components == 1)
    if changed:
        dataset.SamplesPerPixel = components
        if components == 1:
            dataset.PhotometricInterpretation = "MONOCHROME2"
        else:
            dct = stream[:2] == b"\xff\xd8"
            dataset.PhotometricInterpretation = "YBR_FULL_422" if dct else "RGB"
            dataset.PlanarConfiguration = 0
    allocated = 8 if precision <= 8 else 16
    if 0 < precision <= 16 and allocated != dataset.BitsAllocated:
        _set_depth(dataset, allocated, min(precision, int(dataset.BitsStored)))
        changed = True
    return changed


# ---- native -------------------------------------------------------------------------------------


def _attach_native(
    dataset: Dataset, found: PixelData, size: tuple[int, int], most: int
) -> tuple[str, ...]:
    from pydicom.uid import UID

    notes = list(found.notes)
    value, (implicit, little) = found.value, dataset.original_encoding
    stated = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if stated not in _NATIVE:
        if stated:
            notes.append("encoding_as_found")
        native = _IMPLICIT if implicit else _EXPLICIT if little is not False else _BIG
        dataset.file_meta.TransferSyntaxUID = UID(native)
    if not all(size):
        size = _size_by_length(dataset, size, found.announced or len(value))
        check_size(*size, most)
        notes.append("size_as_found")
    dataset.Rows, dataset.Columns = size
    if _are_words(dataset, value, size[0] * size[1]):
        _set_depth(dataset, 16, 16)
        notes.append("bits_as_found")
    if found.whole and _fit_length(dataset, value, size):
        notes.append("bits_as_found")
    wanted = _native_bytes(dataset, *size)
    if len(value) < wanted or not value:
        message = f"the pixel data ends after {len(value)} bytes of {wanted}"
        wrong = ": it is cut short, or rows, columns or bits of the header are wrong"
        raise FailedImage("truncated", message + (wrong if found.whole else ""))
    if len(value) >= 2 * wanted:
        value = value[:wanted]
        notes.append("further_frames_left_out")
    dataset.PixelData = value
    dataset["PixelData"].VR = found.vr
    return tuple(notes)


def _fit_length(dataset: Dataset, value: bytes, size: tuple[int, int]) -> bool:
    """Take one sample, or eight bits, where there are as many bytes as that has."""
    length, count = len(value), size[0] * size[1]
    one = count * int(dataset.BitsAllocated) // 8
    if dataset.SamplesPerPixel == 3 and length in (one, one + 1):
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        return True
    halved = dataset.SamplesPerPixel == 1 and one == 2 * count and length in (count, count + 1)
    if halved and not are_cut_words(value, size):
        _set_depth(dataset, 8, 8)
        return True
    return False


def _are_words(dataset: Dataset, value: bytes, count: int) -> bool:
    """Whether values that are said to have 8 bits have twice as many."""
    if dataset.SamplesPerPixel != 1 or dataset.BitsAllocated != 8 or len(value) // 2 != count:
        return False
    readings = (np.frombuffer(value, kind, count) for kind in ("<u2", "u1"))
    return fits_better(*(r.reshape(dataset.Rows, dataset.Columns) for r in readings))


def _size_by_length(dataset: Dataset, size: tuple[int, int], length: int) -> tuple[int, int]:
    """Rows and columns, of which one is missing, by the length of the pixel data."""
    known = max(size)
    line = known * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated) // 8
    # The element may be padded by one byte.
    other = length // line if line and length % line <= 1 else 0
    if not known or not other:
        raise _no_size()
    return (other, known) if size[1] else (known, other)


def _no_size() -> FailedImage:
    return FailedImage(
        "contradictory_header", "Rows or Columns are empty, and the pixel data does not tell them"
    )


# ---- values -------------------------------------------------------------------------------------


def reduced_values(
    dataset: Dataset, stream: bytes | None, target: int, padding: list[tuple[int, int]]
) -> tuple[npt.NDArray[Any], Grid] | None:
    """Stored values of a grey image, decoded to a smaller one; None where that cannot be."""
    grey = str(dataset.PhotometricInterpretation).startswith("MONOCHROME")
    if stream is None or not target or not grey or dataset.SamplesPerPixel != 1:
        return None
    small = reduced_pixels(dataset, stream, target)
    if small is not None:
        # Averaged with its neighbours, padding would be mistaken for the darkest part of the film.
        for first, last in padding:
            if ((small[0] >= first) & (small[0] <= last)).any():
                return None
    return small


def stored_values(dataset: Dataset, native: bool) -> tuple[npt.NDArray[Any], int, tuple[str, ...]]:
    """Grey values (rows, columns), their bits, and notes on what the header had wrong.

    Raises
    ------
    SkippedImage
        ``colour``.
    FailedImage
        ``undecodable_pixels`` or ``unsupported_transfer_syntax``.
    """
    bits = int(dataset.BitsStored)
    palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    if dataset.SamplesPerPixel != 1 or palette:
        return (*_grey_of_colour(dataset, native, palette), ())
    shift = dataset.HighBit + 1 - bits
    if native and shift:
        # Values may lie above unused low bits (PS3.5 8.1.1): all are decoded, then shifted.
        dataset.BitsStored = bits + shift
        values = decode_pixels(dataset, raw=True) >> shift
    else:
        values = decode_pixels(dataset, raw=True)
    if not native and str(dataset.file_meta.TransferSyntaxUID) != _RLE:
        return values, bits, ()
    better, notes = _mended(dataset, values, native)
    return better, 16 if "bits_as_found" in notes else bits, notes


def _mended(
    dataset: Dataset, values: npt.NDArray[Any], native: bool
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Values that fit each other, if another size, depth or byte order makes them do so."""
    if native:
        if (wider := _wider(dataset, values)) is not None:
            return wider, ("size_as_found",)
        if (deeper := _deeper(dataset, values)) is not None:
            return deeper, ("bits_as_found",)
    along, across = roughness(values)
    if across > 4 * along and values.shape[0] != values.shape[1]:
        turned = values.reshape(values.shape[::-1])
        if fits_better(turned, values):
            return turned, ("size_as_found",)
    if along > _ROUGH and native and values.dtype.itemsize == 2 and dataset.BitsAllocated == 16:
        raw = np.frombuffer(dataset.PixelData, "<u2", values.size).reshape(values.shape)
        swapped = raw.byteswap() if dataset.file_meta.TransferSyntaxUID.is_little_endian else raw
        if fits_better(swapped, values):
            mask = np.uint16(2 ** int(dataset.BitsStored) - 1)
            return (swapped & mask).astype(values.dtype), ("bytes_swapped",)
    return values, ()


def _wider(dataset: Dataset, values: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Values in rows that are longer than the header says, as the pixel data is."""
    (rows, columns), length = values.shape, len(dataset.PixelData)
    row, line = rows * values.itemsize, columns * values.itemsize
    found = length // row
    if not columns < found < 2 * columns or length % row > 1 or length % line <= 1:
        return None
    dataset.Columns = found
    wider = decode_pixels(dataset, raw=True)
    # With one pixel too many or too few, each row is shifted against the one above.
    if roughness(wider)[1] < roughness(values)[1]:
        return wider
    dataset.Columns = columns
    return None


def _deeper(dataset: Dataset, values: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Values of 16 bits whose header says fewer, so that they would pass their top and begin
    at 0 again."""
    bits = int(dataset.BitsStored)
    if dataset.BitsAllocated != 16 or bits >= 16 or dataset.PixelRepresentation:
        return None
    order = "<u2" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">u2"
    raw = np.frombuffer(dataset.PixelData, order, values.size).reshape(values.shape)
    above = raw[:: max(1, len(raw) // 24)] >= 1 << bits
    if np.mean(above) < _ABOVE:
        return None
    # Deliberate content of the unused bits, such as an overlay, leaves the values below it smooth.
    noise = roughness(values)[0] > _ROUGH and fits_better(raw, values)
    return raw.astype(np.uint16) if noise or is_smoother(raw, values) else None


def _grey_of_colour(dataset: Dataset, native: bool, palette: bool) -> tuple[npt.NDArray[Any], int]:
    colour, bits = decode_pixels(dataset, raw=palette), int(dataset.BitsStored)
    if palette:
        from pydicom.pixels.processing import apply_color_lut

        colour = apply_color_lut(colour, dataset)
        bits = 8 * colour.dtype.itemsize
    grey = grey_channel(colour)
    if grey is None and native:
        planes = colour.reshape(3, *colour.shape[:2])
        # Stored by planes where the header says by pixel, or YBR without chroma where it says RGB.
        if int(dataset.get("PlanarConfiguration") or 0) == 0:
            grey = grey_channel(np.moveaxis(planes, 0, 2))
        if grey is None and (np.abs(colour[:, :, 1:].astype(int) - _NEUTRAL) <= 1).all():
            grey = colour[:, :, 0]
    if grey is None:
        raise SkippedImage("colour", "a colour image; only grey images are indexed")
    return grey, bits
