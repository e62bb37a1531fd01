"""The embedded text store: one tantivy index in a folder, and the schema both sides read it by."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import advice
from indexer.database.access import share
from indexer.database.checksums.folder import check_open
from indexer.database.durable import sync_files, sync_folder
from indexer.database.text.documents import Document, canonical, text_hash
from indexer.database.text.schema import (
    COUNTED,
    NUMBERS,
    PLAIN,
    STEMMED,
    TEXTS,
    Statement,
    analyzer,
    field_name,
    field_values,
)
from indexer.database.text.tantivy.facet_columns import FacetColumns
from indexer.database.text.tantivy.mirror import Mirror
from indexer.database.text.tantivy.schema import schema, terms
from indexer.errors import DatabaseError, DatabaseMismatch, DiskFullError

if TYPE_CHECKING:
    import tantivy

__all__ = [
    "SCHEMA_VERSION",
    "EmbeddedTextStore",
    "is_outdated",
]

SCHEMA_VERSION = 6

_VERSION_FILE = "schema.json"
_HEAP_BYTES = 50_000_000
# Seconds for which another writer is waited for, and between two tries.
_ENDING, _PAUSE = 5.0, 0.05
_REBUILD = f"{advice.REPAIR}, which builds the text index again"


class EmbeddedTextStore:
    """Writer of a tantivy index (a `text.store.TextStore`), and a reader's way to it.

    Readers see commits only, and each `apply` is one. The writer, and with it the index's write
    lock, is taken at the first change.

    Parameters
    ----------
    path
        The index's folder.
    create
        Make the folder and the index where there is none.

    Attributes
    ----------
    index
        The `tantivy.Index`; its searcher is renewed by `refresh`.
    columns
        Where the facets of the searcher's documents are counted.
    seen
        `stamp` of the commit that `refresh` has seen.

    Raises
    ------
    DatabaseMismatch
        The index has another schema version.
    DatabaseError
        The index is missing, damaged or unwritable.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        import tantivy

        self.path = path
        self._writer: tantivy.IndexWriter | None = None
        self._written = self.columns = FacetColumns()
        try:
            if create:
                _create(path)
            else:
                check_open(path.parent, f"{path.name}/")
            _check_version(path)
            # A folder that cannot be written is read through a mirror, as tantivy needs to place
            # locks.
            readable = create or os.access(path, os.W_OK)
            self._mirror = None if readable else Mirror(path)
            self.index = tantivy.Index.open(str(self._mirror.folder if self._mirror else path))
        except (OSError, ValueError) as error:
            raise _error(path, error) from error
        self.index.register_tokenizer(STEMMED, analyzer())
        self.index.register_tokenizer(PLAIN, analyzer(plain=True))
        self.index.config_reader("manual")
        self.seen: tuple[int, int] | None = None
        self.refresh()

    def prepare(self, fresh: Callable[[], None]) -> None:
        """Nothing to do: opening the store made it ready."""

    def finish(self) -> None:
        """Nothing to do: each `apply` is seen at once."""

    def refresh(self) -> None:
        """Let searchers see the newest commit, of whichever process."""
        while (stamp := self.stamp()) != self.seen:
            try:
                if self._mirror is not None:
                    self._mirror.sync()
                self.index.reload()
                # Loaded after the index: a commit writes the columns first.
                self.columns = FacetColumns.load(self.path)
                self.seen = stamp
            except (OSError, ValueError) as error:
                # Another commit may have deleted the files of the one that was being opened.
                if stamp == self.stamp():
                    raise _error(self.path, error) from error

    def stamp(self) -> tuple[int, int]:
        """Changes with every commit, of whichever process."""
        try:
            status = (self.path / "meta.json").stat()
        except OSError as error:
            raise _error(self.path, error) from error
        return status.st_mtime_ns, status.st_ino

    def apply(self, upserts: Iterable[Document], deletes: Iterable[str]) -> None:
        """Write documents and drop ids in one commit; on disk when this returns."""
        writer = self._open_writer()
        try:
            for image_id in deletes:
                writer.delete_documents_by_term("id", image_id)
            for document in upserts:
                writer.delete_documents_by_term("id", document["id"])
                writer.add_document(_tantivy_document(document, self._written))
            self._written.save(self.path)
            writer.commit()
        except BaseException as error:
            self._abandon_writer()
            if isinstance(error, OSError | ValueError):
                raise _error(self.path, error, writing=True) from error
            raise
        self._share()
        self.refresh()

    def _share(self) -> None:
        """tantivy writes these anew at each commit, and for its user alone."""
        for name in ("meta.json", ".managed.json"):
            share(self.path / name)

    def hashes(self) -> Iterator[tuple[str, str]]:
        """Every document's id and hash, ordered by id."""
        import tantivy

        self.refresh()
        searcher = self.index.searcher()
        slices = 1 + searcher.num_docs // 20_000
        # A slice of the key range at a time, so that memory stays flat.
        bounds = [(1 << 64) * i // slices for i in range(slices + 1)]
        for low, high in itertools.pairwise(bounds):
            query = tantivy.Query.range_query(
                schema(), "key", tantivy.FieldType.Unsigned, low, high - 1
            )
            hits = searcher.search(
                query,
                limit=searcher.num_docs or 1,
                order_by_field="state",
                order=tantivy.Order.Asc,
            ).hits
            for state, _ in hits:
                image_id, _, digest = str(state).partition(":")
                yield image_id, digest

    def clear(self) -> None:
        """Drop all documents, durably."""
        writer = self._open_writer()
        try:
            writer.delete_all_documents()
            writer.commit()
        except (OSError, ValueError) as error:
            self._abandon_writer()
            raise _error(self.path, error, writing=True) from error
        self.refresh()

    def wipe(self, documents: Iterable[Document]) -> None:
        """Write the whole index anew, in one commit, where it keeps anything that was deleted."""
        if not self._keeps_deleted():
            return
        writer = self._open_writer()
        try:
            writer.delete_all_documents()
            self._written.begin_rewrite()
            for document in documents:
                writer.add_document(_tantivy_document(document, self._written))
            self._written.save(self.path)
            writer.commit()
            self._written.end_rewrite()
            self._written.save(self.path)
            self._share()
            self.refresh()
            # The searcher that still held the old files is gone by now.
            writer.garbage_collect_files()
        except BaseException as error:
            self._abandon_writer()
            if isinstance(error, OSError | ValueError):
                raise _error(self.path, error, writing=True) from error
            raise

    def _keeps_deleted(self) -> bool:
        """Whether a segment has deleted documents, or a file of none of them lies about."""
        try:
            segments = json.loads((self.path / "meta.json").read_text())["segments"]
        except (OSError, ValueError, KeyError) as error:
            raise _error(self.path, ValueError("meta.json is damaged")) from error
        known = {str(segment["segment_id"]).replace("-", "") for segment in segments}
        found = {path.name.partition(".")[0] for path in self.path.glob("*.store")}
        return bool(found - known) or any(segment["deletes"] for segment in segments)

    def close(self) -> None:
        """Wait for merges and release the write lock."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.wait_merging_threads()
            except (OSError, ValueError) as error:
                raise _error(self.path, error, writing=True) from error

    def _open_writer(self) -> tantivy.IndexWriter:
        until = time.monotonic() + _ENDING
        while self._writer is None:
            try:
                self._writer = self.index.writer(_HEAP_BYTES, 1)
                # Of a commit that was killed, tantivy would meet the lists of deleted documents
                # again, under the same names, and refuse to write over them.
                self._writer.garbage_collect_files()
                self._written = FacetColumns.load(self.path)
            except (OSError, ValueError) as error:
                # A process that wrote for one that was just killed ends in a moment.
                if "lockfile" in str(error).lower() and time.monotonic() < until:
                    time.sleep(_PAUSE)
                    continue
                raise _error(self.path, error, writing=True) from error
        return self._writer

    def _abandon_writer(self) -> None:
        """Drop what is uncommitted; a writer that failed cannot be used again."""
        writer, self._writer = self._writer, None
        del writer


def _create(path: Path) -> None:
    """Make an empty index where there is none; it has its place only when it is whole."""
    import tantivy

    if path.exists() and tantivy.Index.exists(str(path)):
        return
    draft = path.with_name(f"{path.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    FacetColumns().save(draft, always=True)
    with (draft / _VERSION_FILE).open("w") as file:
        json.dump({"version": SCHEMA_VERSION}, file)
    tantivy.Index(schema(), path=str(draft))
    sync_files(draft)
    # What is left of one that was being taken away.
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)
    sync_folder(path.parent)


def is_outdated(path: Path) -> bool:
    """Whether an index of an earlier schema is there, which has to be built anew."""
    try:
        version = _version(path)
    except (OSError, ValueError):
        return False
    return isinstance(version, int) and version < SCHEMA_VERSION


def _version(path: Path) -> object:
    try:
        return json.loads((path / _VERSION_FILE).read_text())["version"]
    except (KeyError, TypeError):
        return None


def _check_version(path: Path) -> None:
    try:
        version = _version(path)
    except FileNotFoundError:
        raise DatabaseError(f"there is no text index at {path}; {_REBUILD}") from None
    if version != SCHEMA_VERSION:
        raise DatabaseMismatch(
            f"the text index at {path} has schema version {version}, this cxrdex writes version "
            f"{SCHEMA_VERSION}; {_REBUILD}"
        )


def _error(path: Path, error: Exception, *, writing: bool = False) -> DatabaseError | DiskFullError:
    """What tantivy or the system says of the folder, in our words."""
    # Cut at the first quote, as the error may quote a report's text; the path is named below.
    reason = re.split("[\"'`\n\r]", str(error))[0].rstrip(" :") or type(error).__name__
    full = getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in reason.lower()
    # tantivy's writer thread dies of a full disk and says only that it was killed.
    if full or (path.exists() and shutil.disk_usage(path).free < 1 << 20):
        return DiskFullError(f"no space is left for the text index at {path}")
    if "lockfile" in reason.lower():
        return DatabaseError(f"another process is writing the text index at {path}")
    if writing:
        return DatabaseError(f"the text index at {path} cannot be written: {reason}")
    return DatabaseError(f"the text index at {path} cannot be used: {reason}; {_REBUILD}")


def _tantivy_document(document: Document, columns: FacetColumns) -> tantivy.Document:
    import tantivy

    text = canonical(document)
    fields: dict[str, Any] = {
        "id": document["id"],
        "state": f"{document['id']}:{text_hash(text)}",
        "document": text.encode("utf-8", "surrogatepass"),
        "study": document["study"],
        "patient": document["patient"],
    }
    for name in NUMBERS:
        if (number := document[name]) is not None:  # type: ignore[literal-required]
            fields[name] = number
    values = field_values(document)
    values |= {field_name(name, plain=True): values[name] for name in TEXTS if name in values}
    findings: dict[str, None] = {}
    pairs: dict[str, None] = {}
    for annotation in document["annotations"]:
        finding, joint = terms(Statement.of(annotation))
        findings[finding] = None
        pairs |= dict.fromkeys(joint)
    values |= {"finding": list(findings), "joint": list(pairs)}
    for name, entries in values.items():
        fields[name] = [
            v if v.isascii() else v.encode("utf-8", "replace").decode() for v in entries
        ]
    counted = {name: fields[name] for name in COUNTED if fields.get(name)}
    numbers = columns.numbers({n: [v] if isinstance(v, str) else v for n, v in counted.items()})
    made = tantivy.Document(**fields)
    for name, number in {"key": int(document["id"], 16), **numbers}.items():
        made.add_unsigned(name, number)
    return made
