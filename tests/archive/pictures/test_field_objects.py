"""Kinds of objects, burned-in text and what comes out of files of the field."""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from indexer.archive.decoding import DecodeSettings, decode
from indexer.errors import FailedImage, SkippedImage
from tests.archive.making import make_dicom, make_picture, to_bytes
from tests.archive.pictures.test_field import JPEG, SETTINGS, Array, bordered, chest, read, same
from tests.archive.pictures.test_field_files import reason


def test_swapped_bytes() -> None:
    dataset = make_dicom(chest())
    dataset.PixelData = chest().byteswap().tobytes()
    same(read(dataset), "bytes_swapped")


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
     "CALCANEUS", "SMPTE", "CRÂNE", "TÊTE", "BACIN", "ABD", "RÜCKEN", "KNÆ", "POLVI", "KYČEL",
     "BRZUCH", "DİZ", "Lutut", "γόνατο"],
)  # fmt: skip
def test_other_parts_are_skipped(part: str) -> None:
    dataset = make_dicom(chest(), SpecificCharacterSet="ISO_IR 192", BodyPartExamined=None)
    dataset.SeriesDescription = part
    assert reason(dataset)[0] == "other_body_part"
    if part.isascii():
        assert reason(make_dicom(chest(), BodyPartExamined=part))[0] == "other_body_part"


@pytest.mark.parametrize(
    ("element", "place"),
    [
        (bytes(8), "meta"),
        (b"\2\0\0\1UI\0\0", "meta"),
        (b"\x08\0\x05\0CS\0\0", "data set"),
        (bytes(8), "no meta"),
    ],
)
def test_a_header_of_empty_elements_is_given_up_soon(element: bytes, place: str) -> None:
    film = to_bytes(make_dicom(chest()))
    end = 144 + int.from_bytes(film[140:144], "little")
    many = element * 600_000
    data = film[:132] + many if place == "no meta" else film[:end] + many + film[end:]
    started = time.process_time()
    with pytest.raises(FailedImage, match="more DICOM elements") as error:
        decode(data, "film.dcm", SETTINGS)
    assert error.value.reason == "too_large"
    assert time.process_time() - started < 15


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


@pytest.mark.parametrize(
    "said", ["AP SUPINE ARMS UP", "hand-held portable", "Head of bed 30", "HANDS ON HIPS PA"]
)
def test_how_a_patient_was_held_is_no_part_of_the_body(said: str) -> None:
    same(read(make_dicom(chest(), BodyPartExamined="", SeriesDescription=said)))
    found, _ = reason(
        make_dicom(chest(), BodyPartExamined="", SeriesDescription=f"LEFT KNEE, {said}")
    )
    assert found == "other_body_part"


def test_regions_by_code() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "51185008", "SCT", "Brustkorb X"
    dataset = make_dicom(chest(), BodyPartExamined="")
    dataset.AnatomicRegionSequence = [item]
    same(read(dataset))


@pytest.mark.parametrize("modality", ["DR", "XR", "RG", "dr", "CXR", "RX", "RADIOGRAPHY", "??"])
def test_modalities_loosely_named(modality: str) -> None:
    same(read(make_dicom(chest(), Modality=modality)), "modality_loosely_named")
    other = "1.2.840.10008.5.1.4.1.1.2"
    assert reason(make_dicom(chest(), Modality=modality, SOPClassUID=other))[0] == "other_modality"


@pytest.mark.parametrize("frames", ["0", "", "1", "-1"])
def test_frames_that_are_one(frames: str) -> None:
    same(read(make_dicom(chest(), NumberOfFrames=frames or None)))


def of_frames(stated: str, there: int, uid: str | None) -> Dataset:
    """A film that is there some times, native or encoded, under a header that states a number."""
    dataset = make_dicom(chest(), NumberOfFrames=str(there))
    dataset.PixelData = chest().tobytes() * there
    if uid:
        dataset.compress(uid, generate_instance_uid=False)
    dataset.NumberOfFrames = stated
    return dataset


@pytest.mark.parametrize("uid", [None, JPEG + "90", JPEG + "80", "1.2.840.10008.1.2.5"])
@pytest.mark.parametrize(
    ("stated", "there", "note"),
    [
        ("2", 1, "frames_as_found"),
        ("713", 1, "frames_as_found"),
        ("1", 3, "further_frames_left_out"),
    ],
)
def test_one_picture_under_a_header_of_other_frames(
    uid: str | None, stated: str, there: int, note: str
) -> None:
    same(read(of_frames(stated, there, uid)), note)


@pytest.mark.parametrize("uid", [None, JPEG + "90", JPEG + "80", "1.2.840.10008.1.2.5"])
def test_a_number_of_frames_stays_in_the_file(uid: str | None) -> None:
    found, detail = reason(of_frames("713", 3, uid))
    assert found == "multi_frame"
    assert "713" not in detail


@pytest.mark.parametrize("uid", [None, JPEG + "90"])
def test_a_film_of_frames_that_is_cut_short(uid: str | None) -> None:
    data = to_bytes(of_frames("4", 4, uid))
    found = {reason(data[: len(data) * part // 8])[0] for part in (3, 5, 7)}
    assert found <= {"multi_frame", "truncated"}


@pytest.mark.parametrize("word", ["GREY", "MONOCHROM", "GRAYSCALE", "XRAY", "?"])
def test_a_word_for_grey_that_no_standard_has(word: str) -> None:
    same(read(make_dicom(chest(), PhotometricInterpretation=word)))


@pytest.mark.parametrize("bits", [10, 12, 13, 15])
def test_bits_allocated_are_whole_bytes(bits: int) -> None:
    same(read(make_dicom(chest(), BitsAllocated=bits)))


@pytest.mark.parametrize(
    ("origin", "hidden"),
    [
        ([1, 1], np.s_[:]),
        # A plane that is larger than the film, one that begins inside, and one that is elsewhere.
        ([-9, -19], np.s_[:]),
        ([21, 51], np.s_[20:, 50:]),
        ([500, 1], np.s_[:0]),
    ],
)
def test_a_shutter_that_is_a_plane_of_bits(origin: list[int], hidden: Any) -> None:
    rows, columns = chest().shape
    mask = bordered(np.zeros((rows, columns), np.uint16), 1).astype(bool)
    top, left = (place - 1 for place in origin)
    plane = np.zeros((rows - min(top, 0), columns - min(left, 0)), bool)
    covering = np.zeros_like(mask)
    covering[hidden] = mask[hidden]
    inner = covering[max(top, 0) :, max(left, 0) :]
    plane[-min(top, 0) :, -min(left, 0) :][: inner.shape[0], : inner.shape[1]] = inner
    pixels = chest()
    pixels[covering] = 4095
    dataset = make_dicom(pixels, ShutterShape="BITMAP", ShutterOverlayGroup=0x6002)
    dataset.add_new((0x6002, 0x0010), "US", plane.shape[0])
    dataset.add_new((0x6002, 0x0011), "US", plane.shape[1])
    dataset.add_new((0x6002, 0x0050), "SS", origin)
    bits = np.packbits(plane, bitorder="little").tobytes()
    dataset.add_new((0x6002, 0x3000), "OW", bits + b"\0" * (len(bits) % 2))
    image = read(dataset)
    blacked = chest()
    blacked[covering] = 0
    assert np.corrcoef(image.canvas.ravel(), read(make_dicom(blacked)).canvas.ravel())[0, 1] > 0.98
    # Bits that are missing or too few cover nothing.
    dataset[0x6002, 0x3000].value = bits[: len(bits) // 3 // 2 * 2]
    assert read(dataset).canvas[:9].max() > 0


@pytest.mark.parametrize(
    "element", ["YES", "Y", "yes", ["YES", "NO"], "TRUE", "JA", "SI", "OUI", "1"]
)
def test_no_thumbnail_where_text_is_burned_in(element: Any) -> None:
    image = read(make_dicom(chest(), BurnedInAnnotation=element))
    assert image.thumbnail is None
    assert image.metadata.burned_in


@pytest.mark.parametrize("element", [None, "", "UNKNOWN", "NO", "N", "FALSE", "NEIN", "0"])
def test_a_film_that_says_no_or_nothing_has_a_thumbnail(element: Any) -> None:
    assert read(make_dicom(chest(), BurnedInAnnotation=element)).thumbnail


@pytest.mark.parametrize("element", [None, "", "UNKNOWN"])
@pytest.mark.parametrize("kind", ["SC", "OT", "digitised"])
def test_captures_show_nothing_unless_they_say_that_they_are_clean(element: Any, kind: str) -> None:
    how: dict[str, Any] = {"BurnedInAnnotation": element}
    if kind == "digitised":
        how["ConversionType"] = "DF"
    else:
        how |= {"Modality": kind, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}
    assert read(make_dicom(chest(), **how)).thumbnail is None
    assert read(make_dicom(chest(), **{**how, "BurnedInAnnotation": "NO"})).thumbnail


def test_the_rest_can_be_held_to_the_same() -> None:
    strict = DecodeSettings(key=SETTINGS.key, thumbnails="clean")
    film, clean = make_dicom(chest()), make_dicom(chest(), BurnedInAnnotation="NO")
    assert read(film).thumbnail
    assert decode(to_bytes(film), "a", strict).thumbnail is None
    assert decode(to_bytes(clean), "a", strict).thumbnail
    assert decode(make_picture(chest(8), "PNG"), "a.png", strict).thumbnail is None


def test_noise_and_stripes_are_noted() -> None:
    noise = np.random.default_rng(0).integers(0, 4095, (300, 280)).astype(np.uint16)
    assert "looks_like_noise" in read(make_dicom(noise)).metadata.notes
    flat = chest().ravel()
    sheared = flat[: 390 * 270].reshape(390, 270)
    picture = decode(make_picture((sheared >> 4).astype(np.uint8), "PNG"), "a.png", SETTINGS)
    assert "looks_striped" in picture.metadata.notes


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
    ("data", "name", "message"),
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
        (b"\0\0\0\x18ftypheic" + bytes(40), "a.jpg", "HEIC"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "a.jpg", "video"),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "a.dcm", "Zstandard"),
        (b"MSCF" + bytes(40), "a.dcm", "cabinet"),
        (b"PK\7\x08" + bytes(40), "a.dcm", "several parts"),
        (bytes(32769) + b"CD001" + bytes(40), "a.dcm", "a disc"),
        (bytes(300), "a.dcm", "zeros"),
    ],
)
def test_what_else_a_file_may_be(data: bytes, name: str, message: str) -> None:
    with pytest.raises(FailedImage) as caught:
        decode(data, name, SETTINGS)
    assert message in caught.value.detail
