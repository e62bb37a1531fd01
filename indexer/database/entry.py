"""The outcome of one file, as a commit takes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from indexer.archive.deidentify import Metadata
from indexer.database.text.documents import canonical

if TYPE_CHECKING:
    from indexer.cascade.reading import Reading

__all__ = ["Entry", "Header"]


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
        """The header of which `to_text` made `text`."""
        data = json.loads(text)
        metadata = Metadata.from_json(data["metadata"])
        return cls(data["study"], data["patient"], metadata, tuple(data["report_keys"]))


@dataclass(frozen=True, slots=True)
class Entry:
    """The outcome of one file.

    Parameters
    ----------
    archive
        Number of its archive, from `Writer.archive`.
    name, size, mtime_ns, checksum
        The file as it was read; BLAKE3 in hex, None where it could not be read.
    outcome
        ``"image"``; ``"same"`` if its content is what it was; or why it is none.
    reason, detail
        Of a skipped or failed one.
    image_id, header, thumbnail
        Of an image.
    reading
        Of an image whose content is new; None where the database has it already, or an earlier
        entry of the same or an earlier commit brings it.
    """

    archive: int
    name: str
    size: int
    mtime_ns: int
    checksum: str | None
    outcome: Literal["image", "same", "skipped", "failed"]
    reason: str | None = None
    detail: str | None = None
    image_id: str | None = None
    header: Header | None = None
    thumbnail: bytes | None = None
    reading: Reading | None = None
