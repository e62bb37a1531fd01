"""One picture read by a bundle, without any database."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.cascade.compute import Compute

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from indexer.annotation import Annotation

__all__ = ["FileReading", "read"]


@dataclass(frozen=True, slots=True)
class FileReading:
    """What a bundle says of one picture.

    Parameters
    ----------
    probabilities
        Of each finding, 0..1.
    annotations
        Findings over their thresholds in words, likeliest first; one ``normal`` where there is
        none.
    view, view_confidence
        ``"frontal"`` or ``"lateral"``, and its probability.
    embedding
        Shape (dimensions,), float32: what `Database.similar` compares.
    metadata
        The values of the header that are kept (docs/privacy.md).
    """

    probabilities: dict[str, float]
    annotations: tuple[Annotation, ...]
    view: str
    view_confidence: float
    embedding: npt.NDArray[np.float32]
    metadata: dict[str, Any]


def read(source: str | Path | bytes, *, compute: Compute = Compute()) -> FileReading:
    """Read one DICOM or picture file.

    >>> reading = cxrdex.read(film)
    >>> reading.view
    'frontal'
    >>> max(reading.probabilities, key=reading.probabilities.get)
    'opacity'
    >>> reading.embedding.shape, reading.metadata["format"]
    ((256,), 'DICOM')

    The model is loaded at the first call and kept. The file is decoded in a process of its own,
    so a script must call this under ``if __name__ == "__main__":``.

    Parameters
    ----------
    source
        Its path, or its content.
    compute
        The bundle that reads it, and what computes that.

    Raises
    ------
    SkippedImage
        It is no chest radiograph; `reason` and `detail` say why.
    FailedImage
        It cannot be read; so do they.
    BundleError
        The bundle, the runtime or the device cannot be used.
    """
    return _file_predictor(compute).read(Path(source) if isinstance(source, str) else source)


@lru_cache(maxsize=4)
def _file_predictor(compute: Compute) -> _FilePredictor:
    return _FilePredictor(compute)


class _FilePredictor:
    """A loaded bundle and the process that decodes for it."""

    def __init__(self, compute: Compute) -> None:
        from indexer.archive.decoding import DecodeSettings
        from indexer.cascade.reading import Predictor
        from indexer.pipeline.single import FileDecoder

        bundle = compute.load_bundle()
        settings = DecodeSettings(bundle.size, bundle.squash, borders=bundle.borders, thumbnail=0)
        self._decoder = FileDecoder(settings)
        # The worker starts while the model loads.
        self._decoder.warm()
        self._predictor = Predictor(bundle, compute, batch_size=1)

    def read(self, source: Path | bytes) -> FileReading:
        decoded = self._decoder.decode(source)
        (reading,) = self._predictor.read(decoded.canvas[None])
        return FileReading(
            reading.probabilities,
            reading.annotations,
            reading.view,
            reading.view_confidence,
            reading.embedding,
            decoded.metadata.to_json(),
        )
