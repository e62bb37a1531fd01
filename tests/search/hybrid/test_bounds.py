"""What bounds an answer in every mode: words, some images, choices; and pages by token."""

from __future__ import annotations

from functools import partial

import pytest

from indexer.errors import QueryError
from search.service import SearchService
from tests.search.asking import similar, together, words
from tests.search.hybrid.conftest import IDS, IMAGES, names


def test_among_holds_whatever_finds(engine: SearchService) -> None:
    few = ("effusion left", "pacemaker")
    among = tuple(IDS[name] for name in few)
    assert set(names(words(engine, "*", among=among))) == set(few)
    for mode in ("semantic", "hybrid"):
        assert set(names(together(engine, "fluid", mode, among=among))) == set(few)
    assert set(names(similar(engine, IDS["fluid seen"], among=among))) == set(few)
    for nothing in (words(engine, "*", among=()), together(engine, "fluid", "semantic", among=())):
        assert (nothing.total, list(nothing.hits)) == (0, [])


def test_within_filters_and_does_not_rank(engine: SearchService) -> None:
    wanted = set(names(words(engine, "effusion")))
    assert 0 < len(wanted) < len(IMAGES)
    all_alike = names(similar(engine, IDS["fluid seen"]))
    found = similar(engine, IDS["fluid seen"], within="effusion")
    assert names(found) == [name for name in all_alike if name in wanted]
    assert all(hit.highlights and hit.highlights.annotations for hit in found.hits)
    with pytest.raises(QueryError):
        similar(engine, IDS["fluid seen"], within="disease:(")


def test_choices_hold_and_do_not_shrink_their_own_facet(engine: SearchService) -> None:
    for ask in (
        partial(together, engine, "fluid around the lung", "semantic"),
        partial(together, engine, "fluid", "hybrid"),
        partial(similar, engine, IDS["fluid seen"]),
    ):
        free = ask(facets=["sex"])
        chosen = ask(facets=["sex"], choices=["sex=f"])
        both = ask(facets=["sex"], choices=["sex=f", "sex=m"])
        women = {name for name, (_, _, sex, _) in IMAGES.items() if sex == "F"}
        assert set(names(chosen)) == women & set(names(free))
        assert chosen.facets["sex"] == free.facets["sex"] == both.facets["sex"]
        assert names(both) == names(free)


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
@pytest.mark.parametrize("group", [None, "study"])
def test_pages_by_token_are_those_by_number(
    engine: SearchService, mode: str, group: str | None
) -> None:
    whole = names(together(engine, "fluid around the lung", mode, group=group, limit=200))
    found, after = [], None
    for _ in range(len(whole) + 1):
        page = together(engine, "fluid around the lung", mode, group=group, limit=2, after=after)
        found += names(page)
        after = page.after
        if after is None:
            break
    assert found == whole


def test_a_token_is_of_one_search(engine: SearchService) -> None:
    after = together(engine, "fluid", "semantic", limit=1).after
    with pytest.raises(QueryError, match="not of this search"):
        together(engine, "heart", "semantic", limit=1, after=after)
    with pytest.raises(QueryError, match="not of this search"):
        similar(engine, IDS["fluid seen"], after=after)
