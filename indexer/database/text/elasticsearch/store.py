"""The Elasticsearch text store: the writer that fills an index behind an alias."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.answers import REFILL, answering
from indexer.database.text.elasticsearch.bulk import (
    Action,
    Patience,
    bulk_actions,
    chunks,
    index_action,
    undone,
)
from indexer.database.text.elasticsearch.schema import check_version, mappings, settings
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.errors import CxrdexError, DatabaseError, TextStoreUnavailable

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["ElasticsearchTextStore"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
_Json: TypeAlias = dict[str, Any]

_PAGE = 5_000
_KEEP_ALIVE = "5m"
_CONNECT_SECONDS = 5.0
_GRACE_SECONDS = 1.0
_MERGE_SECONDS = 3600.0
# What is set aside while an empty index is filled, and how it is filled faster.
_WHILE_LOADING: Mapping[str, Any] = {
    "refresh_interval": "-1",
    "auto_expand_replicas": "false",
    "number_of_replicas": 0,
}


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
    """

    def __init__(self, client: Elasticsearch, index: str, *, patience: float = 30.0) -> None:
        self.client = client
        self.index = index
        self.patience = patience
        self._ready = False
        self._loading = False
        self._changed = False

    @classmethod
    def connect(cls, index: str, default_url: str | None = None) -> ElasticsearchTextStore:
        """The store of an index on the server that the settings name.

        Raises
        ------
        DatabaseError
            The settings name no server, or are malformed.
        """
        return cls(ElasticsearchSettings.load(default_url).client(), index)

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
            self._ask(lambda client: client.options(request_timeout=_CONNECT_SECONDS).info())
            return
        physical = self._physical()
        if physical is None:
            fresh()
            self._put_template()
            self._drop(self._strays(None))
            self._create(1, alias=True)
            self._begin_load(self._name(1))
        else:
            check_version(self._meta(physical), self.index)
            self._end_load(physical)
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
        actions = (index_action(document) for document in upserts)
        self._apply(self.index, actions, deletes)

    def hashes(self) -> Iterator[tuple[str, str]]:
        """Every document's id and hash, as of one moment; none where there is no index yet."""
        physical = self._physical()
        if physical is None:
            return
        check_version(self._meta(physical), self.index)
        self._ask(lambda client: client.indices.refresh(index=physical))
        snapshot = self._ask(
            lambda client: client.open_point_in_time(index=physical, keep_alive=_KEEP_ALIVE)
        )["id"]
        body: _Json = {
            "size": _PAGE,
            "sort": ["_shard_doc"],
            "track_total_hits": False,
            "stored_fields": "_none_",
            "docvalue_fields": ["id", "hash"],
            "pit": {"id": snapshot, "keep_alive": _KEEP_ALIVE},
        }
        try:
            while True:
                hits = self._ask(lambda client: client.search(body=body))["hits"]["hits"]
                for hit in hits:
                    yield hit["fields"]["id"][0], hit["fields"]["hash"][0]
                if len(hits) < _PAGE:
                    return
                body["search_after"] = hits[-1]["sort"]
        finally:
            self._ask(lambda client: client.close_point_in_time(id=snapshot))

    def clear(self) -> None:
        """Drop all documents: an empty index of the present mapping takes the alias over."""
        if self._loading and not self._changed:
            return  # It was made just now.
        old = self._physical()
        self._put_template()
        self._drop(self._strays(old))
        number = 1 + (_number(old) if old else 0)
        self._create(number, alias=old is None)
        self._begin_load(self._name(number))
        if old is not None:
            self._switch(old, self._name(number))
        self._ready = True

    def migrate(self, documents: Iterable[Document]) -> int:
        """Fill a new index of the present mapping and give it the alias; gives how many it holds.

        Searches go on in the old index until the alias is switched; then it is dropped. Killed
        before that, the old index still stands.
        """
        old = self._physical()
        if old is None:
            raise DatabaseError(f"there is no Elasticsearch index {self.index}; {REFILL}")
        self._put_template()
        self._drop(self._strays(old))
        new = self._name(_number(old) + 1)
        self._create(_number(old) + 1, alias=False)
        self._begin_load(new)
        self._apply(new, (index_action(document) for document in documents), [])
        self._end_load(new)
        self._ask(lambda client: client.indices.refresh(index=new))
        count = int(self._ask(lambda client: client.count(index=new))["count"])
        self._switch(old, new)
        self._ready = True
        return count

    def wipe(self, documents: Iterable[Document]) -> None:
        """Merge away what was deleted; where the server keeps it, fill a new index in its place."""
        physical = self._physical()
        if physical is None:
            return
        self._ask(lambda client: client.indices.flush(index=physical, force=True))
        if self._deleted(physical):
            self._ask(
                lambda client: client.options(request_timeout=_MERGE_SECONDS).indices.forcemerge(
                    index=physical, max_num_segments=1
                )
            )
            self._ask(lambda client: client.indices.flush(index=physical, force=True))
            if self._deleted(physical):
                self.migrate(documents)

    def _deleted(self, physical: str) -> int:
        """How many deleted documents, nested ones too, the files of an index still hold."""
        self._ask(lambda client: client.indices.refresh(index=physical))
        answer = self._ask(lambda client: client.indices.stats(index=physical, metric="docs"))
        return int(answer["_all"]["total"]["docs"].get("deleted", 0))

    def finish(self) -> None:
        """Let searchers see all that was written, with the settings that searching wants."""
        if not self._changed and not self._loading:
            return
        physical = self._physical()
        if physical is not None:
            self._end_load(physical)
            self._ask(lambda client: client.indices.refresh(index=physical))
        self._changed = False

    def close(self) -> None:
        """Let go of the connections; what `finish` could not do now, the next `prepare` does."""
        try:
            self.finish()
        except (CxrdexError, OSError) as error:
            _log.warning("%s", error)
        self.client.close()

    # ---- indices --------------------------------------------------------------------------------

    def _name(self, number: int) -> str:
        return f"{self.index}-{number:06d}"

    def _physical(self) -> str | None:
        """The index behind the alias."""
        from elasticsearch import NotFoundError

        try:
            answer = self._ask(lambda client: client.indices.get_alias(name=self.index))
        except NotFoundError:
            return None
        names = sorted(answer)
        if len(names) > 1:
            raise DatabaseError(f"the alias {self.index} names several indices: {names}")
        return str(names[0]) if names else None

    def _strays(self, kept: str | None) -> list[str]:
        """Indices of ours that no alias leads to: what a killed `migrate` left."""
        answer = self._ask(lambda client: client.indices.get(index=f"{self.index}-*"))
        return [name for name in answer if name != kept]

    def _drop(self, names: Sequence[str]) -> None:
        if names:
            self._ask(lambda client: client.indices.delete(index=list(names)))

    def _put_template(self) -> None:
        self._ask(
            lambda client: client.indices.put_index_template(
                name=self.index,
                index_patterns=[f"{self.index}-*"],
                priority=500,
                template={"settings": {"index": settings()}, "mappings": mappings()},
            )
        )

    def _create(self, number: int, *, alias: bool) -> None:
        aliases: _Json | None = {self.index: {"is_write_index": True}} if alias else None
        name = self._name(number)
        self._ask(lambda client: client.indices.create(index=name, aliases=aliases))

    def _switch(self, old: str, new: str) -> None:
        """The alias goes over in one step of the cluster; then the old index goes."""
        actions: list[_Json] = [
            {"add": {"index": new, "alias": self.index, "is_write_index": True}},
            {"remove": {"index": old, "alias": self.index}},
        ]
        self._ask(lambda client: client.indices.update_aliases(actions=actions))
        # A search that found the old index by its alias may just be about to ask it.
        time.sleep(_GRACE_SECONDS)
        self._drop([old])

    def _meta(self, physical: str) -> _Json:
        answer = self._ask(lambda client: client.indices.get_mapping(index=physical))
        return dict(answer[physical]["mappings"].get("_meta", {}))

    def _begin_load(self, physical: str) -> None:
        """Neither refresh nor copies while an index is filled that nobody searches yet."""
        before = self._ask(lambda client: client.indices.get_settings(index=physical))
        found = before[physical]["settings"]["index"]
        kept = {name: found.get(name) for name in _WHILE_LOADING if name != "number_of_replicas"}
        meta = {**self._meta(physical), "loading": kept}
        self._ask(lambda client: client.indices.put_mapping(index=physical, meta=meta))
        self._ask(
            lambda client: client.indices.put_settings(
                index=physical, settings={"index": dict(_WHILE_LOADING)}
            )
        )
        self._loading = True

    def _end_load(self, physical: str) -> None:
        """Set back what `_begin_load` set aside, of this process or one that was killed."""
        meta = self._meta(physical)
        kept = meta.pop("loading", None)
        if kept is not None:
            self._ask(
                lambda client: client.indices.put_settings(index=physical, settings={"index": kept})
            )
            self._ask(lambda client: client.indices.put_mapping(index=physical, meta=meta))
        self._loading = False

    # ---- requests -------------------------------------------------------------------------------

    def _apply(self, index: str, upserts: Iterable[Action], deletes: Iterable[str]) -> None:
        for chunk in chunks(bulk_actions(upserts, deletes)):
            self._changed = True
            self._deliver(index, chunk)

    def _deliver(self, index: str, actions: Sequence[Action]) -> None:
        """Send actions until each is done; those that are refused for good end it."""
        pending = list(actions)
        patience = Patience(self.patience)
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
                patience = Patience(self.patience)
            pending = left
            if pending:
                patience.wait(TextStoreUnavailable("Elasticsearch is too busy to take documents"))

    def _bulk(self, index: str, actions: Sequence[Action]) -> Any:
        from elasticsearch import ApiError

        operations = [line for action in actions for line in action.lines]
        try:
            return self._ask(
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

    def _ask(self, request: Callable[[Elasticsearch], T]) -> T:
        """One request, its errors in our words; 404 and 413 are the caller's."""
        with answering(self.index):
            return request(self.client)


def _number(physical: str) -> int:
    return int(physical.rpartition("-")[2])
