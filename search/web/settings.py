"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from indexer.errors import CxrdexError
from search.web.people.person import Role
from search.web.people.settings import SignInSettings

__all__ = ["WebSettings", "is_loopback"]

#: Stands for the original Study Instance UID in the address of another viewer.
ORIGINAL = "{study_uid}"
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
    uploads, uploads_bytes, upload_minutes
        How many uploaded films are kept in memory, how many bytes of them, and for how long after
        they were last asked for. So many bytes are received at a time, too.
    uploads_at_once
        How many films are received and answered at a time.
    request_rate, upload_rate
        Requests and uploads that a person, or an address without one, may send a minute where
        there is a sign-in; 0 for any number.
    viewer
        Address of another viewer for the case page, in which ``{study}`` and ``{image}`` stand for
        the pseudonymous ids, and ``{study_uid}`` for the original Study Instance UID, which is read
        from the film's file at the click; None for no link.
    viewer_role
        The role from which on people are led to originals.
    reports
        The role from which on people see the text of reports.

    Raises
    ------
    CxrdexError
        It can be reached from other machines, and there is no sign-in; or `viewer` is no address.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    sign_in: SignInSettings | None = None
    upload_bytes: int = 128 << 20
    uploads: int = 16
    uploads_bytes: int = 512 << 20
    uploads_at_once: int = 64
    upload_minutes: float = 30.0
    request_rate: int = 1200
    upload_rate: int = 30
    viewer: str | None = None
    viewer_role: Role = "administrator"
    reports: Role = "reader"

    def __post_init__(self) -> None:
        if self.viewer is not None:
            rest = self.viewer
            for placeholder in ("{study}", "{image}", ORIGINAL):
                rest = rest.replace(placeholder, "")
            # A scheme such as weasis: opens a program; that of a script opens nothing.
            if not urlsplit(rest).scheme or {"{", "}"} & {*rest} or rest.startswith("javascript:"):
                raise CxrdexError(
                    f"`viewer` {self.viewer} is no address: https://… with {{study}}, {{image}} "
                    "or {{study_uid}} where the id stands"
                )
        if self.sign_in is not None:
            return
        if not is_loopback(self.host):
            raise CxrdexError(
                f"`host` {self.host} can be reached from other machines, and there is no "
                "sign-in: add `users` FILE (or `proxy_header`, `openid`), or use 127.0.0.1"
            )
        if self.names:
            raise CxrdexError(
                f"`names` {self.names[0]} is for people from other machines, and there is no "
                "sign-in: add `users` FILE (or `proxy_header`, `openid`)"
            )

    def viewer_address(self, study: str, image: str, original: str = "") -> str | None:
        """Where another viewer shows an image; None for nowhere.

        Parameters
        ----------
        original
            Study Instance UID, where `shows_originals`.
        """
        if self.viewer is None:
            return None
        address = self.viewer.replace(ORIGINAL, original)
        return address.replace("{study}", study).replace("{image}", image)

    @property
    def shows_originals(self) -> bool:
        """Whether the other viewer is asked for a study by its original UID."""
        return self.viewer is not None and ORIGINAL in self.viewer

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which browsers may call it; another one is a page that borrows its address."""
        own = () if self.host in _WILDCARDS else (self.host,)
        return (*_LOOPBACK, *own, *(name.lower() for name in self.names))
