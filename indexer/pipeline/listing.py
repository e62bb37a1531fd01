"""What is in the archives now, compared with what the ledger knows of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import advice
from indexer.archive.sources.members import Member
from indexer.database.durable import writing
from indexer.database.ledger.changed_files import ListedFile
from indexer.errors import PruneRefused
from indexer.pipeline.executor import FileTask
from indexer.pipeline.options import FileSelection

if TYPE_CHECKING:
    from indexer.archive.sources.members import Archive
    from indexer.database.writer import Writer

__all__ = ["Listing", "archive_name"]

_CHUNK = 5000


class Listing:
    """The files of some archives, in a scratch file beside the ledger, so that memory stays flat.

    A context manager; the scratch file is deleted at its end, or by the next one.

    Parameters
    ----------
    writer
        The database.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._tables = writer.ledger.changed
        self._archives: dict[int, str] = {}
        self.total = 0
        self.todo = 0

    def __enter__(self) -> Listing:
        path = self._writer.layout.scratch
        with writing(path):
            self._tables.attach(path)
        return self

    def __exit__(self, *_: object) -> None:
        self._tables.detach()
        self._writer.layout.scratch.unlink(missing_ok=True)

    def fill(
        self,
        archives: Sequence[Archive],
        stopped: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> bool:
        """List all files, each once; tells whether that was done to the end.

        Parameters
        ----------
        archives
            Where to look.
        stopped
            Asked now and then whether to give up.
        progress
            Told now and then how many files were found.
        """
        for archive in archives:
            shown = archive_name(archive)
            number = self._writer.archive(shown)
            self._archives[number] = shown
            own = _inside(archive.path, self._writer.layout.root)
            chunk: list[ListedFile] = []
            for member in archive.members():
                if own and member.name.startswith(own):
                    continue
                file = member.name, member.size, member.mtime_ns, member.offset
                chunk.append(ListedFile(number, *file))
                if len(chunk) == _CHUNK:
                    self._insert(chunk)
                    chunk = []
                    progress(self.total)
                    if stopped():
                        return False
            self._insert(chunk)
            progress(self.total)
        return not stopped()

    def _insert(self, files: Sequence[ListedFile]) -> None:
        with writing(self._writer.layout.scratch), self._writer.ledger.transaction():
            self.total += self._tables.add(files)

    def compare(self, selection: FileSelection) -> None:
        """Find out which files are to be read, and which are gone."""
        with writing(self._writer.layout.scratch), self._writer.ledger.transaction():
            self.todo = self._tables.compare(
                retry_failed=selection.retry_failed,
                checksum=selection.checksum,
                reread=selection.reread,
            )
            for number in self._archives:
                gone = self._tables.absent(number)
                self._tables.add_removed(
                    number, (name for name in gone if not self._hidden(number, name))
                )

    def _hidden(self, archive: int, name: str) -> bool:
        """Whether a file is not to be seen only because what it lies in could not be listed.

        A folder, zip or tar that cannot be listed stands in the listing under its own name.
        """
        parents = [name[:i] for i, c in enumerate(name) if c == "/"]
        parents = [parent.removesuffix("!") for parent in parents]
        own = os.path.basename(self._archives[archive])
        return self._tables.has_any(archive, parents, own)

    def tasks(self, limit: int | None = None) -> Iterator[FileTask]:
        """The files to read, in the order of the listing."""
        for file, checksum in self._tables.to_read(limit):
            archive = self._archives[file.archive]
            member = Member(archive, file.name, file.size, file.mtime_ns, file.place)
            yield FileTask(file.archive, member, checksum)

    @property
    def removed(self) -> int:
        """How many files the archives had once and have no more."""
        return sum(map(self._tables.removed, self._archives))

    def check_removed(self, share: float | None) -> None:
        """Refuse to drop much of an archive, which may only be out of reach.

        Parameters
        ----------
        share
            Of an archive's files that may be gone, 0..1, but never all of them; with None they may.

        Raises
        ------
        PruneRefused
            Its text says of which archive how many files are gone.
        """
        if share is None:
            return
        for number, path in self._archives.items():
            known, gone = self._tables.known(number), self._tables.removed(number)
            if not gone:
                continue
            if not self._tables.found(number):
                raise PruneRefused(
                    f"{path} is empty, but the database has {known} files of it: is it mounted? "
                    f"{advice.PRUNE}"
                )
            if gone > share * known:
                raise PruneRefused(
                    f"{gone} of {known} files are gone from {path}, more than {share:.0%}: nothing "
                    f"was dropped. {advice.PRUNE_MORE}"
                )

    def prune(self) -> int:
        """Forget the removed files; gives how many."""
        count = 0
        for number in self._archives:
            last = ""
            while names := self._tables.removed_names(number, last, _CHUNK):
                self._writer.remove_files(number, names)
                last, count = names[-1], count + len(names)
        return count


def _inside(archive: str, database: Path) -> str:
    """The database's path inside the archive with a slash at its end; empty if it is not there."""
    own = os.path.relpath(os.path.abspath(database), archive).replace(os.sep, "/")
    return "" if own.startswith("..") or os.path.isabs(own) else own + "/"


def archive_name(archive: Archive) -> str:
    """The path by which the ledger knows an archive."""
    return os.fsencode(archive.path).decode("utf-8", "backslashreplace")
