"""What may stand behind the question mark of an address, for pages and API alike."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from search.request import Group, ImageId, Mode, Picture, SearchRequest

__all__ = ["FacetQuery", "NoQuery", "SearchQuery", "SimilarQuery", "SizeQuery"]

_Names = Annotated[list[str], Field(max_length=64)]


class NoQuery(BaseModel):
    """Nothing."""

    model_config = ConfigDict(extra="forbid")


class SearchQuery(NoQuery):
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

    def request(self) -> SearchRequest:
        """The same as the service takes it; no words ask for everything."""
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
        )


class FacetQuery(NoQuery):
    """What is counted, and over what."""

    q: Annotated[str, Field(max_length=4096)] = ""
    filter: _Names = []
    facet: _Names = ["disease"]
    choose: _Names = []
    size: Annotated[int, Field(ge=1, le=1000)] = 20

    def request(self) -> SearchRequest:
        """The same as the service takes it."""
        return SearchRequest(
            words=self.q.strip() or "*",
            filters=tuple(self.filter),
            facets=tuple(self.facet),
            facet_size=self.size,
            choices=tuple(self.choose),
            limit=0,
        )


class SimilarQuery(NoQuery):
    """A search by picture."""

    limit: Annotated[int, Field(ge=1, le=200)] = 10
    filter: _Names = []
    facet: _Names = ["disease"]
    exclude: Group | None = None
    group: Group | None = None
    least: Annotated[float, Field(ge=0, le=1)] = 0.0

    def request(self, picture: Picture | str) -> SearchRequest:
        """The same as the service takes it, for one picture or the id of one."""
        return SearchRequest(
            picture=ImageId(picture) if isinstance(picture, str) else picture,
            limit=self.limit,
            filters=tuple(self.filter),
            facets=tuple(self.facet),
            exclude=self.exclude,
            group=self.group,
            least_likeness=self.least,
        )


class SizeQuery(NoQuery):
    """How large a picture is wanted."""

    size: Annotated[int, Field(ge=64, le=2048)] = 1024
