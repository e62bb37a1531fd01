from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from indexer.archive.decoding import DecodeSettings, decode
from indexer.archive.pictures.borders import cut_borders, find_frame
from indexer.archive.windowing import Grid

RNG = np.random.default_rng(0)


def _film(rows: int = 300, columns: int = 240) -> npt.NDArray[np.uint8]:
    """Brighter to the left and to the top, so that no line is even and no end like another."""
    ramp = np.linspace(200, 40, columns)[None] * np.linspace(1, 0.5, rows)[:, None]
    film: npt.NDArray[np.uint8] = (
        (ramp + RNG.normal(0, 10, ramp.shape)).clip(0, 255).astype(np.uint8)
    )
    return film


@pytest.mark.parametrize("value", [0, 255])
def test_borders_of_any_side_are_found(value: int) -> None:
    film = _film()
    framed = np.pad(film, ((20, 5), (0, 31)), constant_values=value)
    assert find_frame(framed) == (20, 320, 0, 240)
    assert find_frame(film) == (0, 300, 0, 240)


def test_a_white_page_around_a_black_shutter() -> None:
    film = _film()
    framed = np.pad(np.pad(film, 12, constant_values=0), 9, constant_values=255)
    assert find_frame(framed) == (21, 321, 21, 261)


def test_letters_in_a_border_do_not_keep_it() -> None:
    framed = np.pad(_film(), ((40, 0), (0, 0)))
    framed[10:20, 30:36] = 255
    assert find_frame(framed) == (40, 340, 0, 240)


def test_what_is_dark_or_bright_of_a_film_stays() -> None:
    film = _film()
    film[:200] = 0
    film[200:, :120] = 250
    assert find_frame(film) == (0, 300, 0, 240), "more than a border can be"
    assert find_frame(np.zeros((50, 50), np.uint8)) == (0, 50, 0, 50)


def test_its_grey_levels_are_stretched_anew() -> None:
    framed = np.pad((_film() // 4 + 60).astype(np.uint8), 30, constant_values=255)
    cut, grid = cut_borders(framed, None)
    assert cut.shape == (300, 240)
    assert grid is None
    assert (cut.min(), cut.max()) == (0, 255)


def test_a_smaller_copy_lies_on_what_is_left() -> None:
    film = np.pad(_film(), ((20, 0), (0, 0)))
    cut, grid = cut_borders(film, Grid(640, 480, 2))
    assert cut.shape == (300, 240)
    assert grid == Grid(600, 480, 2, 0, 0)


def test_a_film_on_a_page_is_decoded_as_without() -> None:
    film = _film(256, 256)
    settings = DecodeSettings(256, True, b"key", borders=True)

    def canvas(picture: npt.NDArray[np.uint8], settings: DecodeSettings) -> npt.NDArray[np.float64]:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        return decode(file.getvalue(), "film.png", settings).canvas.astype(float)

    page = np.pad(film, ((0, 40), (25, 25)), constant_values=255)
    plain = canvas(film, settings)
    assert np.abs(canvas(page, settings) - plain).mean() < 3
    uncut = DecodeSettings(256, True, b"key")
    assert np.abs(canvas(page, uncut) - plain).mean() > 20
