"""The indices behind an alias: made, filled, switched and dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from indexer.database.text.elasticsearch.answers import answering
from indexer.database.text.elasticsearch.schema import mappings, settings
from indexer.database.text.elasticsearch.vectors import DocumentVectors, check_server
from indexer.errors import DatabaseError

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["Indices", "index_number"]

T = TypeVar("T")
_Json: TypeAlias = dict[str, Any]

_GRACE_SECONDS = 1.0
# Settings while an empty index is filled: it is not refreshed. Replicas are kept, as confirmed
# documents are not sent again and must survive the loss of a node.
_WHILE_LOADING: Mapping[str, Any] = {"refresh_interval": "-1"}


class Indices:
    """The indices of one database; the alias leads to one of them.

    Parameters
    ----------
    client
        The official client.
    alias
        Name of the alias; behind it stands ``<alias>-000001`` or a later number.
    shards
        Parts of an index that is made now.
    embeddings
        The vectors that documents get; None where they get none.
    """

    def __init__(
        self, client: Elasticsearch, alias: str, shards: int, embeddings: DocumentVectors | None
    ) -> None:
        self._client = client
        self._alias = alias
        self._shards = shards
        self._embeddings = embeddings

    def name(self, number: int) -> str:
        """Name of the index of a number."""
        return f"{self._alias}-{number:06d}"

    def physical(self) -> str | None:
        """The index behind the alias."""
        from elasticsearch import NotFoundError

        try:
            answer = self.ask(lambda client: client.indices.get_alias(name=self._alias))
        except NotFoundError:
            return None
        names = sorted(answer)
        if len(names) > 1:
            raise DatabaseError(f"the alias {self._alias} names several indices: {names}")
        return str(names[0]) if names else None

    def leftovers(self, kept: str | None) -> list[str]:
        """Indices of ours that no alias leads to: what a killed `migrate` left."""
        answer = self.ask(lambda client: client.indices.get(index=f"{self._alias}-*"))
        return [name for name in answer if name != kept]

    def drop(self, names: Sequence[str]) -> None:
        """Delete indices."""
        if names:
            self.ask(lambda client: client.indices.delete(index=list(names)))

    def put_template(self) -> None:
        """Have the server make indices as this version wants them.

        Raises
        ------
        DatabaseMismatch
            The server is too old for vectors.
        """
        dimensions = None
        if self._embeddings is not None:
            dimensions = self._embeddings.dimensions
            check_server(str(self.ask(lambda client: client.info())["version"]["number"]))
        made = settings(self._shards, vectors=dimensions is not None)
        self.ask(
            lambda client: client.indices.put_index_template(
                name=self._alias,
                index_patterns=[f"{self._alias}-*"],
                priority=500,
                template={"settings": {"index": made}, "mappings": mappings(dimensions)},
            )
        )

    def create(self, number: int, *, alias: bool) -> None:
        """Make an empty index; with `alias`, the alias leads to it."""
        aliases: _Json | None = {self._alias: {"is_write_index": True}} if alias else None
        name = self.name(number)
        self.ask(lambda client: client.indices.create(index=name, aliases=aliases))

    def switch(self, old: str, new: str) -> None:
        """The alias goes over in one step of the cluster; then the old index goes."""
        actions: list[_Json] = [
            {"add": {"index": new, "alias": self._alias, "is_write_index": True}},
            {"remove": {"index": old, "alias": self._alias}},
        ]
        self.ask(lambda client: client.indices.update_aliases(actions=actions))
        # A search may have looked up the alias just before it moved, and still ask the old index.
        time.sleep(_GRACE_SECONDS)
        self.drop([old])

    def mapping(self, physical: str) -> _Json:
        """The mapping of an index."""
        answer = self.ask(lambda client: client.indices.get_mapping(index=physical))
        return dict(answer[physical]["mappings"])

    def meta(self, physical: str) -> _Json:
        """What is noted with the mapping of an index."""
        return dict(self.mapping(physical).get("_meta", {}))

    def begin_load(self, physical: str) -> None:
        """No refresh while an index is filled that nobody searches yet."""
        before = self.ask(lambda client: client.indices.get_settings(index=physical))
        found = before[physical]["settings"]["index"]
        kept = {name: found.get(name) for name in _WHILE_LOADING}
        meta = {**self.meta(physical), "loading": kept}
        self.ask(lambda client: client.indices.put_mapping(index=physical, meta=meta))
        self.ask(
            lambda client: client.indices.put_settings(
                index=physical, settings={"index": dict(_WHILE_LOADING)}
            )
        )

    def end_load(self, physical: str) -> None:
        """Set back what `begin_load` set aside, of this process or one that was killed."""
        meta = self.meta(physical)
        kept = meta.pop("loading", None)
        if kept is not None:
            self.ask(
                lambda client: client.indices.put_settings(index=physical, settings={"index": kept})
            )
            self.ask(lambda client: client.indices.put_mapping(index=physical, meta=meta))

    def deleted(self, physical: str) -> int:
        """How many deleted documents, nested ones too, the files of an index still hold."""
        self.ask(lambda client: client.indices.refresh(index=physical))
        answer = self.ask(lambda client: client.indices.stats(index=physical, metric="docs"))
        return int(answer["_all"]["total"]["docs"].get("deleted", 0))

    def ask(self, request: Callable[[Elasticsearch], T]) -> T:
        """One request, its errors in our words; 404 and 413 are the caller's."""
        with answering(self._alias):
            return request(self._client)


def index_number(physical: str) -> int:
    """The number of an index."""
    return int(physical.rpartition("-")[2])
