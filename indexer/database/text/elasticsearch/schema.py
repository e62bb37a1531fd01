"""What an Elasticsearch index of cxrdex is like: its settings, its mapping, a document's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from indexer import advice
from indexer.annotation import stored_certainty
from indexer.database.text.documents import Document, document_hash
from indexer.database.text.elasticsearch.vectors import vector_properties, vector_settings
from indexer.database.text.schema import (
    EXACT,
    KEYWORDS,
    LABELS,
    NUMBERS,
    PLAIN,
    STEMMED,
    TEXTS,
    analyzer,
    field_values,
    label_values,
)
from indexer.errors import DatabaseMismatch

__all__ = [
    "MAPPING_VERSION",
    "check_version",
    "mappings",
    "probability_field",
    "settings",
    "source_fields",
]

_Json: TypeAlias = dict[str, Any]

#: Grows with every change of `mappings`, `settings` or `source_fields`.
MAPPING_VERSION = 3

_NEWER = {
    "emerg": "e ed es ing ence ences ency encies ent ently",
    "inter": "nal nally nals nalize nalized nation national nationally val vals fere fered fering "
    "cal ger",
    "later": "al ally als ality alize alized alizes alizing alization",
    "organ": "ic ics ically ism isms ise ised ises ising isation isations ize ized izes izing izer "
    "izers ization izations izational ist ists",
    "past": "e ed es ing",
    "univers": "al ally als ality e es ity ities",
}


def settings(shards: int = 1, *, vectors: bool = False) -> _Json:
    """Settings of the index: the analyzers cut and fold words as the embedded store's do.

    Parameters
    ----------
    shards
        Parts that the index is cut into, each on a node.
    vectors
        Whether documents hold vectors.
    """
    stems = ["radiology_stems", "radiology_science", "radiology_stem"]
    return {
        **(vector_settings() if vectors else {}),
        "number_of_shards": shards,
        "auto_expand_replicas": "0-1",
        "mapping": {"total_fields": {"limit": 2000}},
        "analysis": {
            # The characters that Rust calls alphanumeric, as in tantivy's tokenizer.
            "tokenizer": {
                "radiology": {"type": "pattern", "pattern": r"[^\p{IsAlphabetic}\p{N}]+"}
            },
            "filter": {
                "radiology_stem": {"type": "stemmer", "language": "porter2"},
                "radiology_stems": {"type": "stemmer_override", "rules": _newer_stems()},
                "radiology_science": {
                    "type": "pattern_replace",
                    "pattern": "logists?$",
                    "replacement": "log",
                },
                # Made small, this letter is one in Java and two in Rust, as in the other store.
                "radiology_dotted": {
                    "type": "pattern_replace",
                    "pattern": "\u0130",
                    "replacement": "i\u0307",
                },
                # Lucene refuses a term of more than 32,766 bytes.
                "radiology_length": {"type": "length", "max": 8000},
            },
            "analyzer": {
                name: {
                    "type": "custom",
                    "tokenizer": "radiology",
                    "filter": [
                        "radiology_dotted",
                        "lowercase",
                        "asciifolding",
                        "radiology_length",
                        *stem,
                    ],
                }
                for name, stem in ((STEMMED, stems), (PLAIN, []))
            },
        },
    }


def _newer_stems() -> list[str]:
    """Words that the server's Porter2 cuts as an earlier edition of it did, with their stems now.

    Of 95,000 words of reports and software these begin all that differ, but for ``-logist``.
    """
    words = (start + end for start, ends in _NEWER.items() for end in ends.split())
    return [f"{word} => {analyzer().analyze(word)[0]}" for word in words]


def mappings(dimensions: int | None = None) -> _Json:
    """The strict mapping, its version in ``_meta``; with vectors of so many `dimensions`, if any.

    Labels are keywords, of all origins (``disease``) and of one (``disease_human``), and stand
    once more in the nested `finding`, one for each annotation, so that its parts hold together.
    Text has a subfield ``plain`` of words as they are written. `document` is kept and not indexed.
    """
    keyword, number = {"type": "keyword"}, {"type": "integer"}
    text = {
        "type": "text",
        "analyzer": STEMMED,
        "position_increment_gap": 100,
        "fields": {
            "plain": {
                "type": "text",
                "analyzer": PLAIN,
                "position_increment_gap": 100,
            }
        },
    }
    single = ("id", "hash", "study", "patient")
    finding = dict.fromkeys(("origin", "certainty", "status", *LABELS, "other"), keyword)
    return {
        "dynamic": "strict",
        "_meta": {"version": MAPPING_VERSION},
        "dynamic_templates": [
            {
                "probabilities": {
                    "path_match": "probabilities.*",
                    "mapping": {"type": "float", "index": False},
                }
            }
        ],
        "properties": {
            **dict.fromkeys((*single, *EXACT, *KEYWORDS), keyword),
            **dict.fromkeys(NUMBERS, number),
            **dict.fromkeys(TEXTS, text),
            "finding": {
                "type": "nested",
                "properties": {**finding, "text": text, "confidence": {"type": "float"}},
            },
            **({} if dimensions is None else vector_properties(dimensions)),
            "probabilities": {"type": "object", "dynamic": True},
            "document": {"type": "object", "enabled": False},
        },
    }


def probability_field(finding: str) -> str:
    """Name of the field of a finding's probability; a dot in it would make two levels of it."""
    return f"probabilities.{finding.replace('.', '_')}"


def source_fields(document: Document) -> _Json:
    """What the index holds of a document, its empty fields left out."""
    source: _Json = {**field_values(document)}
    for name in ("projection", "sex", "view", "unusual"):
        source[name] = source[name][0] if name in source else None
    for name in ("id", "study", "patient", *NUMBERS):
        source[name] = document[name]  # type: ignore[literal-required]
    by_status: Mapping[str, Sequence[_Json]] = {
        "affirmed": document["annotations"],
        "negated": document.get("absent", []),
        "uncertain": document.get("uncertain", []),
    }
    source["hash"] = document_hash(document)
    source["finding"] = [
        _finding(annotation, status) for status, found in by_status.items() for annotation in found
    ]
    probabilities: Mapping[str, float] = document.get("probabilities", {})
    source["probabilities"] = {
        probability_field(name).partition(".")[2]: float(p) for name, p in probabilities.items()
    }
    source["document"] = document
    return {name: value for name, value in source.items() if value not in (None, [], {})}


def _finding(annotation: Mapping[str, Any], status: str) -> _Json:
    return {
        "origin": annotation["origin"],
        "certainty": stored_certainty(annotation),
        "status": status,
        "text": annotation["text"],
        "confidence": annotation["confidence"],
        **label_values(annotation),
        **({"other": annotation["other"]} if annotation.get("other") else {}),
    }


def check_version(meta: Mapping[str, Any], index: str) -> None:
    """Refuse an index that another version of cxrdex filled.

    Parameters
    ----------
    meta
        ``_meta`` of its mapping.
    index
        Its name.

    Raises
    ------
    DatabaseMismatch
        Its text says what to do.
    """
    found = meta.get("version")
    if found == MAPPING_VERSION:
        return
    newer = isinstance(found, int) and found > MAPPING_VERSION
    how = "update cxrdex" if newer else f"{advice.MIGRATE}, which makes a new one of it"
    raise DatabaseMismatch(
        f"the Elasticsearch index {index} has mapping version {found}, this cxrdex uses version "
        f"{MAPPING_VERSION}: {how}"
    )
