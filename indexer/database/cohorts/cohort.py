"""A cohort: images that a person collected, with a name and a note."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from blake3 import blake3

from indexer.errors import QueryError

__all__ = ["MAX_IMAGES", "Cohort", "CohortSummary"]

#: A cohort has at most this many images, as a text store takes no more ids in one condition.
MAX_IMAGES = 50_000
_LONGEST_NAME, _LONGEST_NOTE = 200, 4000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_IMAGE = re.compile(r"[0-9a-f]{16}")


class CohortSummary(NamedTuple):
    """A `Cohort` with the number of its images alone."""

    id: str
    name: str
    note: str
    owner: str
    created: str
    changed: str
    images: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        fields = self._asdict()
        count = fields.pop("images")
        return {**fields, "count": count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Some images of a database.

    Parameters
    ----------
    id
        20 hex digits that nobody can guess: who has the link may read the cohort.
    name, note
        In the words of a person.
    owner
        Name of the person who may change it.
    created, changed
        ISO 8601 in UTC.
    images
        Ids in the order in which they were collected, each once.

    Raises
    ------
    QueryError
        A name is empty or too long, an id is none, or there are more than `MAX_IMAGES`.
    """

    id: str
    name: str
    note: str
    owner: str
    created: str
    changed: str
    images: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise QueryError("a cohort needs a name")
        for what, text, most in (
            ("name", self.name, _LONGEST_NAME),
            ("note", self.note, _LONGEST_NOTE),
        ):
            if len(text) > most:
                raise QueryError(f"the {what} of a cohort has at most {most} characters")
            if _CONTROL.search(text):
                raise QueryError(f"the {what} of a cohort has a character that cannot be shown")
        if len(self.images) > MAX_IMAGES:
            raise QueryError(
                f"a cohort holds at most {MAX_IMAGES:,} images, not {len(self.images):,}"
            )
        for image in self.images:
            if not _IMAGE.fullmatch(image):
                raise QueryError(f'"{image[:40]}" is no image id, which has 16 hex digits')

    @property
    def etag(self) -> str:
        """Checksum of all that it holds: another one means that it was changed."""
        own = [self.id, self.name, self.note, self.owner, self.created, self.changed, *self.images]
        return blake3(json.dumps(own).encode()).hexdigest()[:16]

    def with_images(self, images: Iterable[str]) -> Cohort:
        """The same with further images at its end."""
        return replace(self, images=tuple(dict.fromkeys([*self.images, *images])))

    def without_images(self, images: Iterable[str]) -> Cohort:
        """The same without some images."""
        gone = {*images}
        return replace(self, images=tuple(i for i in self.images if i not in gone))

    def to_json(self) -> dict[str, Any]:
        """A JSON object with all images."""
        return {**self.summary.to_json(), "images": list(self.images)}

    @property
    def summary(self) -> CohortSummary:
        """The same without its images."""
        count = len(self.images)
        return CohortSummary(
            self.id, self.name, self.note, self.owner, self.created, self.changed, count
        )
