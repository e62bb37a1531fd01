"""DICOM files: which of them are chest radiographs, and their pixels as one upright grey image.

References are to the DICOM standard, PS3.3 (objects) and PS3.5 (encoding).
"""

from __future__ import annotations

import logging
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.archive.decoders import decode_pixels, prepare_pydicom
from indexer.archive.decoders.jpeg import frame_header
from indexer.archive.decoders.reduced import (
    ENCODED,
    codestream_digest,
    reduced_pixels,
    stated_size,
)
from indexer.archive.limits import Limits
from indexer.archive.windowing import CORNERS, GreyImage, Grid, Tone, Values, check_size, grey_of
from indexer.errors import FailedImage, SkippedImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "check_inflated",
    "is_dicom",
    "quiet",
    "read_header",
    "read_image",
    "require_chest",
    "upright",
]

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_RADIOGRAPHS = frozenset(_STORAGE + end for end in ("1", "1.1", "1.1.1"))
_RAW_DX = _STORAGE + "1.1.1"
_CAPTURES = frozenset(_STORAGE + end for end in ("7", "7.1", "7.2", "7.3", "7.4"))

# Defined terms of Modality, C.7.3.1.1.1: nothing else that stands there is quoted.
_MODALITY = re.compile(
    r"AR|AU|BI|BMD|CFM|CR|CT|DG|DMS|DX|ECG|EEG|EMG|EOG|EPS|ES|FID|GM|HC|HD|IO|IOL|IVOCT|IVUS|KER|KO"
    r"|LEN|LS|M3D|MG|MR|NM|OAM|OCT|OP|OPM|OPT|OPTBSV|OPTENF|OPV|OSS|OT|PA|PLAN|POS|PR|PT|PX|REG"
    r"|RESP|RF|RG|RT(?:DOSE|IMAGE|INTENT|PLAN|RAD|RECORD|SEGANN|STRUCT)|RWV|SEG|SM|SMR|SR|SRF|STAIN"
    r"|TEXTUREMAP|TG|US|VA|XA|XAPROTOCOL|XC"
)
_CHEST = re.compile(
    r"CHEST|TH?[OÓ]RA[XC]|LUNG|PULMO|\bRIBS?\b|HEART|CARDIAC|MEDIASTIN|POUMON", re.IGNORECASE
)
_ELSEWHERE = re.compile(
    r"(?:SPINE|SPINAL|VERTEBRA|CERVICAL|LUMB[AO]|SACRUM|COCCYX|ABDOM|KUB\b|PELVI[SC]|SKULL|\bHEAD\b"
    r"|SINUS|FACIAL|MANDIB|\bJAW\b|DENTAL|\bNECK\b|SHOULDER|SCAPULA|CLAVIC|HUMERUS|ELBOW|FOREARM"
    r"|WRIST|\bHANDS?\b|FINGER|THUMB|EXTREMIT|\bARM\b|\bLEGS?\b|\bHIPS?\b|FEMUR|THIGH|KNEE|PATELLA"
    r"|TIBIA|FIBULA|ANKLE|\bFOOT\b|\bFEET\b|\bHEEL\b|CALCAN|\bTOES?\b|BREAST|MAMMO)"
    # Usual endings, for the message; other letters that follow may be part of a name.
    r"(?:S|AE|AL|AR|EN|EUS|GRAM|GRAPHY|INAL|ITIES|LE|OSACRAL|SACRAL|R|ULAR|Y)?"
    # Test patterns and phantoms show nobody.
    r"|SMPTE|PHANTOM|CALIBRATION|\bQC\b|\bTEST\b",
    re.IGNORECASE,
)
# Bones of the back that carry the chest in their name.
_SPINE = re.compile(r"SPIN|VERTEBR|LUMB", re.IGNORECASE)
_UNSAID = frozenset({"", "UNKNOWN", "UNSPECIFIED", "UNDEFINED", "NONE", "OTHER", "NA", "N/A", "*"})
_DESCRIPTIONS = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "AcquisitionDeviceProcessingDescription",
)
_DEFLATED = b"1.2.840.10008.1.2.1.99"
# Bytes that the meta group fits in, and that are inflated at once.
_META, _CHUNK = 2048, 2**20
_JPEG = "1.2.840.10008.1.2.4."
# Start of frame marker of a JPEG codestream -> transfer syntax.
_FRAMES = {0xC0: _JPEG + "50", 0xC1: _JPEG + "51", 0xC3: _JPEG + "57", 0xF7: _JPEG + "81"}


def is_dicom(data: bytes) -> bool:
    """Whether a file's content is DICOM: by its prefix, or by a first element that looks right."""
    if data[128:132] == b"DICM":
        return True
    # Without preamble a data set starts with its meta group or, that missing too, with group 8.
    if len(data) < 16 or data[:2] not in (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08"):
        return False
    try:
        header = read_header(data)
    except FailedImage:
        return False
    return "SOPClassUID" in header or ("Modality" in header and "Rows" in header)


def check_inflated(data: bytes, most: int) -> None:
    """Refuse a deflated data set that unpacks to more than `most` bytes.

    Raises
    ------
    FailedImage
        ``too_large``.
    """
    if data[128:132] != b"DICM" or _DEFLATED not in data[132:_META]:
        return
    # The length of the meta group (0002,0000) stands at its beginning.
    packed = memoryview(data)[144 + int.from_bytes(data[140:144], "little") :]
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with suppress(zlib.error):
        while packed and not inflater.eof:
            size += len(inflater.decompress(packed, _CHUNK))
            packed = memoryview(inflater.unconsumed_tail)
            if size > most:
                raise FailedImage(
                    "too_large", f"a deflated data set of more than {most >> 20} MiB, the limit"
                )


def read_header(data: bytes) -> Dataset:
    """The header of a DICOM file, read up to its pixels.

    Raises
    ------
    FailedImage
        ``not_dicom``: it cannot be parsed; ``truncated``: the file ends inside it.
    """
    prepare_pydicom()
    from pydicom import dcmread

    with quiet() as cut_short:
        try:
            header = dcmread(BytesIO(data), stop_before_pixels=True, force=True)
        except Exception as error:  # noqa: BLE001 - damaged headers raise anything
            raise _unreadable(error) from None
        if cut_short() or _ends_inside(header):
            raise FailedImage("truncated", "the file ends inside its DICOM header")
    return header


def _ends_inside(header: Dataset) -> bool:
    """Whether the last element has fewer bytes than it announces; pydicom takes what there is."""
    if not header:
        return False
    last = header.get_item(max(header.keys()))
    length, value = getattr(last, "length", None), getattr(last, "value", None)
    return isinstance(value, bytes) and length not in (None, 0xFFFFFFFF) and len(value) < length


def require_chest(header: Dataset) -> None:
    """Let pass what, by its header, is one frame of a chest radiograph meant for viewing.

    Computed and digital radiographs and secondary captures (modality SC or OT with a Secondary
    Capture class) pass, the modality being taken from the SOP class where it is missing. The body
    part is Body Part Examined, else Anatomic Region, else what a description names; an image that
    names none passes.

    Raises
    ------
    SkippedImage
        ``no_pixels``, ``other_modality``, ``raw_for_processing``, ``multi_frame`` or
        ``other_body_part``.
    FailedImage
        ``truncated``: a radiograph without its size.
    """
    if "Rows" not in header or "Columns" not in header:
        if _text(header, "SOPClassUID") in _RADIOGRAPHS:
            raise FailedImage("truncated", "the header of a radiograph that ends before its size")
        raise SkippedImage("no_pixels", "a DICOM object without an image")
    with quiet():
        _require_radiograph(header)
        body_part = _body_part(header)
    if body_part is not None and not _is_chest(body_part):
        known = _ELSEWHERE.search(body_part)
        named = known[0].lower() if known else "another body part"
        raise SkippedImage("other_body_part", f"shows {named}; only chest radiographs are indexed")


def _require_radiograph(header: Dataset) -> None:
    modality = _text(header, "Modality").upper()
    sop_class = _text(header, "SOPClassUID")
    capture = sop_class in _CAPTURES and modality in ("", "OT", "SC")
    radiograph = modality in ("CR", "DX") or (not modality and sop_class in _RADIOGRAPHS)
    if not capture and not radiograph and modality != "SC":
        said = modality if _MODALITY.fullmatch(modality) else "unknown"
        raise SkippedImage(
            "other_modality", f"modality {said}; CR, DX and secondary captures are indexed"
        )
    if sop_class == _RAW_DX or _text(header, "PresentationIntentType").upper() == "FOR PROCESSING":
        raise SkippedImage(
            "raw_for_processing", "raw detector data; its FOR PRESENTATION image is indexed"
        )
    frames = _number(header, "NumberOfFrames") or 1
    if frames > 1:
        raise SkippedImage("multi_frame", f"{frames:.0f} frames; only single images are indexed")


def _body_part(header: Dataset) -> str | None:
    part = _text(header, "BodyPartExamined")
    if part.upper() not in _UNSAID:
        return part
    regions = header.get("AnatomicRegionSequence") or ()
    for region in regions:
        meaning = _text(region, "CodeMeaning")
        if meaning:
            return meaning
    for keyword in _DESCRIPTIONS:
        description = _text(header, keyword)
        if _CHEST.search(description) or _ELSEWHERE.search(description):
            return description
    return None


def _is_chest(name: str) -> bool:
    plain = name.replace("_", " ")
    return bool(_CHEST.search(plain)) and not _SPINE.search(plain)


def read_image(
    data: bytes, header: Dataset, target: int = 0, limits: Limits | None = None
) -> tuple[GreyImage, str]:
    """The pixels of an image whose `header` was accepted, and its transfer syntax's name.

    Parameters
    ----------
    target
        Side in pixels that the image will be scaled to: JPEG and JPEG 2000 are decoded to a half, a
        quarter ... of their size as far as that does; 0 for all pixels.
    limits
        What the image may cost.

    Raises
    ------
    SkippedImage
        ``no_pixels`` or ``colour``.
    FailedImage
        ``truncated``, ``undecodable_pixels``, ``too_large`` or ``unsupported_transfer_syntax``.
    """
    from pydicom import dcmread

    rows, columns = int(header.Rows), int(header.Columns)
    most = (limits or Limits()).pixels
    check_size(rows, columns, most)
    with quiet() as cut_short:
        try:
            dataset = dcmread(BytesIO(data), force=True)
        except Exception as error:  # noqa: BLE001 - as in read_header
            raise _unreadable(error) from None
        if "PixelData" not in dataset:
            if cut_short():
                raise FailedImage("truncated", "the file ends inside its pixel data")
            raise SkippedImage("no_pixels", "an image header without pixel data")
        _complete(dataset)
        native = not dataset["PixelData"].is_undefined_length
        _require_whole(dataset, native, cut_short())
        padding = _padding(dataset)
        stream = None if native else _codestream(dataset)
        grid = None
        if stream is not None and (stated := stated_size(stream)):
            # A codestream may be larger than the header says.
            check_size(*stated, most)
        small = _smaller(dataset, stream, target, padding)
        if small is None:
            pixels, bits = _stored_values(dataset, native)
        else:
            (pixels, grid), bits = small, dataset.BitsStored
        photometric = str(dataset.PhotometricInterpretation)
        inverted = photometric == "MONOCHROME1" or (
            # DX images say it twice, C.8.11.3.1.2; both together still mean one inversion.
            _text(dataset, "PresentationLUTShape").upper() == "INVERSE"
        )
        grey = photometric.startswith("MONOCHROME")
        turn = partial(
            upright,
            orientation=_orientation(dataset),
            flipped=_text(dataset, "FieldOfViewHorizontalFlip").upper() == "YES",
        )
        pixels, mirrored = turn(pixels)
        corners, encoded = turn(CORNERS)[0].tobytes(), None
        if stream is not None and dataset.file_meta.TransferSyntaxUID in ENCODED:
            encoded = codestream_digest(stream) + corners
        image = GreyImage(
            pixels=np.ascontiguousarray(pixels),
            bits=bits,
            inverted=inverted,
            tone=_tone(dataset) if grey else None,
            padding=padding if grey else None,
            mirrored=mirrored,
            grid=grid and grid.turned(corners),
            encoded=encoded,
        )
        return image, dataset.file_meta.TransferSyntaxUID.name


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
    # Animals have letters of their own (C.7.6.1.1.1); theirs are left as stored.
    quadruped = _text(dataset, "AnatomicalOrientationType").upper() == "QUADRUPED"
    letters = [part.strip().upper()[:1] for part in _texts(dataset, "PatientOrientation")]
    if len(letters) != 2 or not all(letter and letter in "LRAPHF" for letter in letters):
        return None
    return ("", "") if quadruped else (letters[0], letters[1])


def _complete(dataset: Dataset) -> None:
    """Fill in what a decoder needs and a sloppy writer left out."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = UID(_guess_transfer_syntax(dataset))
    samples = int(_number(dataset, "SamplesPerPixel") or 1)
    dataset.SamplesPerPixel = samples
    if not _text(dataset, "PhotometricInterpretation"):
        dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    allocated = int(_number(dataset, "BitsAllocated") or 8)
    dataset.BitsAllocated = allocated
    stored = int(_number(dataset, "BitsStored") or allocated)
    dataset.BitsStored = stored if 1 <= stored <= allocated else allocated
    high = _number(dataset, "HighBit")
    valid = high is not None and dataset.BitsStored - 1 <= high < allocated
    dataset.HighBit = int(high) if high is not None and valid else dataset.BitsStored - 1
    dataset.PixelRepresentation = 1 if _number(dataset, "PixelRepresentation") == 1 else 0
    if samples > 1 and _number(dataset, "PlanarConfiguration") is None:
        dataset.PlanarConfiguration = 0
    if "NumberOfFrames" in dataset:
        del dataset.NumberOfFrames


def _guess_transfer_syntax(dataset: Dataset) -> str:
    if dataset["PixelData"].is_undefined_length:
        return _guess_codec(dataset.PixelData)
    implicit, little = dataset.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _guess_codec(encapsulated: bytes) -> str:
    # The codestream starts after the offset table's item and its own item header.
    start = 16 + int.from_bytes(encapsulated[4:8], "little")
    stream = encapsulated[start : start + 65536]
    if stream[:4] == b"\xff\x4f\xff\x51":
        return _JPEG + "91"
    if stream[:2] != b"\xff\xd8":
        return "1.2.840.10008.1.2.5"
    return _FRAMES.get(frame_header(stream).marker, _JPEG + "50")


def _require_whole(dataset: Dataset, native: bool, cut_short: bool) -> None:
    values = int(dataset.Rows) * int(dataset.Columns) * dataset.SamplesPerPixel
    # Subsampled colour (C.7.6.3.1.2) has two values per pixel.
    if str(dataset.PhotometricInterpretation) == "YBR_FULL_422":
        values = values * 2 // 3
    wanted = (values * dataset.BitsAllocated + 7) // 8
    got = len(dataset.PixelData)
    if cut_short or (native and got < wanted) or got == 0:
        raise FailedImage(
            "truncated", f"the pixel data ends after {got} bytes" + f" of {wanted}" * native
        )


def _stored_values(dataset: Dataset, native: bool) -> tuple[npt.NDArray[Any], int]:
    """Grey values (rows, columns) and their bits."""
    bits = dataset.BitsStored
    if dataset.SamplesPerPixel == 1 and dataset.PhotometricInterpretation != "PALETTE COLOR":
        shift = dataset.HighBit + 1 - bits
        if native and shift:
            # Values that sit above unused low bits (PS3.5 8.1.1): decode them in, shift them out.
            dataset.BitsStored = bits + shift
            return _decode(dataset, raw=True) >> shift, bits
        return _decode(dataset, raw=True), bits
    palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    colour = _decode(dataset, raw=palette)
    if palette:
        from pydicom.pixels.processing import apply_color_lut

        colour = apply_color_lut(colour, dataset)
        bits = 8 * colour.dtype.itemsize
    grey = grey_of(colour)
    if grey is None:
        raise SkippedImage("colour", "a colour image; only grey images are indexed")
    return grey, bits


def _codestream(dataset: Dataset) -> bytes | None:
    """The encoded frame; None where its fragments are damaged, which its decoder will say."""
    from pydicom.encaps import get_frame

    try:
        return get_frame(dataset.PixelData, 0, number_of_frames=1)
    except Exception:  # noqa: BLE001 - pydicom raises anything on damaged items
        return None


def _smaller(
    dataset: Dataset, stream: bytes | None, target: int, padding: tuple[int, int] | None
) -> tuple[npt.NDArray[Any], Grid] | None:
    """Stored values of a grey image, decoded to a smaller one; None where that cannot be."""
    grey = str(dataset.PhotometricInterpretation).startswith("MONOCHROME")
    if stream is None or not target or not grey or dataset.SamplesPerPixel != 1:
        return None
    small = reduced_pixels(dataset, stream, target)
    if small is not None and padding is not None:
        # Averaged with its neighbours, padding would be mistaken for the darkest part of the film.
        first, last = padding
        if ((small[0] >= first) & (small[0] <= last)).any():
            return None
    return small


def _decode(dataset: Dataset, raw: bool) -> npt.NDArray[Any]:
    try:
        return decode_pixels(dataset, raw)
    except FailedImage as failure:
        if failure.reason == "undecodable_pixels" and _lacks_end(dataset):
            raise FailedImage("truncated", "the compressed pixel data has no end marker") from None
        raise


def _lacks_end(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    # JPEG, JPEG-LS and JPEG 2000 all end with FF D9, then at most padding and item delimiters.
    return syntax.startswith(_JPEG) and b"\xff\xd9" not in dataset.PixelData[-64:]


def _tone(dataset: Dataset) -> Tone | None:
    """Stored value -> modality LUT or rescale (C.11.1) -> VOI LUT or window (C.11.2)."""
    modality, voi = _table(dataset, "ModalityLUTSequence"), _table(dataset, "VOILUTSequence")
    slope = _number(dataset, "RescaleSlope") or 1.0
    intercept = _number(dataset, "RescaleIntercept") or 0.0
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    function = _text(dataset, "VOILUTFunction").upper() or "LINEAR"
    usable = center is not None and width is not None and width >= (function == "LINEAR")

    def tone(ramp: npt.NDArray[Any]) -> Values:
        values = ramp.astype(np.float64)
        values = _look_up(modality, values) if modality else values * slope + intercept
        if voi:
            return _look_up(voi, values)
        if usable and center is not None and width:
            return _window(values, center, width, function)
        return values

    return tone


def _window(values: Values, center: float, width: float, function: str) -> Values:
    """Grey level 0..1 by the functions of C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1.0, 1e-6)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _table(dataset: Dataset, keyword: str) -> tuple[int, Values] | None:
    """First stored value and entries of a LUT; None where absent or malformed."""
    items = dataset.get(keyword)
    if not items:
        return None
    descriptor = items[0].get("LUTDescriptor")
    data = items[0].get("LUTData")
    if descriptor is None or len(descriptor) != 3 or not data:
        return None
    # 0 stands for 65,536 entries; a signed reading of the descriptor may show it as negative.
    entries = int(descriptor[0]) % 65536 or 65536
    if isinstance(data, bytes):
        # pydicom leaves words in the byte order of the file; short entries may be packed.
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        packed = len(data) < 2 * entries
        data = np.frombuffer(data[: len(data) // 2 * 2], "u1" if packed else f"{order}u2")
    table = np.atleast_1d(np.asarray(data, dtype=np.float64))[:entries]
    first = int(descriptor[1])
    if dataset.PixelRepresentation == 1 and first > 32767:
        first -= 65536
    return first, table


def _look_up(lut: tuple[int, Values], values: Values) -> Values:
    first, table = lut
    return table[np.clip(np.rint(values - first), 0, table.size - 1).astype(np.intp)]


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    """Stored values that mark pixels outside the image (C.7.5.1.1.2)."""
    first = _number(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = _number(dataset, "PixelPaddingRangeLimit")
    ends = [int(value) for value in (first, first if last is None else last)]
    if dataset.PixelRepresentation == 1:
        wrap = 1 << dataset.BitsAllocated
        ends = [value - wrap if value >= wrap // 2 else value for value in ends]
    return min(ends), max(ends)


def _texts(dataset: Dataset, keyword: str) -> list[str]:
    try:
        value = dataset.get(keyword)
    except (ValueError, TypeError, NotImplementedError, OverflowError):
        return []
    if value is None:
        return []
    if isinstance(value, (str, bytes, int, float)):
        parts = str(value).split("\\")
    else:
        parts = [str(part) for part in value]
    return [part.strip("\0 \t\r\n") for part in parts]


def _text(dataset: Dataset, keyword: str) -> str:
    return next(iter(_texts(dataset, keyword)), "")


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number; None where absent or malformed."""
    try:
        number = float(_text(dataset, keyword))
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _unreadable(error: Exception) -> FailedImage:
    kind = type(error).__name__
    if isinstance(error, MemoryError):
        return FailedImage("too_large", "its DICOM elements need more memory than there is")
    if isinstance(error, EOFError | zlib.error):
        return FailedImage("truncated", f"the DICOM file ends early ({kind})")
    return FailedImage("not_dicom", f"it starts like DICOM, but cannot be parsed ({kind})")


class _CutShort:
    """Whether pydicom has warned, since the start, that the file ended inside an element."""

    def __init__(self, caught: list[warnings.WarningMessage]) -> None:
        self._caught = caught

    def __call__(self) -> bool:
        return any("end of file" in str(w.message).lower() for w in self._caught)


@contextmanager
def quiet() -> Iterator[_CutShort]:
    """Keep pydicom's remarks on odd headers to ourselves: they quote values, so may name people."""
    logger = logging.getLogger("pydicom")
    propagates, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield _CutShort(caught)
    finally:
        logger.propagate = propagates
    for warning in caught:
        if "pydicom" not in warning.filename:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
