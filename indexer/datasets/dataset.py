"""The parts of a data set, and its decoded pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from indexer.archive.decoding import DecodeSettings, decode
from indexer.datasets.example import Example, Part
from indexer.datasets.images import Dataset, Described
from indexer.errors import FailedImage, SkippedImage, TrainingError

__all__ = [
    "Example",
    "Needs",
    "Part",
    "PartImages",
    "keep_array",
    "load_canvases",
    "load_examples",
    "load_part",
]

Needs: TypeAlias = Literal["annotations", "text", "picture"]

# An error names at most this many unknown ids.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class PartImages:
    """The images of one part.

    Parameters
    ----------
    examples
        Those that have a picture, and of which something is known.
    left_out
        How many of the part have not, by reason: ``"no picture"``, ``"no annotation"``.
    """

    examples: list[Example]
    left_out: dict[str, int]


def load_examples(folder: Path, part: Part, needs: Needs = "annotations") -> list[Example]:
    """The images of one part that have a picture and an annotation; see `load_part`."""
    return load_part(folder, part, needs).examples


def load_part(folder: Path, part: Part, needs: Needs = "annotations") -> PartImages:
    """The images of one part, and how many of it are left out.

    Parameters
    ----------
    folder
        A data set (see `indexer.datasets.images.Dataset.open`).
    part
        ``"train"``, ``"val"`` or another part of the set, or the path of a file that lists studies
        or images, one a line.
    needs
        What an image must have beside its picture: ``"annotations"`` or labels of findings,
        ``"text"`` (a report or a caption), or ``"picture"`` for nothing more.

    Raises
    ------
    TrainingError
        A file, a column, the part or a listed image is missing, or no image of it is annotated.
    """
    dataset = Dataset.open(folder)
    images = _of_part(dataset, part)
    examples = []
    left_out: Counter[str] = Counter()
    for example in dataset.examples(images):
        if example is None:
            left_out["no picture"] += 1
        elif not _has(example, needs):
            left_out["no text" if needs == "text" else "no annotation"] += 1
        else:
            examples.append(example)
    if not examples:
        reasons = ", ".join(f"{count} have {reason}" for reason, count in left_out.items())
        raise TrainingError(
            f"{folder} ({dataset.description.name}) names no annotated image of the part "
            f"{str(part)!r} that has a picture: {reasons}"
        )
    return PartImages(examples, dict(left_out))


def _has(example: Example, needs: Needs) -> bool:
    if needs == "text":
        return bool(example.sentences)
    return needs == "picture" or bool(example.annotations or example.findings)


def _of_part(dataset: Dataset, part: Part) -> list[Described]:
    images = dataset.described
    if isinstance(part, Path):
        listed = _listed(part, {name for i in images for name in (i.study, i.image_id)}, dataset)
        return [i for i in images if i.study in listed or i.image_id in listed]
    parts = sorted({image.part or "" for image in images})
    if part not in parts:
        raise TrainingError(
            f"the part {part!r} is neither a split of {dataset.root} ({', '.join(parts)}) "
            "nor a file that exists"
        )
    return [image for image in images if image.part == part]


def _listed(part: Path, known: set[str], dataset: Dataset) -> set[str]:
    try:
        lines = part.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"the part {part} cannot be read: {error}") from error
    listed = {line.strip(): number for number, line in enumerate(lines, 1) if line.strip()}
    if not listed:
        raise TrainingError(f"{part} is empty: a part lists uids or image ids, one a line")
    unknown = [f"{name!r} (line {number})" for name, number in listed.items() if name not in known]
    if unknown:
        rest = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise TrainingError(
            f"{part}: no uid or image id of {dataset.root}: {', '.join(unknown[:_NAMED])}{rest}"
        )
    return set(listed)


def load_canvases(
    examples: Sequence[Example], settings: DecodeSettings, cache: Path
) -> npt.NDArray[np.uint8]:
    """The decoded pictures, shape (n, size, size), decoded once and kept under `cache`.

    Raises
    ------
    TrainingError
        A picture cannot be decoded.
    """
    digest = blake3(f"{settings.size} {settings.squash} {settings.borders}".encode())
    for example in examples:
        digest.update(f"\n{example.image_id} {_content(example.path)}".encode())
    path = cache / f"canvases-{digest.hexdigest(length=8)}.npy"
    if not path.exists():
        canvases = np.empty((len(examples), settings.size, settings.size), np.uint8)
        for index, example in enumerate(examples):
            try:
                canvases[index] = decode(
                    example.path.read_bytes(), example.path.name, settings
                ).canvas
            except (SkippedImage, FailedImage) as error:
                raise TrainingError(f"{example.path}: {error}") from error
        keep_array(path, canvases)
    result: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return result


def keep_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Save an array for another run: all of it, or, where this one is stopped, nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new.npy")
    np.save(fresh, array)
    fresh.replace(path)


def _content(path: Path) -> str:
    return blake3(path.read_bytes()).hexdigest()
