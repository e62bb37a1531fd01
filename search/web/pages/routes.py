"""All pages of the server."""

from __future__ import annotations

from fastapi import APIRouter

from search.web.overview import pages as overview
from search.web.pages import about, cases, failures, searching
from search.web.review import pages as review

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
for part in (overview, searching, cases, review, failures, about):
    router.include_router(part.router)
