"""The audit as a page and over the API, for administrators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field

from indexer import advice
from indexer.errors import NotFoundError
from search.web.audit.trail import Trail
from search.web.people.access import require
from search.web.problems import PROBLEMS
from search.web.queries import NoQuery
from search.web.rendering.responses import page

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS)

_ACTIONS = ("search", "open", "export", "change", "sign in", "sign out", "refused", "start", "stop")


class AuditQuery(NoQuery):
    """Which rows are wanted."""

    before: Annotated[int | None, Field(ge=1, le=1 << 62)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    person: Annotated[str, Field(max_length=64)] = ""
    action: Annotated[str, Field(max_length=16)] = ""

    def rows(self, trail: Trail) -> tuple[list[dict[str, Any]], int | None]:
        """These rows, the newest first, and what `before` asks for the next ones."""
        found = [
            row.to_json()
            for row in trail.rows(
                before=self.before,
                limit=self.limit,
                person=self.person or None,
                action=self.action or None,
            )
        ]
        more = len(found) == self.limit and found[-1]["number"] > 1
        return found, found[-1]["number"] if more else None


def _trail(request: Request) -> Iterator[Trail]:
    audit = getattr(request.state, "audit", None)
    if audit is None:
        raise NotFoundError(f"this server keeps no audit: {advice.KEEP_AUDIT} does")
    audit.flush(1.0)
    with Trail(audit.path) as trail:
        yield trail


_Trail = Annotated[Trail, Depends(_trail)]
_Query = Annotated[AuditQuery, Query()]


@router.get("/v1/audit", dependencies=[require("administrator")])
def audit_rows(trail: _Trail, query: _Query) -> dict[str, Any]:
    """Who asked for what, the newest first; `before` of an answer asks for the rows before."""
    rows, before = query.rows(trail)
    return {"rows": rows, "before": before}


@router.get(
    "/audit",
    dependencies=[require("administrator")],
    include_in_schema=False,
    response_class=HTMLResponse,
)
def audit_page(request: Request, trail: _Trail, query: _Query) -> str:
    """The same as a page."""
    rows, before = query.rows(trail)
    kept = {**query.model_dump(exclude_defaults=True), "before": before}
    return page(
        request,
        "audit.html",
        rows=rows,
        older=f"/audit?{urlencode(kept)}" if before is not None else None,
        asked=query,
        actions=_ACTIONS,
        head=trail.head(),
    )
