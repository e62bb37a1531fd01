"""The order of hits, and the place in it from which the next page goes on."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from indexer.errors import QueryError
from search.language.spelling import nearest

__all__ = ["Cursor", "Sort", "SortField", "signature"]

SortField: TypeAlias = Literal["score", "age", "year", "id"]
_FIELDS: tuple[SortField, ...] = get_args(SortField)
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of hits; ties are in ascending order of id.

    Parameters
    ----------
    by
        ``"score"`` (always best first), or a field, of which missing values come last.
    descending
        Whether the field's largest value comes first.
    """

    by: SortField = "score"
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Sort:
        """``"age"``, ``"age:asc"`` or ``"age:desc"``.

        Raises
        ------
        QueryError
            Nothing is sorted so.
        """
        field, _, direction = text.strip().lower().partition(":")
        if field not in _FIELDS:
            guess = nearest(field, _FIELDS)
            hint = f'did you mean "{guess}"?' if guess else f"there are {', '.join(_FIELDS)}"
            raise QueryError(f'hits cannot be sorted by "{field[:40]}"; {hint}')
        if direction not in ("", "asc", "desc"):
            raise QueryError(f'a sort is field, field:asc or field:desc, not "{text[:60]}"')
        if field == "score" and direction == "asc":
            raise QueryError("by score the best come first; there is no score:asc")
        return cls(field, direction == "desc" and field != "score")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last hit of a page: the next page holds what comes after it.

    Parameters
    ----------
    value
        Its score, or its value of the field sorted by; None where it has none.
    id
        Its image id.
    rank
        Hits up to and with it; 0 where the store does not count them.
    """

    value: float | int | str | None
    id: str
    rank: int = 0

    def token(self, signature: str) -> str:
        """The cursor as a word for a user to hand back, bound to one search."""
        place = [self.value, self.id, self.rank]
        packed = json.dumps([_seal(signature, place), *place], separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, token: str, signature: str) -> Cursor:
        """The cursor that was turned into `token`.

        Raises
        ------
        QueryError
            It is damaged, or of another search.
        """
        text = token.strip()[:_LONGEST]
        try:
            padded = text + "=" * (-len(text) % 4)
            seal, *place = json.loads(base64.b64decode(padded, b"-_", validate=True))
        except (binascii.Error, ValueError, TypeError) as error:
            raise QueryError("the page token is damaged; take it from the page before") from error
        if seal != _seal(signature, place):
            raise QueryError(
                "the page token is not of this search: query, filters, choices and sort must be "
                "those of the page before"
            )
        return cls(*place)


def _seal(signature: str, place: list[Any]) -> str:
    return hashlib.sha256(json.dumps([signature, *place]).encode()).hexdigest()[:12]


def signature(*parts: Any) -> str:
    """A checksum of what makes a search: its trees and its sort."""
    return hashlib.sha256(repr(parts).encode("utf-8", "replace")).hexdigest()[:16]
