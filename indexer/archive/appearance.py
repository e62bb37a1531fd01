"""What a finished picture looks like, whatever its header said: notes for whoever looks at it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from indexer.archive.plausibility import roughness
from indexer.archive.windowing import GreyArray

__all__ = ["appearance_notes", "bone_is_white"]

# By benchmarks/appearance.py no film of three sources is as rough as the first two, nor as black
# and white as the third.
_NOISE, _STRIPES, _SATURATED = 0.15, 0.12, 0.9
# How much rougher stripes are across rows than along them.
_MAX_ROUGHNESS = 3.0
# Below this score black and white look exchanged; by the same benchmark one film in a thousand
# does.
_INVERTED = -1.0
# Where a chest film is brighter (above 0) or darker than its mean, in parts of its contrast: mostly
# the spine against the air at its sides. Fitted by the same benchmark, in hundredths.
_POLARITY_WEIGHTS = (
    (-25, -29, -23, 11, 23, -2, -27, -33),
    (-4, -7, -15, 18, 18, -1, -2, -3),
    (-1, 9, -15, -3, 4, -15, 6, 12),
    (-4, 10, -19, -1, 4, -25, -4, 8),
    (-3, 8, -10, 18, 13, -8, -5, -2),
    (-3, 3, -3, 27, 21, -2, -6, -12),
    (-19, 2, 19, 35, 25, 4, -9, -18),
    (-13, 0, 17, 33, 32, 18, -3, -22),
)


def appearance_notes(picture: GreyArray, canvas: npt.NDArray[np.uint8]) -> tuple[str, ...]:
    """Notes (`indexer.archive.notes`) on a picture that no film looks like.

    Parameters
    ----------
    picture
        (rows, columns), grey levels 0..255.
    canvas
        The same, scaled to a square.
    """
    along, across = roughness(picture)
    notes = []
    if min(along, across) > _NOISE:
        notes.append("looks_like_noise")
    elif across > _STRIPES and across > _MAX_ROUGHNESS * along:
        notes.append("looks_striped")
    # Adding 2 wraps around: 254, 255, 0 and 1 become the four smallest values.
    if np.count_nonzero(canvas + np.uint8(2) < 4) > _SATURATED * canvas.size:
        notes.append("looks_saturated")
    if not notes and bone_is_white(canvas) < _INVERTED:
        notes.append("looks_inverted")
    return tuple(notes)


def bone_is_white(canvas: npt.NDArray[np.uint8]) -> float:
    """How surely a chest film is shown with white bones: above 0 it is, below 0 it is inverted.

    Parameters
    ----------
    canvas
        (size, size); fewer than 8 pixels tell nothing.
    """
    weights = np.array(_POLARITY_WEIGHTS) / 100
    step = len(canvas) // len(weights)
    if not step:
        return 0.0
    side = step * len(weights)
    # Whole rows first: several times as fast as blocks.
    rows = canvas[:side, :side].reshape(len(weights), step, side).sum(1, dtype=np.uint32)
    sums = rows.reshape(len(weights), len(weights), step).sum(2)
    means = (sums / step**2).astype(np.float32)
    contrast = float(means.std())
    return float((weights * (means - means.mean())).sum() / contrast) if contrast else 0.0
