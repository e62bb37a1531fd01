"""Rows of the audit as syslog messages (RFC 5424), over UDP (RFC 5426) or a local socket."""

from __future__ import annotations

import logging
import os
import re
import socket
from typing import Any

from indexer.errors import CxrdexError
from search.web.audit.trail import AuditRow, Head, now

__all__ = ["Syslog", "message"]

_log = logging.getLogger(__name__)

# Facility 13, "log audit".
_FACILITY = 13 * 8
_NOTICE, _WARNING = 5, 4
# The enterprise number that RFC 5612 keeps for those who have none of their own.
_DATA = "cxrdex@32473"
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def message(row: AuditRow) -> str:
    """One row as one line, without its end."""
    event = row.event
    parts = {
        "number": str(row.number),
        "person": event.person,
        "address": event.address,
        "status": str(event.status),
        "route": event.route,
        "subject": event.subject,
        "seal": row.seal,
    }
    severity = _WARNING if event.status >= 400 else _NOTICE
    return _line(severity, event.time, event.action.replace(" ", "-"), parts, event.detail)


def _line(severity: int, time: str, kind: str, parts: dict[str, str], text: str) -> str:
    data = " ".join(f'{name}="{_value(value)}"' for name, value in parts.items() if value)
    start = f"<{_FACILITY + severity}>1 {time} {socket.gethostname() or '-'} cxrdex {os.getpid()}"
    message = _CONTROLS.sub(" ", text)
    # The mark says that what follows is UTF-8, where it is more than ASCII.
    mark = "" if message.isascii() else "\ufeff"
    return f"{start} {kind} [{_DATA} {data}]" + (f" {mark}{message}" if message else "")


def _value(text: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", _CONTROLS.sub(" ", text))


class Syslog:
    """A collector of messages.

    Parameters
    ----------
    target
        ``HOST:PORT``, or the path of a local socket such as ``/dev/log``.

    Raises
    ------
    CxrdexError
        It is neither, or does not exist.
    """

    def __init__(self, target: str) -> None:
        self._failed = False
        host, colon, port = target.rpartition(":")
        if not target.startswith("/") and not (colon and host and port.isdecimal()):
            raise CxrdexError(f"`syslog` {target}: HOST:PORT or the path of a socket is right")
        try:
            family: int = socket.AF_UNIX
            place: Any = target
            if not target.startswith("/"):
                found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
                family, _, _, _, place = found[0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        except (OSError, OverflowError) as error:
            raise CxrdexError(f"`syslog` {target}: {error}") from error
        try:
            self._socket.connect(place)
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise CxrdexError(f"`syslog` {target}: {error}") from error

    def send(self, row: AuditRow) -> None:
        """Send a row; the file has it, whatever becomes of the message."""
        self._send(message(row))

    def send_head(self, head: Head) -> None:
        """Send the last row's number and seal."""
        parts = {"number": str(head.number), "seal": head.seal}
        self._send(_line(_NOTICE, now(), "head", parts, ""))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, text: str) -> None:
        try:
            self._socket.send(text.encode())
        except OSError as error:
            if not self._failed:
                _log.warning("syslog does not take the audit: %s", error)
            self._failed = True
        else:
            self._failed = False
