"""How answers are printed: rows for people, JSON, CSV and id lists for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cli.terminal import console, echo, emit_json, emit_rows, one_line
from indexer.annotation import stored_certainty

if TYPE_CHECKING:
    from search.results import Hit, Results

__all__ = ["HIT_FORMATS", "emit_hits"]

HIT_FORMATS = ("json", "jsonl", "csv", "ids")
# At most this many values of a facet are printed, the commonest ones.
_VALUES = 10
_HIT_COLUMNS = ("id", "score", "annotations", "view", "study", "patient", "sex", "age", "year")


def emit_hits(results: Results, form: str, draw: Callable[[str], None] | None = None) -> None:
    """Print what `similar` or `search` found, and what is to be noted of it."""
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
        explained = any(hit.is_fused for hit in results.hits)
        rows = (
            {**data, "annotations": _labels(data["annotations"]), "why": _why(hit)}
            for data, hit in zip(answer["hits"], results.hits, strict=True)
        )
        emit_rows(rows, (*_HIT_COLUMNS, "why") if explained else _HIT_COLUMNS)
    else:
        from cli.searching.rows import show_hits

        show_hits(results, draw)
        _facet_lines(results)
    for note in results.notes:
        echo(f"Note: {note}", err=True)


def _labels(annotations: Iterable[Mapping[str, Any]]) -> str:
    mark = {"likely": "", "possible": ", possible"}
    return "; ".join(f"{a['text']} ({a['origin']}{mark[stored_certainty(a)]})" for a in annotations)


def _why(hit: Hit) -> str:
    return "; ".join(map(str, hit.reasons))


def _facet_lines(results: Results) -> None:
    from rich.text import Text

    for field, counts in results.facets.items():
        line = Text.assemble((f"{field}: ", "bold"))
        line.append("  ".join(f"{one_line(c.value)} {c.count}" for c in counts[:_VALUES]) or "-")
        console().print(line)
