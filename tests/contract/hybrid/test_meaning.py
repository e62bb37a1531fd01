"""Searches by meaning, words and picture together: one request finds what several would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from search.request import ImageId, SearchRequest
from search.results import Results
from search.service import SearchService
from search.stores.matches import Matches
from tests.contract.places import Place
from tests.database.making import image_id
from tests.search.hybrid.conftest import place_axes

COUNT = 240
SENTENCE = "fluid around the lung"
FACETS = ("disease", "sex", "view")
REQUESTS: dict[str, SearchRequest] = {
    "meaning": SearchRequest(meaning=SENTENCE, facets=FACETS),
    "meaning, filtered": SearchRequest(meaning=SENTENCE, filters=("sex:F", "age:>30")),
    "meaning of predictions": SearchRequest(meaning="lump", filters=("origin:predicted",)),
    "words and meaning": SearchRequest(words="opacity", meaning="opacity", facets=FACETS),
    "demands": SearchRequest(words="nodule -view:lateral", meaning="nodule", filters=("sex:M",)),
    "studies": SearchRequest(words="effusion", meaning="effusion", group="study", facets=FACETS),
}
PICTURE: dict[str, SearchRequest] = {
    "picture and meaning": SearchRequest(meaning=SENTENCE, pool_studies=False),
    "all three": SearchRequest(
        words="opacity", meaning="opacity", facets=FACETS, pool_studies=False, exclude="study"
    ),
    "all three, filtered": SearchRequest(
        words="left", meaning="heart", filters=("sex:F",), pool_studies=False
    ),
    "all three, whole studies": SearchRequest(words="opacity", meaning="opacity", facets=FACETS),
}


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return place_axes(tmp_path_factory.mktemp("placed"))


@pytest.fixture(scope="module")
def service(
    place: Place, placed: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SearchService]:
    yield from _opened(place, placed, tmp_path_factory.mktemp("meaning") / "database")


@pytest.fixture(scope="module")
def expected(placed: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchService]:
    """The same images in the embedded stores."""
    yield from _opened(
        Place("faiss", None), placed, tmp_path_factory.mktemp("meaning") / "reference"
    )


def _opened(place: Place, bundle: Bundle, path: Path) -> Iterator[SearchService]:
    place.fill(path, range(COUNT), dimensions=bundle.dimensions, bundle=bundle)
    with SearchService(path, Compute(bundle.path, "cpu")) as service:
        yield service


def _reasons(results: Results) -> list[tuple[str, set[str]]]:
    return [(hit.id, {reason.kind for reason in hit.reasons}) for hit in results.hits]


@pytest.mark.parametrize("window", [15, 1000])
@pytest.mark.parametrize("name", [*REQUESTS, *PICTURE])
def test_one_request_finds_what_several_find(
    service: SearchService,
    place: Place,
    name: str,
    window: int,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where each way of asking finds more than the window holds."""
    monkeypatch.setattr("search.hybrid.combined.WINDOW", window)
    request = REQUESTS.get(name) or replace(PICTURE[name], picture=ImageId(image_id(12)))
    request = replace(request, limit=window)
    service.search(request)
    sent.clear()
    found = service.search(request)
    asked = len(sent)
    monkeypatch.setattr(Matches, "is_asked", True)
    apart = service.search(request)
    assert found == apart
    assert len(found.hits) > 10
    kinds = {reason.kind for hit in found.hits for reason in hit.reasons}
    assert "picture" in kinds
    assert ("words" in kinds) == (request.words is not None)
    assert ("image" in kinds) == (request.picture is not None)
    if place.kind == "faiss":
        assert not sent
        return
    # Where studies are compared as a whole, mates of the images found are asked for besides.
    assert asked <= 1 + (request.picture is not None and request.pool_studies)
    assert len(sent) - asked > asked
    assert sent[0].startswith("/_msearch")


@pytest.mark.parametrize("name", [name for name in REQUESTS if name.startswith("meaning")])
def test_meaning_finds_the_same_in_every_store(
    service: SearchService, expected: SearchService, name: str
) -> None:
    request = replace(REQUESTS[name], limit=COUNT)
    found, other = service.search(request), expected.search(request)
    assert _reasons(found) == _reasons(other)
    assert found.facets == other.facets
    assert found.total == other.total


def test_more_annotations_than_one_request_tells_apart(
    service: SearchService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beyond are asked for besides."""
    request = replace(REQUESTS["words and meaning"], limit=COUNT)
    found = service.search(request)
    for module in ("search.hybrid.semantic", "search.stores.elasticsearch.together"):
        monkeypatch.setattr(f"{module}.MAX_ANNOTATIONS", 1)
    assert service.search(request) == found


def test_a_part_that_is_refused_is_named(
    elasticsearch_url: str, placed: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the error that it has when it is asked alone."""
    from indexer.errors import QueryError
    from search.stores.elasticsearch import together

    place = Place("elasticsearch", elasticsearch_url)
    monkeypatch.setattr(together, "_INNER_PRODUCT", "no language at all")
    path = tmp_path / "database"
    place.fill(path, range(8), dimensions=placed.dimensions, bundle=placed)
    with (
        SearchService(path, Compute(placed.path, "cpu")) as service,
        pytest.raises(QueryError, match="Elasticsearch refuses the query: script_exception"),
    ):
        service.search(SearchRequest(meaning=SENTENCE))
