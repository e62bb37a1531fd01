"""The Elasticsearch text store on a real server."""

from __future__ import annotations

import functools
import json
import random
import re
import secrets
import string
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.annotation import Annotation
from indexer.database.text.documents import Document, document_hash
from indexer.database.text.elasticsearch import bulk as elasticsearch_bulk
from indexer.database.text.elasticsearch import store as text_elasticsearch
from indexer.database.text.elasticsearch.schema import (
    MAPPING_VERSION,
    check_version,
    probability_field,
    source_of,
)
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.text.schema import analyzer
from indexer.errors import DatabaseError, DatabaseMismatch, TextStoreUnavailable
from tests.database.making import image_id
from tests.elasticsearch_proxy import Proxy


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


def search(store: ElasticsearchTextStore, query: dict[str, Any]) -> set[str]:
    store.client.indices.refresh(index=store.index)
    answer = store.client.search(index=store.index, query=query, size=1000)
    return {hit["_id"] for hit in answer["hits"]["hits"]}


def index_settings(store: ElasticsearchTextStore) -> dict[str, Any]:
    answer = store.client.indices.get_settings(index=store.index)
    ((_, found),) = answer.items()
    return dict(found["settings"]["index"])


def indices(store: ElasticsearchTextStore) -> list[str]:
    return sorted(store.client.indices.get(index=f"{store.index}-*"))


# ---- the protocol ----


def test_documents_come_change_and_go(store: ElasticsearchTextStore) -> None:
    first, second, third = (document(n) for n in range(3))
    store.apply([first, second], [])
    store.apply([first, second], [])
    assert dict(store.hashes()) == {d["id"]: document_hash(d) for d in (first, second)}
    changed = document(1, sex="M")
    store.apply([changed, third], [first["id"], "0" * 16])
    found = list(store.hashes())
    assert sorted(found) == sorted((d["id"], document_hash(d)) for d in (changed, third))
    kept = store.client.get(index=store.index, id=third["id"])["_source"]["document"]
    assert kept == json.loads(json.dumps(third))
    store.clear()
    assert list(store.hashes()) == []
    assert len(indices(store)) == 1


def test_hashes_go_over_many_pages(
    store: ElasticsearchTextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_elasticsearch, "_PAGE", 7)
    monkeypatch.setattr(elasticsearch_bulk, "_CHUNK_DOCUMENTS", 5)
    documents = [document(n) for n in range(21)]
    store.apply(iter(documents), [])
    found = list(store.hashes())
    assert len(found) == 21
    assert dict(found) == {d["id"]: document_hash(d) for d in documents}
    nodes = store.client.nodes.stats(metric="indices")["nodes"].values()
    assert sum(node["indices"]["search"]["open_contexts"] for node in nodes) == 0


def test_fields(store: ElasticsearchTextStore) -> None:
    store.apply([document(1), document(2, annotations=[], absent=[], uncertain=[])], [])
    one = {image_id(1)}
    terms = {
        "disease": "effusion",
        "disease_human": "effusion",
        "disease_predicted": "opacity",
        "side": "left",
        "severity": "mild",
        "composite": "opacity, lung, base, left, mild",
        "composite_human": "effusion, right, round",
        "origin": "human",
        "absent": "pneumothorax",
        "uncertain": "edema",
    }
    for field, value in terms.items():
        assert search(store, {"term": {field: value}}) == one, field
    assert search(store, {"term": {"disease_predicted": "effusion"}}) == set()
    assert search(store, {"term": {"disease": "pneumothorax"}}) == set()
    assert search(store, {"term": {"section": "impression"}}) == {image_id(1), image_id(2)}
    assert search(store, {"term": {"sex": "f"}}) == {image_id(1), image_id(2)}
    assert search(store, {"match_phrase": {"annotation_human": "effusions right"}}) == one
    assert search(store, {"match": {"statement": "pneumothorax"}}) == set()
    assert len(search(store, {"match": {"findings": "pneumothorax"}})) == 2
    assert search(store, {"prefix": {"annotation.plain": "opacit"}}) == one
    # Phrases do not reach from one annotation into the next.
    assert search(store, {"match_phrase": {"annotation": "mild effusion"}}) == set()
    name = probability_field("v. cava, dilated")
    answer = store.client.search(index=store.index, docvalue_fields=[{"field": name}], size=2)
    assert [hit["fields"][name] for hit in answer["hits"]["hits"]] == [[0.5], [0.5]]


def nested(**terms: str) -> dict[str, Any]:
    conditions = [{"term": {f"finding.{name}": value}} for name, value in terms.items()]
    return {"nested": {"path": "finding", "query": {"bool": {"filter": conditions}}}}


def test_parts_of_findings_stay_together(store: ElasticsearchTextStore) -> None:
    store.apply([document(1)], [])
    assert search(store, nested(disease="effusion", side="right")) == {image_id(1)}
    assert search(store, nested(disease="effusion", side="left")) == set()
    assert search(store, nested(disease="effusion", other="round", origin="human")) == {image_id(1)}
    assert search(store, nested(disease="effusion", origin="predicted")) == set()
    assert search(store, nested(disease="pneumothorax", status="negated")) == {image_id(1)}
    assert search(store, nested(disease="edema", status="affirmed")) == set()


def test_text_that_is_no_unicode_is_kept_as_far_as_it_goes(store: ElasticsearchTextStore) -> None:
    odd = document(1, report={"findings": "lone \ud800 surrogate"}, statements={})
    store.apply([odd], [])
    assert list(store.hashes()) == [(odd["id"], document_hash(odd))]
    assert search(store, {"match": {"findings": "surrogate"}}) == {odd["id"]}


def test_empty_fields_are_left_out() -> None:
    bare = document(
        1, annotations=[], absent=[], uncertain=[], report=None, statements={}, sex=None
    )
    names = {"id", "hash", "study", "patient", "view", "projection", "age", "year", "document"}
    assert source_of(bare).keys() == {*names, "probabilities"}


# ---- analyzers ----


STEMS = """
opaci effus consolid cardiomeg pneum pleur atelect hyperinflat calcif fractur granulom
generous happ skies news commun general arsen fl y control
hop fall miss agre feed plaster conflat troubl siz hiss fizz fil relation condition ration val
hes digit conform radic differ vil analog vietnam predic oper feudal decis hope callous formal
sensitiv sensibil triplic form electr electric hope goodness reviv allow infer airlin gyroscop
adjust defens irrit replac adjus depend adopt homolog activ angular effectiv bowdler prob rat
ceas cont rol radiolog
cardiolog
"""
ENDS = """
s es ed ing ly ness y ies ied ion ions ization ational fulness ousness iveness ality ivity
ability logy ful less 's s' eed eedly ingly edly ement ment ent ance able ible ant ism ate iti
ous ive ize er al ic icate ative alize iciti ical sses yed bed tted ogi li ist ists ence ency
encies
"""


def corpus() -> list[str]:
    """Some thousand words: the source of this project, endings, accents and signs."""
    root = Path(__file__).parents[2]
    texts = [p.read_text("utf-8") for p in sorted(root.glob("docs/*.md"))]
    texts += [p.read_text("utf-8") for p in sorted(root.glob("tests/cascade/*.csv"))]
    texts += [" ".join(stem + end for end in ("", *ENDS.split())) for stem in STEMS.split()]
    chosen = random.Random(5)
    signs = string.punctuation + "äöüßÄÉèñçøÅœÆ½²³¼°µ–—’“”…·٣४ΩΣжשあ中\u0301\u200b\u00a0İıſﬁ̈"
    for _ in range(300):
        length = chosen.randrange(3, 40)
        texts.append("".join(chosen.choice(signs + string.ascii_letters) for _ in range(length)))
    return texts


def tokens(store: ElasticsearchTextStore, name: str, text: str) -> list[str]:
    answer = store.client.indices.analyze(index=store.index, analyzer=name, text=text)
    return [token["token"] for token in answer["tokens"]]


def test_words_of_reports_have_the_stems_of_the_embedded_store(
    shared: Path, store: ElasticsearchTextStore
) -> None:
    reports = (shared / "openi" / "ecgen-radiology").glob("*.xml")
    texts = (path.read_text("utf-8") for path in reports)
    words = sorted({word for text in texts for word in re.findall(r"\w+", text)})
    assert len(words) > 3000
    for start in range(0, len(words), 5000):
        text = " ".join(words[start : start + 5000])
        assert tokens(store, "radiology", text) == analyzer().analyze(text)


@pytest.mark.parametrize("plain", [False, True])
def test_words_are_cut_and_stemmed_as_in_the_embedded_store(
    plain: bool, store: ElasticsearchTextStore
) -> None:
    name = "radiology_plain" if plain else "radiology"
    words: Counter[str] = Counter()
    wrong = {}
    for text in corpus():
        for start in range(0, len(text), 20_000):
            part = text[start : start + 20_000]
            found = tokens(store, name, part)
            expected = analyzer(plain=plain).analyze(part)
            words.update(expected)
            if found != expected:
                pairs = zip(found, expected, strict=False)
                wrong[part[:60]] = [pair for pair in pairs if pair[0] != pair[1]][:3]
    assert wrong == {}
    assert len(words) > 3000


# ---- loading ----


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


# ---- what the server refuses ----


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
        elasticsearch_bulk, "source_of", lambda d: {**source_of(d), "colour": "grey"}
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


# ---- a server that does not take everything at once; the proxy stands before the real one ----


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
    largest = len(json.dumps(source_of(document(1)))) * 3
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


# ---- migration ----


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
