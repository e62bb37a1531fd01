"""What a route asks of the person who calls it: `require(role)` in its dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from search.web.people.person import Person, Role

__all__ = [
    "Asking",
    "Audience",
    "AuditAction",
    "RouteAccess",
    "current_person",
    "is_administrator",
    "noted",
    "require",
    "route_access",
    "undeclared_is_for_administrators",
]


def current_person(request: Request) -> Person:
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


def is_administrator(request: Request) -> bool:
    """Whether the person who asks administrates the server, as everybody does without sign-in."""
    return current_person(request).may("administrator")


async def _person(request: Request) -> Person:
    return current_person(request)


#: The parameter of a route that is to know who asks.
Asking = Annotated[Person, Depends(_person)]


#: The kind of a request in the audit; ``"nothing"`` if it shows nothing about a patient.
AuditAction: TypeAlias = Literal[
    "search", "open", "export", "change", "sign in", "sign out", "nothing"
]
#: Whom a route is for: a role, or everyone, even without a sign-in.
Audience: TypeAlias = Role | Literal["anyone"]


class _Required:
    """A dependency that lets people of a role pass, and says what they do."""

    def __init__(self, role: Audience, does: AuditAction | None) -> None:
        self.role, self.does = role, does

    async def __call__(self, request: Request) -> None:
        self.check(request)

    def check(self, request: Request) -> None:
        """Refuse whoever is below the role."""
        state = request.scope.setdefault("state", {})
        state["does"] = self.does or ("open" if request.method in ("GET", "HEAD") else "change")
        audit = state.get("audit")
        if audit is not None and state["does"] != "nothing" and not audit.is_ready():
            raise HTTPException(503, "the audit cannot be written: tell its keeper")
        if self.role == "anyone":
            return
        person = current_person(request)
        if not person.may(self.role):
            raise HTTPException(
                403, f"this needs the role {self.role}; {person.name} has the role {person.role}"
            )


def require(role: Audience, does: AuditAction | None = None) -> Any:
    """What a route has among its `dependencies`: people below `role` get a 403.

    Parameters
    ----------
    role
        ``"anyone"`` is for the sign-in page alone, whose paths `search.web.people.door` knows.
    does
        What a request is to the audit; None for ``"open"`` of a GET, else ``"change"``. The route
        may say more of it by `noted`.
    """
    return Depends(_Required(role, does))


def noted(request: Request, detail: str) -> None:
    """Have the audit say what a request asked for, where its address does not say it."""
    request.state.detail = detail


async def undeclared_is_for_administrators(request: Request) -> None:
    """For an app's own `dependencies`: a route whose role was forgotten is open to few."""
    if _role(request.scope["route"]) is None:
        _Required("administrator", None).check(request)


class RouteAccess(NamedTuple):
    """A route and the role it declares; None where it declares none."""

    path: str
    methods: frozenset[str]
    role: Audience | None


def route_access(routes: Iterable[Any]) -> Iterator[RouteAccess]:
    """The role of every route, included routers too; mounted files are left out."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from route_access(route.effective_candidates())
        elif getattr(route, "methods", None):
            yield RouteAccess(route.path, frozenset(route.methods), _role(route))


def _role(route: Any) -> Audience | None:
    needed = getattr(getattr(route, "dependant", None), "dependencies", ())
    roles = [one.call.role for one in needed if isinstance(one.call, _Required)]
    # The last one is the route's own, after those of its router.
    return roles[-1] if roles else None
