"""A server over a copy of the simulated database, which its tests may judge."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from search.service import SearchService
from search.web.app import create_app
from search.web.people import door
from search.web.people.person import Person, Role
from search.web.settings import WebSettings

# Within this time a correction is searched, where nobody else writes.
SOON = 5.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A server and its database."""

    client: TestClient
    service: SearchService
    path: Path

    def labels(self, image: str) -> tuple[dict[str, Any], str]:
        """The labels of an image, and their ETag."""
        answer = self.client.get(f"/v1/images/{image}/labels")
        assert answer.status_code == 200, answer.text
        return answer.json(), answer.headers["etag"]

    def put(self, image: str, *labels: dict[str, Any], tag: str | None = None) -> Any:
        """The answer to labels that are put, with the present ETag unless another is given."""
        tag = self.labels(image)[1] if tag is None else tag
        return self.client.put(
            f"/v1/images/{image}/labels",
            json={"labels": [*labels]},
            headers={"if-match": tag} if tag else {},
        )

    def found(self, query: str) -> set[str]:
        """Ids of the images that match."""
        answer = self.client.get("/v1/search", params={"q": query, "limit": 200, "literal": True})
        assert answer.status_code == 200, answer.text
        return {hit["id"] for hit in answer.json()["hits"]}

    def until(self, holds: Callable[[], bool], seconds: float = SOON) -> None:
        """Wait for what must hold soon."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it did not hold in time"
            time.sleep(0.1)

    def predicted(self, finding: str = "") -> tuple[str, str]:
        """An image and a finding that only the cascade sees in it."""
        with self.service.snapshot() as snapshot:
            for document in snapshot.database.documents():
                said = {a["disease"]: a["origin"] for a in document["annotations"]}
                same_study = snapshot.database.same_study([document["id"]])[document["id"]]
                for name, origin in said.items():
                    if origin == "predicted" and name != "normal" and len(same_study) == 1:
                        return document["id"], name
        raise AssertionError("nothing is predicted")


@pytest.fixture(scope="module")
def judged(web_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    """The server of one module."""
    path = tmp_path_factory.mktemp("judged") / "database"
    shutil.copytree(web_database, path)
    with (
        SearchService(path) as service,
        TestClient(create_app(service, WebSettings()), base_url="http://127.0.0.1:8000") as client,
    ):
        yield Judged(client, service, path)


@pytest.fixture
def as_role(monkeypatch: pytest.MonkeyPatch) -> Callable[[Role], None]:
    """Whoever asks from now on has this role."""

    def change(role: Role) -> None:
        monkeypatch.setattr(door, "LOCAL", Person("ann", role))

    return change
