"""`cxrdex show`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import database_option, format_option
from cli.output import annotation_lines, console

if TYPE_CHECKING:
    from indexer.database.reader import Record

__all__ = ["show"]


@click.command()
@click.argument("image_id", metavar="ID")
@database_option
@click.option(
    "--source", is_flag=True, help="Show the paths of its files too; they may hold patient data."
)
@format_option("json")
def show(image_id: str, database: Path, source: bool, form: str) -> None:
    """Show the reading of one image in full: probabilities, annotations, report, provenance.

    ID is the image's id as searches show it, or so much of its beginning as is unique.
    """
    from search.engine import Engine

    with Engine(database) as engine:
        record = engine.show(image_id)
        answer = _answer(record, source)
    if form == "json":
        click.echo(json.dumps(answer, ensure_ascii=False, indent=1))
    else:
        _page(answer)


def _answer(record: Record, source: bool) -> dict[str, Any]:
    reading = record.reading
    answer: dict[str, Any] = {
        **record.document,
        "probabilities": dict(sorted(reading["probabilities"].items(), key=lambda kv: -kv[1])),
        "view_confidence": reading["view_confidence"],
        "provenance": {
            "format": record.metadata["format"],
            "transfer_syntax": record.metadata["transfer_syntax"],
            "mirrored": record.metadata["mirrored"],
            "files": len(record.files),
            "bundle": record.run.bundle,
            "version": record.run.version,
            "read": record.run.started,
        },
    }
    if source:
        answer["sources"] = [
            {key: asdict(file)[key] for key in ("status", "archive", "name")}
            for file in record.files
        ]
    return answer


def _page(answer: dict[str, Any]) -> None:
    from rich.text import Text

    out = console()
    out.print(Text.assemble(("image ", "dim"), (answer["id"], "cyan")))
    facts = [
        ("study", answer["study"]),
        ("patient", answer["patient"]),
        ("sex", answer["sex"]),
        ("age", answer["age"]),
        ("year", answer["year"]),
        ("view", f"{answer['view']} ({answer['view_origin']})"),
        ("size", f"{answer['columns']} x {answer['rows']}"),
        ("maker", answer["manufacturer"]),
    ]
    out.print("  ".join(f"{name} {value}" for name, value in facts if value is not None))
    out.print(Text("\nannotations", "bold"))
    for line in annotation_lines(answer["annotations"]):
        out.print(Text("  ").append(line))
    out.print(Text("\nprobabilities", "bold"))
    for finding, chance in list(answer["probabilities"].items())[:12]:
        out.print(
            Text.assemble(f"  {chance:.3f} ", ("█" * round(chance * 30), "cyan"), f" {finding}")
        )
    if answer["report"]:
        out.print(Text("\nreport", "bold"))
        for section, text in answer["report"].items():
            out.print(Text.assemble((f"  {section}: ", "dim"), text))
    out.print(Text("\nprovenance", "bold"))
    for name, value in answer["provenance"].items():
        if value is not None:
            out.print(f"  {name.replace('_', ' ')}: {value}", markup=False)
    for file in answer.get("sources", ()):
        out.print(f"  {file['status']}: {file['archive']} {file['name']}", markup=False)
