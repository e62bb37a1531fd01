"""A proxy before a real Elasticsearch that answers some requests itself, as a busy one would."""

from __future__ import annotations

import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["Proxy"]

_SLOW_SECONDS = 1.5


class Proxy:
    """Forwards requests, but does to bulk requests what `faults` says, the first one first.

    Parameters
    ----------
    target
        Address of the server.

    Attributes
    ----------
    faults
        A status to answer with; ``"reset"`` closes the connection; ``"timeout"`` answers too late;
        ``"lost answer"`` forwards the request and then closes the connection.
    down
        Every connection is closed without an answer.
    largest
        Bodies above so many bytes are answered with 413.
    """

    def __init__(self, target: str) -> None:
        self.faults: list[int | str] = []
        self.down = False
        self.largest: int | None = None
        address = urlsplit(target)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if proxy.down:
                    self.close_connection = True
                    return
                bulk = self.path.split("?")[0].endswith("/_bulk")
                fault = proxy.faults.pop(0) if bulk and proxy.faults else None
                if bulk and proxy.largest is not None and len(body) > proxy.largest:
                    fault = 413
                if fault == "timeout":
                    time.sleep(_SLOW_SECONDS)
                if fault in ("reset", "timeout"):
                    self.close_connection = True
                    return
                if isinstance(fault, int):
                    error = {"error": {"type": "a_fault", "reason": "of the proxy"}}
                    self._answer(fault, json.dumps(error).encode(), "application/json")
                    return
                server = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
                kept = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                server.request(self.command, self.path, body, kept)
                answer = server.getresponse()
                data = answer.read()
                server.close()
                if fault == "lost answer":
                    self.close_connection = True
                    return
                self._answer(answer.status, data, answer.headers.get("Content-Type", "text/plain"))

            def _answer(self, status: int, data: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def log_message(self, *values: object) -> None:
                """Nothing: tests are quiet."""

        for method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
            setattr(Handler, f"do_{method}", Handler._handle)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
