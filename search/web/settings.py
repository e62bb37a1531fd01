"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from indexer.errors import CxrdexError
from search.web.people.person import Role

__all__ = ["WebSettings", "is_loopback"]


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
        Where it listens. There is no sign-in, so only loopback addresses are taken.
    upload_bytes
        Size that an uploaded film may have.
    uploads, upload_minutes
        How many uploaded films are kept in memory, and for how long after they were last asked for.
    viewer
        Address of another viewer for the case page, in which ``{study}`` and ``{image}`` stand for
        the pseudonymous ids; None for no link.
    reports
        The role from which on people see the text of reports.

    Raises
    ------
    CxrdexError
        The address can be reached from other machines.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    upload_bytes: int = 128 << 20
    uploads: int = 16
    upload_minutes: float = 30.0
    viewer: str | None = None
    reports: Role = "reader"

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise CxrdexError(
                f"--host {self.host} can be reached from other machines, and this server has no "
                "sign-in: use 127.0.0.1, and let people in through a proxy that knows them"
            )

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which browsers may call it; another one is a page that borrows its address."""
        return ("127.0.0.1", "localhost", "[::1]", "::1")
