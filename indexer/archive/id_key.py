"""The secret under which all pseudonyms are made: a file of the installation, read by its owner."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import CxrdexError

__all__ = ["drafted_key", "find_key", "key_path", "load_key"]

_KEY_BYTES = 32
_MIN_KEY_BYTES = 16
_MAX_KEY_BYTES = 65536
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def key_path() -> Path:
    """Where the key is: ``$CXRDEX_KEY_FILE``, else ``key`` in the user's configuration."""
    named = os.environ.get("CXRDEX_KEY_FILE")
    if named:
        return Path(named)
    import platformdirs

    return platformdirs.user_config_path("cxrdex") / "key"


def find_key(path: Path | None = None) -> bytes | None:
    """The key, if there is one.

    Parameters
    ----------
    path
        The key file; None for `key_path`.

    Raises
    ------
    CxrdexError
        The file cannot be read, others can read it, or it is too short or too long to be a key.
    """
    path = path or key_path()
    with _named(path):
        try:
            # A pipe is not opened, and a device not read: neither may ever end.
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise CxrdexError(f"key file {path}: it is a pipe or a device, not a file")
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                key = file.read(_MAX_KEY_BYTES + 1)
        except FileNotFoundError:
            return None
    if os.name == "posix" and mode & _OTHERS:
        raise CxrdexError(
            f"key file {path}: others can read it, and so find out whom the ids are of; "
            f"`chmod 600 {path}` keeps it to its owner"
        )
    if len(key) > _MAX_KEY_BYTES:
        raise CxrdexError(f"key file {path}: over {_MAX_KEY_BYTES} bytes; it is no key")
    if len(key) < _MIN_KEY_BYTES:
        raise CxrdexError(
            f"key file {path}: {len(key)} bytes; a key has at least {_MIN_KEY_BYTES} bytes"
        )
    return key


def load_key(path: Path | None = None) -> bytes:
    """The key; created at first use, readable by its owner alone.

    Parameters
    ----------
    path
        The key file; None for `key_path`.

    Raises
    ------
    CxrdexError
        As `find_key`, or the file cannot be created.
    """
    found = find_key(path)
    if found is not None:
        return found
    with drafted_key(path) as (_, keep):
        return keep()


@contextmanager
def drafted_key(path: Path | None = None) -> Iterator[tuple[bytes, Callable[[], bytes]]]:
    """A new key, and what makes it the installation's; without that nothing is left of it.

    The function gives the key that is then in force: of two processes that start at once, both end
    with the same one.

    Raises
    ------
    CxrdexError
        The file cannot be created.
    """
    path = path or key_path()
    key = secrets.token_bytes(_KEY_BYTES)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")

    def keep() -> bytes:
        with _named(path):
            # Making a hard link fails where the file exists, so no key is overwritten.
            if not path.exists():
                _link(draft, path)
        return find_key(path) or key

    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with _named(path), os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        yield key, keep
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:
        # Some file systems have no hard links; there the last of two racing processes wins.
        draft.replace(path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CxrdexError(
            f"key file {path}: {reason}; name a readable one in CXRDEX_KEY_FILE"
        ) from error
