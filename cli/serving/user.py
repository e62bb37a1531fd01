"""`cxrdex user`: the people of a server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.options import format_option
from cli.terminal import echo, emit_json

if TYPE_CHECKING:
    from search.web.people.person import Role
    from search.web.people.users import Users

__all__ = ["ROLE", "USERS_VARIABLE", "user"]

USERS_VARIABLE = "CXRDEX_USERS"
#: The roles, which `search.web.people.person` knows.
ROLE = click.Choice(["reader", "reviewer", "administrator"])

F = TypeVar("F", bound=Callable[..., Any])


def _users_option(function: F) -> F:
    return click.option(
        "--users",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=USERS_VARIABLE,
        required=True,
        show_envvar=True,
        help="The users file, as of `cxrdex serve --users`.",
    )(function)


def _open(path: Path) -> Users:
    from search.web.people.users import Users

    return Users(path)


def _password() -> str:
    """What is typed, twice, or the first line of stdin; never an argument, which others see."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


@click.group()
def user() -> None:
    """Say who may use the server, and what for.

    Changes count at once: a person, password or token that is withdrawn is out at the next request,
    and so are sessions.
    """


@user.command()
@click.argument("name")
@click.option("--role", type=ROLE, required=True, help="What they may do.")
@click.option(
    "--no-password",
    is_flag=True,
    help="They come through a proxy, a provider of identities, or by token.",
)
@_users_option
def add(name: str, role: Role, no_password: bool, users: Path) -> None:
    """Let someone in; the password is asked for, or the first line of stdin."""
    _open(users).add(name, role, None if no_password else _password())
    echo(f"the role of {name} is {role} now")


@user.command("list")
@format_option("json")
@_users_option
def list_users(form: str, users: Path) -> None:
    """Show who may come in, with their tokens; no secret."""
    found = sorted(_open(users).all().values(), key=lambda one: one.name)
    if form == "json":
        emit_json([one.to_json() for one in found])
        return
    for one in found:
        echo(f"{one.name}  {one.role}{'' if one.password else ', no password'}")
        for token in one.tokens:
            until = "for good" if token.expires is None else f"until {token.expires}"
            echo(f"  token {token.id}, {'over' if token.is_over() else until}")


@user.command()
@click.argument("name")
@_users_option
def remove(name: str, users: Path) -> None:
    """Let someone in no more, with all their sessions and tokens."""
    _open(users).remove(name)
    echo(f"{name} is out")


@user.command()
@click.argument("name")
@_users_option
def passwd(name: str, users: Path) -> None:
    """Give someone another password; their sessions end."""
    people = _open(users)
    people.get(name)
    people.set_password(name, _password())
    echo(f"{name} has a new password")


@user.command()
@click.argument("name")
@click.argument("role", type=ROLE)
@_users_option
def role(name: str, role: Role, users: Path) -> None:
    """Give someone another role, from their next request on."""
    _open(users).set_role(name, role)
    echo(f"the role of {name} is {role} now")


@user.command()
@click.argument("name")
@click.option(
    "--days", type=click.IntRange(1, 3650), help="How long it is good; for good if not said."
)
@_users_option
def token(name: str, days: int | None, users: Path) -> None:
    """Make a token for a program; it is shown once and kept nowhere."""
    echo(_open(users).add_token(name, days))


@user.command()
@click.argument("name")
@click.argument("token", required=False)
@_users_option
def revoke(name: str, token: str | None, users: Path) -> None:
    """Withdraw one token, by its id of `cxrdex user list`, or all tokens and sessions."""
    _open(users).revoke(name, token)
    echo(
        f"token {token} is withdrawn" if token else f"all tokens and sessions of {name} have ended"
    )
