"""What may stand behind the question mark of an address, for pages and API alike."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from search.request import Group, ImageId, Mode, PictureSource, SearchRequest

__all__ = [
    "BoundQuery",
    "FacetQuery",
    "Form",
    "NoQuery",
    "SearchQuery",
    "SimilarQuery",
    "SizeQuery",
    "TableQuery",
]

#: Formats of an export: tables, and search vectors alone.
Form: TypeAlias = Literal["csv", "jsonl", "parquet", "npy"]

_Cohort = Annotated[str | None, Field(pattern="^[0-9a-f]{20}$", description="Id of a cohort.")]
_Names = Annotated[list[str], Field(max_length=64)]


class NoQuery(BaseModel):
    """Nothing."""

    model_config = ConfigDict(extra="forbid")


class BoundQuery(NoQuery):
    """Which images may be found at all."""

    cohort: _Cohort = None
    source: Annotated[int | None, Field(ge=1, le=1 << 53, description="Number of an archive.")] = (
        None
    )


class SearchQuery(BoundQuery):
    """A search by words, by meaning, or both."""

    q: Annotated[str, Field(max_length=4096)] = ""
    mode: Mode = "words"
    filter: _Names = []
    facet: _Names = ["disease"]
    choose: _Names = []
    sort: Annotated[str, Field(max_length=32)] = "score"
    limit: Annotated[int, Field(ge=0, le=200)] = 20
    page: Annotated[int, Field(ge=1, le=1000)] = 1
    after: Annotated[str | None, Field(max_length=4096)] = None
    group: Group | None = None
    literal: bool = False

    def request(self, among: tuple[str, ...] | None = None) -> SearchRequest:
        """The same as the service takes it; no words ask for everything.

        Parameters
        ----------
        among
            The images of cohort and source.
        """
        return SearchRequest.of(
            self.q.strip() or "*",
            self.mode if self.q.strip() else "words",
            filters=tuple(self.filter),
            facets=tuple(self.facet),
            choices=tuple(self.choose),
            sort=self.sort,
            limit=self.limit,
            page=self.page,
            after=self.after,
            group=self.group,
            literal=self.literal,
            among=among,
        )


class FacetQuery(BoundQuery):
    """What is counted, and over what."""

    q: Annotated[str, Field(max_length=4096)] = ""
    filter: _Names = []
    facet: _Names = ["disease"]
    choose: _Names = []
    size: Annotated[int, Field(ge=1, le=1000)] = 20

    def request(self, among: tuple[str, ...] | None = None) -> SearchRequest:
        """The same as the service takes it."""
        return SearchRequest(
            words=self.q.strip() or "*",
            filters=tuple(self.filter),
            facets=tuple(self.facet),
            facet_size=self.size,
            choices=tuple(self.choose),
            limit=0,
            among=among,
        )


class SimilarQuery(BoundQuery):
    """A search by picture."""

    q: Annotated[str, Field(max_length=4096, description="Words that images must match.")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 10
    page: Annotated[int, Field(ge=1, le=100)] = 1
    after: Annotated[str | None, Field(max_length=4096)] = None
    choose: _Names = []
    filter: _Names = []
    facet: _Names = ["disease"]
    exclude: Group | None = None
    group: Group | None = None
    least: Annotated[float, Field(ge=0, le=1)] = 0.0

    def request(
        self, picture: PictureSource | str, among: tuple[str, ...] | None = None
    ) -> SearchRequest:
        """The same as the service takes it, for one picture or the id of one."""
        return SearchRequest(
            picture=ImageId(picture) if isinstance(picture, str) else picture,
            limit=self.limit,
            page=self.page,
            after=self.after,
            filters=tuple(self.filter),
            within=self.q.strip() or None,
            among=among,
            facets=tuple(self.facet),
            choices=tuple(self.choose),
            exclude=self.exclude,
            group=self.group,
            least_likeness=self.least,
        )


class TableQuery(BoundQuery):
    """Which images a table has, and what of them."""

    q: Annotated[str, Field(max_length=4096)] = ""
    literal: bool = False
    filter: _Names = []
    choose: _Names = []
    column: Annotated[list[str], Field(max_length=256)] = []
    report: Annotated[bool, Field(description="Also the report's text.")] = False
    sources: Annotated[bool, Field(description="Also where the files are.")] = False
    embeddings: Annotated[bool, Field(description="Also the search vector; Parquet alone.")] = False
    format: Form = "csv"


class SizeQuery(NoQuery):
    """How large a picture is wanted."""

    size: Annotated[int, Field(ge=64, le=2048)] = 1024
