"""The code that the command ends with for each kind of error (docs/output.md).

Usage errors end with 2 (click's own), an error that nobody foresaw with 70 (`cli.crash`), an
interrupted run with 130.
"""

from __future__ import annotations

from indexer import errors

__all__ = ["exit_code"]

# The code of a kind counts for those below it that have none of their own.
_CODES: dict[type[errors.CxrdexError], int] = {
    errors.CxrdexError: 1,
    errors.RequestError: 2,
    errors.RecipeError: 2,
    errors.ArchiveError: 3,
    errors.DatabaseError: 4,
    errors.BundleError: 5,
    errors.QueryError: 6,
    errors.NotFoundError: 7,
    errors.InconsistentError: 8,
    errors.DiskFullError: 9,
    errors.FilesFailed: 10,
    errors.TrainingError: 11,
    errors.TextStoreUnavailable: 12,
    errors.PruneRefused: 13,
    errors.MissingExtraError: 14,
    errors.ClusterError: 15,
    errors.MemoryLimitError: 16,
}


def exit_code(kind: type[errors.CxrdexError]) -> int:
    """The exit code of a kind of error."""
    return next(_CODES[base] for base in kind.__mro__ if base in _CODES)
