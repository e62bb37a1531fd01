"""A table as an answer: written to a private temporary folder, sent from there, deleted."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from search.export.exporting import ExportRequest, export
from search.web.queries import Form
from search.web.state import ServerState

__all__ = ["TABLE_CONTENT", "table_response"]

_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
    # No type is registered for arrays of NumPy.
    "npy": "application/octet-stream",
}
#: The response as described for OpenAPI.
TABLE_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The table, or, of the format npy, the search vectors in its order.",
        "content": {kind.partition(";")[0]: {} for kind in _TYPES.values()},
    }
}


def table_response(
    state: ServerState, request: ExportRequest, form: Form, name: str
) -> FileResponse:
    """A table by the code of `cxrdex export`; any number of rows needs the same memory.

    Parameters
    ----------
    name
        What it is of; the file's name is made of its letters and digits.

    Raises
    ------
    QueryError
        What is asked for is wrong, or not for the role of the person who asks.
    MissingExtraError
        What writes Parquet is not installed.
    """
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
    called = "-".join(filter(None, kept.split("-")))[:60] or "images"
    folder = TemporaryDirectory(prefix="cxrdex-")
    path = Path(folder.name, f"table.{form}")
    try:
        export(state.service, request, path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path,
        media_type=_TYPES[form],
        filename=f"{called}.{form}",
        background=BackgroundTask(folder.cleanup),
    )
