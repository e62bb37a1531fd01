"""Several databases of parts of an archive, joined to one as if one run had read all parts."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from indexer import advice
from indexer.database.choices import Choices
from indexer.database.durable import sync_folder, write_durably, writing
from indexer.database.layout import Layout, Manifest
from indexer.database.ledger.merging import MergedParts, Offsets
from indexer.database.reader import DatabaseReader
from indexer.database.thumbnail_store import Thumbnails
from indexer.database.upkeep.merge_people import (
    CohortCount,
    LabelCount,
    merge_cohorts,
    merge_labels,
)
from indexer.database.vectors.shards import Shard, shard_checksum
from indexer.database.writer import Writer
from indexer.database.writing.documents import publish
from indexer.database.writing.labels import apply_new_labels
from indexer.database.writing.opening import opened_stores, refuse_foreign
from indexer.database.writing.stores import Stores
from indexer.errors import DatabaseError, DatabaseMismatch

__all__ = ["Merged", "merge"]

_log = logging.getLogger(__name__)

# Fields of the manifest that must be the same in all parts, and what messages call them.
_SAME = {
    "format": "the format",
    "bundle": "the bundle",
    "size": "pictures of the side",
    "squash": "squashed pictures:",
    "borders": "borders cut:",
    "dimensions": "vectors of the length",
    "key": "the id key",
    "thresholds": "studies pooled by the thresholds",
    "likely": "findings likely from",
    "likeness": "the likeness",
    "polarity": "the polarity",
}


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the parts.

    Parameters
    ----------
    parts, files, images
        How many databases there were, and what the new one has.
    shared_images
        Images that several parts had: in the new one their later files are duplicates.
    shared_files
        Files, by archive and name, that several parts had; each counts as in the first.
    studies_pooled
        Studies whose images lay in several parts or were duplicates, and which were pooled anew.
    labels, cohorts
        What people said and collected.
    waiting
        Documents that wait for a text store that does not answer.
    """

    parts: int
    files: int
    images: int
    shared_images: int
    shared_files: int
    studies_pooled: int
    labels: LabelCount
    cohorts: CohortCount
    waiting: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass(slots=True)
class _Counts:
    images: int = 0
    files: int = 0
    studies: int = 0


def merge(parts: Sequence[Path], target: Path, choices: Choices | None = None) -> Merged:
    """Join databases into a new one, in their order, without reading an image again.

    The new one is what one run over the archives of all parts, in that order, would have made:
    ids stay, of an image in several parts the first file counts, and studies are pooled anew. It is
    built beside `target` and renamed when it is complete: killed before, there is no database, and
    the same call begins anew. Parts are left as they are.

    Parameters
    ----------
    parts
        Folders of at least two databases.
    target
        A new or an empty folder.
    choices
        The text store and the vector store of the new database; None for the default ones. The
        parts' own may be any.

    Raises
    ------
    DatabaseMismatch
        Two parts were made differently, or by another version; both are named.
    DatabaseLocked
        A part is being written.
    DatabaseError
        A part is none or is damaged, one is named twice, or `target` is not new.
    DiskFullError
        There is no space for the new database.
    """
    choices = choices or Choices()
    kind, url = choices.text()
    _check_names(parts, target)
    draft = Layout(target.with_name(f".{target.name}.merging"))
    with ExitStack() as stack:
        databases = [_open_part(path, stack) for path in parts]
        manifest = replace(_common(databases, kind, url), vectors=choices.vectors)
        stack.enter_context(draft.lock())
        manifest = _begin(draft, manifest)
        try:
            with writing(target):
                done = _build(draft, manifest, databases)
                (draft.root / "writer.pid").unlink(missing_ok=True)
                if target.exists():
                    _empty(target)
                    target.rmdir()
                draft.root.rename(target)
                sync_folder(target.parent)
        except BaseException:
            # The manifest names the index on the server that the next try is to fill.
            _empty(draft.root, keep=draft.manifest.name if kind == "elasticsearch" else None)
            raise
    if draft.root.exists():
        shutil.rmtree(draft.root)
    return done


def _check_names(parts: Sequence[Path], target: Path) -> None:
    if len(parts) < 2:
        raise DatabaseError("to merge databases, name at least two of them")
    seen: dict[Path, Path] = {}
    for path in parts:
        if (other := seen.setdefault(path.resolve(), path)) is not path:
            raise DatabaseError(f"{path} is named twice (as {other}): name each database once")
    if Layout(target).is_made or target.resolve() in seen:
        raise DatabaseError(f"{target} is a database already: name a new folder for the merged one")
    refuse_foreign(target)


def _open_part(path: Path, stack: ExitStack) -> DatabaseReader:
    """A part at one moment; nobody writes it meanwhile, where that can be seen to."""
    layout = Layout(path)
    layout.read_manifest()
    if os.access(path, os.W_OK):
        stack.enter_context(layout.lock(existing=True))
    return stack.enter_context(DatabaseReader.open(path))


def _common(databases: Sequence[DatabaseReader], kind: str, url: str | None) -> Manifest:
    """The manifest of the new database; refuses parts that do not go together."""
    first = databases[0]
    for other in databases:
        if other.ledger.is_outdated:
            raise DatabaseMismatch(
                f"{other.layout.root} was made by an earlier version, and is to be merged with "
                f"{(databases[1] if other is first else first).layout.root}: bring it up to this "
                f"version with {advice.compact(other.layout.root)}"
            )
        for field, words in _SAME.items():
            one, two = getattr(first.manifest, field), getattr(other.manifest, field)
            if one != two:
                raise DatabaseMismatch(
                    f"{first.layout.root} and {other.layout.root} cannot be merged: the first was "
                    f"made with {words} {_shown(first.manifest, field)}, the other with "
                    f"{_shown(other.manifest, field)}; index one of them again as the other was"
                )
    return replace(first.manifest.for_text(kind, url), created_with=version("cxrdex"))


def _shown(manifest: Manifest, field: str) -> str:
    value = getattr(manifest, field)
    if field == "bundle":
        return f"{manifest.bundle_name} ({value})"
    if isinstance(value, dict):
        named = [f"{key} {number}" for key, number in sorted(value.items())]
        return ", ".join([*named[:3], *(["..."] if len(named) > 3 else [])])
    return "none" if value is None else str(value)


def _begin(draft: Layout, manifest: Manifest) -> Manifest:
    """Empty what a killed merge left, but go on with the index on the server that it filled."""
    if draft.manifest.exists() and manifest.text_index is not None:
        try:
            before = draft.read_manifest()
        except DatabaseError:
            # An incomplete file of a killed merge names no index.
            before = manifest
        if before.text_url == manifest.text_url and before.text_index is not None:
            manifest = replace(manifest, text_index=before.text_index)
    _empty(draft.root)
    with writing(draft.root):
        draft.create(manifest)
    return manifest


def _empty(folder: Path, keep: str | None = None) -> None:
    for path in folder.iterdir():
        if path.name in ("writer.lock", "writer.pid", keep):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _build(draft: Layout, manifest: Manifest, databases: Sequence[DatabaseReader]) -> Merged:
    forgotten = frozenset().union(*(one.ledger.forgotten.all() for one in databases))
    counts = _Counts()
    with opened_stores(draft, manifest) as stores:
        ledger = stores.ledger
        with ledger.transaction():
            # The text store is filled at the end, with what each document has become by then.
            ledger.outbox.mark_refill()
            for kind, name in forgotten:
                ledger.forgotten.add(kind, [name])
        for number, database in enumerate(databases, 1):
            _log.info("taking over part %d of %d", number, len(databases))
            _take(stores, database, forgotten, counts)
        labels = merge_labels(stores, databases)
        cohorts = merge_cohorts(stores, databases)
        apply_new_labels(stores)
        writer = Writer(stores)
        writer.settle()
        waiting = writer.outbox.finish()
        writer.compact()
        writer.build_vectors()
        return Merged(
            parts=len(databases),
            files=sum(ledger.files.counts().values()),
            images=ledger.images.count,
            shared_images=counts.images,
            shared_files=counts.files,
            studies_pooled=counts.studies,
            labels=labels,
            cohorts=cohorts,
            waiting=waiting,
        )


def _take(
    stores: Stores, database: DatabaseReader, forgotten: frozenset[tuple[Any, str]], counts: _Counts
) -> None:
    ledger = stores.ledger
    parts = MergedParts(ledger.connection, ledger.lock)
    with parts.attached(database.layout.ledger):
        with ledger.transaction():
            offsets = parts.take_frame(forgotten)
            counts.files += parts.known_files
        for start in parts.steps("images"):
            with ledger.transaction():
                counts.images += parts.take_images(start, offsets)
        for start in parts.steps("files"):
            with ledger.transaction():
                parts.take_files(start, offsets, advice.FORGOTTEN)
        with ledger.transaction():
            parts.take_rest(offsets)
        _copy_shards(stores, database, parts.taken_shards(ledger.shards, offsets), offsets)
        _copy_pictures(stores, database, parts, offsets)
        for studies in parts.touched_studies():
            with ledger.transaction():
                publish(stores, studies)
            counts.studies += len(studies)


def _copy_shards(
    stores: Stores, database: DatabaseReader, shards: Iterable[Shard], offsets: Offsets
) -> None:
    """Copy the files of shards, whose checksums stay what they were."""
    source, target = database.layout.embeddings, stores.layout.embeddings
    for shard in shards:
        new = replace(shard, number=shard.number + offsets.shards)
        for path, copy in zip(shard.files(source), new.files(target), strict=True):
            try:
                data = path.read_bytes()
            except OSError as error:
                raise DatabaseError(
                    f"{path} cannot be read ({error.strerror}): "
                    f"{advice.repair(database.layout.root)}"
                ) from error
            write_durably(copy, data)
        if shard_checksum(target, new.number) != shard.checksum:
            raise DatabaseError(
                f"{shard.files(source)[0]} is damaged: {advice.repair(database.layout.root)}"
            )


def _copy_pictures(
    stores: Stores, database: DatabaseReader, parts: MergedParts, offsets: Offsets
) -> None:
    if not database.layout.thumbnails.exists():
        return
    pictures = Thumbnails(database.layout.thumbnails)
    try:
        for page in pictures.pages():
            wanted = parts.wanted_pictures([name for name, _ in page], offsets)
            stores.thumbnails.put((name, picture) for name, picture in page if name in wanted)
    finally:
        pictures.close()
