"""Signing in at a provider of identities (OpenID Connect), with its code flow and PKCE."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError, StarletteOAuth2App
from fastapi import APIRouter, Request, Response
from joserfc.errors import JoseError
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware

from search.web.people.access import require
from search.web.people.identities import Identities
from search.web.people.settings import OpenIdSettings
from search.web.people.sign_in import signed_in, way_back
from search.web.people.users import is_name

__all__ = ["WithState", "router"]

_log = logging.getLogger(__name__)

_COOKIE = "cxrdex-openid"
# Seconds that someone has for signing in at the provider.
_PATIENCE = 600
# Signature algorithms with a private key of the provider: who can verify cannot sign.
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) | frozenset(
    {"ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)


class WithState:
    """Keeps what a sign-in has begun with in a signed cookie; wraps an ASGI app."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        key = secrets.token_hex(32)
        self._app = app
        self._by_scheme = {
            scheme: SessionMiddleware(
                app,
                key,
                session_cookie=_COOKIE,
                max_age=_PATIENCE,
                path="/sign-in/openid",
                same_site="lax",
                https_only=scheme == "https",
            )
            for scheme in ("http", "https")
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and scope["path"].startswith("/sign-in/openid"):
            await self._by_scheme[scope["scheme"]](scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Provider:
    """What the provider says of itself, checked."""

    def __init__(self, settings: OpenIdSettings) -> None:
        self.settings = settings
        issuer = settings.issuer.rstrip("/")
        registry = OAuth()
        self._client: StarletteOAuth2App = registry.register(
            "provider",
            client_id=settings.client,
            client_secret=settings.secret,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid profile email",
                "code_challenge_method": "S256",
                "timeout": 10,
                "trust_env": False,
            },
        )

    async def client(self) -> StarletteOAuth2App:
        """What speaks with it, once it has said who it is."""
        metadata = await self._client.load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != self.settings.issuer.rstrip("/"):
            self._client.server_metadata.clear()
            raise OAuthError("wrong_issuer", f"it calls itself {metadata.get('issuer')}")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [
            one for one in offered if one in _ALGORITHMS
        ]
        return self._client

    async def name(self, request: Request) -> str:
        """Whom it lets in, of the request that it sent the browser back with."""
        client = await self.client()
        token = await client.authorize_access_token(
            request,
            claims_options={
                "iss": {"essential": True, "values": [client.server_metadata["issuer"]]},
                "aud": {"essential": True, "value": self.settings.client},
                "sub": {"essential": True},
                "exp": {"essential": True},
            },
        )
        identity = token.get("userinfo")
        if identity is None:
            raise OAuthError("no_identity", "it sent no identity")
        found = identity.get(self.settings.claim)
        if not isinstance(found, str):
            raise OAuthError("no_name", f"its identity has no {self.settings.claim}")
        return found


def router(known: Identities, settings: OpenIdSettings) -> APIRouter:
    """The routes by which people come from the provider.

    Parameters
    ----------
    known
        How it is known who asks.
    settings
        The provider.
    """
    router = APIRouter(include_in_schema=False)
    provider = _Provider(settings)

    @router.get("/sign-in/openid", dependencies=[require("anyone", "nothing")])
    async def leave_for(request: Request, to: str = "/") -> Response:
        """Send the browser to the provider."""
        try:
            client = await provider.client()
            request.session.clear()
            request.session["to"] = way_back(to)
            answer: Response = await client.authorize_redirect(
                request, str(request.url_for("openid_callback"))
            )
        except _FAILURES as error:
            raise _failed(error, 502) from error
        return answer

    @router.get(
        "/sign-in/openid/callback",
        name="openid_callback",
        dependencies=[require("anyone", "sign in")],
    )
    async def come_back(request: Request) -> Response:
        """Let in whom the provider knows, if they began here."""
        try:
            name = await provider.name(request)
        except _FAILURES as error:
            forged = isinstance(error, OAuthError)
            raise _failed(error, 400 if forged else 502) from error
        to = str(request.session.get("to", "/"))
        request.session.clear()
        request.state.tried = name if is_name(name) else ""
        person = known.by_name(name)
        if person is None:
            raise HTTPException(403, "you are known, but have no role here: ask for one")
        return signed_in(request, known, person.name, known.session_stamp(person.name), to)

    return router


# Errors of a provider, or of someone who poses as one: refusals, wrong signatures, no answer,
# malformed or incomplete JSON.
_FAILURES = (OAuthError, JoseError, httpx2.HTTPError, ValueError, KeyError, TypeError, RuntimeError)


def _failed(error: Exception, status: int) -> HTTPException:
    # The provider's message may name a person, so only its kind is logged.
    kind = error.error if isinstance(error, OAuthError) else type(error).__name__
    _log.warning("a sign-in at the provider failed: %s", str(kind)[:100])
    return HTTPException(status, "the sign-in at the provider did not succeed: begin again")
