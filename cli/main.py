"""The command `cxrdex`: a group whose commands are imported only when they are run."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import click
from click import formatting

from cli import logs
from cli.terminal import echo, one_line
from indexer.errors import CxrdexError, DiskFullError

__all__ = ["COMMANDS", "HELP_OPTIONS", "cxrdex", "main"]

HELP_OPTIONS = ["-h", "--help"]
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
# Help texts stand here, so that `cxrdex --help` imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "index": ("cli.indexing.index", "Read an archive into a database."),
    "similar": ("cli.searching.similar", "Find the images most like a file or an indexed image."),
    "search": ("cli.searching.search", "Find images by words."),
    "show": ("cli.searching.show", "Show all that is known of one image."),
    "explain": ("cli.searching.explain", "Draw where in a film the CNN saw a finding."),
    "export": ("cli.searching.export", "Write all images that match to a file."),
    "lexicon": ("cli.searching.lexicon", "Show what a term becomes in a query."),
    "serve": ("cli.serving.serve", "Answer searches in the browser and over a REST API."),
    "user": ("cli.serving.user", "Say who may use the server, and what for."),
    "audit": ("cli.serving.audit", "Show and check what a server kept of who asked for what."),
    "status": ("cli.indexing.status", "Count what a database holds."),
    "failures": ("cli.indexing.failures", "List the files that were skipped or failed, and why."),
    "sync": ("cli.upkeep.sync", "Send the documents that wait for Elasticsearch."),
    "migrate": ("cli.upkeep.migrate", "Bring the Elasticsearch index to this version of cxrdex."),
    "compact": ("cli.upkeep.compact", "Give back the space of images that are gone."),
    "backup": ("cli.upkeep.backup", "Copy a database, consistently while it is written."),
    "merge": ("cli.upkeep.merge", "Join databases of parts of an archive into one."),
    "relocate": ("cli.upkeep.relocate", "Tell a database that an archive has moved."),
    "labels": ("cli.upkeep.labels", "Take out and bring in what people said of images."),
    "forget": ("cli.upkeep.forget", "Remove patients, studies or images for good."),
    "verify": ("cli.upkeep.verify", "Check that ledger, shards, FAISS and text agree."),
    "mine": ("cli.training.mine", "Show what annotations would teach a cascade."),
    "train": ("cli.training.train", "Train a bundle on annotated images."),
    "evaluate": ("cli.training.evaluate", "Score a bundle on human annotations."),
    "plan": ("cli.upkeep.plan", "Say what an archive of some size needs."),
    "doctor": ("cli.upkeep.doctor", "Show versions, devices, decoders and the bundle."),
    "demo": ("cli.indexing.demo", "Index a small simulated archive and search it."),
}


class _Failure(click.ClickException):
    """A typed error on its way to stderr, with its exit code."""

    def __init__(self, error: CxrdexError, commands: Iterable[click.Command] = ()) -> None:
        # Only here: these and what they import take a twentieth of the time of `--help`.
        from cli.exit_codes import exit_code
        from cli.options import as_options

        super().__init__(one_line(as_options(str(error), commands)))
        # click has it as a class variable, which an instance may still shadow.
        self.exit_code = exit_code(type(error))  # type: ignore[misc]


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name][0]), name)
        for one in (command, *getattr(command, "commands", {}).values()):
            logs.add_to(one)
        return command

    def get_help(self, ctx: click.Context) -> str:
        if formatting.FORCED_WIDTH is None and ctx.terminal_width is None:
            ctx.terminal_width = _help_width()
        return super().get_help(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except CxrdexError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            below = getattr(command, "commands", {}).values()
            raise _Failure(error, [command, *below] if command else []) from error
        except click.ClickException as error:
            # The message quotes what was typed, which a script may have taken from an archive.
            error.message = one_line(error.message)  # type: ignore[misc]
            raise
        except KeyboardInterrupt:
            echo("Interrupted.", err=True)
            ctx.exit(130)
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in _NO_SPACE:
                place = error.filename or "the disk"
                raise _Failure(DiskFullError(f"no space left at {place}: free some")) from error
            if isinstance(error, PermissionError) and error.filename:
                text = f"this user may neither read nor change {os.fsdecode(error.filename)}"
                raise _Failure(CxrdexError(text)) from error
            from cli import crash

            if not crash.unforeseen(error):
                raise
            text = one_line(crash.message(error, ctx.invoked_subcommand or "cxrdex"))
            failure = click.ClickException(text)
            failure.exit_code = crash.EXIT_CODE  # type: ignore[misc]
            raise failure from error


def _help_width() -> int:
    """Columns of a help text, as click counts them.

    click asks `shutil`, whose import of all compressors takes a tenth of the time of `--help`.
    """
    try:
        columns = int(os.environ.get("COLUMNS", 0))
        columns = columns if columns > 0 else os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 80
    return max(min(columns or 80, 80) - 2, 50)


@click.group(
    cls=_LazyGroup,
    params=[*logs.OPTIONS],
    context_settings={"help_option_names": HELP_OPTIONS, "show_default": True},
)
@click.version_option(package_name="cxrdex", prog_name="cxrdex")
def cxrdex() -> None:
    """Turn an archive of chest X-rays into a database searched by picture and by words."""


def main() -> None:
    """Entry point of the command."""
    try:
        cxrdex(prog_name="cxrdex")
    except OSError as error:
        # A help text or a message for which there is no room; what commands do is seen to above.
        with suppress(OSError):
            echo(f"Error: the output cannot be written: {error.strerror}", err=True)
        sys.exit(9 if error.errno in _NO_SPACE else 1)
    except MemoryError:
        # There is not even the memory to import what reports it.
        os.write(2, b"Error: the memory is full: allow more of it (`ulimit -v`)\n")
        os._exit(70)
