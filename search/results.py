"""What a search gives back, ready to print or to turn into JSON."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from indexer.database.documents import Document
from indexer.database.reader import Record

__all__ = [
    "REASONS",
    "FacetCount",
    "Fragment",
    "Highlights",
    "Hit",
    "Reason",
    "ReasonKind",
    "Results",
    "Shown",
]

ReasonKind: TypeAlias = Literal["words", "annotation", "picture", "image"]
REASONS: tuple[ReasonKind, ...] = get_args(ReasonKind)


@dataclass(frozen=True, slots=True)
class FacetCount:
    """One value of a facet and how many images have it."""

    value: str | int
    count: int

    def to_json(self) -> dict[str, Any]:
        """``{"value", "count"}``."""
        return {"value": self.value, "count": self.count}


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of text with the words that matched.

    Parameters
    ----------
    text
        Plain text.
    spans
        Start and end of each match in `text`, in order, not overlapping.
    """

    text: str
    spans: tuple[tuple[int, int], ...]

    def marked(self, before: str, after: str) -> str:
        """The text with every match between `before` and `after`."""
        return "".join(
            f"{before}{piece}{after}" if matched else piece for piece, matched in self.pieces()
        )

    def pieces(self) -> list[tuple[str, bool]]:
        """The text cut into runs, each with whether it matched."""
        runs: list[tuple[str, bool]] = []
        position = 0
        for start, end in self.spans:
            runs += [(self.text[position:start], False), (self.text[start:end], True)]
            position = end
        runs.append((self.text[position:], False))
        return [run for run in runs if run[0]]

    def to_html(self) -> str:
        """HTML: matches in ``<em>``, everything else escaped."""
        return "".join(
            f"<em>{html.escape(piece, quote=False)}</em>"
            if matched
            else html.escape(piece, quote=False)
            for piece, matched in self.pieces()
        )


@dataclass(frozen=True, slots=True)
class Highlights:
    """The matching annotations, whole, and the matching sentences of the report."""

    annotations: tuple[Fragment, ...]
    report: tuple[Fragment, ...]

    def to_json(self) -> dict[str, list[str]]:
        """Lists of HTML fragments."""
        return {
            "annotations": [fragment.to_html() for fragment in self.annotations],
            "report": [fragment.to_html() for fragment in self.report],
        }


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an image was found, of a search by several things at once.

    Parameters
    ----------
    kind
        ``"words"``: the query's words match; ``"annotation"``: an annotation means nearly the
        same; ``"picture"``: the picture itself does; ``"image"``: it looks like the query image.
    rank
        Its rank, from 1, among the images found for this reason.
    score
        BM25 of words, else a cosine.
    text
        The annotation.
    """

    kind: ReasonKind
    rank: int
    score: float
    text: str | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"kind", "rank", "score"}``, and ``"text"`` of an annotation."""
        data: dict[str, Any] = {"kind": self.kind, "rank": self.rank, "score": round(self.score, 4)}
        return data if self.text is None else {**data, "text": self.text}

    def __str__(self) -> str:
        said = f'annotation "{self.text}"' if self.text is not None else self.kind
        return f"{said} {self.score:.2f} (no. {self.rank})"


@dataclass(frozen=True, slots=True)
class Hit:
    """One image that was found.

    Parameters
    ----------
    id
        Image id.
    score
        Cosine similarity (by picture), BM25 (by words) or the sum of reciprocal ranks (by meaning,
        and by several things at once).
    document
        What the database knows of the image, in words.
    highlights
        Where the words matched; None in a search by picture.
    reasons
        Why it was found, in a search by meaning or by several things at once.
    """

    id: str
    score: float
    document: Document
    highlights: Highlights | None = None
    reasons: tuple[Reason, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The hit as the commands print it; the score has six decimals."""
        document = self.document
        data: dict[str, Any] = {
            "id": self.id,
            "score": round(self.score, 6),
            "annotations": document["annotations"],
            "view": document["view"],
            "study": document["study"],
            "patient": document["patient"],
            "sex": document["sex"],
            "age": document["age"],
            "year": document["year"],
        }
        if self.highlights is not None:
            data["highlights"] = self.highlights.to_json()
        if self.reasons:
            data["reasons"] = [reason.to_json() for reason in self.reasons]
        return data


@dataclass(frozen=True, slots=True)
class Results:
    """Hits of one search.

    Parameters
    ----------
    total
        By words: images that match. By picture: images that were compared with the query. By
        meaning, and by several things at once: images that were ranked, at most 1,000.
    hits
        Best first.
    facets
        By words: counts over all that match. By picture: counts over `hits`. By meaning, and by
        several things at once: counts over all that were ranked.
    notes
        What the search could not do, in words.
    """

    total: int
    hits: Sequence[Hit]
    facets: Mapping[str, Sequence[FacetCount]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``{"total", "hits", "facets"}``, and ``"notes"`` where there are any."""
        data: dict[str, Any] = {
            "total": self.total,
            "hits": [hit.to_json() for hit in self.hits],
            "facets": {
                name: [count.to_json() for count in counts] for name, counts in self.facets.items()
            },
        }
        return {**data, "notes": list(self.notes)} if self.notes else data


@dataclass(frozen=True, slots=True)
class Shown:
    """One image in full.

    Parameters
    ----------
    record
        What the database keeps; its files are named at the terminal only, never in `to_json`.
    bundle_name
        Name of the bundle that read the image.
    """

    record: Record
    bundle_name: str

    def to_json(self) -> dict[str, Any]:
        """The document with the reading and where it comes from."""
        record, document = self.record, self.record.document
        chances = record.reading["probabilities"].items()
        return {
            **document,
            "probabilities": dict(sorted(chances, key=lambda item: (-item[1], item[0]))),
            "predicted_view": record.reading["view"],
            "predicted_view_confidence": record.reading["view_confidence"],
            "metadata": record.metadata,
            "provenance": {
                "files": len(record.files),
                "run": record.run.id,
                "read": record.run.started,
                "version": record.run.version,
                "bundle": record.run.bundle,
                "bundle_name": self.bundle_name,
            },
        }
