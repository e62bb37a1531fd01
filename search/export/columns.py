"""The columns of an export: what of an image each one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from indexer.annotation import Origin
from indexer.database.text.documents import Document
from indexer.errors import QueryError
from search.language.spelling import nearest

__all__ = [
    "PROBABILITY",
    "SPLIT",
    "ColumnType",
    "ExportColumn",
    "choose_columns",
    "document_columns",
]

ColumnType: TypeAlias = Literal["text", "integer", "number", "texts"]
#: Begins the name of a column that holds the probability of one finding.
PROBABILITY = "probability:"
#: The column of what the bundle was trained on, which no document knows.
SPLIT = "split"


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """One column.

    Parameters
    ----------
    name
        As the header has it.
    type
        ``"texts"`` is a list of strings; every value may be None.
    value
        What an image has there.
    on_request
        Left out unless it is named: it may tell who a patient is.
    """

    name: str
    type: ColumnType
    value: Callable[[Document], Any]
    on_request: bool = False


def document_columns(findings: Iterable[str]) -> list[ExportColumn]:
    """All columns that a document fills, in order.

    Parameters
    ----------
    findings
        The findings that the database's bundle scores.
    """

    def plain(name: str, kind: ColumnType) -> ExportColumn:
        return ExportColumn(name, kind, lambda document: document[name])  # type: ignore[literal-required]

    def by_origin(origin: Origin) -> ExportColumn:
        return ExportColumn(
            f"annotations:{origin}",
            "texts",
            lambda d: [a["text"] for a in d["annotations"] if a["origin"] == origin],
        )

    def of_report(name: Literal["absent", "uncertain"]) -> ExportColumn:
        return ExportColumn(name, "texts", lambda document: [a["text"] for a in document[name]])

    def probability(finding: str) -> ExportColumn:
        name = PROBABILITY + finding
        return ExportColumn(name, "number", lambda document: document["probabilities"].get(finding))

    texts = ("id", "study", "patient", "view", "view_origin", "projection", "sex")
    return [
        *(plain(name, "text") for name in texts),
        plain("age", "integer"),
        plain("year", "integer"),
        plain("manufacturer", "text"),
        plain("rows", "integer"),
        plain("columns", "integer"),
        *map(by_origin, get_args(Origin)),
        of_report("absent"),
        of_report("uncertain"),
        *(probability(finding) for finding in findings),
        ExportColumn("report", "text", _report, on_request=True),
    ]


def _report(document: Document) -> str | None:
    sections = document["report"]
    if sections is None:
        return None
    return "\n".join(f"{name}: {text}" for name, text in sections.items())


def choose_columns(
    columns: Sequence[ExportColumn], names: Sequence[str], more: Sequence[str] = ()
) -> list[ExportColumn]:
    """The columns that are named, in that order; where none is, all that need not be.

    Parameters
    ----------
    names
        ``probability:*`` stands for those of all findings.
    more
        Further columns after these.

    Raises
    ------
    QueryError
        There is no such column; the text names the nearest.
    """
    if not names:
        names = [column.name for column in columns if not column.on_request]
    known: Mapping[str, ExportColumn] = {column.name: column for column in columns}
    chosen: dict[str, ExportColumn] = {}
    for name in (*names, *more):
        if name == PROBABILITY + "*":
            chosen |= {n: c for n, c in known.items() if n.startswith(PROBABILITY)}
        elif name in known:
            chosen[name] = known[name]
        else:
            like = nearest(name, known)
            hint = f"; did you mean {like}?" if like else f"; there are {', '.join(known)}"
            raise QueryError(f'no column "{name}"{hint}')
    return list(chosen.values())
