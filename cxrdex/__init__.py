"""Chest X-rays searched by picture and by words, from Python.

>>> import cxrdex
>>> with cxrdex.open("database") as db:
...     found = db.search('"pleural effusion on the left"')
...     alike = db.similar(found.hits[0].id, k=5)
>>> found.total
6
>>> [hit.document["view"] for hit in alike.hits]
['frontal', 'frontal', 'frontal', 'frontal', 'frontal']

The database of these examples is that of ``cxrdex demo --folder .``. Only what this package names
is promised to its users; `indexer`, `search` and `cli`, which it is made of, may change with any
version. Importing it imports nothing heavy: models and indexes are loaded when they are first
needed.

May import: `search` and `indexer`; nothing of `cli`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cxrdex.database import Database, open
from cxrdex.indexing import index
from cxrdex.reading import FileReading, read
from indexer.cascade.compute import Compute
from indexer.errors import (
    ArchiveError,
    ArchiveUnavailable,
    BundleError,
    ClusterError,
    CxrdexError,
    DatabaseError,
    DatabaseLocked,
    DatabaseMismatch,
    DiskFullError,
    FailedImage,
    FilesFailed,
    HostMismatch,
    ImageError,
    InconsistentError,
    LabelsChanged,
    MemoryLimitError,
    MissingExtraError,
    NotFoundError,
    PruneRefused,
    QueryError,
    RecipeError,
    RequestError,
    ShardMissing,
    SkippedImage,
    TextStoreUnavailable,
    TrainingError,
)

if TYPE_CHECKING:
    from cxrdex.embeddings import Embeddings
    from indexer.annotation import Annotation, Word
    from indexer.pipeline.run import Progress, Summary
    from search.results import Hit, Results, Shown

    __version__: str

__all__ = [
    "Annotation",
    "ArchiveError",
    "ArchiveUnavailable",
    "BundleError",
    "ClusterError",
    "Compute",
    "CxrdexError",
    "Database",
    "DatabaseError",
    "DatabaseLocked",
    "DatabaseMismatch",
    "DiskFullError",
    "Embeddings",
    "FailedImage",
    "FileReading",
    "FilesFailed",
    "Hit",
    "HostMismatch",
    "ImageError",
    "InconsistentError",
    "LabelsChanged",
    "MemoryLimitError",
    "MissingExtraError",
    "NotFoundError",
    "Progress",
    "PruneRefused",
    "QueryError",
    "RecipeError",
    "RequestError",
    "Results",
    "ShardMissing",
    "Shown",
    "SkippedImage",
    "Summary",
    "TextStoreUnavailable",
    "TrainingError",
    "Word",
    "__version__",
    "index",
    "open",
    "read",
]

# Types that answers are made of; their modules import numpy.
_LAZY = {
    "Annotation": "indexer.annotation",
    "Embeddings": "cxrdex.embeddings",
    "Hit": "search.results",
    "Progress": "indexer.pipeline.run",
    "Results": "search.results",
    "Shown": "search.results",
    "Summary": "indexer.pipeline.run",
    "Word": "indexer.annotation",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cxrdex")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
