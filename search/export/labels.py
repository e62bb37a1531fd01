"""What people said of images, as a data set that a bundle is trained on."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.annotation import Annotation
from indexer.archive.sources.members import plain_path
from indexer.database.durable import writing
from indexer.database.labels.events import Verdict, verdicts
from indexer.errors import DatabaseError, NotFoundError

if TYPE_CHECKING:
    from indexer.database.reader import Record
    from search.service import SearchService

__all__ = ["LabelsExport", "export_labels"]

_TABLE = "labels.csv"
_OWN = ("image", "study", "patient", "view", "annotations")
_YES, _NO = "1", "0"


@dataclass(frozen=True, slots=True)
class LabelsExport:
    """What was written.

    Parameters
    ----------
    images
        How many.
    findings
        How often each was said to be there or not.
    left_out
        Images that people judged and that are not among them, by why.
    """

    images: int
    findings: dict[str, int]
    left_out: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"images": self.images, "findings": self.findings, "left_out": self.left_out}


@dataclass(slots=True)
class _Table:
    """The rows, and the archives that their pictures lie in."""

    rows: list[dict[str, str]] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record, given: dict[str, Verdict]) -> None:
        document = record.document
        place = _picture(record)
        if place is None:
            self.left_out["no file of it lies in a folder"] += 1
            return
        archive, name = place
        column = self.places.setdefault(archive, f"picture{len(self.places) + 1}")
        image = name if not self.names[name] else f"{column}/{name}"
        self.names[name] += 1
        there = [v.annotation for v in given.values() if v.annotation is not None]
        cells = {finding: _NO for finding, verdict in given.items() if verdict.annotation is None}
        # A finding with words is exported among the annotations.
        cells |= {a.disease: _YES for a in there if len(a.words) == 1}
        self.rows.append(
            {
                **cells,
                "image": image,
                "study": document["study"],
                "patient": document["patient"],
                "view": document["view"],
                "annotations": ";".join(_term(a) for a in there if len(a.words) > 1),
                column: name,
            }
        )
        self.findings.update(given.keys())


def export_labels(service: SearchService, folder: Path) -> LabelsExport:
    """Write ``dataset.toml`` and ``labels.csv``; pictures stay where they lie and are not copied.

    A finding that a person confirmed is there, one that was rejected is not, and of all others
    nothing is known. The table holds names of files, which may hold names of patients.

    Parameters
    ----------
    folder
        Made where there is none; it must be empty.

    Raises
    ------
    DatabaseError
        The folder holds something, or cannot be written.
    NotFoundError
        Nobody has said anything of an image yet.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatabaseError(f"{folder} is there already: name a new folder for the data set")
    table = _Table()
    with service.snapshot() as snapshot:
        database = snapshot.database
        labels = database.labels()
        for image in labels.labels.images() if labels is not None else ():
            given = verdicts(labels.labels.of([image])) if labels is not None else {}
            if not given:
                continue
            if image not in database:
                table.left_out["it is not in the database any more"] += 1
                continue
            table.add(database.image(image), given)
    if not table.rows:
        why = "".join(f"; of {n} images: {text}" for text, n in table.left_out.items())
        raise NotFoundError(f"nobody has judged an image that could be trained on{why}")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        columns = (*_OWN, *table.places.values(), *sorted(table.findings))
        with open(folder / _TABLE, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(table.rows)
        (folder / "dataset.toml").write_text(_description(table), encoding="utf-8")
    return LabelsExport(
        len(table.rows), dict(table.findings.most_common()), dict(table.left_out.most_common())
    )


def _picture(record: Record) -> tuple[str, str] | None:
    """Folder and name of a file that holds an image, where one lies in no container."""
    for file in record.files:
        place = plain_path(file.archive, file.name)
        # A description takes a star for any characters, and a table is UTF-8.
        if place is not None and "*" not in str(place) and str(place).isprintable():
            archive = Path(file.archive).absolute()
            root = archive if archive in place.parents else place.parent
            return str(root), place.relative_to(root).as_posix()
    return None


def _term(annotation: Annotation) -> str:
    return "/".join(word.text for word in annotation.words)


def _description(table: _Table) -> str:
    """The TOML text: JSON's quotes are TOML's, too."""

    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)

    def template(archive: str, column: str) -> str:
        escaped = archive.replace("{", "{{").replace("}", "}}").rstrip("/")
        return text(f"{escaped}/{{{column}}}")

    pictures = (template(*place) for place in table.places.items())
    return "\n".join(
        [
            'name = "what people said"',
            'source = "cxrdex labels export"',
            'licence = "your own"',
            "# Where the pictures lie; a finding that nobody judged is unknown.",
            f"pictures = [{', '.join(pictures)}]",
            "",
            "[[table]]",
            f"file = {text(_TABLE)}",
            "",
            "[columns]",
            *(f"{name} = {text(name)}" for name in _OWN),
            "",
            "[parts]",
            "val = 0.2",
            "",
            "[annotations]",
            'deny = "nothing"',
            "",
            "[labels.cells]",
            f"yes = {text(_YES)}",
            f"no = {text(_NO)}",
            'unknown = ""',
            "",
            "[labels.meanings]",
            *(f"{text(name)} = {text(name)}" for name in sorted(table.findings)),
            "",
        ]
    )
