"""One state of the embedded index, and what was worked out from it once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from indexer.database.text.tantivy.facet_columns import FacetColumns
from indexer.database.text.tantivy.schema import PAIR_SEPARATOR
from indexer.errors import QueryError
from search.language.findings import Findings
from search.language.tree import Finding
from search.language.wildcards import TermIndex, compile_shape
from search.models import Recent
from search.stores.tantivy.pairs import ItemPairs

if TYPE_CHECKING:
    import tantivy

__all__ = ["IndexState"]

_MAX_EXPANSIONS = 50_000
_KEPT = 2048
# Fields with too many distinct values to go through.
_ALL_DISTINCT = frozenset({"id", "study", "patient"})


class IndexState:
    """A searcher with the terms of its fields.

    Parameters
    ----------
    searcher
        It sees one commit for good.
    findings
        The annotations known so far, which learn those of this state when first asked for.
    columns
        Where its facets are counted.
    stamp
        Of the commit (`EmbeddedTextStore.stamp`).
    """

    def __init__(
        self,
        searcher: tantivy.Searcher,
        findings: Findings,
        columns: FacetColumns,
        stamp: tuple[int, int] | None,
    ) -> None:
        self.searcher = searcher
        self.columns = columns
        self.stamp = stamp
        self._findings = findings
        self._terms: dict[str, TermIndex] = {}
        self._learnt = False
        self._pairs: ItemPairs | None = None
        # Held while the terms are read for the first time.
        self._learning = threading.Lock()
        #: Answers that were computed from this commit.
        self.kept = Recent(_KEPT)

    def pairs(self, finding: Finding) -> list[str] | None:
        """The pair terms that a finding means, if it is a set of them."""
        with self._learning:
            if self._pairs is None:
                terms = self.searcher.terms_with_prefix("joint", "")
                self._pairs = ItemPairs(term for term, _ in terms if PAIR_SEPARATOR not in term)
        return self._pairs.terms(finding)

    def findings(self, finding: Finding) -> list[str]:
        """The terms of the annotations that a finding means."""
        with self._learning:
            if not self._learnt:
                terms = self.searcher.terms_with_prefix("finding", "")
                self._findings.add(term for term, _ in terms)
                self._learnt = True
        return self._findings.matching(finding)

    def beginning(self, field: str, prefix: str) -> list[str]:
        """The terms of a field that begin so."""
        found = self.searcher.terms_with_prefix(field, prefix, limit=_MAX_EXPANSIONS + 1)
        return _bounded([term for term, _ in found], f'begin with "{prefix}"')

    def of_shape(self, field: str, pattern: str) -> list[str]:
        """The terms of a field that a wildcard pattern matches."""
        beginning = pattern.replace("?", "*").partition("*")[0]
        if beginning:
            fits = compile_shape(pattern).fullmatch
            return [term for term in self.beginning(field, beginning) if fits(term)]
        if field in _ALL_DISTINCT:
            raise QueryError(f'"{pattern}": a {field} is searched by its beginning; write some')
        with self._learning:
            if field not in self._terms:
                every = self.searcher.terms_with_prefix(field, "")
                self._terms[field] = TermIndex(term for term, _ in every)
        return _bounded(list(self._terms[field].of_shape(pattern)), f'are like "{pattern}"')


def _bounded(terms: list[str], what: str) -> list[str]:
    if len(terms) > _MAX_EXPANSIONS:
        raise QueryError(f"more than {_MAX_EXPANSIONS} words {what}; write more of it")
    return terms
