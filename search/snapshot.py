"""One moment of a database for one request: ledger, text and vectors of the same commit.

A writer commits to the ledger first, and then brings the text store up to it (`outbox`). A moment
is whole where nothing waits in the outbox and the text store has not moved while the ledger was
opened. Requests that overlap share a moment; while the text store is brought up, they go on with
the one before. The last request to leave a moment ends its transaction, so that an idle server
never keeps the ledger's log from being folded in.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from indexer.database.layout import Layout, Manifest
from indexer.database.reader import DatabaseReader
from indexer.database.sqlite import connect
from indexer.database.text.documents import Document
from indexer.errors import NotFoundError, ShardMissing
from search.language.tree import Among, Prefix
from search.request import DIGITS, ImageId, is_id
from search.stores.backend import Backend, TextQuery
from search.stores.opening import open_backend, open_vectors

if TYPE_CHECKING:
    from search.stores.vectors import VectorStore

__all__ = ["Snapshot", "Snapshots"]

T = TypeVar("T")

# Seconds to wait until the text store has the documents of the last commit, longer than a commit of
# a thousand images takes. After that the snapshot is taken without them.
_PATIENCE = 2.0
_PAUSE = 0.02
# Compactions may remove shards while they are opened, so opening is tried this often.
_TRIES = 10
# So many vectors are compared in about 3 ms; to load FAISS with its GPU libraries takes 80 ms.
_FEW = 5_000


class Snapshot:
    """A database as it is at one moment; threads may share it.

    Attributes
    ----------
    database
        Its ledger at this moment.
    """

    def __init__(
        self,
        database: DatabaseReader,
        text: Backend | None,
        vectors: _VectorCache,
        version: int,
    ) -> None:
        self.database = database
        self._text = text
        self._vectors = vectors
        #: Version of the ledger just before this snapshot was taken.
        self.version = version
        #: Requests that use it.
        self.users = 0

    @property
    def manifest(self) -> Manifest:
        """What the database was made with."""
        return self.database.manifest

    @property
    def has_text(self) -> bool:
        """Whether it was opened with the text store."""
        return self._text is not None

    def has_current_text(self) -> bool:
        """Whether the text store has not changed since."""
        return self._text is None or self._text.is_current()

    @property
    def text(self) -> Backend:
        """The text store."""
        if self._text is None:
            raise RuntimeError("the snapshot was opened without the text store")
        return self._text

    @property
    def moment(self) -> Hashable | None:
        """Tells what words find now from what they find later; None where the text store cannot
        tell when it changes."""
        if self._text is None or self.manifest.text == "elasticsearch":
            return None
        return self.version, self._text.version, self.manifest.bundle

    def documents(self, ids: Sequence[str]) -> list[Document]:
        """Documents of images, in that order.

        An embedded text store that is open has them ready; the ledger makes each of its parts.
        """
        found: dict[str, Document] = {}
        if ids and self._text is not None and self.manifest.text != "elasticsearch":
            page = self._text.search(TextQuery(Among(tuple(ids)), limit=len(ids)))
            found = {document["id"]: document for _, document in page.hits}
        found |= {d["id"]: d for d in self.database.documents(i for i in ids if i not in found)}
        return [found[image] for image in ids if image in found]

    def vectors(self) -> VectorStore:
        """All vectors."""
        return self._vectors.of(self.database)

    def resolve(self, image: ImageId) -> str:
        """The id that an id, or the beginning of one, stands for.

        Raises
        ------
        NotFoundError
            No image, or more than one, has this id.
        """
        prefix = image.text.strip().lower()
        if not is_id(prefix):
            raise NotFoundError(
                f'"{image.text}" is no image id: ids are {DIGITS} hexadecimal digits, '
                "of which the first 6 may do"
            )
        if image.is_whole:
            if prefix not in self.database:
                raise NotFoundError(f"no image has the id {prefix}")
            return prefix
        keys = self.text.keys(Prefix(prefix, "id"))
        if len(keys) != 1:
            many, verb = (f"{len(keys)} images", "have") if len(keys) else ("no image", "has")
            raise NotFoundError(f"{many} {verb} an id that begins with {prefix}")
        from indexer.database.vectors.shards import id_from_key

        return id_from_key(int(keys[0]))


class _VectorCache:
    """The vectors of the newest moment, opened once for all requests of the same shards.

    Parameters
    ----------
    text
        Opens the text store, which may hold the vectors.
    """

    def __init__(self, text: Callable[[Manifest], Backend]) -> None:
        self._lock = threading.Lock()
        self._text = text
        self._known: tuple[object, VectorStore] | None = None

    def of(self, database: DatabaseReader) -> VectorStore:
        from indexer.database.vectors.generation import generations
        from indexer.database.vectors.index import Vectors

        folder = database.layout.vectors
        with self._lock:
            # A shard never changes, and a dead row stays dead, so that numbers and counts tell.
            shards = tuple(database.ledger.shards.all())
            manifest = database.manifest
            key = (manifest.bundle, shards, generations(folder)[:1])
            if self._known is None or self._known[0] != key:
                opened = database.ledger.shards.open(
                    database.layout.embeddings, manifest.dimensions
                )
                store = open_vectors(
                    manifest.vectors,
                    Vectors(folder, opened, few=_FEW),
                    manifest.dimensions,
                    lambda: self._text(manifest),
                )
                self._known = key, store
            return self._known[1]


class Snapshots:
    """The snapshots of one database; each request gets the newest.

    Parameters
    ----------
    path
        The database's folder.

    Raises
    ------
    DatabaseError
        There is no database, or it is damaged.
    DatabaseMismatch
        It has another format version.
    """

    def __init__(self, path: Path) -> None:
        self.layout = Layout(path)
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._vectors = _VectorCache(self._open_text)
        self._stamp = _stamp(self.layout.manifest)
        #: Open ledgers that no request uses.
        self._resting = [DatabaseReader.open(path)]
        self._resting[0].rest()
        #: The manifest when the database was opened.
        self.manifest = self._resting[0].manifest
        self._text: Backend | None = None
        self._watch: sqlite3.Connection | None = None
        self._current: Snapshot | None = None
        self._behind_since: float | None = None

    def close(self) -> None:
        """Close all files; no snapshot may be in use."""
        with self._lock:
            for database in self._resting:
                database.close()
            if self._watch is not None:
                self._watch.close()
            if self._text is not None:
                self._text.close()

    def ask(self, question: Callable[[Snapshot], T], *, text: bool) -> T:
        """What a question gives of the newest moment.

        Where a compaction has taken away a shard that was not opened yet, it is asked again of the
        moment after.

        Parameters
        ----------
        text
            As of `open`.

        Raises
        ------
        ShardMissing
            A shard is lost.
        """
        for _ in range(_TRIES - 1):
            with suppress(ShardMissing), self.open(text=text) as snapshot:
                return question(snapshot)
        with self.open(text=text) as snapshot:
            return question(snapshot)

    @contextmanager
    def open(self, *, text: bool) -> Iterator[Snapshot]:
        """The newest moment, for one request.

        Parameters
        ----------
        text
            Whether the text store will be asked; it is not opened before it is.
        """
        with self._lock:
            snapshot = self._newest(text)
            snapshot.users += 1
        try:
            yield snapshot
        except ShardMissing:
            with self._lock:
                # No other request may get it, whatever waits for the text store.
                if snapshot is self._current:
                    self._current = None
            raise
        finally:
            with self._lock:
                snapshot.users -= 1
                if not snapshot.users:
                    self._end(snapshot)

    def _newest(self, text: bool) -> Snapshot:
        current = self._current
        if current is not None and text and not current.has_text:
            current = None
        version = self._version()
        if current is not None and version == current.version and current.has_current_text():
            return current
        while True:
            snapshot = self._begin(text, version)
            if self._is_whole(snapshot):
                self._behind_since = None
                break
            self._behind_since = self._behind_since or time.monotonic()
            if time.monotonic() - self._behind_since > _PATIENCE:
                break
            self._end(snapshot)
            if current is not None:
                return current
            time.sleep(_PAUSE)
        self._current = snapshot
        return snapshot

    def _begin(self, text: bool, version: int) -> Snapshot:
        database = self._ledger()
        if text:
            self._open_text(database.manifest)
        # The text store first: it must not be ahead of the ledger.
        view = self._text.present() if self._text is not None else None
        database.refresh()
        return Snapshot(database, view, self._vectors, version)

    def _open_text(self, manifest: Manifest) -> Backend:
        """The text store, opened when it is first asked for."""
        with self._opening:
            if self._text is None:
                self._text = open_backend(
                    manifest.text,
                    self.layout.text,
                    index=manifest.text_index,
                    url=manifest.text_url,
                )
            return self._text

    def _is_whole(self, snapshot: Snapshot) -> bool:
        """Whether the text store has just what the ledger has."""
        if not snapshot.has_text or snapshot.manifest.text == "elasticsearch":
            # A server answers of its own moment, and documents may wait for it for long.
            return True
        return snapshot.database.ledger.outbox.is_empty and snapshot.has_current_text()

    def _ledger(self) -> DatabaseReader:
        """An open ledger, of the manifest as it is now."""
        if self._stamp != (stamp := _stamp(self.layout.manifest)):
            for database in self._resting:
                database.close()
            self._resting, self._stamp = [], stamp
        return self._resting.pop() if self._resting else DatabaseReader.open(self.layout.root)

    def _end(self, snapshot: Snapshot) -> None:
        snapshot.database.rest()
        self._resting.append(snapshot.database)
        if snapshot is self._current:
            self._current = None

    def _version(self) -> int:
        """Changes with every commit to the ledger."""
        if self._watch is None:
            self._watch = connect(self.layout.ledger)
        return int(self._watch.execute("PRAGMA data_version").fetchone()[0])


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
