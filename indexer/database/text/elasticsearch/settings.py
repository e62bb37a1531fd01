"""Where Elasticsearch is and how to log in, from the environment or the configuration file."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from indexer import advice
from indexer.errors import DatabaseError

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["ElasticsearchSettings", "checked_urls", "configured_urls"]

# Settings as the configuration file names them, and as the environment does.
_VARIABLES = {
    "url": "CXRDEX_ELASTICSEARCH_URL",
    "api_key": "CXRDEX_ELASTICSEARCH_API_KEY",
    "user": "CXRDEX_ELASTICSEARCH_USER",
    "password": "CXRDEX_ELASTICSEARCH_PASSWORD",
    "ca_file": "CXRDEX_ELASTICSEARCH_CA_FILE",
    "shards": "CXRDEX_ELASTICSEARCH_SHARDS",
}
_PORT = 9200
_MAX_SHARDS = 1024


@dataclass(frozen=True, slots=True)
class ElasticsearchSettings:
    """How to reach a server; its secrets never show in `repr`.

    Parameters
    ----------
    urls
        Addresses of one or more nodes, without user or password.
    api_key
        Base64 form, as Elasticsearch hands it out.
    user, password
        For basic authentication, where there is no API key.
    ca_file
        Certificates in PEM that a server's must descend from; None for the system's.
    shards
        Parts that an index is cut into that is made now.
    """

    urls: tuple[str, ...]
    api_key: str | None = field(default=None, repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    shards: int = 1

    @classmethod
    def load(cls, default_url: str | None = None) -> ElasticsearchSettings:
        """Settings of the environment, then of the configuration file.

        Parameters
        ----------
        default_url
            The address where neither names one: that of the database's manifest.

        Raises
        ------
        DatabaseError
            There is no address, or a setting is malformed; no secret is in its text.
        """
        found = _configured()
        url = found.get("url") or default_url
        if url is None:
            raise DatabaseError(
                f"no Elasticsearch is named: give {advice.INDEX_ON_SERVER}, or set "
                "CXRDEX_ELASTICSEARCH_URL"
            )
        api_key, user, password = (found.get(name) for name in ("api_key", "user", "password"))
        if api_key and (user or password):
            raise DatabaseError(
                "Elasticsearch: an API key and a user are configured, name one of both"
            )
        if bool(user) != bool(password):
            raise DatabaseError("Elasticsearch: user and password are needed, or neither of them")
        ca_file = Path(found["ca_file"]).expanduser() if "ca_file" in found else None
        if ca_file is not None and not ca_file.is_file():
            raise DatabaseError(f"Elasticsearch: there is no CA file {ca_file}")
        return cls(checked_urls(url), api_key, user, password, ca_file, _shards(found))

    def client(self, *, seconds: float = 30.0) -> Elasticsearch:
        """The official client, which tries each request once on a node that answers.

        Of several nodes the next is asked where there is no connection to one: each request may be
        made twice, as what it writes has an id.

        Parameters
        ----------
        seconds
            Time-out of a request.
        """
        from elasticsearch import Elasticsearch

        # The client logs whole documents for debugging, and failures that are reported here anyway.
        logging.getLogger("elastic_transport").setLevel(logging.ERROR)
        more: dict[str, Any] = {}
        if self.api_key:
            more["api_key"] = self.api_key
        elif self.user and self.password:
            more["basic_auth"] = (self.user, self.password)
        if self.ca_file:
            more["ca_certs"] = str(self.ca_file)
        return Elasticsearch(
            list(self.urls),
            request_timeout=seconds,
            max_retries=len(self.urls) - 1,
            retry_on_status=(),
            **more,
        )


def configured_urls() -> tuple[str, ...]:
    """The addresses that environment or configuration file name; none where they name none."""
    url = _configured().get("url")
    return checked_urls(url) if url else ()


def checked_urls(text: str) -> tuple[str, ...]:
    """Addresses that stand in a row with commas between them; the usual port is filled in.

    Raises
    ------
    DatabaseError
        One is no http or https address, or holds a user or password.
    """
    return tuple(_checked(part.strip()) for part in text.split(","))


def _shards(found: Mapping[str, str]) -> int:
    text = found.get("shards", "1")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_SHARDS):
        raise DatabaseError(
            f"Elasticsearch: an index of {text!r} shards is asked for: write a number from 1 to "
            f"{_MAX_SHARDS}"
        )
    return int(text)


def _checked(url: str) -> str:
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or _PORT
    except ValueError:
        # A malformed address may hold a password, so it is not repeated.
        raise DatabaseError("the address of Elasticsearch is malformed") from None
    if "@" in url:
        raise DatabaseError(
            "the address of Elasticsearch holds a user or password, which would end up in logs: "
            "set CXRDEX_ELASTICSEARCH_USER and CXRDEX_ELASTICSEARCH_PASSWORD, or "
            "CXRDEX_ELASTICSEARCH_API_KEY"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise DatabaseError(
            f"{url!r} is no address of Elasticsearch; write http://HOST:PORT or https://HOST:PORT"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def _configured() -> dict[str, str]:
    """Every setting there is, by name."""
    found = _file()
    secrets = {"api_key", "user", "password"}
    environment = {n: v for n, name in _VARIABLES.items() if (v := os.environ.get(name))}
    if secrets & environment.keys():
        # A log-in of the environment replaces the file's, whichever kind that is.
        found = {name: value for name, value in found.items() if name not in secrets}
    return {**found, **environment}


def _file() -> dict[str, str]:
    named = os.environ.get("CXRDEX_CONFIG")
    if named:
        path = Path(named).expanduser()
    else:
        import platformdirs

        path = platformdirs.user_config_path("cxrdex") / "config.toml"
    try:
        data: Mapping[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named:
            raise DatabaseError(f"there is no configuration file {path}") from None
        return {}
    except OSError as error:
        raise DatabaseError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise DatabaseError(f"the configuration file {path} is no TOML") from None
    section = data.get("elasticsearch", {})
    if not isinstance(section, dict) or not all(isinstance(v, str) for v in section.values()):
        raise DatabaseError(f"{path}: [elasticsearch] holds texts only")
    if unknown := section.keys() - _VARIABLES.keys():
        raise DatabaseError(
            f"{path}: [elasticsearch] has no {min(unknown)}; it has {', '.join(_VARIABLES)}"
        )
    return {name: value for name, value in section.items() if value}
