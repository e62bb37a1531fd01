from __future__ import annotations

import json
import random
from itertools import combinations_with_replacement, starmap

import pytest

from indexer.annotation import Annotation, Origin, qualifiers
from indexer.database.text.schema import ORIGINS
from indexer.database.text.tantivy.schema import finding_term, pair_items, pair_term
from search.language.findings import Findings
from search.language.lexicon import Lexicon
from search.language.query import parse
from search.language.tree import Finding, Node
from search.stores.tantivy.pairs import ItemPairs
from tests.contract.trees import random_finding

_DISEASES = ("opacity", "pleural effusion", "tube, inserted", "lung", "cardiomegaly", "effusion")


def _annotations() -> list[dict[str, object]]:
    rng = random.Random(0)
    known = qualifiers()
    parts = [*known["organ"], *known["location"], *known["side"], "mild", "severe"]

    def one() -> Annotation:
        origin: Origin = rng.choice(ORIGINS)
        return Annotation.from_words(origin, rng.choice(_DISEASES), rng.sample(parts, 3))

    return [one().to_json() for _ in range(400)]


ANNOTATIONS = _annotations()
FINDINGS = Findings(map(finding_term, ANNOTATIONS))
JOINTS = ItemPairs(item for annotation in ANNOTATIONS for item in pair_items(annotation))


def _pairs(annotation: dict[str, object]) -> set[str]:
    return {*starmap(pair_term, combinations_with_replacement(pair_items(annotation), 2))}


def _check(finding: Finding) -> bool:
    """Whether the finding is a set of pairs, which must then be those of what it means."""
    terms = JOINTS.terms(finding)
    if terms is None:
        return False
    meant = {*FINDINGS.matching(finding)}
    for annotation in ANNOTATIONS:
        assert (finding_term(annotation) in meant) == bool(_pairs(annotation).intersection(terms))
    return True


def _finding(query: str) -> Finding:
    node: Node = Lexicon.load().expand(parse(query))
    assert isinstance(node, Finding)
    return node


@pytest.mark.parametrize(
    "query",
    [
        "finding:(opacity AND side:left)",
        "finding:(effusion AND left)",
        "finding:(disease:opacity OR (organ:lung AND severity:*))",
        "finding:(card*ly OR opacitty~)",
        'finding:"pleural effusion"',
        "finding:(opac* AND origin:human)",
        "finding:severity:*",
        "finding:(side:le* AND disease:opacity)",
        "finding:zebra",
    ],
)
def test_findings_that_are_pairs(query: str) -> None:
    assert _check(_finding(query))


@pytest.mark.parametrize(
    "query",
    [
        "finding:(opacity AND left AND mild)",
        "finding:(opacity AND NOT left)",
        'finding:"opacity lung"',
        "finding:composite:opacity*",
        "finding:*",
    ],
)
def test_findings_that_are_more_than_pairs(query: str) -> None:
    assert JOINTS.terms(_finding(query)) is None


def test_random_findings() -> None:
    rng = random.Random(1)
    findings = [Finding(random_finding(rng), rng.choice((None, "human"))) for _ in range(400)]
    assert sum(map(_check, findings)) > 100


def test_terms_hold_no_other_terms() -> None:
    assert json.loads(finding_term(ANNOTATIONS[0]))["origin"] in ORIGINS
    assert pair_term("b", "a") == pair_term("a", "b") != pair_term("a")
