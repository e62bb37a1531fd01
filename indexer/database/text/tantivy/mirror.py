"""A folder of links to an index that may be read but not written.

tantivy takes a lock, which is a file, even to open an index for reading.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

__all__ = ["Mirror"]


class Mirror:
    """Links to all files of an index, in a temporary folder that ends with this object.

    Parameters
    ----------
    path
        The index's folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self.folder = Path(tempfile.mkdtemp(prefix="cxrdex-text-"))
        # A TemporaryDirectory would warn where it is not closed by hand.
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.sync()

    def sync(self) -> None:
        """Link what is new, and drop links to what is gone."""
        there = {p.name for p in self._path.iterdir() if not p.name.endswith(".lock")}
        for link in self.folder.iterdir():
            if link.is_symlink() and link.name not in there:
                link.unlink(missing_ok=True)
        for name in there:
            with suppress(FileExistsError):
                os.symlink(self._path / name, self.folder / name)
