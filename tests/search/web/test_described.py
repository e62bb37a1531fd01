"""What the API is described to answer, asked of a running server; hostile files on page and API."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.pipeline.hostile_files import write_hostile_files
from tests.search.web.site import Site

# For each route; more find nothing else and take minutes.
# So many files of each hostile kind are uploaded; all of them by CXRDEX_TEST_HOSTILE=1000.
HOSTILE = int(os.environ.get("CXRDEX_TEST_HOSTILE", "2"))
EXAMPLES = 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def asking(site: Site) -> Iterator[httpx2.Client]:
    with site.person("administrator") as client:
        yield client


def test_every_route_answers_as_it_is_described(site: Site, asking: httpx2.Client) -> None:
    headers = {"authorization": f"Bearer {site.tokens['administrator']}"}
    described = schemathesis.openapi.from_url(f"{site.address}/v1/openapi.json", headers=headers)
    hits = asking.get("/v1/search", params={"limit": 50}).json()["hits"]
    cohort = asking.post("/v1/cohorts", json={"name": "Described"}).json()["id"]

    @described.hook
    def map_path_parameters(_: Any, values: dict[str, Any] | None) -> dict[str, Any] | None:
        """Three of four ids are of something that is there."""
        for name, value in (values or {}).items():
            number = sum(str(value).encode())
            known = {"image_id": "id", "study": "study"}.get(name)
            if values is not None and number % 4:
                values[name] = hits[number % len(hits)][known] if known else cohort
        return values

    wrong: dict[str, str] = {}
    asked = 0
    for found in described.get_all_operations():
        assert isinstance(found, Ok), found
        asked += _ask(found.ok(), headers, wrong)
    assert not wrong, "\n".join(f"{where}: {what}" for where, what in wrong.items())
    assert asked > 20 * EXAMPLES


def _ask(operation: Any, headers: dict[str, str], wrong: dict[str, str]) -> int:
    """Ask a route for many things; of each status what was wrong with an answer goes to `wrong`."""
    asked = 0

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(case=operation.as_strategy())
    def ask(case: Case[Any]) -> None:
        nonlocal asked
        asked += 1
        answer = case.call(headers=headers)
        try:
            case.validate_response(answer, checks=CHECKS)
        except BaseExceptionGroup as error:
            what = "; ".join(f"{type(e).__name__}: {e}" for e in error.exceptions)
            wrong.setdefault(f"{operation.label} {answer.status_code}", what)

    ask()
    return asked


def test_every_hostile_file_gets_an_answer_on_page_and_api(
    asking: httpx2.Client, tmp_path: Path
) -> None:
    write_hostile_files(tmp_path, seed=3)
    files = sorted(path for path in tmp_path.iterdir() if path.is_file())
    assert len(files) > 30
    for path in files:
        number = int(re.sub(r".*\D", "", path.stem))
        if number >= HOSTILE:
            continue
        content = path.read_bytes()
        answer = asking.post("/v1/similar", content=content)
        assert answer.status_code in (200, 422), (path.name, answer.text)
        if answer.status_code == 422:
            problem = answer.json()
            assert problem["detail"], path.name
            assert str(tmp_path) not in problem["detail"]
        # A page asks the same of the same code; one file of each kind shows that it says so.
        if number:
            continue
        page = asking.post("/queries", files={"film": (path.name, content)}, follow_redirects=True)
        assert page.status_code == answer.status_code, path.name
        assert "<h1" in page.text
    assert asking.get("/v1/healthz").json() == {"status": "ok"}
