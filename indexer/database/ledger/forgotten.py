"""What was forgotten on request, by pseudonym, so that no later run brings it back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from indexer.database.ledger.table import LedgerTable

__all__ = ["Forgotten", "ForgottenKind"]

ForgottenKind: TypeAlias = Literal["patient", "study", "image"]

_COLUMN = {"patient": "patient", "study": "study", "image": "image_id"}


class Forgotten(LedgerTable):
    """The table `forgotten`; it is there once something was forgotten."""

    def all(self) -> frozenset[tuple[ForgottenKind, str]]:
        """Kind and pseudonym of all that must not come back."""
        there = self._one("SELECT 1 FROM sqlite_schema WHERE name = 'forgotten'")
        return frozenset(self._all("SELECT kind, id FROM forgotten")) if there else frozenset()

    def add(self, kind: ForgottenKind, names: Iterable[str]) -> None:
        """Keep pseudonyms from coming back."""
        self._change(
            "CREATE TABLE IF NOT EXISTS forgotten (kind TEXT NOT NULL, id TEXT NOT NULL, "
            "PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )
        rows = ((kind, name) for name in names)
        self._change_each("INSERT OR IGNORE INTO forgotten VALUES (?, ?)", rows)

    def remove(self, kind: ForgottenKind, names: Iterable[str]) -> int:
        """Let pseudonyms come back; gives how many were kept from it."""
        if not self.all():
            return 0
        rows = ((kind, name) for name in names)
        return self._change_each("DELETE FROM forgotten WHERE kind = ? AND id = ?", rows)

    def affected_images(self, kind: ForgottenKind, name: str) -> list[str]:
        """Ids of the images of a patient or study, or of one image, that the ledger has."""
        rows = self._all(f"SELECT image_id FROM images WHERE {_COLUMN[kind]} = ?", name)
        return [image_id for (image_id,) in rows]

    def images_filed_under(self, key: str) -> list[str]:
        """Ids of the images that have a report key."""
        rows = self._all(
            "SELECT DISTINCT image_id FROM images, json_each(images.report_keys) "
            "WHERE json_each.value = ?",
            key,
        )
        return [image_id for (image_id,) in rows]

    def drop_duplicates(self, kind: Literal["patient", "study"], name: str) -> int:
        """Forget duplicates that a patient or study has of images of another."""
        return self._change(
            f"DELETE FROM files WHERE status = 'duplicate' "
            f"AND json_extract(identity, '$.{kind}') = ?",
            name,
        )
