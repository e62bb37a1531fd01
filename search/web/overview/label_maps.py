"""The map of a bundle's composite labels, made once for each state of a database."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.errors import CxrdexError
from search.models import Once
from search.request import SearchRequest
from search.service import SearchService
from search.web.overview.composite_map import (
    CompositeLayout,
    composite_map,
    composite_places,
    label_query,
)

__all__ = ["LabelMaps"]


class LabelMaps:
    """The newest map; threads may share it."""

    def __init__(self) -> None:
        self._places: Once[Mapping[str, tuple[float, float]]] = Once()
        self._map: Once[CompositeLayout] = Once()

    def of(self, service: SearchService) -> CompositeLayout:
        """The map of a database; without points where its bundle is not here."""
        try:
            bundle = service.bundle()
        except CxrdexError:
            # The page reports this under the health of its parts.
            return CompositeLayout(())
        places = self._places.get(bundle.hash, lambda: composite_places(bundle))

        def make() -> CompositeLayout:
            queries = {label: label_query(label, bundle.findings) for label in places}
            counts = {
                label: service.search(SearchRequest(words=query, facets=(), limit=0)).total
                for label, query in queries.items()
            }
            return composite_map(places, queries, counts)

        with service.snapshot(text=True) as snapshot:
            version = snapshot.text.version
        return self._map.get((bundle.hash, version), make)
