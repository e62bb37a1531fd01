"""Searches by a picture alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from indexer.database.vectors.shards import vector_keys
from search.counting import facet_counts
from search.language.fields import check_facets
from search.language.tree import (
    MatchAll,
    Node,
    conjunction,
    leaves,
    narrow,
    required_certainty,
    required_origin,
)
from search.paging import signature
from search.pictures.likeness import Neighbour, alike, own_images
from search.pictures.pages import find_page
from search.pictures.query import QueryPicture
from search.request import ImageFile, SearchRequest, Upload
from search.results import Hit, Reason, Results
from search.snapshot import Snapshot
from search.stores.vectors import Bounds, Choice

if TYPE_CHECKING:
    from search.understanding import DatabaseTerms

__all__ = ["search_picture", "unusual_to_leave_out"]


def search_picture(
    request: SearchRequest,
    picture: QueryPicture,
    snapshot: Snapshot,
    terms: Callable[[Snapshot], DatabaseTerms],
) -> Results:
    """The images, studies or patients most like a picture, best first; facets are of these.

    Parameters
    ----------
    terms
        Gives what filters are read by, where there are any.

    Raises
    ------
    QueryError
        A filter or a facet is wrong.
    """
    facets = check_facets(request.facets)
    choice = marker = None
    wanted: Node = MatchAll()
    if request.is_bounded:
        known = terms(snapshot)
        wanted = conjunction(known.bounds(request), *known.chosen(request.choices).values())
        choice = Choice(wanted, snapshot.text)
        if request.within is not None:
            from search.highlights import Highlighter

            asked = known.read(request.within, literal=request.literal).marked
            marker = Highlighter(narrow(asked, required_origin(wanted), required_certainty(wanted)))
    unusual = unusual_to_leave_out(request, snapshot, wanted)
    within = Bounds(choice, unusual=vector_keys(sorted(unusual)))

    def look(count: int) -> list[Neighbour]:
        return alike(
            snapshot,
            picture,
            count,
            within=within,
            exclude=request.exclude,
            group=request.group,
            pool_studies=request.pool_studies,
        )

    page = find_page(look, request, _sign(request, picture, wanted))
    shown = {one.id: (rank, one) for rank, one in enumerate(page.rows, page.before + 1)}
    hits = []
    for document in snapshot.documents([*shown]):
        rank, one = shown[document["id"]]
        reason = Reason("image", rank, one.likeness)
        marks = None if marker is None else marker.mark(document)
        hits.append(Hit(one.id, one.likeness, document, marks, (reason,), one.images))
    own = sorted(own_images(picture, request.exclude, snapshot))
    total = snapshot.vectors().count(replace(within, excluded=vector_keys(own)))
    counts = facet_counts((hit.document for hit in hits), facets, request.facet_size)
    return Results(total, hits, counts, page.after)


def _sign(request: SearchRequest, picture: QueryPicture, wanted: Node) -> str:
    """To which search the tokens of pages are bound."""
    match request.picture:
        case Upload(content):
            asked = hashlib.sha256(content).hexdigest()
        case ImageFile(path):
            asked = str(path)
        case _:
            asked = picture.id or ""
    bounds = request.group, request.exclude, request.least_likeness, request.pool_studies
    return signature(asked, wanted, bounds, request.include_unusual)


def unusual_to_leave_out(request: SearchRequest, snapshot: Snapshot, asked: Node) -> list[str]:
    """The images that are hardly chest films, unless these are asked for.

    Parameters
    ----------
    asked
        What the request demands of images, in which ``unusual:`` may be asked for.
    """
    if request.include_unusual or any(
        getattr(leaf, "field", None) == "unusual" for leaf in leaves(asked)
    ):
        return []
    return snapshot.database.ledger.images.unusual()
