"""Where annotations come from: Open-i folders, report folders, free text, and CSV tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from indexer.annotation import Annotation, parse_mesh
from indexer.archive.reports import Report, parse_report
from indexer.archive.sources.members import open_archive, read_member
from indexer.datasets.images import Dataset
from indexer.datasets.tables import header, read_rows
from indexer.errors import ArchiveError, ImageError, TrainingError
from indexer.words.labeller import affirmed, label

__all__ = ["AnnotatedImage", "Collection", "LabelSource", "SplitName", "load_annotated"]

LabelSource: TypeAlias = Literal["mesh", "text"]
SplitName: TypeAlias = Literal["train", "val", "test", "all"]

# Names are hashed only to look them up here, so the key need not be secret.
_KEY = b"annotations"
_NEEDED = ("image_id", "annotation")
_OPTIONAL = ("study", "split", "patient", "view")


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image and what is said of it.

    Parameters
    ----------
    image_id
        Its name; a pseudonym where only a report names it.
    study
        Images of one study share it.
    annotations
        Each once; empty where nobody annotated the image (``No Indexing``).
    """

    image_id: str
    study: str
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """What a source holds.

    Parameters
    ----------
    source
        ``"mesh"`` for terms a person wrote, ``"text"`` for the labeller's.
    images
        In the order of the source.
    without_image
        Reports that name no image; a text file is about one.
    without_report
        Images that no report names.
    problems
        One line for each report that cannot be read; they hold file names.
    """

    source: LabelSource
    images: tuple[AnnotatedImage, ...]
    without_image: int = 0
    without_report: int = 0
    problems: tuple[str, ...] = ()


def load_annotated(
    path: Path, source: LabelSource | None = None, part: SplitName = "all"
) -> Collection:
    """The annotated images of a source.

    Parameters
    ----------
    path
        A data set (see `indexer.datasets.images.Dataset.open`), a folder, zip or tar of Open-i
        ``.xml`` or of ``.txt`` reports, or a ``.csv`` of ``image_id`` and ``annotation``
        (optionally ``study`` and ``split``): one MeSH-like string a row, or several with ``;``
        between them.
    source
        Human terms or those the labeller finds in the text; by default the text only where people
        annotated nothing.
    part
        Only images of this part; a data set has parts, and a CSV where it has a column ``split``.

    Raises
    ------
    TrainingError
        The source has no such labels or parts, or a table is malformed; it names the file, and
        for a CSV of annotations the line and the column.
    ArchiveError
        `path` cannot be read.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        if source == "text":
            raise TrainingError(f"{path} holds annotations, not text: leave out `source=text`")
        return Collection("mesh", tuple(_from_csv(path, part)))
    dataset = Dataset.find(path)
    if dataset is not None:
        return _of_dataset(dataset, source, part)
    if part != "all":
        raise TrainingError(
            f"{path} has no images.csv, nor is it another data set that is known "
            f"(docs/datasets.md), which would say what is of the part {part!r}"
        )
    reports = _Reports(path, source)
    images = tuple(
        AnnotatedImage(image, study, annotations)
        for study, names, annotations in reports.every
        for image in names
    )
    alone = sum(not names for _, names, _ in reports.every)
    return Collection(reports.source, images, alone, 0, tuple(reports.problems))


class _Reports:
    """All reports of a folder, with their texts already turned into annotations."""

    def __init__(self, folder: Path, source: LabelSource | None) -> None:
        archive = open_archive(folder)
        if archive.reports is not None:
            archive = open_archive(archive.reports)
        members = [m for m in archive.members() if m.name.lower().endswith((".xml", ".txt"))]
        if not members:
            raise ArchiveError(f"reports {folder}: no .xml or .txt file in it")
        has_xml = any(m.name.lower().endswith(".xml") for m in members)
        self.source: LabelSource = source or ("mesh" if has_xml else "text")
        if self.source == "mesh" and not has_xml:
            raise TrainingError(f"{folder} holds only text, no MeSH terms: use `source=text`")
        self.problems: list[str] = []
        self.every: list[tuple[str, tuple[str, ...], tuple[Annotation, ...]]] = []
        read: Callable[[Report], tuple[Annotation, ...]] = (
            _human if self.source == "mesh" else _found
        )
        for member in members:
            try:
                report = parse_report(read_member(member), member.name, _KEY)
            except ImageError as error:
                self.problems.append(f"report {member.name}: {error.detail}")
                continue
            except ArchiveError as error:
                self.problems.append(str(error))
                continue
            # The first key of an XML report is its own; a text is about what it is named by.
            names = report.images if member.name.lower().endswith(".txt") else report.images[1:]
            self.every.append((report.uid, names, read(report)))


def _human(report: Report) -> tuple[Annotation, ...]:
    return report.annotations


def _found(report: Report) -> tuple[Annotation, ...]:
    return affirmed(label(report.sections))


def _of_dataset(dataset: Dataset, source: LabelSource | None, part: SplitName) -> Collection:
    human = dataset.description.annotations or dataset.description.labels
    if source == "mesh" and human is None:
        raise TrainingError(f"{dataset.root} has text, and no terms of people: use `source=text`")
    if source == "text" and not (
        dataset.description.reports or "text" in dataset.description.columns
    ):
        raise TrainingError(f"{dataset.root} has no text: leave out `source=text`")
    source = source or ("text" if human is None else "mesh")
    wanted = [image for image in dataset.described if part in ("all", image.part)]
    if not wanted:
        raise TrainingError(f"{dataset.root} names no image of the part {part!r}")
    images = [
        AnnotatedImage(image.image_id, image.study or image.image_id, annotations)
        for image, annotations in zip(wanted, dataset.annotations(wanted, source), strict=True)
        if annotations is not None
    ]
    return Collection(
        source,
        tuple(images),
        dataset.reports_without_image(),
        len(wanted) - len(images),
        tuple(dataset.problems),
    )


def _from_csv(path: Path, part: SplitName) -> Iterator[AnnotatedImage]:
    studies: dict[str, str] = {}
    found: dict[str, dict[Annotation, None]] = {}
    for line, row in _rows(path):
        if part != "all" and "split" not in row:
            raise TrainingError(f"{path}, line 1: no column split, so there is no part {part!r}")
        image = row["image_id"]
        if part not in ("all", row.get("split", "")):
            continue
        study = row.get("study", image)
        if studies.setdefault(image, study) != study:
            raise TrainingError(
                f"{path}, line {line}, column study: {image} is of {studies[image]} above"
            )
        terms = found.setdefault(image, {})
        for text in row["annotation"].removesuffix(";").split(";"):
            if not text.strip(" /"):
                raise TrainingError(f"{path}, line {line}, column annotation: an empty annotation")
            term = parse_mesh(text)
            if term is not None:
                terms[term] = None
    if not found:
        raise TrainingError(f"{path} has no image of the part {part!r}")
    for image, terms in found.items():
        yield AnnotatedImage(image, studies[image], tuple(terms))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row, all of them filled."""
    names = header(path)
    for column in _NEEDED:
        if column not in names:
            raise TrainingError(f"{path}, line 1: no column {column}")
    for column in names:
        if column not in (*_NEEDED, *_OPTIONAL):
            raise TrainingError(
                f"{path}, line 1, column {column or '(unnamed)'}: not one of "
                f"{', '.join((*_NEEDED, *_OPTIONAL))}"
            )
    for _, line, row in read_rows(path):
        for column in names:
            if not row.get(column):
                raise TrainingError(f"{path}, line {line}, column {column}: no value")
        yield line, row
