"""Headers that are wrong, as scanners, gateways and anonymisers write them: the picture decides.

Each variant is made here of one synthetic film, and has to give that film's picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset

from indexer.archive.decoding import DecodedImage, DecodeSettings, decode
from indexer.simulation.radiograph import radiograph
from tests.archive.making import make_dicom, make_picture, to_bytes

Array = npt.NDArray[Any]
SETTINGS = DecodeSettings(key=bytes(range(32)))
JPEG = "1.2.840.10008.1.2.4."


@pytest.fixture(autouse=True)
def _sloppy() -> Iterator[None]:
    """Let pydicom write what the standard forbids, as others do."""
    with pydicom.config.disable_value_validation():
        yield


def chest(bits: int = 12, rows: int = 360, columns: int = 300) -> Array:
    """A synthetic chest film with a little noise."""
    return _film(bits, rows, columns).copy()


@lru_cache
def _film(bits: int, rows: int, columns: int) -> Array:
    side = np.array(radiograph(max(rows, columns)))
    film = side[:rows, (side.shape[1] - columns) // 2 :][:, :columns]
    film = 0.05 + 0.9 * film + np.random.default_rng(0).normal(0, 0.002, film.shape)
    kind = np.uint8 if bits <= 8 else np.uint16
    pixels: Array = np.rint(np.clip(film, 0, 1) * (2**bits - 1)).astype(kind)
    return pixels


def read(dataset: Dataset | bytes, name: str = "a.dcm") -> DecodedImage:
    data = dataset if isinstance(dataset, bytes) else to_bytes(dataset)
    return decode(data, name, SETTINGS)


@lru_cache
def plain() -> Array:
    """The canvas of the film."""
    return read(make_dicom(chest())).canvas


def same(image: DecodedImage, *notes: str, other: Array | None = None, least: float = 0.99) -> None:
    """The picture is that of the film, and says what was odd."""
    expected = plain() if other is None else other
    alike = np.corrcoef(image.canvas.ravel(), expected.ravel())[0, 1]
    assert alike > least, alike
    assert set(image.metadata.notes) == set(notes)


# --- lookup tables ---


def lut(entries: int, bits: int = 16) -> Array:
    """A table as makers write it: a curve from 0 to the largest value."""
    level = np.linspace(0, 1, entries) ** 0.8
    table: Array = np.rint(level * (2**bits - 1)).astype("<u2")
    return table


def with_lut(
    descriptor: list[int], data: bytes, keyword: str = "VOILUTSequence", vr: str = "OW"
) -> Dataset:
    dataset, item = make_dicom(chest()), Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", vr, data)
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    setattr(dataset, keyword, [item])
    return dataset


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("missing", [0, 1, 2, 40])
def test_a_table_that_is_short_is_clamped(keyword: str, missing: int) -> None:
    data = lut(4096)[: 4096 - missing].tobytes()
    same(read(with_lut([4096, 0, 16], data, keyword)), least=0.97)


def test_a_table_of_fewer_entries_than_0_stands_for() -> None:
    same(read(with_lut([0, 0, 16], lut(4096).tobytes())), least=0.97)


def test_a_table_as_a_list_that_is_short() -> None:
    dataset = with_lut([4096, 0, 16], b"")
    dataset.VOILUTSequence[0].add_new("LUTData", "US", [int(v) for v in lut(4096)[:3900]])
    same(read(dataset), "lut_completed", least=0.97)


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize(("entries", "note"), [(3000, "lut_ignored"), (3750, "lut_completed")])
def test_a_table_that_leaves_out_much_of_the_film_is_not_used(
    keyword: str, entries: int, note: str
) -> None:
    beyond = np.mean(chest() >= entries)
    assert (beyond > 0.4) if note == "lut_ignored" else (0.02 < beyond < 0.1)
    same(read(with_lut([4096, 0, 16], lut(4096)[:entries].tobytes(), keyword)), note)


@pytest.mark.parametrize("outside", ["padding", "shutter"])
def test_what_is_outside_of_the_film_may_lie_beyond_a_table(outside: str) -> None:
    pixels = bordered(chest() // 2 + 500, 4095)
    assert np.mean(pixels >= 3000) > 0.3
    dataset = make_dicom(pixels, **(shutters()["rectangular"] if outside == "shutter" else {}))
    if outside == "padding":
        dataset.add_new("PixelPaddingValue", "US", 4095)
    dataset.VOILUTSequence = with_lut([4096, 0, 16], lut(4096)[:3000].tobytes()).VOILUTSequence
    same(read(dataset), "lut_completed", other=framed_film())


@pytest.mark.parametrize("entries", [4096, 4095])
def test_octets_that_are_packed(entries: int) -> None:
    data = (lut(entries) >> 8).astype("u1").tobytes()
    same(read(with_lut([entries, 0, 8], data + b"\0" * (entries % 2))), least=0.97)


def test_a_table_in_the_other_byte_order() -> None:
    same(read(with_lut([4096, 0, 16], lut(4096).astype(">u2").tobytes())), least=0.97)


@pytest.mark.parametrize("entries", [1, 4096])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_of_noise_is_not_used(keyword: str, entries: int) -> None:
    noise = np.random.default_rng(1).integers(0, 65535, entries).astype("<u2").tobytes()
    same(read(with_lut([entries, 0, 16], noise, keyword)), "lut_ignored")


def test_a_second_table_stands_in() -> None:
    dataset = with_lut([4096, 0, 16], np.random.default_rng(1).bytes(8192))
    dataset.VOILUTSequence.append(with_lut([4096, 0, 16], lut(4096).tobytes()).VOILUTSequence[0])
    image = read(dataset)
    same(image, "lut_ignored", least=0.97)


def test_a_table_that_makes_all_white_is_not_used() -> None:
    table = np.full(4096, 65535, "<u2")
    table[:30] = np.linspace(0, 65535, 30)
    same(read(with_lut([4096, 0, 16], table.tobytes())), "window_ignored")


# --- windows ---


@pytest.mark.parametrize(
    ("center", "width"),
    [(127, 255), (128, 256), (2048, 1), (2048, 2), (60000, 100), (-500, 200), (4095, 30), (40, 80)],
)
def test_a_window_that_flattens_the_film_is_not_used(center: int, width: int) -> None:
    dataset = make_dicom(chest(), WindowCenter=str(center), WindowWidth=str(width))
    same(read(dataset), "window_ignored")


@pytest.mark.parametrize("function", ["SIGMOID", "LINEAR_EXACT"])
def test_other_functions_flatten_too(function: str) -> None:
    dataset = make_dicom(chest(), WindowCenter="20", WindowWidth="1", VOILUTFunction=function)
    same(read(dataset), "window_ignored")


def test_the_next_window_is_tried() -> None:
    dataset = make_dicom(chest(), WindowCenter=["127", "2048"], WindowWidth=["255", "3600"])
    same(read(dataset), "window_ignored", least=0.98)


@pytest.mark.parametrize(
    ("center", "width"),
    [("2048", "4096"), ("2000", "3000"), ("2048", "-2000"), ("2048", "0"), ("", "")],
)
def test_other_windows_are_as_they_were(center: str, width: str) -> None:
    same(read(make_dicom(chest(), WindowCenter=center, WindowWidth=width)), least=0.97)


def test_a_window_in_eight_bits_on_sixteen() -> None:
    dataset = make_dicom(chest(16), 16, WindowCenter="128", WindowWidth="256")
    same(read(dataset), "window_ignored")


# --- polarity ---


@pytest.mark.parametrize("said", ["MONOCHROM1", "mono 1", "MONOCHROME 1"])
def test_monochrome_1_loosely_written(said: str) -> None:
    dataset = make_dicom(2**12 - 1 - chest())
    dataset.PhotometricInterpretation = said
    same(read(dataset))


@pytest.mark.parametrize(
    "written", ["monochrome2", "Monochrome2", "MONOCHROME2 ", "MONOCHROME", "", "MONOCHROME 2"]
)
def test_photometric_interpretations_loosely_written(written: str) -> None:
    dataset = make_dicom(chest())
    dataset.PhotometricInterpretation = written
    same(read(dataset))


def test_an_inverse_shape_stays_so_and_is_noted() -> None:
    dataset = make_dicom(chest(), PresentationLUTShape="INVERSE", Manufacturer="ACME Imaging")
    same(read(dataset), "looks_inverted", other=255 - plain())


@pytest.mark.parametrize("maker", ["acme", "ACME Imaging", "Acme imag"])
def test_polarity_can_be_set_by_manufacturer(maker: str) -> None:
    settings = DecodeSettings(key=SETTINGS.key, polarity={maker: False})
    dataset = make_dicom(chest(), PresentationLUTShape="INVERSE", Manufacturer="ACME  Imaging")
    image = decode(to_bytes(dataset), "a", settings)
    same(image, "polarity_overridden")
    assert image.image_id == read(dataset).image_id, "the same image, shown otherwise"
    other = make_dicom(chest(), PresentationLUTShape="INVERSE", Manufacturer="Other")
    assert decode(to_bytes(other), "a", settings).metadata.notes == ("looks_inverted",)


def test_an_inverted_picture_is_noted() -> None:
    image = decode(make_picture(255 - chest(8), "PNG"), "a.png", SETTINGS)
    assert image.metadata.notes == ("looks_inverted",)
    image = decode(make_picture(chest(8), "PNG"), "a.png", SETTINGS)
    assert image.metadata.notes == ()


# --- padding and shutters ---


def bordered(pixels: Array, value: int) -> Array:
    framed = pixels.copy()
    framed[:, :50] = framed[:, -40:] = value
    framed[:20] = value
    return framed


def framed_film(other: Array | None = None) -> Array:
    """The canvas of the film without what the border hides, which is black."""
    pixels = chest() if other is None else other
    hidden = np.zeros(pixels.shape, bool)
    hidden[:, :50] = hidden[:, -40:] = True
    hidden[:20] = True
    inside = pixels[~hidden].astype(float)
    low, high = np.percentile(inside, (0.5, 99.5))
    level = np.clip((pixels - low) / (high - low), 0, 1) * 255
    level[hidden] = 0
    return decode(make_picture(np.rint(level).astype(np.uint8), "PNG"), "a.png", SETTINGS).canvas


@pytest.mark.parametrize(
    ("value", "written"),
    [(4095, 4095), (65535, 65535), (0xF000, 0xF000), (0, 0), (5000, 5000)],
)
def test_padding_is_black_and_counts_for_nothing(value: int, written: int) -> None:
    dataset = make_dicom(bordered(chest() // 2 + 500, value))
    dataset.add_new("PixelPaddingValue", "US", written)
    image = read(dataset)
    assert image.canvas[:, :20].max() == 0
    same(image, other=framed_film())


def test_signed_padding() -> None:
    signed = chest().astype(np.int16) - 1000
    dataset = make_dicom(bordered(signed, -2000), 16)
    dataset.add_new("PixelPaddingValue", "SS", -2000)
    same(read(dataset), other=framed_film())


def test_padding_that_is_everything_is_not_used() -> None:
    dataset = make_dicom(chest())
    dataset.add_new("PixelPaddingValue", "US", 0)
    dataset.add_new("PixelPaddingRangeLimit", "US", 4095)
    same(read(dataset), "padding_ignored")


def shutters() -> dict[str, dict[str, Any]]:
    rectangle = {
        "ShutterLeftVerticalEdge": 50,
        "ShutterRightVerticalEdge": 261,
        "ShutterUpperHorizontalEdge": 20,
        "ShutterLowerHorizontalEdge": 361,
    }
    corners = [21, 51, 21, 260, 360, 260, 360, 51]
    return {
        "rectangular": {"ShutterShape": "RECTANGULAR", **rectangle},
        "lower case": {"ShutterShape": "rectangular", **rectangle},
        "polygonal": {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": corners},
        "both": {
            "ShutterShape": ["RECTANGULAR", "CIRCULAR"],
            **rectangle,
            "CenterOfCircularShutter": [180, 150],
            "RadiusOfCircularShutter": 1000,
        },
    }


@pytest.mark.parametrize("value", [4095, 0, 3000])
@pytest.mark.parametrize("shape", shutters())
def test_what_a_shutter_covers_is_black_and_counts_for_nothing(shape: str, value: int) -> None:
    dataset = make_dicom(bordered(chest(), value), **shutters()[shape])
    same(read(dataset), other=framed_film())


def test_a_shutter_turns_with_the_film() -> None:
    upright = read(make_dicom(bordered(chest(), 4095), **shutters()["rectangular"]))
    turned = make_dicom(bordered(chest(), 4095), PatientOrientation=["R", "F"])
    for name, value in shutters()["rectangular"].items():
        setattr(turned, name, value)
    same(read(turned), other=upright.canvas[:, ::-1], least=0.999)


def test_a_circle() -> None:
    dataset = make_dicom(
        chest(),
        ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[180, 150],
        RadiusOfCircularShutter=120,
    )
    canvas = read(dataset).canvas
    assert canvas[:20, :20].max() == 0
    assert canvas[128, 100:150].min() > 0


@pytest.mark.parametrize("edges", [(200, 100), (300, 400), (149, 151)])
def test_a_shutter_that_covers_everything_is_not_used(edges: tuple[int, int]) -> None:
    left, right = edges
    dataset = make_dicom(
        chest(), ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=left,
        ShutterRightVerticalEdge=right, ShutterUpperHorizontalEdge=0,
        ShutterLowerHorizontalEdge=361,
    )  # fmt: skip
    same(read(dataset), "shutter_ignored")


def test_a_shutter_on_a_compressed_film() -> None:
    dataset = make_dicom(bordered(chest(rows=1440, columns=1200), 4095))
    dataset.ShutterShape = "RECTANGULAR"
    dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge = 50, 1161
    dataset.ShutterUpperHorizontalEdge, dataset.ShutterLowerHorizontalEdge = 20, 1441
    canvas = read(to_bytes(dataset, JPEG + "90")).canvas
    assert canvas[:, :10].max() == 0
    assert canvas[:, -8:].max() == 0
    assert canvas[:3].max() == 0


# --- encapsulation ---


# --- transfer syntaxes ---


# --- sizes, depths, samples ---


# --- signs ---


# --- what kind of object ---


# --- text burned in ---


# --- what comes out ---


# --- plain pictures ---
