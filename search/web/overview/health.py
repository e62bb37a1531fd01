"""Whether the parts of a database can do their work, each in a line."""

from __future__ import annotations

from typing import NamedTuple

from indexer import advice
from indexer.database.upkeep.status import DatabaseStatus
from indexer.errors import CxrdexError
from search.request import SearchRequest
from search.service import SearchService

__all__ = ["Health", "health_checks"]


class Health(NamedTuple):
    """One part.

    Parameters
    ----------
    part
        Its name.
    is_well
        Whether all that needs it works.
    says
        What it holds, or what is wrong with it and what to do.
    """

    part: str
    is_well: bool
    says: str


def health_checks(service: SearchService, status: DatabaseStatus) -> list[Health]:
    """The parts of a database, in the order in which a search needs them."""
    return [_ledger(status), _text(service, status), _vectors(status), _bundle(service, status)]


def _ledger(status: DatabaseStatus) -> Health:
    run = status.last_run
    if run is not None and run.state in ("interrupted", "stopped"):
        return Health("ledger", False, f"run {run.id} did not end: run {advice.INDEX} again")
    return Health("ledger", True, f"{status.images:,} images, {sum(status.files.values()):,} files")


def _text(service: SearchService, status: DatabaseStatus) -> Health:
    kind = status.manifest.text
    try:
        service.search(SearchRequest(words="*", facets=(), limit=0))
    except CxrdexError as error:
        return Health("text", False, f"{kind}: {error}")
    if status.waiting:
        return Health("text", False, f"{kind}: {status.waiting:,} documents wait: {advice.SYNC}")
    return Health("text", True, f"{kind}, all documents are in it")


def _vectors(status: DatabaseStatus) -> Health:
    found = status.generation
    if found is None:
        return Health("vectors", not status.images, "no index: each search compares all images")
    says = f"{found.kind}, {found.count:,} images"
    if status.fresh or status.dead:
        says += f"; {status.fresh:,} beside it, {status.dead:,} dead in it"
    return Health("vectors", True, says)


def _bundle(service: SearchService, status: DatabaseStatus) -> Health:
    manifest = status.manifest
    try:
        service.bundle()
    except CxrdexError as error:
        return Health("bundle", False, f"films cannot be read: {error}")
    return Health("bundle", True, f"{manifest.bundle_name} {manifest.bundle}")
