"""The Elasticsearch text store: the writer that fills an index behind an alias."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.answers import REFILL, check_whole
from indexer.database.text.elasticsearch.bulk import (
    Backoff,
    BulkAction,
    bulk_actions,
    chunks,
    index_action,
    undone,
)
from indexer.database.text.elasticsearch.indices import Indices, index_number
from indexer.database.text.elasticsearch.schema import check_version
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.vectors import (
    DIGEST,
    FIELD,
    DocumentVectors,
    check_dimensions,
)
from indexer.errors import CxrdexError, DatabaseError, TextStoreUnavailable

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["ElasticsearchTextStore"]

_log = logging.getLogger(__name__)

_Json: TypeAlias = dict[str, Any]

_PAGE = 5_000
_KEEP_ALIVE = "5m"
_CONNECT_SECONDS = 5.0
_MERGE_SECONDS = 3600.0
# Documents whose vectors are looked up at once.
_LOOKED_UP = 500


class _TooLarge(Exception):  # noqa: N818
    """The server (or a proxy before it) does not take a request of this size."""


class ElasticsearchTextStore:
    """Writer of an index in Elasticsearch (`indexer.database.text.store.TextStore`).

    Nothing is asked of the server before the first call. `index` is an alias; behind it stands
    ``<index>-000001`` or a later number. A document's `_id` is its image id, so that writing it
    twice changes nothing.

    Parameters
    ----------
    client
        The official client; `close` closes it.
    index
        The alias.
    patience
        Seconds for which a request is tried again while nothing of it gets through.
    shards
        Parts of an index that is made now.
    embeddings
        The vectors that documents get; None where they get none.
    """

    def __init__(
        self,
        client: Elasticsearch,
        index: str,
        *,
        patience: float = 30.0,
        shards: int = 1,
        embeddings: DocumentVectors | None = None,
    ) -> None:
        self.client = client
        self.index = index
        self.patience = patience
        self.embeddings = embeddings
        self._indices = Indices(client, index, shards, embeddings)
        self._fits = embeddings is None
        self._ready = False
        self._loading = False
        self._changed = False

    @classmethod
    def connect(
        cls, index: str, default_url: str | None = None, embeddings: DocumentVectors | None = None
    ) -> ElasticsearchTextStore:
        """The store of an index on the server that the settings name.

        Raises
        ------
        DatabaseError
            The settings name no server, or are malformed.
        """
        found = ElasticsearchSettings.load(default_url)
        return cls(found.client(), index, shards=found.shards, embeddings=embeddings)

    # ---- the protocol ---------------------------------------------------------------------------

    def prepare(self, fresh: Callable[[], None] = lambda: None) -> None:
        """Make the index where there is none, and undo what a killed load left.

        Asks once and does not wait long: it tells whether the server is there.

        Parameters
        ----------
        fresh
            Called before an index is made.

        Raises
        ------
        TextStoreUnavailable
            The server does not answer.
        DatabaseMismatch
            The index has another mapping version.
        """
        if self._ready:
            self._indices.ask(
                lambda client: client.options(request_timeout=_CONNECT_SECONDS).info()
            )
            return
        physical = self._indices.physical()
        if physical is None:
            fresh()
            self._indices.put_template()
            self._indices.drop(self._indices.leftovers(None))
            self._indices.create(1, alias=True)
            self._indices.begin_load(self._indices.name(1))
            self._loading = self._fits = True
        else:
            check_version(self._indices.meta(physical), self.index)
            self._indices.end_load(physical)
            self._loading = False
        self._ready = True

    def apply(self, upserts: Iterable[Document], deletes: Iterable[str]) -> None:
        """Write documents and drop ids; on the server's disk when this returns.

        Raises
        ------
        TextStoreUnavailable
            The server does not answer or takes nothing; some of it may be written.
        DatabaseError
            The server refuses a document, or there is no index.
        """
        self._check_vectors()
        self._apply(self.index, self._actions(upserts), deletes)

    def _check_vectors(self) -> None:
        """Refuse an index that cannot take the vectors, once."""
        physical = None if self._fits else self._indices.physical()
        if physical is not None and self.embeddings is not None:
            mapping = self._indices.mapping(physical)
            check_dimensions(mapping, self.embeddings.dimensions, self.index)
            self._fits = True

    def resize(self, dimensions: int) -> None:
        """Vectors have another length from now on; `clear` is to follow."""
        if self.embeddings is not None:
            self.embeddings.dimensions = dimensions
            self._fits = False

    def hashes(self) -> Iterator[tuple[str, str]]:
        """Every document's id and hash, as of one moment; none where there is no index yet."""
        return self._values("hash")

    def vector_digests(self) -> Iterator[tuple[str, str]]:
        """As `hashes`, the digest of every vector."""
        return self._values(DIGEST)

    def vectors(self, image_ids: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """The vectors of some images as the server has them, by id; at most 10,000."""
        body: _Json = {
            "query": {"ids": {"values": list(image_ids)}},
            "size": len(image_ids),
            "_source": False,
            "fields": [FIELD],
        }
        answer = self._indices.ask(lambda client: client.search(index=self.index, body=body))
        check_whole(answer)
        return {
            hit["_id"]: np.array(hit["fields"][FIELD], np.float32)
            for hit in answer["hits"]["hits"]
            if FIELD in hit.get("fields", {})
        }

    def _values(self, field: str) -> Iterator[tuple[str, str]]:
        """Every document's id and the value of a field, as of one moment, where it has one."""
        physical = self._indices.physical()
        if physical is None:
            return
        check_version(self._indices.meta(physical), self.index)
        self._indices.ask(lambda client: client.indices.refresh(index=physical))
        snapshot = self._indices.ask(
            lambda client: client.open_point_in_time(index=physical, keep_alive=_KEEP_ALIVE)
        )["id"]
        body: _Json = {
            "size": _PAGE,
            "sort": ["_shard_doc"],
            "track_total_hits": False,
            "stored_fields": "_none_",
            "docvalue_fields": ["id", field],
            "pit": {"id": snapshot, "keep_alive": _KEEP_ALIVE},
        }
        try:
            while True:
                answer = self._indices.ask(lambda client: client.search(body=body))
                check_whole(answer)
                hits = answer["hits"]["hits"]
                for hit in hits:
                    if found := hit["fields"].get(field):
                        yield hit["fields"]["id"][0], found[0]
                if len(hits) < _PAGE:
                    return
                body["search_after"] = hits[-1]["sort"]
        finally:
            self._indices.ask(lambda client: client.close_point_in_time(id=snapshot))

    def clear(self) -> None:
        """Drop all documents: an empty index of the present mapping takes the alias over."""
        if self._loading and self._fits and not self._changed:
            return  # It was made just now.
        old = self._indices.physical()
        self._indices.put_template()
        self._indices.drop(self._indices.leftovers(old))
        number = 1 + (index_number(old) if old else 0)
        self._indices.create(number, alias=old is None)
        self._indices.begin_load(self._indices.name(number))
        self._loading = self._fits = True
        if old is not None:
            self._indices.switch(old, self._indices.name(number))
        self._ready = True

    def migrate(self, documents: Iterable[Document]) -> int:
        """Fill a new index of the present mapping and give it the alias; gives how many it holds.

        Searches go on in the old index until the alias is switched; then it is dropped. Killed
        before that, the old index still stands.
        """
        old = self._indices.physical()
        if old is None:
            raise DatabaseError(f"there is no Elasticsearch index {self.index}; {REFILL}")
        self._indices.put_template()
        self._indices.drop(self._indices.leftovers(old))
        new = self._indices.name(index_number(old) + 1)
        self._indices.create(index_number(old) + 1, alias=False)
        self._indices.begin_load(new)
        self._fits = True
        self._apply(new, self._actions(documents), [])
        self._indices.end_load(new)
        self._loading = False
        self._indices.ask(lambda client: client.indices.refresh(index=new))
        count = int(self._indices.ask(lambda client: client.count(index=new))["count"])
        self._indices.switch(old, new)
        self._ready = True
        return count

    def wipe(self, documents: Iterable[Document]) -> None:
        """Merge away what was deleted; where the server keeps it, fill a new index in its place."""
        physical = self._indices.physical()
        if physical is None:
            return
        self._indices.ask(lambda client: client.indices.flush(index=physical, force=True))
        if self._indices.deleted(physical):
            self._indices.ask(
                lambda client: client.options(request_timeout=_MERGE_SECONDS).indices.forcemerge(
                    index=physical, max_num_segments=1
                )
            )
            self._indices.ask(lambda client: client.indices.flush(index=physical, force=True))
            if self._indices.deleted(physical):
                self.migrate(documents)

    def finish(self) -> None:
        """Let searchers see all that was written, with the settings that searching wants."""
        if not self._changed and not self._loading:
            return
        physical = self._indices.physical()
        if physical is not None:
            self._indices.end_load(physical)
            self._loading = False
            self._indices.ask(lambda client: client.indices.refresh(index=physical))
        self._changed = False

    def close(self) -> None:
        """Let go of the connections; what `finish` could not do now, the next `prepare` does."""
        try:
            self.finish()
        except (CxrdexError, OSError) as error:
            _log.warning("%s", error)
        self.client.close()

    # ---- requests -------------------------------------------------------------------------------

    def _actions(self, documents: Iterable[Document]) -> Iterator[BulkAction]:
        """The actions that write documents, with their vectors."""
        if self.embeddings is None:
            yield from map(index_action, documents)
            return
        rest = iter(documents)
        while some := list(islice(rest, _LOOKED_UP)):
            vectors = self.embeddings.of([document["id"] for document in some])
            for document in some:
                yield index_action(document, vectors.get(document["id"]))

    def _apply(self, index: str, upserts: Iterable[BulkAction], deletes: Iterable[str]) -> None:
        for chunk in chunks(bulk_actions(upserts, deletes)):
            self._changed = True
            self._deliver(index, chunk)

    def _deliver(self, index: str, actions: Sequence[BulkAction]) -> None:
        """Send actions until each is done; those that are refused for good end it."""
        pending = list(actions)
        patience = Backoff(self.patience)
        while pending:
            try:
                answer = self._bulk(index, pending)
            except _TooLarge:
                if len(pending) == 1:
                    raise DatabaseError(
                        f"Elasticsearch finds the document of image {pending[0].image_id} too large"
                    ) from None
                middle = len(pending) // 2
                self._deliver(index, pending[:middle])
                self._deliver(index, pending[middle:])
                return
            except TextStoreUnavailable as error:
                patience.wait(error)
                continue
            left = undone(pending, answer["items"])
            if len(left) < len(pending):
                patience = Backoff(self.patience)
            pending = left
            if pending:
                patience.wait(TextStoreUnavailable("Elasticsearch is too busy to take documents"))

    def _bulk(self, index: str, actions: Sequence[BulkAction]) -> Any:
        from elasticsearch import ApiError

        operations = [line for action in actions for line in action.lines]
        try:
            return self._indices.ask(
                lambda client: client.bulk(
                    index=index,
                    operations=operations,  # type: ignore[arg-type]
                    require_alias=index == self.index,
                )
            )
        except ApiError as error:
            if error.status_code == 413:
                raise _TooLarge from error
            raise
