"""What pages show of hits: cards of studies, why they are there, findings in order of trust."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from indexer.annotation import NORMAL
from indexer.archive.report_files.sections import SECTIONS
from indexer.cascade.interpretation.certainty import is_unusual
from indexer.database.text.documents import Document
from search.results import Fragment, Hit, Results
from search.service import SearchService
from search.snapshot import Snapshot

__all__ = [
    "Card",
    "Thumbnail",
    "Why",
    "cards_of_images",
    "hit_cards",
    "load_thumbnails",
    "marked_report",
    "ranked_annotations",
    "remarks",
]

# Who is believed first.
_ORIGINS = {"human": 0, "report": 1, "predicted": 2}
_IMAGES = 4
_FRAGMENTS = 2


class Thumbnail(NamedTuple):
    """An image that is linked to, and whether a small picture of it may be shown."""

    id: str
    is_there: bool


class Why(NamedTuple):
    """One reason for a card, in words.

    Parameters
    ----------
    says
        What kind of reason it is.
    pieces
        Text in runs, each with whether it matched.
    """

    says: str
    pieces: Sequence[tuple[str, bool]] = ()


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
    why
        Why it is there.
    """

    hit: Hit
    images: tuple[Thumbnail, ...]
    more: int
    findings: tuple[dict[str, Any], ...]
    why: tuple[Why, ...] = ()

    @property
    def marks(self) -> str:
        """What marking it stands for: its images that were found, the best one first."""
        return ",".join(self.hit.images or (self.hit.id,))

    @property
    def remarks(self) -> list[str]:
        """What speaks against taking its reading for granted."""
        trained = ["the bundle was trained on it"] if self.hit.in_sample else []
        return [*remarks(self.hit.document), *trained]


def remarks(reading: Mapping[str, Any]) -> list[str]:
    """What speaks against taking a reading, or that of a document, for granted, as commands say it.

    It is hardly a chest film, or something was wrong with the file.
    """
    unusual = ["hardly a chest film"] if is_unusual(reading) else []
    return [*unusual, *(note.replace("_", " ") for note in reading.get("notes", ()))]


def hit_cards(service: SearchService, results: Results) -> list[Card]:
    """A card for each hit."""
    with service.snapshot() as snapshot:
        same_study = snapshot.database.same_study([hit.id for hit in results.hits])
        shown = {mate for images in same_study.values() for mate in images}
        thumbnails = load_thumbnails(snapshot, shown | {hit.id for hit in results.hits})
    cards = []
    for hit in results.hits:
        images = (hit.id, *(mate for mate in same_study.get(hit.id, ()) if mate != hit.id))
        films = tuple(thumbnails[image] for image in images[:_IMAGES])
        more = len(images) - len(films)
        cards.append(Card(hit, films, more, ranked_annotations(hit.document), tuple(_reasons(hit))))
    return cards


def cards_of_images(
    service: SearchService, ids: Sequence[str]
) -> tuple[list[Card], tuple[str, ...]]:
    """A card for each of some images, in that order, and those that the database has no more."""
    with service.snapshot() as snapshot:
        documents = [*snapshot.database.documents(ids)]
        films = load_thumbnails(snapshot, ids)
    cards = [
        Card(Hit(d["id"], 0.0, d), (films[d["id"]],), 0, ranked_annotations(d)) for d in documents
    ]
    there = {card.hit.id for card in cards}
    return cards, tuple(image for image in ids if image not in there)


def _reasons(hit: Hit) -> Iterator[Why]:
    marks = hit.highlights
    if marks is not None:
        by_text: dict[str, list[Fragment]] = {}
        for fragment in _most_trusted(marks.annotations):
            by_text.setdefault(fragment.text, []).append(fragment)
        for same in [*by_text.values()][:_FRAGMENTS]:
            origins = dict.fromkeys(fragment.origin for fragment in same if fragment.origin)
            yield Why(", ".join(origins), same[0].pieces())
        for says, fragments in (
            ("denied by the report", marks.absent),
            ("doubted by the report", marks.uncertain),
            ("report says", marks.report[: 1 if by_text else _FRAGMENTS]),
        ):
            for fragment in fragments[:_FRAGMENTS]:
                yield Why(says, fragment.pieces())
    for reason in hit.reasons:
        if reason.kind == "image":
            yield Why(f"likeness {reason.score:.2f}")
        elif reason.kind == "annotation":
            yield Why("means nearly the same", ((reason.text or "", False),))
        elif reason.kind == "picture":
            yield Why("the picture fits the words")


def _most_trusted(fragments: Sequence[Fragment]) -> list[Fragment]:
    return sorted(fragments, key=lambda fragment: _ORIGINS[fragment.origin or "report"])


def load_thumbnails(snapshot: Snapshot, ids: Iterable[str]) -> dict[str, Thumbnail]:
    """For each image, whether a small picture of it may be shown."""
    unique = list(dict.fromkeys(ids))
    there = snapshot.database.ledger.images.having_pictures(unique)
    return {one: Thumbnail(one, one in there) for one in unique}


def ranked_annotations(document: Document) -> tuple[dict[str, Any], ...]:
    """Annotations of a document: people's first, then the report's, then predictions.

    What several say in the same words stands once, with all of them in ``origins`` and, where it
    is predicted too, its probability as ``predicted``. Of each, what is likely comes before what
    is only possible. `normal` is left out where a person or the report names a finding.
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
    merged: dict[str, dict[str, Any]] = {}
    for a in annotations:
        if told and a["text"] == NORMAL:
            continue
        origins = [] if a["origin"] == "predicted" else [a["origin"]]
        before = merged.get(a["text"])
        if before is None:
            merged[a["text"]] = {**a, "origins": origins, "predicted": None}
        elif a["origin"] == "predicted":
            before["predicted"] = a["confidence"]
        elif a["origin"] not in before["origins"]:
            before["origins"].append(a["origin"])
    return tuple(merged.values())


def _place(section: str) -> tuple[int, str]:
    place = SECTIONS.index(section) if section in SECTIONS else len(SECTIONS)
    return place, section


def marked_report(document: Document) -> list[tuple[str, list[tuple[str, str]]]]:
    """The report's sections in pieces, each with what it says of a finding.

    Returns
    -------
    list
        Section names, with runs of text that are ``"affirmed"``, ``"negated"``, ``"uncertain"``
        or, in between, ``""``.
    """
    from indexer.words.labeller import label

    told = document["report"] or {}
    # Documents are kept with their keys sorted.
    sections = {name: told[name] for name in sorted(told, key=_place)}
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
