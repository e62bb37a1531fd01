"""What may be done to a cohort, and by whom; pages and API do it the same way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from fastapi import Request
from starlette.exceptions import HTTPException

from indexer.database.cohorts.cohort import Cohort, CohortSummary
from indexer.errors import QueryError
from search.web.people.access import current_person, is_administrator
from search.web.state import ServerState

__all__ = [
    "Combination",
    "check_images",
    "check_owner",
    "check_version",
    "combine",
    "current_owner",
    "edited",
    "may_change",
    "own_cohorts",
    "seen_by",
]

Combination: TypeAlias = Literal["union", "difference", "intersection"]


def current_owner(request: Request) -> str:
    """The name of the person who asks, as cohorts keep it."""
    return current_person(request).name


def may_change(request: Request, cohort: Cohort) -> bool:
    """Whether the person who asks may change a cohort: it is theirs, or they are a reviewer."""
    return cohort.owner == current_owner(request) or current_person(request).may("reviewer")


def check_owner(request: Request, cohort: Cohort) -> None:
    """Refuse whoever may only read a cohort.

    Raises
    ------
    HTTPException
        403.
    """
    if not may_change(request, cohort):
        raise HTTPException(
            403, f"the cohort belongs to {cohort.owner}: make your own by the union with it"
        )


def seen_by(request: Request, state: ServerState) -> list[CohortSummary]:
    """The cohorts that a person has listed: their own, or all where they administrate."""
    return state.cohorts.all(None if is_administrator(request) else current_owner(request))


def own_cohorts(request: Request, state: ServerState) -> list[CohortSummary]:
    """The cohorts that a person may add to, the last changed first, without others' own."""
    return state.cohorts.all(current_owner(request))


def check_version(cohort: Cohort, wanted: str | None) -> None:
    """Refuse a change that was made of another state of a cohort.

    Parameters
    ----------
    wanted
        Its ETag as the person saw it, in quotes or not; several with commas between; ``*`` fits
        any.

    Raises
    ------
    HTTPException
        428: none was named. 412: it was changed since.
    """
    if not wanted:
        raise HTTPException(428, "name the state that is to be changed: If-Match with its ETag")
    if not _fits(cohort, wanted):
        raise HTTPException(
            412, f"the cohort was changed meanwhile: read it again; its ETag is {cohort.etag} now"
        )


def _fits(cohort: Cohort, tags: str) -> bool:
    # A weak tag never fits a change (RFC 9110, 13.1.1).
    given = {tag.strip() for tag in tags.split(",")}
    return bool(given & {"*", cohort.etag, f'"{cohort.etag}"'})


def check_images(
    state: ServerState, images: Iterable[str], known: Iterable[str] = ()
) -> tuple[str, ...]:
    """The images, each once.

    Parameters
    ----------
    known
        Those that the cohort has already, which may have left the database.

    Raises
    ------
    QueryError
        The database has no such image; the text names it.
    """
    unique = tuple(dict.fromkeys(images))
    there = {*known}
    with state.service.snapshot() as snapshot:
        new = [image for image in unique if image not in there]
        found = snapshot.database.owners(new, "study")
    missing = [image for image in new if image not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise QueryError(f'the database has no image "{missing[0][:40]}"{more}')
    return unique


def combine(first: Cohort, second: Cohort, how: Combination) -> tuple[str, ...]:
    """The images of two cohorts, in the order of the first, then of the second.

    Raises
    ------
    QueryError
        They cannot be combined so.
    """
    if how not in get_args(Combination):
        raise QueryError(f"cohorts are combined by {', '.join(get_args(Combination))}")
    other = {*second.images}
    if how == "union":
        return tuple(dict.fromkeys([*first.images, *second.images]))
    return tuple(i for i in first.images if (i in other) == (how == "intersection"))


def edited(cohort: Cohort, name: str, note: str) -> Cohort:
    """The same under another name and note."""
    return replace(cohort, name=name.strip(), note=note.strip())
