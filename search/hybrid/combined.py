"""Several searches at once: words, meaning and a query image, fused to one list with reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from indexer.database.vectors.shards import vector_keys
from indexer.errors import QueryError
from search.counting import facet_counts
from search.highlights import Highlighter
from search.hybrid.fusion import Fused, fuse
from search.hybrid.semantic import Meaning, Semantic
from search.language.fields import FIELDS, check_facets
from search.language.glossary import in_full
from search.language.tree import (
    ANNOTATION_FIELDS,
    And,
    Fuzzy,
    MatchAll,
    Node,
    Not,
    Phrase,
    Prefix,
    Present,
    Range,
    Term,
    Value,
    Wildcard,
    conjunction,
    leaves,
    narrow,
    required_certainty,
    required_origin,
)
from search.paging import Cursor, signature
from search.pictures.likeness import alike
from search.pictures.query import QueryPicture
from search.pictures.search import unusual_to_leave_out
from search.request import SearchRequest
from search.results import REASONS, Hit, Reason, Results
from search.snapshot import Snapshot
from search.stores.matches import Matches
from search.stores.vectors import Bounds, Choice
from search.understanding import DatabaseTerms, Query

__all__ = [
    "WINDOW",
    "CombinedQuery",
    "answer",
    "check_page",
    "demands",
    "query_sentence",
    "search_combined",
]

#: Each ranking is read to this depth, and at most this many fused images are returned.
WINDOW = 1000


@dataclass(frozen=True, slots=True)
class CombinedQuery:
    """What is asked for together; one of words, meaning and picture at least.

    Parameters
    ----------
    conditions
        What every image must meet.
    matches
        What words and meaning find, where a store finds it in one request.
    words
        The query's tree.
    meaning
        The query as a sentence.
    picture
        The images most like the query image, best first, with their likeness; they meet the
        conditions.
    left_out
        Ids that are not to be found: the query image's own, and those of unusual images.
    sign
        Checksum of what is asked for, to which the tokens of pages are bound.
    """

    conditions: Node
    matches: Matches
    words: Node | None = None
    meaning: Meaning | None = None
    picture: Sequence[tuple[str, float]] = ()
    left_out: frozenset[str] = field(default_factory=frozenset)
    sign: str = ""


def check_page(request: SearchRequest) -> None:
    """Refuse a page that lies outside the window.

    Raises
    ------
    QueryError
        Its text says how far pages go.
    """
    if (request.page - 1) * request.limit >= WINDOW:
        raise QueryError(
            f"page {request.page} of {request.limit} hits begins after the first {WINDOW:,} "
            "images, and no more are ranked by meaning or by several things at once: narrow the "
            "search by a filter, or search by words alone"
        )


def search_combined(
    request: SearchRequest,
    snapshot: Snapshot,
    terms: DatabaseTerms,
    semantic: Callable[[], tuple[Semantic, str]],
    picture: QueryPicture | None,
) -> Results:
    """Images found by words, by meaning, by picture or by all of them, with the reasons.

    Parameters
    ----------
    semantic
        Gives what answers sentences, and why it cannot compare them with pictures, if so.
    picture
        That of the request.

    Raises
    ------
    QueryError
        Query, filter, facet or page is wrong.
    MissingExtraError
        The sentence model is not installed.
    """
    check_page(request)
    check_facets(request.facets)
    conditions = conjunction(terms.bounds(request), *terms.chosen(request.choices).values())
    tree = meaning = None
    sentence = request.meaning
    understood: Mapping[str, Any] | None = None
    notes: list[str] = []
    if request.words is not None:
        query = terms.read(request.words, literal=request.literal)
        tree, understood = query.scored, query.understood
        conditions = conjunction(conditions, demands(query.tree))
        notes += query.notes
        if request.meaning == request.words:
            sentence = _as_sentence(query)
    elif sentence is not None:
        # A sentence is read for what it demands of every image, such as sex and denials.
        demanding = terms.read_sentence(sentence, literal=request.literal)
        if demanding is not None and not isinstance(demands(demanding.tree), MatchAll):
            conditions = conjunction(conditions, demands(demanding.tree))
            notes += demanding.notes
            sentence, understood = _as_sentence(demanding) or sentence, demanding.understood
    if sentence is not None and (sentence or tree is None):
        asked, why_not = semantic()
        meaning = asked.ask(sentence if request.literal else in_full(sentence))
        if why_not:
            notes.append(f"pictures were not compared with the words: {why_not}")
    elif sentence is not None:
        notes.append("the query has no words that could mean something; it is answered as is")
    matches = Matches(
        MatchAll() if tree is None else tree,
        conditions,
        0 if tree is None else WINDOW,
        snapshot.text,
        None if meaning is None else meaning.meant(WINDOW, required_origin(conditions)),
    )
    near: list[tuple[str, float]] = []
    unusual = unusual_to_leave_out(
        request, snapshot, conditions if tree is None else conjunction(conditions, tree)
    )
    left_out = frozenset((*unusual, picture.id) if picture and picture.id else unusual)
    if picture is not None:
        restricted = not isinstance(conditions, MatchAll)
        within = Bounds(
            Choice(conditions, snapshot.text) if restricted else None,
            unusual=vector_keys(sorted(unusual)),
            matches=matches,
        )
        found = alike(
            snapshot,
            picture,
            WINDOW,
            within=within,
            exclude=request.exclude,
            pool_studies=request.pool_studies,
        )
        near = [(n.id, n.likeness) for n in found if n.likeness >= request.least_likeness]
    vector_bytes = None if picture is None else picture.vector.tobytes()
    parts = (request.group, request.least_likeness, request.include_unusual)
    sign = signature(conditions, tree, sentence, vector_bytes, *parts)
    asked_for = CombinedQuery(conditions, matches, tree, meaning, near, left_out, sign)
    return answer(asked_for, request, snapshot, notes, understood)


def _as_sentence(query: Query) -> str:
    """The words a query asks for, without the hyphens that plain English gets when it is read."""
    words = query_sentence(query.asked)
    return words if query.understood is None else words.replace("-", " ")


def demands(tree: Node) -> Node:
    """What a query asks of every image outright: its NOTs, and values and ranges of the header.

    They hold for images found by meaning or by picture too: ``effusion sex:F NOT left`` finds no
    man in any mode.
    """
    parts = tree.nodes if isinstance(tree, And) else (tree,)
    return conjunction(*filter(_is_demand, parts))


def _is_demand(node: Node) -> bool:
    if isinstance(node, Prefix | Wildcard):
        return node.field not in ANNOTATION_FIELDS and FIELDS[str(node.field)] != "text"
    if isinstance(node, Value | Present):
        return node.field not in ANNOTATION_FIELDS
    return isinstance(node, Not | Range)


def query_sentence(tree: Node) -> str:
    """The words a query asks for, without fields, operators and what stands under NOT."""
    words = []
    for leaf in leaves(tree, positive=True):
        if isinstance(leaf, Value):
            words += [leaf.value] if leaf.field in ANNOTATION_FIELDS else []
        elif isinstance(leaf, Term | Phrase | Fuzzy) or (
            isinstance(leaf, Prefix) and leaf.field in ANNOTATION_FIELDS
        ):
            words.append(leaf.text)
    return " ".join(words)


def answer(
    asked: CombinedQuery,
    request: SearchRequest,
    snapshot: Snapshot,
    notes: Iterable[str] = (),
    understood: Mapping[str, Any] | None = None,
) -> Results:
    """The fused ranking of the images that any of the searches finds.

    An image that one search finds is also judged by the words and by the annotations, so that it is
    not worse off for having been found another way.

    Facets are counted over all images ranked, at most `WINDOW`.
    """
    origin, certainty = required_origin(asked.conditions), required_certainty(asked.conditions)
    found = [image for image, _ in asked.picture]
    pictures: list[tuple[str, float]] = []
    if asked.meaning is not None:
        restricted = not isinstance(asked.conditions, MatchAll)
        choice = Choice(asked.conditions, snapshot.text) if restricted else None
        bounds = Bounds(choice, matches=asked.matches)
        # A store that has words and vectors is asked for all at once, so vectors come first.
        pictures = asked.meaning.pictures(WINDOW, bounds)
        found += [image for image, _ in pictures]
        found += asked.meaning.annotated(WINDOW, bounds, origin)
    best = asked.matches.best if asked.words is not None else ()
    documents = {document["id"]: document for _, document in best}
    scores = {document["id"]: score for score, document in best}
    missing = [image for image in dict.fromkeys(found) if image not in documents]
    looked = asked.matches.look(missing)
    documents |= {image: one.document for image, one in looked.items()}
    waiting = [image for image in missing if image not in looked]
    documents |= {document["id"]: document for document in snapshot.database.documents(waiting)}
    if asked.words is not None:
        # Beyond the depth of the word search the others' finds may match the words as well.
        scores |= {i: one.score for i, one in looked.items() if one.score is not None}
    closest: dict[str, tuple[float, str]] = {}
    if asked.meaning is not None:
        near = {image: asked.meaning.closest(d, origin) for image, d in documents.items()}
        closest = {image: match for image, match in near.items() if match is not None}
    rankings = {
        "words": _ranked(scores),
        "annotation": _ranked({image: match[0] for image, match in closest.items()}),
        "picture": pictures,
        "image": asked.picture,
    }
    kept = {
        name: [pair for pair in ranking if pair[0] in documents and pair[0] not in asked.left_out]
        for name, ranking in rankings.items()
    }
    fused = fuse(kept)[:WINDOW]
    by_name = {name: dict(ranking) for name, ranking in kept.items()}
    tree = asked.words if asked.words is not None else MatchAll()
    highlighter = Highlighter(narrow(tree, origin, certainty))
    rows: dict[str, list[Fused]] = {}
    for one in fused:
        owner = documents[one.id][request.group] if request.group else one.id
        rows.setdefault(owner, []).append(one)
    ordered = list(rows.values())
    start = (request.page - 1) * request.limit
    if request.after is not None:
        last = Cursor.read(request.after, asked.sign)
        before = (-float(last.value or 0), last.id)
        ordered = [row for row in ordered if (-row[0].score, row[0].id) > before]
    hits = []
    for one, *others in islice(ordered, start, start + request.limit):
        texts = {"annotation": closest[one.id][1]} if "annotation" in one.ranks else {}
        reasons = [
            Reason(kind, one.ranks[kind], by_name[kind][one.id], texts.get(kind))
            for kind in REASONS
            if kind in one.ranks
        ]
        document = documents[one.id]
        marks = highlighter.mark(document) if "words" in one.ranks else None
        images = (one.id, *(other.id for other in others))
        hits.append(Hit(one.id, one.score, document, marks, tuple(reasons), images))
    every = (documents[one.id] for one in fused)
    counts = facet_counts(every, check_facets(request.facets), request.facet_size)
    following = None
    if hits and len(ordered) > start + request.limit:
        following = Cursor(hits[-1].score, hits[-1].id).token(asked.sign)
    return Results(len(fused), hits, counts, following, notes=tuple(notes), understood=understood)


def _ranked(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
