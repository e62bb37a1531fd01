"""The schema of the tantivy index, and the terms that hold one finding together."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from indexer.annotation import stored_certainty
from indexer.database.text.documents import canonical
from indexer.database.text.schema import (
    EXACT,
    KEYWORDS,
    NUMBERS,
    PLAIN,
    STEMMED,
    TEXTS,
    Statement,
    field_name,
    label_values,
)
from indexer.database.text.tantivy.facet_columns import COLUMNS

if TYPE_CHECKING:
    import tantivy

__all__ = ["PAIR_SEPARATOR", "finding_term", "pair_items", "pair_term", "schema", "terms"]

#: Between the two items of a pair term.
PAIR_SEPARATOR = "\x1f"


@functools.cache
def schema() -> tantivy.Schema:
    """The tantivy schema.

    Labels are exact (``disease``, and ``disease_human`` for one origin) and fast, for facets. Text
    stands twice: stemmed with positions, and plain for words that are given by their shape.
    `statement` is the report without what it denies or doubts. `finding` holds each annotation as
    one exact term (`finding_term`), and `joint` the items of each and its pairs of items
    (`pair_term`), by which most findings are found. `key` is the id as an unsigned integer,
    `state` the id with the document's hash, and `section` names the report sections there are.
    Facets are counted by the columns of `indexer.database.text.tantivy.facet_columns`.
    """
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("key", indexed=True, fast=True)
    builder.add_text_field("state", fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field("document", stored=True)
    for name in (*EXACT, *KEYWORDS):
        builder.add_text_field(name, fast=True, tokenizer_name="raw", index_option="basic")
    for name in COLUMNS:
        builder.add_unsigned_field(name, fast=True)
    for name in ("study", "patient", "finding", "joint"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in NUMBERS:
        builder.add_integer_field(name, indexed=True, fast=True)
    for name in TEXTS:
        builder.add_text_field(name, tokenizer_name=STEMMED)
        builder.add_text_field(
            field_name(name, plain=True), tokenizer_name=PLAIN, index_option="basic"
        )
    return builder.build()


def pair_items(annotation: Mapping[str, Any]) -> list[str]:
    """What is said of one finding, a word of it, its origin or its certainty each: ``kind:text``,
    sorted."""
    words = {f"{word['kind']}:{word['text'].lower()}" for word in annotation["words"]}
    about = {f"origin:{annotation['origin']}", f"certainty:{stored_certainty(annotation)}"}
    return sorted(about | words)


def pair_term(first: str, second: str | None = None) -> str:
    """The term of an item, or of two items of one finding."""
    return PAIR_SEPARATOR.join(sorted({first, second or first}))


def finding_term(annotation: Mapping[str, Any]) -> str:
    """An annotation as one term: canonical JSON of its origin, certainty, label values and text."""
    term = {"origin": annotation["origin"], "text": annotation["text"]}
    term["certainty"] = stored_certainty(annotation)
    return canonical({**term, **label_values(annotation)})


@functools.lru_cache(maxsize=8192)
def terms(statement: Statement) -> tuple[str, tuple[str, ...]]:
    """The term of a finding, and those of its items and of their pairs."""
    annotation = statement.to_json()
    items = itertools.combinations_with_replacement(pair_items(annotation), 2)
    return finding_term(annotation), tuple(itertools.starmap(pair_term, items))
