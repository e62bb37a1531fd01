"""The options of `cxrdex serve` that say who may come in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cli.options import FiniteRange
from cli.serving.user import ROLE, USERS_VARIABLE

if TYPE_CHECKING:
    from search.web.people.person import Role
    from search.web.people.settings import OpenIdSettings, SignInSettings

__all__ = ["sign_in_options"]

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)
_OPTIONS = (
    click.option(
        "--users",
        type=_FILE,
        envvar=USERS_VARIABLE,
        show_envvar=True,
        help="Let in the people of this file, which `cxrdex user` writes, and nobody else.",
    ),
    click.option(
        "--proxy",
        "proxies",
        multiple=True,
        metavar="ADDRESS",
        help="IP address of a reverse proxy, which is believed where a request comes from. May be "
        "repeated.",
    ),
    click.option(
        "--proxy-header",
        metavar="NAME",
        help="Header in which that proxy, and no other address, says who asks: X-Remote-User.",
    ),
    click.option("--openid", metavar="ISSUER", help="Address of an OpenID Connect provider."),
    click.option("--openid-client", metavar="ID", help="What it knows this server by."),
    click.option("--openid-secret-file", type=_FILE, help="File of the secret it gave for that."),
    click.option(
        "--openid-claim",
        default="preferred_username",
        metavar="CLAIM",
        help="What of an identity is the person's name here.",
    ),
    click.option(
        "--unlisted",
        type=ROLE,
        help="Role of people whom proxy or provider knows and the users file does not name.  "
        "[default: they are refused]",
    ),
    click.option(
        "--session-idle",
        type=FiniteRange(1),
        default=60,
        metavar="MINUTES",
        help="A session without a request ends after this time.",
    ),
    click.option(
        "--session-hours",
        type=FiniteRange(0.1),
        default=12,
        metavar="HOURS",
        help="Any session ends after this time.",
    ),
)


def sign_in_options(function: F) -> F:
    """All of them as one argument `sign_in`: the settings, or None where nobody has to sign in."""

    @functools.wraps(function)
    def with_sign_in(
        *args: Any,
        users: Path | None,
        proxies: tuple[str, ...],
        proxy_header: str | None,
        openid: str | None,
        openid_client: str | None,
        openid_secret_file: Path | None,
        openid_claim: str,
        unlisted: Role | None,
        session_idle: float,
        session_hours: float,
        **options: Any,
    ) -> Any:
        provider = _provider(openid, openid_client, openid_secret_file, openid_claim)
        sign_in: SignInSettings | None = None
        if users or proxies or proxy_header or provider or unlisted:
            from search.web.people.settings import SignInSettings

            sign_in = SignInSettings(
                users=users,
                proxies=proxies,
                proxy_header=proxy_header,
                openid=provider,
                unlisted=unlisted,
                idle_minutes=session_idle,
                hours=session_hours,
            )
        return function(*args, sign_in=sign_in, **options)

    return cast(F, functools.reduce(lambda f, option: option(f), reversed(_OPTIONS), with_sign_in))


def _provider(
    issuer: str | None, client: str | None, secret_file: Path | None, claim: str
) -> OpenIdSettings | None:
    if issuer is None and client is None and secret_file is None:
        return None
    if issuer is None or client is None or secret_file is None:
        raise click.UsageError("--openid, --openid-client and --openid-secret-file go together")
    from indexer.errors import CxrdexError
    from search.web.people.settings import OpenIdSettings

    try:
        secret = secret_file.read_text().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise CxrdexError(f"--openid-secret-file {secret_file}: {reason}") from error
    if not secret:
        raise CxrdexError(f"--openid-secret-file {secret_file}: is empty")
    return OpenIdSettings(issuer=issuer, client=client, secret=secret, claim=claim)
