"""The users file: names, roles, and hashes of passwords and tokens; never what they are made of.

It is read anew whenever it changes, so that whoever was withdrawn is out at the next request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock

from indexer import advice
from indexer.database.durable import sync_folder
from indexer.errors import CxrdexError, MissingExtraError, NotFoundError
from search.web.people.person import ROLES, Person, Role

__all__ = ["MIN_PASSWORD_LENGTH", "Busy", "Token", "User", "Users", "is_name"]

_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
#: A password has at least this many characters.
MIN_PASSWORD_LENGTH = 12
# At most this many hashes are computed at once, each in 64 MiB of memory.
_HASHING = threading.BoundedSemaphore(2)
# Seconds that a password waits for its turn, so that a flood of them does not take all threads.
_PATIENCE = 5.0


class Busy(Exception):  # noqa: N818
    """Too many passwords are being compared."""


def is_name(text: str) -> bool:
    """Whether someone may be called so: nothing that could be mistaken in a log or an address."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Token:
    """A program's way in.

    Parameters
    ----------
    id
        What it is called by; no secret.
    digest
        SHA-256 of the token, which is as random as a key and needs no slow hash.
    made, expires
        When (ISO 8601, UTC); it may never expire.
    """

    id: str
    digest: str
    made: str
    expires: str | None = None

    def is_over(self) -> bool:
        """Whether its time has passed."""
        return self.expires is not None and datetime.fromisoformat(self.expires) <= _now()


@dataclass(frozen=True, slots=True)
class User:
    """A person of the users file.

    Parameters
    ----------
    password
        Argon2 hash; None for those who sign in elsewhere.
    stamp
        Changes with the password and when all is revoked, which ends sessions of before.
    """

    name: str
    role: Role
    password: str | None = None
    stamp: str = field(default_factory=lambda: secrets.token_hex(8))
    tokens: tuple[Token, ...] = ()

    @property
    def person(self) -> Person:
        """Who they are to a route."""
        return Person(self.name, self.role)

    def to_json(self) -> dict[str, Any]:
        """What may be shown of them: no hash, and no digest of a token."""
        return {
            "name": self.name,
            "role": self.role,
            "has_password": self.password is not None,
            "tokens": [{"id": t.id, "made": t.made, "expires": t.expires} for t in self.tokens],
        }


class Users:
    """The people of one file; threads may share it.

    Parameters
    ----------
    path
        The file, readable by its owner and group at most, writable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: tuple[object, dict[str, User]] | None = None

    def all(self) -> dict[str, User]:
        """Everyone by name, as the file has it now.

        Raises
        ------
        CxrdexError
            The file cannot be read, others could write it, or it is no users file.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._wrong(f"{error.strerror}; {advice.USER} makes one") from error
        key = found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
        with self._lock:
            if self._known is None or self._known[0] != key:
                self._check_mode(found)
                self._known = key, self._read()
            return self._known[1]

    def get(self, name: str) -> User:
        """One of them.

        Raises
        ------
        NotFoundError
            There is nobody of this name.
        """
        users = self.all()
        if name not in users:
            raise NotFoundError(f"users file {self._path}: nobody is called {name[:64]}")
        return users[name]

    def by_password(self, name: str, password: str) -> User | None:
        """Whose name and password these are; as slow for a name that is not there.

        Raises
        ------
        Busy
            Too many are being compared.
        """
        user = self.all().get(name)
        known = user.password if user else None
        if not _HASHING.acquire(timeout=_PATIENCE):
            raise Busy
        try:
            fits = _verify(known or _decoy(), password)
        finally:
            _HASHING.release()
        return user if fits and known is not None else None

    def by_token(self, text: str) -> User | None:
        """Whose token this is; None for one that is withdrawn, over or never was."""
        digest = _digest(text)
        for user in self.all().values():
            for token in user.tokens:
                if hmac.compare_digest(token.digest, digest):
                    return None if token.is_over() else user
        return None

    # ---- changes --------------------------------------------------------------------------------

    def add(self, name: str, role: Role, password: str | None) -> None:
        """A new person; without a password one who signs in elsewhere, or by token.

        Raises
        ------
        CxrdexError
            The name is taken or no name, or the password too short.
        """
        if not is_name(name):
            raise CxrdexError(
                f"{name[:64]!r} is no name: up to 64 letters, digits and . _ @ - without spaces"
            )
        hashed = _hash(password) if password is not None else None
        with self._changing(new=True) as users:
            if name in users:
                raise CxrdexError(f"users file {self._path}: {name} is already there")
            users[name] = User(name, role, hashed)

    def remove(self, name: str) -> None:
        """End someone's access, with all sessions and tokens."""
        with self._changing(name) as users:
            del users[name]

    def set_password(self, name: str, password: str) -> None:
        """A new password; sessions of the old one end."""
        hashed = _hash(password)
        with self._changing(name) as users:
            users[name] = replace(users[name], password=hashed, stamp=secrets.token_hex(8))

    def set_role(self, name: str, role: Role) -> None:
        """Another role, from the next request on."""
        with self._changing(name) as users:
            users[name] = replace(users[name], role=role)

    def add_token(self, name: str, days: int | None = None) -> str:
        """A new token, which is kept nowhere and so cannot be shown again."""
        ident = secrets.token_hex(4)
        text = f"cxrdex_{ident}_{secrets.token_urlsafe(32)}"
        expires = None if days is None else _now() + timedelta(days=days)
        token = Token(
            ident, _digest(text), _now().isoformat(), expires.isoformat() if expires else None
        )
        with self._changing(name) as users:
            users[name] = replace(users[name], tokens=(*users[name].tokens, token))
        return text

    def revoke(self, name: str, token: str | None = None) -> None:
        """Withdraw one token, or all of them and all sessions."""
        with self._changing(name) as users:
            kept = tuple(t for t in users[name].tokens if token is not None and t.id != token)
            if token is not None and len(kept) == len(users[name].tokens):
                raise NotFoundError(f"{name} has no token {token[:32]}")
            stamp = users[name].stamp if token is not None else secrets.token_hex(8)
            users[name] = replace(users[name], tokens=kept, stamp=stamp)

    @contextmanager
    def _changing(self, name: str | None = None, *, new: bool = False) -> Iterator[dict[str, User]]:
        lock = self._path.with_name(f".{self._path.name}.lock")
        try:
            with FileLock(lock, mode=0o600):
                users = {} if new and not self._path.exists() else dict(self.all())
                if name is not None and name not in users:
                    self.get(name)
                yield users
                content = json.dumps(
                    {"format": _FORMAT, "users": [_written(user) for user in users.values()]},
                    indent=1,
                )
                _write(self._path, content.encode())
        except OSError as error:
            raise self._wrong(f"cannot be written: {error.strerror or error}") from error

    # ---- the file -------------------------------------------------------------------------------

    def _check_mode(self, found: os.stat_result) -> None:
        if os.name != "posix":
            return
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH):
            raise self._wrong(f"others can read or write it: `chmod 600 {self._path}`")
        if found.st_uid not in (os.geteuid(), 0):
            raise self._wrong("it belongs to another user, who could write it")

    def _read(self) -> dict[str, User]:
        try:
            data = json.loads(self._path.read_bytes())
            if data["format"] != _FORMAT:
                raise self._wrong(f"has format {data['format']}; this cxrdex reads {_FORMAT}")
            users = [_from_json(one) for one in data["users"]]
        except OSError as error:
            raise self._wrong(error.strerror or type(error).__name__) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._wrong(f"is no users file; {advice.USER} makes one") from error
        return {user.name: user for user in users}

    def _wrong(self, what: str) -> CxrdexError:
        return CxrdexError(f"users file {self._path}: {what}")


def _written(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "password": user.password,
        "stamp": user.stamp,
        "tokens": [
            {"id": t.id, "digest": t.digest, "made": t.made, "expires": t.expires}
            for t in user.tokens
        ],
    }


def _from_json(data: dict[str, Any]) -> User:
    tokens = tuple(Token(**token) for token in data["tokens"])
    if data["role"] not in ROLES or not is_name(data["name"]):
        raise ValueError(data["name"])
    for token in tokens:
        token.is_over()
    return User(data["name"], data["role"], data["password"], data["stamp"], tokens)


def _write(path: Path, content: bytes) -> None:
    """A whole new file in place of the old one, with its mode and group."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists() and os.name == "posix":
                old = path.stat()
                os.fchown(file.fileno(), -1, old.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(password: str) -> str:
    if len(password) < MIN_PASSWORD_LENGTH:
        raise CxrdexError(f"a password has at least {MIN_PASSWORD_LENGTH} characters")
    return str(_hasher().hash(password))


def _verify(hashed: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return bool(_hasher().verify(hashed, password))
    except (VerificationError, InvalidHashError):
        return False


def _hasher() -> Any:
    try:
        from argon2 import PasswordHasher
    except ImportError as error:
        raise MissingExtraError("users need the extra: pip install 'cxrdex[web]'") from error
    return PasswordHasher()


_decoys: list[str] = []


def _decoy() -> str:
    """A hash that no password has, so that a name that is not there takes as long."""
    if not _decoys:
        _decoys.append(str(_hasher().hash(secrets.token_hex(16))))
    return _decoys[0]
