from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from indexer.archive.decoding import DecodedImage, DecodeSettings, decode
from indexer.archive.deidentify import pseudonym
from indexer.archive.scaling import to_canvas
from indexer.errors import FailedImage, ImageError, SkippedImage
from tests.archive.making import decode_member, film, make_dicom, make_picture, to_bytes

SETTINGS = DecodeSettings(key=bytes(range(32)))

# File of pydicom-data -> how it ends; all others are of another modality.
PYDICOM_DATA = {
    "RG1": "done",
    "RG3": "other_body_part",
    "OT-PAL-8-face": "colour",
    "mlut_18": "other_body_part",
    "vlut_04": "other_body_part",
    "SC_ybr": "colour",
    "SC_rgb": "colour",
}
SHARED = {
    "chest_mono1_10bit_raw.dcm": "done",
    "chest_mono1_15bit_jpeg2000_lossy.dcm": "done",
    "chest_mono1_15bit_jpegls.dcm": "done",
    "chest_dx_mono1_12bit_jpeg2000_lossless.dcm": "done",
    "chest_ap_jpeg_baseline_8bit.dcm": "done",
    "chest_dx_mono1_8bit_small.dcm": "done",
    "hip_jpeg_lossless.dcm": "other_body_part",
}


def pydicom_data() -> list[Path]:
    import data_store

    folder = Path(next(iter(data_store.__path__))) / "data"
    return sorted(path for path in folder.iterdir() if path.suffix == ".dcm")


def outcome(data: bytes, name: str) -> str:
    try:
        decode(data, name, SETTINGS)
    except ImageError as error:
        if "SECRET" in error.detail.upper():
            return "a message that names the patient"
        return error.reason
    return "done"


def correlation(one: DecodedImage, two: DecodedImage) -> float:
    return float(np.corrcoef(one.canvas.ravel(), two.canvas.ravel())[0, 1])


# --- real files ---


@pytest.mark.parametrize("path", pydicom_data(), ids=lambda path: path.stem)
def test_files_of_pydicom_data(path: Path) -> None:
    expected = next(
        (end for start, end in PYDICOM_DATA.items() if path.name.startswith(start)),
        "other_modality",
    )
    if "frame" in path.name and expected == "colour":
        expected = "multi_frame"
    assert outcome(path.read_bytes(), path.name) == expected


@pytest.mark.parametrize("name", SHARED)
def test_shared_radiographs(shared: Path, name: str) -> None:
    assert outcome((shared / "dicom" / name).read_bytes(), name) == SHARED[name]


def test_one_radiograph_in_four_encodings() -> None:
    images = [
        decode(path.read_bytes(), path.name, SETTINGS)
        for path in pydicom_data()
        if path.name.startswith("RG1")
    ]
    assert len(images) == 4
    assert min(correlation(images[0], other) for other in images[1:]) > 0.999
    # JPEG 2000 is known by its codestream, so only the two uncompressed might be one: they differ.
    assert len({image.image_id for image in images}) == 4
    assert len({image.study for image in images}) == 1
    assert len({image.patient for image in images}) == 1


def test_shared_radiographs_look_like_chests(shared: Path) -> None:
    # The mediastinum is brighter than the lungs beside it, whichever sense the file is stored in.
    for name in SHARED:
        if SHARED[name] == "done" and "small" not in name:
            image = decode((shared / "dicom" / name).read_bytes(), name, SETTINGS)
            band = image.canvas[80:140].mean(axis=0)
            assert band[118:138].mean() > band[60:80].mean() + 20, name


# --- twins ---


@pytest.mark.parametrize("bits", [8, 16])
def test_a_picture_and_its_dicom_twin_agree(bits: int) -> None:
    pixels = film(300, 250, bits=bits)
    picture = decode(make_picture(pixels, "PNG"), "a.png", SETTINGS)
    twin = decode(to_bytes(make_dicom(pixels, bits)), "b.dcm", SETTINGS)
    assert picture.image_id == twin.image_id
    np.testing.assert_array_equal(picture.canvas, twin.canvas)
    assert (picture.metadata.format, twin.metadata.format) == ("PNG", "DICOM")


def test_a_twelve_bit_film_and_its_sixteen_bit_picture_agree() -> None:
    pixels = film()
    film_file = make_dicom(4095 - pixels, PhotometricInterpretation="MONOCHROME1")
    one = decode(to_bytes(film_file, "1.2.840.10008.1.2.4.80"), "a", SETTINGS)
    two = decode(make_picture(pixels, "PNG"), "b.png", SETTINGS)
    assert one.image_id == two.image_id
    np.testing.assert_array_equal(one.canvas, two.canvas)


def test_other_pixels_and_other_shapes_have_other_ids() -> None:
    flat = film(8, 12, bits=8)
    changed = flat.copy()
    changed[0, 0] ^= 1
    pictures = [flat, changed, flat.reshape(12, 8), flat[:, ::-1]]
    ids = {decode(make_picture(p, "PNG"), "a.png", SETTINGS).image_id for p in pictures}
    assert len(ids) == 4


def test_ids_depend_on_the_key() -> None:
    data = to_bytes(make_dicom(film()))
    one, two = (decode(data, "a", DecodeSettings(key=key)) for key in (b"1" * 32, b"2" * 32))
    assert one.image_id != two.image_id
    assert one.study != two.study
    assert one.patient != two.patient


def test_content_decides_not_the_suffix() -> None:
    picture, dicom = make_picture(film(bits=8), "JPEG"), to_bytes(make_dicom(film()))
    assert decode(picture, "CXR3_IM-0001-1001", SETTINGS).metadata.format == "JPEG"
    assert decode(picture, "x.dcm", SETTINGS).metadata.format == "JPEG"
    assert decode(dicom, "x.png", SETTINGS).metadata.format == "DICOM"


# --- what is kept ---


def test_nothing_of_the_patient_is_kept() -> None:
    image = decode(to_bytes(make_dicom(film())), "Secret.dcm", SETTINGS)
    for secret in ("Secret", "SECRET-17", "1.2.3.4", "ACC9", "20190704"):
        assert secret not in repr(image)
    assert image.metadata.year == 2019
    assert image.metadata.view == "PA"
    assert image.metadata.transfer_syntax == "Explicit VR Little Endian"
    assert (image.metadata.rows, image.metadata.columns) == film().shape


def test_open_i_picture() -> None:
    image = decode(make_picture(film(bits=8), "PNG"), "images/CXR9_2_IM-0050-1001.png", SETTINGS)
    assert image.study == image.patient == pseudonym(SETTINGS.key, "study", "CXR9")
    assert pseudonym(SETTINGS.key, "report", "CXR9_2_IM-0050-1001") in image.report_keys


def test_mirrored_film_is_turned_and_says_so() -> None:
    mirrored = np.ascontiguousarray(film()[:, ::-1])
    turned = decode(to_bytes(make_dicom(mirrored, PatientOrientation=["R", "F"])), "a", SETTINGS)
    straight = decode(to_bytes(make_dicom(film(), PatientOrientation=["L", "F"])), "b", SETTINGS)
    assert turned.image_id == straight.image_id
    np.testing.assert_array_equal(turned.canvas, straight.canvas)
    assert (turned.metadata.mirrored, straight.metadata.mirrored) == (True, False)


def test_no_thumbnail_where_none_is_wanted() -> None:
    image = decode(to_bytes(make_dicom(film())), "a", replace(SETTINGS, thumbnail=0))
    assert image.thumbnail is None
    assert image.canvas.shape == (SETTINGS.size, SETTINGS.size)


def test_no_thumbnail_where_text_is_burned_in() -> None:
    assert decode(to_bytes(make_dicom(film(), BurnedInAnnotation="NO")), "a", SETTINGS).thumbnail
    image = decode(to_bytes(make_dicom(film(), BurnedInAnnotation="YES")), "a", SETTINGS)
    assert image.thumbnail is None
    assert image.metadata.burned_in is True


@pytest.mark.parametrize(
    ("rows", "columns", "size"),
    [(600, 300, (128, 256)), (300, 600, (256, 128)), (40, 60, (60, 40))],
)
def test_thumbnails(rows: int, columns: int, size: tuple[int, int]) -> None:
    image = decode(to_bytes(make_dicom(film(rows, columns))), "a", SETTINGS)
    assert image.thumbnail is not None
    with Image.open(io.BytesIO(image.thumbnail)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", size)


# --- canvas ---


def test_canvas_of_the_right_size_is_not_resampled() -> None:
    pixels = film(256, 256, bits=8)
    np.testing.assert_array_equal(to_canvas(pixels, 256, squash=True), pixels)
    np.testing.assert_array_equal(to_canvas(pixels, 256, squash=False), pixels)


@given(st.integers(1, 700), st.integers(1, 700), st.booleans())
@settings(max_examples=40)
def test_canvas_always_has_its_size(rows: int, columns: int, squash: bool) -> None:
    canvas = to_canvas(np.full((rows, columns), 200, np.uint8), 64, squash)
    assert canvas.shape == (64, 64)
    assert canvas.dtype == np.uint8
    assert canvas.max() == 200
    if squash or rows == columns:
        assert canvas.min() == 200


def test_padding_keeps_the_aspect_ratio_and_centres() -> None:
    canvas = to_canvas(np.full((400, 200), 255, np.uint8), 100, squash=False)
    assert (canvas[:, 25:75] == 255).all()
    assert canvas[:, :25].max() == canvas[:, 75:].max() == 0


def test_shrinking_averages_areas() -> None:
    checkered: npt.NDArray[np.uint8] = np.zeros((512, 512), np.uint8)
    checkered[::2, ::2] = checkered[1::2, 1::2] = 200
    assert (to_canvas(checkered, 256, squash=True) == 100).all()


# --- files that are none ---


@pytest.mark.parametrize(
    ("data", "name", "kind", "reason"),
    [
        (b"Dear colleague", "letter.dcm", FailedImage, "not_dicom"),
        (b"Dear colleague", "letter.DICOM", FailedImage, "not_dicom"),
        (b"Dear colleague", "letter.png", FailedImage, "not_a_picture"),
        (b"Dear colleague", "letter.txt", SkippedImage, "not_an_image"),
        (b"Dear colleague", "letter", SkippedImage, "not_an_image"),
        (b"", "empty.dcm", FailedImage, "truncated"),
        (b"", "empty", SkippedImage, "not_an_image"),
        (b"GIF89a" + bytes(50), "a.gif", SkippedImage, "not_an_image"),
        (bytes(128) + b"DICM", "a.dcm", SkippedImage, "no_pixels"),
    ],
)
def test_no_images(data: bytes, name: str, kind: type[ImageError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        decode(data, name, SETTINGS)
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", ["dicom", "png"])
def test_blank_images_fail(kind: str) -> None:
    blank = np.full((30, 30), 9, np.uint8)
    data = to_bytes(make_dicom(blank, 8)) if kind == "dicom" else make_picture(blank, "PNG")
    with pytest.raises(FailedImage) as caught:
        decode(data, "blank", SETTINGS)
    assert caught.value.reason == "blank_image"


REASONS = {
    "done",
    "other_modality",
    "other_body_part",
    "multi_frame",
    "colour",
    "raw_for_processing",
    "not_an_image",
    "no_pixels",
    "not_dicom",
    "truncated",
    "undecodable_pixels",
    "contradictory_header",
    "unsupported_transfer_syntax",
    "blank_image",
    "too_large",
}
SAMPLES: list[bytes] = [
    to_bytes(make_dicom(film(24, 20))),
    to_bytes(make_dicom(film(24, 20)), "1.2.840.10008.1.2.5"),
    to_bytes(make_dicom(film(24, 20)), "1.2.840.10008.1.2.4.80"),
    to_bytes(make_dicom(film(24, 20)), "1.2.840.10008.1.2.1.99"),
    make_picture(film(24, 20, bits=8), "PNG"),
    make_picture(film(24, 20, bits=8), "TIFF"),
    make_picture(film(24, 20, bits=8), "BMP"),
]


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damage_of_any_kind_ends_in_an_image_or_a_reason(
    sample: bytes, changes: list[tuple[int, int]], share: float
) -> None:
    data = bytearray(sample)
    for position, value in changes:
        data[position % len(data)] = value
    ending = outcome(bytes(data[: max(1, int(len(data) * share))]), "a.dcm")
    assert ending in REASONS


def test_settings_do_not_show_the_key() -> None:
    assert "key" not in repr(SETTINGS)


def test_decode_member(tmp_path: Path) -> None:
    from indexer.archive.sources.members import open_archive

    (tmp_path / "film.dcm").write_bytes(to_bytes(make_dicom(film())))
    members: list[Any] = list(open_archive(tmp_path).members())
    image = decode_member(members[0], SETTINGS)
    assert image.canvas.shape == (256, 256)
    assert image.report_keys[0] == pseudonym(SETTINGS.key, "report", "film")
