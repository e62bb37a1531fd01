"""Copies of a database, consistent while it is being written, and archives that moved."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from indexer import advice
from indexer.database.access import set_modes
from indexer.database.cohorts.store import Cohorts
from indexer.database.durable import sync_folder, writing
from indexer.database.layout import Layout
from indexer.database.ledger.labels import LabelFile
from indexer.database.reader import DatabaseReader
from indexer.database.thumbnail_store import Thumbnails
from indexer.database.vectors.generation import current_path
from indexer.database.writer import Writer
from indexer.errors import DatabaseError

__all__ = ["back_up", "relocate"]

# A writer may merge shards while they are copied; then all is begun again.
_TRIES = 5


def back_up(path: Path, target: Path) -> int:
    """Copy a database to a new folder, as it is at one moment, and give its number of images.

    What is derived is built in the copy: its text store, where it is embedded, and its FAISS index
    where that cannot be copied. The words of a database in Elasticsearch are filled in again by the
    first `cxrdex sync` of the copy. To restore a copy, put it in the place of the database.

    Raises
    ------
    DatabaseError
        There is no database, the target is not new, or it cannot be written.
    DiskFullError
        There is no space for the copy.
    """
    source = Layout(path)
    source.read_manifest()
    _check_target(target)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            for left in reversed(range(_TRIES)):
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir(mode=0o700)
                try:
                    count = _copy(source, Layout(draft))
                    break
                except (FileNotFoundError, DatabaseError):
                    if not left:
                        raise
            set_modes(draft)
            if target.exists():
                target.rmdir()
            draft.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return count


def _check_target(target: Path) -> None:
    """Refuse a target in which something is, or in whose folder this user may not write."""
    right = "name a new folder for the copy, in one that this user may write"
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise DatabaseError(f"{target} is there already: name a new folder for the copy")
    except OSError as error:
        raise DatabaseError(
            f"{target} cannot be looked into ({error.strerror}): {right}"
        ) from error
    place = target.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise DatabaseError(f"{target} cannot be made, as {place} is no folder: {right}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise DatabaseError(f"{target} cannot be made, as {place} may not be written: {right}")


def _copy(source: Layout, target: Layout) -> int:
    manifest = source.manifest.read_bytes()
    target.embeddings.mkdir()
    target.vectors.mkdir()
    # Copied first: labels that the ledger has beyond this copy are added when the backup is opened.
    if source.labels.exists():
        labels = LabelFile(source.labels)
        try:
            labels.copy_to(target.labels)
        finally:
            labels.close()
    with DatabaseReader.open(source.root) as database:
        database.ledger.copy_to(target.ledger)
        for shard in database.ledger.shards.all():
            for file in shard.files(source.embeddings):
                shutil.copyfile(file, target.embeddings / file.name)
    if source.thumbnails.exists():
        pictures = Thumbnails(source.thumbnails)
        try:
            pictures.copy_to(target.thumbnails)
        finally:
            pictures.close()
    Cohorts(source.cohorts).copy_to(target.cohorts)
    if generation := current_path(source.vectors):
        try:
            shutil.copytree(generation, target.vectors / generation.name)
        except (OSError, shutil.Error):
            # A writer has replaced it by a newer index; that of the copy is built below.
            shutil.rmtree(target.vectors / generation.name, ignore_errors=True)
    if source.manifest.read_bytes() != manifest:
        raise DatabaseError(f"{source.root} was given another bundle while it was copied")
    target.manifest.write_bytes(manifest)
    embedded = json.loads(manifest)["text"] == "tantivy"
    with Writer.maintain(target.root, text="rebuilt" if embedded else "untouched") as writer:
        _settle_copy(writer, refill=not embedded)
        writer.build_vectors()
        return writer.ledger.images.count


def _settle_copy(writer: Writer, *, refill: bool) -> None:
    """Pictures were copied a moment later than the ledger: some may be gone, some too new."""
    writer.sweep_thumbnails()
    present = set(writer.thumbnails.ids())
    lost = [name for name in writer.ledger.images.with_picture() if name not in present]
    with writer.ledger.transaction():
        writer.ledger.images.set_picture(lost, there=False)
        if refill:
            writer.ledger.outbox.mark_refill()


def relocate(path: Path, old: str, new: str) -> int:
    """Tell a database that an archive has moved; gives how many files that are.

    Parameters
    ----------
    old
        Path of an archive, or of a folder that archives were in.
    new
        Where that is now.

    Raises
    ------
    DatabaseError
        No archive was at `old`, or files of an archive at `new` are in the database already.
    """
    with Writer.maintain(path, text="untouched") as writer:
        files = writer.ledger.files
        moves = {}
        for archive in files.archive_paths():
            if archive == old:
                moves[archive] = new
            elif archive.startswith(old.rstrip("/") + "/"):
                moves[archive] = new.rstrip("/") + archive[len(old.rstrip("/")) :]
        if not moves:
            known = ", ".join(files.archive_paths()) or "none"
            raise DatabaseError(f"{path} has no archive at {old}; it has: {known}")
        counts = files.by_archive()
        if taken := [place for place in moves.values() if counts.get(place)]:
            raise DatabaseError(
                f"{path} has files of {taken[0]} already, which was indexed at its new place: "
                f"{advice.prune(taken[0], old)} drops those of the old one"
            )
        with writing(path), writer.ledger.transaction():
            files.move_archives(moves)
            # Fingerprints of report folders go by path: the next run looks at all reports.
            writer.ledger.runs.forget_report_folders()
        return sum(counts.get(archive, 0) for archive in moves)
