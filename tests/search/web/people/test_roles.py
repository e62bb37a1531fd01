"""Every route declares a role, and nobody below it gets in."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.testclient import TestClient

from search.web.people.access import (
    Asking,
    require,
    route_access,
    undeclared_is_for_administrators,
)
from search.web.people.person import LOCAL, ROLES, Person, Role


def test_each_role_may_what_those_below_it_may() -> None:
    assert [[Person("a", one).may(other) for other in ROLES] for one in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert LOCAL.may("administrator")


def small(person: Person | None) -> TestClient:
    """A server of one route for each role, asked by one person."""
    app, router = FastAPI(), APIRouter(dependencies=[require("reader")])
    for role in ROLES:

        @router.get(f"/{role}", dependencies=[require(role)])
        def who(asking: Asking) -> str:
            return asking.name

    app.include_router(router, prefix="/v1")

    return asked_by(app, person)


def asked_by(app: FastAPI, person: Person | None) -> TestClient:
    async def as_person(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["person"] = person
        await app(scope, receive, send)

    return TestClient(as_person)


@pytest.mark.parametrize("role", [*ROLES, None])
def test_a_route_is_for_its_role(role: Role | None) -> None:
    client = small(Person("ada", role) if role else None)
    wanted = [200 if role and Person("", role).may(one) else 403 if role else 401 for one in ROLES]
    assert [client.get(f"/v1/{one}").status_code for one in ROLES] == wanted


def test_the_role_of_a_route_is_its_own() -> None:
    router = APIRouter(dependencies=[require("reader")])
    router.add_api_route("/a", lambda: None, dependencies=[require("administrator")])
    router.add_api_route("/b", lambda: None)
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/v1")
    app.add_api_route("/c", lambda: None)
    assert {one.path: one.role for one in route_access(app.routes)} == {
        "/v1/a": "administrator",
        "/v1/b": "reader",
        "/c": None,
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_route_without_a_role_is_for_administrators(role: Role) -> None:
    app, router = FastAPI(dependencies=[Depends(undeclared_is_for_administrators)]), APIRouter()
    router.add_api_route("/forgotten", lambda: None)
    router.add_api_route("/known", lambda: None, dependencies=[require("reader")])
    app.include_router(router, prefix="/v1")
    client = asked_by(app, Person("ada", role))
    assert client.get("/v1/known").status_code == 200
    assert client.get("/v1/forgotten").status_code == (200 if role == "administrator" else 403)
