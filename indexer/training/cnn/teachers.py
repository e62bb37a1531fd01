"""Bundles that tell what nobody says of a picture: soft targets, the mean of CNNs and views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from PIL import Image

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import keep_array
from indexer.errors import TrainingError
from indexer.training.sources import LabelName

__all__ = ["VIEWS", "Teachers", "views"]

_FloatArray = npt.NDArray[np.float32]
_ByteArray = npt.NDArray[np.uint8]

# Each further view is a square of this share of the side. It lies in the middle or in a corner;
# places are shares of the remaining width and height.
_SIDE = 0.92
_PLACES = ((0.5, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
#: How many views of a picture there are.
VIEWS = 1 + len(_PLACES)


def views(canvases: _ByteArray, number: int) -> _ByteArray:
    """Pictures as they are, or shifted and enlarged a little; never mirrored.

    Parameters
    ----------
    canvases
        Shape (n, size, size).
    number
        Which of the `VIEWS` views; the first is the picture itself.
    """
    if not number:
        return canvases
    size = canvases.shape[1]
    left, top = ((1 - _SIDE) * size * place for place in _PLACES[number - 1])
    box = (left, top, left + _SIDE * size, top + _SIDE * size)
    bilinear = Image.Resampling.BILINEAR
    seen = [Image.fromarray(c).resize((size, size), bilinear, box) for c in canvases]
    return np.stack([np.asarray(picture) for picture in seen])


@dataclass(frozen=True, slots=True)
class Teachers:
    """Trained bundles, whose mean teaches.

    Parameters
    ----------
    bundles
        Of any networks and labels.
    views
        From so many views of each picture (see `views`).
    device
        Where they read pictures.
    """

    bundles: Sequence[Bundle] = ()
    views: int = 1
    device: str = "auto"

    def check(self, size: int) -> None:
        """Refuse a bundle that reads pictures of another side than `size`.

        Raises
        ------
        TrainingError
            It names the bundle.
        """
        for bundle in self.bundles:
            if bundle.size != size:
                raise TrainingError(
                    f"the teacher {bundle.path} reads pictures of {bundle.size} pixels, the recipe "
                    f"of {size}"
                )

    def chances(
        self, canvases: _ByteArray, names: Sequence[LabelName], work: Path
    ) -> tuple[_FloatArray, npt.NDArray[np.bool_]]:
        """What they say of pictures of shape (n, size, size), read once and kept under `work`.

        Returns
        -------
        chances, scored
            Shape (n, labels): the mean of those that score a label. And (labels,): which labels
            any of them scores.
        """
        total = np.zeros((len(canvases), len(names)), np.float32)
        count = np.zeros(len(names), np.float32)
        for bundle in self.bundles:
            own: list[LabelName] = [*bundle.labels.findings, *bundle.labels.pairs]
            column = {name: index for index, name in enumerate(own)}
            known = [n for n, name in enumerate(names) if name in column]
            taken = [column[names[n]] for n in known]
            logits = self._logits(bundle, canvases, work)
            total[:, known] += np.mean(
                [1 / (1 + np.exp(-outputs[:, taken])) for outputs in logits], 0
            )
            count[known] += 1
        return total / count.clip(1), count > 0

    def _logits(self, bundle: Bundle, canvases: _ByteArray, work: Path) -> list[_FloatArray]:
        """What one of them says of each view."""
        digest = blake3(bundle.hash.encode())
        digest.update(np.ascontiguousarray(canvases).data)
        name = f"teacher-{digest.hexdigest(length=8)}"
        paths = [work / (f"{name}-{n}.npy" if n else f"{name}.npy") for n in range(self.views)]
        predictor = None
        for number, path in enumerate(paths):
            if path.exists():
                continue
            predictor = predictor or Predictor(bundle, Compute(device=self.device))
            size = predictor.batch_size
            parts = [
                predictor.encode(views(np.asarray(canvases[s : s + size]), number)).logits
                for s in range(0, len(canvases), size)
            ]
            keep_array(path, np.concatenate(parts))
        return [np.load(path) for path in paths]
