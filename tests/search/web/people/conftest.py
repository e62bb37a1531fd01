"""A server of a few routes behind the real door, which needs no database."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from search.web.audit.recording import Recorder
from search.web.audit.writing import Audit
from search.web.guard import Guard
from search.web.people import openid
from search.web.people import sign_in as sign_in_routes
from search.web.people.access import Asking, require
from search.web.people.door import Door
from search.web.people.identities import Identities
from search.web.people.person import ROLES
from search.web.people.settings import SignInSettings
from search.web.people.users import Users
from search.web.settings import WebSettings

PASSWORD = "correct horse battery"
HOST = "films.example"


@pytest.fixture
def users(tmp_path: Path) -> Users:
    """A users file of one person for each role, called like it."""
    users = Users(tmp_path / "users.json")
    for role in ROLES:
        users.add(role, role, PASSWORD)
    return users


def small_app(settings: WebSettings, audit: Audit | None = None) -> Any:
    """Two routes for each role behind guard, audit and door."""
    app = FastAPI(openapi_url=None)
    for role in ROLES:

        @app.get(f"/v1/{role}", dependencies=[require(role)])
        @app.post(f"/{role}", dependencies=[require(role)])
        def who(asking: Asking) -> str:
            return f"{asking.name} {asking.role}"

    identities = None
    if settings.sign_in is not None:
        identities = Identities(
            settings.sign_in,
            request_rate=settings.request_rate,
            upload_rate=settings.upload_rate,
        )
        app.include_router(sign_in_routes.router(identities))
        if settings.sign_in.openid is not None:
            app.include_router(openid.router(identities, settings.sign_in.openid))
            app.add_middleware(openid.WithState)
    door = Door(app, identities)
    return Guard(door if audit is None else Recorder(door, audit), settings)


@contextmanager
def listening(app: Any) -> Iterator[int]:
    """Serve an app on loopback, in a thread; gives its port."""
    config = uvicorn.Config(app, log_level="error", proxy_headers=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., TestClient]:
    """Makes a browser at another machine, of a server with some settings."""

    def browser(
        sign_in: SignInSettings | None = None,
        *,
        audit: Audit | None = None,
        peer: str = "192.0.2.7",
        scheme: str = "https",
        **settings: Any,
    ) -> TestClient:
        sign_in = sign_in or SignInSettings(users=tmp_path / "users.json")
        wanted = WebSettings(host="0.0.0.0", names=(HOST,), sign_in=sign_in, **settings)
        app = small_app(wanted, audit)
        return TestClient(
            app, base_url=f"{scheme}://{HOST}", client=(peer, 50000), follow_redirects=False
        )

    return browser


def sign_in(client: TestClient, name: str, password: str = PASSWORD, **more: str) -> Any:
    """Send the form."""
    return client.post("/sign-in", data={"name": name, "password": password, **more})
