"""Elasticsearch as a store: loading, refusals, a server under load, migration."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from indexer.database.text.documents import Document, document_hash
from indexer.database.text.elasticsearch import bulk as elasticsearch_bulk
from indexer.database.text.elasticsearch.schema import (
    MAPPING_VERSION,
    check_version,
    source_fields,
)
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.errors import DatabaseError, DatabaseMismatch, TextStoreUnavailable
from tests.database.making import image_id
from tests.database.text.conftest import document, indices
from tests.elasticsearch_proxy import Proxy


def index_settings(store: ElasticsearchTextStore) -> dict[str, Any]:
    answer = store.client.indices.get_settings(index=store.index)
    ((_, found),) = answer.items()
    return dict(found["settings"]["index"])


def test_an_empty_index_is_filled_without_refreshes_and_then_set_back(
    store: ElasticsearchTextStore,
) -> None:
    loading = index_settings(store)
    assert (loading["refresh_interval"], loading["number_of_replicas"]) == ("-1", "0")
    store.apply([document(1)], [])
    store.finish()
    after = index_settings(store)
    assert "refresh_interval" not in after
    assert after["auto_expand_replicas"] == "0-1"
    assert store.client.count(index=store.index)["count"] == 1
    assert store.client.cluster.health(index=store.index)["status"] == "green"


def test_a_killed_load_is_set_back_when_opened_again(store: ElasticsearchTextStore) -> None:
    store.apply([document(1)], [])
    again = ElasticsearchTextStore(store.client, store.index)
    again.prepare(lambda: pytest.fail("there is an index"))
    assert "refresh_interval" not in index_settings(store)
    assert index_settings(store)["auto_expand_replicas"] == "0-1"


def test_writes_are_on_disk_when_they_are_confirmed(store: ElasticsearchTextStore) -> None:
    answer = store.client.indices.get_settings(index=store.index, include_defaults=True)
    ((_, found),) = answer.items()
    assert found["defaults"]["index"]["translog"]["durability"] == "REQUEST"


def test_a_document_that_does_not_fit_is_named_with_its_field(
    store: ElasticsearchTextStore,
) -> None:
    bad = document(7, age="a secret")
    with pytest.raises(DatabaseError, match=rf"image {image_id(7)}, in the field age") as raised:
        store.apply([document(1), bad, document(2)], [])
    assert "secret" not in str(raised.value)
    assert {found for found, _ in store.hashes()} == {image_id(1), image_id(2)}


def test_an_unknown_field_is_refused(
    store: ElasticsearchTextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        elasticsearch_bulk, "source_fields", lambda d: {**source_fields(d), "colour": "grey"}
    )
    with pytest.raises(DatabaseError, match="in the field colour: strict_dynamic_mapping"):
        store.apply([document(1)], [])


def test_a_missing_index_is_not_made_by_writing(store: ElasticsearchTextStore) -> None:
    store.client.indices.delete(index=f"{store.index}-000001")
    with pytest.raises(DatabaseError, match="verify --repair"):
        store.apply([document(1)], [])
    assert indices(store) == []


def test_versions() -> None:
    check_version({"version": MAPPING_VERSION}, "cxrdex-1")
    for meta in ({}, {"version": 0}):
        with pytest.raises(DatabaseMismatch, match="cxrdex migrate"):
            check_version(meta, "cxrdex-1")
    with pytest.raises(DatabaseMismatch, match="update cxrdex"):
        check_version({"version": 99}, "cxrdex-1")


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[Proxy]:
    made = Proxy(elasticsearch_url)
    yield made
    made.close()


def through(proxy: Proxy, store: ElasticsearchTextStore, seconds: float = 30) -> Any:
    client = ElasticsearchSettings((proxy.url,)).client(seconds=seconds)
    return ElasticsearchTextStore(client, store.index, patience=5)


@pytest.mark.parametrize("fault", [429, 502, 503, "reset", "timeout", "lost answer"])
def test_a_passing_fault_is_waited_out(
    fault: int | str, proxy: Proxy, store: ElasticsearchTextStore
) -> None:
    proxy.faults += [fault] * 2
    writer = through(proxy, store, seconds=0.5)
    documents = [document(n) for n in range(10)]
    writer.apply(documents, [])
    writer.close()
    assert proxy.faults == []
    assert sorted(store.hashes()) == sorted((d["id"], document_hash(d)) for d in documents)


def test_a_request_that_is_too_large_is_halved(proxy: Proxy, store: ElasticsearchTextStore) -> None:
    largest = len(json.dumps(source_fields(document(1)))) * 3
    proxy.largest = largest
    writer = through(proxy, store)
    writer.apply([document(n) for n in range(20)], [])
    assert len(list(store.hashes())) == 20
    proxy.largest = 500
    with pytest.raises(DatabaseError, match=f"image {image_id(1)} too large"):
        writer.apply([document(1)], [])
    proxy.largest = None
    writer.close()


def test_a_lasting_fault_ends_in_an_error_that_says_so(
    proxy: Proxy, store: ElasticsearchTextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = through(proxy, store)
    writer.patience = 0.5
    proxy.faults += [503] * 1000
    with pytest.raises(TextStoreUnavailable, match="503"):
        writer.apply([document(1)], [])
    proxy.faults.clear()
    writer.apply([document(1)], [])
    writer.close()
    assert len(list(store.hashes())) == 1


def test_a_server_that_is_not_there() -> None:
    nobody = ElasticsearchSettings(("http://127.0.0.1:9",)).client()
    store = ElasticsearchTextStore(nobody, "cxrdex-1")
    with pytest.raises(TextStoreUnavailable, match="does not answer"):
        store.prepare()
    store.close()


def make_old(store: ElasticsearchTextStore) -> None:
    """Turn the index into one that an earlier cxrdex made."""
    store.finish()
    store.client.indices.put_mapping(index=store.index, meta={"version": 0})


def test_an_older_mapping_is_refused_and_migrated(store: ElasticsearchTextStore) -> None:
    documents = [document(n) for n in range(30)]
    store.apply(documents, [])
    make_old(store)
    other = ElasticsearchTextStore(store.client, store.index)
    for refused in (other.prepare, functools.partial(next, other.hashes())):
        with pytest.raises(DatabaseMismatch, match="cxrdex migrate"):
            refused()
    assert other.migrate(iter(documents)) == 30
    assert indices(store) == [f"{store.index}-000002"]
    assert sorted(other.hashes()) == sorted((d["id"], document_hash(d)) for d in documents)
    assert "refresh_interval" not in index_settings(store)
    other.prepare(lambda: pytest.fail("there is an index"))


def test_searches_go_on_during_a_migration(store: ElasticsearchTextStore) -> None:
    documents = [document(n) for n in range(50)]
    store.apply(documents, [])
    make_old(store)
    ended = threading.Event()
    counts: set[object] = set()

    def ask() -> None:
        while not ended.is_set():
            try:
                counts.add(store.client.count(index=store.index)["count"])
            except Exception as error:  # noqa: BLE001
                counts.add(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        ElasticsearchTextStore(store.client, store.index).migrate(documents)
    finally:
        ended.set()
        asking.join()
    assert counts == {50}


def test_a_killed_migration_leaves_the_old_index(store: ElasticsearchTextStore) -> None:
    documents = [document(n) for n in range(10)]
    store.apply(documents, [])
    make_old(store)

    def dying() -> Iterator[Document]:
        yield from documents[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ElasticsearchTextStore(store.client, store.index).migrate(dying())
    assert store.client.count(index=store.index)["count"] == 10
    other = ElasticsearchTextStore(store.client, store.index)
    assert other.migrate(documents) == 10
    assert indices(store) == [f"{store.index}-000002"]
