"""What all requests of a server share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fastapi import Request

from indexer.database.upkeep.status import DatabaseStatus
from search.service import SearchService
from search.web.films import Films
from search.web.metrics import Metrics
from search.web.settings import WebSettings
from search.web.uploads import Uploads

__all__ = ["State", "state_of"]


@dataclass(slots=True)
class State:
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

    def status(self) -> dict[str, Any]:
        """Counts of the database, without any path."""
        with self.service.snapshot() as snapshot:
            found = DatabaseStatus.of(snapshot.database)
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


def state_of(request: Request) -> State:
    """The state of the server that answers a request."""
    state: State = request.app.state.cxrdex
    return state
