"""Whether ledger, shards, FAISS, text store and thumbnails agree."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indexer import advice
from indexer.database.access import TO_WRITE, check_descriptors, check_readable, check_room
from indexer.database.checksums.folder import CHECKSUMS, Damage, check, is_whole
from indexer.database.checksums.kinds import check_kinds
from indexer.database.checksums.single import Seal, remembers_checksums
from indexer.database.cohorts.store import Cohorts
from indexer.database.layout import Layout
from indexer.database.ledger.labels import LabelFile
from indexer.database.reader import DatabaseReader
from indexer.database.studies import document_from_row, stale_studies
from indexer.database.text.documents import document_hash
from indexer.database.text.meanings import damaged
from indexer.database.text.store import open_text_store
from indexer.database.thumbnail_store import Thumbnails
from indexer.database.upkeep.problems import REBUILD, DatabasePart, Problem
from indexer.database.upkeep.vectors import disagreements
from indexer.database.vectors.shards import shard_checksum, vector_key
from indexer.errors import CxrdexError, DatabaseError, DatabaseMismatch, TextStoreUnavailable

__all__ = ["verify"]

_REREAD = f"{advice.REREAD}: those files are read anew"
_RESTORE = (
    "it cannot be made from anything else: restore the database from a backup, or index the "
    "archive into a new folder"
)
_TAKEN = (
    f"{advice.REPAIR}, which takes them from the ledger; what was said since the last "
    "command that wrote is lost unless a backup has it"
)
_NO_COHORTS = (
    "restore cohorts.sqlite from a backup, or delete it and cohorts.checksum.json with all cohorts"
)
_ANEW = f"{advice.REPAIR}, which writes it anew"


def verify(path: Path) -> list[Problem]:
    """Compare all stores of a database with its ledger; an empty list means that they agree.

    What a killed run left to be finished is no disagreement: the next run does it.

    Raises
    ------
    DatabaseLocked
        A run is writing it, or did so meanwhile, so that its stores cannot be seen to agree.
    DatabaseError, DatabaseMismatch
        It cannot be opened at all.
    DiskFullError
        There is no space to open its files.
    TextStoreUnavailable
        Elasticsearch does not answer, so that nothing can be said of it.
    """
    check_descriptors(TO_WRITE)
    layout = Layout(path)
    check_kinds(path)
    check_readable(path)
    check_room(path)
    with layout.still():
        problems = list(_checksums(layout))
        if any(problem.where in ("manifest", "ledger") for problem in problems):
            # The rest cannot be compared with it.
            return problems
        wrong = {problem.where for problem in problems}
        checks = {
            "ledger": _ledger,
            "shards": _shards,
            "vectors": _vectors,
            "text": _text,
            "thumbnails": _thumbnails,
            "cohorts": _cohorts,
            "labels": _labels,
            "semantic": _semantic,
        }
        with DatabaseReader.open(path) as database:
            for where, look in checks.items():
                if where not in wrong:
                    problems += look(database)
                if any((p.where, p.what) == ("ledger", "damaged") for p in problems):
                    break
        return problems


# ---- checks -------------------------------------------------------------------------------------


def _checksums(layout: Layout) -> Iterator[Problem]:
    """Files that are not what a writer left, by the first part of their names."""
    places: dict[str, tuple[DatabasePart, str]] = {
        "manifest.json": ("manifest", f"{advice.REPAIR}, which restores it"),
        "ledger.sqlite": ("ledger", _RESTORE),
        "thumbnails.sqlite": ("thumbnails", _REREAD),
        "text": ("text", REBUILD),
        "vectors": ("vectors", REBUILD),
    }
    is_lost = not (layout.root / CHECKSUMS).exists() and remembers_checksums(layout.root)
    if is_lost or not is_whole(layout.root):
        how = "missing" if is_lost else "damaged"
        detail = f"{CHECKSUMS} is {how}, so that nothing is known of the files beside it"
        yield Problem("text", "checksums", 0, detail, REBUILD)
    found: dict[str, Damage] = {}
    for damage in check(layout.root):
        part = damage.name.partition("/")[0]
        place = layout.root / part
        # Missing files are reported below, with the number of images that they affect.
        if part in ("manifest.json", "ledger.sqlite") or any(
            p.is_file() for p in (place, *place.rglob("*"))
        ):
            found.setdefault(part, damage)
    for part, damage in found.items():
        where, how = places[part]
        yield Problem(where, "damaged", 0, str(damage), how)
    if "manifest.json" not in found and (detail := layout.lost_manifest()):
        # Killed, a writer left no checksum of it, but the copy.
        yield Problem("manifest", "damaged", 0, detail, places["manifest.json"][1])


def _ledger(database: DatabaseReader) -> Iterator[Problem]:
    checks = database.ledger.checks
    if database.ledger.is_outdated:
        detail = "the ledger is of an earlier version, and its documents say less"
        yield Problem("ledger", "schema", len(database), detail)
        return
    if checks.is_damaged():
        yield Problem("ledger", "damaged", 0, "SQLite finds ledger.sqlite damaged", _RESTORE)
        return
    for what, count, detail in checks.ledger():
        yield Problem("ledger", what, count, detail)
    changed = sum(
        document_hash(document_from_row(row)) != row.document_hash for row in database.ledger.images
    )
    if changed:
        detail = f"{changed} documents differ from their hash"
        yield Problem("ledger", "document_hash", changed, detail)
    stale = sum(1 for _ in stale_studies(database.ledger, database.manifest))
    if stale:
        detail = f"{stale} studies do not say what their images say together"
        yield Problem("ledger", "pooled", stale, detail)


def _shards(database: DatabaseReader) -> Iterator[Problem]:
    for shard in database.ledger.shards.all():
        found = shard_checksum(database.layout.embeddings, shard.number)
        if found == shard.checksum:
            yield from _rows(database, shard.number)
            continue
        what = "missing" if found is None else "checksum"
        detail = f"shard {shard.number} is {'missing' if found is None else 'damaged'}"
        yield Problem("shards", what, shard.live, detail, _REREAD, shard.number)


def _rows(database: DatabaseReader, number: int) -> Iterator[Problem]:
    """Whether the keys of a shard are those of the ledger, row by row, and its vectors numbers."""
    ledger = database.ledger
    expected = np.array([vector_key(i) for i in ledger.images.in_shard(number)], np.int64)
    shards = ledger.shards.open(database.layout.embeddings, database.manifest.dimensions, [number])
    wrong = int((shards.keys != expected).sum())
    norms = np.linalg.norm(shards.rows(shards.positions), axis=1)
    wrong += int((~(np.isfinite(norms) & (norms > 0))).sum())
    if wrong:
        detail = f"{wrong} rows of shard {number} are not those of the ledger"
        yield Problem("shards", "rows", wrong, detail, _REREAD, number)


def _vectors(database: DatabaseReader) -> Iterator[Problem]:
    return (Problem("vectors", *found) for found in disagreements(database))


def _text(database: DatabaseReader) -> Iterator[Problem]:
    layout, manifest = database.layout, database.manifest
    if database.ledger.outbox.refill:
        return
    if manifest.text == "tantivy" and not layout.text.exists():
        if len(database):
            yield Problem("text", "missing", len(database), "the text store is missing")
        return
    try:
        store = open_text_store(
            manifest.text, layout.text, index=manifest.text_index, url=manifest.text_url
        )
        try:
            found = list(database.ledger.checks.texts(store.hashes()))
        finally:
            store.close()
    except TextStoreUnavailable:
        raise
    except DatabaseMismatch as error:
        how = advice.MIGRATE if manifest.text == "elasticsearch" else REBUILD
        yield Problem("text", "version", len(database), str(error), how)
        return
    except (CxrdexError, ValueError, RuntimeError) as error:
        # The library's message may quote what it could not read.
        why = error if isinstance(error, CxrdexError) else type(error).__name__
        yield Problem("text", "damaged", len(database), f"the text store cannot be read: {why}")
        return
    for what, count, detail in found:
        yield Problem("text", what, count, detail)


def _thumbnails(database: DatabaseReader) -> Iterator[Problem]:
    layout, checks = database.layout, database.ledger.checks
    try:
        pictures = Thumbnails(layout.thumbnails) if layout.thumbnails.exists() else None
        try:
            missing, unknown = checks.pictures(pictures.ids() if pictures else ())
        finally:
            if pictures:
                pictures.close()
    except (DatabaseError, sqlite3.DatabaseError):
        expected = sum(1 for _ in database.ledger.images.with_picture())
        detail = "thumbnails.sqlite is damaged"
        yield Problem("thumbnails", "damaged", expected, detail, _REREAD)
        return
    if missing:
        detail = f"{missing} images lack their thumbnail"
        yield Problem("thumbnails", "missing", missing, detail, _REREAD)
    last = database.last_run()
    if last is not None and last.state in ("running", "stopped"):
        return
    if unknown:
        detail = f"{unknown} thumbnails belong to no image, or to one that may not be shown"
        yield Problem("thumbnails", "unknown", unknown, detail)


def _cohorts(database: DatabaseReader) -> Iterator[Problem]:
    cohorts = Cohorts(database.layout.cohorts)
    if cohorts.seal.is_lost:
        detail = "cohorts.sqlite is missing, with all cohorts"
        yield Problem("cohorts", "missing", 0, detail, _NO_COHORTS)
        return
    found = []
    try:
        found = [
            Problem("cohorts", "damaged", count, detail, _NO_COHORTS)
            for count, detail in cohorts.damages()
        ]
    except (CxrdexError, sqlite3.DatabaseError) as error:
        detail = f"cohorts.sqlite cannot be read: {error}"
        found = [Problem("cohorts", "damaged", 0, detail, _NO_COHORTS)]
    if not found and (damage := cohorts.seal.damage()):
        detail = f"{damage}; every cohort is as it was written"
        found = [Problem("cohorts", "checksum", 0, detail, _ANEW)]
    yield from found


def _labels(database: DatabaseReader) -> Iterator[Problem]:
    path, count = database.layout.labels, len(database.ledger.labels.images())
    seal = Seal(path)
    if not path.exists():
        if count or seal.is_lost:
            detail = "labels.sqlite, which holds what people said of images, is missing"
            yield Problem("labels", "missing", count, detail, _TAKEN)
        return
    damage = seal.damage()
    try:
        file = LabelFile(path)
    except DatabaseError as error:
        yield Problem("labels", "damaged", count, str(error), _TAKEN)
        return
    try:
        if file.is_damaged() or (damage and damage.name == path.name):
            yield Problem("labels", "damaged", count, "labels.sqlite is damaged", _TAKEN)
        elif damage:
            yield Problem("labels", "checksum", 0, str(damage), _ANEW)
    finally:
        file.close()


def _semantic(database: DatabaseReader) -> Iterator[Problem]:
    for path in damaged(database.layout.semantic):
        name = path.relative_to(database.layout.root)
        detail = f"{name} is damaged; searches by meaning do not use it"
        yield Problem("semantic", "damaged", 0, detail)
