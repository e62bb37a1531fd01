"""A training set: pictures with human annotations, in the Open-i layout."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from indexer.annotation import Annotation
from indexer.archive.decoding import DecodeSettings, decode
from indexer.archive.deidentify import pseudonym
from indexer.archive.reports import Report, ReportIndex
from indexer.errors import FailedImage, SkippedImage, TrainingError

__all__ = [
    "Example",
    "Part",
    "PartImages",
    "keep_array",
    "load_canvases",
    "load_examples",
    "load_part",
]

#: A split of the table, or a file of uids or image ids.
Part: TypeAlias = str | Path

# Names are hashed only to look them up here, so the key need not be secret.
_KEY = b"training set"
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")
# Numbers of a list and the like are no sentences.
_SHORTEST_SENTENCE = 5
# So many unknown ids are named in one message.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Example:
    """One image of a training set.

    Parameters
    ----------
    image_id
        The picture's name without suffix.
    path
        Where the picture lies.
    study
        Images of one study share it; parts are split by study.
    view
        ``"frontal"`` or ``"lateral"``; None where unknown.
    annotations
        Human annotations of the study's report; empty where nobody annotated it.
    sentences
        What the report's findings and impression say.
    """

    image_id: str
    path: Path
    study: str
    view: str | None
    annotations: tuple[Annotation, ...]
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartImages:
    """The images of one part.

    Parameters
    ----------
    examples
        Those that have a picture and an annotation.
    left_out
        How many of the part have not, by reason: ``"no picture"``, ``"no annotation"``.
    """

    examples: list[Example]
    left_out: dict[str, int]


def load_examples(folder: Path, part: Part) -> list[Example]:
    """The images of one part that have a picture and an annotation; see `load_part`."""
    return load_part(folder, part).examples


def load_part(folder: Path, part: Part) -> PartImages:
    """The images of one part, and how many of it are left out.

    Parameters
    ----------
    folder
        Holds ``images/``, ``images.csv`` (image_id, uid, projection, split) and
        ``ecgen-radiology/``.
    part
        A value of the column split (``"train"``, ``"val"``), or the path of a file that lists
        uids or image ids, one a line.

    Raises
    ------
    TrainingError
        A file, a column, the part or a listed image is missing, or no image of it is annotated.
    """
    table = folder / "images.csv"
    if not table.is_file():
        raise TrainingError(f"{table} is missing: it lists image_id, uid, projection and split")
    if not (folder / "images").is_dir():
        raise TrainingError(f"{folder / 'images'} is missing: it holds the pictures")
    pictures = {path.stem: path for path in (folder / "images").iterdir()}
    rows = _rows_of(table, part)
    examples = []
    left_out: Counter[str] = Counter()
    with ReportIndex.open(folder / "ecgen-radiology", _KEY) as reports:
        for row in rows:
            name = row["image_id"]
            if name not in pictures:
                left_out["no picture"] += 1
                continue
            report = reports.find((pseudonym(_KEY, "report", name),))
            if report is None or not report.annotations:
                left_out["no annotation"] += 1
                continue
            examples.append(
                Example(
                    name,
                    pictures[name],
                    row["uid"],
                    row["projection"] or None,
                    report.annotations,
                    _sentences(report),
                )
            )
    if not examples:
        raise TrainingError(f"{table} names no annotated image of the part {str(part)!r}")
    return PartImages(examples, dict(left_out))


def _rows_of(table: Path, part: Part) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines(keepends=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{table} cannot be read as CSV in UTF-8: {error}") from error
    missing = {"image_id", "uid", "projection", "split"} - set(rows[0] if rows else ())
    if missing:
        raise TrainingError(f"{table} lacks the column {sorted(missing)[0]}")
    if isinstance(part, Path):
        listed = _listed(part, {row[key] for row in rows for key in ("uid", "image_id")}, table)
        return [row for row in rows if row["uid"] in listed or row["image_id"] in listed]
    splits = sorted({row["split"] for row in rows})
    if part not in splits:
        raise TrainingError(
            f"the part {part!r} is neither a split of {table} ({', '.join(splits)}) "
            "nor a file that exists"
        )
    return [row for row in rows if row["split"] == part]


def _listed(part: Path, known: set[str], table: Path) -> set[str]:
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
            f"{part}: no uid or image id of {table}: {', '.join(unknown[:_NAMED])}{rest}"
        )
    return set(listed)


def _sentences(report: Report) -> tuple[str, ...]:
    texts = (report.sections.get(section, "") for section in ("findings", "impression"))
    parts = (part.strip() for text in texts for part in _SENTENCE_END.split(text))
    return tuple(part for part in parts if len(part) > _SHORTEST_SENTENCE)


def load_canvases(
    examples: Sequence[Example], settings: DecodeSettings, cache: Path
) -> npt.NDArray[np.uint8]:
    """The decoded pictures, shape (n, size, size), decoded once and kept under `cache`.

    Raises
    ------
    TrainingError
        A picture cannot be decoded.
    """
    digest = blake3(f"{settings.size} {settings.squash}".encode())
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
