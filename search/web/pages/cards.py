"""What pages show of hits: cards of studies, facets with links, findings in order of trust."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from indexer.annotation import NORMAL
from indexer.database.text.documents import Document
from search.results import Hit, Results
from search.service import SearchService
from search.snapshot import Snapshot

__all__ = [
    "Card",
    "FacetList",
    "Thumbnail",
    "cards_of",
    "facet_lists",
    "marked_report",
    "ranked_annotations",
    "thumbnails_of",
]

# Who is believed first.
_ORIGINS = {"human": 0, "report": 1, "predicted": 2}
_IMAGES = 4


class Thumbnail(NamedTuple):
    """An image that is linked to, and whether a small picture of it may be shown."""

    id: str
    is_there: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One study that was found.

    Parameters
    ----------
    hit
        Its best image.
    images
        Its images, the best one first.
    more
        How many images of it are not shown.
    findings
        What is said of it, the most trusted first.
    """

    hit: Hit
    images: tuple[Thumbnail, ...]
    more: int
    findings: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class FacetList:
    """One facet: its values with their counts, shares of the largest, and addresses to choose."""

    name: str
    values: tuple[dict[str, Any], ...]


def cards_of(service: SearchService, results: Results) -> list[Card]:
    """A card for each hit."""
    with service.snapshot() as snapshot:
        mates = snapshot.database.mates([hit.id for hit in results.hits])
        shown = {mate for images in mates.values() for mate in images}
        thumbnails = thumbnails_of(snapshot, shown | {hit.id for hit in results.hits})
    cards = []
    for hit in results.hits:
        images = (hit.id, *(mate for mate in mates.get(hit.id, ()) if mate != hit.id))
        films = tuple(thumbnails[image] for image in images[:_IMAGES])
        more = len(images) - len(films)
        cards.append(Card(hit, films, more, ranked_annotations(hit.document)))
    return cards


def thumbnails_of(snapshot: Snapshot, ids: Iterable[str]) -> dict[str, Thumbnail]:
    """For each image, whether a small picture of it may be shown."""
    images = snapshot.database.ledger.images
    return {one: Thumbnail(one, images.has_picture(one)) for one in ids}


def ranked_annotations(document: Document) -> tuple[dict[str, Any], ...]:
    """Annotations of a document: people's first, then the report's, then predictions.

    `normal` is left out where a person or the report names a finding.
    """
    annotations = sorted(
        document["annotations"],
        key=lambda a: (
            _ORIGINS[a["origin"]],
            a.get("certainty") == "possible",
            -a.get("confidence", 1.0),
        ),
    )
    told = any(a["origin"] != "predicted" and not a["text"].startswith(NORMAL) for a in annotations)
    return tuple(a for a in annotations if not (told and a["text"] == NORMAL))


def facet_lists(results: Results, address: str, chosen: Sequence[str]) -> list[FacetList]:
    """The facets of an answer, each value with the address that chooses it or takes it back.

    Parameters
    ----------
    address
        Of the page without further choices; empty for a search of its own.
    chosen
        ``facet=value`` of the page.
    """
    lists = []
    for name, counts in results.facets.items():
        most = max((count.count for count in counts), default=1)
        values = []
        for count in counts:
            choice = f"{name}={count.value}"
            is_chosen = choice in chosen
            choices = [c for c in chosen if c != choice] if is_chosen else [*chosen, choice]
            values.append(
                {
                    "value": count.value,
                    "count": count.count,
                    "most": most,
                    "chosen": is_chosen,
                    "address": _with_choices(address, choices),
                }
            )
        if values:
            lists.append(FacetList(name, tuple(values)))
    return lists


def _with_choices(address: str, choices: Sequence[str]) -> str:
    base, _, query = address.partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("choose="))
    more = urlencode([("choose", choice) for choice in choices])
    return (base or "/search") + "?" + "&".join(part for part in (kept, more) if part)


def marked_report(document: Document) -> list[tuple[str, list[tuple[str, str]]]]:
    """The report's sections in pieces, each with what it says of a finding.

    Returns
    -------
    list
        Section names, with runs of text that are ``"affirmed"``, ``"negated"``, ``"uncertain"``
        or, in between, ``""``.
    """
    from indexer.words.labeller import label

    sections = document["report"] or {}
    pieces: dict[str, list[tuple[str, str]]] = {}
    mentions = sorted(label(sections), key=lambda m: m.phrase_span)
    for name, text in sections.items():
        place, runs = 0, []
        for mention in mentions:
            start, end = mention.phrase_span
            if mention.section == name and start >= place:
                runs += [(text[place:start], ""), (text[start:end], mention.status)]
                place = end
        runs.append((text[place:], ""))
        pieces[name] = [run for run in runs if run[0]]
    return list(pieces.items())
