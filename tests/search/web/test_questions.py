"""Questions of the help page begin at films that may be shown, and read as people ask."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient

from indexer.words.headings import in_a_sentence
from search.service import SearchService
from search.web.pages.questions import question_candidates, questions_of_films
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


def test_questions_say_headings_as_people_do() -> None:
    assert in_a_sentence("pulmonary disease, chronic obstructive").startswith("chronic obstr")
    # No heading turned around but a list, and what is no heading may be one.
    assert in_a_sentence("trachea, carina") == "trachea, carina"
    assert in_a_sentence("mass, nodule") == "mass, nodule"
    asked = question_candidates(
        ["catheters, indwelling", "hernia, hiatal"], ["lateral"], ["hernia, hiatal"]
    )
    texts = {query: text for candidates in asked for text, query in candidates}
    for query, text in texts.items():
        assert ("catheters, indwelling" in query) == ("indwelling catheters" in text), text
        assert "," not in text.replace("likely, not", "likely")
    likely = "Which films show indwelling catheters as likely, not only as possible?"
    assert texts['likely:"catheters, indwelling"'] == likely
