"""A small OpenID Connect provider: code flow, PKCE, tokens that are really signed."""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core.util import create_half_hash
from fastapi import FastAPI, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.search.web.people.conftest import listening

CLIENT, SECRET = "cxrdex", "a secret of the client"


@dataclass
class Provider:
    """Whom it lets in, and what it does wrong.

    Parameters
    ----------
    claims
        Claims in place of the right ones; None leaves one out.
    wrong
        ``"key"`` signs with another key, ``"none"`` not at all, ``"no token"`` sends no identity,
        ``"no json"`` no JSON, ``"silent"`` an error.
    """

    name: str = "reader"
    claims: dict[str, Any] = field(default_factory=dict)
    wrong: str = ""
    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def identity(self, nonce: str, access: str) -> str:
        """A signed token."""
        now = int(time.time())
        half = create_half_hash(access, "RS256")
        claims = {
            "iss": self.issuer,
            "sub": f"id of {self.name}",
            "aud": CLIENT,
            "exp": now + 60,
            "iat": now,
            "nonce": nonce,
            "at_hash": half.decode() if isinstance(half, bytes) else half,
            "preferred_username": self.name,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.wrong == "none":
            parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
            return ".".join([*(urlsafe_b64encode(one).decode().strip("=") for one in parts), ""])
        key = RSAKey.generate_key(2048, {"kid": "1"}) if self.wrong == "key" else self.key
        return jwt.encode({"alg": "RS256", "kid": "1"}, claims, key)

    def app(self) -> FastAPI:
        """Its server."""
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def configuration() -> dict[str, Any]:
            return {
                "issuer": self.claims.get("issuer", self.issuer),
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            }

        @app.get("/keys")
        def keys() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False)]}

        @app.get("/authorize")
        def authorize(request: Request) -> Response:
            asked = dict(request.query_params)
            assert asked["client_id"] == CLIENT
            assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
            assert "openid" in asked["scope"].split()
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"]})
            return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

        @app.post("/token")
        def token(
            request: Request,
            code: Annotated[str, Form()],
            redirect_uri: Annotated[str, Form()],
            code_verifier: Annotated[str, Form()],
        ) -> Response:
            asked = self.codes.pop(code, None)
            if asked is None or redirect_uri != asked["redirect_uri"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            if create_s256_code_challenge(code_verifier) != asked["code_challenge"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            if not request.headers.get("authorization", "").startswith("Basic "):
                return JSONResponse({"error": "invalid_client"}, 401)
            if self.wrong == "no json":
                return Response("<html>", media_type="text/html")
            if self.wrong == "silent":
                return Response(status_code=500)
            access = secrets.token_urlsafe(16)
            answer = {"access_token": access, "token_type": "Bearer", "expires_in": 60}
            if self.wrong != "no token":
                answer["id_token"] = self.identity(asked["nonce"], access)
            return JSONResponse(answer)

        return app


@contextmanager
def running(provider: Provider) -> Iterator[Provider]:
    """Serve it on loopback."""
    with listening(provider.app()) as port:
        provider.issuer = f"http://127.0.0.1:{port}"
        yield provider
