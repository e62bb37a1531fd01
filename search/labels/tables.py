"""A table of what people said of images, read and checked before any of it is kept."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.database.labels.events import Draft, Verdict
from indexer.database.upkeep.labels import apply_pending_labels
from indexer.errors import DatabaseLocked, QueryError
from search.labels.labelling import Labelling, label_text, make_draft, parse_label
from search.service import SearchService

if TYPE_CHECKING:
    from indexer.database.reader import DatabaseReader

__all__ = ["Count", "LabelsTable", "import_table", "read_table"]

_NEEDED = ("image", "finding", "verdict")
_KNOWN = frozenset({*_NEEDED, "words", "person"})


@dataclass(frozen=True, slots=True)
class Count:
    """How many images were judged, and in how many events.

    Parameters
    ----------
    waiting
        Whether a run writes the database, so that searches find it after its next commit.
    """

    images: int
    events: int
    waiting: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LabelsTable:
    """What a table says, by image and person.

    Parameters
    ----------
    drafts
        Drafts by image id and name of the person, in order.
    """

    drafts: Mapping[tuple[str, str], Sequence[Draft]]

    def say(self, labelling: Labelling) -> Count:
        """Record what does not stand yet."""
        images: set[str] = set()
        events = 0
        for (image, person), drafts in self.drafts.items():
            held = labelling.of(image).verdicts
            new = [d for d in drafts if not _stands(held.get(d.finding), d)]
            if new:
                labelling.record(image, new, person)
                images.add(image)
                events += len(new)
        return Count(len(images), events)


def _stands(held: Verdict | None, draft: Draft) -> bool:
    return held is not None and label_text(held.annotation) == label_text(draft.annotation)


def import_table(path: Path, database: Path, person: str) -> Count:
    """Record what a table says, and let searches see it.

    Parameters
    ----------
    person
        Who said what a row names nobody for.

    Raises
    ------
    QueryError
        As `read_table`; nothing is kept then.
    TextStoreUnavailable
        Elasticsearch does not answer; the documents wait for it.
    """
    with SearchService(database) as service, closing(Labelling(service)) as labelling:
        count = read_table(path, service, person).say(labelling)
    try:
        apply_pending_labels(database)
    except DatabaseLocked:
        return replace(count, waiting=True)
    return count


def read_table(path: Path, service: SearchService, person: str) -> LabelsTable:
    """Read a table.

    Parameters
    ----------
    person
        Who said what a row names nobody for.

    Raises
    ------
    QueryError
        It is no such table, or a row of it is wrong; the text names file, line and column.
    """
    drafts: dict[tuple[str, str], list[Draft]] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or ()
            missing = [name for name in _NEEDED if name not in names]
            unknown = sorted(set(names) - _KNOWN)
            if missing or unknown:
                what = f"lacks {missing[0]}" if missing else f"has {unknown[0]}"
                raise QueryError(
                    f"{path}, line 1: {what}; columns are {', '.join(_NEEDED)}, words, person"
                )
            with service.snapshot() as snapshot:
                for row in rows:
                    image, draft = _draft(row, f"{path}, line {rows.line_num}", snapshot.database)
                    who = (row.get("person") or "").strip() or person
                    drafts.setdefault((image, who), []).append(draft)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QueryError(f"{path} cannot be read as a table in UTF-8: {error}") from error
    return LabelsTable(drafts)


def _draft(
    row: Mapping[str, str | None], where: str, database: DatabaseReader
) -> tuple[str, Draft]:
    image, verdict = ((row[name] or "").strip().lower() for name in ("image", "verdict"))
    if image not in database:
        raise QueryError(f"{where}, column image: no image has the id {image!r}")
    if verdict not in ("present", "absent"):
        raise QueryError(f'{where}, column verdict: {verdict!r} is neither "present" nor "absent"')
    words = [word for word in (row.get("words") or "").split(";") if word.strip()]
    if words and verdict == "absent":
        raise QueryError(f"{where}, column words: what is absent has none")
    document = database.image(image).document
    try:
        annotation = parse_label(row["finding"] or "", words, document["probabilities"])
    except QueryError as error:
        raise QueryError(f"{where}: {error}") from error
    there = annotation if verdict == "present" else None
    return image, make_draft(document, annotation.disease, there)
