"""What a radiologist asks, with words and films of this database for which there are answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from indexer.annotation import NORMAL
from indexer.errors import CxrdexError
from indexer.words.headings import in_a_sentence
from search.service import SearchService
from search.web.queries import FacetQuery, SearchQuery
from search.web.rendering.cards import load_thumbnails

__all__ = ["Question", "example_questions", "question_candidates", "questions_of_films"]

# At most this many findings are tried for a question, the commonest first.
_TRIED = 5
_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Parameters
    ----------
    text
        As a person would ask it.
    address
        Of the page that answers it with films.
    query
        What is searched for; empty where a film is opened.
    count
        Images that match; None where all are ranked.
    """

    text: str
    address: str
    query: str = ""
    count: int | None = None


def example_questions(service: SearchService) -> list[Question]:
    """Questions that the database answers; those without an answer are left out."""
    found = service.search(FacetQuery(facet=["disease", "view", "absent"], size=40).request())
    counts = [count for count in found.facets.get("disease", ()) if count.value != NORMAL]
    # Findings that most images have come last, as they make no useful question.
    counts.sort(key=lambda count: 2 * count.count > found.total)
    names = [str(count.value) for count in counts][:_TRIED]
    views = [str(count.value) for count in found.facets.get("view", ())]
    denied = [str(count.value) for count in found.facets.get("absent", ())]
    questions = [*questions_of_films(service, names)]
    for candidates in question_candidates(names, views, denied):
        for text, query in candidates[: 2 * _TRIED]:
            count = _count(service, query)
            if count:
                address = "/search?" + urlencode({"q": query})
                questions.append(Question(text, address, query, count))
                break
    meant = "fluid around the lung"
    questions.append(
        Question(
            f"What is like “{meant}”, in whatever words?",
            "/search?" + urlencode({"q": meant, "mode": "semantic"}),
            meant,
        )
    )
    return questions


def question_candidates(
    names: Sequence[str], views: Sequence[str], denied: Sequence[str]
) -> list[list[tuple[str, str]]]:
    """Kinds of questions; of the texts and queries of each, the first with an answer is used.

    Parameters
    ----------
    names, denied
        Findings that there are, and that reports deny.
    views
        Views that there are, the rarest last.
    """
    pairs = [(one, other) for one in names for other in names if one != other]
    tried: Sequence[tuple[str, Sequence[tuple[tuple[str, ...], str]]]] = (
        ("Which films show {}?", [((n,), f'disease:"{n}"') for n in names]),
        (
            "Which films show {} on the left?",
            [((n,), f'finding:("{n}" AND left)') for n in names],
        ),
        ("Which show {} together with {}?", [(p, f'"{p[0]}" AND "{p[1]}"') for p in pairs]),
        (
            "Which show {} without {}?",
            [(p, f'disease:"{p[0]}" NOT disease:"{p[1]}"') for p in pairs],
        ),
        ("Which reports rule out {}?", [((n,), f'absent:"{n}"') for n in denied]),
        (
            "Which women over 60 have {}?",
            [((n,), f'disease:"{n}" age:[60 TO 120] sex:F') for n in names],
        ),
        ("Which films show {} as possible?", [((n,), f'possible:"{n}"') for n in names]),
        (
            "Which films show {} as likely, not only as possible?",
            [((n,), f'likely:"{n}"') for n in names],
        ),
        ("Which are {} films?", [((v,), f"view:{v}") for v in reversed(views)]),
    )
    return [
        [(text.format(*map(in_a_sentence, words)), query) for words, query in queries]
        for text, queries in tried
    ]


def _count(service: SearchService, query: str) -> int:
    try:
        return service.search(FacetQuery(q=query, facet=[]).request()).total
    except CxrdexError:
        # A name with a sign of the query language in it; another one is tried.
        return 0


def questions_of_films(service: SearchService, names: Sequence[str]) -> list[Question]:
    """Questions that begin at a film of one of the findings, the first of them."""
    query = SearchQuery(q=f'disease:"{names[0]}"' if names else "", limit=_LOOKED_AT, facet=[])
    hits = service.search(query.request()).hits
    if not hits:
        return []
    with service.snapshot() as snapshot:
        thumbnails = load_thumbnails(snapshot, (hit.id for hit in hits))
    # Films that may be shown come first; without any, the others are taken.
    hits = [hit for hit in hits if thumbnails[hit.id].is_there] or hits
    questions = [Question("Which studies are like this one?", f"/images/{hits[0].id}#similar")]
    studies: dict[str, dict[str, str]] = {}
    for hit in hits:
        studies.setdefault(hit.document["patient"], {})[hit.document["study"]] = hit.id
    several = next((images for images in studies.values() if len(images) > 1), None)
    if several is not None:
        address = "/compare?ids=" + ",".join([*several.values()][:4])
        questions.append(Question("How did it look before, in the same patient?", address))
    return questions
