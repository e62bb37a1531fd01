"""What is no chest film is kept by a run, without findings and with a mark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from indexer.pipeline.run import index
from search.request import ImageId, SearchRequest
from search.service import SearchService


def test_noise_is_done_has_no_findings_and_is_left_out_of_similar(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0)
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in ("one", "other"):
        noise = pixels.integers(0, 256, (300, 280), np.uint8)
        Image.fromarray(noise).save(archive / f"{name}.png")
    summary = index([archive], tmp_path / "database")
    assert (summary.done, summary.failed, summary.skipped) == (2, 0, 0)
    with SearchService(tmp_path / "database") as service:
        found = service.search(SearchRequest(words="unusual:yes")).hits
        assert len(found) == 2
        assert [hit.document["annotations"] for hit in found] == [[], []]
        picture = ImageId(found[0].id)
        assert service.search(SearchRequest(picture=picture)).total == 0
        [near] = service.search(SearchRequest(picture=picture, include_unusual=True)).hits
        assert near.id == found[1].id
