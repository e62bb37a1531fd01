from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.archive.pictures.raster import picture_format, read_picture
from indexer.archive.pictures.tiff import whole_page
from indexer.archive.windowing import pixel_digest, render
from indexer.errors import FailedImage, SkippedImage
from tests.archive.making import film, make_picture

LOSSLESS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("BMP", {}),
    ("WEBP", {"lossless": True}),
]


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_eight_bit_pictures_keep_their_pixels(kind: str, options: dict[str, Any]) -> None:
    pixels = film(bits=8)
    data = make_picture(pixels, kind, **options)
    assert picture_format(data) == kind
    image = read_picture(data, kind)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.bits, image.inverted, image.mirrored) == (8, False, False)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_pictures_keep_their_pixels(kind: str) -> None:
    pixels = film(bits=16)
    image = read_picture(make_picture(pixels, kind), kind)
    np.testing.assert_array_equal(image.pixels, pixels)


def test_jpeg_is_close() -> None:
    pixels = film(bits=8)
    image = read_picture(make_picture(pixels, "JPEG", quality=95), "JPEG")
    assert np.abs(image.pixels.astype(int) - pixels).max() < 12


@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero_tiff(bits: int) -> None:
    pixels = film(bits=bits)
    # Pillow inverts 8-bit values when it writes this tag and when it reads it, deeper ones never.
    written = pixels if bits == 8 else 65535 - pixels
    image = read_picture(make_picture(written, "TIFF", tiffinfo={262: 0}), "TIFF")
    twin = read_picture(make_picture(pixels, "PNG"), "PNG")
    assert pixel_digest(image) == pixel_digest(twin)
    np.testing.assert_array_equal(render(image), render(twin))


def _ring_of_pages(pages: int, smaller_copies: bool) -> bytes:
    """A TIFF file whose last page is followed by its first."""
    entries = struct.pack("<HHII", 254, 4, 1, int(smaller_copies))
    entries += struct.pack("<HHII", 256, 4, 1, 8) + struct.pack("<HHII", 257, 4, 1, 8)
    size = 2 + len(entries) + 4
    chain = (8 + size * ((n + 1) % pages) for n in range(pages))
    body = (struct.pack("<H", 3) + entries + struct.pack("<I", after) for after in chain)
    return b"II*\0" + struct.pack("<I", 8) + b"".join(body)


@pytest.mark.parametrize("pages", [1, 2, 99, 100, 101, 300])
@pytest.mark.parametrize(
    ("smaller_copies", "reasons"),
    [(False, {"multi_frame"}), (True, {"multi_frame", "undecodable_pixels"})],
)
def test_pages_in_a_ring_end_at_once(
    pages: int, smaller_copies: bool, reasons: set[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((FailedImage, SkippedImage)) as caught:
        read_picture(_ring_of_pages(pages, smaller_copies), "TIFF")
    assert caught.value.reason in reasons
    assert capfd.readouterr().err == ""


def test_a_long_chain_of_smaller_copies_is_cut() -> None:
    seen = 0

    def copies() -> Iterator[bool]:
        nonlocal seen
        while True:
            seen += 1
            yield True

    with pytest.raises(FailedImage, match="more than 64 pages"):
        whole_page(copies())
    assert seen == 65


def test_floating_point_tiff() -> None:
    pixels = film(bits=12).astype(np.float32) / 4096
    image = read_picture(make_picture(pixels, "TIFF"), "TIFF")
    assert np.corrcoef(image.pixels.ravel(), pixels.ravel())[0, 1] > 0.999999


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("white", [False, True])
def test_what_is_no_number_in_a_tiff_is_black(kind: type, white: bool) -> None:
    import tifffile

    pixels = film(bits=12).astype(kind) / 4096
    pixels[:20] = np.nan
    pixels[20:25] = np.inf
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="miniswhite" if white else "minisblack")
    image = read_picture(buffer.getvalue(), "TIFF")
    assert image.inverted is white
    assert {*image.pixels[:25].ravel().tolist()} == {65535 if white else 0}
    assert np.corrcoef(image.pixels[25:].ravel(), pixels[25:].ravel())[0, 1] > 0.999999
    pixels[:100] = np.nan
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels)
    with pytest.raises(FailedImage) as caught:
        read_picture(buffer.getvalue(), "TIFF")
    assert caught.value.reason == "undecodable_pixels"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "1"])
def test_grey_in_other_modes(mode: str) -> None:
    grey = Image.fromarray(film(bits=8))
    picture = grey.convert("RGB").convert("CMYK") if mode == "CMYK" else grey.convert(mode)
    if mode in ("RGBA", "LA"):
        picture.putalpha(Image.new("L", grey.size, 7))
    buffer = io.BytesIO()
    kind = "TIFF" if mode == "CMYK" else "PNG"
    picture.save(buffer, kind)
    image = read_picture(buffer.getvalue(), kind)
    if mode == "1":
        assert set(np.unique(image.pixels)) == {0, 255}
    else:
        np.testing.assert_array_equal(image.pixels, np.asarray(grey))


def test_colour_is_skipped() -> None:
    pixels = np.repeat(film(bits=8)[:, :, None], 3, axis=2)
    pixels[10:30, 10:30, 0] = 250
    with pytest.raises(SkippedImage) as caught:
        read_picture(make_picture(pixels, "PNG"), "PNG")
    assert caught.value.reason == "colour"


def test_several_pages_are_skipped() -> None:
    page = Image.fromarray(film(bits=8))
    buffer = io.BytesIO()
    page.save(buffer, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(SkippedImage) as caught:
        read_picture(buffer.getvalue(), "TIFF")
    assert caught.value.reason == "multi_frame"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("orientation", "mirrored"), [(3, False), (2, True), (6, False)])
def test_exif_orientation(kind: str, orientation: int, mirrored: bool) -> None:
    pixels = film(bits=8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = make_picture(pixels, kind, exif=exif, **options)
    image = read_picture(data, kind)
    upright = {3: pixels[::-1, ::-1], 2: pixels[:, ::-1], 6: pixels.T[:, ::-1]}[orientation]
    assert image.pixels.shape == upright.shape
    assert np.abs(image.pixels.astype(int) - upright).max() < 12
    assert image.mirrored is mirrored


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_pictures_fail_as_truncated(kind: str, share: float) -> None:
    data = make_picture(film(400, 300, bits=8), kind)
    with pytest.raises(FailedImage) as caught:
        read_picture(data[: int(len(data) * share)], kind)
    assert caught.value.reason == "truncated"


def test_damaged_picture() -> None:
    data = bytearray(make_picture(film(bits=8), "PNG"))
    data[60:200] = bytes(140)
    with pytest.raises(FailedImage) as caught:
        read_picture(bytes(data), "PNG")
    assert caught.value.reason in ("undecodable_pixels", "truncated")


def test_bomb_is_refused() -> None:
    data = bytearray(make_picture(film(8, 8, bits=8), "BMP"))
    data[18:26] = (60000).to_bytes(4, "little") * 2
    with pytest.raises(FailedImage) as caught:
        read_picture(bytes(data), "BMP")
    assert caught.value.reason == "too_large"
    assert "pixels" in caught.value.detail


@pytest.mark.parametrize("data", [b"", b"BMW drives", b"RIFF0000WAVE", b"%PDF-1.7", b"\x89PNX"])
def test_other_content_is_no_picture(data: bytes) -> None:
    assert picture_format(data) is None
