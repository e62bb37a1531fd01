"""How answers are printed: tables for people, JSON, CSV and id lists for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["HIT_FORMATS", "console", "emit_hits", "emit_rows", "marked"]

HIT_FORMATS = ("json", "jsonl", "csv", "ids")
_HIT_COLUMNS = ("id", "score", "annotations", "view", "study", "patient", "sex", "age", "year")
_MARK = re.compile(r"<em>(.*?)</em>")


def console() -> Console:
    """A console on stdout; wide where that is no terminal, so that nothing is cut."""
    from rich.console import Console

    found = Console(highlight=False, emoji=False)
    if not found.is_terminal:
        found = Console(highlight=False, emoji=False, width=132)
    return found


def marked(fragment: str) -> RenderableType:
    """A highlight: the words between ``<em>`` and ``</em>`` stand out."""
    from rich.text import Text

    text = Text()
    for index, piece in enumerate(_MARK.split(fragment)):
        # Brackets keep the marks visible where a terminal shows no colours.
        text.append(f"[{piece}]" if index % 2 else piece, style="bold yellow" if index % 2 else "")
    return text


def emit_hits(answer: Mapping[str, Any], form: str) -> None:
    """Print the answer of `similar` or `search`, ``{"total", "hits", "facets"}``."""
    hits: Sequence[Mapping[str, Any]] = answer["hits"]
    if form == "json":
        click.echo(json.dumps(answer, ensure_ascii=False, indent=1))
    elif form == "jsonl":
        for hit in hits:
            click.echo(json.dumps(hit, ensure_ascii=False))
    elif form == "ids":
        for hit in hits:
            click.echo(hit["id"])
    elif form == "csv":
        rows = ({**hit, "annotations": _labels(hit["annotations"])} for hit in hits)
        emit_rows(rows, _HIT_COLUMNS)
    else:
        _hit_table(hits)
        _facet_table(answer["facets"])


def emit_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print `rows` as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
        click.echo(buffer.getvalue(), nl=False)
        buffer.seek(0)
        buffer.truncate()
    click.echo(buffer.getvalue(), nl=False)


def _labels(annotations: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(f"{a['text']} ({a['origin']})" for a in annotations)


def _hit_table(hits: Sequence[Mapping[str, Any]]) -> None:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("id", style="cyan", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("annotations", ratio=1)
    table.add_column("view", no_wrap=True)
    table.add_column("study", style="dim", no_wrap=True)
    for number, hit in enumerate(hits, 1):
        lines: list[RenderableType] = []
        found = hit.get("highlights") or {}
        highlighted = {_MARK.sub(r"\1", line): line for line in found.get("annotations", ())}
        for annotation in hit["annotations"]:
            text = marked(highlighted.get(annotation["text"], annotation["text"]))
            assert isinstance(text, Text)
            human = annotation["origin"] == "human"
            text.append(
                " (human)" if human else f" {annotation['confidence']:.2f}",
                style="green" if human else "dim",
            )
            lines.append(text)
        lines += [marked(f"“{fragment}”") for fragment in found.get("report", ())]
        table.add_row(
            str(number), hit["id"], f"{hit['score']:.3f}", Group(*lines), hit["view"], hit["study"]
        )
    console().print(table)


def _facet_table(facets: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from rich.text import Text

    for field, counts in facets.items():
        line = Text(f"{field}: ", style="bold")
        line.append("  ".join(f"{c['value']} {c['count']}" for c in counts) or "-", style="not bold")
        console().print(line)
