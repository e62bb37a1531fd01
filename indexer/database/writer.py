"""The one writer of a database: the door to all that changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from indexer.database.checksums.folder import check_truth
from indexer.database.choices import Choices
from indexer.database.durable import writing
from indexer.database.layout import Layout, Manifest
from indexer.database.outcomes import Outcome
from indexer.database.vectors.shards import Shards
from indexer.database.writing.bundle_change import change_bundle
from indexer.database.writing.commits import commit
from indexer.database.writing.compaction import Compaction, Compactor, refresh_vectors
from indexer.database.writing.documents import FindReport
from indexer.database.writing.forgetting import Wanted, forget, wipe
from indexer.database.writing.opening import (
    all_or_nothing,
    opened_stores,
    ready_manifest,
    refuse_foreign,
)
from indexer.database.writing.outbox import Outbox
from indexer.database.writing.recovery import recover, rewrite_documents, sweep_thumbnails
from indexer.database.writing.reports import send_wrong_documents, update_reports
from indexer.database.writing.settling import drop_images, settle
from indexer.database.writing.stores import Stores

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

__all__ = ["FindReport", "Writer"]


class Writer:
    """A database opened for writing; made by `open` or `maintain`.

    A commit is a shard (written, synced, renamed), then one transaction of the ledger; then the
    outbox is drained into the text store, or waits while that does not answer. Killed anywhere,
    opening tidies up and the next run ends in the state of one that was never killed.

    Attributes
    ----------
    layout, ledger, thumbnails, text
        The folder and its stores.
    outbox
        Changes on their way to the text store.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self.layout = stores.layout
        self.ledger = stores.ledger
        self.thumbnails = stores.thumbnails
        self.text = stores.text
        self.outbox = Outbox(stores)

    @property
    def manifest(self) -> Manifest:
        """What the database was made with."""
        return self._stores.manifest

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        bundle: Bundle,
        key: str,
        choices: Choices | None = None,
        *,
        other_bundle: bool = False,
    ) -> Iterator[Writer]:
        """Lock a database, or make it where there is none, and finish what a killed run left.

        Parameters
        ----------
        path
            The folder.
        bundle, key
            Bundle and fingerprint of the id key, which must fit.
        choices
            What else is asked for of the database; None for nothing.
        other_bundle
            Take a database that was made with another bundle; `change_bundle` is to follow.

        Raises
        ------
        DatabaseLocked, DatabaseMismatch, DatabaseError, DiskFullError
            Each says what to do.
        """
        layout = Layout(path)
        if layout.is_made:
            layout.check(layout.read_manifest(), None if other_bundle else bundle, key)
        else:
            refuse_foreign(path)
        with layout.lock(), all_or_nothing(layout) as is_made:
            manifest = ready_manifest(
                layout, bundle, key, choices or Choices(), other_bundle=other_bundle
            )
            with opened_stores(layout, manifest) as stores:
                writer = cls(stores)
                recover(stores, writer.outbox)
                rewrite_documents(stores, writer.outbox)
                is_made()
                yield writer

    @classmethod
    @contextmanager
    def maintain(
        cls,
        path: Path,
        *,
        text: Literal["drained", "untouched", "rebuilt"] = "drained",
        brief: bool = False,
    ) -> Iterator[Writer]:
        """Lock a database that exists, whatever bundle it was made with.

        Parameters
        ----------
        path
            The folder.
        text
            What becomes of the text store: what waits for it is sent; or nothing, as
            `Outbox.sync` or `Outbox.migrate` is to follow; or it is thrown away and filled again.
        brief
            It is closed again in a moment, so that other writers wait for it.

        Raises
        ------
        DatabaseLocked, DatabaseMismatch, DatabaseError, DiskFullError
            Each says what to do.
        """
        layout = Layout(path)
        layout.read_manifest()
        with layout.lock(brief=brief):
            check_truth(path)
            manifest = layout.read_manifest()
            with opened_stores(layout, manifest, rebuild_text=text == "rebuilt") as stores:
                writer = cls(stores)
                recover(stores, writer.outbox, drain=text != "untouched")
                yield writer

    # ---- runs -----------------------------------------------------------------------------------

    def begin_run(self) -> int:
        """Open a run in the ledger and give its number."""
        with self.ledger.transaction():
            number = self.ledger.runs.begin(version("cxrdex"), self.manifest.bundle)
        self._stores.run = number
        return number

    def end_run(self, state: Literal["complete", "interrupted"], counts: Mapping[str, int]) -> None:
        """Close the run that `begin_run` opened."""
        with writing(self.layout.root), self.ledger.transaction():
            self.ledger.runs.end(self._stores.run, state, counts)

    def archive(self, path: str) -> int:
        """The number by which files refer to an archive."""
        with self.ledger.transaction():
            return self.ledger.files.archive(path)

    def change_bundle(
        self, bundle: Bundle, archives: Sequence[str], pool_studies: bool | None = None
    ) -> None:
        """Make room for the readings of another bundle, which cannot stand beside the old ones.

        All images are dropped and their files become unread, so that the run that follows fills
        the database again; killed before its end, it is like any other run that was.

        Parameters
        ----------
        archives
            Paths of the archives that are going to be read.
        pool_studies
            Whether the images of a study share their findings from now on; None as before.

        Raises
        ------
        DatabaseMismatch
            Images of an archive that is not among them would be lost.
        """
        change_bundle(self._stores, self.outbox, bundle, archives, pool_studies)

    # ---- images ---------------------------------------------------------------------------------

    def commit(self, outcomes: Sequence[Outcome], find_report: FindReport | None = None) -> None:
        """Store what became of some files, in order, all or nothing, and send the documents.

        Parameters
        ----------
        outcomes
            At most one per file; of those with a reading at most one per image. An image without
            a reading must be in the database already, or come earlier.
        find_report
            Gives the report filed under one of some keys.

        Raises
        ------
        DiskFullError, DatabaseError
            Nothing of it is stored then.
        """
        self.store(outcomes, find_report)
        self.outbox.drain()

    def store(self, outcomes: Sequence[Outcome], find_report: FindReport | None = None) -> None:
        """As `commit`, but the documents wait until `Outbox.drain` is called, by any thread."""
        with writing(self.layout.root):
            commit(self._stores, outcomes, find_report, self.outbox.drain)

    def update_reports(
        self,
        find_report: FindReport,
        states: Mapping[str, str],
        all_readable: Callable[[], bool] = lambda: True,
    ) -> int:
        """Attach new and changed reports to all images; gives how many images that changed.

        An image whose report is not found loses it where the report must have been withdrawn: all
        folders that reports ever came from were looked through, and every report was readable.

        Parameters
        ----------
        states
            Fingerprints of the report folders by path, kept for `Runs.report_state`.
        all_readable
            Whether, so far, no report was found that cannot be read.
        """
        with writing(self.layout.root):
            return update_reports(
                self._stores, find_report, states, all_readable, self.outbox.drain
            )

    def rehash(self) -> int:
        """Send the documents again that are not what their hash, or their study, says."""
        with writing(self.layout.root):
            return send_wrong_documents(self._stores, self.outbox.drain)

    def remove_files(self, archive: int, names: Sequence[str]) -> None:
        """Forget files; `settle` then drops the images that no file holds any more."""
        with writing(self.layout.root), self.ledger.transaction():
            self.ledger.files.remove(archive, names)

    def settle(self, find_report: FindReport | None = None) -> int:
        """Decide what becomes of images that lost a file (`settling`); gives how many went."""
        return settle(self._stores, find_report, self.outbox.drain)

    def drop_images(self, image_ids: Sequence[str]) -> None:
        """Drop images and all their files, so that the next run reads these as new ones."""
        with writing(self.layout.root):
            drop_images(self._stores, image_ids)
        self.outbox.drain()

    # ---- derived stores -------------------------------------------------------------------------

    def compact(self, *, everything: bool = False) -> Compaction:
        """Merge small shards once there are many; tells what was done.

        Parameters
        ----------
        everything
            Drop all dead rows, of the vector index too, and the files that held them. A reader
            that has not yet opened its vectors then has to refresh.
        """
        compactor = Compactor(self._stores)
        with writing(self.layout.root):
            return compactor.everything() if everything else compactor.small()

    def wipe(self) -> Sequence[str]:
        """Leave no byte of what is gone: in vectors, texts, pictures and the ledger.

        Returns
        -------
        names
            Files that an open search still holds older bytes of: wipe again once it has ended.

        Raises
        ------
        TextStoreUnavailable
            Elasticsearch does not answer; all else is done.
        """
        return wipe(self._stores, self.outbox)

    def forget(self, wanted: Wanted) -> None:
        """Drop what is wanted and keep it from coming back; `wipe` is to follow."""
        with writing(self.layout.root):
            forget(self._stores, wanted)
        self.outbox.drain()

    def allow_again(self, wanted: Wanted) -> int:
        """Let what was forgotten come back with the next run; gives how many names that were."""
        with writing(self.layout.root), self.ledger.transaction():
            return self.ledger.forgotten.remove(wanted.kind, wanted.names)

    def shards(self) -> Shards:
        """The committed shards."""
        return self.ledger.shards.open(self.layout.embeddings, self.manifest.dimensions)

    def build_vectors(self, *, always: bool = False) -> bool:
        """Build a FAISS generation where it is worth its time; tells whether it was."""
        return refresh_vectors(self._stores, always=always)

    def sweep_thumbnails(self) -> int:
        """Drop the pictures that no image owns; gives how many that were."""
        return sweep_thumbnails(self._stores)
