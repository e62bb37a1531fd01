"""Where what cxrdex logs goes: stderr, and a file where one is named."""

from __future__ import annotations

import logging

__all__ = ["LogHandlers"]

_PACKAGES = ("cli", "search", "indexer", "cxrdex")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogHandlers:
    """The handlers of one command; those given again replace the former ones."""

    def __init__(self) -> None:
        self.verbose = 0
        self.path: str | None = None
        self._handlers: list[logging.Handler] = []

    def start(self) -> None:
        self.stop()
        level = logging.DEBUG if self.verbose > 1 else logging.INFO
        if self.path is not None:
            self._add(logging.FileHandler(self.path, encoding="utf-8"), level)
        # Beside a file, warnings still go to the person at the terminal.
        self._add(logging.StreamHandler(), level if self.verbose else logging.WARNING)
        for name in _PACKAGES:
            logging.getLogger(name).setLevel(level)
            logging.getLogger(name).propagate = False

    def stop(self) -> None:
        for handler in self._handlers:
            for name in _PACKAGES:
                logging.getLogger(name).removeHandler(handler)
            handler.close()
        self._handlers.clear()
        for name in _PACKAGES:
            logging.getLogger(name).setLevel(logging.NOTSET)
            logging.getLogger(name).propagate = True

    def _add(self, handler: logging.Handler, level: int) -> None:
        handler.setLevel(level)
        handler.setFormatter(logging.Formatter(_FORMAT))
        self._handlers.append(handler)
        for name in _PACKAGES:
            logging.getLogger(name).addHandler(handler)
