"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import CxrdexError
from search.web.people.person import Role

__all__ = ["OpenIdSettings", "SignInSettings", "WebSettings", "is_loopback"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WILDCARDS = ("0.0.0.0", "::", "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
            raise CxrdexError(f"--openid {self.issuer}: the address of a provider is https://…")


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
                raise CxrdexError(f"--proxy {proxy} is no IP address, such as 10.0.0.5") from error
        if self.proxy_header is not None and not self.proxies:
            raise CxrdexError("--proxy-header needs --proxy ADDRESS: who is believed to send it")
        if self.users is None and self.proxy_header is None and self.openid is None:
            raise CxrdexError("nobody could sign in: name --users, --proxy-header or --openid")
        if self.users is None and self.unlisted is None:
            raise CxrdexError("nobody would have a role: name --users, or --unlisted ROLE for all")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Settings of a server.

    Parameters
    ----------
    host, port
        Where it listens; addresses other than loopback need a sign-in.
    names
        Host names by which browsers may call it, beside the address itself; they need a sign-in.
    sign_in
        How it learns who asks; None where whoever uses this machine may do everything.
    upload_bytes
        Size that an uploaded film may have.
    uploads, upload_minutes
        How many uploaded films are kept in memory, and for how long after they were last asked for.
    request_rate, upload_rate
        Requests and uploads that a person, or an address without one, may send a minute where
        there is a sign-in; 0 for any number.
    viewer
        Address of another viewer for the case page, in which ``{study}`` and ``{image}`` stand for
        the pseudonymous ids; None for no link.
    reports
        The role from which on people see the text of reports.

    Raises
    ------
    CxrdexError
        It can be reached from other machines, and there is no sign-in.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    sign_in: SignInSettings | None = None
    upload_bytes: int = 128 << 20
    uploads: int = 16
    upload_minutes: float = 30.0
    request_rate: int = 1200
    upload_rate: int = 30
    viewer: str | None = None
    reports: Role = "reader"

    def __post_init__(self) -> None:
        if self.sign_in is not None:
            return
        if not is_loopback(self.host):
            raise CxrdexError(
                f"--host {self.host} can be reached from other machines, and there is no "
                "sign-in: add --users FILE (or --proxy-header, --openid), or use 127.0.0.1"
            )
        if self.names:
            raise CxrdexError(
                f"--name {self.names[0]} is for people from other machines, and there is no "
                "sign-in: add --users FILE (or --proxy-header, --openid)"
            )

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which browsers may call it; another one is a page that borrows its address."""
        own = () if self.host in _WILDCARDS else (self.host,)
        return (*_LOOPBACK, *own, *(name.lower() for name in self.names))
