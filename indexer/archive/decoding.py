"""One file of an archive to one decoded image: the seam that the pipeline's workers call.

Whatever a file contains, `decode` ends in an image, a `SkippedImage` or a `FailedImage`; what they
say never quotes the header, so it may be logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.archive import deidentify, scaling, windowing
from indexer.archive.appearance import appearance_notes
from indexer.archive.content import refusal
from indexer.archive.deidentify import Identity, Metadata
from indexer.archive.limits import Limits
from indexer.archive.pictures import borders, raster
from indexer.archive.pictures.dicom.chest import is_capture
from indexer.archive.pictures.dicom.elements import quiet
from indexer.archive.pictures.dicom.header import inflated, is_dicom, split_at_pixels
from indexer.archive.pictures.dicom.reading import open_dicom, read_image
from indexer.archive.thumbnail import make_thumbnail
from indexer.archive.windowing import GreyImage
from indexer.errors import FailedImage, ImageError

__all__ = [
    "DecodeSettings",
    "DecodedImage",
    "ThumbnailChoice",
    "decode",
    "decode_deep",
    "find_study_uid",
]

ThumbnailChoice: TypeAlias = Literal["unmarked", "clean"]


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How images are prepared.

    Parameters
    ----------
    size
        Side of the canvas in pixels.
    squash
        Scale both sides to `size`; else keep the aspect ratio by padding with black.
    borders
        Cut even borders before scaling (see `indexer.archive.pictures.borders`); never off the
        thumbnail.
    key
        Secret for the pseudonymous ids, from `load_key`.
    thumbnail
        Longest side of the thumbnail in pixels; 0 for none.
    thumbnails
        Which images get one: ``"unmarked"`` for all but those that say that text is burned into
        them, and secondary captures that do not say there is none; ``"clean"`` only for those
        that say there is none.
    polarity
        By beginnings of manufacturers' names, whether small values are white (MONOCHROME1),
        whatever their headers say.
    reduce
        Decode JPEG and JPEG 2000 no larger than the canvas needs.
    limits
        What one file may cost.
    """

    size: int = 256
    squash: bool = True
    borders: bool = field(default=False, kw_only=True)
    key: bytes = field(default=b"", repr=False)
    thumbnail: int = 256
    thumbnails: ThumbnailChoice = "unmarked"
    polarity: Mapping[str, bool] = field(default_factory=dict)
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
    shape
        Rows and columns of what the canvas shows, before scaling.
    report_keys
        Pseudonyms under which a report may be filed, the most specific first.
    """

    canvas: npt.NDArray[np.uint8]
    image_id: str
    study: str
    patient: str
    metadata: Metadata
    thumbnail: bytes | None
    shape: tuple[int, int]
    report_keys: tuple[str, ...]


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
        if is_dicom(data):
            with quiet():
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
    raise refusal(data, name)


def decode_deep(data: bytes, settings: DecodeSettings) -> npt.NDArray[np.uint16]:
    """The film of a file with its depth, its longer side `settings.size`.

    A value v is the grey ``v / 64 - 255`` of the picture that `decode` makes: 255 is white there,
    and what is brighter or darker than it shows goes on to 510 and -255.

    Raises
    ------
    SkippedImage, FailedImage
        As of `decode`.
    """
    kind = raster.picture_format(data)
    try:
        if kind and data[128:132] != b"DICM":
            image = raster.read_picture(data, kind, settings.target, settings.limits)
        elif is_dicom(data):
            with quiet():
                file = open_dicom(data, settings.limits)
                image, _ = read_image(file, settings.target, settings.limits, settings.polarity)
        else:
            raise refusal(data, "")
        picture, grid = windowing.develop_deep(image), image.grid
        if settings.borders:
            picture, grid = borders.cut_deep_borders(picture, grid)
        rows, columns = (grid.rows, grid.columns) if grid else picture.shape
        film = scaling.resize_deep(picture, *scaling.fitted(rows, columns, settings.size), grid)
    except ImageError:
        raise
    except MemoryError:
        raise FailedImage(
            "too_large", "needs more memory than there is, or than a worker may take"
        ) from None
    except Exception as error:  # noqa: BLE001 - one file's trouble stays its own
        raise FailedImage("undecodable_pixels", f"damaged ({type(error).__name__})") from None
    return np.rint((np.clip(film, -255, 510) + 255) * 64).astype(np.uint16)


def find_study_uid(data: bytes, limits: Limits) -> str:
    """The Study Instance UID of a file; empty where it is no DICOM, or has none.

    Raises
    ------
    FailedImage
        Its header cannot be read.
    """
    if not is_dicom(data):
        return ""
    try:
        with quiet():
            header, _ = split_at_pixels(inflated(data, limits.file_bytes)[0])
            return deidentify.original_study_uid(header)
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001 - what it says may quote the header
        raise FailedImage("undecodable_pixels", f"damaged ({type(error).__name__})") from None


def _decode_dicom(data: bytes, name: str, settings: DecodeSettings) -> DecodedImage:
    file = open_dicom(data, settings.limits)
    image, transfer_syntax = read_image(file, settings.target, settings.limits, settings.polarity)
    header = file.header
    rows, columns = image.shape
    metadata = replace(
        deidentify.dicom_metadata(header, rows, columns, transfer_syntax, image.mirrored),
        burned_in=deidentify.burned_in(header, is_capture(header), settings.thumbnails == "clean"),
    )
    image_id = deidentify.image_id(settings.key, windowing.pixel_digest(image))
    identity = deidentify.dicom_identity(settings.key, header, name, image_id)
    return _finish(image, image_id, identity, metadata, settings)


def _decode_picture(data: bytes, kind: str, name: str, settings: DecodeSettings) -> DecodedImage:
    image = raster.read_picture(data, kind, settings.target, settings.limits)
    rows, columns = image.shape
    metadata = Metadata(
        rows=rows,
        columns=columns,
        format=kind,
        mirrored=image.mirrored,
        burned_in=settings.thumbnails == "clean",
    )
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
    picture, notes = windowing.develop(image)
    grid = image.grid
    thumbnail = None
    if settings.thumbnail and not metadata.burned_in:
        thumbnail = make_thumbnail(picture, settings.thumbnail, grid)
    if settings.borders:
        picture, grid = borders.cut_borders(picture, grid)
    canvas = scaling.to_canvas(picture, settings.size, settings.squash, grid)
    metadata = replace(metadata, notes=(*notes, *appearance_notes(picture, canvas)))
    return DecodedImage(
        canvas=canvas,
        image_id=image_id,
        study=identity.study,
        patient=identity.patient,
        metadata=metadata,
        thumbnail=thumbnail,
        shape=(grid.rows, grid.columns) if grid else (picture.shape[0], picture.shape[1]),
        report_keys=identity.report_keys,
    )
