"""How answers are printed: tables for people, JSON, CSV and id lists for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cli.terminal import console, echo, emit_json, emit_rows
from indexer.annotation import CERTAINTIES, certainty_of
from indexer.cascade.certainty import is_unusual

if TYPE_CHECKING:
    from rich.text import Text

    from search.results import Fragment, Highlights, Hit, Results

__all__ = ["HIT_FORMATS", "annotation_lines", "emit_hits", "marked"]

HIT_FORMATS = ("json", "jsonl", "csv", "ids")
# So many annotations of a hit are shown in its table; `show` has all.
_LINES = 6
# So many values of a facet, the commonest ones.
_VALUES = 10
_HIT_COLUMNS = ("id", "score", "annotations", "view", "study", "patient", "sex", "age", "year")


def marked(fragment: Fragment) -> Text:
    """A highlight: the words that matched stand out, in brackets as not all terminals colour."""
    from rich.text import Text

    text = Text()
    for piece, matched in fragment.pieces():
        text.append(f"[{piece}]" if matched else piece, style="bold yellow" if matched else "")
    return text


def emit_hits(results: Results, form: str) -> None:
    """Print what `similar` or `search` found."""
    answer = results.to_json()
    if form == "json":
        emit_json(answer)
    elif form == "jsonl":
        for hit in answer["hits"]:
            emit_json(hit, indent=None)
    elif form == "ids":
        for hit in answer["hits"]:
            echo(hit["id"])
    elif form == "csv":
        explained = any(hit.reasons for hit in results.hits)
        rows = (
            {**data, "annotations": _labels(data["annotations"]), "why": _why(hit)}
            for data, hit in zip(answer["hits"], results.hits, strict=True)
        )
        emit_rows(rows, (*_HIT_COLUMNS, "why") if explained else _HIT_COLUMNS)
    else:
        _hit_table(results)
        _facet_lines(results)
        for note in results.notes:
            echo(f"Note: {note}.")


def _labels(annotations: Iterable[Mapping[str, Any]]) -> str:
    mark = {"likely": "", "possible": ", possible"}
    return "; ".join(f"{a['text']} ({a['origin']}{mark[certainty_of(a)]})" for a in annotations)


def _why(hit: Hit, between: str = "; ") -> str:
    return between.join(map(str, hit.reasons))


def annotation_lines(
    annotations: Iterable[Mapping[str, Any]],
    highlights: Highlights | None = None,
    most: int | None = None,
) -> list[Text]:
    """One line for each annotation that is likely, then one for all that are only possible.

    Of an annotation stand its words, then its confidence or who said it.

    Parameters
    ----------
    most
        Show so many of either kind, what matched first.
    """
    from rich.text import Text

    found = highlights.annotations if highlights else ()
    matched = {(fragment.text, fragment.origin): fragment for fragment in found}
    groups: dict[str, list[Text]] = {certainty: [] for certainty in CERTAINTIES}
    for annotation in annotations:
        text = annotation["text"]
        fragment = matched.get((text, annotation["origin"]))
        line = Text(text) if fragment is None else marked(fragment)
        if annotation["origin"] == "predicted":
            line.append(f" {annotation['confidence']:.2f}", style="dim")
        else:
            line.append(f" ({annotation['origin']})", style="green")
        groups[certainty_of(annotation)].append(line)
    for lines in groups.values():
        if most is not None and len(lines) > most:
            lines.sort(key=lambda line: "[" not in line.plain)
            lines[most:] = [Text(f"and {len(lines) - most} more", "dim")]
    if groups["possible"]:
        rest = Text("; ").join(groups["possible"])
        groups["likely"].append(Text.assemble(("possible: ", "dim"), rest))
    return groups["likely"]


def _hit_table(results: Results) -> None:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("id", style="cyan", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("annotations", ratio=1)
    by_words = any(hit.highlights is not None for hit in results.hits)
    if by_words:
        table.add_column("matched in", no_wrap=True)
    table.add_column("view", no_wrap=True)
    table.add_column("study", style="dim", no_wrap=True)
    explained = any(hit.reasons for hit in results.hits)
    if explained:
        table.add_column("why", ratio=1)
    for number, hit in enumerate(results.hits, 1):
        lines = annotation_lines(hit.document["annotations"], hit.highlights, _LINES)
        if is_unusual(hit.document):
            lines.insert(0, Text("unusual: hardly a chest film", "red"))
        if hit.highlights:
            for name in ("absent", "uncertain"):
                for fragment in getattr(hit.highlights, name):
                    lines.append(Text.assemble(marked(fragment), (f" ({name})", "red")))
            for fragment in hit.highlights.report:
                lines.append(Text.assemble("“", marked(fragment), "”", style="italic"))
        origins = hit.highlights.origins if hit.highlights else ()
        table.add_row(
            str(number),
            hit.id,
            f"{hit.score:.4f}" if hit.reasons else f"{hit.score:.3f}",
            Group(*lines),
            *(["\n".join(origins)] if by_words else []),
            hit.document["view"],
            hit.document["study"],
            *([Text(_why(hit, "\n"))] if explained else []),
        )
    console().print(table)


def _facet_lines(results: Results) -> None:
    from rich.text import Text

    for field, counts in results.facets.items():
        line = Text.assemble((f"{field}: ", "bold"))
        line.append("  ".join(f"{c.value} {c.count}" for c in counts[:_VALUES]) or "-")
        console().print(line)
