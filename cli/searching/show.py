"""`cxrdex show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.options import database_option, format_option
from cli.searching.rows import annotation_line, without_normal
from cli.searching.thumbnails import write_thumbnail
from cli.terminal import console, emit_json, one_line

__all__ = ["show"]

# At most this many findings are shown, the likeliest ones.
_FINDINGS = 12
# Annotations are sorted by origin in this order.
_BY = ("human", "report", "predicted")
# Who denies or doubts something.
_DENIED = (
    ("absent", "human", "people"),
    ("absent", "report", "the report"),
    ("uncertain", "report", "the report"),
)


@click.command()
@click.argument("image_id", metavar="ID")
@database_option
@click.option(
    "--source", is_flag=True, help="Show the paths of its files too; they may hold patient data."
)
@click.option(
    "--thumbnail",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a small picture of it to FILE: .webp, .png or .jpg.",
)
@format_option("json")
def show(image_id: str, database: Path, source: bool, thumbnail: Path | None, form: str) -> None:
    """Show the reading of one image in full: probabilities, annotations, report, provenance.

    ID is the image's id as searches show it, or so much of its beginning as is unique.
    """
    from search.request import ImageId
    from search.service import SearchService

    with SearchService(database) as service:
        image = ImageId(image_id)
        answer = service.show(image).to_json(sources=source)
        if thumbnail is not None:
            write_thumbnail(service.thumbnail(image), thumbnail)
    if form == "json":
        emit_json(answer)
    else:
        _page(answer)


def _page(answer: dict[str, Any]) -> None:
    from rich.text import Text

    from indexer.archive.notes import NOTES

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
    out.print("  ".join(f"{name} {one_line(v)}" for name, v in facts if v is not None))
    out.print(Text("\nannotations", "bold"))
    # The sort keeps the order otherwise.
    shown = without_normal(answer["annotations"], answer["annotations"])
    for annotation in sorted(shown, key=lambda a: _BY.index(a["origin"])):
        out.print(Text("  ").append(annotation_line(annotation)))
    alone = without_normal((answer["alone"] or {}).get("annotations", ()), answer["annotations"])
    if alone:
        out.print(Text("\npredicted of this image alone, without its study", "bold"))
        for annotation in alone:
            out.print(Text("  ").append(annotation_line(annotation)))
    for name, origin, who in _DENIED:
        texts = [a["text"] for a in answer[name] if a["origin"] == origin]
        if texts:
            out.print(Text(f"\n{name} by {who}", "bold"))
            out.print(Text("  ").append("; ".join(map(one_line, texts))))
    out.print(Text("\nprobabilities", "bold"))
    for finding, chance in list(answer["probabilities"].items())[:_FINDINGS]:
        out.print(
            Text.assemble(
                f"  {chance:.3f} ", ("█" * round(chance * 30), "cyan"), f" {one_line(finding)}"
            )
        )
    if answer["report"]:
        out.print(Text("\nreport", "bold"))
        for section, text in answer["report"].items():
            out.print(Text.assemble((f"  {section}: ", "dim"), one_line(text)))
    for note in answer["metadata"].get("notes", ()):
        out.print(Text.assemble(("\nnote: ", "bold"), NOTES.get(note, note)))
    out.print(Text("\nprovenance", "bold"))
    metadata = {key: answer["metadata"][key] for key in ("format", "transfer_syntax")}
    for name, value in {**metadata, **answer["provenance"]}.items():
        if value is not None:
            out.print(f"  {name.replace('_', ' ')}: {one_line(value)}")
    for file in answer.get("sources", ()):
        out.print(f"  {file['status']}: {one_line(file['archive'])} {one_line(file['name'])}")
