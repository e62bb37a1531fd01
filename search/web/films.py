"""Films of the database in full: read again from the archive, in a limited worker."""

from __future__ import annotations

import io
import re
import threading
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from indexer.archive.decoding import DecodedImage, DecodeSettings
from indexer.archive.deidentify import pseudonym
from indexer.archive.limits import Limits
from indexer.archive.scaling import fitted
from indexer.cascade.heatmap import HeatMap, HeatMaps
from indexer.errors import ArchiveError, ImageError, NotFoundError
from indexer.pipeline.single import DeepFilms, StudyUids
from search.pictures.explain import source_bytes
from search.pictures.query import id_key
from search.request import ImageId, Upload

if TYPE_CHECKING:
    from indexer.pipeline.single import FileDecoder
    from search.service import SearchService

__all__ = ["WINDOWS", "DeepSize", "Films", "Overlay", "Values", "Window"]

# This many decoded films and canvases of one or two megabytes are kept.
_KEPT = 32
_UID = re.compile(r"[0-9.]{1,64}")
# Each has a process of its own, and anyone may ask for any size.
_DECODERS = 6


class Window(NamedTuple):
    """Which greys of a film, 0..255, are spread from black to white; the start shows all.

    Parameters
    ----------
    width, level
        How many, and the one in their middle.
    """

    width: int = 256
    level: int = 128


_ALL = Window()
#: Windows by what is seen in them.
WINDOWS = {
    "full": _ALL,
    "lungs": Window(150, 80),
    "mediastinum": Window(140, 170),
    "bones": Window(110, 200),
}


class Overlay(NamedTuple):
    """A heat map to lay over a film.

    Parameters
    ----------
    png
        The file, transparent where there is nothing.
    probability
        Of the film alone, which a study's pooled one may differ from.
    """

    png: bytes
    probability: float


#: Longer sides that a film with its depth may have.
DeepSize: TypeAlias = Literal["1024", "2048"]


class Values(NamedTuple):
    """A film with its depth.

    Parameters
    ----------
    rows, columns
        Its size.
    packed
        Differences from one pixel to the next, 16 bits little-endian, as zlib packs them. A value v
        is the grey ``v / 64 - 255`` of the picture: 0 is black in it and 255 white.
    """

    rows: int
    columns: int
    packed: bytes


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
        self._decoders: OrderedDict[tuple[int, bool], FileDecoder] = OrderedDict()
        self._kept: OrderedDict[tuple[str, int, bool], DecodedImage] = OrderedDict()
        self._maps: HeatMaps | None = None
        self._uids: StudyUids | None = None
        self._deep: dict[str, DeepFilms] = {}

    def close(self) -> None:
        """End the decoding workers."""
        with self._lock:
            for decoder in self._decoders.values():
                decoder.close()
            self._decoders.clear()
            if self._uids is not None:
                self._uids.close()
            for deep in self._deep.values():
                deep.close()
            self._deep.clear()

    def study_uid(self, image_id: str) -> str:
        """The original Study Instance UID of an image, read from its file and kept nowhere.

        Raises
        ------
        NotFoundError
            There is no such image, its file is gone, has no such UID, or is of another study now.
        ArchiveError
            Its file cannot be read any more.
        """
        with self._lock:
            if self._uids is None:
                self._uids = StudyUids(Limits())
            uids = self._uids
        record = self._service.show(ImageId(image_id)).record
        content, name = source_bytes(record, Limits().file_bytes)
        try:
            uid = uids.ask(content, name)
        except ImageError as error:
            raise ArchiveError(f"image {image_id}: {error.detail} ({error.reason})") from error
        with self._service.snapshot() as snapshot:
            key = id_key("the file", snapshot, needed=False)
        other = key and pseudonym(key, "study", uid) != record.document["study"]
        if not _UID.fullmatch(uid) or other:
            raise NotFoundError(f"the file of the image {image_id} names no study that it is of")
        return uid

    def png(self, image_id: str, size: int, window: Window = _ALL) -> bytes:
        """The film as a grey PNG file, its longer side `size` pixels, in a window.

        Borders that the CNN does not see are not shown either, so that heat maps fit.

        Raises
        ------
        NotFoundError
            There is no such image, it may not be shown, or its file is gone.
        ArchiveError
            Its file cannot be read any more.
        """
        self._may_be_shown(image_id)
        return _png(self._decoded(image_id, size, False), size, window)

    def values(self, image_id: str, size: DeepSize) -> Values:
        """The film with its depth, as large as `png` gives it.

        Raises
        ------
        NotFoundError, ArchiveError
            As of `png`.
        """
        self._may_be_shown(image_id)
        with self._lock:
            if size not in self._deep:
                self._deep[size] = DeepFilms(self._settings(int(size), False))
            deep = self._deep[size]
        record = self._service.show(ImageId(image_id)).record
        content, name = source_bytes(record, Limits().file_bytes)
        try:
            film = deep.ask(content, name)
        except ImageError as error:
            raise ArchiveError(f"image {image_id}: {error.detail} ({error.reason})") from error
        # Neighbours differ little, so that differences are packed to less.
        steps = film.astype("<u2").ravel()
        steps[1:] = steps[1:] - steps[:-1]
        rows, columns = film.shape
        return Values(rows, columns, zlib.compress(steps.tobytes(), 1))

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

    def overlay(self, image_id: str, finding: str, size: int) -> Overlay:
        """A heat map as wide and high as `png` gives the film."""
        from PIL import Image

        height, width = _fitted(self._decoded(image_id, size, False), size)
        heat = self.heat(image_id, finding)
        file = io.BytesIO()
        drawn = Image.fromarray(heat.drawn(height, width), mode="RGBA")
        drawn.save(file, "PNG", compress_level=1)
        return Overlay(file.getvalue(), heat.probability)

    def _may_be_shown(self, image_id: str) -> None:
        with self._service.snapshot() as snapshot:
            if not snapshot.database.ledger.images.has_picture(image_id):
                raise NotFoundError(f"no picture of the image {image_id} may be shown")

    def _settings(self, size: int, squash: bool) -> DecodeSettings:
        with self._service.snapshot() as snapshot:
            manifest = snapshot.manifest
        return DecodeSettings(
            size=size,
            squash=squash,
            thumbnail=0,
            borders=manifest.borders,
            polarity=manifest.polarity or {},
        )

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
                self._decoders[size, squash] = FileDecoder(self._settings(size, squash))
                if len(self._decoders) > _DECODERS:
                    # A request that this one is working for still gets its film.
                    self._decoders.popitem(last=False)[1].close()
            self._decoders.move_to_end((size, squash))
            return self._decoders[size, squash]


def _png(film: DecodedImage, size: int, window: Window = _ALL) -> bytes:
    import numpy as np
    from PIL import Image

    height, width = _fitted(film, size)
    # The canvas is square, padded around the film.
    left, top = (size - width) // 2, (size - height) // 2
    picture = Image.fromarray(film.canvas).crop((left, top, left + width, top + height))
    if window != _ALL:
        # The same line as in the pages' viewer.
        greys = (np.arange(256) - window.level + window.width / 2) / window.width * 255
        picture = picture.point(np.clip(greys, 0, 255).round().astype(int).tolist())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _fitted(film: DecodedImage, size: int) -> tuple[int, int]:
    """Height and width of a film whose longer side is `size`."""
    return fitted(*film.shape, size)
