"""What a data set's tables say of the images of an archive, as reports that people wrote."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from indexer.annotation import Annotation
from indexer.archive.deidentify import pseudonym
from indexer.archive.reports import Report
from indexer.datasets.tables import table_files

if TYPE_CHECKING:
    from indexer.datasets.images import Dataset

__all__ = ["LabelledImages", "joined"]

# An image's name with the folders by which `indexer.archive.deidentify` knows it.
_DEEPEST = 4


class LabelledImages:
    """The images of a data set by the pseudonyms of their names.

    Parameters
    ----------
    folder
        See `indexer.datasets.images.Dataset.open`.
    key
        The secret of the pseudonymous ids.

    Raises
    ------
    TrainingError
        It is no data set, or its description is malformed.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        # It brings the labeller with it, which a run without a data set need not load.
        from indexer.datasets.images import Dataset

        self._dataset: Dataset = Dataset.open(folder)
        self._key = key
        self._found: dict[str, Report] = {}
        self._matched: set[str] = set()
        self._images = 0
        self._opened = False

    def open(self) -> None:
        """Read the tables now.

        Raises
        ------
        TrainingError
            One is malformed; the text names file, line and column.
        """
        if self._opened:
            return
        stems = Counter(PurePosixPath(i.image_id).name for i in self._dataset.described)
        for image, report in self._dataset.reports():
            name = PurePosixPath(image.image_id).name
            # Where several images have one name, the folders before it tell them apart.
            whole = "/".join(PurePosixPath(image.image_id).parts[-_DEEPEST:])
            names = [whole] if stems[name] > 1 else [whole, name]
            keys = dict.fromkeys(pseudonym(self._key, "report", n) for n in names)
            uid = pseudonym(self._key, "study", image.study or image.image_id)
            known = Report(uid, report.sections, report.annotations, tuple(keys))
            self._found |= dict.fromkeys(keys, known)
            self._images += 1
        self._opened = True

    def find(self, report_keys: Sequence[str]) -> Report | None:
        """What is said of the image that one of these pseudonyms names."""
        self.open()
        key = next((key for key in report_keys if key in self._found), None)
        if key is None:
            return None
        report = self._found[key]
        self._matched.add(report.images[0])
        return report

    @property
    def unmatched(self) -> int:
        """Images that the tables say something of, and that were not asked for."""
        return self._images - len(self._matched)

    def states(self) -> dict[str, str]:
        """A hash of the names, sizes and times of the tables, by that of the folder."""
        root, description = self._dataset.root, self._dataset.description
        digest = hashlib.sha256(b"labels 1")
        files = [f for t in (*description.tables, *description.joins) for f in table_files(root, t)]
        for path in [description.path, *files]:
            status = path.stat()
            digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        path_hash = hashlib.sha256(b"labels " + str(root.absolute()).encode("utf-8", "replace"))
        return {path_hash.hexdigest(): digest.hexdigest()}

    @property
    def problems(self) -> list[str]:
        """Reports of the data set that cannot be read, one line each."""
        return self._dataset.problems


def joined(report: Report | None, labels: Report | None) -> Report | None:
    """A report with what labels say beside it; its own words stay."""
    if report is None or labels is None:
        return report or labels
    annotations: dict[Annotation, None] = dict.fromkeys((*report.annotations, *labels.annotations))
    sections = report.sections or labels.sections
    return Report(report.uid, sections, tuple(annotations), report.images)
