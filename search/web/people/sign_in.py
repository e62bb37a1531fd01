"""The sign-in page: names and passwords; works without scripts."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from search.web.people.access import require
from search.web.people.identities import Identities
from search.web.people.limits import client_network
from search.web.people.sessions import COOKIE
from search.web.people.users import Busy, is_name
from search.web.rendering.responses import page

__all__ = ["router", "signed_in", "way_back"]


def way_back(to: str) -> str:
    """A path of this server, whatever was sent."""
    # A second slash would begin the name of another server.
    if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable():
        return to
    return "/"


def signed_in(request: Request, known: Identities, name: str, stamp: str, to: str) -> Response:
    """Open a session, and send the browser where it wanted to go."""
    answer = RedirectResponse(way_back(to), 303)
    answer.set_cookie(
        COOKIE,
        known.sessions.begin(name, stamp),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


def router(known: Identities) -> APIRouter:
    """The routes by which people come and go.

    Parameters
    ----------
    known
        How it is known who asks.
    """
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def form(
        request: Request, to: str, status: int = 200, wrong: str = "", name: str = ""
    ) -> HTMLResponse:
        openid = known.settings.openid
        text = page(
            request,
            "sign_in.html",
            to=way_back(to),
            wrong=wrong,
            name=name,
            passwords=known.users is not None,
            openid=urlsplit(openid.issuer).hostname if openid is not None else None,
        )
        return HTMLResponse(text, status)

    @router.get("/sign-in", dependencies=[require("anyone", "nothing")])
    def ask(request: Request, to: str = "/") -> Response:
        """The form."""
        if request.state.person is not None:
            return RedirectResponse(way_back(to), 303)
        return form(request, to)

    @router.post("/sign-in", dependencies=[require("anyone", "sign in")])
    def try_password(
        request: Request,
        name: Annotated[str, Form(max_length=64)],
        password: Annotated[str, Form(max_length=1024)],
        to: Annotated[str, Form(max_length=8192)] = "/",
    ) -> Response:
        """Open a session for the right name and password."""
        name = name.strip()
        # Input that is no name may be a password typed into the wrong field, so it is not recorded.
        request.state.tried = name if is_name(name) else ""
        address = client_network(request.state.address)
        wait = known.guesses.attempt(address) or known.names.attempt(name)
        if wait > 0:
            answer = form(request, to, 429, f"Too many tries: wait {int(wait) + 1} seconds.", name)
            answer.headers["retry-after"] = str(int(wait) + 1)
            return answer
        try:
            user = known.users.by_password(name, password) if known.users is not None else None
        except Busy:
            return form(request, to, 503, "Too many people sign in at once: try again.", name)
        if user is None:
            return form(request, to, 401, "Name or password is wrong.", name)
        known.guesses.excused(address)
        known.names.succeeded(name)
        return signed_in(request, known, user.name, user.stamp, to)

    @router.post("/sign-out", dependencies=[require("reader", "sign out")])
    def leave(request: Request) -> Response:
        """Close the session."""
        if request.state.session is not None:
            known.sessions.end(request.state.session)
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE)
        # Pictures that the browser has kept go too.
        answer.headers["clear-site-data"] = '"cache"'
        return answer

    return router
