"""`cxrdex audit`: what a server kept of who asked for what."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cli.options import format_option
from cli.terminal import echo, emit_json, emit_rows

if TYPE_CHECKING:
    from search.web.audit.writing import Audit, Details

__all__ = ["AUDIT_VARIABLE", "AuditOptions", "audit", "audit_options"]

AUDIT_VARIABLE = "CXRDEX_AUDIT"
_COLUMNS = (
    *("number", "time", "person", "address", "action", "status"),
    *("route", "subject", "detail", "seal"),
)

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class AuditOptions:
    """Where and how a server keeps who asked for what; `path` None for not at all."""

    path: Path | None
    key: Path | None
    details: Details
    syslog: str | None

    def open(self) -> Audit | None:
        """The audit, being written."""
        from search.web.audit.syslog import Syslog
        from search.web.audit.writing import Audit

        if self.path is None:
            return None
        syslog = Syslog(self.syslog) if self.syslog is not None else None
        return Audit(self.path, self.key, details=self.details, syslog=syslog)


_OPTIONS = (
    click.option(
        "--audit",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=AUDIT_VARIABLE,
        show_envvar=True,
        help="Keep who asked for what in this file.  [default: with --users audit.sqlite beside "
        "the users file]",
    ),
    click.option(
        "--audit-key",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File of the key that seals it, made if need be.  [default: beside it]",
    ),
    click.option(
        "--audit-queries",
        type=click.Choice(["full", "keyed", "none"]),
        default="full",
        help="What it keeps of questions: their words, a keyed hash that tells equal ones, or "
        "nothing.",
    ),
    click.option(
        "--syslog",
        metavar="HOST:PORT|SOCKET",
        help="Send each row as a message of RFC 5424 too, by UDP or to a local socket.",
    ),
)


def audit_options(function: F) -> F:
    """`--audit` and what belongs to it as one argument `audit`."""

    @functools.wraps(function)
    def with_audit(
        *args: Any,
        audit: Path | None,
        audit_key: Path | None,
        audit_queries: Details,
        syslog: str | None,
        **options: Any,
    ) -> Any:
        sign_in = options["sign_in"]
        if audit is None and sign_in is not None:
            if sign_in.users is None:
                raise click.UsageError("say where the audit is to be written: --audit FILE")
            audit = sign_in.users.with_name("audit.sqlite")
        if audit is None and (audit_key is not None or syslog is not None):
            raise click.UsageError("--audit-key and --syslog need --audit FILE")
        kept = AuditOptions(audit, audit_key, audit_queries, syslog)
        return function(*args, audit=kept, **options)

    return cast(F, functools.reduce(lambda f, option: option(f), reversed(_OPTIONS), with_audit))


def _file_option(required: bool) -> Callable[[F], F]:
    return click.option(
        "--audit",
        "path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=AUDIT_VARIABLE,
        required=required,
        show_envvar=True,
        help="The audit, as of `cxrdex serve --audit`.",
    )


@click.group(invoke_without_command=True)
@click.option("--verify", is_flag=True, help="Check that no row was changed, taken out or put in.")
@click.option(
    "--head", metavar="SEAL", help="With --verify: a seal of the log, which must be there."
)
@click.option(
    "--audit-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of its key.  [default: beside the audit]",
)
@_file_option(False)
@click.pass_context
def audit(
    context: click.Context,
    verify: bool,
    head: str | None,
    audit_key: Path | None,
    path: Path | None,
) -> None:
    """Show and check what a server kept of who asked for what.

    `--verify` ends with the exit code 8 where the chain of rows is broken, and names the first row
    that is not as it was written.
    """
    if context.invoked_subcommand is not None:
        return
    if not verify:
        raise click.UsageError("say --verify, list or export")
    if path is None:
        raise click.UsageError(f"name the audit: --audit FILE, or {AUDIT_VARIABLE}")
    if head is not None and not re.fullmatch("[0-9a-fA-F]{64}", head.strip()):
        raise click.UsageError("--head: a seal is 64 hexadecimal digits, as the log has it")
    from search.web.audit import key, trail

    with trail.Trail(path, key.audit_key(audit_key or path.with_suffix(".key"))) as rows:
        last = rows.verify(head.strip().lower() if head else None)
    echo(f"{last.number} rows are as they were written; the last seal is {last.seal}")


@audit.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, help="How many.")
@click.option("--person", help="Only those of one person.")
@click.option("--action", help="Only those of one action, such as search or open.")
@format_option("json")
@_file_option(True)
def list_rows(limit: int, person: str | None, action: str | None, form: str, path: Path) -> None:
    """Show the last rows, the newest first."""
    from search.web.audit.trail import Trail

    with Trail(path) as trail:
        rows = [row.to_json() for row in trail.rows(limit=limit, person=person, action=action)]
    if form == "json":
        emit_json(rows)
        return
    for row in rows:
        who = (row["time"], row["person"] or "-", row["address"] or "-", row["action"])
        more = (str(row["status"] or ""), row["route"], row["subject"], row["detail"])
        echo("  ".join(part for part in (str(row["number"]), *who, *more) if part))


@audit.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "syslog"]),
    default="jsonl",
    help="JSON lines, a table, or messages of RFC 5424.",
)
@_file_option(True)
def export(form: str, path: Path) -> None:
    """Print all rows, the oldest first."""
    from search.web.audit.syslog import message
    from search.web.audit.trail import Trail

    with Trail(path) as trail:
        if form == "csv":
            emit_rows((row.to_json() for row in trail.all()), _COLUMNS)
            return
        for row in trail.all():
            if form == "jsonl":
                emit_json(row.to_json(), indent=None)
            else:
                echo(message(row).replace("\ufeff", ""))
