"""Making the stores of a database agree again, and telling what was done and what is lost."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from indexer import advice
from indexer.database.access import TO_WRITE, check_descriptors, check_room
from indexer.database.checksums.folder import kept_manifest
from indexer.database.checksums.single import Seal
from indexer.database.cohorts.store import Cohorts
from indexer.database.durable import write_durably, writing
from indexer.database.layout import Layout
from indexer.database.text.meanings import damaged
from indexer.database.upkeep.problems import Problem, Repair, Repaired
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.errors import CxrdexError

__all__ = ["repair"]

_log = logging.getLogger(__name__)

_REREAD = f"{advice.AGAIN} with the options it was indexed with, which reads their files anew"
_BACKUP = "what was said since the last command that wrote is lost unless a backup has it"

_Tell: TypeAlias = Callable[[Repaired], None]


def repair(path: Path) -> Repair:
    """Mend what `verify` finds, and tell what was done and what it finds afterwards.

    Everything derived is built anew, from the ledger and the shards. Images whose vector or picture
    is lost are forgotten, so that the next run over their archive reads them again. The manifest is
    taken from the copy that the checksums hold. A damaged ledger cannot be mended: nothing else is
    changed then.

    Raises
    ------
    DatabaseLocked, DatabaseError, DatabaseMismatch, TextStoreUnavailable
        As `verify`; what was done before it is logged as a warning.
    DiskFullError
        There is no space for what is built anew.
    """
    check_descriptors(TO_WRITE)
    check_room(path)
    done: list[Repaired] = []
    try:
        _mend(path, done.append)
        return Repair(tuple(done), tuple(verify(path)))
    except CxrdexError:
        for one in done:
            _log.warning("%s", one)
        raise


def _mend(path: Path, tell: _Tell) -> None:
    layout = Layout(path)
    found = verify(path)
    if any(problem.where == "manifest" for problem in found):
        if not _restore_manifest(layout, tell):
            return
        found = verify(path)
    if any((problem.where, problem.what) == ("ledger", "damaged") for problem in found):
        return
    wrong = {problem.where for problem in found}
    kinds = {(problem.where, problem.what) for problem in found}
    if ("thumbnails", "damaged") in kinds:
        _remove(layout.thumbnails)
    is_new = bool({kind for kind in kinds if kind[0] == "labels"} - {("labels", "checksum")})
    if "labels" in wrong:
        Seal(layout.labels).forget()
        if is_new:
            _remove(layout.labels)
    if ("cohorts", "checksum") in kinds:
        Cohorts(layout.cohorts).renew()
        tell(Repaired("cohorts", "checksums", 0, "cohorts.checksum.json was written anew"))
    _drop_meanings(layout, tell)
    if "vectors" in wrong:
        shutil.rmtree(layout.vectors, ignore_errors=True)
    kept_there = "vectors" in wrong and layout.read_manifest().vectors == "elasticsearch"
    text: Literal["rebuilt", "drained"]
    text = "rebuilt" if "text" in wrong or kept_there else "drained"
    with Writer.maintain(path, text=text) as writer, writing(path):
        if "labels" in wrong:
            _tell_labels(writer, tell, is_new=is_new)
        if "ledger" in wrong:
            _mend_ledger(writer, found, tell)
        if "shards" in wrong:
            _drop_shards(writer, found, tell)
        if "thumbnails" in wrong:
            _mend_thumbnails(writer, tell)
        if text == "rebuilt" and not writer.ledger.outbox.refill:
            held = "documents and vectors" if kept_there else "documents"
            count = writer.ledger.images.count
            detail = f"the text store was filled anew from the ledger: {count} {held}"
            tell(Repaired("text", "rebuilt", count, detail))
        if wrong & {"vectors", "shards"} and writer.build_vectors(always=True):
            count = writer.ledger.images.count
            detail = f"the vector index was built anew from the shards: {count} images"
            tell(Repaired("vectors", "rebuilt", count, detail))
    if ("text", "checksums") in kinds:
        tell(Repaired("text", "checksums", 0, "checksums.json was written anew"))


def _restore_manifest(layout: Layout, tell: _Tell) -> bool:
    kept = kept_manifest(layout.root)
    if kept is None:
        return False
    with layout.lock(existing=True), writing(layout.root):
        write_durably(layout.manifest, kept.encode())
    detail = "manifest.json was restored from its copy in checksums.json"
    tell(Repaired("manifest", "restored", 0, detail))
    return True


def _remove(path: Path) -> None:
    """Remove an SQLite file with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _drop_meanings(layout: Layout, tell: _Tell) -> None:
    gone = damaged(layout.semantic)
    for vectors in gone:
        vectors.unlink(missing_ok=True)
    if gone:
        names = ", ".join(str(vectors.relative_to(layout.root)) for vectors in gone)
        detail = f"{names} was removed; a search by meaning, or the next run, makes it again"
        tell(Repaired("semantic", "rebuilt", 0, detail))


def _tell_labels(writer: Writer, tell: _Tell, *, is_new: bool) -> None:
    """Opening them for writing has made them anew."""
    if is_new:
        count = len(writer.ledger.labels.images())
        detail = f"labels.sqlite was made anew from the ledger, with labels of {count} images"
        tell(Repaired("labels", "rebuilt", count, f"{detail}; {_BACKUP}"))
    else:
        tell(Repaired("labels", "checksums", 0, "labels.checksum.json was written anew"))


def _mend_ledger(writer: Writer, found: Sequence[Problem], tell: _Tell) -> None:
    ledger = writer.ledger
    unknown = ledger.checks.images_of_no_file()
    writer.drop_images(unknown)
    with ledger.transaction():
        ledger.files.release_orphans()
        ledger.shards.count_again()
    dropped = writer.settle()
    written = writer.rehash()
    if unknown:
        detail = f"the entries of files of {len(unknown)} images that are not there were dropped"
        tell(Repaired("ledger", "lost", len(unknown), detail, _REREAD))
    if dropped:
        detail = f"{dropped} images that no file is read as were dropped"
        tell(Repaired("ledger", "lost", dropped, detail, _REREAD))
    if any((p.where, p.what) == ("ledger", "schema") for p in found):
        tell(Repaired("ledger", "rebuilt", 0, "the ledger was brought up to this version"))
    if any((p.where, p.what) == ("ledger", "shard_count") for p in found):
        tell(Repaired("ledger", "rebuilt", 0, "the images of each shard were counted again"))
    if written:
        detail = f"{written} documents and studies were worded anew from readings and reports"
        tell(Repaired("ledger", "rebuilt", written, detail))


def _drop_shards(writer: Writer, found: Sequence[Problem], tell: _Tell) -> None:
    lost = {problem.shard: problem.detail for problem in found if problem.shard is not None}
    for number, why in sorted(lost.items()):
        images = writer.ledger.images.in_shard(number)
        writer.drop_images(images)
        detail = f"{why}: its {len(images)} images were dropped, as their vectors are lost"
        tell(Repaired("shards", "lost", len(images), detail, _REREAD, number))
    writer.settle()


def _mend_thumbnails(writer: Writer, tell: _Tell) -> None:
    unknown = writer.sweep_thumbnails()
    if unknown:
        detail = f"{unknown} thumbnails that no image has were removed"
        tell(Repaired("thumbnails", "rebuilt", unknown, detail))
    present = set(writer.thumbnails.ids())
    lost = [name for name in writer.ledger.images.with_picture() if name not in present]
    with writer.ledger.transaction():
        writer.ledger.images.set_picture(lost, there=False)
        # The next run reads the files of these images again.
        writer.ledger.files.read_again(lost)
    if lost:
        detail = f"the thumbnails of {len(lost)} images are lost"
        tell(Repaired("thumbnails", "lost", len(lost), detail, _REREAD))
