"""A database opened for reading: by search, the command line and the verifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from indexer.database.access import TO_READ, check_descriptors
from indexer.database.checksums.folder import check_truth
from indexer.database.layout import Layout, Manifest
from indexer.database.ledger.files import FileRecord, FileStatus
from indexer.database.ledger.images import ImageRow
from indexer.database.ledger.labels import LabelFile
from indexer.database.ledger.ledger import Ledger
from indexer.database.ledger.runs import Run
from indexer.database.studies import document_from_row, report_from_row
from indexer.database.text.documents import Document, choose_view
from indexer.errors import NotFoundError

if TYPE_CHECKING:
    from indexer.archive.reports import Report
    from indexer.database.thumbnail_store import Thumbnails
    from indexer.database.vectors.index import Vectors

__all__ = ["DatabaseReader", "Record"]


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of one image.

    Parameters
    ----------
    document
        What search sees.
    metadata
        `Metadata.to_json()` of the file it was read from.
    reading
        `Reading.to_json()` of this image alone: probabilities, annotations, view, view_confidence.
    pooled
        Whether the document has its study's probabilities and annotations in their place.
    report
        The study's report.
    files
        The files that hold it, the one it was read from first.
    run
        The run that made the reading: when, by which version and bundle.
    """

    document: Document
    metadata: dict[str, Any]
    reading: dict[str, Any]
    pooled: bool
    report: Report | None
    files: tuple[FileRecord, ...]
    run: Run

    @property
    def id(self) -> str:
        """The image id."""
        return self.document["id"]


class DatabaseReader:
    """A database as it is at one moment, whatever a writer does meanwhile; made by `open`.

    Parameters
    ----------
    layout
        Its folder.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.manifest: Manifest = layout.read_manifest()
        check_truth(layout.root)
        self.ledger = Ledger(layout.ledger)
        self.ledger.snapshot()
        self._thumbnails: Thumbnails | None = None
        self._vectors: Vectors | None = None
        self._labels: LabelFile | None = None

    @classmethod
    def open(cls, path: Path) -> DatabaseReader:
        """Open the database in the folder `path`; a context manager.

        Raises
        ------
        DatabaseError
            There is none, or it is damaged.
        DatabaseMismatch
            It has another format version.
        """
        check_descriptors(TO_READ)
        return cls(Layout(path))

    def close(self) -> None:
        """Close its files."""
        self.ledger.close()
        if self._thumbnails is not None:
            self._thumbnails.close()
        if self._labels is not None:
            self._labels.close()

    def __enter__(self) -> DatabaseReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def refresh(self) -> None:
        """Move on to what has been committed since."""
        self.ledger.snapshot()
        self._vectors = None

    def rest(self) -> None:
        """Let go of the moment, until `refresh`: nothing may be asked meanwhile."""
        self.ledger.rest()

    # ---- images ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.ledger.images.count

    def __contains__(self, image_id: object) -> bool:
        return image_id in self.ledger.images

    def image(self, image_id: str) -> Record:
        """One image, with what people said of it up to now.

        Raises
        ------
        NotFoundError
            There is no such image.
        """
        row = self.ledger.images.get(image_id)
        if row is None:
            raise NotFoundError(
                f"no image has the id {image_id!r}; ids are the 16 hex digits that searches show"
            )
        if (labels := self.labels()) is not None:
            same_study = self.same_study([image_id])[image_id]
            row = replace(row, label_events=tuple(labels.labels.of(same_study)))
        return Record(
            document=document_from_row(row),
            metadata=row.metadata,
            reading=row.reading,
            pooled=row.pooled is not None,
            report=report_from_row(row),
            files=tuple(self.ledger.files.of_image(image_id)),
            run=self.ledger.runs.get(row.run),
        )

    def labels(self) -> LabelFile | None:
        """What people said of images up to now, whatever the documents tell; None where nobody
        ever could."""
        with self.ledger.lock:
            if self._labels is not None and not self._labels.is_current():
                self._labels.close()
                self._labels = None
            if self._labels is None and self.layout.labels.exists():
                self._labels = LabelFile(self.layout.labels)
            return self._labels

    def documents(self, image_ids: Iterable[str] | None = None) -> Iterator[Document]:
        """Documents of the named images, in that order and without unknown ones, or of all."""
        if image_ids is None:
            rows: Iterable[ImageRow | None] = self.ledger.images
        else:
            rows = map(self.ledger.images.get, image_ids)
        return (document_from_row(row) for row in rows if row is not None)

    def image_ids(self, *, study: str | None = None, patient: str | None = None) -> Iterator[str]:
        """Ids of all images, or of those of one study or patient."""
        return self.ledger.images.ids(study=study, patient=patient)

    def same_study(self, image_ids: Sequence[str]) -> dict[str, list[str]]:
        """For each image that is known, the ids of all images of its study, ascending."""
        return self.ledger.images.same_study(image_ids)

    def owners(
        self, image_ids: Sequence[str], column: Literal["study", "patient"]
    ) -> dict[str, str]:
        """For each image that is known, its study or patient."""
        return self.ledger.images.owners(image_ids, column)

    def views(self, image_ids: Sequence[str]) -> dict[str, str]:
        """For each image that is known, ``"frontal"`` or ``"lateral"``."""
        return {
            image: choose_view(*view) for image, view in self.ledger.images.views(image_ids).items()
        }

    def thumbnail(self, image_id: str) -> bytes | None:
        """WebP file of an image; None where there is none or it may not be shown."""
        row = self.ledger.images.get(image_id)
        if row is None or not row.thumbnail:
            return None
        with self.ledger.lock:
            if self._thumbnails is None:
                from indexer.database.thumbnail_store import Thumbnails

                self._thumbnails = Thumbnails(self.layout.thumbnails)
            return self._thumbnails.get(image_id)

    def vectors(self) -> Vectors:
        """All vectors; loads FAISS when first asked for."""
        with self.ledger.lock:
            if self._vectors is None:
                from indexer.database.vectors.index import Vectors

                shards = self.ledger.shards.open(self.layout.embeddings, self.manifest.dimensions)
                self._vectors = Vectors(self.layout.vectors, shards)
            return self._vectors

    # ---- files and runs -------------------------------------------------------------------------

    def counts(self) -> dict[FileStatus, int]:
        """Files by status."""
        return self.ledger.files.counts()

    def reasons(self) -> dict[FileStatus, dict[str, int]]:
        """Skipped and failed files by reason."""
        return self.ledger.files.reasons()

    def failures(
        self, statuses: Sequence[FileStatus] = ("failed",), reason: str | None = None
    ) -> Iterator[FileRecord]:
        """Files that were not indexed, in the order in which they were read."""
        return self.ledger.files.records(statuses=statuses, reason=reason)

    def last_run(self) -> Run | None:
        """The newest run."""
        return self.ledger.runs.last()
