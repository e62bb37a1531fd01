"""Searches by picture: each vector store finds what all others find, with the same scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.database.layout import Layout
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.vectors.shards import id_from_key, vector_keys
from search.language.tree import And, MatchAll, Node, Not, Or, Range, Value
from search.request import GROUPS, Group, ImageId, SearchRequest
from search.results import Results
from search.service import SearchService
from search.stores.matches import Matches
from search.stores.vectors import Bounds, Choice
from tests.contract.places import COUNT, Place, make_vector
from tests.database.making import DIMENSIONS, image_id

#: By how much scores may differ from those of plain float32 arithmetic.
TOLERANCE = 1e-5
IDS = [image_id(number) for number in range(COUNT)]
ROWS = np.stack([make_vector(number) for number in range(COUNT)])
CONDITIONS: tuple[Node, ...] = (
    MatchAll(),
    Value("sex", "f"),
    Value("disease", "nodule"),
    And((Value("disease", "opacity"), Range("age", 40, 60), Value("view", "lateral"))),
    Not(Or((Value("sex", "f"), Value("view", "frontal")))),
    Range("age", 200, None),
)
FILTERS: tuple[tuple[str, ...], ...] = (
    (),
    ("sex:F",),
    ("disease:nodule", "view:frontal"),
    ("age:[30 TO 45]", "-disease:opacity"),
    ("unusual:yes",),
    ("id:" + IDS[5],),
)


@pytest.fixture(scope="module")
def service(held: Path) -> Iterator[SearchService]:
    with SearchService(held) as opened:
        yield opened


@pytest.fixture(scope="module")
def expected(reference: Path) -> Iterator[SearchService]:
    with SearchService(reference) as opened:
        yield opened


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@pytest.mark.parametrize("k", [1, 10, 150])
def test_the_nearest_within_bounds(service: SearchService, condition: Node, k: int) -> None:
    rng = np.random.default_rng(k)
    with service.snapshot(text=True) as snapshot:
        store = snapshot.vectors()
        choice = None if isinstance(condition, MatchAll) else Choice(condition, snapshot.text)
        allowed = {*IDS} if choice is None else {*map(id_from_key, choice.keys.tolist())}
        unusual = snapshot.database.ledger.images.unusual()
        assert len(store) == COUNT
        assert unusual
        for _ in range(5):
            query = rng.normal(size=DIMENSIONS).astype(np.float32)
            excluded = sorted(str(image) for image in rng.choice(IDS, 9, replace=False))
            barred = unusual if rng.random() < 0.5 else []
            bounds = Bounds(choice, vector_keys(excluded), vector_keys(barred))
            may = [n for n, i in enumerate(IDS) if i in allowed - {*excluded} - {*barred}]
            scores, keys = store.search(query, k, bounds)
            own = ROWS @ (query / np.linalg.norm(query))
            found = [IDS.index(id_from_key(key)) for key in keys.tolist()]
            assert found == sorted(may, key=lambda n: -own[n])[:k]
            np.testing.assert_allclose(scores, own[found], atol=TOLERANCE)
            assert store.count(bounds) == len(may)
            if choice is not None:
                some = vector_keys(sorted(IDS[:50]))
                named = [id_from_key(key) for key in some[store.allowed(some, bounds)].tolist()]
                assert {*named} == allowed & {*IDS[:50]}


def test_all_images_and_more(service: SearchService) -> None:
    with service.snapshot() as snapshot:
        store = snapshot.vectors()
        _, keys = store.search(ROWS[3], COUNT + 7)
        assert sorted(map(id_from_key, keys.tolist())) == sorted(IDS)
        _, keys = store.search(ROWS[3], 10_000)
        assert len(keys) == COUNT
        some = vector_keys(IDS[10:40])
        _, keys = store.rank(ROWS[3], 5, some)
        assert {*keys.tolist()} <= {*some.tolist()}
        np.testing.assert_array_equal(store.stored_vectors(some), ROWS[10:40])


def _same(found: Results, other: Results) -> None:
    assert [hit.id for hit in found.hits] == [hit.id for hit in other.hits]
    assert [hit.images for hit in found.hits] == [hit.images for hit in other.hits]
    scores = [hit.score for hit in other.hits]
    assert [hit.score for hit in found.hits] == pytest.approx(scores, abs=TOLERANCE)
    assert found.total == other.total
    assert found.facets == other.facets


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("exclude", [None, *GROUPS])
def test_similar(
    service: SearchService,
    expected: SearchService,
    filters: tuple[str, ...],
    exclude: Group | None,
) -> None:
    groups: tuple[Group | None, ...] = (None, *GROUPS)
    for number, group in zip((4, 9, 58), groups, strict=True):
        request = SearchRequest(
            picture=ImageId(IDS[number]), filters=filters, exclude=exclude, group=group, limit=12
        )
        found = service.search(request)
        _same(found, expected.search(request))
        same_study = range(number // 2 * 2, number // 2 * 2 + 2)
        if exclude == "patient":
            same_study = range(number // 4 * 4, number // 4 * 4 + 4)
        if exclude is not None:
            assert not {hit.id for hit in found.hits} & {IDS[n] for n in same_study}


def test_similar_pages(service: SearchService) -> None:
    request = SearchRequest(
        picture=ImageId(IDS[20]), filters=("view:lateral",), exclude="study", limit=60
    )
    whole = service.search(request)
    pages = [service.search(replace(request, limit=20, page=page)) for page in (1, 2, 3)]
    assert [hit.id for page in pages for hit in page.hits] == [hit.id for hit in whole.hits]
    assert {page.total for page in pages} == {whole.total}
    beyond = service.search(replace(request, limit=500, page=2))
    assert (beyond.hits, beyond.total) == ([], whole.total)


def test_words_and_picture_together(service: SearchService, expected: SearchService) -> None:
    request = SearchRequest(
        words="opacity", picture=ImageId(IDS[3]), filters=("age:>30",), exclude="patient",
        facets=("disease", "sex"),
    )  # fmt: skip
    found, other = service.search(request), expected.search(request)
    assert found.total == other.total
    assert found.facets == other.facets
    both = zip(found.hits, other.hits, strict=True)
    assert all({r.kind for r in one.reasons} == {r.kind for r in two.reasons} for one, two in both)


TOGETHER: tuple[SearchRequest, ...] = tuple(
    SearchRequest(words=words, filters=filters, facets=("disease", "sex"), **more)
    for words, filters, more in (
        ("opacity", (), {}),
        ("opacity OR left^100", ("age:>30",), {"exclude": "patient"}),
        ("nodule sex:F", (), {"group": "study", "pool_studies": False}),
        ("opacity NOT view:lateral", ("sex:M",), {"include_unusual": True, "exclude": "study"}),
        ("*", ("disease:nodule",), {"pool_studies": False, "exclude": "patient"}),
    )
)


@pytest.mark.parametrize("window", [15, 1000])
@pytest.mark.parametrize("request_", TOGETHER, ids=lambda one: one.words)
def test_one_request_finds_what_several_find(
    service: SearchService,
    place: Place,
    request_: SearchRequest,
    window: int,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where words and picture find more than the window holds."""
    monkeypatch.setattr("search.hybrid.combined.WINDOW", window)
    whole = replace(request_, picture=ImageId(IDS[12]), limit=window)
    service.search(whole)
    sent.clear()
    found = service.search(whole)
    asked = len(sent)
    monkeypatch.setattr(Matches, "is_asked", True)
    apart = service.search(whole)
    assert found == apart
    assert {reason.kind for hit in found.hits for reason in hit.reasons} == {"words", "image"}
    if place.kind == "faiss":
        assert not sent
        return
    # Where studies are compared as a whole, mates of the images found are asked for besides.
    assert asked <= 1 + whole.pool_studies
    assert len(sent) - asked > asked
    assert sent[0].startswith("/_msearch")


def test_vectors_of_a_length_whose_graph_has_single_bits(place: Place, tmp_path: Path) -> None:
    """As bundles have them; shorter ones, as elsewhere here, are in a graph of eight bits."""
    if place.url is None:
        pytest.skip("FAISS has no such graph")
    count, length = 300, 64
    path = place.fill(tmp_path / "served", range(count), dimensions=length)
    other = Place("faiss", None).fill(tmp_path / "plain", range(count), dimensions=length)
    index = Layout(path).read_manifest().text_index
    with ElasticsearchSettings.load(place.url).client() as client:
        (made,) = client.indices.get_mapping(index=str(index)).body.values()
    assert made["mappings"]["properties"]["vector"]["index_options"]["type"] == "bbq_hnsw"
    with SearchService(path) as service, SearchService(other) as expected:
        for number in (4, 9, 58):
            for filters in FILTERS[:4]:
                request = SearchRequest(
                    picture=ImageId(IDS[number]), filters=filters, exclude="study",
                    include_unusual=True, limit=12,
                )  # fmt: skip
                found = service.search(request)
                _same(found, expected.search(request))
                assert found.hits
