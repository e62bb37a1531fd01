"""Films as DICOM files, in every encoding that the decoders read."""

from __future__ import annotations

import copy
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.errors import CxrdexError
from indexer.simulation.radiograph import FilmPixels

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["ENCODINGS", "PixelEncoding", "dicom_file"]


@dataclass(frozen=True, slots=True)
class PixelEncoding:
    """How pixels are stored: a transfer syntax by pydicom's keyword, and what goes with it."""

    syntax: str
    bits: int = 12
    inverted: bool = False
    signed: bool = False
    window: bool = True


ENCODINGS = (
    PixelEncoding("ExplicitVRLittleEndian", 12),
    PixelEncoding("JPEGLSLossless", 12, inverted=True),
    PixelEncoding("ImplicitVRLittleEndian", 16, signed=True),
    PixelEncoding("RLELossless", 10, inverted=True, window=False),
    PixelEncoding("JPEG2000Lossless", 12),
    PixelEncoding("JPEGBaseline8Bit", 8),
    PixelEncoding("JPEGLosslessSV1", 14, inverted=True),
    PixelEncoding("DeflatedExplicitVRLittleEndian", 12),
    PixelEncoding("ExplicitVRBigEndian", 15, inverted=True),
    PixelEncoding("JPEG2000", 12),
    PixelEncoding("ExplicitVRLittleEndian", 8, inverted=True, window=False),
    PixelEncoding("JPEGExtended12Bit", 12),
    PixelEncoding("ImplicitVRLittleEndian", 12, inverted=True),
    PixelEncoding("JPEGLSNearLossless", 12),
)
_LOSSY = frozenset({"JPEGBaseline8Bit", "JPEGExtended12Bit", "JPEG2000"})
# What pydicom's encoders need to know beyond the transfer syntax.
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG2000": {"j2k_cr": [8]},
    "JPEGLSNearLossless": {"jls_error": 2},
}


def dicom_file(
    film: FilmPixels, encoding: PixelEncoding, header: Mapping[str, object], meta: bool = True
) -> bytes:
    """A DICOM file of `film` (rows, columns), 0..1.

    Parameters
    ----------
    header
        Values by keyword; those that are None are left out.
    meta
        Whether the file has a preamble and a meta group; without them it is implicit little endian.
    """
    from pydicom import dcmwrite, uid
    from pydicom.dataset import Dataset, FileMetaDataset

    image = Dataset()
    for keyword, value in header.items():
        if value is not None:
            setattr(image, keyword, value)
    pixels = _stored_values(film, encoding, image)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = getattr(uid, encoding.syntax)
    _set_pixels(image, pixels, encoding)
    buffer = io.BytesIO()
    if meta:
        dcmwrite(buffer, image, enforce_file_format=True)
    else:
        del image.file_meta
        dcmwrite(buffer, image, implicit_vr=True, little_endian=True)
    return buffer.getvalue()


def _stored_values(
    film: FilmPixels, encoding: PixelEncoding, image: Dataset
) -> npt.NDArray[np.generic]:
    """Stored values of `film`, the tags that explain them set in `image`."""
    full = 2**encoding.bits - 1
    low, high = (0.06 * full, 0.9 * full) if encoding.window else (0.0, float(full))
    grey = 1 - film if encoding.inverted else film
    pixels = np.rint(low + grey * (high - low)).astype(np.int32)
    shift = 2 ** (encoding.bits - 1) if encoding.signed else 0
    slope, intercept = float(image.RescaleSlope), float(image.RescaleIntercept)
    if encoding.window:
        image.WindowCenter = f"{((low + high) / 2 - shift) * slope + intercept:.8g}"
        image.WindowWidth = f"{(high - low) * slope:.8g}"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME1" if encoding.inverted else "MONOCHROME2"
    image.BitsAllocated = 8 if encoding.bits <= 8 else 16
    image.BitsStored, image.HighBit = encoding.bits, encoding.bits - 1
    image.PixelRepresentation = int(encoding.signed)
    sign = "i" if encoding.signed else "u"
    return (pixels - shift).astype(f"{sign}{image.BitsAllocated // 8}")


def _set_pixels(image: Dataset, pixels: npt.NDArray[np.generic], encoding: PixelEncoding) -> None:
    from pydicom.encaps import encapsulate

    syntax = image.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        order: Literal["<", ">"] = "<" if syntax.is_little_endian else ">"
        raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        raw *= int(image.get("NumberOfFrames", 1))
        image.PixelData = raw + b"\0" * (len(raw) % 2)
        image["PixelData"].VR = "OB" if image.BitsAllocated == 8 else "OW"
        return
    if encoding.syntax == "JPEGBaseline8Bit":
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
        image.PixelData = encapsulate([buffer.getvalue()])
    elif encoding.syntax in ("JPEGLosslessSV1", "JPEGExtended12Bit"):
        image.PixelData = encapsulate([_gdcm_jpeg(image, pixels)])
    else:
        options = _OPTIONS.get(encoding.syntax, {})
        image.compress(syntax, pixels, generate_instance_uid=False, **options)
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    if encoding.syntax in _LOSSY:
        image.LossyImageCompression = "01"


def _gdcm_jpeg(image: Dataset, pixels: npt.NDArray[np.generic]) -> bytes:
    """A JPEG codestream of a kind that neither Pillow nor pydicom writes."""
    import gdcm
    from pydicom import dcmwrite
    from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1

    lossless = image.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    native = copy.deepcopy(image)
    native.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    native.PixelData = pixels.tobytes()
    native["PixelData"].VR = "OW"
    reader = gdcm.ImageReader()
    with tempfile.TemporaryDirectory() as folder:
        # gdcm's reader owns the image that it reads; one made here would be freed twice.
        path = str(Path(folder, "native.dcm"))
        dcmwrite(path, native, enforce_file_format=True)
        reader.SetFileName(path)
        readable = reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    kinds = gdcm.TransferSyntax
    kind = kinds.JPEGLosslessProcess14_1 if lossless else kinds.JPEGExtendedProcess2_4
    change.SetTransferSyntax(kinds(kind))
    picture = reader.GetImage()
    if not lossless:
        # gdcm writes Bits Allocated into the codestream, where only 8 and 12 are valid.
        bits = image.BitsStored
        picture.SetPixelFormat(gdcm.PixelFormat(1, bits, bits, bits - 1, 0))
    change.SetInput(picture)
    if not readable or not change.Change():
        raise CxrdexError("gdcm cannot write JPEG: install python-gdcm>=3.0.24 anew")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    stream = fragments.GetFragment(0).GetByteValue().GetBuffer()
    # gdcm's Python wrapper may give bytes as text.
    return stream if isinstance(stream, bytes) else bytes(stream, "utf-8", "surrogateescape")
