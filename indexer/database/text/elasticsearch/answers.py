"""What Elasticsearch answers, in our words: errors that hold no secret and no document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from indexer import advice
from indexer.errors import CxrdexError, DatabaseError, TextStoreUnavailable

__all__ = [
    "PASSING",
    "REFILL",
    "IndexBlocked",
    "answering",
    "check_whole",
    "error_type",
    "innermost",
]

#: HTTP statuses after which a request is worth repeating.
PASSING = frozenset({429, 502, 503, 504})
# Errors of a shard that mean that the query itself is wrong. After all others a retry may help.
_REFUSED = frozenset(
    {
        "illegal_argument_exception",
        "parsing_exception",
        "query_shard_exception",
        "too_complex_to_determinize_exception",
        "too_many_clauses",
        "too_many_nested_clauses",
    }
)
# How the server spells types of errors; other text is not taken for one.
_TYPE = re.compile(r"[a-z_]{1,80}")
#: What to do where an index is missing.
REFILL = f"{advice.REPAIR}, which fills it anew"


class IndexBlocked(TextStoreUnavailable):
    """The index is closed for writing, which no try within seconds changes."""

    def __init__(self) -> None:
        super().__init__(
            "Elasticsearch has closed the index for writing, most likely because its disk is "
            "nearly full: free some space there"
        )


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
            raise IndexBlocked from error
        if error.status_code in PASSING:
            raise TextStoreUnavailable(
                f"Elasticsearch is too busy or starting ({error.status_code} {kind})"
            ) from error
        if error.status_code in (401, 403):
            raise DatabaseError(
                f"Elasticsearch refuses this user or API key ({error.status_code} {kind}): see "
                "docs/elasticsearch.md for the privileges that the index needs"
            ) from error
        if error.status_code == 404 and kind != "unknown":
            raise DatabaseError(f"there is no Elasticsearch index {index}; {REFILL}") from error
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


def check_whole(answer: Any, refused: type[CxrdexError] = DatabaseError) -> None:
    """Refuse an answer of a part of the index: a node is gone, and no other has what it held.

    Parameters
    ----------
    answer
        Of a search.
    refused
        What is raised where shards found the request itself wrong.

    Raises
    ------
    TextStoreUnavailable
        Some shards did not answer.
    """
    shards = answer["_shards"]
    if not shards["failed"]:
        return
    kinds = {innermost({"error": failure.get("reason")}) for failure in shards.get("failures", ())}
    if wrong := kinds & _REFUSED:
        raise refused(f"Elasticsearch refuses the query: {min(wrong)}")
    raise TextStoreUnavailable(
        f"{shards['failed']} of {shards['total']} shards of the Elasticsearch index do not answer"
    )


def _kind(body: Any) -> str:
    return error_type(body.get("error") if isinstance(body, dict) else None)


def error_type(error: Any) -> str:
    """The type of an error, which unlike its reason quotes nothing of a document."""
    found = str(error.get("type")) if isinstance(error, dict) else ""
    return found if _TYPE.fullmatch(found) else "unknown"


def innermost(body: Any) -> str:
    """The type of the error that an answer's error goes back to."""
    found, kind = body.get("error") if isinstance(body, dict) else None, "unknown"
    while isinstance(found, dict):
        kind = error_type(found) if error_type(found) != "unknown" else kind
        found = found.get("caused_by") or next(iter(found.get("root_cause") or ()), None)
    return kind
