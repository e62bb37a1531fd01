"""The application: pages and API of one database."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from indexer.errors import CxrdexError
from search.service import SearchService
from search.web import api
from search.web.audit import routes as audit_routes
from search.web.audit.recording import Recorder
from search.web.audit.writing import Audit
from search.web.cohorts import api as cohorts_api
from search.web.cohorts import pages as cohorts_pages
from search.web.exports import api as exports_api
from search.web.films import Films
from search.web.guard import Guard
from search.web.metrics import Metrics
from search.web.overview import pages as overview
from search.web.overview.label_maps import LabelMaps
from search.web.pages import about, cases, failures, searching
from search.web.people import sign_in
from search.web.people.access import undeclared_is_for_administrators
from search.web.people.door import Door
from search.web.people.identities import Identities
from search.web.problems import http_status, of_server
from search.web.rendering.responses import error_response
from search.web.review import api as labels_api
from search.web.review import pages as review
from search.web.review.context import ReviewContext
from search.web.settings import WebSettings
from search.web.state import ServerState
from search.web.uploads import Intake, Uploads, keep_received_in_memory

__all__ = ["create_app"]

_log = logging.getLogger(__name__)
_STATIC = Path(__file__).with_name("static")


def create_app(service: SearchService, settings: WebSettings, audit: Audit | None = None) -> Any:
    """An ASGI application; it ends its own workers, the service stays the caller's.

    Parameters
    ----------
    service
        Of the database; shared by all threads.
    settings
        Limits and addresses.
    audit
        Where it is kept who asked for what; it stays the caller's. None for nowhere.
    """
    films = Films(service)
    uploads = Uploads(settings.uploads, settings.upload_minutes * 60, settings.uploads_bytes)
    keep_received_in_memory(settings.upload_bytes)
    state = ServerState(service, settings, films, uploads)
    identities = _identities(settings)

    room = ReviewContext.of(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with room:
            yield
        films.close()

    app = FastAPI(
        title="cxrdex",
        summary="Chest X-rays searched by picture and by words.",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(undeclared_is_for_administrators)],
    )
    app.state.cxrdex = state
    app.state.review = room
    app.state.label_maps = LabelMaps()
    app.include_router(api.router)
    app.include_router(cohorts_api.router)
    app.include_router(exports_api.router)
    app.include_router(labels_api.router)
    for pages in (overview, searching, cases, review, failures, about, cohorts_pages, audit_routes):
        app.include_router(pages.router)
    if identities is not None:
        app.include_router(sign_in.router(identities))
        if identities.settings.openid is not None:
            from search.web.people import openid

            app.include_router(openid.router(identities, identities.settings.openid))
            app.add_middleware(openid.WithState)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.exception_handler(CxrdexError)(_refused)
    app.exception_handler(RequestValidationError)(_misused)
    app.exception_handler(HTTPException)(_other)
    app.exception_handler(Exception)(_unexpected)
    # Behind the door, so that nobody takes the place of those who have signed in.
    intake = Intake(app, settings.uploads_at_once, settings.uploads_bytes, settings.upload_bytes)
    door = Door(intake, identities)
    # Outermost, so that it also counts what never reaches a route.
    state.metrics = Metrics(Guard(door if audit is None else Recorder(door, audit), settings))
    return state.metrics


def _identities(settings: WebSettings) -> Identities | None:
    if settings.sign_in is None:
        return None
    return Identities(
        settings.sign_in, request_rate=settings.request_rate, upload_rate=settings.upload_rate
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, CxrdexError)
    status = http_status(error)
    if (known := of_server(status)) is None:
        return error_response(request, status, str(error))
    _log.error("a request was refused: %s", error)
    return error_response(request, status, f"{known}; the server's log says more")


def _misused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        {"parameter": ".".join(str(part) for part in one["loc"][1:]), "detail": one["msg"]}
        for one in error.errors()
    ]
    detail = "; ".join(f"{one['parameter']}: {one['detail']}" for one in wrong)
    return error_response(request, 422, detail, errors=wrong)


def _other(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(request, error.status_code, str(error.detail), headers=error.headers)


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("a request ended in %s", type(error).__name__, exc_info=error)
    return error_response(request, 500, "the server made a mistake; its log says more")
