"""Answers of the API that are kept: until the database changes, and apart for who sees reports."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra web is not installed")

from starlette.testclient import TestClient

from search.request import SearchRequest
from search.results import Results
from search.service import SearchService
from search.web.app import create_app
from search.web.films import Films
from search.web.people.settings import SignInSettings
from search.web.people.users import Users
from search.web.settings import WebSettings
from search.web.state import ServerState
from search.web.uploads import Uploads
from tests.database.making import entry, fill, opened

WORDS: dict[str, str | list[str]] = {"q": "opacity", "facet": ["disease", "view"]}


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each search that is made: whether reports were shown."""
    made: list[bool] = []
    search = SearchService.search

    def noted(self: SearchService, *asked: Any) -> Results:
        made.append(self.shows_reports)
        return search(self, *asked)

    monkeypatch.setattr(SearchService, "search", noted)
    return made


def test_words_are_searched_once_until_the_database_changes(
    tmp_path: Path, searched: list[bool]
) -> None:
    path = fill(tmp_path / "database", 4)
    with (
        SearchService(path) as service,
        TestClient(create_app(service, WebSettings()), "http://127.0.0.1:8000") as client,
    ):

        def total(limit: int = 20, **more: str) -> int:
            answer = client.get("/v1/search", params={**WORDS, "limit": limit, **more})
            assert answer.status_code == 200, answer.text
            found = answer.json()
            assert len(found["hits"]) == min(found["total"], limit)
            return int(found["total"])

        assert [total(), total(), total()] == [4, 4, 4]
        assert len(searched) == 1
        assert [total(limit=1), total(choose="view=frontal"), total(filter="side:left")] == [4] * 3
        assert len(searched) == 4
        with opened(path) as writer:
            writer.commit([entry(4)])
            assert [total(), total()] == [5, 5]
            assert len(searched) == 5
            writer.commit([entry(5)])
            writer.end_run("complete", {})
        assert total() == 6


def test_answers_with_reports_are_for_those_who_may_see_them(
    tmp_path: Path, searched: list[bool]
) -> None:
    users = Users(tmp_path / "users.json")
    tokens = {}
    for role in ("reader", "reviewer"):
        users.add(role, role, None)
        tokens[role] = {"authorization": f"Bearer {users.add_token(role)}"}
    settings = WebSettings(
        sign_in=SignInSettings(users=tmp_path / "users.json"), reports="reviewer"
    )
    with (
        SearchService(fill(tmp_path / "database", 4)) as service,
        TestClient(create_app(service, settings), "http://127.0.0.1:8000") as client,
    ):
        for role in ("reviewer", "reader", "reviewer", "reader"):
            assert client.get("/v1/search", params=WORDS, headers=tokens[role]).status_code == 200
        refused = {**WORDS, "q": "report:opacity"}
        codes = [
            client.get("/v1/search", params=refused, headers=tokens[role]).status_code
            for role in ("reviewer", "reader")
        ]
    assert searched == [True, False, True, False]
    assert codes == [200, 400]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks glibc")
def test_what_is_kept_takes_the_memory_that_is_counted(tmp_path: Path) -> None:
    size = ctypes.CDLL(None).malloc_usable_size
    size.restype = ctypes.c_size_t
    with SearchService(fill(tmp_path / "database", 60)) as service:
        state = ServerState(service, WebSettings(), Films(service), Uploads(1, 1.0, 1))
        whole = 0
        for number in range(40):
            asked = SearchRequest(words="opacity", limit=20 + number)
            whole += len(bytes(state.json_answer(asked).body))
        kept = list(state._answers._kept.values())
        # Smaller ones are not of the C library.
        assert min(map(len, kept)) > 512
        taken = sum(size(ctypes.c_void_p(id(one))) for one in kept)
        assert len(kept) == 40
        assert taken < 1.1 * state._answers._held
        assert taken < whole / 4
        # What is asked may be longer than the answer.
        assert {len(bytes(key)) for key in state._answers._kept if isinstance(key, bytes)} == {32}
        few = SearchRequest(words="opacity", among=(service_image(service),))
        assert state.json_answer(few).body == state.json_answer(few).body
        assert len(state._answers._kept) == 40


def service_image(service: SearchService) -> str:
    """The id of an image."""
    return service.search(SearchRequest(words="opacity", limit=1)).hits[0].id
