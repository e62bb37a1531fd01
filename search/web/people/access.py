"""What a route asks of the person who calls it: `require(role)` in its dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from search.web.people.person import Person, Role
from search.web.state import state_of

__all__ = [
    "Asking",
    "RouteAccess",
    "access_of",
    "person_of",
    "require",
    "sees_reports",
    "undeclared_is_for_administrators",
]


def person_of(request: Request) -> Person:
    """Who asks.

    Raises
    ------
    HTTPException
        401: nobody has signed in.
    """
    person = getattr(request.state, "person", None)
    if not isinstance(person, Person):
        raise HTTPException(401, "sign in first")
    return person


#: The parameter of a route that is to know who asks.
Asking = Annotated[Person, Depends(person_of)]


class _Required:
    """A dependency that lets people of a role pass."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, request: Request) -> Person:
        person = person_of(request)
        if not person.may(self.role):
            raise HTTPException(
                403, f"this needs the role {self.role}; {person.name} has the role {person.role}"
            )
        return person


def require(role: Role) -> Any:
    """What a route has among its `dependencies`: people below `role` get a 403."""
    return Depends(_Required(role))


def sees_reports(request: Request) -> bool:
    """Whether the person who asks may see the text of reports."""
    return person_of(request).may(state_of(request).settings.reports)


def undeclared_is_for_administrators(request: Request) -> None:
    """For an app's own `dependencies`: a route whose role was forgotten is open to few."""
    if _role(request.scope["route"]) is None:
        _Required("administrator")(request)


class RouteAccess(NamedTuple):
    """A route and the role it declares; None where it declares none."""

    path: str
    methods: frozenset[str]
    role: Role | None


def access_of(routes: Iterable[Any]) -> Iterator[RouteAccess]:
    """The role of every route, included routers too; mounted files are left out."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from access_of(route.effective_candidates())
        elif getattr(route, "methods", None):
            yield RouteAccess(route.path, frozenset(route.methods), _role(route))


def _role(route: Any) -> Role | None:
    needed = getattr(getattr(route, "dependant", None), "dependencies", ())
    roles = [one.call.role for one in needed if isinstance(one.call, _Required)]
    # The last one is the route's own, after those of its router.
    return roles[-1] if roles else None
