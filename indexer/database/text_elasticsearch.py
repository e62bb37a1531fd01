"""The Elasticsearch text store: its mapping, and the writer that fills an index behind an alias."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from indexer.archive.reports import SECTIONS
from indexer.database.documents import Document, document_hash
from indexer.database.elasticsearch_settings import ElasticsearchSettings
from indexer.database.text_embedded import LABELS, ORIGINS, field_of, label_values
from indexer.errors import (
    CxrdexError,
    DatabaseError,
    DatabaseMismatch,
    TextStoreUnavailable,
)

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = [
    "MAPPING_VERSION",
    "ElasticsearchTextStore",
    "answering",
    "check_version",
    "mappings",
    "probability_field",
    "settings",
    "source_of",
]

_log = logging.getLogger(__name__)

T = TypeVar("T")
_Json: TypeAlias = dict[str, Any]

#: Grows with every change of `mappings`, `settings` or `source_of`.
MAPPING_VERSION = 1

# A request holds at most so many documents and bytes; the server's own limit is 100 MB.
_CHUNK_DOCUMENTS = 500
_CHUNK_BYTES = 4 << 20
_PAGE = 5_000
_KEEP_ALIVE = "5m"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_CONNECT_SECONDS = 5.0
_GRACE_SECONDS = 1.0
# Answers that another try may change.
_PASSING = frozenset({429, 502, 503, 504})
# What is set aside while an empty index is filled, and how it is filled faster.
_WHILE_LOADING: Mapping[str, Any] = {
    "refresh_interval": "-1",
    "auto_expand_replicas": "false",
    "number_of_replicas": 0,
}
_NEWER = {
    "emerg": "e ed es ing ence ences ency encies ent ently",
    "inter": "nal nally nals nalize nalized nation national nationally val vals fere fered fering "
    "cal ger",
    "later": "al ally als ality alize alized alizes alizing alization",
    "organ": "ic ics ically ism isms ise ised ises ising isation isations ize ized izes izing izer "
    "izers ization izations izational ist ists",
    "past": "e ed es ing",
    "univers": "al ally als ality e es ity ities",
}
_FIELD = re.compile(r"field \[([\w .-]+)\]|introduction of \[([\w .-]+)\]")
_REFILL = "run `cxrdex verify --repair`, which fills it anew"


# ---- the schema ---------------------------------------------------------------------------------


def settings() -> _Json:
    """Settings of the index: the analyzers cut and fold words as the embedded store's do."""
    stems = ["radiology_stems", "radiology_science", "radiology_stem"]
    return {
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        "mapping": {"total_fields": {"limit": 2000}},
        "analysis": {
            # What Rust calls alphanumeric, the rule of tantivy's tokenizer.
            "tokenizer": {
                "radiology": {"type": "pattern", "pattern": r"[^\p{IsAlphabetic}\p{N}]+"}
            },
            "filter": {
                "radiology_stem": {"type": "stemmer", "language": "porter2"},
                "radiology_stems": {"type": "stemmer_override", "rules": _newer_stems()},
                "radiology_science": {
                    "type": "pattern_replace",
                    "pattern": "logists?$",
                    "replacement": "log",
                },
                # Java makes one letter of it, Rust two.
                "radiology_dotted": {
                    "type": "pattern_replace",
                    "pattern": "\u0130",
                    "replacement": "i\u0307",
                },
                # Lucene refuses a term of more than 32,766 bytes.
                "radiology_length": {"type": "length", "max": 8000},
            },
            "analyzer": {
                name: {
                    "type": "custom",
                    "tokenizer": "radiology",
                    "filter": [
                        "radiology_dotted",
                        "lowercase",
                        "asciifolding",
                        "radiology_length",
                        *stem,
                    ],
                }
                for name, stem in (("radiology", stems), ("radiology_plain", []))
            },
        },
    }


def _newer_stems() -> list[str]:
    """Words that the server's Porter2 cuts as an earlier edition of it did, with their stems now.

    Of 95,000 words of reports and software these begin all that differ, but for ``-logist``.
    """
    from indexer.database.text_embedded import analyzer

    words = (start + end for start, ends in _NEWER.items() for end in ends.split())
    return [f"{word} => {analyzer().analyze(word)[0]}" for word in words]


def mappings() -> _Json:
    """The strict mapping, its version in ``_meta``.

    Labels are keywords, of all origins (``disease``) and of one (``disease_human``), and stand
    once more in the nested `finding`, one for each annotation, so that its parts hold together.
    Text has a subfield ``plain`` of words as they are written. `document` is kept and not indexed.
    """
    keyword, number = {"type": "keyword"}, {"type": "integer"}
    text = {
        "type": "text",
        "analyzer": "radiology",
        "position_increment_gap": 100,
        "fields": {
            "plain": {
                "type": "text",
                "analyzer": "radiology_plain",
                "position_increment_gap": 100,
            }
        },
    }
    exact = [field_of(label, origin) for label in LABELS for origin in (None, *ORIGINS)]
    single = ("id", "hash", "study", "patient", "view", "projection", "sex", "section", "origin")
    texts = [field_of("annotation", origin) for origin in (None, *ORIGINS)]
    finding = dict.fromkeys(("origin", "status", *LABELS, "other"), keyword)
    return {
        "dynamic": "strict",
        "_meta": {"version": MAPPING_VERSION},
        "dynamic_templates": [
            {
                "probabilities": {
                    "path_match": "probabilities.*",
                    "mapping": {"type": "float", "index": False},
                }
            }
        ],
        "properties": {
            **dict.fromkeys((*single, *exact, "absent", "uncertain"), keyword),
            **dict.fromkeys(("age", "year"), number),
            **dict.fromkeys((*texts, "report", "statement", *SECTIONS), text),
            "finding": {
                "type": "nested",
                "properties": {**finding, "text": text, "confidence": {"type": "float"}},
            },
            "probabilities": {"type": "object", "dynamic": True},
            "document": {"type": "object", "enabled": False},
        },
    }


def probability_field(finding: str) -> str:
    """Name of the field of a finding's probability; a dot in it would make two levels of it."""
    return f"probabilities.{finding.replace('.', '_')}"


def source_of(document: Document) -> _Json:
    """What the index holds of a document, its empty fields left out."""
    fields: dict[str, list[Any]] = {}

    def put(name: str, *values: Any) -> None:
        fields.setdefault(name, []).extend(values)

    said: Mapping[str, Sequence[_Json]] = {
        "affirmed": document["annotations"],
        "negated": document.get("absent", []),
        "uncertain": document.get("uncertain", []),
    }
    for annotation in said["affirmed"]:
        put("origin", annotation["origin"])
        for origin in (None, annotation["origin"]):
            put(field_of("annotation", origin), annotation["text"])
            for label, values in label_values(annotation).items():
                put(field_of(label, origin), *values)
    for name, status in (("absent", "negated"), ("uncertain", "uncertain")):
        put(name, *(annotation["disease"].lower() for annotation in said[status]))
    for section, text in (document["report"] or {}).items():
        put("report", text)
        put("section", section)
        if section in SECTIONS:
            put(section, text)
    put("statement", *document.get("statements", {}).values())
    texts = ("annotation", "report", "statement")
    source: _Json = {
        # Text keeps repeated values (they count in the ranking), labels do not.
        name: values if name.startswith(texts) else list(dict.fromkeys(values))
        for name, values in fields.items()
    }
    for field in ("projection", "sex"):
        source[field] = str(document[field]).lower() if document[field] else None
    for field in ("id", "study", "patient", "view", "age", "year"):
        source[field] = document[field]  # type: ignore[literal-required]
    source["hash"] = document_hash(document)
    source["finding"] = [
        _finding(annotation, status) for status, found in said.items() for annotation in found
    ]
    probabilities: Mapping[str, float] = document.get("probabilities", {})
    source["probabilities"] = {
        probability_field(name).partition(".")[2]: float(p) for name, p in probabilities.items()
    }
    source["document"] = document
    return {name: value for name, value in source.items() if value not in (None, [], {})}


def _finding(annotation: Mapping[str, Any], status: str) -> _Json:
    return {
        "origin": annotation["origin"],
        "status": status,
        "text": annotation["text"],
        "confidence": annotation["confidence"],
        **label_values(annotation),
        **({"other": annotation["other"]} if annotation.get("other") else {}),
    }


def check_version(meta: Mapping[str, Any], index: str) -> None:
    """Refuse an index that another version of cxrdex filled.

    Parameters
    ----------
    meta
        ``_meta`` of its mapping.
    index
        Its name.

    Raises
    ------
    DatabaseMismatch
        Its text says what to do.
    """
    found = meta.get("version")
    if found == MAPPING_VERSION:
        return
    newer = isinstance(found, int) and found > MAPPING_VERSION
    advice = "update cxrdex" if newer else "run `cxrdex migrate`, which makes a new one of it"
    raise DatabaseMismatch(
        f"the Elasticsearch index {index} has mapping version {found}, this cxrdex uses version "
        f"{MAPPING_VERSION}: {advice}"
    )


# ---- the store ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Action:
    """One line of a bulk request, with the document's line where it has one."""

    image_id: str
    lines: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return sum(map(len, self.lines))


class ElasticsearchTextStore:
    """Writer of an index in Elasticsearch (`indexer.database.text.TextStore`).

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
        actions = (_index_action(document) for document in upserts)
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
            raise DatabaseError(f"there is no Elasticsearch index {self.index}; {_REFILL}")
        self._put_template()
        self._drop(self._strays(old))
        new = self._name(_number(old) + 1)
        self._create(_number(old) + 1, alias=False)
        self._begin_load(new)
        self._apply(new, (_index_action(document) for document in documents), [])
        self._end_load(new)
        self._ask(lambda client: client.indices.refresh(index=new))
        count = int(self._ask(lambda client: client.count(index=new))["count"])
        self._switch(old, new)
        self._ready = True
        return count

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

    def _apply(self, index: str, upserts: Iterable[_Action], deletes: Iterable[str]) -> None:
        for chunk in _chunks(_actions(upserts, deletes)):
            self._changed = True
            self._deliver(index, chunk)

    def _deliver(self, index: str, actions: Sequence[_Action]) -> None:
        """Send actions until each is done; those that are refused for good end it."""
        pending = list(actions)
        patience = _Patience(self.patience)
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
            left = _undone(pending, answer["items"])
            if len(left) < len(pending):
                patience = _Patience(self.patience)
            pending = left
            if pending:
                patience.wait(TextStoreUnavailable("Elasticsearch is too busy to take documents"))

    def _bulk(self, index: str, actions: Sequence[_Action]) -> Any:
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


class _TooLarge(Exception):  # noqa: N818
    """The server (or a proxy before it) does not take a request of this size."""


class _Blocked(TextStoreUnavailable):
    """The index is closed for writing, which no try within seconds changes."""

    def __init__(self) -> None:
        super().__init__(
            "Elasticsearch has closed the index for writing, most likely because its disk is "
            "nearly full: free some space there"
        )


class _Patience:
    """Waits longer and longer between tries, and gives up in the end."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE

    def wait(self, error: TextStoreUnavailable) -> None:
        """Sleep before the next try; raises `error` where there is none."""
        # Jitter, so that several writers do not come back at once.
        pause = random.uniform(self._pause / 2, self._pause)
        if time.monotonic() + pause > self._deadline or isinstance(error, _Blocked):
            raise error
        time.sleep(pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


@contextmanager
def answering(index: str) -> Iterator[None]:
    """Turn what the client raises into our errors, which hold no secret and no document."""
    from elastic_transport import TlsError
    from elasticsearch import ApiError, TransportError

    try:
        yield
    except ApiError as error:
        kind = _kind(error.body)
        if kind == "cluster_block_exception":
            raise _Blocked from error
        if error.status_code in _PASSING:
            raise TextStoreUnavailable(
                f"Elasticsearch is too busy or starting ({error.status_code} {kind})"
            ) from error
        if error.status_code in (401, 403):
            raise DatabaseError(
                f"Elasticsearch refuses this user or API key ({error.status_code} {kind}): see "
                "docs/elasticsearch.md for the privileges that the index needs"
            ) from error
        if error.status_code == 404 and kind != "unknown":
            raise DatabaseError(f"there is no Elasticsearch index {index}; {_REFILL}") from error
        if error.status_code in (404, 413):
            raise
        raise DatabaseError(
            f"Elasticsearch refuses a request for {index}: {error.status_code} {kind}"
        ) from error
    except TlsError as error:
        raise DatabaseError(
            "Elasticsearch's certificate is not trusted: name the file of its CA in "
            "CXRDEX_ELASTICSEARCH_CA_FILE"
        ) from error
    except TransportError as error:
        # The error's own text repeats addresses and what the library was doing, over many lines.
        raise TextStoreUnavailable(
            f"Elasticsearch does not answer ({type(error).__name__})"
        ) from error


def _kind(body: Any) -> str:
    found = body.get("error") if isinstance(body, dict) else None
    return str(found.get("type", "unknown")) if isinstance(found, dict) else "unknown"


def _undone(actions: Sequence[_Action], items: Sequence[_Json]) -> list[_Action]:
    """The actions that are to be sent again; raises for one that the server will never take."""
    left = []
    for action, item in zip(actions, items, strict=True):
        ((operation, result),) = item.items()
        status, error = int(result["status"]), result.get("error", {})
        if status < 300 or (operation == "delete" and status == 404 and not error):
            continue
        kind = str(error.get("type", "unknown"))
        if kind == "cluster_block_exception":
            raise _Blocked
        if kind == "index_not_found_exception":
            raise DatabaseError(f"there is no such Elasticsearch index; {_REFILL}")
        if status in _PASSING:
            left.append(action)
            continue
        # The server's reason quotes values; only the field's name is taken from it.
        reasons = " ".join(str(e.get("reason")) for e in (error, error.get("caused_by") or {}))
        named = _FIELD.search(reasons)
        field = f", in the field {named[1] or named[2]}" if named else ""
        raise DatabaseError(
            f"Elasticsearch refuses the document of image {action.image_id}{field}: {kind}"
        )
    return left


def _number(physical: str) -> int:
    return int(physical.rpartition("-")[2])


def _index_action(document: Document) -> _Action:
    head = {"index": {"_id": document["id"]}}
    return _Action(document["id"], (_line(head), _line(source_of(document))))


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _actions(upserts: Iterable[_Action], deletes: Iterable[str]) -> Iterator[_Action]:
    for image_id in deletes:
        yield _Action(image_id, (_line({"delete": {"_id": image_id}}),))
    yield from upserts


def _chunks(actions: Iterable[_Action]) -> Iterator[list[_Action]]:
    chunk: list[_Action] = []
    size = 0
    for action in actions:
        if chunk and (len(chunk) == _CHUNK_DOCUMENTS or size + action.size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(action)
        size += action.size
    if chunk:
        yield chunk
