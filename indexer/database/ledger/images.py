"""The images: readings, reports, and the place of each vector."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from indexer.database.ledger.labels import parse_events
from indexer.database.ledger.table import LedgerTable
from indexer.database.text.documents import canonical

if TYPE_CHECKING:
    from indexer.archive.reports import Report
    from indexer.database.labels.events import Event
    from indexer.database.outcomes import Header, Read

__all__ = ["ImageRow", "Images", "ShardRow", "new_row"]

#: Number of a shard, and a row in it.
ShardRow: TypeAlias = tuple[int, int]

_COLUMNS = (
    "images.id, image_id, study, patient, metadata, reading, report, report_keys, "
    "document_hash, thumbnail, shard, row, run, pooled, "
    # Label events of all images of the study. The first test skips the join in databases without
    # labels.
    "CASE WHEN EXISTS (SELECT 1 FROM labels) THEN (SELECT json_group_array(json(labels.event)) "
    "FROM images mate JOIN labels USING (image_id) WHERE mate.study = images.study) END"
)


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image as the ledger keeps it; the JSON values are parsed."""

    number: int
    image_id: str
    study: str
    patient: str
    metadata: dict[str, Any]
    reading: dict[str, Any]
    report: dict[str, Any] | None
    report_keys: list[str]
    document_hash: str
    thumbnail: bool
    shard: int
    row: int
    run: int
    #: The pooled reading of its study, if it has several images and they are pooled.
    pooled: dict[str, Any] | None
    #: Label events of all images of its study, in no order.
    label_events: tuple[Event, ...] = ()

    @property
    def header(self) -> Header:
        """What the file it was read from says of it."""
        from indexer.archive.deidentify import Metadata
        from indexer.database.outcomes import Header

        metadata = Metadata.from_json(self.metadata)
        return Header(self.study, self.patient, metadata, tuple(self.report_keys))


class Images(LedgerTable):
    """The table `images`."""

    # ---- asking ---------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._value("SELECT coalesce(sum(live), 0) FROM shards"))

    @property
    def studies(self) -> int:
        """How many studies they are of."""
        return int(self._value("SELECT count(DISTINCT study) FROM images"))

    @property
    def patients(self) -> int:
        """How many patients they are of."""
        return int(self._value("SELECT count(DISTINCT patient) FROM images"))

    @property
    def with_report(self) -> int:
        """How many have a report."""
        return int(self._value("SELECT count(*) FROM images WHERE report IS NOT NULL"))

    def get(self, image_id: str) -> ImageRow | None:
        """One image by id."""
        row = self._one(f"SELECT {_COLUMNS} FROM images WHERE image_id = ?", image_id)
        return _parsed(row) if row else None

    def __contains__(self, image_id: object) -> bool:
        return self._one("SELECT 1 FROM images WHERE image_id = ?", image_id) is not None

    def __iter__(self) -> Iterator[ImageRow]:
        """All images in the order in which they were read."""
        query = f"SELECT {_COLUMNS} FROM images WHERE id > ? ORDER BY id LIMIT ?"
        return map(_parsed, self._paged(query))

    def of_study(self, study: str) -> list[ImageRow]:
        """The images of a study in the order in which they were read."""
        rows = self._all(f"SELECT {_COLUMNS} FROM images WHERE study = ? ORDER BY id", study)
        return [_parsed(row) for row in rows]

    def studies_of_several(self) -> list[str]:
        """Studies of several images, and those of one that is kept as if it had mates."""
        rows = self._all(
            "SELECT study FROM images GROUP BY study "
            "HAVING count(*) > 1 OR count(pooled) > 0 ORDER BY study"
        )
        return [study for (study,) in rows]

    def ids(self, *, study: str | None = None, patient: str | None = None) -> Iterator[str]:
        """Ids of all images, or of those of one study or patient, in no fixed order."""
        column, value = ("study", study) if study is not None else ("patient", patient)
        query = "SELECT image_id FROM images"
        if value is None:
            cursor = self._connection.execute(query)
        else:
            cursor = self._connection.execute(f"{query} WHERE {column} = ?", (value,))
        return (row[0] for row in cursor)

    def report_keys(self) -> Iterator[list[str]]:
        """The report keys of each image."""
        query = "SELECT id, report_keys FROM images WHERE id > ? ORDER BY id LIMIT ?"
        return (json.loads(keys) for _, keys in self._paged(query))

    def in_shard(self, number: int) -> list[str]:
        """Ids of the images whose vectors a shard has, by row."""
        rows = self._all("SELECT image_id FROM images WHERE shard = ? ORDER BY row", number)
        return [image_id for (image_id,) in rows]

    def with_picture(self) -> Iterator[str]:
        """Ids of the images that have a thumbnail."""
        query = "SELECT id, image_id FROM images WHERE id > ? AND thumbnail ORDER BY id LIMIT ?"
        return (image_id for _, image_id in self._paged(query))

    @property
    def changes(self) -> int:
        """A number that grows whenever an image comes or goes."""
        return int(self._value("SELECT value FROM meta WHERE key = 'changes'"))

    def chances(self, finding: str) -> Iterator[tuple[str, str, float]]:
        """Image id, study and probability of a finding, of each image that has a thumbnail and is
        no unusual picture; of a study the frontal ones first."""
        rows = self._all(
            "SELECT image_id, study, json_extract(coalesce(pooled, reading), ?) AS chance "
            "FROM images WHERE thumbnail "
            "AND coalesce(json_extract(reading, '$.unusual'), 0) <= 0.5 AND chance IS NOT NULL "
            "ORDER BY study, json_extract(reading, '$.view') <> 'frontal', id",
            f'$.probabilities."{finding}"',
        )
        return ((image, study, float(chance)) for image, study, chance in rows)

    def unusual(self) -> list[str]:
        """Ids of the images that are hardly chest films (`interpretation.certainty.UNUSUAL`)."""
        rows = self._all(
            "SELECT image_id FROM images WHERE json_extract(reading, '$.unusual') > 0.5"
        )
        return [image_id for (image_id,) in rows]

    def has_picture(self, image_id: str) -> bool:
        """Whether there is such an image and it has a thumbnail."""
        query = "SELECT 1 FROM images WHERE image_id = ? AND thumbnail"
        return self._one(query, image_id) is not None

    def having_pictures(self, image_ids: Sequence[str]) -> set[str]:
        """Those of some images that have a thumbnail."""
        statement = "SELECT image_id FROM images WHERE image_id IN ({}) AND thumbnail"
        return {image_id for (image_id,) in self._select_each(image_ids, statement)}

    def same_study(self, image_ids: Sequence[str]) -> dict[str, list[str]]:
        """For each image that is known, the ids of all images of its study, ascending."""
        same_study: dict[str, list[str]] = {}
        rows = self._select_each(
            image_ids,
            "SELECT own.image_id, mate.image_id FROM images own "
            "JOIN images mate ON mate.study = own.study "
            "WHERE own.image_id IN ({}) ORDER BY mate.image_id",
        )
        for own, mate in rows:
            same_study.setdefault(own, []).append(mate)
        return same_study

    def studies_with(self, image_ids: Sequence[str]) -> dict[str, list[str]]:
        """For each study that some images are of, the ids of all its images, ascending."""
        studies: dict[str, dict[str, None]] = {}
        rows = self._select_each(
            image_ids,
            "SELECT study, image_id FROM images WHERE study IN "
            "(SELECT study FROM images WHERE image_id IN ({})) ORDER BY image_id",
        )
        for study, image_id in rows:
            studies.setdefault(study, {})[image_id] = None
        return {study: list(images) for study, images in studies.items()}

    def owners(
        self, image_ids: Sequence[str], column: Literal["study", "patient"]
    ) -> dict[str, str]:
        """For each image that is known, its study or patient."""
        statement = f"SELECT image_id, {column} FROM images WHERE image_id IN ({{}})"
        return dict(self._select_each(image_ids, statement))

    def known_studies(self, studies: Sequence[str]) -> set[str]:
        """Those of some studies that have an image."""
        statement = "SELECT study FROM images WHERE study IN ({})"
        return {study for (study,) in self._select_each(studies, statement)}

    def views(self, image_ids: Sequence[str]) -> dict[str, tuple[str | None, str]]:
        """For each image that is known, the header's code of its projection and the view that is
        predicted."""
        statement = (
            "SELECT image_id, json_extract(metadata, '$.view'), json_extract(reading, '$.view') "
            "FROM images WHERE image_id IN ({})"
        )
        rows = self._select_each(image_ids, statement)
        return {image: (projection, predicted) for image, projection, predicted in rows}

    # ---- changing -------------------------------------------------------------------------------

    def add(self, row: ImageRow) -> None:
        """Enter a new image, which gets a number of its own."""
        self._change(
            "INSERT INTO images (image_id, study, patient, metadata, reading, report, "
            "report_keys, document_hash, thumbnail, shard, row, run, pooled) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row.image_id, row.study, row.patient, canonical(row.metadata), canonical(row.reading),
            canonical(row.report) if row.report else None, canonical(row.report_keys),
            row.document_hash, row.thumbnail, row.shard, row.row, row.run,
            canonical(row.pooled) if row.pooled else None,
        )  # fmt: skip

    def set_reading(self, number: int, read: Read, place: ShardRow, run: int) -> None:
        """Enter a new reading of an image, and the place of its new vector."""
        assert read.reading is not None
        self._change(
            "UPDATE images SET shard = ?, row = ?, reading = ?, run = ? WHERE id = ?",
            *place, canonical(read.reading.to_json()), run, number,
        )  # fmt: skip

    def set_header(self, number: int, header: Header, report: Report | None) -> None:
        """Enter another header and report."""
        self._change(
            "UPDATE images SET study = ?, patient = ?, metadata = ?, report = ?, report_keys = ? "
            "WHERE id = ?",
            header.study, header.patient, canonical(header.metadata.to_json()), _report(report),
            canonical(header.report_keys), number,
        )  # fmt: skip

    def set_document(self, number: int, pooled: dict[str, Any] | None, digest: str) -> None:
        """Enter what its study says, and the hash of its document."""
        self._change(
            "UPDATE images SET pooled = ?, document_hash = ? WHERE id = ?",
            canonical(pooled) if pooled else None, digest, number,
        )  # fmt: skip

    def set_hashes(self, hashes: Iterable[tuple[str, int]]) -> None:
        """Enter hashes of documents by number of the image."""
        self._change_each("UPDATE images SET document_hash = ? WHERE id = ?", hashes)

    def set_picture(self, image_ids: Iterable[str], there: bool) -> None:
        """Enter whether images have a thumbnail."""
        self._change_each(
            "UPDATE images SET thumbnail = ? WHERE image_id = ?", ((there, i) for i in image_ids)
        )

    def move(self, moves: Iterable[tuple[int, int, int, int]]) -> None:
        """Give vectors another place: new shard and row, old shard and row."""
        self._change_each("UPDATE images SET shard = ?, row = ? WHERE shard = ? AND row = ?", moves)

    def drop(self, image_ids: Iterable[str]) -> None:
        """Forget images; their files stay."""
        self._change_each("DELETE FROM images WHERE image_id = ?", ((i,) for i in image_ids))

    def drop_all(self) -> None:
        """Forget all images, their shards, and what waits to be done with them."""
        for table in ("outbox", "released", "images", "shards"):
            self._change(f"DELETE FROM {table}")


def new_row(read: Read, place: ShardRow, run: int, report: Report | None) -> ImageRow:
    """A new image as the ledger would give it back, without number, document and study.

    To the order of its keys, which decides between findings that are equally sure.
    """
    assert read.reading is not None
    header = read.header
    return _parsed(
        (
            0, read.image.image_id, header.study, header.patient,
            canonical(header.metadata.to_json()), canonical(read.reading.to_json()),
            _report(report), canonical(header.report_keys), "",
            read.image.thumbnail is not None, *place, run, None, None,
        )
    )  # fmt: skip


def _report(report: Report | None) -> str | None:
    return canonical(report.to_json()) if report else None


def _parsed(row: Sequence[Any]) -> ImageRow:
    number, image_id, study, patient, metadata, reading, report, keys, *rest = row
    digest, thumbnail, shard, place, run, pooled, events = rest
    return ImageRow(
        number, image_id, study, patient, orjson.loads(metadata), orjson.loads(reading),
        orjson.loads(report) if report else None, orjson.loads(keys), digest, bool(thumbnail),
        shard, place, run, orjson.loads(pooled) if pooled else None, parse_events(events),
    )  # fmt: skip
