"""The report folders of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.archive.sources.members import open_archive

if TYPE_CHECKING:
    from indexer.archive.reports import Report, ReportIndex

__all__ = ["Reports"]


class Reports:
    """The report folders of a run; looked through only when a report is first asked for.

    Parameters
    ----------
    folders
        Where reports are.
    key
        The secret of the pseudonymous ids.

    Raises
    ------
    ArchiveError
        One of the folders cannot be read.
    """

    def __init__(self, folders: Sequence[Path], key: bytes) -> None:
        self._archives = [open_archive(folder) for folder in dict.fromkeys(folders)]
        self._key = key
        self._indexes: list[ReportIndex] | None = None

    def __bool__(self) -> bool:
        return bool(self._archives)

    def open(self) -> None:
        """Look through the folders now."""
        from indexer.archive.reports import ReportIndex

        if self._indexes is None:
            self._indexes = []
            for archive in self._archives:
                self._indexes.append(ReportIndex.open(Path(archive.path), self._key))

    def find(self, report_keys: Sequence[str]) -> Report | None:
        """The report filed under the first of `report_keys` that names one."""
        self.open()
        found = (index.find(report_keys) for index in self._indexes or ())
        return next((report for report in found if report is not None), None)

    def states(self) -> dict[str, str]:
        """Per folder, a hash of the names, sizes and times of what is in it."""
        states = {}
        for archive in self._archives:
            digest = hashlib.sha256(b"1")
            for member in archive.members():
                digest.update(f"{member.name}\0{member.size}\0{member.mtime_ns}\n".encode())
            path = hashlib.sha256(archive.path.encode("utf-8", "surrogateescape")).hexdigest()
            states[path] = digest.hexdigest()
        return states

    @property
    def problems(self) -> list[str]:
        """Report files that cannot be read, one line each."""
        return [line for index in self._indexes or () for line in index.problems]

    def close(self) -> None:
        """Forget everything."""
        for index in self._indexes or ():
            index.close()
        self._indexes = None
