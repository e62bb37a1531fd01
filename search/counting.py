"""Values of facets counted over documents at hand; a text store counts its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from indexer.database.text.documents import Document
from indexer.database.text.schema import FACET_VALUES
from search.results import FacetCount

__all__ = ["facet_counts"]


def facet_counts(
    documents: Iterable[Document], names: Sequence[str], size: int
) -> dict[str, list[FacetCount]]:
    """The `size` commonest values of each facet, counted once per document."""
    counters: dict[str, Counter[str | int]] = {name: Counter() for name in names}
    for document in documents:
        for name, counter in counters.items():
            if name in FACET_VALUES:
                counter.update({*FACET_VALUES[name](document)})
            elif (number := document[name]) is not None:  # type: ignore[literal-required]
                counter[number] += 1
    return {
        name: [
            FacetCount(value, count)
            for value, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
        ][:size]
        for name, counter in counters.items()
    }
