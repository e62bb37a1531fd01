"""A model of no cost, so that a benchmark can measure all that is around the real one."""

from __future__ import annotations

import threading
import time

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL, Annotation, Word
from indexer.cascade.bundle import Bundle
from indexer.cascade.reading import Reading

__all__ = ["MODEL_SECONDS", "SleepingStandIn", "StandIn"]

#: What `SleepingStandIn` takes for an image.
MODEL_SECONDS = 0.1


class StandIn:
    """Readings drawn from a seed: of the bundle's form, but nothing to do with the pictures.

    Parameters
    ----------
    bundle
        Whose findings and dimensions the readings have.
    seed
        Of all draws.
    """

    def __init__(self, bundle: Bundle, seed: int = 0) -> None:
        self._bundle = bundle
        self._rng = np.random.default_rng(seed)
        self._findings = [name for name in bundle.findings if name != NORMAL]

    def read(self, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        """Readings in the order of the canvases, shape (n, size, size)."""
        return [self._reading() for _ in canvases]

    def _reading(self) -> Reading:
        chances = {
            name: round(float(chance), 4)
            for name, chance in zip(
                self._bundle.findings, self._rng.beta(1, 9, len(self._bundle.findings)), strict=True
            )
        }
        names = self._rng.choice(self._findings, self._rng.integers(1, 4), replace=False)
        annotations = tuple(
            Annotation("predicted", (Word(str(name), "disease", chances[str(name)]),))
            for name in names
        )
        vector = self._rng.normal(size=self._bundle.dimensions).astype(np.float32)
        return Reading(chances, annotations, "frontal", 0.9, vector / np.linalg.norm(vector))


class SleepingStandIn:
    """A model on a device of its own: it takes a fixed time for each image, and no processor."""

    def __init__(self) -> None:
        self._model = StandIn(Bundle.load())
        self._device = threading.Lock()

    def read(self, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        """Readings in the order of the canvases, shape (n, size, size)."""
        with self._device:
            time.sleep(MODEL_SECONDS * len(canvases))
        return self._model.read(canvases)
