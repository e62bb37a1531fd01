from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import cxrdex
from indexer.cascade.heatmap import HeatMap
from search.pictures.explain import Explanation


def test_the_film_shows_through_where_nothing_is() -> None:
    film = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (80, 1))
    cells = np.full((8, 8), -5.0, np.float32)
    cells[2, 2] = 5
    drawn = np.asarray(Image.open(io.BytesIO(Explanation(film, HeatMap("x", 0.5, cells)).png(1))))
    assert drawn.shape == (80, 100, 3)
    assert (drawn[70, :, :] == film[70, :, None]).all()
    assert drawn[25, 31, 0] > 200
    assert drawn[25, 31, 2] < 60


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no-such-file.png", "--label", "normal"], "name its --database"),
        (["FILE", "--label", "flu"], 'knows no finding "flu"'),
        (["HERE", "--label", "normal"], "not_an_image"),
        (["PIPE", "--label", "normal"], "no regular file: a pipe"),
        (["FOLDER", "--label", "normal"], "no regular file: a folder"),
    ],
)
def test_what_cannot_be_explained_is_said(tmp_path: Path, words: list[str], told: str) -> None:
    film = tmp_path / "film.png"
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    Image.fromarray(noise).save(film)
    text = tmp_path / "text.txt"
    text.write_text("no picture")
    os.mkfifo(tmp_path / "pipe")
    places = {
        "FILE": str(film),
        "HERE": str(text),
        "PIPE": str(tmp_path / "pipe"),
        "FOLDER": str(tmp_path),
    }
    words = [places.get(word, word) for word in words]
    result = CliRunner().invoke(cxrdex, ["explain", *words, "--to", str(tmp_path / "map.png")])
    assert result.exit_code != 0
    assert told in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "map.png").exists()
