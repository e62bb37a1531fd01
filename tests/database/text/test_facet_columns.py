from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from indexer.database.text.tantivy import facet_columns
from indexer.database.text.tantivy.facet_columns import BITS, COLUMNS, FacetColumns, counted
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.errors import DatabaseError
from search.counting import facet_counts
from search.language.tree import MatchAll
from search.stores.backend import TextQuery
from search.stores.tantivy.backend import EmbeddedBackend
from tests.search.corpus import random_documents

_VALUES = [f"value {number}" for number in range(4 * BITS)]


def _documents(count: int) -> list[dict[str, list[str]]]:
    rng = random.Random(0)
    return [
        {"many": rng.sample(_VALUES, rng.randint(0, 5)), "few": rng.sample(["a", "b"], 1)}
        for _ in range(count)
    ]


def _counts(columns: FacetColumns, name: str, numbers: list[dict[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for column in columns.of(name) or []:
        found |= counted(column, Counter(n[column[0]] for n in numbers).items())
    return found


def test_numbers_are_counted_back_into_values(tmp_path: Path) -> None:
    columns = FacetColumns()
    documents = _documents(300)
    numbers = []
    for done, document in enumerate(documents):
        numbers.append(columns.numbers(document))
        if done % 50 == 0:
            # What a later writer gives a place leaves earlier places alone.
            columns.save(tmp_path, always=done == 0)
            columns = FacetColumns.load(tmp_path)
    assert all(n.keys() == set(COLUMNS) for n in numbers)
    for name in ("many", "few"):
        expected = Counter(value for document in documents for value in document[name])
        assert _counts(columns, name, numbers) == expected
    assert len(columns.of("many") or []) == len(_VALUES) // BITS
    assert columns.of("none") == []


def test_a_field_that_found_no_room_is_told(tmp_path: Path) -> None:
    columns = FacetColumns()
    columns.numbers({"first": ["x"]})
    columns.numbers({"many": [str(number) for number in range(BITS * len(COLUMNS))]})
    columns.save(tmp_path)
    for known in (columns, FacetColumns.load(tmp_path)):
        assert known.of("many") is None
        assert known.of("first") == [(COLUMNS[0], ("x",))]


def test_facets_without_room_are_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("disease", "side", "view", "absent")
    documents = random_documents(60)
    monkeypatch.setattr(facet_columns, "COLUMNS", COLUMNS[:2])
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    assert [store.columns.of(name) is None for name in names] != [False] * 4
    backend = EmbeddedBackend(EmbeddedTextStore(tmp_path / "text"))
    page = backend.search(TextQuery(MatchAll(), facets=names, facet_size=10_000))
    assert page.facets == facet_counts(documents, names, 10_000)
    store.close()


@pytest.mark.parametrize("text", [None, "{}", "[", '{"columns": [["a"]], "partial": []}'])
def test_a_damaged_file_is_told(tmp_path: Path, text: str | None) -> None:
    EmbeddedTextStore(tmp_path / "text", create=True).close()
    file = tmp_path / "text" / "facets.json"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(DatabaseError, match="verify --repair"):
        EmbeddedTextStore(tmp_path / "text")
