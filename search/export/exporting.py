"""All images that match, written to a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.errors import QueryError
from search.export.columns import SPLIT, ExportColumn, choose_columns, document_columns
from search.export.files import begun, open_table
from search.language.tree import Among, conjunction

if TYPE_CHECKING:
    from indexer.cascade.trained_on import TrainedOn
    from search.service import SearchService
    from search.snapshot import Snapshot

__all__ = ["ExportRequest", "export"]

# Images that are looked up at once.
_BATCH = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is exported.

    Parameters
    ----------
    words
        Free text or a query, as a search takes them; None for all images. Where nothing matches,
        no part of it is given up.
    literal
        Take free text for a query in the language.
    filters
        Conditions besides (`search.language.filters`).
    choices
        ``facet=value``; several of one facet are alternatives, as in a search.
    among
        Ids of the only images that are written, such as a cohort's; None for all.
    columns
        Names of the columns, in order; none for all but ``report`` and ``sources``.
    more
        Names of further columns: ``report``, ``sources``.
    embeddings
        Whether a column ``embedding`` holds the search vector; of Parquet alone.
    vectors
        A ``.npy`` file to write the search vectors to, float16, a row for each row of the table.
    """

    words: str | None = None
    literal: bool = False
    filters: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    among: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    embeddings: bool = False
    vectors: Path | None = None


def export(service: SearchService, request: ExportRequest, target: Path) -> int:
    """Write a row for every image that matches, in the order of their ids.

    Rows are of one moment of the database and are written as they are found, so that any number
    of them needs the same memory.

    Parameters
    ----------
    target
        A ``.csv``, ``.jsonl`` or ``.parquet`` file, or a ``.npy`` file of search vectors alone;
        written anew, complete or not at all.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    QueryError
        Query, filter or column is wrong, or the file's name says no form.
    MissingExtraError
        What writes Parquet is not installed.
    """
    if request.vectors is not None and request.vectors.suffix != ".npy":
        raise QueryError(f"{request.vectors}: its name must end in .npy")
    alone = target.suffix.lower() == ".npy"
    if alone and (request.columns or request.more or request.embeddings or request.vectors):
        raise QueryError("a .npy file has search vectors alone, no columns: export a table besides")
    with service.snapshot(text=True) as snapshot:
        terms = service.terms(snapshot)
        tree = conjunction(
            terms.conditions(request.filters), *terms.chosen(request.choices).values()
        )
        if request.among is not None:
            tree = conjunction(tree, Among(request.among))
        if request.words is not None:
            tree = conjunction(tree, terms.read(request.words, literal=request.literal).tree)
        # Keys are ids as signed numbers; the order of ids is that of numbers without a sign.
        keys = np.sort(snapshot.text.keys(tree).view(np.uint64)).view(np.int64)
        if alone:
            _write_vectors(snapshot, keys, target)
            return len(keys)
        columns = choose_columns([*_columns(snapshot)], request.columns, request.more)
        if not service.shows_reports and any(column.name == "report" for column in columns):
            raise QueryError("report: the text of reports is not for your role")
        split = any(column.name == SPLIT for column in columns)
        trained = service.trained_on(snapshot) if split else None
        with open_table(target, columns, _width(snapshot) if request.embeddings else 0) as table:
            if request.vectors is not None:
                _write_vectors(snapshot, keys, request.vectors)
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                found = snapshot.vectors().stored_vectors(batch) if request.embeddings else None
                for place, values in _rows(snapshot, batch, columns, trained):
                    if found is not None:
                        values["embedding"] = found[place].astype(np.float32).tolist()
                    table.write(values)
    return len(keys)


def _width(snapshot: Snapshot) -> int:
    return snapshot.manifest.dimensions


def _write_vectors(snapshot: Snapshot, keys: npt.NDArray[np.int64], path: Path) -> None:
    shape = (len(keys), _width(snapshot))
    aside = begun(path)
    try:
        rows = np.lib.format.open_memmap(aside, "w+", np.dtype(np.float16), shape)
        for start in range(0, len(keys), _BATCH):
            end = start + _BATCH
            rows[start:end] = snapshot.vectors().stored_vectors(keys[start:end])
        rows.flush()
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _columns(snapshot: Snapshot) -> Iterator[ExportColumn]:
    database = snapshot.database
    first = next(database.documents(), None)
    yield from document_columns(sorted(first["probabilities"]) if first else ())

    def sources(document: Any) -> list[str]:
        files = database.ledger.files.of_image(document["id"])
        return [f"{file.archive}/{file.name}" for file in files]

    yield ExportColumn(SPLIT, "text", lambda document: None)
    yield ExportColumn("sources", "texts", sources, on_request=True)


def _rows(
    snapshot: Snapshot,
    keys: npt.NDArray[np.int64],
    columns: Sequence[ExportColumn],
    trained: TrainedOn | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Per image that the ledger knows, its place in `keys` and its values."""
    from indexer.database.vectors.shards import id_from_key

    places = {id_from_key(int(key)): place for place, key in enumerate(keys)}
    names = snapshot.database.ledger.files.names_by_image([*places]) if trained is not None else {}
    for document in snapshot.database.documents(places):
        values = {column.name: column.value(document) for column in columns}
        if trained is not None:
            known = any(name in trained for name in names.get(document["id"], ()))
            values[SPLIT] = "train" if known else "other"
        yield places[document["id"]], values
