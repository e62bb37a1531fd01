"""Thumbnails: drawn in terminals that can, in each of three ways, and written to a file."""

from __future__ import annotations

import base64
import io
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import Result
from PIL import Image

from cli.searching.terminal_pictures import GraphicsProtocol, drawn
from cli.searching.thumbnails import write_picture
from indexer.database.reader import DatabaseReader
from indexer.errors import DiskFullError
from tests.terminal import at_a_terminal

Ask: TypeAlias = Callable[..., Any]
Run: TypeAlias = Callable[..., Result]

ROOT = Path(__file__).parents[3]
GREY = np.random.default_rng(0).integers(0, 256, (90, 100), np.uint8)
# What a terminal is asked to say what it is.
_QUESTION = b"\x1b[c"


def _file(grey: npt.NDArray[np.uint8], kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, kind, lossless=True)
    return file.getvalue()


def _pixels(sequence: str, how: GraphicsProtocol) -> npt.NDArray[np.uint8]:
    """What a terminal would draw."""
    if how == "sixel":
        return _of_sixels(sequence)
    if how == "iterm":
        found = re.fullmatch(r"\x1b]1337;File=inline=1;height=10;size=(\d+):(.*)\a", sequence)
        assert found
        content = base64.b64decode(found[2], validate=True)
        assert len(content) == int(found[1])
    else:
        parts = re.findall(r"\x1b_G(?:a=T,f=100,r=10,)?m=([01]);([^\x1b]*)\x1b\\", sequence)
        assert sequence.startswith("\x1b_Ga=T,f=100,r=10,m=")
        assert [more for more, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
        assert max(len(part) for _, part in parts) <= 4096
        content = base64.b64decode("".join(part for _, part in parts), validate=True)
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def _of_sixels(sequence: str) -> npt.NDArray[np.uint8]:
    found = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', sequence)
    assert found
    width, height = int(found[1]), int(found[2])
    body = found[3]
    colours = {int(n): int(v) for n, v in re.findall(r"#(\d+);2;(\d+);\d+;\d+", body)}
    pixels = np.zeros((height, width), np.uint8)
    body = re.sub(r"#\d+;2;\d+;\d+;\d+", "", body)
    for number, band in enumerate(body.split("-")):
        for line in band.split("$"):
            colour, sixels = re.fullmatch(r"#(\d+)(.*)", line).groups()  # type: ignore[union-attr]
            for column, sign in enumerate(sixels):
                for row in range(6):
                    if (ord(sign) - 63) >> row & 1:
                        pixels[6 * number + row, column] = colours[int(colour)] * 255 // 100
    return pixels


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
@pytest.mark.parametrize("how", ["kitty", "iterm", "sixel"])
def test_what_is_drawn_is_the_picture(how: GraphicsProtocol, kind: str) -> None:
    pixels = _pixels(drawn(_file(GREY, kind), how), how)[: len(GREY)]
    # Sixels have 64 greys, told in hundredths.
    assert np.abs(pixels.astype(int) - GREY).max() <= (8 if how == "sixel" else 0)


@pytest.mark.skipif(os.name != "posix", reason="uses terminals of Unix")
@pytest.mark.parametrize(
    ("names", "answer", "how"),
    [
        ({"KITTY_WINDOW_ID": "1"}, b"", "kitty"),
        ({"TERM": "xterm-kitty"}, b"", "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, b"", "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, b"", "iterm"),
        ({}, b"\x1b[?62;4;22c", "sixel"),
        ({}, b"\x1b[?62;22;44c", None),
        ({}, b"", None),
    ],
)
def test_how_a_terminal_draws(names: dict[str, str], answer: bytes, how: str | None) -> None:
    code = "from cli.searching.terminal_pictures import protocol; print('how', protocol())"
    written, _ = at_a_terminal(["-c", code], {_QUESTION: answer}, PYTHONPATH=str(ROOT), **names)
    assert re.search(r"how (\w+)", written), written
    assert f"how {how}" in written


@pytest.mark.skipif(os.name != "posix", reason="uses terminals of Unix")
def test_hits_are_drawn_under_their_rows(database: Path, ask: Ask) -> None:
    query = ["search", "*", "--limit", "50", "--database", str(database)]
    hits = ask(*query)["hits"]
    with DatabaseReader.open(database) as opened:
        shown = sum(opened.thumbnail(hit["id"]) is not None for hit in hits)
    # Of one film it is said that a name is written in it.
    assert shown == len(hits) - 1
    words = ["-m", "cli", *query, "--show"]
    names = {"PYTHONPATH": str(ROOT), "TERM_PROGRAM": "iTerm.app"}
    written, code = at_a_terminal(words, {}, **names)
    assert code == 0, written
    assert written.count("\x1b]1337;File=inline=1") == shown
    refused, code = at_a_terminal(words, {_QUESTION: b"\x1b[?6c"}, PYTHONPATH=str(ROOT))
    assert code == 2
    assert "this terminal draws no pictures" in refused


def test_a_thumbnail_is_written_to_a_file(
    database: Path, run: Run, ask: Ask, tmp_path: Path
) -> None:
    image = ask("search", "view:frontal", "--limit", "1", "--database", database)["hits"][0]["id"]
    for suffix, kind in {".webp": "WEBP", ".png": "PNG", ".jpg": "JPEG", ".JPEG": "JPEG"}.items():
        target = tmp_path / f"film{suffix}"
        assert run("show", image, "--thumbnail", target, "--database", database).exit_code == 0
        with Image.open(target) as opened:
            assert opened.format == kind
            assert min(opened.size) > 100
    for name, code in {"film.gif": 2, "film": 2, "nowhere/film.png": 1}.items():
        target = tmp_path / name
        refused = run("show", image, "--thumbnail", target, "--database", database)
        assert refused.exit_code == code
        assert "Traceback" not in refused.stderr
        assert not target.exists()


def test_a_picture_for_which_there_is_no_room_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "film.png"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DiskFullError, match=r"film\.png"):
            write_picture(target, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not target.exists()
