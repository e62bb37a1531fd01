"""What is written to a vector store: changes, kills, repairs, moves; `verify` ends each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from indexer.database.layout import Layout
from indexer.database.ledger.ledger import Ledger
from indexer.database.text.elasticsearch import vectors as server_vectors
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.text.elasticsearch.vectors import check_server
from indexer.database.upkeep.backup import back_up, relocate
from indexer.database.upkeep.merge import merge
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import id_from_key
from indexer.database.writer import Writer
from indexer.database.writing.forgetting import find_wanted
from indexer.errors import DatabaseError, DatabaseMismatch, TextStoreUnavailable
from search.request import ImageId, SearchRequest
from search.service import SearchService
from tests.contract.places import Place, film, make_vector
from tests.database.making import KEY, image_id, make_bundle
from tests.elasticsearch_proxy import Proxy

Vector = npt.NDArray[np.float32]


def nearest(path: Path, query: Vector, k: int = 1) -> list[str]:
    """Ids of the images nearest to a vector, as a search finds them."""
    with SearchService(path) as service, service.snapshot() as snapshot:
        _, keys = snapshot.vectors().search(query, k)
    return [id_from_key(key) for key in keys.tolist()]


def stored(path: Path) -> dict[str, Vector]:
    """The vectors that the server has, by id; none where FAISS keeps them."""
    manifest = Layout(path).read_manifest()
    if manifest.vectors == "faiss":
        return {}
    assert manifest.text_index is not None
    store = ElasticsearchTextStore.connect(manifest.text_index, manifest.text_url)
    ids = [image for image, _ in store.vector_digests()]
    found = store.vectors(ids)
    store.close()
    return found


def expect(path: Path, numbers: set[int], seeds: dict[int, int] | None = None) -> None:
    """The database holds just these images and their vectors, and so does the server."""
    seeds = seeds or {}
    assert verify(path) == []
    with SearchService(path) as service, service.snapshot() as snapshot:
        store = snapshot.vectors()
        assert {*map(id_from_key, store.keys.tolist())} == {image_id(n) for n in numbers}
        for number in sorted(numbers)[::7]:
            vector = make_vector(number, seeds.get(number, 0))
            scores, keys = store.search(vector, len(numbers))
            assert len(keys) == len(numbers)
            place = [id_from_key(key) for key in keys.tolist()].index(image_id(number))
            assert scores[place] == pytest.approx(np.linalg.norm(vector), abs=1e-5)
    if Layout(path).read_manifest().vectors == "elasticsearch":
        sent = stored(path)
        assert sent.keys() == {image_id(n) for n in numbers}
        for number in numbers:
            vector = make_vector(number, seeds.get(number, 0))
            np.testing.assert_array_equal(sent[image_id(number)], vector)


@pytest.fixture
def path(place: Place, tmp_path: Path) -> Path:
    """A database of a test's own, of 60 images."""
    return place.fill(tmp_path / "database", range(60), per_commit=20)


def test_images_come_change_and_go(place: Place, path: Path) -> None:
    expect(path, {*range(60)})
    with place.writing(path) as writer:
        # Another vector of an image whose document says what it said before.
        writer.commit([film(number, seed=1) for number in range(10)])
        writer.commit([film(number) for number in range(60, 80)])
        writer.remove_files(1, [f"{number}.png" for number in range(20, 30)])
    left = {*range(80)} - {*range(20, 30)}
    expect(path, left, dict.fromkeys(range(10), 1))
    with Writer.maintain(path) as writer:
        writer.compact(everything=True)
    expect(path, left, dict.fromkeys(range(10), 1))


def test_what_is_forgotten_leaves_no_vector(place: Place, path: Path) -> None:
    gone = make_vector(5)
    assert nearest(path, gone, 60)[0] != nearest(path, -gone, 60)[0]
    with Writer.maintain(path) as writer:
        writer.forget(find_wanted(writer.ledger, "patient", [f"{1:012x}"], None))
        assert not writer.wipe()
    expect(path, {*range(60)} - {4, 5, 6, 7})
    raw = [gone.astype(kind).tobytes() for kind in (np.float16, np.float32)]
    for file in path.rglob("*"):
        if file.is_file():
            assert not any(part in file.read_bytes() for part in raw), file


def test_a_lost_or_other_vector_is_found_and_mended(place: Place, path: Path) -> None:
    if place.kind == "faiss":
        shutil.rmtree(path / "vectors")
        assert [(p.where, p.what) for p in verify(path)] == [("vectors", "missing")]
    else:
        manifest = Layout(path).read_manifest()
        client = ElasticsearchSettings.load(manifest.text_url).client()
        index = manifest.text_index
        assert index is not None
        other = {"vector": make_vector(3, 9).tolist()}
        client.update(index=index, id=image_id(3), doc=other, refresh=True)
        script = {"source": "ctx._source.remove('vector'); ctx._source.remove('vector_hash')"}
        client.update(index=index, id=image_id(8), script=script, refresh=True)
        client.close()
        found = {(p.where, p.what, p.count) for p in verify(path)}
        assert found == {("vectors", "values", 1), ("vectors", "missing", 1)}
    assert repair(path).problems == ()
    expect(path, {*range(60)})


def test_a_copy_has_its_own_vectors(place: Place, path: Path, tmp_path: Path) -> None:
    assert back_up(path, tmp_path / "copy") == 60
    assert relocate(tmp_path / "copy", "/archive", "/elsewhere") == 60
    shutil.rmtree(path)
    (tmp_path / "copy").rename(path)
    with Writer.maintain(path, text="untouched") as writer:
        writer.outbox.sync()
    expect(path, {*range(60)})


def test_parts_are_merged(place: Place, path: Path, tmp_path: Path) -> None:
    other = place.fill(tmp_path / "other", range(50, 90))
    merge([path, other], tmp_path / "all", place.choices)
    expect(tmp_path / "all", {*range(90)})


def test_another_bundle_with_longer_vectors(place: Place, path: Path) -> None:
    bundle = make_bundle("ffeeddccbbaa9988")
    bundle.dimensions = 24  # type: ignore[misc]
    choices = place.choices
    with Writer.open(path, bundle, KEY, choices, other_bundle=True) as writer:
        writer.change_bundle(bundle, ["/archive"], pool_studies=False)
    with place.writing(path, bundle) as writer:
        writer.commit([film(number, dimensions=24) for number in range(12)])
    assert verify(path) == []
    assert nearest(path, make_vector(3, dimensions=24), 12)
    found = stored(path)
    assert all(vector.shape == (24,) for vector in found.values())


# ---- of a server alone --------------------------------------------------------------------------


@pytest.fixture
def served(elasticsearch_url: str) -> Place:
    return Place("elasticsearch", elasticsearch_url)


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[Proxy]:
    made = Proxy(elasticsearch_url)
    yield made
    made.close()


def test_vectors_wait_with_their_documents(tmp_path: Path, served: Place, proxy: Proxy) -> None:
    place = replace(served, url=proxy.url)
    path = place.fill(tmp_path / "database", range(20))
    proxy.down = True
    with Writer.open(path, make_bundle(), KEY, place.choices) as writer:
        writer.text.patience = 0.1  # type: ignore[attr-defined]
        writer.begin_run()
        writer.commit([film(number) for number in range(20, 40)])
        writer.commit([film(number, seed=2) for number in range(5)])
        writer.end_run("complete", {})
    with pytest.raises(TextStoreUnavailable):
        nearest(path, make_vector(2))
    with pytest.raises(TextStoreUnavailable):
        verify(path)
    with SearchService(path) as service, pytest.raises(TextStoreUnavailable):
        service.search(SearchRequest(picture=ImageId(image_id(2))))
    proxy.down = False
    with Writer.maintain(path, text="untouched") as writer:
        assert writer.outbox.sync() == 25
    expect(path, {*range(40)}, dict.fromkeys(range(5), 2))


def test_an_answer_may_be_lost(tmp_path: Path, served: Place, proxy: Proxy) -> None:
    place = replace(served, url=proxy.url)
    proxy.faults = ["lost answer", 503, "reset"]
    expect(place.fill(tmp_path / "database", range(40), per_commit=10), {*range(40)})


def _with_mapping(path: Path, served: Place, properties: dict[str, object]) -> Path:
    """A database whose index was made by hand, without what its vectors need."""
    served.fill(path, range(4))
    manifest = Layout(path).read_manifest()
    assert served.url is not None
    index = str(manifest.text_index)
    with ElasticsearchSettings((served.url,)).client() as client:
        for name in client.indices.get(index=f"{index}-*"):
            meta = client.indices.get_mapping(index=name)[name]["mappings"]["_meta"]
            client.indices.delete(index=name)
        client.indices.delete_index_template(name=index)
        client.indices.create(
            index=f"{index}-000001",
            aliases={index: {"is_write_index": True}},
            mappings={"_meta": meta, "properties": {"id": {"type": "keyword"}, **properties}},
        )
    return path


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "holds no vectors, which this database keeps there: run `cxrdex migrate`"),
        (
            {"vector": {"type": "dense_vector", "dims": 8}},
            "holds vectors of 8 numbers, and those of the database have 16: run `cxrdex migrate`",
        ),
    ],
)
def test_an_index_that_does_not_fit_is_refused(
    tmp_path: Path, served: Place, properties: dict[str, object], words: str
) -> None:
    path = _with_mapping(tmp_path / "database", served, properties)
    with pytest.raises(DatabaseMismatch, match=words):
        nearest(path, make_vector(1))
    with pytest.raises(DatabaseMismatch, match=words), served.writing(path) as writer:
        writer.commit([film(7)])
    with Writer.maintain(path, text="untouched") as writer:
        assert writer.outbox.migrate() == 5
    expect(path, {0, 1, 2, 3, 7})


def test_servers_that_are_too_old() -> None:
    check_server("9.4.3")
    check_server("10.0.0-SNAPSHOT")
    for version in ("9.3.1", "8.19.0"):
        with pytest.raises(DatabaseMismatch, match=rf"runs Elasticsearch {version}, .* 9\.4 or"):
            check_server(version)


def test_a_server_that_is_too_old_gets_no_index(
    tmp_path: Path, served: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_vectors, "_OLDEST", (99, 0))
    with pytest.raises(DatabaseMismatch, match=r"vectors are kept in 99\.0 or newer"):
        served.fill(tmp_path / "database", range(4))


def test_what_is_chosen_together(tmp_path: Path, served: Place) -> None:
    choices = replace(served.choices, text_store="embedded", elasticsearch_url=None)
    with pytest.raises(DatabaseError, match="stand in the documents of the words"):
        choices.manifest(make_bundle(), KEY)
    path = served.fill(tmp_path / "database", range(4))
    assert Layout(path).read_manifest().vectors == "elasticsearch"
    other = replace(served.choices, vector_store="faiss")
    with (
        pytest.raises(DatabaseMismatch, match="made with the elasticsearch vector store"),
        Writer.open(path, make_bundle(), KEY, other),
    ):
        pass


def test_a_shard_that_cannot_be_read_holds_up_no_words(tmp_path: Path, served: Place) -> None:
    path = served.fill(tmp_path / "database", range(20), per_commit=10)
    ledger = Ledger(path / "ledger.sqlite")
    lost = ledger.shards.all()[0]
    ledger.close()
    for file in lost.files(path / "embeddings"):
        file.unlink()
    with Writer.maintain(path) as writer:
        writer.outbox.refill()
    assert {problem.where for problem in verify(path)} == {"shards"}
    assert repair(path).problems == ()
    expect(path, {*range(20)} - {*range(10)})
