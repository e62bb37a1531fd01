"""Where annotations come from: Open-i folders, report folders, free text, and CSV tables."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from indexer.annotation import Annotation, parse_mesh
from indexer.archive.deidentify import pseudonym
from indexer.archive.reports import Report, parse_report
from indexer.archive.sources.members import open_archive, read_member
from indexer.errors import ArchiveError, ImageError, TrainingError
from indexer.words.labeller import affirmed, label

__all__ = ["AnnotatedImage", "Collection", "LabelSource", "Part", "load_annotated"]

LabelSource: TypeAlias = Literal["mesh", "text"]
Part: TypeAlias = Literal["train", "val", "test", "all"]

# Names are hashed only to look them up here, so the key need not be secret.
_KEY = b"annotations"
_NEEDED = ("image_id", "annotation")
_OPTIONAL = ("study", "split")


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


def load_annotated(path: Path, source: LabelSource | None = None, part: Part = "all") -> Collection:
    """The annotated images of a source.

    Parameters
    ----------
    path
        A folder in the Open-i layout (``images.csv``, ``images/``, ``ecgen-radiology/``), a folder,
        zip or tar of Open-i ``.xml`` or of ``.txt`` reports, or a ``.csv`` of ``image_id`` and
        ``annotation`` (optionally ``study`` and ``split``): one MeSH-like string a row, or several
        with ``;`` between them.
    source
        Human terms or those the labeller finds in the text; by default the text only where there
        are no ``.xml`` reports.
    part
        Only images of this part; the source must then have a column ``split``.

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
            raise TrainingError(f"{path} holds annotations, not text: leave out --labels text")
        return Collection("mesh", tuple(_from_csv(path, part)))
    table = path / "images.csv"
    if table.is_file():
        reports = _Reports(path / "ecgen-radiology", source)
        return _of_table(table, reports, part)
    if part != "all":
        raise TrainingError(f"{path} has no images.csv, which says what is of the part {part!r}")
    reports = _Reports(path, source)
    images = tuple(
        AnnotatedImage(image, study, said)
        for study, names, said in reports.every
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
            raise TrainingError(f"{folder} holds only text, no MeSH terms: use --labels text")
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

    def by_image(self) -> Mapping[str, tuple[Annotation, ...]]:
        """Annotations by the pseudonym of an image; of two reports on one image the first."""
        found: dict[str, tuple[Annotation, ...]] = {}
        for _, names, said in self.every:
            for name in names:
                found.setdefault(name, said)
        return found


def _human(report: Report) -> tuple[Annotation, ...]:
    return report.annotations


def _found(report: Report) -> tuple[Annotation, ...]:
    return affirmed(label(report.sections))


def _of_table(table: Path, reports: _Reports, part: Part) -> Collection:
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        for column in ("image_id", "uid", "split"):
            if column not in (rows.fieldnames or ()):
                raise TrainingError(f"{table} lacks the column {column}")
        wanted = [row for row in rows if part in ("all", row["split"])]
    if not wanted:
        raise TrainingError(f"{table} names no image of the part {part!r}")
    said = reports.by_image()
    images = []
    for row in wanted:
        name = pseudonym(_KEY, "report", row["image_id"])
        if name in said:
            images.append(AnnotatedImage(row["image_id"], row["uid"], said[name]))
    alone = sum(not names for _, names, _ in reports.every)
    missing = len(wanted) - len(images)
    return Collection(reports.source, tuple(images), alone, missing, tuple(reports.problems))


def _from_csv(path: Path, part: Part) -> Iterator[AnnotatedImage]:
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
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            for column in _NEEDED:
                if column not in header:
                    raise TrainingError(f"{path}, line 1: no column {column}")
            for column in header:
                if header.count(column) > 1 or column not in (*_NEEDED, *_OPTIONAL):
                    raise TrainingError(
                        f"{path}, line 1, column {column or '(unnamed)'}: not one of "
                        f"{', '.join((*_NEEDED, *_OPTIONAL))}, each once"
                    )
            for cells in reader:
                line = reader.line_num
                if not cells:
                    continue
                if len(cells) > len(header):
                    raise TrainingError(
                        f"{path}, line {line}, column {len(header) + 1}: more values than columns; "
                        "put a value that holds a comma in quotes"
                    )
                row = {c: v.strip() for c, v in zip(header, cells, strict=False)}
                for column in header:
                    if not row.get(column):
                        raise TrainingError(f"{path}, line {line}, column {column}: no value")
                yield line, row
        except csv.Error as error:
            raise TrainingError(f"{path}, line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise TrainingError(f"{path}: not UTF-8 text (byte {error.start})") from error
