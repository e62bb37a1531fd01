"""The key under which rows of an audit are sealed: a file that its owner alone can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from indexer.errors import CxrdexError

__all__ = ["audit_key"]

_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def audit_key(path: Path, *, make: bool = False) -> bytes:
    """The key of an audit.

    Parameters
    ----------
    path
        Its file.
    make
        Make it where it does not exist, with mode 0600.

    Raises
    ------
    CxrdexError
        There is none, others can read it, or it is too short.
    """
    try:
        if make and not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
                file.flush()
                os.fsync(file.fileno())
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read()
    except OSError as error:
        raise CxrdexError(f"audit key {path}: {error.strerror}; `audit_key` names it") from error
    if os.name == "posix" and mode & _OTHERS:
        raise CxrdexError(f"audit key {path}: others can read it: `chmod 600 {path}`")
    if len(key) < _BYTES:
        raise CxrdexError(f"audit key {path}: {len(key)} bytes; a key has {_BYTES} at least")
    return key
