"""What is kept of answers: right while nothing changes, and gone when the index does."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from indexer.database.text.documents import Document
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.errors import QueryError
from search import highlights, understanding
from search.counting import facet_counts
from search.language.lexicon import Lexicon
from search.language.query import parse
from search.language.tree import MatchAll, Node, Or, Phrase, Value, conjunction, disjunction
from search.models import Recent
from search.request import SearchRequest
from search.stores.backend import Page, TextQuery
from search.stores.tantivy.backend import EmbeddedBackend
from search.words import search_words

_FACETS = ("disease", "view", "sex", "origin", "certainty", "year")
_QUERIES = ("effusion", "opacity left", "heart", "NOT side:left", "finding:(opacity AND left)", "*")


def _tree(query: str) -> Node:
    return MatchAll() if query == "*" else Lexicon.load().expand(parse(query))


def _page(backend: EmbeddedBackend, tree: Node, limit: int = 20, offset: int = 0) -> Page:
    return backend.search(TextQuery(tree, facets=_FACETS, limit=limit, offset=offset))


def _shown(page: Page) -> object:
    return page.total, page.hits, page.facets, page.after


def test_the_last_used_are_kept() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key

    recent = Recent(2)
    for key in "abacab":
        recent.get(key, partial(make, key))
    assert made == ["a", "b", "c", "b"]
    assert "a" in recent
    assert "b" in recent
    assert "c" not in recent


def test_what_is_kept_is_bounded_by_its_size() -> None:
    made: list[str] = []

    def make(text: str) -> str:
        made.append(text)
        return text

    recent = Recent(5, len)
    for text in ("aaa", "bb", "aaa", "bb", "cccccc", "cccccc", "bb", "dd", "aaa"):
        recent.get(text, partial(make, text))
    assert made == ["aaa", "bb", "cccccc", "cccccc", "dd", "aaa"]
    assert "dd" in recent
    assert "bb" not in recent


def test_ids_of_many_images_are_not_kept(
    backend: EmbeddedBackend, documents: list[Document]
) -> None:
    ids = tuple(document["id"] for document in documents)
    terms = understanding.DatabaseTerms(backend, {})
    for words in ("effusion", "effusion zebra unicorn"):
        asked = SearchRequest(words=words, among=ids, facets=_FACETS)
        first = search_words(asked, backend, terms)
        assert first.total
        assert search_words(asked, backend, terms) == first
    for kept in (backend._state().kept, terms._read):
        assert kept._kept
        assert ids[0] not in repr([*kept._kept])


def test_filters_and_what_marks_annotations_are_made_once(
    backend: EmbeddedBackend, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    def counted(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: object) -> object:
            made.append(name)
            return real(*args)

        monkeypatch.setattr(owner, name, call)

    counted(understanding, "parse_filters")
    counted(highlights, "_Wanted")
    request = SearchRequest(
        words="opacity left", filters=("age:[20 TO 60]", "disease:opacity"), limit=100
    )
    found = search_words(request, backend, understanding.DatabaseTerms(backend, {}))
    assert made.count("parse_filters") == 1
    texts = {a["text"] for hit in found.hits for a in hit.document["annotations"]}
    sections = {name for hit in found.hits for name in hit.document["report"] or ()}
    marked = [hit for hit in found.hits if hit.highlights and hit.highlights.annotations]
    assert len(marked) > 20
    # For each origin of annotations, whether the finding means them or not, for each section, and
    # for words outside of findings.
    assert made.count("_Wanted") <= 3 * 2 + len(sections) + 1 < len(texts)
    with pytest.raises(QueryError, match="unknown field"):
        search_words(
            SearchRequest(words="left", filters=("colour:red",)),
            backend,
            understanding.DatabaseTerms(backend, {}),
        )


@pytest.mark.parametrize("query", _QUERIES)
def test_what_was_asked_before_is_answered_in_the_same_way(
    backend: EmbeddedBackend, documents: list[Document], tmp_path: Path, query: str
) -> None:
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    tree = _tree(query)
    for limit, offset in ((20, 0), (3, 0), (3, 2), (0, 0), (41, 0), (10, 30), (200, 0), (20, 0)):
        fresh = EmbeddedBackend(EmbeddedTextStore(tmp_path / "text"))
        kept = EmbeddedBackend(store)
        first = _page(kept, tree, limit, offset)
        for _ in range(2):
            _page(kept, tree, 60, 0)
            assert _shown(_page(kept, tree, limit, offset)) == _shown(first)
        assert _shown(first) == _shown(_page(fresh, tree, limit, offset))
    store.close()


def test_nothing_is_kept_beyond_a_commit(documents: list[Document], tmp_path: Path) -> None:
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents[:300], [])
    backend = EmbeddedBackend(store)
    before = {query: _page(backend, _tree(query)) for query in _QUERIES}
    moment = backend.present()
    store.apply(documents[300:], [document["id"] for document in documents[:50]])
    for query in _QUERIES:
        now = _shown(_page(backend, _tree(query)))
        assert now == _shown(
            _page(EmbeddedBackend(EmbeddedTextStore(tmp_path / "text")), _tree(query))
        )
        assert now != _shown(before[query])
        # A moment that is still in use stays as it was.
        assert _shown(_page(moment, _tree(query))) == _shown(before[query])
    store.close()


def test_what_only_adds_to_scores_changes_no_count(backend: EmbeddedBackend) -> None:
    tree = conjunction(parse("finding:opacity"), Value("origin", "predicted"))
    ranked = Or((tree, conjunction(tree, disjunction(Phrase("opacity"), Phrase("lung")))))
    for conditions in (MatchAll(), parse("sex:f"), parse("disease:opacity")):
        page = backend.search(
            TextQuery(ranked, conditions, facets=_FACETS, facet_size=100, limit=1000)
        )
        assert page.total == len(page.found) > 0
        counted = facet_counts((document for _, document in page.hits), _FACETS, 100)
        assert page.facets == counted


def test_a_hit_names_its_owners_without_its_document(backend: EmbeddedBackend) -> None:
    for one in _page(backend, MatchAll(), limit=200).found:
        document = one.document
        assert (one.id, one.study, one.patient) == (
            document["id"],
            document["study"],
            document["patient"],
        )


def test_an_answer_is_json_whatever_a_report_holds() -> None:
    from search.web.rendering.responses import json_bytes

    data = {"report": 'half a pair \ud83d, "quoted"', "score": 0.5, "none": None}
    assert json.loads(json_bytes(data)) == data
    assert json.loads(json_bytes({"ä": [1, 2.5]})) == {"ä": [1, 2.5]}
