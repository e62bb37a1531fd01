"""Archives that fsspec opens by an address, such as ``s3://bucket/prefix`` (extra `remote`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple

from indexer.archive.sources.names import is_left_out
from indexer.archive.sources.regular_file import too_large
from indexer.errors import ArchiveError, ArchiveUnavailable, FailedImage, MissingExtraError

__all__ = ["RemoteFile", "is_address", "open_address", "read_remote", "remote_files"]

# Other schemes of fsspec may unpack, chain addresses or read this machine's files.
_SCHEMES = ("s3", "https", "http", "gs", "abfs")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_CHAIN = "::"


class RemoteFile(NamedTuple):
    """A file below an address: its name there, bytes (-1 for what cannot be had) and time of last
    change in ns since 1970, or of what has no time a number that changes with its content."""

    name: str
    size: int
    mtime_ns: int


def is_address(text: object) -> bool:
    """Whether a text names no path of this machine but an address."""
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def open_address(address: str) -> str:
    """Look at an address and give the form by which the ledger knows it.

    Raises
    ------
    ArchiveError
        It holds a login, is of a kind that is not read, or there is nothing, or no access to it.
    MissingExtraError
        What opens it is not installed.
    """
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    host = rest.partition("/")[0]
    if "@" in host or "?" in rest or "#" in rest:
        # Not quoted, as it may be a password.
        raise ArchiveError(
            f"an address of {scheme}:// holds a login or a query: logins come from the environment "
            "or the configuration of the service (such as AWS_ACCESS_KEY_ID), and never stand in "
            "an address"
        )
    if scheme not in _SCHEMES or _CHAIN in address or not host:
        raise ArchiveError(
            f"archive {address}: no address of {', '.join(f'{name}://' for name in _SCHEMES)}"
        )
    plain = f"{scheme}://{rest.rstrip('/')}"
    try:
        system, path = _system(plain)
        there = system.exists(path)
    except MissingExtraError:
        raise
    except Exception as error:  # noqa: BLE001 - each client has errors of its own
        raise ArchiveError(f"archive {plain}: {_why(error)}") from None
    if not there:
        raise ArchiveError(f"archive {plain}: {_why_not_there(system, path)}")
    return plain


def _why_not_there(system: Any, path: str) -> str:
    """Of a server of the web that cannot be reached fsspec says that nothing is there, too."""
    try:
        system.info(path)
    except Exception as error:  # noqa: BLE001 - each client has errors of its own
        if isinstance(error.__cause__, OSError):
            return _why(error.__cause__)
    return "nothing is there, or this login may not see it"


def remote_files(address: str) -> Iterator[RemoteFile]:
    """All files below an address by name, or the one file that it is of; without ignored ones."""
    try:
        system, path = _system(address)
        found: dict[str, dict[str, Any]] = system.find(path, detail=True)
    except Exception as error:  # noqa: BLE001 - each client has errors of its own
        raise ArchiveError(f"archive {address} cannot be listed: {_why(error)}") from None
    single = not found or list(found) == [path]
    if single:
        found = {path: {}}
    for full in sorted(found):
        name = path.rpartition("/")[2] if single else full[len(path) :].lstrip("/")
        # Pages that list files link to themselves, sorted otherwise.
        if not name or "?" in name or (not single and is_left_out(name)):
            continue
        told = found[full]
        if told.get("size") is None or _time(told) is None:
            try:
                told = told | system.info(full)
            except Exception:  # noqa: BLE001 - whatever the client raises, the file is named
                yield RemoteFile(name, -1, 0)
                continue
        size = told.get("size")
        yield RemoteFile(name, -1 if size is None else int(size), _time(told) or 0)


def read_remote(address: str, name: str, most: int) -> bytes:
    """A file of at most `most` bytes.

    Raises
    ------
    ArchiveUnavailable
        It is not the file: the address cannot be seen from here, or what opens it is missing.
    FailedImage
        ``missing_file`` or ``unreadable_file``.
    SkippedImage
        ``too_large``.
    """
    try:
        system, path = _system(address)
    except Exception as error:  # noqa: BLE001 - each client has errors of its own
        raise ArchiveUnavailable(f"archive {address}: {_why(error)}") from None
    full = path
    try:
        if not _is_itself(system, path, name):
            full = f"{path.rstrip('/')}/{name}"
        with system.open(full, "rb") as file:
            data: bytes = file.read(most + 1)
    except FileNotFoundError:
        # Servers of the web that refuse a login are told as if nothing were there, too.
        if path.rpartition("/")[2] != name:
            _check(address)
        raise FailedImage("missing_file", "the file is named, but is not there") from None
    except Exception as error:  # noqa: BLE001 - each client has errors of its own
        _check(address)
        raise FailedImage("unreadable_file", f"cannot be read: {_why(error)}") from None
    if len(data) > most:
        raise too_large(most)
    return data


def _check(address: str) -> None:
    """Whatever a file has come to, its archive must be there: else the file is not to blame."""
    try:
        open_address(address)
    except (ArchiveError, MissingExtraError) as error:
        raise ArchiveUnavailable(str(error)) from None


def _is_itself(system: Any, path: str, name: str) -> bool:
    """Whether an address is that of a single file, which its only member is named after."""
    return path.rpartition("/")[2] == name and bool(system.isfile(path))


@lru_cache(maxsize=8)
def _system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    try:
        import fsspec

        # A listing is never older than the run that asks for it.
        system, path = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        # Fsspec raises an error of its own for a package that is not there.
        missing = error.name or getattr(error.__cause__, "name", None) or "a package"
        raise MissingExtraError(
            f"{address.partition('://')[0]}:// needs {missing}, which is not installed: "
            'pip install "cxrdex[remote]"'
        ) from error
    return system, str(path).rstrip("/")


def _time(told: dict[str, Any]) -> int | None:
    """Time of last change, in ns."""
    found = (
        told.get("LastModified")
        or told.get("Last-Modified")
        or told.get("last_modified")
        or told.get("mtime")
    )
    if isinstance(found, str):
        try:
            found = parsedate_to_datetime(found)
        except ValueError:
            found = None
    if isinstance(found, datetime):
        return int(found.timestamp() * 1000) * 1_000_000
    tag = str(told.get("ETag") or "")
    if tag:
        # Web servers give fsspec no time of change, but a tag of the content.
        return int.from_bytes(tag.encode()[-7:], "big")
    return 0 if "ETag" in told or told.get("type") == "file" else None


def _why(error: Exception) -> str:
    """What an error means by its type: its text may hold a name or a login."""
    if isinstance(error, MissingExtraError):
        return str(error)
    if isinstance(error, PermissionError):
        return "permission denied: check the login of the service"
    if isinstance(error, FileNotFoundError):
        return "nothing is there"
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "the server did not answer in time"
    return f"the server cannot be asked ({type(error).__name__})"
