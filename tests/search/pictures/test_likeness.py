"""The images of a study, asked for by a picture: the one of the same view stands first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.annotation import Annotation, Word
from indexer.archive.deidentify import Metadata
from indexer.cascade.reading import Reading
from indexer.database.outcomes import Header
from search.service import SearchService
from tests.database.making import DIMENSIONS, entry, image_id, opened
from tests.search.asking import similar

FRONTAL, LATERAL, OTHER_FRONTAL, OTHER_LATERAL, FAR = map(image_id, range(5))
# Number of an image: its study, view and vector. By their own vectors the two studies' images of
# different views are the more alike.
FILMS = {
    0: ("a", "PA", (1.0, 0.0, 0.0)),
    1: ("a", "LL", (0.0, 1.0, 0.0)),
    2: ("b", "PA", (0.3, 0.9, 0.0)),
    3: ("b", "LL", (0.9, 0.3, 0.0)),
    4: ("c", "PA", (0.1, 0.0, 1.0)),
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views") / "database"
    words = (Annotation("predicted", (Word("opacity", "disease", 0.75),)),)
    entries = []
    for number, (study, view, direction) in FILMS.items():
        vector = np.zeros(DIMENSIONS, np.float32)
        vector[: len(direction)] = direction
        vector /= np.linalg.norm(vector)
        header = Header(study * 12, study * 12, Metadata(rows=8, columns=9, view=view), ())
        seen = Reading({"opacity": 0.75}, words, "frontal", 0.9, vector)
        entries.append(entry(number, header=header, predicted=seen))
    with opened(path) as writer:
        writer.commit(entries)
        writer.build_vectors()
        writer.end_run("complete", {})
    return path


@pytest.mark.parametrize(
    ("asked", "images"),
    [(FRONTAL, (OTHER_FRONTAL, OTHER_LATERAL)), (LATERAL, (OTHER_LATERAL, OTHER_FRONTAL))],
)
def test_of_a_study_the_same_view_comes_first(
    database: Path, asked: str, images: tuple[str, ...]
) -> None:
    with SearchService(database) as service:
        row = similar(service, asked, group="study", exclude="study").hits[0]
        assert row.images == images
        single = similar(service, asked, exclude="study").hits
        assert tuple(hit.id for hit in single) == (*images, FAR)
        assert single[0].score == single[1].score > single[2].score
        # By their own vectors alone, each picture is like the other view.
        own = similar(service, asked, exclude="study", pool_studies=False).hits
        assert tuple(hit.id for hit in own[:2]) == images[::-1]
