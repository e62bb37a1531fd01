"""Questions of the help page begin at films that may be shown."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient

from search.service import SearchService
from search.web.pages.questions import questions_of_films
from search.web.queries import FacetQuery, SearchQuery


def test_films_that_may_not_be_shown_are_not_asked_about(
    web_service: SearchService, client: TestClient
) -> None:
    found = web_service.search(FacetQuery(facet=["disease"], size=40).request())
    findings = [str(count.value) for count in found.facets["disease"]]
    shown = 0
    for finding in findings:
        images = web_service.search(SearchQuery(q=f'disease:"{finding}"', facet=[]).request())
        seen = [client.get(f"/v1/images/{hit.id}/thumbnail").status_code for hit in images.hits]
        for question in questions_of_films(web_service, [finding]):
            for image in re.findall("[0-9a-f]{16}", question.address)[: 1 if 200 in seen else 0]:
                assert client.get(f"/v1/images/{image}/thumbnail").status_code == 200, finding
                shown += 1
    assert shown >= len(findings) / 2
