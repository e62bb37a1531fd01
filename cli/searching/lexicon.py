"""`cxrdex lexicon`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from cli.options import format_option
from cli.terminal import console, echo, emit_json

if TYPE_CHECKING:
    from search.language.lexicon import Expansion, Heading, Lexicon

__all__ = ["lexicon"]


@click.command()
@click.argument("words", metavar="[TERM]", nargs=-1)
@format_option("json")
def lexicon(words: tuple[str, ...], form: str) -> None:
    """Show what a term becomes in a query.

    TERM is a heading or any other way to say it, such as PTX or collapsed lung; without one, all
    headings are listed.
    """
    from search.language.lexicon import Lexicon

    known = Lexicon.load()
    if not words:
        _list(known, form)
        return
    entry = known.describe(" ".join(words))
    if form == "json":
        emit_json(entry.to_json())
    else:
        _show(entry, known)


def _list(known: Lexicon, form: str) -> None:
    if form == "json":
        emit_json(known.to_json())
        return
    headings = known.headings.values()
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("heading", "kind", "forms", "broader"):
        table.add_column(column, justify="right" if column == "forms" else "left", overflow="fold")
    for h in sorted(headings, key=lambda heading: heading.name):
        table.add_row(h.name, ", ".join(h.kinds), str(len(h.forms)), "; ".join(h.broader))
    console().print(table)
    kinds = Counter(heading.kinds[0] for heading in headings)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    echo(f"{len(headings)} headings ({counts}), {len(known.forms)} surface forms")


def _show(entry: Expansion, known: Lexicon) -> None:
    from rich.text import Text

    from search.language.tree import written

    out = console()
    for heading in entry.headings:
        for name, text in _lines(heading, known):
            out.print(Text.assemble((f"{name:9}", "bold"), text))
        out.print()
    out.print(Text.assemble(("query    ", "bold"), written(entry.expanded)))


def _lines(heading: Heading, known: Lexicon) -> list[tuple[str, str]]:
    loose = [form for form, names in known.loose.items() if heading.name in names]
    below = known.within(heading.name)[1:]
    lines = [
        ("heading", heading.name),
        ("kind", ", ".join(heading.kinds)),
        ("means", " and ".join(f"{kind} {word}" for kind, word in heading.means)),
        ("forms", "; ".join(heading.forms)),
        ("loosely", "; ".join(loose)),
        ("broader", "; ".join(heading.broader)),
        ("narrower", "; ".join(below)),
    ]
    return [(name, text) for name, text in lines if text]
