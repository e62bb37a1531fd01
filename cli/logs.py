"""`-v` and `--log-file` of every command: what cxrdex logs, with times, on stderr and in a file.

Only cxrdex's own loggers are shown, whose lines hold nothing of a patient: what other libraries log
may quote a header.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cli.log_handlers import LogHandlers

__all__ = ["OPTIONS", "add_to", "log_on_stderr"]

_KEY = "cxrdex.logs"


def _logs(context: click.Context) -> LogHandlers:
    """The logs of a command line: one for the group and the command under it."""
    # Only here, since importing `logging` takes as long as printing a help text.
    from cli.log_handlers import LogHandlers

    root = context.find_root()
    if _KEY not in root.meta:
        root.meta[_KEY] = logs = LogHandlers()
        root.call_on_close(logs.stop)
    found: LogHandlers = root.meta[_KEY]
    return found


def _set_verbose(context: click.Context, _: click.Parameter, value: int) -> None:
    if value:
        logs = _logs(context)
        logs.verbose = max(logs.verbose, value)
        logs.start()


def _set_file(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        logs = _logs(context)
        logs.path = value
        try:
            logs.start()
        except OSError as error:
            raise click.BadParameter(f"{value}: {error.strerror}") from error


#: Taken by the group and by every command.
OPTIONS: tuple[click.Option, ...] = (
    click.Option(
        ["-v", "--verbose"],
        count=True,
        show_default=False,
        expose_value=False,
        callback=_set_verbose,
        help="Log what is done, with times, on stderr; -vv logs more.",
    ),
    click.Option(
        ["--log-file"],
        type=click.Path(dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=_set_file,
        help="Log it to the end of this file, too; it holds nothing of a patient.",
    ),
)


def log_on_stderr(context: click.Context) -> None:
    """Log on stderr as with `-v`: for commands that work for hours."""
    logs = _logs(context)
    logs.verbose = max(logs.verbose, 1)
    logs.start()


def add_to(command: click.Command) -> None:
    """Give a command these options, and log that it begins and how it ends."""
    if OPTIONS[0] in command.params:
        return
    command.params += OPTIONS
    if command.callback is not None:
        command.callback = _logged(command.name or "", command.callback)


def _logged(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def logged(*given: Any, **options: Any) -> Any:
        import logging

        log = logging.getLogger(__name__)
        if not log.isEnabledFor(logging.INFO):
            return run(*given, **options)
        from importlib.metadata import version

        started = time.monotonic()
        log.info("%s begins (cxrdex %s)", name, version("cxrdex"))
        how = "ends"
        try:
            return run(*given, **options)
        except SystemExit as error:
            how = f"ends with code {error.code}"
            raise
        except BaseException as error:
            # Its text may name a file, so it goes to the terminal alone.
            how = f"is ended by {type(error).__name__}"
            raise
        finally:
            log.info("%s %s after %.1f s", name, how, time.monotonic() - started)

    return logged
