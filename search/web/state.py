"""What all requests of a server share."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from copy import copy
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response

from indexer.database.cohorts.cohort import MAX_IMAGES
from indexer.database.cohorts.store import Cohorts
from indexer.database.ledger.runs import Run
from indexer.database.upkeep.status import DatabaseStatus
from indexer.errors import NotFoundError, QueryError
from search.models import Recent
from search.request import SearchRequest
from search.service import SearchService
from search.web.films import Films
from search.web.metrics import Metrics
from search.web.queries import BoundQuery
from search.web.rendering.responses import json_bytes
from search.web.settings import WebSettings
from search.web.uploads import Uploads

__all__ = ["ServerState", "app_state", "request_state"]

T = TypeVar("T")

# How many searches run at a time. Those that compute take one core each, as more would only wait
# for the interpreter's lock; those that ask a server mostly wait for it.
_COMPUTING = max(2, os.cpu_count() or 1)
_ASKING = 24
# Bytes of answers to words that are kept, packed, as many people ask for the same: some 4,000.
_KEPT = 16 << 20


@dataclass(slots=True)
class ServerState:
    """One server's service and what is kept beside it.

    Parameters
    ----------
    metrics
        Set once the application is wrapped in it.
    """

    service: SearchService
    settings: WebSettings
    films: Films
    uploads: Uploads
    metrics: Metrics | None = None
    _answers: Recent = field(default_factory=lambda: Recent(_KEPT, len))
    _searches: CapacityLimiter = field(init=False)
    _readings: CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        with self.service.snapshot() as snapshot:
            asks = snapshot.manifest.text == "elasticsearch"
        self._searches = CapacityLimiter(_ASKING if asks else _COMPUTING)
        self._readings = CapacityLimiter(_COMPUTING + 1)

    async def in_turn(self, answer: Callable[[], T], *, reads: bool = False) -> T:
        """What a search gives: a few are answered at a time, in the order they came.

        Parameters
        ----------
        reads
            Whether a film is read for it, which takes far longer; those wait for each other.
        """
        turns = self._readings if reads else self._searches
        return await to_thread.run_sync(answer, limiter=turns)

    def json_answer(self, asked: SearchRequest) -> Response:
        """What a search gives, as the API says it.

        What words find is kept until the database changes, apart for those who may see reports.
        It is kept packed, to a tenth, in bytes of its own: those that an answer is written in are
        nearly twice as many as it has.
        """

        def make() -> bytes:
            return json_bytes(self.service.search(asked).to_json())

        if not asked.by_words_alone or asked.among is not None:
            return _json(make())
        with self.service.snapshot(text=True) as snapshot:
            if snapshot.moment is None:
                return _json(make())
            asks = repr((snapshot.moment, self.service.shows_reports, asked))
            # A checksum, as what is asked may be longer than the answer.
            key = hashlib.sha256(asks.encode("utf-8", "surrogatepass")).digest()
            return _json(zlib.decompress(self._answers.get(key, lambda: zlib.compress(make(), 1))))

    @property
    def cohorts(self) -> Cohorts:
        """The cohorts of the database."""
        return Cohorts(self.service.layout.cohorts)

    def among(self, query: BoundQuery) -> tuple[str, ...] | None:
        """The images that cohort and source of a query allow to be found; None without these.

        Raises
        ------
        NotFoundError
            There is no such cohort or source.
        QueryError
            The source has too many images.
        """
        among = None if query.cohort is None else self.cohorts.get(query.cohort).images
        if query.source is None:
            return among
        with self.service.snapshot() as snapshot:
            images = snapshot.database.ledger.files.images_in(query.source, MAX_IMAGES + 1)
        if not images:
            raise NotFoundError(f"no source has the number {query.source}")
        if len(images) > MAX_IMAGES:
            raise QueryError(f"a source of more than {MAX_IMAGES:,} images narrows no search")
        own = {*images}
        return tuple(images if among is None else (image for image in among if image in own))

    def sources(self) -> list[tuple[int, str, int]]:
        """Number, path and images of each archive; the path may hold patient data."""
        with self.service.snapshot() as snapshot:
            files = snapshot.database.ledger.files
            return [(n, path, count) for n, path, count in files.archives() if count]

    def runs(self, count: int) -> list[Run]:
        """The last runs, the newest first."""
        with self.service.snapshot() as snapshot:
            return snapshot.database.ledger.runs.recent(count)

    def database_status(self) -> DatabaseStatus:
        """Counts of the database as it is now; with paths of archives."""
        with self.service.snapshot() as snapshot:
            return DatabaseStatus.of(snapshot.database)

    def status(self, now: DatabaseStatus | None = None) -> dict[str, Any]:
        """Counts of the database, without any path.

        Parameters
        ----------
        now
            What `database_status` gave; None to ask it.
        """
        found = now or self.database_status()
        manifest, last = found.manifest, found.last_run
        return {
            "indexed": found.images,
            "studies": found.studies,
            "patients": found.patients,
            "files": found.files,
            "reasons": found.reasons,
            "waiting_documents": found.waiting,
            "bundle": {"name": manifest.bundle_name, "hash": manifest.bundle},
            "text_store": manifest.text,
            "last_run": asdict(last) if last else None,
        }

    def metrics_text(self) -> str:
        """All counts in the text format of Prometheus."""
        assert self.metrics is not None
        status = self.status()
        gauges = {name: status[name] for name in ("indexed", "studies", "waiting_documents")}
        return self.metrics.text({f"database_{name}": value for name, value in gauges.items()})


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def request_state(request: Request) -> ServerState:
    """The state of the server that answers a request, without the text of reports for those who
    may not see it."""
    state: ServerState = request.app.state.cxrdex
    person = getattr(request.state, "person", None)
    if person is not None and not person.may(state.settings.reports):
        seen = copy(state)
        seen.service = state.service.without_reports()
        return seen
    return state


async def app_state(request: Request) -> ServerState:
    """`request_state` as a dependency; what is not `async` would wait for a thread of its own."""
    return request_state(request)
