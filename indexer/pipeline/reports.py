"""The report folders of a run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.archive.sources.members import Archive, open_archive
from indexer.errors import ArchiveError
from indexer.pipeline.labels import LabelledImages, joined

if TYPE_CHECKING:
    from indexer.archive.reports import Report, ReportIndex

__all__ = ["ReportCount", "Reports"]


@dataclass(frozen=True, slots=True)
class ReportCount:
    """What became of the files of report folders.

    Parameters
    ----------
    files
        Readable ones.
    without_image
        Those of them that no image of the database is filed under.
    unreadable
        Others, by why they are no reports.
    names
        A line for each that is unreadable or without image, with its name: only for the person at
        the terminal who asked for it.
    """

    files: int = 0
    without_image: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object, without names."""
        return {
            "files": self.files,
            "without_image": self.without_image,
            "unreadable": dict(self.unreadable),
        }


class Reports:
    """The report folders of a run; looked through only when a report is first asked for.

    Parameters
    ----------
    folders
        Where reports are.
    key
        The secret of the pseudonymous ids.
    labels
        Data sets whose tables say something of the images.

    Raises
    ------
    ArchiveError
        One of the folders cannot be read.
    TrainingError
        One of the data sets is none.
    """

    def __init__(self, folders: Sequence[Path], key: bytes, labels: Sequence[Path] = ()) -> None:
        self._archives = [_opened(folder) for folder in dict.fromkeys(folders)]
        self._key = key
        self._labels = [LabelledImages(folder, key) for folder in dict.fromkeys(labels)]
        self._indexes: list[ReportIndex] | None = None

    def __bool__(self) -> bool:
        return bool(self._archives or self._labels)

    def open(self) -> None:
        """Look through the folders now."""
        from indexer.archive.reports import ReportIndex

        if self._indexes is None:
            self._indexes = []
            for archive in self._archives:
                self._indexes.append(ReportIndex.open(Path(archive.path), self._key))
            for labels in self._labels:
                labels.open()

    def find(self, report_keys: Sequence[str]) -> Report | None:
        """The report filed under the first of `report_keys` that names one, with what labels say
        of the image."""
        self.open()
        found = (index.find(report_keys) for index in self._indexes or ())
        report = next((report for report in found if report is not None), None)
        for labels in self._labels:
            report = joined(report, labels.find(report_keys))
        return report

    def states(self) -> dict[str, str]:
        """Per folder, a hash of the names, sizes and times of what is in it."""
        states = {}
        for archive in self._archives:
            digest = hashlib.sha256(b"1")
            for member in archive.members():
                digest.update(f"{member.name}\0{member.size}\0{member.mtime_ns}\n".encode())
            path = hashlib.sha256(archive.path.encode("utf-8", "surrogateescape")).hexdigest()
            states[path] = digest.hexdigest()
        for labels in self._labels:
            states |= labels.states()
        return states

    def claim(self, report_keys: Iterable[Sequence[str]]) -> None:
        """Note which reports the images of a database have, whether they were just read or not."""
        for keys in report_keys:
            for index in self._indexes or ():
                if index.claim(keys):
                    break

    def count(self) -> ReportCount:
        """How many reports there are, and how many of them no image asked for."""
        indexes = self._indexes or ()
        unclaimed = [name for index in indexes for name in index.unclaimed()]
        problems = [line for labels in self._labels for line in labels.problems]
        unreadable: Counter[str] = Counter()
        for index in indexes:
            unreadable.update(index.reasons)
        if problems:
            unreadable["a report of a data set that cannot be read"] += len(problems)
        return ReportCount(
            files=sum(map(len, indexes)),
            without_image=len(unclaimed),
            unreadable=dict(unreadable.most_common()),
            names=(
                *(line for index in indexes for line in index.problems),
                *problems,
                *(f"report {name}: no image has it" for name in unclaimed),
            ),
        )

    @property
    def unmatched(self) -> int:
        """Images of the data sets that none of the files was."""
        return sum(labels.unmatched for labels in self._labels)

    def close(self) -> None:
        """Forget everything."""
        for index in self._indexes or ():
            index.close()
        self._indexes = None


def _opened(folder: Path) -> Archive:
    try:
        return open_archive(folder)
    except ArchiveError as error:
        raise ArchiveError(f"no reports can be read: {error}") from error
