"""What became of one file: the one shape that passes from worker to model to ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from indexer.archive.deidentify import Metadata
from indexer.database.text.documents import canonical

if TYPE_CHECKING:
    from indexer.archive.decoding import DecodedImage
    from indexer.cascade.reading import Reading

__all__ = ["Failed", "File", "Header", "Outcome", "Read", "Skipped", "Unchanged"]

_NO_CANVAS = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class File:
    """A file of an archive as it was found.

    Parameters
    ----------
    archive
        Number of its archive in the ledger.
    name
        Its name inside the archive.
    size, mtime_ns
        Bytes, and time of last change in ns since 1970.
    """

    archive: int
    name: str
    size: int
    mtime_ns: int

    @property
    def place(self) -> tuple[int, str]:
        """Archive and name, which no other file has."""
        return self.archive, self.name


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of the image it holds, beside the pixels.

    Parameters
    ----------
    study, patient
        Pseudonymous ids.
    metadata
        The allow-listed values.
    report_keys
        Pseudonyms under which a report may be filed.
    """

    study: str
    patient: str
    metadata: Metadata
    report_keys: tuple[str, ...]

    def to_text(self) -> str:
        """JSON; `from_text` reads it back."""
        return canonical(
            {
                "study": self.study,
                "patient": self.patient,
                "metadata": self.metadata.to_json(),
                "report_keys": self.report_keys,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Header:
        """The header that `to_text` turned into `text`."""
        data = json.loads(text)
        metadata = Metadata.from_json(data["metadata"])
        return cls(data["study"], data["patient"], metadata, tuple(data["report_keys"]))


@dataclass(frozen=True, slots=True)
class Read:
    """A file that holds an image.

    Parameters
    ----------
    file
        The file.
    checksum
        BLAKE3 of its content in hex.
    image
        The decoded image; without its canvas once the model has seen that.
    reading
        What the model says of it; None before, and where the database knows the image already.
    """

    file: File
    checksum: str
    image: DecodedImage
    reading: Reading | None = None

    @property
    def header(self) -> Header:
        """What the file says of the image."""
        image = self.image
        return Header(image.study, image.patient, image.metadata, image.report_keys)

    def done(self, reading: Reading | None) -> Read:
        """With what the model says, and without the canvas, which would fill the memory."""
        return replace(self, image=replace(self.image, canvas=_NO_CANVAS), reading=reading)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A file of another size or time whose content is what it was."""

    file: File
    checksum: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that holds nothing to index.

    Parameters
    ----------
    checksum
        None where it was not read to the end.
    reason, detail
        A stable code, and words.
    """

    file: File
    checksum: str | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that should have been read, but could not be; the fields are those of `Skipped`."""

    file: File
    checksum: str | None
    reason: str
    detail: str


Outcome: TypeAlias = Read | Unchanged | Skipped | Failed
