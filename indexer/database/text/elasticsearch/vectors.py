"""Vectors in the documents of an Elasticsearch index: their field, settings and checks.

A vector stands in the document of its image, so that one request asks for words, for a filter and
for what is like a picture. The shards of the database stay the truth: the server's copy is made of
them, and their numbers are what scores are computed from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from indexer import advice
from indexer.errors import DatabaseMismatch

__all__ = [
    "DIGEST",
    "FIELD",
    "DocumentVectors",
    "check_dimensions",
    "check_server",
    "vector_digest",
    "vector_json",
    "vector_properties",
    "vector_settings",
]

#: Fields of the document that hold its vector and the digest by which vectors are compared.
FIELD, DIGEST = "vector", "vector_hash"
#: Parameters `m` and `ef_construction` of the HNSW graph.
_LINKS, _LOOKED_AT = 16, 100
#: Segments are not merged beyond this size. With a filter, a search in a graph of 300,000 images
#: misses a tenth of the neighbours, in graphs of 40,000 to 150,000 one in fifty.
_LARGEST_SEGMENT = "250mb"
# Shorter vectors are not accepted by the server's index of single bits.
_MIN_DIMENSIONS_FOR_BITS = 64
_OLDEST = (9, 4)
_NUMPY = orjson.OPT_SERIALIZE_NUMPY

Vector: TypeAlias = npt.NDArray[np.float32]


@dataclass(slots=True)
class DocumentVectors:
    """Where the vectors of documents are found.

    Parameters
    ----------
    dimensions
        Length of the vectors.
    find
        Gives the vectors of some images by id, shape (dimensions,) each, as the shards have them;
        an image whose vector cannot be read is left out.
    """

    dimensions: int
    find: Callable[[Sequence[str], int], Mapping[str, Vector]]

    def of(self, image_ids: Sequence[str]) -> Mapping[str, Vector]:
        """The vectors of some images by id."""
        return self.find(image_ids, self.dimensions)


def vector_properties(dimensions: int) -> dict[str, Any]:
    """The fields that a vector adds to the mapping.

    Shards rank by inner products, and so does the graph; it holds one bit of each number, and what
    it finds is compared by the numbers themselves (docs/adr/0037). Of short vectors it holds 8.
    """
    return {
        FIELD: {
            "type": "dense_vector",
            "dims": dimensions,
            "index": True,
            "similarity": "max_inner_product",
            "index_options": {
                "type": "bbq_hnsw" if dimensions >= _MIN_DIMENSIONS_FOR_BITS else "int8_hnsw",
                "m": _LINKS,
                "ef_construction": _LOOKED_AT,
            },
        },
        DIGEST: {"type": "keyword"},
    }


def vector_settings() -> dict[str, Any]:
    """The settings that a vector adds.

    A search that ends early misses neighbours, and so does one that looks only at neighbours which
    meet its condition (the server's own choice, `acorn`).
    """
    return {
        "dense_vector": {
            "hnsw_enable_early_termination": False,
            "hnsw_filter_heuristic": "fanout",
        },
        "merge": {"policy": {"max_merged_segment": _LARGEST_SEGMENT}},
    }


def vector_json(vector: Vector) -> bytes:
    """What a document holds of a vector as JSON without braces: its numbers, and its digest."""
    numbers = np.ascontiguousarray(vector, np.float32)
    text = orjson.dumps({FIELD: numbers, DIGEST: vector_digest(vector)}, option=_NUMPY)
    return text[1:-1]


def vector_digest(vector: Vector) -> str:
    """16 hex digits that change with any number of a vector, as the shards keep it (float16)."""
    return hashlib.blake2b(vector.astype("<f2").tobytes(), digest_size=8).hexdigest()


def check_dimensions(mapping: Mapping[str, Any], dimensions: int, index: str) -> None:
    """Refuse an index whose documents hold no vectors, or vectors of another length.

    Parameters
    ----------
    mapping
        The index's, as the server tells it.
    dimensions
        Length of the database's vectors.

    Raises
    ------
    DatabaseMismatch
        Its text says what to do.
    """
    found = mapping.get("properties", {}).get(FIELD)
    if found is None:
        raise DatabaseMismatch(
            f"the Elasticsearch index {index} holds no vectors, which this database keeps there: "
            f"{advice.MIGRATE}, which fills it anew"
        )
    if found.get("dims") != dimensions:
        raise DatabaseMismatch(
            f"the Elasticsearch index {index} holds vectors of {found.get('dims')} numbers, and "
            f"those of the database have {dimensions}: {advice.MIGRATE}, which fills it anew"
        )


def check_server(version: str) -> None:
    """Refuse a server without the settings that searches for vectors need.

    Parameters
    ----------
    version
        As the server tells it, such as ``"9.4.3"``.

    Raises
    ------
    DatabaseMismatch
        It is too old.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise DatabaseMismatch(
            f"the server runs Elasticsearch {version}, and vectors are kept in {oldest} or newer: "
            "update the server, or make the database with `vector_store=faiss`"
        )
