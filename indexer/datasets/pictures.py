"""Where the pictures of a data set lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from indexer.archive.sources.names import stem
from indexer.errors import TrainingError

__all__ = ["PictureFinder"]

_ANY_SUFFIX = ".*"


class PictureFinder:
    """Finds the picture of a row; folders with ``*`` in their path are listed once.

    Parameters
    ----------
    root
        The data set's folder.
    templates
        See `indexer.datasets.description.Description.pictures`.
    """

    def __init__(self, root: Path, templates: Sequence[str]) -> None:
        self._root = root
        self._templates = templates
        self._listed: dict[str, dict[str, Path]] = {}

    def find(self, row: Mapping[str, str]) -> Path | None:
        """The first picture that is there; None where there is none.

        Raises
        ------
        TrainingError
            A template is no path inside the folder.
        """
        for template in self._templates:
            try:
                name = template.format_map(row)
            except (KeyError, ValueError, IndexError) as error:
                raise TrainingError(f"{template!r} is no path of pictures: {error}") from error
            # Paths of a table must stay in the data set's folder; the description may name another
            # folder.
            if name.startswith("/") != template.startswith("/") or ".." in Path(name).parts:
                continue
            if "*" not in name:
                path = self._root / name
                if path.is_file():
                    return path
                continue
            folder, _, own = name.rpartition("/")
            found = self._names(folder).get(own)
            if found is not None:
                return found
        return None

    def _names(self, folder: str) -> dict[str, Path]:
        """The files of a folder by name, and by name with any suffix."""
        if folder not in self._listed:
            found: dict[str, Path] = {}
            folders = sorted(self._root.glob(folder)) if folder else [self._root]
            for path in (p for f in folders if f.is_dir() for p in f.iterdir()):
                found.setdefault(path.name, path)
                found.setdefault(stem(path.name) + _ANY_SUFFIX, path)
            self._listed[folder] = found
        return self._listed[folder]
