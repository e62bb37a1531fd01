"""All that commands print goes through here, where what an archive wrote is made harmless.

Names of files, reports and values of headers were written by others. On a terminal an escape
sequence in them could set its title, hide text or answer questions, a bidirectional control could
turn a line round, and a spreadsheet would compute a cell that begins like a formula.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import click

from search.export.cells import UNSAFE, begins_a_formula, written_out

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "draw", "echo", "emit_json", "emit_rows", "harmless", "one_line"]

_BREAKS = "[\t\n]"
# Columns where stdout is no terminal and COLUMNS says no other number.
_WIDE = 160


@cache
def _unsafe() -> re.Pattern[str]:
    # Compiled for the first text that is printed: `cxrdex --help` prints none through here.
    return re.compile(UNSAFE)


def harmless(text: str) -> str:
    """`text` with each control written out (``\\x1b``, ``\\u202e``); breaks and tabs stay."""
    return _unsafe().sub(written_out, text)


def one_line(text: object) -> str:
    """As `harmless`, on one line: for names, which may hold breaks, too."""
    return re.sub(_BREAKS, written_out, harmless(str(text)))


def echo(message: object = "", *, err: bool = False, nl: bool = True, bold: bool = False) -> None:
    """Print a message, harmless and on one line: a break in a name begins no line of its own."""
    text = harmless(str(message)).replace("\n", "\\x0a")
    click.echo(click.style(text, bold=True) if bold else text, err=err, nl=nl)


def draw(sequence: str) -> None:
    """Print an escape sequence that this program made, of a picture; never text of others."""
    click.echo(sequence)


def emit_json(value: Any, *, indent: int | None = 1) -> None:
    """Print a value as JSON, controls in it as JSON's own escapes; without `indent` on one line."""
    # Imported by who prints it, so that `cxrdex --help` is as quick as it can be.
    import json

    text = json.dumps(value, ensure_ascii=False, indent=indent)
    click.echo(_unsafe().sub(lambda match: json.dumps(match[0])[1:-1], text))


def emit_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as CSV with a header; a text that begins like a formula gets an apostrophe."""
    import csv

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(row.get(name)) for name in columns})
        click.echo(buffer.getvalue(), nl=False)
        buffer.seek(0)
        buffer.truncate()
    click.echo(buffer.getvalue(), nl=False)


def console(*, err: bool = False) -> Console:
    """A rich console that knows no markup and prints nothing but what is harmless."""
    found = _console_type()(stderr=err, highlight=False, emoji=False, markup=False)
    if not found.is_terminal and not err:
        found = _console_type()(highlight=False, emoji=False, markup=False, width=_columns())
    return found


def _columns() -> int:
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else _WIDE


@cache
def _console_type() -> type[Console]:
    # Made when it is needed, so that `cxrdex --help` does not import rich.
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class SafeConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                unsafe = not segment.control and _unsafe().search(segment.text)
                yield Segment(harmless(segment.text), segment.style) if unsafe else segment

    return SafeConsole


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return "'" + text if begins_a_formula(value) else text
