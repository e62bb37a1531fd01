"""What a search gives back, ready to print or to turn into JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from indexer.annotation import Origin, in_full
from indexer.database.ledger.files import FileRecord
from indexer.database.reader import Record
from indexer.database.text.documents import Document

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
    "document_without_report",
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
    origin
        Who said it, where `text` is an annotation.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    origin: Origin | None = None

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
        # Its tables take a hundredth of the time of a search to load, and a table needs none.
        import html

        return "".join(
            f"<em>{html.escape(piece, quote=False)}</em>"
            if matched
            else html.escape(piece, quote=False)
            for piece, matched in self.pieces()
        )


@dataclass(frozen=True, slots=True)
class Highlights:
    """What matched.

    Parameters
    ----------
    annotations
        Annotations, whole.
    report
        Sentences of the report.
    absent, uncertain
        Annotations that were asked for as denied by people or the report, or doubted by it.
    """

    annotations: tuple[Fragment, ...]
    report: tuple[Fragment, ...]
    absent: tuple[Fragment, ...] = ()
    uncertain: tuple[Fragment, ...] = ()

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Who said what matched; the report's own words are of origin ``"report"``."""
        fragments = (*self.annotations, *self.absent, *self.uncertain)
        found = {fragment.origin for fragment in fragments}
        if self.report:
            found.add("report")
        return tuple(origin for origin in get_args(Origin) if origin in found)

    def to_json(self) -> dict[str, list[str]]:
        """Lists of HTML fragments."""
        return {
            name: [fragment.to_html() for fragment in getattr(self, name)]
            for name in ("annotations", "report", "absent", "uncertain")
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
        Its rank, from 1, among the images found for this reason; None where it is not known, as
        on a page that a token began.
    score
        BM25 of words, the cosine of an annotation, the fit of a picture, the likeness of an image.
    text
        The annotation; None for another kind.
    """

    kind: ReasonKind
    rank: int | None
    score: float
    text: str | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"kind", "rank", "score", "text"}``."""
        score = round(self.score, 4)
        return {"kind": self.kind, "rank": self.rank, "score": score, "text": self.text}

    def __str__(self) -> str:
        what = f'annotation "{self.text}"' if self.text is not None else self.kind
        return f"{what} {self.score:.2f}" + (f" (no. {self.rank})" if self.rank else "")


@dataclass(frozen=True, slots=True)
class Hit:
    """One image that was found.

    Parameters
    ----------
    id
        Image id.
    score
        Likeness (by picture; 1 for the picture itself), BM25 (by words) or the sum of reciprocal
        ranks (by meaning, and by several things at once).
    document
        What the database knows of the image, in words.
    highlights
        Where the words matched; None where there are none.
    reasons
        Why it was found.
    images
        In a row of a study, its images that were found, this one first.
    in_sample
        Whether the bundle was trained on it, so that its reading is better than one of a new image
        would be; None where that is not known.
    """

    id: str
    score: float
    document: Document
    highlights: Highlights | None = None
    reasons: tuple[Reason, ...] = ()
    images: tuple[str, ...] = ()
    in_sample: bool | None = None

    @property
    def is_fused(self) -> bool:
        """Whether several rankings made its score."""
        return any(reason.score != self.score for reason in self.reasons)

    def to_json(self) -> dict[str, Any]:
        """The hit as the commands print it; the score has six decimals."""
        document = self.document
        data: dict[str, Any] = {
            "id": self.id,
            "score": round(self.score, 6),
            "annotations": [in_full(annotation) for annotation in document["annotations"]],
            "view": document["view"],
            "study": document["study"],
            "patient": document["patient"],
            "sex": document["sex"],
            "age": document["age"],
            "year": document["year"],
            "unusual": document.get("unusual", 0.0),
            "notes": document.get("notes", []),
        }
        highlights = self.highlights or Highlights((), ())
        data["origins"] = list(highlights.origins)
        data["highlights"] = highlights.to_json()
        data["reasons"] = [reason.to_json() for reason in self.reasons]
        data["images"] = list(self.images or (self.id,))
        data["in_sample"] = self.in_sample
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
        By words: counts over all that match (of a facet with a choice: but for that choice). By
        picture: counts over `hits`. By meaning, and by several things at once: counts over all
        that were ranked.
    after
        By words: token of the next page; None on the last one.
    suggestions
        By words: near words for each word of the query that the index does not know.
    notes
        What the person who asked should know of the answer.
    understood
        How free text was read: ``{"query", "left_out", "given_up"}``; None where the query was
        taken literally.
    """

    total: int
    hits: Sequence[Hit]
    facets: Mapping[str, Sequence[FacetCount]] = field(default_factory=dict)
    after: str | None = None
    suggestions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    understood: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"total", "understood", "notes", "hits", "facets", "after", "suggestions"}``."""
        return {
            "total": self.total,
            "understood": dict(self.understood) if self.understood is not None else None,
            "notes": list(self.notes),
            "hits": [hit.to_json() for hit in self.hits],
            "facets": {
                name: [count.to_json() for count in counts] for name, counts in self.facets.items()
            },
            "after": self.after,
            "suggestions": {word: list(near) for word, near in self.suggestions.items()},
        }


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

    def to_json(self, *, sources: bool = False) -> dict[str, Any]:
        """The document, but for `statements`, with the reading and where it comes from.

        Parameters
        ----------
        sources
            Its files too: their names may hold patient data, so for the terminal only.
        """
        record, document = self.record, self.record.document
        fields = {name: value for name, value in document.items() if name != "statements"}
        own = record.reading
        return {
            **fields,
            "annotations": [in_full(annotation) for annotation in document["annotations"]],
            "absent": [in_full(annotation) for annotation in document["absent"]],
            "uncertain": [in_full(annotation) for annotation in document["uncertain"]],
            "probabilities": _likeliest_first(document["probabilities"]),
            "alone": {
                "annotations": [in_full(annotation) for annotation in own["annotations"]],
                "probabilities": _likeliest_first(own["probabilities"]),
            }
            if record.pooled
            else None,
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
            **({"sources": [_source(file) for file in record.files]} if sources else {}),
        }


def document_without_report(document: Document) -> Document:
    """A document as someone sees it who may not see the text of reports."""
    hidden: Document = {**document, "report": None, "statements": {}}
    return hidden


def _source(file: FileRecord) -> dict[str, str]:
    return {"status": file.status, "archive": file.archive, "name": file.name}


def _likeliest_first(chances: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(chances.items(), key=lambda item: (-item[1], item[0])))
