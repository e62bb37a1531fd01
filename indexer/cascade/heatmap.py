"""Heat maps: where in a picture the CNN saw a finding, and how surely."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.cascade.bundle import Bundle
from indexer.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HeatMap", "HeatMaps"]

# Logits up to the first are transparent, from the second on they have the full colour.
_FAINT, _FULL = -2.0, 4.0


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One finding's share of every cell of a picture.

    Parameters
    ----------
    finding
        Its name.
    probability
        The picture's own, 0..1: the cells' mean logit as a probability. Where a study's images
        are pooled, the database shows another one beside it.
    cells
        Shape (rows, columns), float32: logits. A cell is as large as the network's last feature
        map is coarse: with the shipped bundle 1/8 of the picture each way, and what it knows
        reaches beyond its own square.
    """

    finding: str
    probability: float
    cells: npt.NDArray[np.float32]

    @property
    def heat(self) -> npt.NDArray[np.float32]:
        """The cells as 0..1 on one scale for all pictures and findings."""
        heat: npt.NDArray[np.float32] = np.clip((self.cells - _FAINT) / (_FULL - _FAINT), 0, 1)
        return heat

    def drawn(self, height: int, width: int) -> npt.NDArray[np.uint8]:
        """The map as a picture to lay over the film.

        Parameters
        ----------
        height, width
            Size of the film in pixels.

        Returns
        -------
        numpy.ndarray
            Shape (height, width, 4), uint8: yellow to red, transparent where there is nothing.
        """
        from PIL import Image

        coarse = Image.fromarray(self.heat, mode="F")
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        heat = np.clip(smooth, 0, 1)
        green, opacity = 220 * (1 - heat), 255 * np.sqrt(heat)
        layers = [np.full_like(heat, 255), green, np.zeros_like(heat), opacity]
        return np.stack(layers, 2).round().astype(np.uint8)


class HeatMaps:
    """Heat maps of a bundle; the network is loaded when first asked for, once for all threads.

    Parameters
    ----------
    bundle
        Whose findings are located.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._lock = threading.Lock()
        self._locate: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]] | None = None

    def of(self, canvas: npt.NDArray[np.uint8], finding: str) -> HeatMap:
        """Where a finding is in a picture.

        Parameters
        ----------
        canvas
            Shape (size, size), uint8, as the bundle reads it.
        finding
            One of `Bundle.findings`.

        Raises
        ------
        NotFoundError
            The bundle knows no such finding.
        BundleError
            Its networks cannot tell where they look.
        """
        findings = self.bundle.findings
        if finding not in findings:
            raise NotFoundError(
                f'the bundle {self.bundle.name} ({self.bundle.hash}) knows no finding "{finding}"; '
                f"it knows {', '.join(sorted(findings))}"
            )
        cells = self._loaded()(canvas)[findings.index(finding)]
        return HeatMap(finding, float(1 / (1 + np.exp(-cells.mean()))), cells)

    def _loaded(self) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
        with self._lock:
            if self._locate is None:
                from indexer.cascade.runtimes import load_localiser

                self._locate = load_localiser(self.bundle)
            return self._locate
