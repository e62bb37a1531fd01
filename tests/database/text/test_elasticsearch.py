"""The Elasticsearch text store on a real server."""

from __future__ import annotations

import json
import random
import re
import string
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from indexer.database.text.documents import document_hash
from indexer.database.text.elasticsearch import bulk as elasticsearch_bulk
from indexer.database.text.elasticsearch import store as text_elasticsearch
from indexer.database.text.elasticsearch.schema import (
    probability_field,
    source_fields,
)
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.text.schema import analyzer
from tests.database.making import image_id
from tests.database.text.conftest import document, indices


def search(store: ElasticsearchTextStore, query: dict[str, Any]) -> set[str]:
    store.client.indices.refresh(index=store.index)
    answer = store.client.search(index=store.index, query=query, size=1000)
    return {hit["_id"] for hit in answer["hits"]["hits"]}


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
    assert source_fields(bare).keys() == {*names, "probabilities", "unusual"}


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
    root = Path(__file__).parents[3]
    texts = [p.read_text("utf-8") for p in sorted(root.glob("docs/*.md"))]
    texts += [p.read_text("utf-8") for p in sorted(root.glob("tests/words/*.csv"))]
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


# ---- what the server refuses ----


# ---- a server that does not take everything at once; the proxy stands before the real one ----


# ---- migration ----
