"""How people sign in to a server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import CxrdexError
from search.web.people.person import Role

__all__ = ["OpenIdSettings", "SignInSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdSettings:
    """A provider of identities.

    Parameters
    ----------
    issuer
        Its address, under which ``/.well-known/openid-configuration`` is.
    client, secret
        What it knows this server by.
    claim
        What of an identity is the person's name here.
    """

    issuer: str
    client: str
    secret: str
    claim: str = "preferred_username"

    def __post_init__(self) -> None:
        if not self.issuer.startswith("https://") and not self.issuer.startswith(
            ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")
        ):
            raise CxrdexError(f"`openid` {self.issuer}: the address of a provider is https://…")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """How a server learns who asks.

    Parameters
    ----------
    users
        The users file: roles, passwords, tokens.
    proxies
        Addresses of reverse proxies, whose ``X-Forwarded-For`` and ``-Proto`` are believed.
    proxy_header
        Name of the header in which these proxies say who asks; None where they do not.
    openid
        A provider of identities.
    unlisted
        Role of people whom proxy or provider knows and the users file does not; None for none.
    idle_minutes, hours, sessions
        When a session ends without a request, and at all; how many a person may have.

    Raises
    ------
    CxrdexError
        Nobody could sign in so.
    """

    users: Path | None = None
    proxies: tuple[str, ...] = ()
    proxy_header: str | None = None
    openid: OpenIdSettings | None = None
    unlisted: Role | None = None
    idle_minutes: float = 60.0
    hours: float = 12.0
    sessions: int = 10

    def __post_init__(self) -> None:
        for proxy in self.proxies:
            try:
                ipaddress.ip_address(proxy)
            except ValueError as error:
                raise CxrdexError(
                    f"`proxies` {proxy} is no IP address, such as 10.0.0.5"
                ) from error
        if self.proxy_header is not None and not self.proxies:
            raise CxrdexError("`proxy_header` needs `proxies` ADDRESS: who is believed to send it")
        if self.users is None and self.proxy_header is None and self.openid is None:
            raise CxrdexError("nobody could sign in: name `users`, `proxy_header` or `openid`")
        if self.users is None and self.unlisted is None:
            raise CxrdexError("nobody would have a role: name `users`, or `unlisted` ROLE for all")
