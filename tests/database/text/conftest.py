"""What the tests of this folder share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from indexer.annotation import Annotation
from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from tests.database.making import image_id


def document(number: int, **more: Any) -> Document:
    """A document with a finding of each kind."""
    affirmed = [
        Annotation.from_words("predicted", "opacity", ["lung", "base", "left", "mild"]).to_json(),
        Annotation.from_words("human", "Effusion", ["right", "round"]).to_json(),
    ]
    values: dict[str, Any] = {
        "id": image_id(number),
        "study": f"{number:012x}",
        "patient": f"{number:012x}",
        "view": "frontal",
        "view_origin": "header",
        "projection": "PA",
        "sex": "F",
        "age": 40 + number % 40,
        "year": 2014,
        "manufacturer": None,
        "rows": 8,
        "columns": 9,
        "annotations": affirmed,
        "absent": [Annotation.from_words("report", "pneumothorax", []).to_json()],
        "uncertain": [Annotation.from_words("report", "edema", ["mild"]).to_json()],
        "report": {"findings": "A small effusion. No pneumothorax.", "impression": "Effusion."},
        "statements": {"findings": "A small effusion.                 "},
        "probabilities": {"opacity": 0.75, "v. cava, dilated": 0.5},
    }
    return {**values, **more}  # type: ignore[typeddict-item]


@pytest.fixture
def store(elasticsearch_url: str) -> Iterator[ElasticsearchTextStore]:
    client = ElasticsearchSettings((elasticsearch_url,)).client()
    made = ElasticsearchTextStore(client, f"cxrdex-{secrets.token_hex(4)}", patience=5)
    made.prepare()
    yield made
    for name in client.indices.get(index=f"{made.index}-*"):
        client.indices.delete(index=name)
    client.indices.delete_index_template(name=made.index)
    made.close()


def indices(store: ElasticsearchTextStore) -> list[str]:
    return sorted(store.client.indices.get(index=f"{store.index}-*"))
