"""The pictures of a part, without those that cannot be judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.archive.decoding import DecodeSettings, decode
from indexer.datasets.dataset import Example, Needs, Part, load_part
from indexer.errors import FailedImage, SkippedImage, TrainingError

__all__ = ["Pictures", "load_pictures"]


@dataclass(frozen=True, slots=True)
class Pictures:
    """n annotated images.

    Parameters
    ----------
    examples
        The images.
    canvases
        Shape (n, size, size), uint8.
    left_out
        How many of the part are not among them, by reason.
    """

    examples: list[Example]
    canvases: npt.NDArray[np.uint8]
    left_out: dict[str, int]


def load_pictures(
    folder: Path,
    part: Part,
    settings: DecodeSettings,
    warn: Callable[[str], None],
    *,
    needs: Needs = "annotations",
    limit: int | None = None,
    leave_out: Callable[[Example], str | None] = lambda _: None,
) -> Pictures:
    """Decode a part's pictures; a broken one is left out.

    Parameters
    ----------
    folder, part, needs
        See `indexer.datasets.dataset.load_part`.
    warn
        Told of each broken picture, by image id.
    limit
        Take only the first so many annotated images.
    leave_out
        Why an image is left out; None for one that is judged.

    Raises
    ------
    TrainingError
        The data set is unusable, or no picture is left.
    """
    found = load_part(folder, part, needs)
    left_out = Counter(found.left_out)
    left_out["over the limit"] = len(found.examples[limit:]) if limit else 0
    wanted = found.examples[:limit]
    examples: list[Example] = []
    canvases = np.empty((len(wanted), settings.size, settings.size), np.uint8)
    for example in wanted:
        if (reason := leave_out(example)) is not None:
            left_out[reason] += 1
            continue
        try:
            content = example.path.read_bytes()
            canvases[len(examples)] = decode(content, example.path.name, settings).canvas
        except (OSError, SkippedImage, FailedImage) as error:
            left_out["broken picture"] += 1
            warn(f"{example.image_id} is left out: {_reason(error)}")
        else:
            examples.append(example)
    reasons = dict(+left_out)
    if not examples:
        raise TrainingError(
            f"no image of the part {str(part)!r} can be judged: "
            + ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        )
    return Pictures(examples, canvases[: len(examples)], reasons)


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
