from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image, ImageFile
from pydicom.encaps import encapsulate, get_frame

from indexer.archive.decoders.reduced import codestream_digest, reduced_pixels
from indexer.archive.decoding import DecodedImage, DecodeSettings, decode
from indexer.archive.pictures.dicom.reading import open_dicom, read_image
from indexer.archive.windowing import GreyImage, develop
from tests.archive.making import film, make_dicom, make_picture, to_bytes

Array = npt.NDArray[Any]

J2K, JPEG = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
KEY = bytes(range(32))
REDUCED, FULL = DecodeSettings(key=KEY), DecodeSettings(key=KEY, reduce=False)


def read(data: bytes, target: int) -> GreyImage:
    return read_image(open_dicom(data), target)[0]


def encapsulated(stream: bytes, pixels: Array, uid: str, bits: int, **attributes: Any) -> bytes:
    dataset = make_dicom(pixels, bits, **attributes)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(uid)
    return to_bytes(dataset)


def jpeg_2000(pixels: Array, **options: Any) -> bytes:
    return make_picture(pixels, "JPEG2000", no_jp2=True, **options)


def assert_same_picture(data: bytes, most: int = 2) -> tuple[DecodedImage, DecodedImage]:
    """Decode in full and reduced: all but a grey level or two is the same."""
    full, reduced = decode(data, "a", FULL), decode(data, "a", REDUCED)
    assert reduced.image_id == full.image_id
    assert reduced.metadata == full.metadata
    apart = np.abs(full.canvas.astype(int) - reduced.canvas)
    assert apart.max() <= most
    assert apart.mean() < 0.7
    return full, reduced


@pytest.mark.parametrize("shape", [(2000, 2400), (1999, 2501), (2047, 2050), (1025, 1300)])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_2000_of_any_size(shape: tuple[int, int], bits: int) -> None:
    data = to_bytes(make_dicom(film(*shape, bits=bits), bits), J2K)
    image = read(data, 256)
    assert image.pixels.size <= film(*shape, bits=bits).size / 4 + sum(shape)
    assert image.shape == shape
    assert_same_picture(data)


def test_signed_jpeg_2000() -> None:
    pixels = film(1100, 1200).astype(np.int16) - 2048
    data = to_bytes(make_dicom(pixels, 12), J2K)
    image = read(data, 256)
    assert image.pixels.shape == (550, 600)
    assert image.pixels.dtype == np.int16
    assert abs(float(image.pixels.mean()) - pixels.mean()) < 2
    assert_same_picture(data)


def test_tiled_jpeg_2000() -> None:
    pixels = film(1500, 1400, bits=16)
    stream = jpeg_2000(pixels, tile_size=(500, 300))
    data = encapsulated(stream, pixels, J2K, 16)
    assert read(data, 256).pixels.shape == (750, 700)
    # Wavelets end at the edges of tiles, where the lower level is a little off.
    assert_same_picture(data, most=10)


@pytest.mark.parametrize(
    "orientation", [("L", "F"), ("R", "F"), ("R", "H"), ("F", "L"), ("H", "R")]
)
def test_turned_films_keep_their_place(orientation: tuple[str, str]) -> None:
    pixels = film(1301, 1203)
    dataset = make_dicom(pixels, PatientOrientation=list(orientation))
    assert_same_picture(to_bytes(dataset, J2K))
    eight = film(1601, 1603, bits=8)
    stream = make_picture(eight, "JPEG", quality=92)
    data = encapsulated(stream, eight, JPEG, 8, PatientOrientation=list(orientation))
    assert read(data, 256).pixels.size < eight.size / 3
    assert_same_picture(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_pictures(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif, "quality": 92} if kind == "JPEG" else {}
    assert_same_picture(make_picture(film(1601, 1759, bits=8), kind, **options))


def test_squashed_or_not() -> None:
    data = to_bytes(make_dicom(film(1100, 2200)), J2K)
    full = decode(data, "a", DecodeSettings(squash=False, key=KEY, reduce=False))
    reduced = decode(data, "a", DecodeSettings(squash=False, key=KEY))
    assert np.abs(full.canvas.astype(int) - reduced.canvas).max() <= 2
    assert full.thumbnail is not None
    assert reduced.thumbnail is not None
    with (
        Image.open(io.BytesIO(full.thumbnail)) as a,
        Image.open(io.BytesIO(reduced.thumbnail)) as b,
    ):
        assert a.size == b.size
        assert np.abs(np.asarray(a, int) - np.asarray(b, int)).mean() < 2


def test_windows_are_those_of_the_stored_values() -> None:
    dataset = make_dicom(
        4095 - film(1100, 1300),
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter="1800",
        WindowWidth="1500",
        RescaleSlope="1",
        RescaleIntercept="-100",
    )
    assert_same_picture(to_bytes(dataset, J2K), most=3)


def test_padding_is_looked_at_in_full() -> None:
    pixels = film(1100, 1300)
    pixels[:, :200] = 0
    padded = to_bytes(make_dicom(pixels, PixelPaddingValue=0), J2K)
    assert read(padded, 256).grid is None
    unused = to_bytes(make_dicom(film(1100, 1300) | 1, PixelPaddingValue=0), J2K)
    assert read(unused, 256).grid is not None


def test_colour_marks_are_still_seen() -> None:
    colour = np.repeat(film(1700, 1700, bits=8)[:, :, None], 3, axis=2)
    colour[800:860, 800:860, 2] = 0
    with pytest.raises(Exception, match="colour"):
        decode(make_picture(colour, "JPEG", quality=92), "a", REDUCED)


def test_what_cannot_be_reduced_is_decoded_in_full() -> None:
    pixels = film(1100, 1300)
    stream = jpeg_2000(film(1100, 1300, bits=16))
    # Stored as unsigned, but called signed: averages of such values would be wrong.
    assert read(encapsulated(stream, pixels, J2K, 16, PixelRepresentation=1), 256).grid is None
    assert read(to_bytes(make_dicom(film(300, 400)), J2K), 256).grid is None


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_what_is_not_made_smaller_is_decoded_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = film(700, 900, bits=8)
    if kind == "JPEG":
        stream, uid = make_picture(pixels, "JPEG", quality=92), JPEG
    else:
        stream, uid = jpeg_2000(pixels), J2K
    data = encapsulated(stream, pixels, uid, 8)
    decoded, load = [], ImageFile.ImageFile.load

    def counted(picture: ImageFile.ImageFile) -> Any:
        decoded.append(picture.size)
        return load(picture)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    dataset = open_dicom(data).header
    assert reduced_pixels(dataset, stream, 256) is None
    assert not decoded
    assert reduced_pixels(dataset, stream, 64) is not None
    assert decoded


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i2", ">i2", "<i4"])
def test_tables_are_no_longer_than_the_values(kind: str) -> None:
    sizes = []

    def tone(values: Array) -> npt.NDArray[np.float64]:
        sizes.append(values.size)
        return values.astype(np.float64) * 2

    pixels = film(300, 400, bits=12)
    plain = develop(GreyImage(pixels, 12))[0]
    assert (develop(GreyImage(pixels.astype(kind), 12, tones=(tone,)))[0] == plain).all()
    assert max(sizes) <= (65536 if kind[0] == ">" else 4096)


def test_ids_do_not_depend_on_remarks_or_the_canvas() -> None:
    pixels = film(700, 800, bits=8)
    plain = make_picture(pixels, "JPEG", quality=92)
    noted = make_picture(pixels, "JPEG", quality=92, comment=b"for Dr. X", dpi=(300, 300))
    assert plain != noted
    assert codestream_digest(plain) == codestream_digest(noted)
    assert codestream_digest(plain) != codestream_digest(make_picture(pixels, "JPEG", quality=91))
    ids = {
        decode(data, "a", DecodeSettings(size, key=KEY)).image_id
        for data in (plain, noted, encapsulated(plain, pixels, JPEG, 8))
        for size in (64, 256, 512)
    }
    assert len(ids) == 1
    turned = encapsulated(plain, pixels, JPEG, 8, PatientOrientation=["R", "F"])
    inverted = encapsulated(plain, pixels, JPEG, 8, PhotometricInterpretation="MONOCHROME1")
    assert len(ids | {decode(d, "a", REDUCED).image_id for d in (turned, inverted)}) == 3


def test_a_copy_in_a_file_of_boxes_is_the_same_image() -> None:
    pixels = film(600, 700, bits=8)
    boxed = make_picture(pixels, "JPEG2000")
    assert codestream_digest(boxed) == codestream_digest(jpeg_2000(pixels))
    frame = get_frame(encapsulate([boxed]), 0, number_of_frames=1)
    assert codestream_digest(frame) == codestream_digest(boxed)
