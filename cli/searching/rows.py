"""Hits as people read them: a few lines for each, at any width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.terminal import console, one_line
from indexer.annotation import stored_certainty
from indexer.cascade.interpretation.certainty import is_unusual

if TYPE_CHECKING:
    from rich.text import Text

    from search.results import Fragment, Highlights, Hit, Results

__all__ = ["annotation_line", "certain", "marked", "show_hits", "without_normal"]

# How many annotations of people, predictions and sentences of the report a row shows; `show` has
# all.
_MAX_BY_PEOPLE = 6
_PREDICTIONS = 4
_SENTENCES = 2
_NORMAL = "normal"


def marked(fragment: Fragment) -> Text:
    """A highlight: the words that matched stand out, in brackets as not all terminals colour."""
    from rich.text import Text

    text = Text()
    for piece, matched in fragment.pieces():
        shown = one_line(piece)
        text.append(f"[{shown}]" if matched else shown, style="bold yellow" if matched else "")
    return text


def annotation_line(annotation: Mapping[str, Any], fragment: Fragment | None = None) -> Text:
    """An annotation's words, then its confidence or who said it, and if it is only possible."""
    from rich.text import Text

    line = Text(one_line(annotation["text"])) if fragment is None else marked(fragment)
    mark = "" if stored_certainty(annotation) == "likely" else ", possible"
    if annotation["origin"] == "predicted":
        line.append(f" {annotation['confidence']:.2f}{mark}", style="dim")
    else:
        line.append(f" ({annotation['origin']}{mark})", style="green")
    return line


def certain(
    annotations: Iterable[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """What people say, what is predicted as likely, and the predictions that are folded.

    What a person wrote and the report repeats stands once. ``normal`` never stands beside a
    finding of people; what is predicted least uncertainly stands where there is nothing else.
    """
    every = [*annotations]
    people = {a["text"]: a for a in every if a["origin"] == "report"}
    people |= {a["text"]: a for a in every if a["origin"] == "human"}
    findings = [a for a in people.values() if a["disease"] != _NORMAL]
    by_people = findings or [*people.values()]
    by_people.sort(key=lambda a: a["origin"] != "human")
    predicted = sorted(
        (a for a in every if a["origin"] == "predicted"), key=lambda a: -a["confidence"]
    )
    if findings:
        predicted = [a for a in predicted if a["disease"] != _NORMAL]
    sure = [a for a in predicted if stored_certainty(a) == "likely"][:_PREDICTIONS]
    if not sure and not by_people:
        sure = predicted[:1]
    return by_people, sure, [a for a in predicted if a not in sure]


def without_normal(
    annotations: Iterable[Mapping[str, Any]], people: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """`annotations`, of which none says ``normal`` where one of `people` is a finding."""
    found = any(a["origin"] != "predicted" and a["disease"] != _NORMAL for a in people)
    return [a for a in annotations if not found or a["disease"] != _NORMAL]


def show_hits(results: Results, draw: Callable[[str], None] | None = None) -> None:
    """Print each hit: what it is, what people say, what is predicted, where the query matched.

    Parameters
    ----------
    draw
        Draws the thumbnail of an image.
    """
    from rich.text import Text

    out = console()
    width = len(str(len(results.hits)))
    for number, hit in enumerate(results.hits, 1):
        margin = Text(f"{number:>{width}} ", "dim")
        for line in (_title(hit), *_lines(hit)):
            for piece in line.wrap(out, max(out.width - width - 1, 1)):
                piece.rstrip()
                out.print(Text.assemble(margin, piece))
                margin = Text(" " * (width + 1))
        if draw is not None:
            draw(hit.id)


def _shown_score(hit: Hit) -> str:
    """Rounded, but never up to the 1 that only the same picture has."""
    if hit.is_fused:
        return f"{hit.score:.4f}"
    return f"{min(hit.score, 0.999) if 0.999 < hit.score < 1 else hit.score:.3f}"


def _title(hit: Hit) -> Text:
    from rich.text import Text

    document = hit.document
    facts = [document["view"], document["sex"], document["age"], document["year"]]
    more = len(hit.images) - 1
    text = Text.assemble(
        (hit.id, "cyan"),
        (f"  {_shown_score(hit)}", "bold"),
        "  " + " ".join(str(fact) for fact in facts if fact is not None),
        (f"  +{more} image{'s' if more > 1 else ''}" if more > 0 else ""),
        (f"  study {document['study']}", "dim"),
    )
    if is_unusual(document):
        text.append("  unusual: hardly a chest film", style="red")
    for note in document.get("notes", []):
        text.append(f"  {note.replace('_', ' ')}", style="yellow")
    if hit.in_sample:
        text.append("  the bundle was trained on it", style="magenta")
    return text


def _lines(hit: Hit) -> list[Text]:
    from rich.text import Text

    matched = _matched(hit.highlights)
    by_people, sure, folded = certain(hit.document["annotations"])
    # Annotations that matched are shown, however uncertain they are.
    found = [a for a in folded if (a["text"], a["origin"]) in matched]
    sure, less_certain = [*sure, *found], len(folded) - len(found)
    lines = []
    if by_people:
        # The sort keeps the order otherwise.
        by_people.sort(key=lambda a: (a["text"], a["origin"]) not in matched)
        parts = [
            annotation_line(a, _matching_fragment(matched, a)) for a in by_people[:_MAX_BY_PEOPLE]
        ]
        if len(by_people) > _MAX_BY_PEOPLE:
            parts.append(Text(f"{len(by_people) - _MAX_BY_PEOPLE} more", "dim"))
        lines.append(_joined(parts))
    if sure or less_certain:
        parts = [annotation_line(a, _matching_fragment(matched, a)) for a in sure]
        if less_certain:
            parts.append(Text(f"{less_certain} less certain", "dim"))
        lines.append(Text.assemble(("predicted: ", "dim"), _joined(parts)))
    if hit.highlights:
        for name in ("absent", "uncertain"):
            for fragment in getattr(hit.highlights, name):
                lines.append(Text.assemble((f"{name}: ", "red"), marked(fragment)))
        for fragment in hit.highlights.report[:_SENTENCES]:
            lines.append(Text.assemble("“", marked(fragment), "”", style="italic"))
    if hit.is_fused:
        lines.append(Text("why: " + "; ".join(map(str, hit.reasons)), "dim"))
    return lines


def _matched(highlights: Highlights | None) -> dict[tuple[str, str | None], Fragment]:
    found = highlights.annotations if highlights else ()
    return {(fragment.text, fragment.origin): fragment for fragment in found}


def _matching_fragment(
    matched: Mapping[tuple[str, str | None], Fragment], annotation: Mapping[str, Any]
) -> Fragment | None:
    return matched.get((annotation["text"], annotation["origin"]))


def _joined(parts: Sequence[Text]) -> Text:
    from rich.text import Text

    return Text("; ").join(parts)
