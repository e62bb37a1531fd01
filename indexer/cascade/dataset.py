"""A training set: pictures with human annotations, in the Open-i layout."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.annotation import Annotation
from indexer.archive.decoding import DecodeSettings, decode
from indexer.archive.deidentify import pseudonym
from indexer.archive.reports import Report, ReportIndex
from indexer.errors import FailedImage, SkippedImage, TrainingError

__all__ = ["Example", "Part", "load_canvases", "load_examples"]

#: A split of the table, or a file of uids or image ids.
Part: TypeAlias = str | Path

# Names are hashed only to look them up here, so the key need not be secret.
_KEY = b"training set"
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")
# Numbers of a list and the like are no sentences.
_SHORTEST_SENTENCE = 5


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


def load_examples(folder: Path, part: Part) -> list[Example]:
    """The images of one part that have a picture and an annotation.

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
        A file, a column or a listed image is missing, or no image of the part is annotated.
    """
    table = folder / "images.csv"
    if not table.is_file():
        raise TrainingError(f"{table} is missing: it lists image_id, uid, projection and split")
    if not (folder / "images").is_dir():
        raise TrainingError(f"{folder / 'images'} is missing: it holds the pictures")
    pictures = {path.stem: path for path in (folder / "images").iterdir()}
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    missing = {"image_id", "uid", "projection", "split"} - set(rows[0] if rows else ())
    if missing:
        raise TrainingError(f"{table} lacks the column {sorted(missing)[0]}")
    if isinstance(part, Path):
        listed = _listed(part, {row[key] for row in rows for key in ("uid", "image_id")}, table)
        rows = [row for row in rows if row["uid"] in listed or row["image_id"] in listed]
    else:
        rows = [row for row in rows if row["split"] == part]
    examples = []
    with ReportIndex.open(folder / "ecgen-radiology", _KEY) as reports:
        for row in rows:
            name = row["image_id"]
            if name not in pictures:
                continue
            report = reports.find((pseudonym(_KEY, "report", name),))
            if report and report.annotations:
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
    return examples


def _listed(part: Path, known: set[str], table: Path) -> set[str]:
    try:
        lines = part.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"the part {part} cannot be read: {error}") from error
    listed = set()
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if name and name not in known:
            raise TrainingError(f"{part}, line {number}: {name!r} is no uid or image id of {table}")
        listed.add(name)
    return listed - {""}


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
    key = "\n".join(f"{e.image_id} {e.path.stat().st_size}" for e in examples)
    digest = hashlib.sha256(f"{settings.size} {settings.squash}\n{key}".encode()).hexdigest()
    path = cache / f"canvases-{digest[:16]}.npy"
    if not path.exists():
        canvases = np.empty((len(examples), settings.size, settings.size), np.uint8)
        for index, example in enumerate(examples):
            try:
                canvases[index] = decode(
                    example.path.read_bytes(), example.path.name, settings
                ).canvas
            except (SkippedImage, FailedImage) as error:
                raise TrainingError(f"{example.path}: {error}") from error
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, canvases)
    result: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return result
