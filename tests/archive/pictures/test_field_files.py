"""Files as the field has them: encapsulation, transfer syntaxes, kinds of objects."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from indexer.errors import ImageError
from tests.archive.making import make_dicom, make_picture, to_bytes
from tests.archive.pictures.test_field import JPEG, chest, read, same

IMPLICIT, BIG_ENDIAN, DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)


RLE = "1.2.840.10008.1.2.5"


def reason(dataset: Dataset | bytes, name: str = "a.dcm") -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        read(dataset, name)
    return caught.value.reason, caught.value.detail


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


def test_half_a_film_is_no_film_of_half_the_depth() -> None:
    dataset = make_dicom(chest(12), 12)
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    assert reason(to_bytes(dataset))[0] == "truncated"


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


@pytest.mark.parametrize("named", ["50", "51", "57", "70", "80", "90", "91"])
@pytest.mark.parametrize("codec", MADE)
def test_the_codestream_tells_its_encoding(codec: str, named: str) -> None:
    dataset = MADE[codec]()
    was = dataset.file_meta.TransferSyntaxUID
    alike = [{"50", "51"}, {"57", "70"}, {"80", "81"}, {"90", "91"}]
    fits = any({was.rpartition(".")[2], named} <= group and was.startswith(JPEG) for group in alike)
    dataset.file_meta.TransferSyntaxUID = UID(JPEG + named)
    same(read(dataset), *([] if fits else ["encoding_as_found"]))


@pytest.mark.parametrize("codec", MADE)
def test_encoded_but_called_native(codec: str) -> None:
    data = to_bytes(MADE[codec]())
    was = str(MADE[codec]().file_meta.TransferSyntaxUID).encode()
    was += b"\0" * (len(was) % 2)
    called = b"1.2.840.10008.1.2.1".ljust(len(was), b"\0")
    same(read(data.replace(was, called, 1)), "encoding_as_found")


@pytest.mark.parametrize("named", ["50", "57", "70", "80", "90"])
def test_native_but_called_encoded(named: str) -> None:
    data = to_bytes(make_dicom(chest()))
    was = b"1.2.840.10008.1.2.1\0"
    called = (JPEG + named).encode() + b"\0" * (len(JPEG + named) % 2)
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


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("said", ["MONOCHROME2", "RGB"])
def test_native_colour_that_is_grey(bits: int, said: str) -> None:
    dataset = make_dicom(chest(bits), bits, SamplesPerPixel=3, PhotometricInterpretation=said)
    same(read(dataset), "bits_as_found")


def test_native_sixteen_bits_that_are_eight() -> None:
    dataset = make_dicom(chest(8), 8, BitsAllocated=16, BitsStored=12, HighBit=11)
    same(read(dataset), "bits_as_found")


def test_colour_by_plane_that_is_called_by_pixel() -> None:
    grey = chest(8)
    dataset = make_dicom(np.repeat(grey[:, :, None], 3, axis=2), 8)
    dataset.PixelData = np.stack([grey] * 3).tobytes()
    same(read(dataset))


@pytest.mark.parametrize("more", [1, 3])
def test_rows_that_are_longer_than_said(more: int) -> None:
    pixels = chest()
    dataset = make_dicom(pixels, Columns=pixels.shape[1] - more)
    same(read(dataset), "size_as_found")


def test_values_after_the_picture_are_not_taken_for_longer_rows() -> None:
    pixels = chest()
    dataset = make_dicom(pixels)
    dataset.PixelData += bytes(2 * len(pixels))
    same(read(dataset))


@pytest.mark.parametrize("bits", [8, 10, 11])
def test_more_bits_than_are_said(bits: int) -> None:
    same(read(make_dicom(chest(), BitsStored=bits, HighBit=bits - 1)), "bits_as_found")


def test_eight_bits_that_are_sixteen() -> None:
    same(read(make_dicom(chest(), BitsAllocated=8, BitsStored=8, HighBit=7)), "bits_as_found")
