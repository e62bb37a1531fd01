"""Pages of what is like a picture: by token, and unmoved by images that come meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.annotation import Annotation, Word
from indexer.archive.deidentify import Metadata
from indexer.cascade.reading import Reading
from indexer.database.outcomes import Header, Outcome
from indexer.errors import QueryError
from search.paging import Cursor
from search.pictures.likeness import Neighbour
from search.pictures.pages import DEEPEST, find_page
from search.request import ImageId, SearchRequest
from search.service import SearchService
from tests.database.making import DIMENSIONS, entry, image_id, opened
from tests.search.asking import similar

COUNT = 60


def entries(numbers: Sequence[int], *, near: bool = False) -> list[Outcome]:
    """Images, two of each study, somewhere or near to the first."""
    words = (Annotation("predicted", (Word("opacity", "disease", 0.75),)),)
    made: list[Outcome] = []
    for number in numbers:
        vector = np.random.default_rng(number).normal(size=DIMENSIONS).astype(np.float32)
        if near:
            vector = np.random.default_rng(0).normal(size=DIMENSIONS) * 1.3 + 0.3 * vector
        study = f"{number // 2:012x}"
        header = Header(study, study, Metadata(rows=8, columns=9, view="PA"), ())
        seen = Reading({"opacity": 0.75}, words, "frontal", 0.9, vector / np.linalg.norm(vector))
        made.append(entry(number, header=header, predicted=seen))
    return made


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "database"
    with opened(path) as writer:
        writer.commit(entries(range(COUNT)))
        writer.build_vectors()
        writer.end_run("complete", {})
    return path


def shown(service: SearchService, after: str | None = None, **more: Any) -> tuple[list[str], Any]:
    page = similar(service, image_id(0), 7, after=after, **more)
    return [hit.id for hit in page.hits], page.after


@pytest.mark.parametrize("more", [{}, {"group": "study"}, {"exclude": "study", "group": "study"}])
def test_pages_by_token_are_the_whole(database: Path, more: dict[str, Any]) -> None:
    with SearchService(database) as service:
        whole = [hit.id for hit in similar(service, image_id(0), 200, **more).hits]
        found, after = shown(service, **more)
        second = similar(service, image_id(0), 7, after=after, **more)
        assert second.hits[0].reasons[0].rank == 8
        while after is not None:
            page, after = shown(service, after, **more)
            found += page
    assert found == whole
    assert len(whole) > 20


@pytest.mark.parametrize("group", [None, "study"])
def test_images_that_come_meanwhile_move_no_row(database: Path, group: str | None) -> None:
    with SearchService(database) as service:
        whole = [hit.id for hit in similar(service, image_id(0), 200, group=group).hits]
        found, after = shown(service, group=group)
        with opened(database) as writer:
            writer.commit(entries(range(COUNT, COUNT + 40), near=True))
            writer.end_run("complete", {})
        now = [hit.id for hit in similar(service, image_id(0), 7, group=group).hits]
        assert len({*now} - {*whole}) > 3
        while after is not None:
            page, after = shown(service, after, group=group)
            found += page
    assert found == whole


def test_a_row_that_is_gone_leaves_those_that_are_less_like() -> None:
    rows = [Neighbour(f"{n:016x}", 1 - n / 10, (f"{n:016x}",), 1 - n / 10) for n in range(8)]
    asked = SearchRequest(picture=ImageId("0" * 16), limit=3)

    def look(count: int) -> list[Neighbour]:
        return [one for one in rows if one.id != f"{2:016x}"][:count]

    token = Cursor(rows[2].share, rows[2].id, 3).token("s")
    page = find_page(look, SearchRequest(picture=asked.picture, limit=3, after=token), "s")
    assert [one.id for one in page.rows] == [one.id for one in rows[3:6]]
    deep = Cursor(0.5, rows[2].id, DEEPEST + 1).token("s")
    with pytest.raises(QueryError, match="20,000"):
        find_page(look, SearchRequest(picture=asked.picture, limit=3, after=deep), "s")


def test_a_token_is_of_one_picture(database: Path) -> None:
    with SearchService(database) as service:
        _, after = shown(service)
        for other in ({"least_likeness": 0.01}, {"group": "study"}):
            with pytest.raises(QueryError, match="not of this search"):
                shown(service, after, **other)
        with pytest.raises(QueryError, match="not of this search"):
            similar(service, image_id(1), 7, after=after)
