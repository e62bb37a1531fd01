"""The facets: the fields whose values are counted over the documents that were found."""

from __future__ import annotations

from indexer.annotation import CERTAINTIES, stored_certainty
from indexer.cascade.interpretation.certainty import is_unusual
from indexer.database.text.documents import Document
from indexer.database.text.schema import LABELS, findings_by_certainty

__all__ = ["COUNTED", "facet_values"]

#: Those that are words; age and year are counted too.
COUNTED = (
    *(label for label in LABELS if label != "composite"),
    *("absent", "uncertain", "origin", "view", "projection", "sex"),
    *("certainty", "unusual", "likely", "possible", "note"),
)


def facet_values(document: Document, name: str) -> set[str | int]:
    """The values that a document has of a facet, words in lower case."""
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
