"""The one writer of a database: commits, and what is settled at the end of a run."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from indexer.archive.deidentify import Metadata
from indexer.database.choices import check_pooling, check_text, choose_text
from indexer.database.compaction import Compaction, Compactor, next_shard, register_shard
from indexer.database.durable import writing
from indexer.database.entry import Entry, Header
from indexer.database.layout import Layout, Manifest
from indexer.database.ledger.ledger import ImageRow, Ledger
from indexer.database.outbox import Outbox
from indexer.database.reader import document_of, pooled_of, shards_of, stale_studies
from indexer.database.text.documents import canonical, document_hash
from indexer.database.text.store import TextStore, is_outdated, open_text_store
from indexer.database.thumbnails import Thumbnails
from indexer.database.vectors.builder import build_vectors, needs_build
from indexer.database.vectors.generation import current_generation, remove_older
from indexer.database.vectors.shards import Shards, keys_of, remove_orphans, write_shard
from indexer.errors import DatabaseError, DatabaseMismatch

if TYPE_CHECKING:
    from indexer.archive.reports import Report
    from indexer.cascade.bundle import Bundle

__all__ = ["FindReport", "Writer"]

_log = logging.getLogger(__name__)

FindReport: TypeAlias = "Callable[[Sequence[str]], Report | None]"

_PAGE = 1000
_OWN_NAMES = frozenset({"writer.lock", "writer.pid", "embeddings", "vectors", "manifest.json.tmp"})


class Writer:
    """A database opened for writing; made by `open`.

    A commit is a shard (written, synced, renamed), then one transaction of the ledger, then the
    outbox is drained into the text store. Killed anywhere, `open` tidies up and the next run
    ends in the state of one that was never killed. While a text store does not answer, what is
    meant for it waits in the outbox.
    """

    def __init__(
        self,
        layout: Layout,
        manifest: Manifest,
        ledger: Ledger,
        thumbnails: Thumbnails,
        text: TextStore,
    ) -> None:
        self.layout = layout
        self.manifest = manifest
        self.ledger = ledger
        self.thumbnails = thumbnails
        self.text = text
        self.outbox = Outbox(layout, ledger, thumbnails, text)
        self._run = 0

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        bundle: Bundle | None,
        key: str | None,
        *,
        rebuild_text: bool = False,
        other_bundle: bool = False,
        text_store: str | None = None,
        elasticsearch_url: str | None = None,
        pool_studies: bool | None = None,
        untouched_text: bool = False,
    ) -> Iterator[Writer]:
        """Lock a database, or make it where there is none, and finish what a killed run left.

        Parameters
        ----------
        path
            The folder.
        bundle, key
            Bundle and fingerprint of the id key, which must fit; None to repair only.
        rebuild_text
            Throw the text store away and fill it again.
        other_bundle
            Take a database that was made with another bundle; `change_bundle` is to follow.
        text_store, elasticsearch_url
            ``"embedded"`` or ``"elasticsearch"``, and its address, for a database that is made
            now; one that exists must have them. None for Elasticsearch where an address is given
            or configured.
        pool_studies
            Whether the images of a study share their findings, of a database that is made now
            (None: they do); one that exists must do so, too, unless `change_bundle` is to follow.
        untouched_text
            Leave the text store alone for now; `Outbox.sync` or `Outbox.migrate` is to follow.

        Raises
        ------
        DatabaseLocked, DatabaseMismatch, DatabaseError, DiskFullError
            Each says what to do.
        """
        layout = Layout(path)
        checked = None if other_bundle else bundle
        if bundle is None or key is None or layout.manifest.exists():
            layout.check(layout.read_manifest(), checked, key)
        else:
            _refuse_foreign(path)
        with ExitStack() as stack:
            stack.enter_context(layout.lock())
            with writing(path):
                if bundle is not None and key is not None and not layout.manifest.exists():
                    kind, url, _ = choose_text(text_store, elasticsearch_url)
                    pool = pool_studies is not False
                    layout.create(Manifest.of(bundle, key, kind, url, pool_studies=pool))
                manifest = layout.read_manifest()
                layout.check(manifest, checked, key)
                check_text(layout, manifest, text_store, elasticsearch_url)
                if not other_bundle:
                    check_pooling(layout, manifest, pool_studies)
                layout.embeddings.mkdir(exist_ok=True)
                ledger = Ledger(layout.ledger, write=True)
                stack.callback(ledger.close)
                thumbnails = Thumbnails(layout.thumbnails, write=True)
                stack.callback(thumbnails.close)
                embedded = manifest.text == "tantivy"
                missing = embedded and ledger.images and not layout.text.exists()
                outdated = is_outdated(manifest.text, layout.text)
                if outdated:
                    _log.info("building the text index anew, as this version keeps more in it")
                if rebuild_text or missing or outdated:
                    ledger.mark_refill()
                    shutil.rmtree(layout.text, ignore_errors=True)
                text = open_text_store(
                    manifest.text,
                    layout.text,
                    create=True,
                    index=manifest.text_index,
                    url=manifest.text_url,
                )
                stack.callback(text.close)
                writer = cls(layout, manifest, ledger, thumbnails, text)
                writer._recover(untouched_text)
            yield writer

    # ---- runs -----------------------------------------------------------------------------------

    def begin_run(self) -> int:
        """Open a run in the ledger and give its number."""
        with self.ledger.transaction() as sql:
            cursor = sql.execute(
                "INSERT INTO runs (started, state, version, bundle) VALUES (?, 'running', ?, ?)",
                (_now(), version("cxrdex"), self.manifest.bundle),
            )
        self._run = int(cursor.lastrowid or 0)
        return self._run

    def end_run(self, state: Literal["complete", "interrupted"], counts: Mapping[str, int]) -> None:
        """Close the run that `begin_run` opened."""
        with writing(self.layout.root), self.ledger.transaction() as sql:
            sql.execute(
                "UPDATE runs SET finished = ?, state = ?, counts = ? WHERE id = ?",
                (_now(), state, canonical(dict(counts)), self._run),
            )

    def archive(self, path: str) -> int:
        """The number by which files refer to an archive."""
        with self.ledger.transaction() as sql:
            sql.execute("INSERT OR IGNORE INTO archives (path) VALUES (?)", (path,))
            row = sql.execute("SELECT id FROM archives WHERE path = ?", (path,)).fetchone()
        return int(row[0])

    def change_bundle(
        self, bundle: Bundle, archives: Sequence[str], pool_studies: bool | None = None
    ) -> None:
        """Make room for the readings of another bundle, which cannot stand beside the old ones.

        All images are dropped and their files become unread, so that the run that follows fills
        the database again; killed before its end, it is like any other run that was.

        Parameters
        ----------
        archives
            Paths of the archives that are going to be read.
        pool_studies
            Whether the images of a study share their findings from now on; None as before.

        Raises
        ------
        DatabaseMismatch
            Images of an archive that is not among them would be lost.
        """
        if bundle.hash == self.manifest.bundle:
            check_pooling(self.layout, self.manifest, pool_studies)
            return
        with self.ledger.lock:
            others = self.ledger.connection.execute(
                "SELECT path FROM archives a WHERE EXISTS (SELECT 1 FROM files f "
                "WHERE f.archive = a.id AND f.image_id IS NOT NULL) ORDER BY id"
            ).fetchall()
        missing = [path for (path,) in others if path not in set(archives)]
        if missing:
            raise DatabaseMismatch(
                f"the database {self.layout.root} also holds images of {', '.join(missing)}: "
                "to read it again with another bundle, name all its archives"
            )
        with writing(self.layout.root):
            with self.ledger.transaction() as sql:
                for table in ("outbox", "released", "images", "shards"):
                    sql.execute(f"DELETE FROM {table}")
                sql.execute("DELETE FROM files WHERE image_id IS NOT NULL")
                # Killed before its end, the next `open` empties the text store by this.
                sql.execute("INSERT OR REPLACE INTO meta VALUES ('refill', 1)")
            self.outbox.refill()
            self.sweep_thumbnails()
            self._remove_orphans()
            shutil.rmtree(self.layout.vectors, ignore_errors=True)
            before = self.manifest
            pool = before.thresholds is not None if pool_studies is None else pool_studies
            self.manifest = replace(
                Manifest.of(bundle, before.key, pool_studies=pool),
                created_with=before.created_with,
                text=before.text,
                text_index=before.text_index,
                text_url=before.text_url,
            )
            self.layout.create(self.manifest)

    # ---- commits --------------------------------------------------------------------------------

    def commit(self, entries: Sequence[Entry], find_report: FindReport | None = None) -> None:
        """Store what became of some files, in order, all or nothing.

        Parameters
        ----------
        entries
            At most one per file; of those with a reading at most one per image.
        find_report
            Gives the report filed under one of some keys.

        Raises
        ------
        DiskFullError, DatabaseError
            Nothing of it is stored then.
        """
        with writing(self.layout.root):
            pictures = [
                (e.image_id, e.thumbnail)
                for e in entries
                if e.image_id and e.thumbnail and self._wants_picture(e)
            ]
            if pictures:
                self.thumbnails.put(pictures)
            read = [e for e in entries if e.reading is not None]
            shard = self._write_shard(read)
            rows = {e.image_id: row for row, e in enumerate(read)}
            with self.ledger.transaction() as sql:
                if shard:
                    register_shard(sql, shard[0], len(read), shard[1])
                number = shard[0] if shard else 0
                studies: set[str] = set()
                for entry in entries:
                    place = (number, rows[entry.image_id]) if entry.reading is not None else None
                    studies |= self._store(sql, entry, place, find_report)
                self._publish(sql, studies)
        self.outbox.drain()

    def _write_shard(self, read: Sequence[Entry]) -> tuple[int, str] | None:
        if not read:
            return None
        number = next_shard(self.ledger)
        vectors = np.stack([e.reading.embedding for e in read if e.reading is not None])
        keys = keys_of([e.image_id for e in read if e.image_id])
        return number, write_shard(self.layout.embeddings, number, vectors, keys)

    def _wants_picture(self, entry: Entry) -> bool:
        """A picture is stored with a new image, or where it is missing and no file forbids it."""
        assert entry.image_id is not None
        row = self.ledger.image(entry.image_id)
        if row is None:
            return entry.reading is not None
        if row.thumbnail or self.ledger.owner(entry.image_id) != (entry.archive, entry.name):
            return False
        with self.ledger.lock:
            hidden = self.ledger.connection.execute(
                "SELECT 1 FROM files WHERE image_id = ? "
                "AND json_extract(identity, '$.metadata.burned_in')",
                (entry.image_id,),
            ).fetchone()
        return hidden is None

    def _store(
        self,
        sql: sqlite3.Connection,
        entry: Entry,
        place: tuple[int, int] | None,
        find_report: FindReport | None,
    ) -> set[str]:
        """Store what became of a file; gives the studies whose documents may have changed."""
        changed: set[str] = set()
        known = sql.execute(
            "SELECT id, image_id FROM files WHERE archive = ? AND name = ?",
            (entry.archive, entry.name),
        ).fetchone()
        if entry.outcome == "same":
            sql.execute(
                "UPDATE files SET size = ?, mtime_ns = ? WHERE archive = ? AND name = ?",
                (entry.size, entry.mtime_ns, entry.archive, entry.name),
            )
            return changed
        status: str = entry.outcome
        identity = None
        if entry.outcome == "image":
            assert entry.image_id is not None
            assert entry.header is not None
            row = self.ledger.image(entry.image_id)
            owner = self.ledger.owner(entry.image_id)
            if row is None and place is None:
                raise DatabaseError(f"the image {entry.image_id} has no reading")
            if row is None or owner == (entry.archive, entry.name):
                status = "done"
                changed = self._store_image(sql, entry, row, place, find_report)
            else:
                status, identity = "duplicate", entry.header.to_text()
                if entry.header.metadata.burned_in and row.thumbnail:
                    self._hide(sql, entry.image_id)
        sql.execute(
            "INSERT INTO files (archive, name, size, mtime_ns, checksum, status, reason, detail, "
            "image_id, identity, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (archive, name) DO UPDATE SET size = excluded.size, "
            "mtime_ns = excluded.mtime_ns, checksum = excluded.checksum, "
            "attempts = CASE WHEN status = 'failed' AND excluded.status = 'failed' "
            "THEN attempts + 1 ELSE 1 END, status = excluded.status, reason = excluded.reason, "
            "detail = excluded.detail, image_id = excluded.image_id, "
            "identity = excluded.identity, run = excluded.run",
            (
                entry.archive,
                entry.name,
                entry.size,
                entry.mtime_ns,
                entry.checksum,
                status,
                entry.reason,
                entry.detail,
                entry.image_id,
                identity,
                self._run,
            ),
        )
        if known and known[1] and known[1] != entry.image_id:
            sql.execute("INSERT OR IGNORE INTO released VALUES (?)", (known[1],))
        return changed

    def _store_image(
        self,
        sql: sqlite3.Connection,
        entry: Entry,
        row: ImageRow | None,
        place: tuple[int, int] | None,
        find_report: FindReport | None,
    ) -> set[str]:
        assert entry.image_id is not None
        assert entry.header is not None
        if row is not None:
            if place is not None and entry.reading is not None:
                sql.execute(
                    "UPDATE images SET shard = ?, row = ?, reading = ?, run = ? WHERE id = ?",
                    (*place, canonical(entry.reading.to_json()), self._run, row.number),
                )
            if entry.header.metadata.burned_in and row.thumbnail:
                self._hide(sql, entry.image_id)
            elif entry.thumbnail and not row.thumbnail:
                if self._wants_picture(entry):
                    sql.execute("UPDATE images SET thumbnail = 1 WHERE id = ?", (row.number,))
                else:
                    self._hide(sql, entry.image_id)
            return self._rewrite(sql, row, entry.header, find_report)
        assert entry.reading is not None
        assert place is not None
        header = entry.header
        report = find_report(header.report_keys) if find_report else None
        sql.execute(
            "INSERT INTO images (image_id, study, patient, metadata, reading, report, "
            "report_keys, document_hash, thumbnail, shard, row, run) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.image_id,
                header.study,
                header.patient,
                canonical(header.metadata.to_json()),
                canonical(entry.reading.to_json()),
                canonical(report.to_json()) if report else None,
                canonical(header.report_keys),
                # `_publish` makes the document.
                "",
                entry.thumbnail is not None,
                *place,
                self._run,
            ),
        )
        return {header.study}

    def _rewrite(
        self,
        sql: sqlite3.Connection,
        row: ImageRow,
        header: Header,
        find_report: FindReport | None,
    ) -> set[str]:
        """Give an image another header or report; gives the studies to `_publish`."""
        from indexer.archive.reports import Report

        report = find_report(header.report_keys) if find_report else None
        if report is None and row.report and row.study == header.study:
            report = Report.from_json(row.report)
        sql.execute(
            "UPDATE images SET study = ?, patient = ?, metadata = ?, report = ?, report_keys = ? "
            "WHERE id = ?",
            (
                header.study,
                header.patient,
                canonical(header.metadata.to_json()),
                canonical(report.to_json()) if report else None,
                canonical(header.report_keys),
                row.number,
            ),
        )
        return {row.study, header.study}

    def _publish(self, sql: sqlite3.Connection, studies: Iterable[str]) -> None:
        """Pool the readings of studies, and send the documents that differ from what was sent."""
        for study in sorted(studies):
            rows = self.ledger.images_of(study)
            pooled = pooled_of(rows, self.manifest.thresholds)
            for row in rows:
                document = document_of(replace(row, pooled=pooled))
                digest = document_hash(document)
                if pooled != row.pooled or digest != row.document_hash:
                    sql.execute(
                        "UPDATE images SET pooled = ?, document_hash = ? WHERE id = ?",
                        (canonical(pooled) if pooled else None, digest, row.number),
                    )
                if digest != row.document_hash:
                    self.outbox.add(sql, row.image_id, "upsert", canonical(document))

    def _hide(self, sql: sqlite3.Connection, image_id: str) -> None:
        sql.execute("UPDATE images SET thumbnail = 0 WHERE image_id = ?", (image_id,))
        self.outbox.add(sql, image_id, "hide")

    # ---- reports --------------------------------------------------------------------------------

    def report_state(self, path: str) -> str | None:
        """Fingerprint of a report folder when its reports were last attached to all images."""
        with self.ledger.lock:
            row = self.ledger.connection.execute(
                "SELECT fingerprint FROM report_folders WHERE path = ?", (path,)
            ).fetchone()
        return row[0] if row else None

    def update_reports(self, find_report: FindReport, states: Mapping[str, str]) -> int:
        """Attach new and changed reports to images of earlier runs; gives how many changed.

        An image whose report is not found keeps the one it has.

        Parameters
        ----------
        find_report
            Gives the report filed under one of some keys.
        states
            Fingerprints of the report folders by path, for `report_state`.
        """
        changed = 0
        batch: list[ImageRow] = []
        for row in self.ledger.iterate_images():
            if row.run == self._run:
                continue
            report = find_report(row.report_keys)
            if report is not None and canonical(report.to_json()) != canonical(row.report):
                batch.append(row)
            if len(batch) >= _PAGE:
                changed += self._rewrite_all(batch, find_report)
                batch = []
        changed += self._rewrite_all(batch, find_report)
        with writing(self.layout.root), self.ledger.transaction() as sql:
            sql.executemany("INSERT OR REPLACE INTO report_folders VALUES (?, ?)", states.items())
        return changed

    def rehash(self) -> int:
        """Send the documents again that are not what their hash, or their study, says."""
        wrong = (
            row
            for row in self.ledger.iterate_images()
            if document_hash(document_of(row)) != row.document_hash
        )
        count = 0
        while batch := list(islice(wrong, _PAGE)):
            count += self._rewrite_all(batch, None)
        stale = list(stale_studies(self.ledger, self.manifest.thresholds))
        with writing(self.layout.root), self.ledger.transaction() as sql:
            self._publish(sql, stale)
        self.outbox.drain()
        return count + len(stale)

    def _rewrite_all(self, rows: Sequence[ImageRow], find_report: FindReport | None) -> int:
        if rows:
            with writing(self.layout.root), self.ledger.transaction() as sql:
                studies: set[str] = set()
                for row in rows:
                    studies |= self._rewrite(sql, row, _header_of(row), find_report)
                self._publish(sql, studies)
            self.outbox.drain()
        return len(rows)

    # ---- pruning and settling -------------------------------------------------------------------

    def remove_files(self, archive: int, names: Sequence[str]) -> None:
        """Forget files; `settle` then drops the images that no file holds any more."""
        with writing(self.layout.root), self.ledger.transaction() as sql:
            for name in names:
                sql.execute(
                    "INSERT OR IGNORE INTO released SELECT image_id FROM files "
                    "WHERE archive = ? AND name = ? AND image_id IS NOT NULL",
                    (archive, name),
                )
                sql.execute("DELETE FROM files WHERE archive = ? AND name = ?", (archive, name))

    def settle(self, find_report: FindReport | None = None) -> int:
        """Decide what becomes of images that lost a file; gives how many were dropped.

        An image without files goes. One whose own file is gone is from now on read from the
        first of its duplicates.
        """
        dropped = 0
        while True:
            with self.ledger.lock:
                released = self.ledger.connection.execute(
                    f"SELECT image_id FROM released ORDER BY 1 LIMIT {_PAGE}"
                ).fetchall()
            if not released:
                break
            with writing(self.layout.root), self.ledger.transaction() as sql:
                studies: set[str] = set()
                for (image_id,) in released:
                    gone, changed = self._settle(sql, image_id, find_report)
                    dropped += gone
                    studies |= changed
                    sql.execute("DELETE FROM released WHERE image_id = ?", (image_id,))
                self._publish(sql, studies)
                sql.execute("DELETE FROM shards WHERE live = 0")
            self.outbox.drain()
        with writing(self.layout.root):
            self._remove_orphans()
        return dropped

    def _settle(
        self, sql: sqlite3.Connection, image_id: str, find_report: FindReport | None
    ) -> tuple[bool, set[str]]:
        """Tells whether the image was dropped, and which studies to `_publish`."""
        row = self.ledger.image(image_id)
        first = sql.execute(
            "SELECT id, status, identity FROM files WHERE image_id = ? "
            "ORDER BY status = 'duplicate', id LIMIT 1",
            (image_id,),
        ).fetchone()
        if first is None:
            if row is None:
                return False, set()
            sql.execute("DELETE FROM images WHERE image_id = ?", (image_id,))
            self.outbox.add(sql, image_id, "delete")
            return True, {row.study}
        number, status, identity = first
        if status == "duplicate" and row is not None:
            sql.execute("UPDATE files SET status = 'done', identity = NULL WHERE id = ?", (number,))
            return False, self._rewrite(sql, row, Header.from_text(identity), find_report)
        return False, set()

    def forget(self, image_ids: Sequence[str]) -> None:
        """Drop images and all their files, so that the next run reads these as new ones."""
        with writing(self.layout.root), self.ledger.transaction() as sql:
            studies = set(self.ledger.owners(image_ids, "study").values())
            for image_id in image_ids:
                sql.execute("DELETE FROM files WHERE image_id = ?", (image_id,))
                sql.execute("DELETE FROM images WHERE image_id = ?", (image_id,))
                self.outbox.add(sql, image_id, "delete")
            sql.execute("DELETE FROM shards WHERE live = 0")
            self._publish(sql, studies)
        self.outbox.drain()

    # ---- derived stores -------------------------------------------------------------------------

    def compact(self, *, everything: bool = False) -> Compaction:
        """Merge small shards once there are many; tells what was done.

        Parameters
        ----------
        everything
            Drop all dead rows, of the vector index too, and the files that held them. A reader
            that has not yet opened its vectors then has to refresh.
        """
        compactor = Compactor(self.layout, self.ledger, self.shards)
        with writing(self.layout.root):
            if not everything:
                return compactor.small()
            done = compactor.everything()
            now = current_generation(self.layout.vectors)
            lags = now is None or any(now.differs(self.ledger.shards()))
            self.build_vectors(always=lags)
            self._remove_orphans()
        return done

    def shards(self, numbers: Sequence[int] | None = None) -> Shards:
        """The committed shards, or some of them."""
        return shards_of(self.ledger, self.layout, self.manifest.dimensions, numbers)

    def build_vectors(self, *, always: bool = False) -> bool:
        """Build a FAISS generation where it is worth its time; tells whether it was."""
        shards = self.shards()
        if not always and not needs_build(self.layout.vectors, shards):
            return False
        with writing(self.layout.vectors):
            generation = build_vectors(self.layout.vectors, shards)
        _log.info("built a vector index of %d images (%s)", generation.count, generation.kind)
        return True

    def _recover(self, untouched_text: bool) -> None:
        with self.ledger.transaction() as sql:
            killed = sql.execute(
                "UPDATE runs SET state = 'stopped' WHERE state = 'running'"
            ).rowcount
        self._remove_orphans()
        if killed:
            _log.info("the last run was stopped before its end; going on from its last commit")
            self.sweep_thumbnails()
        if not untouched_text:
            self.outbox.drain()

    def _remove_orphans(self) -> None:
        known = {shard.number for shard in self.ledger.shards()}
        count = remove_orphans(self.layout.embeddings, known)
        if count:
            _log.info("removed %d files of shards that are not in use", count)
        remove_older(self.layout.vectors)

    def sweep_thumbnails(self) -> None:
        """Drop the pictures that no image owns."""
        with self.ledger.lock:
            sql = self.ledger.connection
            query = "SELECT 1 FROM images WHERE image_id = ? AND thumbnail"
            orphans = [i for i in self.thumbnails.ids() if not sql.execute(query, (i,)).fetchone()]
        self.thumbnails.drop(orphans)


def _header_of(row: ImageRow) -> Header:
    metadata = Metadata.from_json(row.metadata)
    return Header(row.study, row.patient, metadata, tuple(row.report_keys))


def _refuse_foreign(path: Path) -> None:
    """A folder that holds something else is most likely named by mistake."""
    try:
        names = {item.name for item in path.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise DatabaseError(f"{path} cannot hold a database: {error.strerror}") from error
    if names - _OWN_NAMES:
        raise DatabaseError(
            f"{path} is no database, but is not empty: name a new or an empty folder"
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
