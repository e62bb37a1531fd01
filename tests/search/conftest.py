from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexer.database.text.documents import Document
from indexer.database.text.tantivy.store import EmbeddedTextStore
from search.stores.tantivy.backend import EmbeddedBackend
from tests.search.corpus import random_documents


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return random_documents(600)


@pytest.fixture(scope="session")
def backend(
    documents: list[Document], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedBackend]:
    store = EmbeddedTextStore(tmp_path_factory.mktemp("database") / "text", create=True)
    for start in range(0, len(documents), 150):
        store.apply(documents[start : start + 150], [])
    yield EmbeddedBackend(store)
    store.close()
