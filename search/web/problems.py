"""Errors as answers: problem+json (RFC 9457) for programs, a page for people."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from indexer.errors import (
    ArchiveError,
    BundleError,
    CxrdexError,
    DatabaseMismatch,
    DiskFullError,
    LabelsChanged,
    MissingExtraError,
    NotFoundError,
    QueryError,
    TextStoreUnavailable,
)

__all__ = ["PROBLEM", "PROBLEMS", "http_status", "of_server", "problem"]

#: Content of an answer that says what is wrong, as OpenAPI describes it.
PROBLEM = {"application/problem+json": {"schema": {"type": "object"}}}
#: Errors that any route may return.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": PROBLEM}
    for status, text in (
        (400, "The question is malformed."),
        (404, "There is no such thing."),
        (409, "The bundle does not fit the database."),
        (422, "A parameter is unknown or wrong, or a file is no chest radiograph."),
        (501, "A package is not installed."),
        (503, "The text store does not answer, or too many films are being sent."),
    )
}

# HTTP status by class of error; the first class that fits counts.
_STATUS: tuple[tuple[type[CxrdexError], HTTPStatus], ...] = (
    (QueryError, HTTPStatus.BAD_REQUEST),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ArchiveError, HTTPStatus.UNPROCESSABLE_CONTENT)
    if hasattr(HTTPStatus, "UNPROCESSABLE_CONTENT")
    else (ArchiveError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TextStoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseMismatch, HTTPStatus.CONFLICT),
    (LabelsChanged, HTTPStatus.PRECONDITION_FAILED),
    (MissingExtraError, HTTPStatus.NOT_IMPLEMENTED),
    (BundleError, HTTPStatus.CONFLICT),
    (DiskFullError, HTTPStatus.INSUFFICIENT_STORAGE),
)


def http_status(error: CxrdexError) -> int:
    """The status of the answer to a request that ended in an error."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return int(status)
    return int(HTTPStatus.INTERNAL_SERVER_ERROR)


# Names of files, addresses of servers: not for everyone who asks.
_OF_SERVER = {
    409: "the bundle does not fit the database",
    500: "the database cannot answer",
    503: "the text store does not answer",
    507: "no space is left on the server",
}


def of_server(status: int) -> str | None:
    """What went wrong, where details are for who runs the server; None where whoever asked may
    know all of it."""
    return _OF_SERVER.get(status)


def problem(status: int, detail: str, **more: Any) -> dict[str, Any]:
    """The body of a problem+json answer."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
