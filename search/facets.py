"""Counts of facets over documents at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from indexer.annotation import CERTAINTIES, stored_certainty
from indexer.cascade.interpretation.certainty import is_unusual
from indexer.database.text.documents import Document
from indexer.database.text.schema import LABELS, findings_by_certainty
from search.language.fields import check_facets
from search.results import FacetCount

__all__ = ["check_facets", "facet_counts"]


def facet_counts(
    documents: Iterable[Document], names: Sequence[str], size: int
) -> dict[str, list[FacetCount]]:
    """The `size` commonest values of each facet, counted once per document."""
    counters: dict[str, Counter[str | int]] = {name: Counter() for name in names}
    for document in documents:
        for name, counter in counters.items():
            counter.update(_values(document, name))
    return {
        name: [
            FacetCount(value, count)
            for value, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
        ][:size]
        for name, counter in counters.items()
    }


def _values(document: Document, name: str) -> set[str | int]:
    if name == "composite":
        return {annotation["text"].lower() for annotation in document["annotations"]}
    if name in LABELS:
        return {
            word["text"].lower()
            for annotation in document["annotations"]
            for word in annotation["words"]
            if word["kind"] == name
        }
    if name == "origin":
        return {annotation["origin"] for annotation in document["annotations"]}
    if name == "certainty":
        return {stored_certainty(annotation) for annotation in document["annotations"]}
    if name in CERTAINTIES:
        return {*findings_by_certainty(document)[name]}
    if name == "unusual":
        return {"yes" if is_unusual(document) else "no"}
    if name == "note":
        return {*document.get("notes", [])}
    value = document[name]  # type: ignore[literal-required]
    if name in ("absent", "uncertain"):
        return {annotation["disease"].lower() for annotation in value}
    if value is None:
        return set()
    return {value.lower() if isinstance(value, str) else value}
