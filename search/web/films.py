"""Films of the database in full: read again from the archive, in a limited worker."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from indexer.archive.decoding import DecodedImage, DecodeSettings
from indexer.cascade.heatmap import HeatMap, HeatMaps
from indexer.errors import ArchiveError, ImageError, NotFoundError
from search.pictures.explain import source_bytes
from search.request import ImageId, Upload

if TYPE_CHECKING:
    from indexer.pipeline.single import FileDecoder
    from search.service import SearchService

__all__ = ["Films"]

# Decoded films and canvases that are kept, a megabyte or two each.
_KEPT = 32


class Films:
    """Pictures and heat maps of indexed images; threads may share it.

    Parameters
    ----------
    service
        Of the database.
    """

    def __init__(self, service: SearchService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._decoders: dict[tuple[int, bool], FileDecoder] = {}
        self._kept: OrderedDict[tuple[str, int, bool], DecodedImage] = OrderedDict()
        self._maps: HeatMaps | None = None

    def close(self) -> None:
        """End the decoding workers."""
        with self._lock:
            for decoder in self._decoders.values():
                decoder.close()
            self._decoders = {}

    def png(self, image_id: str, size: int) -> bytes:
        """The film as a grey PNG file, its longer side `size` pixels.

        Borders that the CNN does not see are not shown either, so that heat maps fit.

        Raises
        ------
        NotFoundError
            There is no such image, it may not be shown, or its file is gone.
        ArchiveError
            Its file cannot be read any more.
        """
        with self._service.snapshot() as snapshot:
            if not snapshot.database.ledger.images.has_picture(image_id):
                raise NotFoundError(f"no picture of the image {image_id} may be shown")
        return _png(self._decoded(image_id, size, False), size)

    def uploaded(self, upload: Upload, size: int) -> bytes:
        """As `png`, of a film that somebody sent, who may see it as it is.

        Raises
        ------
        ArchiveError
            It cannot be read.
        """
        try:
            return _png(self._decoder(size, False).decode(upload.content, upload.name), size)
        except ImageError as error:
            raise ArchiveError(f"{upload.name}: {error.detail} ({error.reason})") from error

    def heat(self, image_id: str, finding: str) -> HeatMap:
        """Where the CNN saw a finding in an image.

        Raises
        ------
        NotFoundError, ArchiveError
            As of `png`; or the bundle knows no such finding.
        BundleError, DatabaseMismatch
            The bundle cannot tell, or is not the one the database was made with.
        """
        bundle = self._service.bundle()
        with self._lock:
            if self._maps is None:
                self._maps = HeatMaps(bundle)
            maps = self._maps
        canvas = self._decoded(image_id, bundle.size, bundle.squash).canvas
        return maps.of(canvas, finding)

    def overlay(self, image_id: str, finding: str, size: int) -> bytes:
        """A heat map as a PNG file to lay over the film, as wide and high as `png` gives it."""
        from PIL import Image

        height, width = _fitted(self._decoded(image_id, size, False), size)
        drawn = self.heat(image_id, finding).drawn(height, width)
        file = io.BytesIO()
        Image.fromarray(drawn, mode="RGBA").save(file, "PNG", compress_level=1)
        return file.getvalue()

    def _decoded(self, image_id: str, size: int, squash: bool) -> DecodedImage:
        key = image_id, size, squash
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        decoder = self._decoder(size, squash)
        record = self._service.show(ImageId(image_id)).record
        content, name = source_bytes(record, decoder.settings.limits.file_bytes)
        try:
            decoded = decoder.decode(content, name)
        except ImageError as error:
            raise ArchiveError(f"image {image_id}: {error.detail} ({error.reason})") from error
        with self._lock:
            self._kept[key] = decoded
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return decoded

    def _decoder(self, size: int, squash: bool) -> FileDecoder:
        from indexer.pipeline.single import FileDecoder

        with self._lock:
            if (size, squash) not in self._decoders:
                with self._service.snapshot() as snapshot:
                    manifest = snapshot.manifest
                settings = DecodeSettings(
                    size=size,
                    squash=squash,
                    thumbnail=0,
                    borders=manifest.borders,
                    polarity=manifest.polarity or {},
                )
                self._decoders[size, squash] = FileDecoder(settings)
            return self._decoders[size, squash]


def _png(film: DecodedImage, size: int) -> bytes:
    from PIL import Image

    height, width = _fitted(film, size)
    # The canvas is square, padded around the film.
    left, top = (size - width) // 2, (size - height) // 2
    picture = Image.fromarray(film.canvas).crop((left, top, left + width, top + height))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _fitted(film: DecodedImage, size: int) -> tuple[int, int]:
    """Height and width of a film whose longer side is `size`."""
    rows, columns = film.shape
    scale = size / max(rows, columns)
    return max(1, round(rows * scale)), max(1, round(columns * scale))
