"""Searches by a picture alone."""

from __future__ import annotations

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
from search.pictures.likeness import alike, own_images
from search.pictures.query import QueryPicture
from search.request import SearchRequest
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
    end = request.page * request.limit
    unusual = unusual_to_leave_out(request, snapshot, wanted)
    within = Bounds(choice, unusual=vector_keys(sorted(unusual)))
    found = alike(
        snapshot,
        picture,
        max(end, 1),
        within=within,
        exclude=request.exclude,
        group=request.group,
        pool_studies=request.pool_studies,
    )
    near = [one for one in found if one.likeness >= request.least_likeness]
    shown = {one.id: (rank, one) for rank, one in enumerate(near, 1)}
    hits = []
    ids = [one.id for one in near[end - request.limit : end]]
    for document in snapshot.documents(ids):
        rank, one = shown[document["id"]]
        reason = Reason("image", rank, one.likeness)
        marks = None if marker is None else marker.mark(document)
        hits.append(Hit(one.id, one.likeness, document, marks, (reason,), one.images))
    own = sorted(own_images(picture, request.exclude, snapshot))
    total = snapshot.vectors().count(replace(within, excluded=vector_keys(own)))
    counts = facet_counts((hit.document for hit in hits), facets, request.facet_size)
    return Results(total, hits, counts)


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
