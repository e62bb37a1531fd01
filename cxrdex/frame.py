"""Documents as a table of pandas or polars."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from indexer.errors import MissingExtraError, QueryError

if TYPE_CHECKING:
    from indexer.database.text.documents import Document

__all__ = ["FrameRow", "frame"]

#: A document with its score, where it was searched for.
FrameRow: TypeAlias = "tuple[Document, float | None]"

_LIBRARIES: tuple[Literal["pandas", "polars"], ...] = ("pandas", "polars")
_TEXT = ("id", "study", "patient", "view", "projection", "sex", "manufacturer")
_NUMBERS = ("age", "year", "rows", "columns")
_LISTS = ("annotations", "absent", "uncertain")


def frame(
    rows: Iterable[FrameRow], probabilities: bool, library: Literal["pandas", "polars"] | None
) -> Any:
    """One row per document; columns as in `cxrdex.Database.frame`."""
    installed = _installed(library)
    names = ("id", "score", *_TEXT[1:], *_NUMBERS, *_LISTS, "report")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    chances: list[dict[str, float]] = []
    for document, score in rows:
        for name in (*_TEXT, *_NUMBERS):
            columns[name].append(document[name])  # type: ignore[literal-required]
        for name in _LISTS:
            columns[name].append([a["text"] for a in document[name]])  # type: ignore[literal-required]
        columns["score"].append(score)
        report = document["report"]
        columns["report"].append(None if report is None else "\n".join(report.values()))
        chances.append(document["probabilities"] if probabilities else {})
    for finding in sorted(set().union(*chances)):
        columns[finding] = [chance.get(finding) for chance in chances]
    if installed == "polars":
        return _polars(columns)
    import pandas

    whole = dict.fromkeys(_NUMBERS, "Int64") | {"score": "Float64"}
    return pandas.DataFrame(columns).astype(whole)


def _polars(columns: dict[str, list[Any]]) -> Any:
    import polars

    kinds: dict[str, Any] = dict.fromkeys(columns, polars.Float64)
    kinds |= dict.fromkeys((*_TEXT, "report"), polars.String)
    kinds |= dict.fromkeys(_NUMBERS, polars.Int64)
    kinds |= dict.fromkeys(_LISTS, polars.List(polars.String))
    return polars.DataFrame(columns, schema=kinds)


def _installed(library: str | None) -> str:
    if library is not None and library not in _LIBRARIES:
        raise QueryError(f'no frames of "{library}"; there are {" and ".join(_LIBRARIES)}')
    wanted = _LIBRARIES if library is None else (library,)
    for name in wanted:
        if find_spec(name) is not None:
            return name
    raise MissingExtraError(
        f"{' or '.join(wanted)} is not installed: pip install {wanted[0]}, or 'cxrdex[frame]'"
    )
