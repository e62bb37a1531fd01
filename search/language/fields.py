"""The fields of the query language, and the values that its closed fields may have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from indexer.annotation import CERTAINTIES, Origin, qualifiers
from indexer.archive.notes import NOTES
from indexer.archive.report_files.sections import SECTIONS
from indexer.database.text.schema import COUNTED, LABELS, NUMBERS
from indexer.errors import QueryError
from search.language.spelling import nearest

if TYPE_CHECKING:
    from search.language.lexicon import Lexicon

__all__ = [
    "FACETS",
    "FIELDS",
    "FINDING_FIELDS",
    "FieldType",
    "Vocabulary",
    "check_facets",
]

FieldType: TypeAlias = Literal["text", "closed", "open", "number", "finding"]

# The order is the one in which facets are named; a later kind of a name is the one it has.
_KINDS: tuple[tuple[FieldType, tuple[str, ...]], ...] = (
    ("closed", LABELS),
    ("open", ("composite",)),
    ("closed", ("absent", "uncertain")),
    ("finding", ("finding",)),
    ("text", ("annotation", "report", *SECTIONS)),
    ("closed", ("view", "projection", "sex")),
    ("number", NUMBERS),
    ("open", ("study", "patient", "id")),
    ("closed", COUNTED),
)
FIELDS: Mapping[str, FieldType] = {name: kind for kind, names in _KINDS for name in names}
# Fields that may be used inside finding:(...); words without a field are those of the annotation.
FINDING_FIELDS = (*LABELS, "origin", "certainty")
FACETS: tuple[str, ...] = tuple(
    name for name, kind in FIELDS.items() if kind in ("closed", "number") or name == "composite"
)

_ALIASES = {"sex": {"female": "f", "male": "m", "other": "o"}}
# Denied and doubted findings have the same names as affirmed ones.
_VALUES_FROM = {"absent": "disease", "uncertain": "disease"}
# Fields whose values are those of `disease`.
_DISEASES = ("absent", "uncertain", "likely", "possible")
# Values that are right in every database, whether or not an image has them.
_FIXED_VALUES: Mapping[str, frozenset[str]] = {
    "view": frozenset({"frontal", "lateral"}),
    "projection": frozenset({"pa", "ap", "ll", "rl"}),
    "sex": frozenset({"f", "m", "o"}),
    "origin": frozenset(get_args(Origin)),
    "certainty": frozenset(CERTAINTIES),
    "unusual": frozenset({"yes", "no"}),
    "note": frozenset(NOTES),
}


def check_facets(names: Iterable[str]) -> tuple[str, ...]:
    """The names without repetitions.

    Raises
    ------
    QueryError
        One is no facet.
    """
    for name in names:
        if name not in FACETS:
            guess = nearest(name, FACETS)
            hint = f'did you mean "{guess}"?' if guess else f"there are {', '.join(FACETS)}"
            raise QueryError(f'no facet is called "{name[:40]}"; {hint}')
    return tuple(dict.fromkeys(names))


class Vocabulary:
    """The values of the closed fields.

    Parameters
    ----------
    values
        Values by field, as they stand in the index.
    sayable
        Gives further valid values by field: what the cascade can say, though no image has it. It
        is called once, for the first value that is not in the index.
    """

    def __init__(
        self,
        values: Mapping[str, Iterable[str]] | None = None,
        sayable: Callable[[], Mapping[str, Iterable[str]]] = dict,
    ) -> None:
        known: Mapping[str, frozenset[str]] = {str(k): words for k, words in qualifiers().items()}
        self._values: Mapping[str, frozenset[str]] = {
            field: _FIXED_VALUES.get(field, frozenset()) | known.get(field, frozenset())
            for field, kind in FIELDS.items()
            if kind == "closed"
        }
        self._lock = threading.Lock()
        for field in _DISEASES:
            self._values[field] = self._values["disease"]
        self._sayable: Callable[[], Mapping[str, Iterable[str]]] | None = sayable
        self._add(values or {})

    def _add(self, values: Mapping[str, Iterable[str]]) -> None:
        """Replaces all values at once, so that other threads may go on reading."""
        known = dict(self._values)
        for field, more in values.items():
            field = _VALUES_FROM.get(field, field)
            known[field] = known[field].union(value.lower() for value in more)
        known |= {name: known[other] for name, other in _VALUES_FROM.items()}
        self._values = known

    def find(self, field: str, value: str) -> str | None:
        """The spelling under which `field` has `value`, or None.

        A form of the lexicon becomes its heading; one of several headings stays as it is, for
        `search.language.lexicon.Lexicon.expand`.
        """
        value = " ".join(value.lower().split())
        value = _ALIASES.get(field, {}).get(value, value)
        if value in self._values[field]:
            return value
        if headings := _lexicon().senses(value, _VALUES_FROM.get(field, field)):
            return headings[0].name if len(headings) == 1 else value
        with self._lock:
            if self._sayable is not None:
                sayable, self._sayable = self._sayable, None
                self._add(sayable())
        return value if value in self._values[field] else None

    def most_commas(self, field: str) -> int:
        """Commas in the value of a field, or form of one, that has most of them."""
        return max(name.count(",") for name in (*self._values[field], *_lexicon().forms, ""))

    def suggest(self, field: str, value: str) -> str | None:
        """The value of `field`, or the form of one, nearest to a wrong one."""
        value, lexicon = " ".join(value.split()), _lexicon()
        guess, kind = nearest(value, self._values[field]), _VALUES_FROM.get(field, field)
        return guess or nearest(value, [f for f in lexicon.forms if lexicon.senses(f, kind)])


def _lexicon() -> Lexicon:
    # Imported for the first value that is looked up: a search by picture alone looks none up.
    from search.language.lexicon import Lexicon

    return Lexicon.load()
