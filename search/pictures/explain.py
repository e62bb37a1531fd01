"""Where the CNN saw a finding, drawn over the film."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.cascade.heatmap import HeatMap, HeatMaps
from indexer.errors import ArchiveError, ArchiveUnavailable, ImageError, NotFoundError

if TYPE_CHECKING:
    from indexer.archive.decoding import DecodedImage, DecodeSettings
    from indexer.database.reader import Record

__all__ = ["Explanation", "explain", "source_bytes"]

# Sides in pixels of the film that a map is drawn on.
_FILM = 768


@dataclass(frozen=True, slots=True)
class Explanation:
    """A heat map and the film that it belongs to.

    Parameters
    ----------
    film
        Shape (height, width), uint8.
    heat
        Where the finding is.
    """

    film: npt.NDArray[np.uint8]
    heat: HeatMap

    def png(self, opacity: float = 0.5) -> bytes:
        """A PNG file of the film with the map over it.

        Parameters
        ----------
        opacity
            0 shows the film alone, 1 the map at its strongest.
        """
        from PIL import Image

        film = Image.fromarray(self.film).convert("RGBA")
        layer = self.heat.drawn(*self.film.shape)
        layer[..., 3] = np.round(layer[..., 3] * opacity)
        film.alpha_composite(Image.fromarray(layer, mode="RGBA"))
        file = io.BytesIO()
        film.convert("RGB").save(file, "PNG")
        return file.getvalue()


def explain(
    source: Path | bytes, name: str, maps: HeatMaps, finding: str, settings: DecodeSettings
) -> Explanation:
    """Where a bundle sees a finding in an image file.

    Parameters
    ----------
    source, name
        Path of the file, or its bytes and what to call it in errors.
    maps
        Of the bundle that is asked.
    finding
        One that the bundle knows.
    settings
        How the bundle wants its pictures.

    Raises
    ------
    ArchiveError
        The file cannot be read, or is no chest radiograph.
    NotFoundError
        The bundle knows no such finding.
    BundleError
        The bundle's networks cannot tell where they look.
    """
    from indexer.pipeline.single import FileDecoder

    def decoded(wanted: DecodeSettings) -> DecodedImage:
        with FileDecoder(wanted) as decoder:
            return decoder.decode(source, name)

    try:
        seen = decoded(replace(settings, thumbnail=0))
        shown = decoded(replace(settings, thumbnail=0, size=_FILM))
    except ImageError as error:
        raise ArchiveError(f"{name}: {error.detail} ({error.reason})") from error
    heat = maps.of(seen.canvas, finding)
    film = shown.canvas
    if settings.squash:
        film = _unsquashed(film, *seen.shape)
    return Explanation(film, heat)


def source_bytes(record: Record, most: int) -> tuple[bytes, str]:
    """The content and name of a file of an indexed image, from the archive that it was read from.

    Raises
    ------
    NotFoundError
        None of its files can be read any more.
    """
    from indexer.archive.sources.members import read_named

    for file in record.files:
        try:
            return read_named(file.archive, file.name, most), file.name
        except (ImageError, ArchiveUnavailable):
            continue
    raise NotFoundError(
        f"no file of the image {record.id} can be read any more: the archive has moved, or the "
        "files are gone; name the file itself"
    )


def _unsquashed(film: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    from PIL import Image

    longest = max(rows, columns)
    size = (max(1, _FILM * columns // longest), max(1, _FILM * rows // longest))
    resized: npt.NDArray[np.uint8] = np.asarray(Image.fromarray(film).resize(size))
    return resized
