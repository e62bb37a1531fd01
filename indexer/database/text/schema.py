"""The fields of a document in a text store, whichever it is: their names, values and analyzers.

Labels stand under their kind (``disease``) and under kind and origin (``disease_human``), text as
stems and, in a field of its own, as it is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from indexer.annotation import CERTAINTIES, Certainty, Origin, stored_certainty
from indexer.archive.report_files.sections import SECTIONS
from indexer.cascade.interpretation.certainty import is_unusual

if TYPE_CHECKING:
    import tantivy

    from indexer.database.text.documents import Document

__all__ = [
    "COUNTED",
    "EXACT",
    "FACET_VALUES",
    "KEYWORDS",
    "LABELS",
    "NUMBERS",
    "ORIGINS",
    "PLAIN",
    "STEMMED",
    "TEXTS",
    "Statement",
    "analyzer",
    "field_name",
    "field_values",
    "findings_by_certainty",
    "label_values",
    "stemmed",
]

ORIGINS: tuple[Origin, ...] = get_args(Origin)
#: Label fields, each a property of a finding; the composite label is all its words.
LABELS = ("disease", "organ", "location", "side", "severity", "composite")
#: Names of the analyzers of text: of stems, and of words as they are written.
STEMMED, PLAIN = "radiology", "radiology_plain"
NUMBERS = ("age", "year")
#: Further fields that are matched exactly.
KEYWORDS = (
    *("view", "projection", "sex", "origin", "section", "absent", "uncertain"),
    *("certainty", "likely", "possible", "unusual", "note"),
)


@functools.cache
def field_name(name: str, origin: Origin | None = None, *, plain: bool = False) -> str:
    """Name of an index field: of one label origin or all, stemmed or (`plain`) as written."""
    return "_".join(filter(None, (name, origin, "plain" if plain else None)))


#: The label fields, of all origins and of each.
EXACT = tuple(field_name(label, origin) for label in LABELS for origin in (None, *ORIGINS))
#: The text fields; `statement` is the report without what it denies or doubts.
TEXTS = (
    *(field_name("annotation", origin) for origin in (None, *ORIGINS)),
    "statement",
    "report",
    *SECTIONS,
)


@functools.cache
def analyzer(*, plain: bool = False) -> tantivy.TextAnalyzer:
    """The analyzer of text fields: lower case, ASCII folded and, unless `plain`, stemmed.

    Elasticsearch is told to cut and fold words as this one does.
    """
    import tantivy

    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.lowercase()).filter(tantivy.Filter.ascii_fold())
    return (builder if plain else builder.filter(tantivy.Filter.stemmer("english"))).build()


@functools.lru_cache(maxsize=8192)
def stemmed(text: str) -> tuple[str, ...]:
    """The stems of a text's words, as text fields hold them."""
    return tuple(analyzer().analyze(text))


class Statement(NamedTuple):
    """An annotation without its probabilities: millions of images say a few thousand such things,
    so that what follows from one is kept."""

    origin: Origin
    certainty: Certainty
    text: str
    words: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, annotation: Mapping[str, Any]) -> Statement:
        """What `Annotation.to_json` says."""
        words = tuple([(word["kind"], word["text"]) for word in annotation["words"]])
        return cls(annotation["origin"], stored_certainty(annotation), annotation["text"], words)

    def to_json(self) -> dict[str, Any]:
        """An annotation that says it, as far as fields and terms are made of it."""
        words = [{"kind": kind, "text": text} for kind, text in self.words]
        return {**self._asdict(), "words": words}


def label_values(annotation: Mapping[str, Any]) -> dict[str, list[str]]:
    """The values of an annotation's label fields, in lower case, by field.

    Parameters
    ----------
    annotation
        `Annotation.to_json()`.
    """
    values: dict[str, list[str]] = {"composite": [annotation["text"].lower()]}
    for word in annotation["words"]:
        if word["kind"] in LABELS:
            values.setdefault(word["kind"], []).append(word["text"].lower())
    return values


def findings_by_certainty(document: Document) -> dict[str, list[str]]:
    """The findings of a document under ``likely``, and under ``possible`` those that are no more
    than that, in lower case."""
    found: dict[str, list[str]] = {certainty: [] for certainty in CERTAINTIES}
    for annotation in document["annotations"]:
        found[stored_certainty(annotation)].append(annotation["disease"].lower())
    likely = set(found["likely"])
    return found | {"possible": [name for name in found["possible"] if name not in likely]}


def _of_kind(kind: str, document: Document) -> list[str]:
    """The words of one kind that a document's annotations say, in lower case."""
    words = (word for annotation in document["annotations"] for word in annotation["words"])
    return [word["text"].lower() for word in words if word["kind"] == kind]


#: What each facet of words has for values in a document, in which one may stand more than once.
FACET_VALUES: Mapping[str, Callable[[Document], Iterable[str]]] = {
    **{kind: functools.partial(_of_kind, kind) for kind in LABELS},
    "composite": lambda document: [a["text"].lower() for a in document["annotations"]],
    "absent": lambda document: [a["disease"].lower() for a in document.get("absent", [])],
    "uncertain": lambda document: [a["disease"].lower() for a in document.get("uncertain", [])],
    "view": lambda document: [document["view"]],
    "projection": lambda document: filter(None, [(document["projection"] or "").lower()]),
    "sex": lambda document: filter(None, [(document["sex"] or "").lower()]),
    "origin": lambda document: [a["origin"] for a in document["annotations"]],
    "certainty": lambda document: map(stored_certainty, document["annotations"]),
    "likely": lambda document: findings_by_certainty(document)["likely"],
    "possible": lambda document: findings_by_certainty(document)["possible"],
    "unusual": lambda document: ["yes" if is_unusual(document) else "no"],
    "note": lambda document: document.get("notes", []),
}
#: The facets whose values are few enough for columns of a store.
COUNTED = tuple(name for name in FACET_VALUES if name != "composite")


def field_values(document: Document) -> dict[str, list[str]]:
    """What stands in a document's fields, by field; what is empty is left out.

    Values of text are repeated as often as they are said, which counts in the ranking; all others
    stand once.
    """
    values = {name: [*of(document)] for name, of in FACET_VALUES.items()}

    def put(name: str, *more: str) -> None:
        values.setdefault(name, []).extend(more)

    for annotation in document["annotations"]:
        for field, entries in _statement_values(Statement.of(annotation)):
            put(field, *entries)
    for section, text in (document["report"] or {}).items():
        put("report", text)
        put("section", section)
        if section in SECTIONS:
            put(section, text)
    put("statement", *document.get("statements", {}).values())
    return {
        name: entries if name in TEXTS else list(dict.fromkeys(entries))
        for name, entries in values.items()
        if entries
    }


@functools.lru_cache(maxsize=8192)
def _statement_values(statement: Statement) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What an annotation adds to the fields that are no facets."""
    texts = [(field_name("annotation", o), (statement.text,)) for o in (None, statement.origin)]
    labels = label_values(statement.to_json()).items()
    return (*texts, *((field_name(name, statement.origin), (*v,)) for name, v in labels))
