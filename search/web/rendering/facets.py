"""Facets as pages show them: values to choose and to take back, each an address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from search.request import facet_name
from search.results import Results
from search.web.queries import BoundQuery

__all__ = [
    "TITLES",
    "ActiveFilter",
    "FacetList",
    "active_filters",
    "address_with",
    "facet_lists",
    "shown_value",
]

# Parameters that are dropped when another choice is made.
_PLACES = ("page", "after")
# Facets whose values stand in their own order, not the commonest first.
_IN_ORDER = ("year", "age")
#: The facets of every page, in their order, and what they are called there.
TITLES = {
    "disease": "Finding",
    "view": "View",
    "sex": "Sex",
    "origin": "Said by",
    "certainty": "Certainty",
    "year": "Year",
}
# Names of values that are letters in the index.
_WORDS = {"sex": {"f": "female", "m": "male", "o": "other"}}


@dataclass(frozen=True, slots=True)
class FacetList:
    """One facet: its values with their counts, shares of the largest, and addresses to choose."""

    name: str
    values: Sequence[dict[str, Any]]

    @property
    def title(self) -> str:
        """Its name for people."""
        return TITLES.get(self.name, self.name.capitalize())


@dataclass(frozen=True, slots=True)
class ActiveFilter:
    """Something that narrows an answer, and the address without it."""

    text: str
    without: str


def address_with(address: str, values: Iterable[tuple[str, str]], *, but: Sequence[str]) -> str:
    """An address with further values and without those of some names.

    Parameters
    ----------
    address
        Path and query.
    values
        Names and values to add.
    but
        Names whose values are left out first.
    """
    base, _, query = address.partition("?")
    kept = [(n, v) for n, v in parse_qsl(query, keep_blank_values=True) if n not in but]
    pairs = [*kept, *values]
    return base + ("?" + urlencode(pairs) if pairs else "")


def facet_lists(results: Results, address: str, chosen: Sequence[str]) -> list[FacetList]:
    """The facets of an answer, each value with the address that chooses it or takes it back.

    A value that was chosen stands there even where nothing has it.

    Parameters
    ----------
    address
        Of the page; its choices are left out.
    chosen
        ``facet=value`` of the page.
    """
    lists = []
    base = address_with(address, (), but=("choose", *_PLACES))
    base += "&" if "?" in base else "?"
    # Every link repeats all choices.
    before = "".join(f"{urlencode({'choose': choice})}&" for choice in chosen)
    for name, counts in results.facets.items():
        if name in _IN_ORDER:
            counts = sorted(counts, key=lambda count: int(count.value))
        found: dict[str, int] = {str(count.value): count.count for count in counts}
        own = [c.partition("=")[2].strip() for c in chosen if facet_name(c) == name]
        missing = {v: 0 for v in own if v.lower() not in found}
        most = max(found.values(), default=1)
        values = []
        for value, count in (found | missing).items():
            same = [c for c in chosen if _same(c, name, value)]
            if same:
                others = [("choose", c) for c in chosen if c not in same]
                to = address_with(address, others, but=("choose", *_PLACES))
            else:
                to = f"{base}{before}choose={quote_plus(f'{name}={value}')}"
            values.append(
                {
                    "value": value,
                    "text": shown_value(name, value),
                    "count": count,
                    "shown": f"{count:,}",
                    "most": most,
                    "chosen": bool(same),
                    "address": to,
                }
            )
        if values:
            lists.append(FacetList(name, tuple(values)))
    return lists


def shown_value(name: str, value: str) -> str:
    """A value of a field as people say it, where the index has a letter."""
    return _WORDS.get(name, {}).get(value.strip().lower(), value)


def _same(choice: str, name: str, value: str) -> bool:
    return facet_name(choice) == name and choice.partition("=")[2].strip().lower() == value.lower()


def active_filters(
    address: str, choices: Sequence[str], filters: Sequence[str], query: BoundQuery
) -> list[ActiveFilter]:
    """All that narrows an answer, each with the address without it."""
    active = []
    for name, values in (("choose", choices), ("filter", filters)):
        for value in values:
            others = [(name, other) for other in values if other != value]
            to = address_with(address, others, but=(name, *_PLACES))
            field, _, rest = value.partition("=" if name == "choose" else ":")
            active.append(
                ActiveFilter(f"{TITLES.get(field, field)}: {shown_value(field, rest)}", to)
            )
    if query.cohort is not None:
        active.append(
            ActiveFilter("in the cohort", address_with(address, (), but=("cohort", *_PLACES)))
        )
    if query.source is not None:
        without = address_with(address, (), but=("source", *_PLACES))
        active.append(ActiveFilter(f"source {query.source}", without))
    return active
