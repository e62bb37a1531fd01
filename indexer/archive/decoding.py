"""One file of an archive to one decoded image: the seam that the pipeline's workers call.

Whatever a file contains, `decode` ends in an image, a `SkippedImage` or a `FailedImage`; what they
say never quotes the header, so it may be logged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.archive import deidentify, windowing
from indexer.archive.deidentify import Identity, Metadata
from indexer.archive.limits import Limits
from indexer.archive.pictures import dicom, raster
from indexer.archive.windowing import GreyImage
from indexer.errors import FailedImage, ImageError, SkippedImage

if TYPE_CHECKING:
    from indexer.archive.sources.members import Member

__all__ = ["DecodeSettings", "DecodedImage", "decode", "decode_member"]

_DICOM_NAME = re.compile(r"\.(dcm|dicom|dic)$", re.IGNORECASE)
_PICTURE_NAME = re.compile(r"\.(png|jpe?g|tiff?|webp|bmp|jp2|j2k)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How images are prepared.

    Parameters
    ----------
    size
        Side of the canvas in pixels.
    squash
        Scale both sides to `size`; else keep the aspect ratio by padding with black.
    key
        Secret for the pseudonymous ids, from `load_key`.
    thumbnail
        Longest side of the thumbnail in pixels; 0 for none.
    reduce
        Decode JPEG and JPEG 2000 no larger than the canvas needs.
    limits
        What one file may cost.
    """

    size: int = 256
    squash: bool = True
    key: bytes = field(default=b"", repr=False)
    thumbnail: int = 256
    reduce: bool = True
    limits: Limits = field(default_factory=Limits)

    @property
    def target(self) -> int:
        """Side in pixels that images are scaled to; 0 where they are to be decoded in full."""
        return max(self.size, self.thumbnail) if self.reduce else 0


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """What is kept of one file.

    Parameters
    ----------
    canvas
        (size, size), bone white, the patient's right on the left.
    image_id
        16 hex digits; equal for files of identical pixels.
    study, patient
        12 hex digits each.
    metadata
        The allow-listed part of the header.
    thumbnail
        WebP file; None where none is wanted, or text is burned into the image.
    report_keys
        Pseudonyms under which a report may be filed, the most specific first.
    """

    canvas: npt.NDArray[np.uint8]
    image_id: str
    study: str
    patient: str
    metadata: Metadata
    thumbnail: bytes | None
    report_keys: tuple[str, ...]


def decode_member(member: Member, settings: DecodeSettings) -> DecodedImage:
    """Read and decode one file of an archive.

    Raises
    ------
    SkippedImage, FailedImage
        As `decode`; ``unreadable_file`` where the archive does not give the file.
    """
    from indexer.archive.sources.members import read_member

    return decode(read_member(member, settings.limits.file_bytes), member.name, settings)


def decode(data: bytes, name: str, settings: DecodeSettings) -> DecodedImage:
    """Decode a file by what it contains; its name only matters where the content is unknown.

    Parameters
    ----------
    data
        The file's content.
    name
        Its name inside the archive.
    settings
        How to prepare it.

    Raises
    ------
    SkippedImage
        The file is no chest radiograph to index, with the reason.
    FailedImage
        The file should be one, but cannot be decoded, with the reason.
    """
    try:
        kind = raster.picture_format(data)
        if kind and data[128:132] != b"DICM":
            return _decode_picture(data, kind, name, settings)
        dicom.check_inflated(data, settings.limits.file_bytes)
        if dicom.is_dicom(data):
            with dicom.quiet():
                return _decode_dicom(data, name, settings)
    except ImageError:
        raise
    except MemoryError:
        raise FailedImage(
            "too_large", "needs more memory than there is, or than a worker may take"
        ) from None
    except Exception as error:  # noqa: BLE001 - one file's trouble stays its own
        raise FailedImage(
            "undecodable_pixels", f"damaged in an unforeseen way ({type(error).__name__})"
        ) from None
    raise _no_image(data, name)


def _no_image(data: bytes, name: str) -> ImageError:
    called = _DICOM_NAME.search(name) or _PICTURE_NAME.search(name)
    if called is None:
        return SkippedImage("not_an_image", "neither DICOM nor a known picture format")
    suffix = called[0].lower()
    if not data:
        return FailedImage("truncated", f"an empty file called {suffix}")
    if _DICOM_NAME.search(name):
        return FailedImage("not_dicom", f"called {suffix}, but its content is not DICOM")
    return FailedImage("undecodable_pixels", f"called {suffix}, but its content is no picture")


def _decode_dicom(data: bytes, name: str, settings: DecodeSettings) -> DecodedImage:
    header = dicom.read_header(data)
    dicom.require_chest(header)
    image, transfer_syntax = dicom.read_image(data, header, settings.target, settings.limits)
    rows, columns = image.shape
    metadata = deidentify.dicom_metadata(header, rows, columns, transfer_syntax, image.mirrored)
    image_id = deidentify.image_id(settings.key, windowing.pixel_digest(image))
    identity = deidentify.dicom_identity(settings.key, header, name, image_id)
    return _finish(image, image_id, identity, metadata, settings)


def _decode_picture(data: bytes, kind: str, name: str, settings: DecodeSettings) -> DecodedImage:
    image = raster.read_picture(data, kind, settings.target, settings.limits)
    rows, columns = image.shape
    metadata = Metadata(rows=rows, columns=columns, format=kind, mirrored=image.mirrored)
    image_id = deidentify.image_id(settings.key, windowing.pixel_digest(image))
    identity = deidentify.picture_identity(settings.key, name, image_id)
    return _finish(image, image_id, identity, metadata, settings)


def _finish(
    image: GreyImage,
    image_id: str,
    identity: Identity,
    metadata: Metadata,
    settings: DecodeSettings,
) -> DecodedImage:
    picture = windowing.render(image)
    thumbnail = None
    if settings.thumbnail and not metadata.burned_in:
        thumbnail = windowing.thumbnail(picture, settings.thumbnail, image.grid)
    return DecodedImage(
        canvas=windowing.to_canvas(picture, settings.size, settings.squash, image.grid),
        image_id=image_id,
        study=identity.study,
        patient=identity.patient,
        metadata=metadata,
        thumbnail=thumbnail,
        report_keys=identity.report_keys,
    )
