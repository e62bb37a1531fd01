"""Every text store and every vector store, filled with the same images."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from elastic_transport import Transport

from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.text.tantivy.store import EmbeddedTextStore
from search.stores.backend import Backend
from search.stores.elasticsearch.backend import ElasticsearchBackend
from search.stores.tantivy.backend import EmbeddedBackend
from tests.contract.corpus import generated_documents, open_i_documents
from tests.contract.places import COUNT, VECTOR_KINDS, Place, VectorKind
from tests.elasticsearch_cluster import ElasticsearchCluster

__all__ = ["KINDS", "Filled", "Kind"]

Kind: TypeAlias = Literal["tantivy", "elasticsearch", "cluster"]
KINDS: tuple[Kind, ...] = ("tantivy", "elasticsearch", "cluster")


@dataclass(frozen=True, slots=True)
class Filled:
    """Both sides of a text store."""

    store: EmbeddedTextStore | ElasticsearchTextStore
    backend: Backend

    def write(self, upserts: Sequence[Document], deletes: Sequence[str] = ()) -> None:
        """Write in batches, and let searchers see it."""
        for start in range(0, max(len(upserts), 1), 1_000):
            self.store.apply(upserts[start : start + 1_000], deletes if start == 0 else ())
        self.store.finish()


def _open(kind: Kind, folder: Path, request: pytest.FixtureRequest) -> Filled:
    if kind == "tantivy":
        store = EmbeddedTextStore(folder / "text", create=True)
        return Filled(store, EmbeddedBackend(EmbeddedTextStore(folder / "text")))
    if kind == "cluster":
        cluster: ElasticsearchCluster = request.getfixturevalue("elasticsearch_cluster")
        settings = cluster.settings
    else:
        settings = ElasticsearchSettings((request.getfixturevalue("elasticsearch_url"),))
    index = f"cxrdex-contract-{uuid.uuid4().hex[:12]}"
    writer = ElasticsearchTextStore(settings.client(), index, shards=settings.shards)
    writer.prepare()
    return Filled(writer, ElasticsearchBackend(settings.client(), index))


def _discard(filled: Filled) -> None:
    filled.backend.close()
    if isinstance(filled.store, ElasticsearchTextStore):
        indices = filled.store.client.indices
        # The server does not delete by a pattern.
        indices.delete(index=list(indices.get(index=f"{filled.store.index}-*")))
        indices.delete_index_template(name=filled.store.index)
    filled.store.close()


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each text store in turn."""
    found: Kind = request.param
    return found


@pytest.fixture(scope="session", params=["generated", "open-i"])
def corpus(request: pytest.FixtureRequest) -> str:
    """Each set of documents in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def documents(corpus: str, request: pytest.FixtureRequest) -> list[Document]:
    """The documents of a corpus."""
    if corpus == "generated":
        return generated_documents()
    folder: Path = request.getfixturevalue("shared") / "openi"
    if not (folder / "images.csv").is_file():
        pytest.skip(f"no reports in {folder}")
    return open_i_documents(folder)


@pytest.fixture(scope="session")
def filled(
    kind: Kind,
    documents: list[Document],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Filled]:
    """A store that holds `documents`, written in two batches."""
    made = _open(kind, tmp_path_factory.mktemp("contract"), request)
    half = len(documents) // 2
    made.write(documents[:half])
    made.write(documents[half:])
    yield made
    _discard(made)


@pytest.fixture
def empty(kind: Kind, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Filled]:
    """A store of a test's own, to be changed."""
    made = _open(kind, tmp_path, request)
    yield made
    _discard(made)


@pytest.fixture(scope="session", params=VECTOR_KINDS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each vector store in turn."""
    kind: VectorKind = request.param
    with pytest.MonkeyPatch.context() as patch:
        if kind == "faiss":
            yield Place(kind, None)
        elif kind == "elasticsearch":
            yield Place(kind, request.getfixturevalue("elasticsearch_url"))
        else:
            cluster: ElasticsearchCluster = request.getfixturevalue("elasticsearch_cluster")
            cluster.configure(patch)
            yield Place(kind, cluster.url)


@pytest.fixture(scope="session")
def held(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of `COUNT` images, to be read only."""
    return place.fill(tmp_path_factory.mktemp("vectors") / "database", range(COUNT))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in a database with the embedded stores."""
    path = tmp_path_factory.mktemp("vectors") / "reference"
    return Place("faiss", None).fill(path, range(COUNT))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The path of each request that is sent to the server."""
    found: list[str] = []
    perform = Transport.perform_request

    def noting(self: Transport, method: str, target: str, **more: Any) -> Any:
        found.append(target)
        return perform(self, method, target, **more)

    monkeypatch.setattr(Transport, "perform_request", noting)
    # What is known of the index is asked for again every few seconds.
    monkeypatch.setattr(ElasticsearchBackend, "version", 1)
    return found
