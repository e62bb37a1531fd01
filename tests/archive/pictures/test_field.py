"""Headers that are wrong, as scanners, gateways and anonymisers write them: the picture decides.

Each variant is made here of one synthetic film, and has to give that film's picture.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from indexer.archive.decoding import DecodedImage, DecodeSettings, decode
from indexer.errors import FailedImage, ImageError, SkippedImage
from indexer.simulation.radiograph import radiograph
from tests.archive.making import make_dicom, make_picture, to_bytes

Array = npt.NDArray[Any]
SETTINGS = DecodeSettings(key=bytes(range(32)))
IMPLICIT, BIG_ENDIAN, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
JPEG = "1.2.840.10008.1.2.4."
RLE = "1.2.840.10008.1.2.5"


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


def reason(dataset: Dataset | bytes, name: str = "a.dcm") -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        read(dataset, name)
    return caught.value.reason, caught.value.detail


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
    same(read(dataset), least=0.97)


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


@pytest.mark.parametrize(
    "said", ["monochrome2", "Monochrome2", "MONOCHROME2 ", "MONOCHROME", "", "MONOCHROME 2"]
)
def test_photometric_interpretations_loosely_written(said: str) -> None:
    dataset = make_dicom(chest())
    dataset.PhotometricInterpretation = said
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
    ("value", "said"),
    [(4095, 4095), (65535, 65535), (0xF000, 0xF000), (0, 0), (5000, 5000)],
)
def test_padding_is_black_and_counts_for_nothing(value: int, said: int) -> None:
    dataset = make_dicom(bordered(chest() // 2 + 500, value))
    dataset.add_new("PixelPaddingValue", "US", said)
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


def encapsulated(uid: str = JPEG + "90", bits: int = 12) -> Dataset:
    dataset = make_dicom(chest(bits), bits)
    dataset.compress(uid, generate_instance_uid=False)
    return dataset


def baseline(**header: Any) -> Dataset:
    """An 8-bit JPEG, as Pillow writes it."""
    dataset = make_dicom(chest(8), 8, **header)
    dataset.file_meta.TransferSyntaxUID = UID(JPEG + "50")
    dataset.PixelData = encapsulate([make_picture(chest(8), "JPEG", quality=95)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


MADE: dict[str, Callable[[], Dataset]] = {
    "JPEG 2000": encapsulated,
    "JPEG-LS": lambda: encapsulated(JPEG + "80"),
    "RLE": lambda: encapsulated(RLE),
    "JPEG": baseline,
}
END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize("codec", [name for name in MADE if name != "RLE"])
@pytest.mark.parametrize("end", [b"", b"\0" * 8, b"\0" * 3, b"\0" * 200, b"\xff" * 8])
def test_a_missing_delimiter_costs_nothing(codec: str, end: bytes) -> None:
    data = to_bytes(MADE[codec]())
    assert data.endswith(END)
    same(read(data[: -len(END)] + end), "encapsulation_mended")


def test_rle_without_delimiter() -> None:
    same(read(to_bytes(encapsulated(RLE))[: -len(END)]), "encapsulation_mended")


@pytest.mark.parametrize("codec", MADE)
def test_a_frame_that_is_cut_is_truncated(codec: str) -> None:
    data = to_bytes(MADE[codec]())
    assert reason(data[: -len(data) // 3])[0] == "truncated"


def fragments(*parts: bytes, table: bytes = b"") -> bytes:
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(p)) + p for p in (table, *parts))
    return items


@pytest.mark.parametrize(
    "table", [b"", struct.pack("<I", 0), struct.pack("<II", 0, 5008), b"\xff" * 12]
)
def test_offset_tables_decide_nothing(table: bytes) -> None:
    stream = make_picture(chest(8), "JPEG", quality=95)
    dataset = baseline()
    dataset.PixelData = fragments(
        stream[:5000], stream[5000:] + b"\0" * (len(stream) % 2), table=table
    )
    same(read(dataset))


def test_a_second_frame_is_left_out() -> None:
    dataset = baseline()
    one, two = (make_picture(p, "JPEG", quality=95) for p in (chest(8), 255 - chest(8)))
    even = [s + b"\0" * (len(s) % 2) for s in (one, two)]
    dataset.PixelData = fragments(*even)
    same(read(dataset), "further_frames_left_out")


def test_a_codestream_without_items() -> None:
    dataset = baseline()
    stream = make_picture(chest(8), "JPEG", quality=95)
    dataset.PixelData = stream + b"\0" * (len(stream) % 2)
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    same(read(dataset), "encapsulation_mended", "encoding_as_found")


# --- transfer syntaxes ---


@pytest.mark.parametrize("said", ["50", "51", "57", "70", "80", "90", "91"])
@pytest.mark.parametrize("codec", MADE)
def test_the_codestream_tells_its_encoding(codec: str, said: str) -> None:
    dataset = MADE[codec]()
    was = dataset.file_meta.TransferSyntaxUID
    alike = [{"50", "51"}, {"57", "70"}, {"80", "81"}, {"90", "91"}]
    fits = any({was.rpartition(".")[2], said} <= group and was.startswith(JPEG) for group in alike)
    dataset.file_meta.TransferSyntaxUID = UID(JPEG + said)
    same(read(dataset), *([] if fits else ["encoding_as_found"]))


@pytest.mark.parametrize("codec", MADE)
def test_encoded_but_called_native(codec: str) -> None:
    data = to_bytes(MADE[codec]())
    was = str(MADE[codec]().file_meta.TransferSyntaxUID).encode()
    was += b"\0" * (len(was) % 2)
    called = b"1.2.840.10008.1.2.1".ljust(len(was), b"\0")
    same(read(data.replace(was, called, 1)), "encoding_as_found")


@pytest.mark.parametrize("said", ["50", "57", "70", "80", "90"])
def test_native_but_called_encoded(said: str) -> None:
    data = to_bytes(make_dicom(chest()))
    was = b"1.2.840.10008.1.2.1\0"
    called = (JPEG + said).encode() + b"\0" * (len(JPEG + said) % 2)
    place = data.index(was)
    meta = int.from_bytes(data[140:144], "little") + len(called) - len(was)
    head = data[:140] + meta.to_bytes(4, "little") + data[144 : place - 2]
    changed = head + len(called).to_bytes(2, "little") + called + data[place + len(was) :]
    same(read(changed), "encoding_as_found")


@pytest.mark.parametrize("wrap", ["zlib", "gzip", "none"])
def test_deflated_otherwise_than_the_standard_has_it(wrap: str) -> None:
    whole = to_bytes(make_dicom(chest()), DEFLATED)
    start = 144 + int.from_bytes(whole[140:144], "little")
    body = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    wraps: dict[str, Callable[[bytes], bytes]] = {
        "zlib": zlib.compress, "gzip": gzip.compress, "none": bytes
    }  # fmt: skip
    packed = wraps[wrap](body)
    same(read(whole[:start] + packed), "encoding_as_found")


def test_deflated_as_it_should_be() -> None:
    image = read(to_bytes(make_dicom(chest()), DEFLATED))
    same(image)
    assert image.metadata.transfer_syntax == "Deflated Explicit VR Little Endian"
    cut = to_bytes(make_dicom(chest()), DEFLATED)
    assert reason(cut[:-2000])[0] == "truncated"


# --- sizes, depths, samples ---


@pytest.mark.parametrize("codec", MADE)
def test_rows_and_columns_exchanged(codec: str) -> None:
    dataset = MADE[codec]()
    dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
    same(read(dataset), "size_as_found")


def test_rows_and_columns_exchanged_in_native_values() -> None:
    dataset = make_dicom(chest())
    dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
    same(read(dataset), "size_as_found")


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_size_that_is_missing_is_told_by_the_pixels(keyword: str, gone: bool) -> None:
    for dataset in (make_dicom(chest()), encapsulated()):
        if gone:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, None)
        same(read(dataset), "size_as_found")


def test_both_sizes_missing() -> None:
    dataset = make_dicom(chest(), Rows=None, Columns=None)
    dataset.Rows = dataset.Columns = None
    found, detail = reason(dataset)
    assert found == "contradictory_header"
    assert "Rows" in detail
    encoded = encapsulated()
    encoded.Rows = encoded.Columns = None
    same(read(encoded), "size_as_found")


def test_colour_that_is_grey() -> None:
    dataset = baseline(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    same(read(dataset), "bits_as_found")


def test_grey_that_is_colour() -> None:
    grey = np.repeat(chest(8)[:, :, None], 3, axis=2)
    dataset = baseline()
    dataset.PixelData = encapsulate([make_picture(grey, "JPEG", quality=95)])
    same(read(dataset), "bits_as_found")


def test_sixteen_bits_that_are_eight() -> None:
    dataset = baseline(BitsAllocated=16, BitsStored=12, HighBit=11)
    same(read(dataset), "bits_as_found")


def test_colour_by_plane_that_is_called_by_pixel() -> None:
    grey = chest(8)
    dataset = make_dicom(np.repeat(grey[:, :, None], 3, axis=2), 8)
    dataset.PixelData = np.stack([grey] * 3).tobytes()
    same(read(dataset))


def test_swapped_bytes() -> None:
    dataset = make_dicom(chest())
    dataset.PixelData = chest().byteswap().tobytes()
    same(read(dataset), "bytes_swapped")


# --- signs ---


def signed_film(bits: int = 12) -> Array:
    """A film whose values lie on both sides of zero."""
    film: Array = chest(bits).astype(np.int16) - 2 ** (bits - 1)
    return film


def test_signed_values_as_they_should_be() -> None:
    same(read(make_dicom(signed_film(), 12)))


@pytest.mark.parametrize("uid", [JPEG + "90", JPEG + "80", None])
def test_signed_values_whose_high_bits_are_cut_off(uid: str | None) -> None:
    dataset = make_dicom(signed_film().view(np.uint16) & 0xFFF, 16 if uid else 12)
    if uid:
        dataset.compress(uid, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 1
    same(read(dataset), *(["sign_as_found"] if uid else []))


def test_signed_values_called_unsigned() -> None:
    dataset = make_dicom(signed_film().view(np.uint16), 16)
    same(read(dataset), "sign_as_found")


def test_unsigned_values_called_signed() -> None:
    dataset = make_dicom(chest(16), 16)
    dataset.PixelRepresentation = 1
    same(read(dataset), "sign_as_found")
    dataset = make_dicom(chest(12), 12)
    dataset.PixelRepresentation = 1
    same(read(dataset), "sign_as_found")


# --- what kind of object ---


@pytest.mark.parametrize(
    "part",
    ["CXR", "PORTABLE", "TRUNK", "BRUST", "PECHO", "DEFAULT", "UNK", "XYZZY", "THORAX", "Tórax",
     "POUMON", "KLATKA PIERSIOWA", "HRUDNIK", "Chest_PA", "CHEST2", "LUNGS", "TORACE", "PEITO",
     "MELLKAS", "TRONC", "BODY", "GENERAL", "1", "?", "AP", "BUCKY", "OTHER", "THX"],
)  # fmt: skip
def test_a_word_that_is_not_known_decides_nothing(part: str) -> None:
    dataset = make_dicom(chest(), SpecificCharacterSet="ISO_IR 192", BodyPartExamined=part)
    same(read(dataset))
    dataset.SeriesDescription = "KNEE LEFT"
    if part in ("CXR", "BRUST", "PECHO", "THORAX", "LUNGS"):
        same(read(dataset), "tags_disagree")
    elif part in ("PORTABLE", "TRUNK", "DEFAULT", "UNK", "XYZZY", "AP"):
        assert reason(dataset)[0] == "other_body_part"


@pytest.mark.parametrize(
    "part",
    ["胸部", "胸部X線", "肺", "흉부", "грудная клетка", "ОГК", "θώρακας", "صدر", "ทรวงอก", "Göğüs"],
)
@pytest.mark.parametrize("coding", ["utf-8", None])
def test_chests_in_other_scripts(part: str, coding: str | None) -> None:
    codings = {
        "胸": "shift_jis",
        "肺": "gb18030",
        "흉": "euc_kr",
        "г": "cp1251",
        "О": "cp1251",
        "θ": "cp1253",
    }
    coding = coding or codings.get(part[0], "utf-8")
    dataset = make_dicom(chest(), BodyPartExamined="PLACE", SeriesDescription="KNEE")
    data = to_bytes(dataset)
    raw = part.encode(coding)
    raw += b" " * (len(raw) % 2)
    place = data.index(b"PLACE ")
    changed = data[: place - 2] + len(raw).to_bytes(2, "little") + raw + data[place + 6 :]
    same(read(changed), "tags_disagree")


@pytest.mark.parametrize(
    "part",
    ["HAND", "TSPINE", "T-SPINE", "THORACIC SPINE", "Brustwirbelsäule", "BWS", "COLUMNA DORSAL",
     "KNIE", "RODILLA", "Épaule", "ABDOMEN", "PELVIS", "RACHIS THORACIQUE", "LWS", "BECKEN",
     "CALCANEUS", "SMPTE"],
)  # fmt: skip
def test_other_parts_are_skipped(part: str) -> None:
    dataset = make_dicom(chest(), SpecificCharacterSet="ISO_IR 192", BodyPartExamined=None)
    dataset.SeriesDescription = part
    assert reason(dataset)[0] == "other_body_part"
    if part.isascii():
        assert reason(make_dicom(chest(), BodyPartExamined=part))[0] == "other_body_part"


def test_tags_that_contradict_each_other() -> None:
    hand: dict[str, Any] = {"StudyDescription": "XR HAND LEFT", "SeriesDescription": "HAND AP"}
    found, detail = reason(make_dicom(chest(), **hand))
    assert found == "other_body_part"
    assert "descriptions" in detail
    same(read(make_dicom(chest(), StudyDescription="XR HAND LEFT")), "tags_disagree")
    same(read(make_dicom(chest(), SeriesDescription="HAND AP")), "tags_disagree")
    same(
        read(make_dicom(chest(), BodyPartExamined="HAND", SeriesDescription="CHEST PA")),
        "tags_disagree",
    )
    same(read(make_dicom(chest(), StudyDescription="CHEST AND ABDOMEN")))
    same(read(make_dicom(chest(), BodyPartExamined="", StudyDescription="CHEST AND ABDOMEN")))


def test_regions_by_code() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "51185008", "SCT", "Brustkorb X"
    dataset = make_dicom(chest(), BodyPartExamined="")
    dataset.AnatomicRegionSequence = [item]
    same(read(dataset))


@pytest.mark.parametrize("modality", ["DR", "XR", "RG", "dr", "CXR"])
def test_modalities_loosely_named(modality: str) -> None:
    same(read(make_dicom(chest(), Modality=modality)), "modality_loosely_named")
    other = "1.2.840.10008.5.1.4.1.1.2"
    assert reason(make_dicom(chest(), Modality=modality, SOPClassUID=other))[0] == "other_modality"


@pytest.mark.parametrize("frames", ["0", "", "1"])
def test_frames_that_are_one(frames: str) -> None:
    same(read(make_dicom(chest(), NumberOfFrames=frames or None)))


def test_a_number_of_frames_stays_in_the_file() -> None:
    found, detail = reason(make_dicom(chest(), NumberOfFrames="713"))
    assert found == "multi_frame"
    assert "713" not in detail


# --- text burned in ---


@pytest.mark.parametrize("said", ["YES", "Y", "yes", ["YES", "NO"], "TRUE"])
def test_no_thumbnail_where_text_is_burned_in(said: Any) -> None:
    image = read(make_dicom(chest(), BurnedInAnnotation=said))
    assert image.thumbnail is None
    assert image.metadata.burned_in


@pytest.mark.parametrize("said", [None, "", "UNKNOWN"])
@pytest.mark.parametrize("kind", ["SC", "OT", "digitised"])
def test_captures_show_nothing_unless_they_say_that_they_are_clean(said: Any, kind: str) -> None:
    how: dict[str, Any] = {"BurnedInAnnotation": said}
    if kind == "digitised":
        how["ConversionType"] = "DF"
    else:
        how |= {"Modality": kind, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}
    assert read(make_dicom(chest(), **how)).thumbnail is None
    assert read(make_dicom(chest(), **{**how, "BurnedInAnnotation": "NO"})).thumbnail


def test_the_rest_can_be_held_to_the_same() -> None:
    strict = DecodeSettings(key=SETTINGS.key, thumbnails="clean")
    film, said = make_dicom(chest()), make_dicom(chest(), BurnedInAnnotation="NO")
    assert read(film).thumbnail
    assert decode(to_bytes(film), "a", strict).thumbnail is None
    assert decode(to_bytes(said), "a", strict).thumbnail
    assert decode(make_picture(chest(8), "PNG"), "a.png", strict).thumbnail is None


# --- what comes out ---


def test_noise_and_stripes_are_noted() -> None:
    noise = np.random.default_rng(0).integers(0, 4095, (300, 280)).astype(np.uint16)
    assert "looks_like_noise" in read(make_dicom(noise)).metadata.notes
    flat = chest().ravel()
    sheared = flat[: 390 * 270].reshape(390, 270)
    picture = decode(make_picture((sheared >> 4).astype(np.uint8), "PNG"), "a.png", SETTINGS)
    assert "looks_striped" in picture.metadata.notes


# --- plain pictures ---


def test_the_first_picture_of_a_camera_file() -> None:
    from PIL import Image

    buffer = BytesIO()
    preview = Image.fromarray(chest(8)).resize((60, 72))
    Image.fromarray(chest(8)).save(buffer, "MPO", save_all=True, append_images=[preview])
    image = decode(buffer.getvalue(), "a.jpg", SETTINGS)
    same(image)
    assert image.metadata.format == "JPEG"


@pytest.mark.parametrize("kind", [">u2", "<u2", "<f8", "<f4", ">f4", "<i2", "<u4", "<i4", "u1"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_tiff_files_of_any_numbers(kind: str, white_is_zero: bool) -> None:
    import tifffile

    pixels = chest(8 if kind == "u1" else 12).astype(np.float64)
    pixels = pixels.max() - pixels if white_is_zero else pixels
    buffer = BytesIO()
    tifffile.imwrite(
        buffer, pixels.astype(kind), byteorder=">" if kind[0] == ">" else "<",
        photometric="miniswhite" if white_is_zero else "minisblack",
    )  # fmt: skip
    same(decode(buffer.getvalue(), "a.tif", SETTINGS))


def test_a_tiff_with_a_smaller_copy() -> None:
    from PIL import Image, TiffImagePlugin

    small = Image.fromarray(chest(8)).resize((60, 72))
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[254] = 1
    small.encoderinfo = {"tiffinfo": info}
    buffer = BytesIO()
    Image.fromarray(chest(8)).save(buffer, "TIFF", save_all=True, append_images=[small])
    same(decode(buffer.getvalue(), "a.tif", SETTINGS))
    pages = BytesIO()
    whole = Image.fromarray(chest(8))
    whole.save(pages, "TIFF", save_all=True, append_images=[whole])
    with pytest.raises(SkippedImage) as caught:
        decode(pages.getvalue(), "a.tif", SETTINGS)
    assert caught.value.reason == "multi_frame"


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n",
            "a.dcm",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html><html>401</html>", "a.png", "web page"),
        (b"\n<HTML><body>", "a.dcm", "web page"),
        (b"%PDF-1.7", "a.dcm", "PDF"),
        (b"PK\3\4" + bytes(40), "a.dcm", "zip"),
        (b"Rar!\x1a\7", "a.jpg", "RAR"),
        (bytes(300), "a.dcm", "zeros"),
    ],
)
def test_what_else_a_file_may_be(data: bytes, name: str, said: str) -> None:
    with pytest.raises(FailedImage) as caught:
        decode(data, name, SETTINGS)
    assert said in caught.value.detail
