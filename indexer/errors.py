"""Every error cxrdex raises on purpose; `cli.exit_codes` has the code that the command ends with.

::

    CxrdexError                 anything below, and nothing else
    ├── ArchiveError            an archive, report folder or image file cannot be read
    │   ├── ArchiveUnavailable      an archive that was there cannot be had any more
    │   ├── SkippedImage            one file is no chest radiograph to index
    │   └── FailedImage             one file should have been read, but could not be
    ├── DatabaseError           a database is missing, unwritable or damaged
    │   ├── DatabaseLocked          another process is writing it
    │   ├── LabelsChanged           what people said of an image has changed since it was read
    │   ├── ShardMissing            a shard that it had is gone: of an earlier moment, or lost
    │   └── DatabaseMismatch        made with another bundle, format version or id key
    ├── BundleError             a bundle is missing, damaged or of another format
    ├── QueryError              a query or filter is malformed
    │   └── RequestError            what is asked for does not go together
    ├── NotFoundError           no image has this id
    ├── InconsistentError       stores disagree
    ├── DiskFullError           no space is left where a file is to be written
    ├── FilesFailed             files failed in a run that was to be strict about it
    ├── TrainingError           a training set or recipe is unusable
    │   └── RecipeError             settings of a training that do not go together
    ├── TextStoreUnavailable    Elasticsearch does not answer, or takes nothing now; try again
    ├── PruneRefused            more files are gone from an archive than may be dropped unasked
    ├── MissingExtraError       an optional package is not installed
    ├── ClusterError            no cluster answers, or it cannot go on
    │   └── HostMismatch            a host of it has another key, bundle, version or no archive
    └── MemoryLimitError        the process may not have the memory that a CNN takes
"""

from __future__ import annotations

__all__ = [
    "ArchiveError",
    "ArchiveUnavailable",
    "BundleError",
    "ClusterError",
    "CxrdexError",
    "DatabaseError",
    "DatabaseLocked",
    "DatabaseMismatch",
    "DiskFullError",
    "FailedImage",
    "FilesFailed",
    "HostMismatch",
    "ImageError",
    "InconsistentError",
    "LabelsChanged",
    "MemoryLimitError",
    "MissingExtraError",
    "NotFoundError",
    "PruneRefused",
    "QueryError",
    "RecipeError",
    "RequestError",
    "ShardMissing",
    "SkippedImage",
    "TextStoreUnavailable",
    "TrainingError",
]


class CxrdexError(Exception):
    """Base of all errors; its text is one plain line for the user."""


class ArchiveError(CxrdexError):
    """An archive, a report folder or an image file cannot be read."""


class ArchiveUnavailable(ArchiveError):  # noqa: N818
    """An archive that was there cannot be had any more, so nothing is known of its files."""


class ImageError(ArchiveError):
    """One image file is not indexed.

    Parameters
    ----------
    reason
        A stable snake_case code (``"other_modality"``), for counting.
    detail
        What was found and what would be right; never patient data.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class SkippedImage(ImageError):  # noqa: N818
    """One file is no chest radiograph to index; reading it again would change nothing."""


class FailedImage(ImageError):  # noqa: N818
    """One file should have been read, but could not be; it may be retried."""


class DatabaseError(CxrdexError):
    """A database is missing, unwritable or damaged."""


class DatabaseLocked(DatabaseError):  # noqa: N818
    """Another process is writing this database."""


class DatabaseMismatch(DatabaseError):  # noqa: N818
    """The database was made with another bundle, format version or id key."""


class LabelsChanged(DatabaseError):  # noqa: N818
    """What people said of an image has changed since it was read."""


class ShardMissing(DatabaseError):  # noqa: N818
    """A shard is gone: a compaction has taken its place since, or it was lost."""


class BundleError(CxrdexError):
    """A bundle is missing, damaged or of another format version."""


class QueryError(CxrdexError):
    """A query, filter or facet is malformed."""


class RequestError(QueryError):
    """What is asked for does not go together, such as a sort by age of what is found by meaning."""


class NotFoundError(CxrdexError):
    """No image of the database has this id, or no heading of the lexicon this name."""


class InconsistentError(CxrdexError):
    """Ledger, shards, FAISS and text disagree, or rows of an audit are not as they were written."""


class DiskFullError(CxrdexError):
    """No space is left where a file is to be written."""


class MissingExtraError(CxrdexError):
    """An optional package is not installed."""


class TrainingError(CxrdexError):
    """A training set or a recipe is unusable."""


class RecipeError(TrainingError):
    """Settings of a training do not go together, or have no meaning for its recipe."""


class TextStoreUnavailable(CxrdexError):  # noqa: N818
    """Elasticsearch does not answer or takes nothing at the moment; the same may work later."""


class FilesFailed(CxrdexError):  # noqa: N818
    """Files failed in a run that was to be strict about it."""


class PruneRefused(CxrdexError):  # noqa: N818
    """More files are gone from an archive than may be dropped without a word."""


class ClusterError(CxrdexError):
    """No cluster answers at an address, or it cannot go on."""


class HostMismatch(ClusterError):  # noqa: N818
    """A host of a cluster has another id key, bundle or version, or does not see the archives."""


class MemoryLimitError(CxrdexError):
    """The process may not have the memory that a CNN takes (`ulimit -v`)."""
