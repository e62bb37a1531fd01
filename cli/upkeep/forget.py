"""`cxrdex forget`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.database.ledger.forgotten import ForgottenKind

__all__ = ["forget"]


@click.command()
@database_option
@click.option("--patient", "kind", flag_value="patient", help="The names are Patient IDs.")
@click.option("--study", "kind", flag_value="study", help="They are Study Instance UIDs.")
@click.option(
    "--image",
    "kind",
    flag_value="image",
    help="They are SOP Instance UIDs, or names of files without their ending.",
)
@click.option(
    "--from",
    "source",
    type=click.File(encoding="utf-8"),
    help="File with one name a line; - is standard input.  [default: ask for them]",
)
@click.option("--undo", is_flag=True, help="Allow them again; the next `cxrdex index` reads them.")
@click.option("--yes", is_flag=True, help="Do not ask before it is done.")
@format_option("json")
def forget(
    database: Path,
    kind: ForgottenKind | None,
    source: TextIO | None,
    undo: bool,
    yes: bool,
    form: str,
) -> None:
    """Remove patients, studies or images for good: no byte of them stays in the database.

    Names come from a file or a prompt, never from the command line, which other users can see.
    The ids that cxrdex shows are understood as well. A Patient ID with an issuer is the issuer, a
    tab, and the id. What was forgotten is not indexed again while its files are still in the
    archive. Copies outside of the database (archive, backups, exports) are not touched.
    """
    from indexer.archive.id_key import find_key
    from indexer.database.layout import Layout
    from indexer.database.writer import Writer
    from indexer.database.writing.forgetting import find_wanted
    from indexer.errors import NotFoundError
    from search.service import meanings_survive

    if kind is None:
        raise click.UsageError("say what the names are: --patient, --study or --image")
    Layout(database).read_manifest()
    given = [name for name in _asked(kind) if name.strip()] if source is None else _lines(source)
    with meanings_survive(database), Writer.maintain(database) as writer:
        wanted = find_wanted(writer.ledger, kind, given, find_key())
        if undo:
            count = writer.allow_again(wanted)
            unknown = max(len(given) - count, 0)
            if form == "json":
                emit_json({"allowed": count, "unknown": unknown})
                return
            echo(f"{count} allowed again: the next `cxrdex index` reads them")
            if unknown:
                # Only while an image is known can it be named by its file.
                hint = "; name an image by the id that cxrdex showed" if kind == "image" else ""
                echo(f"{unknown} of the names were not among the forgotten{hint}")
            return
        if not wanted.images:
            raise NotFoundError(f"no {kind} of {database} has any of these names")
        if not yes:
            question = f"Remove {len(wanted.images)} images from {database} for good?"
            click.confirm(question, abort=True, err=True)
        writer.forget(wanted)
        held = writer.wipe()
    if form == "json":
        emit_json({"images": len(wanted.images), "unknown": wanted.unknown, "held": list(held)})
        return
    echo(f"{len(wanted.images)} images forgotten")
    if wanted.unknown:
        echo(f"{wanted.unknown} of the names match no image")
    report_held(held)


def _lines(source: TextIO) -> list[str]:
    from indexer.errors import CxrdexError

    try:
        return [line for line in source if line.strip()]
    except UnicodeDecodeError as error:
        # Of what is in it nothing is quoted, as names are of patients.
        raise CxrdexError(f"{source.name} is no text in UTF-8 with one name a line") from error


def _asked(kind: ForgottenKind) -> Iterable[str]:
    """Names typed at a prompt; an empty line ends them."""
    while name := click.prompt(f"{kind} (empty to end)", default="", show_default=False, err=True):
        yield name


def report_held(held: Iterable[str]) -> None:
    """Say which files a search that is open still reads older bytes of."""
    for name in held:
        echo(
            f"Warning: a search that is open still reads {name}-wal; once it has ended, "
            "`cxrdex compact` empties that file",
            err=True,
        )
