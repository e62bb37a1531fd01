"""Taking over the ledger of another database, set by set, so that nothing of it passes Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer.database.ledger.shards import CommittedShards
from indexer.database.ledger.table import LedgerTable
from indexer.database.sqlite import address
from indexer.database.vectors.shards import Shard

__all__ = ["MergedParts", "Offsets"]

# Rows of the part that one transaction takes over.
_STEP = 50_000

# A file of the part, with the study and patient that its own header names.
_FILES = """
    SELECT f.*, a.own AS place, o.metadata, o.report_keys, i.run AS taken,
        coalesce(json_extract(f.identity, '$.study'), o.study) AS study,
        coalesce(json_extract(f.identity, '$.patient'), o.patient) AS patient
    FROM part.files f JOIN temp.part_archives a ON a.theirs = f.archive
    LEFT JOIN part.images o ON o.image_id = f.image_id
    LEFT JOIN images i ON i.image_id = f.image_id
    WHERE f.id > ?1 AND f.id <= ?1 + ?2 AND f.id NOT IN (SELECT id FROM temp.known_files)
"""
_GONE = (
    "(EXISTS (SELECT 1 FROM temp.gone) AND (('image', {0}.image_id) IN (SELECT kind, id FROM "
    "temp.gone) OR ('study', {0}.study) IN (SELECT kind, id FROM temp.gone) OR "
    "('patient', {0}.patient) IN (SELECT kind, id FROM temp.gone)))"
)
# As `Header.to_text` writes it: sorted keys, no blanks; pseudonyms need no escapes.
_IDENTITY = (
    """'{"metadata":' || metadata || ',"patient":"' || patient || '","report_keys":' || """
    """report_keys || ',"study":"' || study || '"}'"""
)


@dataclass(frozen=True, slots=True)
class Offsets:
    """What is added to the numbers of a part: those of its runs and of its shards."""

    runs: int
    shards: int


class MergedParts(LedgerTable):
    """The tables of a ledger that takes those of another one over."""

    @contextmanager
    def attached(self, path: Path) -> Iterator[None]:
        """Lay the ledger of a part beside this one, for reading."""
        self._change("ATTACH DATABASE ? AS part", address(path))
        try:
            for table in ("gone (kind, id, PRIMARY KEY (kind, id))", "known_files (id PRIMARY KEY)",
                          "touched (study PRIMARY KEY)",
                          "part_archives (theirs INTEGER PRIMARY KEY, own)"):  # fmt: skip
                self._change(f"DROP TABLE IF EXISTS temp.{table.split()[0]}")
                self._change(f"CREATE TEMP TABLE {table}")
            yield
        finally:
            self._change("DETACH DATABASE part")

    # ---- each in a transaction, in this order ---------------------------------------------------

    def take_frame(self, forgotten: frozenset[tuple[str, str]]) -> Offsets:
        """Take over runs, archives, shards and lists of names, and find the files that are known.

        Parameters
        ----------
        forgotten
            Kind and pseudonym of what must not come back, whichever part forgot it.
        """
        runs = int(self._value("SELECT coalesce(max(id), 0) FROM runs"))
        shards = int(self._value("SELECT value FROM meta WHERE key = 'shard'"))
        self._change(
            "INSERT INTO runs (id, started, finished, state, version, bundle, counts) SELECT "
            "id + ?, started, finished, CASE state WHEN 'running' THEN 'stopped' ELSE state END, "
            "version, bundle, counts FROM part.runs",
            runs,
        )
        self._change(
            "INSERT OR IGNORE INTO archives (path) SELECT path FROM part.archives ORDER BY id"
        )
        self._change(
            "INSERT INTO temp.part_archives SELECT p.id, a.id FROM part.archives p "
            "JOIN archives a USING (path)"
        )
        self._change(
            "INSERT INTO shards (number, rows, checksum) SELECT number + ?, rows, checksum "
            "FROM part.shards",
            shards,
        )
        self._change(
            "UPDATE meta SET value = value + 1 + (SELECT coalesce(max(number), 0) "
            "FROM part.shards) WHERE key = 'shard'"
        )
        # This matches no folder, so the next run compares all reports with all images.
        self._change(
            "INSERT OR IGNORE INTO report_folders SELECT path, '' FROM part.report_folders"
        )
        self._change("INSERT OR IGNORE INTO pruned_labels SELECT image_id FROM part.pruned_labels")
        self._change_each("INSERT INTO temp.gone VALUES (?, ?)", sorted(forgotten))
        self._find_known_files()
        return Offsets(runs, shards)

    def _find_known_files(self) -> None:
        """A file that both have counts as in the earlier part, unless it failed there alone."""
        shared = (
            "FROM part.files p JOIN temp.part_archives a ON a.theirs = p.archive "
            "JOIN files f ON f.archive = a.own AND f.name = p.name"
        )
        better = "f.status = 'failed' AND p.status <> 'failed'"
        self._change(f"INSERT INTO temp.known_files SELECT p.id {shared} WHERE NOT ({better})")
        self._change(f"DELETE FROM files WHERE id IN (SELECT f.id {shared} WHERE {better})")

    @property
    def known_files(self) -> int:
        """How many files of the part an earlier part has, too."""
        return int(self._value("SELECT count(*) FROM temp.known_files"))

    def steps(self, table: str) -> range:
        """Where the transactions begin that take over ``"images"`` or ``"files"``."""
        last = self._value(f"SELECT coalesce(max(id), 0) FROM part.{table}")
        return range(0, int(last), _STEP)

    def take_images(self, start: int, offsets: Offsets) -> int:
        """Take over the images that are new; gives how many an earlier part has."""
        kept = (
            f"p.id > ?1 AND p.id <= ?1 + ?2 AND NOT {_GONE.format('p')} AND "
            "(NOT EXISTS (SELECT 1 FROM temp.known_files) OR EXISTS (SELECT 1 FROM part.files f "
            "WHERE f.image_id = p.image_id AND f.id NOT IN (SELECT id FROM temp.known_files)))"
        )
        known = "EXISTS (SELECT 1 FROM images i WHERE i.image_id = p.image_id)"
        shared = self._value(
            f"SELECT count(*) FROM part.images p WHERE {kept} AND {known}", start, _STEP
        )
        self._change(
            "INSERT INTO images (image_id, study, patient, metadata, reading, report, report_keys, "
            "document_hash, thumbnail, shard, row, run, pooled) SELECT image_id, study, patient, "
            "metadata, reading, report, report_keys, document_hash, thumbnail, shard + ?3, row, "
            f"run + ?4, pooled FROM part.images p WHERE {kept} AND NOT {known} ORDER BY p.id",
            start, _STEP, offsets.shards, offsets.runs,
        )  # fmt: skip
        return int(shared)

    def take_files(self, start: int, offsets: Offsets, detail: str) -> None:
        """Take over files: those of images that an earlier part has become duplicates.

        Parameters
        ----------
        detail
            Why a file of an image that was forgotten is skipped.
        """
        last = int(self._value("SELECT coalesce(max(id), 0) FROM files"))
        self._change(
            f"WITH found AS ({_FILES}), judged AS (SELECT *, image_id IS NOT NULL AND "
            f"{_GONE.format('found')} AS gone FROM found) "
            "INSERT INTO files (archive, name, size, mtime_ns, checksum, status, reason, detail, "
            "attempts, image_id, identity, run) SELECT place, name, size, mtime_ns, checksum, "
            "CASE WHEN gone THEN 'skipped' WHEN status <> 'done' OR taken > ?3 THEN status "
            "ELSE 'duplicate' END, "
            "CASE WHEN gone THEN 'forgotten' ELSE reason END, "
            "CASE WHEN gone THEN ?4 ELSE detail END, attempts, "
            "CASE WHEN NOT gone THEN image_id END, "
            "CASE WHEN gone THEN NULL WHEN status = 'done' AND taken <= ?3 "
            f"THEN {_IDENTITY} ELSE identity END, run + ?3 "
            "FROM judged WHERE gone OR image_id IS NULL OR taken IS NOT NULL ORDER BY id",
            start, _STEP, offsets.runs, detail,
        )  # fmt: skip
        # If one file of an image says that text is burned in, no thumbnail of the image is shown.
        self._change(
            "UPDATE images SET thumbnail = 0 WHERE thumbnail AND image_id IN (SELECT image_id "
            "FROM files WHERE id > ? AND status = 'duplicate' "
            "AND json_extract(identity, '$.metadata.burned_in'))",
            last,
        )

    def take_rest(self, offsets: Offsets) -> None:
        """Note what is to be settled, and the studies that are no more what the part says."""
        self._change(
            "INSERT OR IGNORE INTO released SELECT image_id FROM part.released "
            "WHERE image_id IN (SELECT image_id FROM images)"
        )
        if self.known_files:
            self._change(
                "INSERT OR IGNORE INTO released SELECT image_id FROM images i WHERE run > ? AND "
                "NOT EXISTS (SELECT 1 FROM files f WHERE f.image_id = i.image_id "
                "AND f.status = 'done')",
                offsets.runs,
            )
        self._change(
            "INSERT OR IGNORE INTO temp.touched SELECT p.study FROM part.images p LEFT JOIN "
            "images i USING (image_id) WHERE i.image_id IS NULL OR i.run <= ?1 OR EXISTS "
            "(SELECT 1 FROM images e WHERE e.study = p.study AND e.run <= ?1)",
            offsets.runs,
        )
        self._change("DELETE FROM shards WHERE live = 0 AND number >= ?", offsets.shards)

    # ---- after that -----------------------------------------------------------------------------

    def touched_studies(self) -> Iterator[list[str]]:
        """Studies whose images the part does not have alone, or not all of them, some at a time."""
        last = ""
        while rows := self._all(
            "SELECT study FROM temp.touched WHERE study > ? ORDER BY study LIMIT 1000", last
        ):
            studies = [study for (study,) in rows]
            last = studies[-1]
            yield studies

    def taken_shards(self, shards: CommittedShards, offsets: Offsets) -> list[Shard]:
        """The shards of the part that are needed, by their own numbers there."""
        return [
            Shard(shard.number - offsets.shards, shard.rows, shard.live, shard.checksum)
            for shard in shards.all()
            if shard.number >= offsets.shards
        ]

    def wanted_pictures(self, image_ids: Sequence[str], offsets: Offsets) -> set[str]:
        """Those of some images that were taken over from the part and have a thumbnail."""
        rows = self._select_each(
            image_ids,
            f"SELECT image_id FROM images WHERE image_id IN ({{}}) AND thumbnail "
            f"AND run > {offsets.runs:d}",
        )
        return {image_id for (image_id,) in rows}
