"""What may be asked of a database: one frozen request, of words, meaning, a picture, or several."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from indexer.errors import QueryError, RequestError

__all__ = [
    "DIGITS",
    "GROUPS",
    "MODES",
    "Group",
    "ImageFile",
    "ImageId",
    "Mode",
    "PictureSource",
    "SearchRequest",
    "Upload",
    "facet_name",
    "is_id",
]

Group: TypeAlias = Literal["study", "patient"]
GROUPS: tuple[Group, ...] = get_args(Group)
Mode: TypeAlias = Literal["words", "semantic", "hybrid"]
MODES: tuple[Mode, ...] = get_args(Mode)
#: Hexadecimal digits of an image id.
DIGITS = 16
_ID = re.compile(rf"[0-9a-f]{{6,{DIGITS}}}")


@dataclass(frozen=True, slots=True)
class ImageId:
    """An image of the database: its id, or the first 6 digits or more of it."""

    text: str

    @property
    def is_whole(self) -> bool:
        """Whether it is an id in full, for which no other need be looked at."""
        return len(self.text.strip()) == DIGITS


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Upload:
    """The content of an image file; `name` is for messages, and tells what it was meant to be.

    What is made of it is kept for as long as the upload itself (`search.models.Models.film`).
    """

    content: bytes
    name: str = "the upload"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that the person at this machine names; never made of what a remote caller sends."""

    path: Path


PictureSource: TypeAlias = ImageId | Upload | ImageFile


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """One search; at least one of words, meaning and picture.

    Words alone are ranked by BM25 and a picture alone by likeness. Otherwise, each ranks for
    itself to a depth of 1,000 images, and the rankings are fused.

    Parameters
    ----------
    words
        Free text (`search.language`), or a query in the language of `search.language.query`.
    meaning
        Any sentence. Where it is the same text as `words`, it is what these ask for, without
        fields, operators and what is denied.
    picture
        Images like it are found. An image of the database does not find itself.
    literal
        Take free text for a query in the language; a sentence as it stands.
    filters
        Conditions that all images found must meet (`search.language.filters`); they do not count
        in a score.
    within
        Words that all images found must match, too, and that do not count in a score: free text or
        a query, as `words`.
    among
        Ids of the only images that may be found; None for all.
    facets, facet_size
        Fields whose values are counted, and how many values of each, the commonest first.
    choices
        ``facet=value``: images found must have one of the values chosen in each facet, but a
        facet's own choice does not shrink its counts.
    limit, page
        Rows per page, and which page, from 1.
    after
        Token of the page before (`Results.after`) in place of `page`.
    sort
        ``"score"``, or ``"age"``, ``"year"``, ``"id"``, each also with ``:desc``. But for
        ``"score"`` for words alone.
    group
        One row for each study (or patient), its best image; None for a row of each image.
    exclude
        Leave out the picture's own study (or patient).
    least_likeness
        Leave out what is less like the picture, 0..1.
    include_unusual
        Find pictures that are hardly chest films, too; searches by words alone always do.
    pool_studies
        Compare a picture with whole studies by their mean vectors, not with single images.
    reports
        Look into the text of reports, and show what of it matches; without it words are those of
        annotations, and fields of reports are refused.

    Raises
    ------
    RequestError
        What is asked for does not go together.
    QueryError
        A page, a number or a name is wrong.
    """

    words: str | None = None
    meaning: str | None = None
    picture: PictureSource | None = None
    literal: bool = False
    filters: tuple[str, ...] = ()
    within: str | None = None
    among: tuple[str, ...] | None = None
    facets: tuple[str, ...] = ("disease",)
    facet_size: int = 20
    choices: tuple[str, ...] = ()
    limit: int = 20
    page: int = 1
    after: str | None = None
    sort: str = "score"
    group: Group | None = None
    exclude: Group | None = None
    least_likeness: float = 0.0
    include_unusual: bool = False
    pool_studies: bool = True
    reports: bool = True

    @classmethod
    def of(cls, query: str, mode: Mode = "words", **more: Any) -> SearchRequest:
        """A query by the words themselves, by what they mean (``"semantic"``), or both
        (``"hybrid"``); `more` are the other fields."""
        if mode not in MODES:
            raise QueryError(f'no mode "{mode}"; there are {", ".join(MODES)}')
        words = None if mode == "semantic" else query
        meaning = None if mode == "words" else query
        return cls(words=words, meaning=meaning, **more)

    def __post_init__(self) -> None:
        if self.words is None and self.meaning is None and self.picture is None:
            raise RequestError("nothing to search for: give words, a sentence or a picture")
        if self.page < 1 or self.limit < 0:
            raise QueryError(
                f"page {self.page} of {self.limit} hits: pages count from 1, hits from 0"
            )
        if self.after is not None and self.page != 1:
            raise QueryError("name a page or the token of the page before, not both")
        if not self.by_words_alone and self.sort != "score":
            raise RequestError("sorts are for words alone; what is found otherwise is ranked")
        for name in (self.group, self.exclude):
            if name is not None and name not in GROUPS:
                raise QueryError(f'no grouping by "{name}"; there are {" and ".join(GROUPS)}')
        if not 0 <= self.least_likeness <= 1:
            raise QueryError(f"a likeness of {self.least_likeness:g}: it is 0 at least, 1 at most")

    @property
    def is_bounded(self) -> bool:
        """Whether not all images may be found, so that the text store has to tell which may."""
        return bool(self.filters or self.choices or self.within or self.among is not None)

    @property
    def by_words_alone(self) -> bool:
        """Whether only words are asked for."""
        return self.meaning is None and self.picture is None

    @property
    def by_picture_alone(self) -> bool:
        """Whether only a picture is asked for."""
        return self.words is None and self.meaning is None


def is_id(text: str) -> bool:
    """Whether a text may be the id of an image, or begin one: 6 to 16 hexadecimal digits."""
    return _ID.fullmatch(text.strip().lower()) is not None


def facet_name(choice: str) -> str:
    """The facet that a choice, ``facet=value``, is of."""
    return choice.partition("=")[0].strip().lower()
