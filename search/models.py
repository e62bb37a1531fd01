"""What one process loads once and keeps: the bundle, its CNN, its text space, decoding workers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from indexer.annotation import word_kind
from indexer.cascade.compute import Compute
from indexer.database.layout import Manifest
from indexer.errors import BundleError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from indexer.archive.decoding import DecodedImage
    from indexer.archive.limits import Limits
    from indexer.cascade.bundle import Bundle
    from indexer.cascade.reading import Predictor, Reading
    from indexer.cascade.runtimes.encoder_runtime import Encoded
    from indexer.cascade.text_space import TextSpace
    from indexer.cascade.trained_on import TrainedOn
    from indexer.pipeline.single import FileDecoder
    from search.request import ImageFile, Upload

__all__ = ["Film", "Models", "Once", "Recent"]

T = TypeVar("T")


class Once(Generic[T]):
    """The newest thing made for a key; threads that ask at once wait for the one that makes it.

    Parameters
    ----------
    drop
        Told of the thing of the key before.
    """

    def __init__(self, drop: Callable[[T], None] | None = None) -> None:
        self._drop = drop
        self._lock = threading.Lock()
        self._made: tuple[Hashable, T] | None = None

    def get(
        self, key: Hashable, make: Callable[[], T], good: Callable[[T], bool] = lambda _: True
    ) -> T:
        """What was made for `key` and is still good, or is made now."""
        with self._lock:
            if self._made is None or self._made[0] != key or not good(self._made[1]):
                made = make()
                self._forget()
                self._made = key, made
            return self._made[1]

    @property
    def is_made(self) -> bool:
        """Whether there is a thing, of whatever key."""
        return self._made is not None

    def clear(self) -> None:
        """Forget what was made."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        before, self._made = self._made, None
        if before is not None and self._drop is not None:
            self._drop(before[1])


class Recent:
    """What was made for some keys, the last used ones; threads may share it.

    Parameters
    ----------
    most
        How many are kept, or how much by their sizes.
    size
        Of a thing that was made; one that is larger than `most` is not kept.
    """

    def __init__(self, most: int, size: Callable[[Any], int] = lambda _: 1) -> None:
        self._most, self._size = most, size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._held = 0

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gave for this key, or gives now; two threads may both make it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(T, self._kept[key])
        made = make()
        if self._size(made) > self._most:
            return made
        with self._lock:
            if key not in self._kept:
                self._held += self._size(made)
                self._kept[key] = made
            while self._held > self._most:
                self._held -= self._size(self._kept.popitem(last=False)[1])
        return made


class Film:
    """A query picture, decoded, at which the CNN looks once; threads may share it.

    Parameters
    ----------
    decoded
        What is kept of its file.
    predictor
        Gives the CNN.
    """

    def __init__(self, decoded: DecodedImage, predictor: Callable[[], Predictor]) -> None:
        self.decoded = decoded
        self._predictor = predictor
        self._encoded: Once[Encoded] = Once()

    def look(self) -> tuple[npt.NDArray[np.float32], str]:
        """Its vector and view, without a word on what it shows."""
        return self._predictor().vector_and_view(self._encode())

    def read(self) -> Reading:
        """Its reading."""
        return self._predictor().judge(self._encode(), self.decoded.canvas[None])[0]

    def _encode(self) -> Encoded:
        canvas = self.decoded.canvas[None]
        return self._encoded.get(None, lambda: self._predictor().encode(canvas))


class Models:
    """Models of one process, loaded when they are first needed; threads may share them.

    Parameters
    ----------
    compute
        The bundle, and where and in what it computes.
    limits
        What one query picture may cost; None for the defaults.
    decoders
        Query pictures that may be decoded at once, each in a process of its own.
    """

    def __init__(
        self, compute: Compute = Compute(), limits: Limits | None = None, decoders: int = 1
    ) -> None:
        self.compute = compute
        self._limits = limits
        self._decoders = decoders
        self._bundle: Once[Bundle] = Once()
        self._predictor: Once[Predictor] = Once()
        self._text_space: Once[TextSpace] = Once()
        self._description: Once[Mapping[str, Any]] = Once()
        self._sayable: Once[dict[str, list[str]]] = Once()
        self._trained_on: Once[TrainedOn | None] = Once()
        self._decoder: Once[FileDecoder] = Once(lambda decoder: decoder.close())
        self._films: WeakKeyDictionary[Upload, tuple[Hashable, Film]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the decoding workers."""
        self._decoder.clear()

    def bundle(self) -> Bundle:
        """The bundle.

        Raises
        ------
        BundleError
            There is none, or it is damaged.
        """
        return self._bundle.get(None, self.compute.load_bundle)

    def predictor(self) -> Predictor:
        """The bundle's CNN, which reads one picture at a time.

        Raises
        ------
        BundleError, MissingExtraError
            As of `indexer.cascade.reading.Predictor`.
        """
        from indexer.cascade.reading import Predictor

        return self._predictor.get(
            None, lambda: Predictor(self.bundle(), self.compute, batch_size=1)
        )

    def text_space(self) -> TextSpace:
        """Where the bundle places pictures among sentences.

        Raises
        ------
        BundleError
            It was trained without sentences.
        """
        from indexer.cascade.text_space import TextSpace

        return self._text_space.get(None, lambda: TextSpace.of(self.bundle()))

    def sayable(self, manifest: Manifest) -> dict[str, list[str]]:
        """What the bundle of a database can say, by field; empty where that is not known."""
        return self._sayable.get(manifest.bundle, lambda: self._labels(manifest.bundle))

    def trained_on(self, manifest: Manifest) -> TrainedOn | None:
        """What the bundle of a database was trained on; None where that is not known."""
        return self._trained_on.get(manifest.bundle, lambda: self._training_images(manifest.bundle))

    def film(self, picture: Upload | ImageFile, manifest: Manifest, key: bytes) -> Film:
        """A query picture as the bundle of a database sees it; never decoded in this process.

        An upload is decoded and looked at once, for as long as it is kept.

        Parameters
        ----------
        key
            The secret of the pseudonymous ids; empty where it is not known.

        Raises
        ------
        ImageError
            As of `indexer.pipeline.single.FileDecoder.decode`.
        """
        from search.request import Upload

        settings = _settings(manifest, key)
        decoder = self._file_decoder(manifest, key)
        if not isinstance(picture, Upload):
            return Film(self._decoded(decoder, picture.path), self.predictor)
        with self._lock:
            known = self._films.get(picture)
        if known is not None and known[0] == settings:
            return known[1]
        film = Film(self._decoded(decoder, picture.content, picture.name), self.predictor)
        with self._lock:
            self._films[picture] = settings, film
        return film

    def prepare_decoding(self, manifest: Manifest, key: bytes) -> None:
        """Start what `film` needs without waiting for it: a process takes its time to begin."""
        self._file_decoder(manifest, key).warm()

    def _decoded(self, decoder: FileDecoder, source: Path | bytes, name: str = "") -> DecodedImage:
        if self._predictor.is_made:
            return decoder.decode(source, name)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as background:
            # The CNN is loaded while the worker starts. `Film` says what may be wrong with it.
            background.submit(self.predictor)
            return decoder.decode(source, name)

    def _file_decoder(self, manifest: Manifest, key: bytes) -> FileDecoder:
        return self._decoder.get(_settings(manifest, key), lambda: self._new_decoder(manifest, key))

    def _new_decoder(self, manifest: Manifest, key: bytes) -> FileDecoder:
        from indexer.archive.decoding import DecodeSettings
        from indexer.archive.limits import Limits
        from indexer.pipeline.single import FileDecoder

        limits = self._limits or Limits()
        settings = DecodeSettings(
            manifest.size,
            manifest.squash,
            key,
            borders=manifest.borders,
            polarity=manifest.polarity or {},
            limits=limits,
        )
        if settings.size >= settings.thumbnail:
            # Nobody sees it; a smaller canvas would be made of a picture decoded at another size.
            settings = replace(settings, thumbnail=0)
        return FileDecoder(settings, workers=self._decoders)

    def _described(self, wanted: str) -> Mapping[str, Any]:
        """The description of the bundle with a hash; empty where there is none. Its weights are
        not read, which would take longer than a search for words."""
        from indexer.cascade.bundle import Bundle

        place = self.compute.bundle
        try:
            found = self._description.get(
                None, lambda: Bundle.description_at(None if place is None else Path(place))
            )
        except BundleError:
            # Words can be searched without any bundle; then it is not known what it could say.
            return {}
        return found if found["hash"] == wanted else {}

    def _training_images(self, wanted: str) -> TrainedOn | None:
        from indexer.cascade.trained_on import TrainedOn

        images = self._described(wanted).get("record", {}).get("trained_on")
        return TrainedOn(images) if images else None

    def _labels(self, wanted: str) -> dict[str, list[str]]:
        described = self._described(wanted)
        if not described:
            return {}
        values: dict[str, list[str]] = {"disease": list(described["findings"])}
        for word in described["vocabulary"]:
            if (kind := word_kind(word)) != "other":
                values.setdefault(kind, []).append(word)
        return values


def _settings(manifest: Manifest, key: bytes) -> Hashable:
    """What decides how a query picture is decoded."""
    polarity = tuple(sorted((manifest.polarity or {}).items()))
    return manifest.size, manifest.squash, manifest.borders, polarity, key
