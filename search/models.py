"""What one process loads once and keeps: the bundle, its CNN, its text space, decoding workers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

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
    from indexer.cascade.text_space import TextSpace
    from indexer.cascade.trained_on import TrainedOn
    from indexer.pipeline.single import FileDecoder
    from search.request import ImageFile, Upload

__all__ = ["Models", "Once", "Recent"]

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
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

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
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made


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

    def decode(self, picture: Upload | ImageFile, manifest: Manifest, key: bytes) -> DecodedImage:
        """A query picture as the bundle of a database sees it; never decoded in this process.

        Parameters
        ----------
        key
            The secret of the pseudonymous ids; empty where it is not known.

        Raises
        ------
        ImageError
            As of `indexer.pipeline.single.FileDecoder.decode`.
        """
        from concurrent.futures import ThreadPoolExecutor

        from search.request import Upload

        decoder = self._decoder_of(manifest, key)
        with ThreadPoolExecutor(1) as beside:
            # The CNN is loaded while the worker starts. `look` says what may be wrong with it.
            beside.submit(self.predictor)
            if isinstance(picture, Upload):
                return decoder.decode(picture.content, picture.name)
            return decoder.decode(picture.path)

    def prepare_decoding(self, manifest: Manifest, key: bytes) -> None:
        """Start what `decode` needs without waiting for it: a process takes its time to begin."""
        self._decoder_of(manifest, key).warm()

    def read(self, picture: DecodedImage) -> Reading:
        """The reading of a decoded picture."""
        return self.predictor().read(picture.canvas[None])[0]

    def look(self, picture: DecodedImage) -> tuple[npt.NDArray[np.float32], str]:
        """Vector and view of a decoded picture, without a word on what it shows."""
        return self.predictor().look(picture.canvas)

    def _decoder_of(self, manifest: Manifest, key: bytes) -> FileDecoder:
        polarity = tuple(sorted((manifest.polarity or {}).items()))
        settings = (manifest.size, manifest.squash, manifest.borders, polarity, key)
        return self._decoder.get(settings, lambda: self._new_decoder(manifest, key))

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
