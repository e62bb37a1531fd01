"""The images of a data set, whatever its layout, for training, evaluation and indexing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from indexer.annotation import Annotation, parse_mesh
from indexer.archive.deidentify import pseudonym
from indexer.archive.reports import Report, ReportIndex, parse_report
from indexer.archive.sources.names import stem
from indexer.datasets.description import FILE, Description
from indexer.datasets.example import Example
from indexer.datasets.meanings import Claims, KnownFindings, known, read_labels
from indexer.datasets.pictures import PictureFinder
from indexer.datasets.tables import SourceRow, header, joined_rows, table_files
from indexer.errors import ArchiveError, TrainingError
from indexer.words.labeller import affirmed, label

__all__ = ["Dataset", "Described", "report_sentences"]

# Names are hashed so that none of them is kept; the key need not be secret for that.
_KEY = b"training set"
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")
# Numbers of a list and the like are no sentences.
_SHORTEST_SENTENCE = 5
# Names of views where the description gives none.
_VIEWS = {
    **dict.fromkeys(("frontal", "pa", "ap", "posteroanterior", "anteroposterior"), "frontal"),
    **dict.fromkeys(("lateral", "ll", "rl", "lat", "l", "left lateral"), "lateral"),
}


@dataclass(slots=True)
class Described:
    """An image as the tables have it.

    Parameters
    ----------
    image_id
        Its name, without suffix.
    row
        The first of its rows.
    claims
        What its rows say by labels.
    annotations
        What its rows say by annotations; None where it has none.
    """

    image_id: str
    row: SourceRow
    patient: str = ""
    study: str = ""
    view: str | None = None
    part: str | None = None
    text: str = ""
    claims: Claims = field(default_factory=dict)
    annotations: dict[Annotation, None] | None = None


@dataclass(frozen=True, slots=True)
class _Text:
    """What is written of an image: sections of a report, and what people indexed it with."""

    sections: dict[str, str]
    human: tuple[Annotation, ...] = ()
    #: Whether there is a report at all.
    found: bool = False


class Dataset:
    """A data set: a folder and its description; made by `open`.

    Parameters
    ----------
    root
        The folder.
    description
        What it is.
    """

    def __init__(self, root: Path, description: Description) -> None:
        self.root = root
        self.description = description
        #: Reports that cannot be read, one line each; they hold file names.
        self.problems: list[str] = []

    @classmethod
    def open(cls, path: Path) -> Dataset:
        """Find out what a data set is.

        Parameters
        ----------
        path
            Its folder, which holds ``dataset.toml`` or has the tables of a collection that is built
            in; or a description of the folder that it lies in.

        Raises
        ------
        TrainingError
            It is no data set, or its description is malformed.
        """
        found = cls.find(path)
        if found is not None:
            return found
        if not path.is_dir():
            raise TrainingError(f"{path} is missing: a data set is a folder (docs/datasets.md)")
        names = ", ".join(description.name for description in Description.built_in())
        raise TrainingError(
            f"{path} is no data set that is known ({names}): describe it in {path / FILE} "
            "(docs/datasets.md)"
        )

    @classmethod
    def find(cls, path: Path) -> Dataset | None:
        """The data set at `path`, as `open` takes it; None where there is none.

        Raises
        ------
        TrainingError
            A description is malformed, or a table of a known collection lacks some columns.
        """
        if path.is_file() and path.suffix.lower() == ".toml":
            return cls(path.parent, Description.read(path))
        if not path.is_dir():
            return None
        if (path / FILE).is_file():
            return cls(path, Description.read(path / FILE))
        near: tuple[float, str] | None = None
        for description in Description.built_in():
            share, missing = _lacking(path, description)
            if share == 1:
                return cls(path, description)
            if share and (near is None or share > near[0]):
                tables = path / description.tables[0].file
                near = share, f"{tables} lacks of {description.name} the column {missing}"
        if near is not None:
            raise TrainingError(f"{near[1]}; or describe it in {path / FILE} (docs/datasets.md)")
        return None

    # ---- tables ---------------------------------------------------------------------------------

    @cached_property
    def described(self) -> list[Described]:
        """Every image that the tables name, once, in their order, with its part."""
        found: dict[str, Described] = {}
        for row, part in joined_rows(self.root, self.description):
            image = self._described(row, part)
            known = found.setdefault(image.image_id, image)
            if known is not image:
                self._add(known, image)
        images = list(found.values())
        self._divide(images)
        return images

    def _described(self, row: SourceRow, part: str | None) -> Described:
        file, line, cells = row
        values = {role: c.value(cells) for role, c in self.description.columns.items()}
        if not values["image"]:
            name = self.description.columns["image"].name
            raise TrainingError(f"{file}, line {line}, column {name}: no value")
        names = self.description.parts.names
        split = values.get("split", "")
        image = Described(
            _without_suffix(values["image"]),
            (file, line, cells | values),
            patient=values.get("patient", ""),
            study=values.get("study", ""),
            view=self._view(values.get("view", "")),
            part=part or names.get(split, split) or None,
            text=values.get("text", ""),
            annotations=self._annotations(row, values.get("annotations", "")),
        )
        if self.description.labels is not None:
            try:
                image.claims = read_labels(self.description.labels, cells, values.get("labels", ""))
            except TrainingError as error:
                raise TrainingError(f"{file}, line {line}, {error}") from error
        return image

    def _annotations(self, row: SourceRow, text: str) -> dict[Annotation, None] | None:
        meaning, column = self.description.annotations, self.description.columns.get("annotations")
        if meaning is None or column is None:
            return None
        if not text:
            return None
        terms: dict[Annotation, None] = {}
        for piece in text.removesuffix(meaning.separator).split(meaning.separator):
            if not piece.strip(" /"):
                where = f"{row[0]}, line {row[1]}, column {column.name}"
                raise TrainingError(f"{where}: an empty annotation")
            term = parse_mesh(piece)
            if term is not None:
                terms[term] = None
        return terms

    def _view(self, text: str) -> str | None:
        return self.description.views.get(text.lower()) or _VIEWS.get(text.lower())

    @staticmethod
    def _add(known: Described, other: Described) -> None:
        """Another row of an image: of another reader, or with another annotation."""
        for name in ("patient", "study", "part"):
            before, now = getattr(known, name), getattr(other, name)
            if now and before and before != now:
                raise TrainingError(
                    f"{other.row[0]}, line {other.row[1]}: {known.image_id} is of the {name} "
                    f"{before} above, and of {now} here"
                )
            setattr(known, name, before or now)
        if other.annotations is not None:
            known.annotations = {**(known.annotations or {}), **other.annotations}
        for key, claims in other.claims.items():
            known.claims.setdefault(key, []).extend(claims)

    # ---- parts ----------------------------------------------------------------------------------

    def _divide(self, images: Sequence[Described]) -> None:
        """Give each image its part, and make a `val` of `train` where there is none."""
        parts = self.description.parts
        listed: dict[str, str] = {}
        for part, files in parts.lists.items():
            for name in files:
                path = self.root / name
                if path.is_file():
                    lines = path.read_text("utf-8-sig").split("\n")
                    listed |= {_without_suffix(n.strip()): part for n in lines if n.strip()}
        for image in images:
            image.part = image.part or listed.get(image.image_id) or "train"
        if any(image.part == "val" for image in images):
            return
        for image in images:
            unit = image.patient or image.study or image.image_id
            if image.part == "train" and _share(unit) < parts.val:
                image.part = "val"

    # ---- images ---------------------------------------------------------------------------------

    def examples(self, images: Sequence[Described] | None = None) -> Iterator[Example | None]:
        """What is known of images, in their order; None for one without a picture.

        Parameters
        ----------
        images
            Some of `described`; None for all.
        """
        finder = PictureFinder(self.root, self.description.pictures)
        with _Texts(self) as texts:
            for image in self.described if images is None else images:
                path = finder.find(image.row[2])
                yield None if path is None else self._example(image, path, texts.of(image))

    def annotations(
        self, images: Sequence[Described], source: Literal["mesh", "text"]
    ) -> Iterator[tuple[Annotation, ...] | None]:
        """What is said of images, with or without pictures: by people, or as the labeller finds it
        in their reports; None of one that has neither a report nor an annotation."""
        with _Texts(self) as texts:
            for image in images:
                text = texts.of(image)
                human = self._known(image, text).annotations
                if not (text.sections or human or text.found):
                    yield None
                else:
                    yield human if source == "mesh" else affirmed(label(text.sections))

    def reports_without_image(self) -> int:
        """How many reports of a folder name none of the images."""
        with _Texts(self) as texts:
            return texts.without(self.described)

    def reports(self) -> Iterator[tuple[Described, Report]]:
        """Every image that people say something of, and what they say, as a report."""
        with _Texts(self) as texts:
            for image in self.described:
                text = texts.of(image)
                annotations = self._known(image, text).annotations
                if annotations or text.sections:
                    yield image, Report("", text.sections, annotations)

    def _known(self, image: Described, text: _Text) -> KnownFindings:
        meaning = self.description.annotations
        human = [*(image.annotations or ()), *(text.human if meaning is not None else ())]
        deny = None if meaning is None else meaning.deny
        return known(self.description.labels, image.claims, human, deny)

    def _example(self, image: Described, path: Path, text: _Text) -> Example:
        known = self._known(image, text)
        annotations = known.annotations
        if self.description.annotations is None and not annotations and text.sections:
            annotations = affirmed(label(text.sections))
        # Films of one patient without a study's number are each a study.
        study = image.study or image.image_id
        return Example(
            image.image_id,
            path,
            pseudonym(_KEY, "study", study),
            image.view,
            annotations,
            report_sentences(text.sections),
            pseudonym(_KEY, "patient", image.patient) if image.patient else "",
            image.part or "",
            known.findings,
            known.others,
            known.implied,
        )


class _Texts:
    """What is written of the images of a data set; a context manager."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._root = dataset.root
        self._reports = dataset.description.reports
        self._index: ReportIndex | None = None

    def __enter__(self) -> _Texts:
        if self._reports and "{" not in self._reports:
            self._index = ReportIndex.open(self._root / self._reports, _KEY)
        return self

    def __exit__(self, *_: object) -> None:
        if self._index is not None:
            self._dataset.problems += self._index.problems
            self._index.close()

    def without(self, images: Sequence[Described]) -> int:
        """How many reports of the folder are found for no image."""
        if self._index is None:
            return 0
        return len(self._index) - self._index.count(key for i in images for key in _keys(i))

    def of(self, image: Described) -> _Text:
        report = None
        if self._index is not None:
            report = self._index.find(_keys(image))
        elif self._reports:
            report = self._read(self._root / self._reports.format_map(image.row[2]))
        if report is not None:
            return _Text(dict(report.sections), report.annotations, found=True)
        return _Text({"findings": image.text} if image.text else {})

    def _read(self, path: Path) -> Report | None:
        try:
            return parse_report(path.read_bytes(), path.name, _KEY)
        except FileNotFoundError:
            return None
        except (OSError, ArchiveError) as error:
            self._dataset.problems.append(f"report {path.name}: {error}")
            return None


def _keys(image: Described) -> list[str]:
    """What an image's report may be named by."""
    names = (image.image_id, image.study, image.patient)
    return [pseudonym(_KEY, "report", stem(name)) for name in names if name]


def report_sentences(sections: dict[str, str]) -> tuple[str, ...]:
    """The sentences of what a report finds."""
    texts = (sections.get(section, "") for section in ("findings", "impression"))
    parts = (part.strip() for text in texts for part in _SENTENCE_END.split(text))
    return tuple(part for part in parts if len(part) > _SHORTEST_SENTENCE)


def _lacking(root: Path, description: Description) -> tuple[float, str]:
    """The share of a description's columns that a folder's tables have (0 where a table is
    missing), and those that they lack."""
    names: set[str] = set()
    for table in (*description.tables, *description.joins):
        files = table_files(root, table)
        if not files:
            return 0, ""
        names |= set(header(files[0], table.delimiter))
    missing = sorted(description.needed - names)
    return 1 - len(missing) / len(description.needed), ", ".join(missing)


def _without_suffix(name: str) -> str:
    """A picture's name without its suffix; folders stay."""
    folder, slash, own = name.rpartition("/")
    return f"{folder}{slash}{stem(own)}"


def _share(name: str) -> float:
    """A number from 0 to 1 that only the name decides."""
    return int.from_bytes(hashlib.sha256(f"val:{name}".encode()).digest()[:8], "big") / 2**64
