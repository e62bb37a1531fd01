"""Which DICOM files are indexed, their sides, and damage."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from indexer.archive.decoders.jpeg import frame_header
from indexer.archive.pictures.dicom.header import is_dicom
from indexer.archive.pictures.dicom.orientation import upright
from indexer.archive.windowing import pixel_digest, render
from indexer.errors import FailedImage, ImageError, SkippedImage
from tests.archive.making import film, gdcm_encoded, make_dicom, to_bytes
from tests.archive.pictures.test_dicom import (
    DEFLATED,
    JPEG_2000_LOSSLESS,
    JPEG_LS,
    RLE,
    Array,
    read,
)


def reason(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read(data)
    return caught.value.reason


FLIPS: list[tuple[Any, Any, str, bool]] = [
    (["L", "F"], None, "same", False),
    (["R", "F"], None, "mirror", True),
    (["L", "H"], None, "upside_down", True),
    (["R", "H"], None, "both", True),
    (["F", "L"], None, "transpose", True),
    (["LF", "FR"], None, "same", False),
    (["A", "F"], None, "same", False),
    (["P", "F"], None, "same", False),
    (["L", "F"], "YES", "same", False),
    (["R", "F"], "YES", "mirror", True),
    (None, "YES", "mirror", True),
    ("", "YES", "mirror", True),
    (None, "NO", "same", False),
    (["X", "Y"], None, "same", False),
    (None, None, "same", False),
]


@pytest.mark.parametrize(("orientation", "flip", "change", "mirrored"), FLIPS)
def test_films_are_turned_right(
    orientation: Any, flip: str | None, change: str, mirrored: bool
) -> None:
    turned: dict[str, Array] = {
        "same": film(),
        "mirror": film()[:, ::-1],
        "upside_down": film()[::-1],
        "both": film()[::-1, ::-1],
        "transpose": film().T,
    }
    stored = np.ascontiguousarray(turned[change])
    attributes = {"PatientOrientation": orientation, "FieldOfViewHorizontalFlip": flip}
    image = read(to_bytes(make_dicom(stored, **attributes)))
    np.testing.assert_array_equal(image.pixels, film())
    assert image.mirrored is mirrored
    assert pixel_digest(image) == pixel_digest(read(to_bytes(make_dicom(film()))))


@given(st.sampled_from("LR"), st.sampled_from("HF"), st.booleans())
def test_upright_depends_on_the_orientation_alone(row: str, column: str, flipped: bool) -> None:
    pixels = film(6, 5)
    turned, _ = upright(pixels, (row, column), flipped)
    expected = pixels[:: -1 if column == "H" else 1, :: -1 if row == "R" else 1]
    np.testing.assert_array_equal(turned, expected)


def test_animals_are_left_alone() -> None:
    data = to_bytes(
        make_dicom(film(), PatientOrientation=["RT", "CD"], AnatomicalOrientationType="QUADRUPED")
    )
    assert read(data).mirrored is False


CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    "attributes",
    [
        {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"},
        {"Modality": None},
        {"Modality": "OT", "SOPClassUID": CAPTURE},
        {"Modality": "SC", "SOPClassUID": CAPTURE},
        {"Modality": None, "SOPClassUID": CAPTURE, "BodyPartExamined": None},
        {"BodyPartExamined": ""},
        {"BodyPartExamined": "THORAX"},
        {"BodyPartExamined": "RIBS"},
        {"BodyPartExamined": "PORT CHEST"},
        # Words that may be English decide nothing.
        {"BodyPartExamined": "MAIN CAMPUS"},
        {"BodyPartExamined": None, "StudyDescription": "Main"},
        {"BodyPartExamined": "MAIN", "SeriesDescription": "Thorax face"},
        {"BodyPartExamined": None, "StudyDescription": "Chest and abdomen"},
        {"BodyPartExamined": "UNKNOWN", "SeriesDescription": "Extracted series"},
        {"PresentationIntentType": "FOR PRESENTATION"},
        {"NumberOfFrames": "1"},
        {"NumberOfFrames": ""},
    ],
)
def test_chest_radiographs_pass(attributes: dict[str, Any]) -> None:
    np.testing.assert_array_equal(read(to_bytes(make_dicom(film(), **attributes))).pixels, film())


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"Modality": "CT"}, "other_modality"),
        ({"Modality": "MG"}, "other_modality"),
        ({"Modality": "OT"}, "other_modality"),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "other_modality"),
        ({"BodyPartExamined": "HIP"}, "other_body_part"),
        ({"BodyPartExamined": "MAIN"}, "other_body_part"),
        ({"BodyPartExamined": "MAIN_G"}, "other_body_part"),
        (
            {"BodyPartExamined": None, "SeriesDescription": "Radio de la main droite"},
            "other_body_part",
        ),
        ({"BodyPartExamined": "DOIGT"}, "other_body_part"),
        ({"BodyPartExamined": "TSPINE"}, "other_body_part"),
        ({"BodyPartExamined": "THORACIC_SPINE"}, "other_body_part"),
        ({"BodyPartExamined": "HAND", "StudyDescription": "CHEST"}, "other_body_part"),
        ({"BodyPartExamined": None, "StudyDescription": "HIP JOINT"}, "other_body_part"),
        ({"BodyPartExamined": None, "ProtocolName": "Knee AP"}, "other_body_part"),
        ({"BodyPartExamined": "", "StudyDescription": "QC phantom"}, "other_body_part"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "raw_for_processing"),
        (
            {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"},
            "raw_for_processing",
        ),
        ({"NumberOfFrames": "2", "PixelData": film().tobytes() * 2}, "multi_frame"),
    ],
)
def test_other_images_are_skipped(attributes: dict[str, Any], why: str) -> None:
    dataset = make_dicom(film(), **attributes)
    dataset.PixelData = attributes.get("PixelData", dataset.PixelData)
    with pytest.raises(SkippedImage) as caught:
        read(to_bytes(dataset))
    assert caught.value.reason == why


def test_region_code_stands_in_for_the_body_part() -> None:
    dataset = make_dicom(film(), BodyPartExamined=None)
    region = Dataset()
    region.CodeMeaning = "Pelvis"
    dataset.AnatomicRegionSequence = [region]
    assert reason(to_bytes(dataset)) == "other_body_part"
    region.CodeMeaning = "Chest"
    assert read(to_bytes(dataset)).pixels.shape == film().shape


def test_objects_without_pixels_are_skipped() -> None:
    dataset = make_dicom(film())
    del dataset.PixelData
    assert reason(to_bytes(dataset)) == "no_pixels"
    del dataset.Rows
    assert reason(to_bytes(dataset)) == "truncated"
    dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.88.11", "SR"
    assert reason(to_bytes(dataset)) == "other_modality"


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_stored_as_rgb_is_its_grey_twin(bits: int) -> None:
    pixels = film(bits=bits)
    colour = np.repeat(pixels[:, :, None], 3, axis=2)
    image = read(to_bytes(make_dicom(colour, bits)))
    assert pixel_digest(image) == pixel_digest(read(to_bytes(make_dicom(pixels, bits))))


def test_grey_stored_as_ybr() -> None:
    pixels = film(bits=8)
    colour = np.full((*pixels.shape, 3), 128, np.uint8)
    colour[:, :, 0] = pixels
    image = read(to_bytes(make_dicom(colour, 8, PhotometricInterpretation="YBR_FULL")))
    np.testing.assert_array_equal(image.pixels, pixels)


def palette(pixels: Array, tint: int) -> Dataset:
    dataset = make_dicom(pixels, 8, PhotometricInterpretation="PALETTE COLOR")
    ramp = np.arange(256, dtype=np.uint16) * 257
    for name, shift in (("Red", tint), ("Green", 0), ("Blue", 0)):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        entries = np.roll(ramp, shift).astype("<u2").tobytes()
        setattr(dataset, f"{name}PaletteColorLookupTableData", entries)
    return dataset


def test_palettes_are_judged_by_their_colours() -> None:
    pixels = film(bits=8)
    image = read(to_bytes(palette(pixels, 0)))
    np.testing.assert_array_equal(image.pixels, pixels.astype(np.uint16) * 257)
    assert reason(to_bytes(palette(pixels, 40))) == "colour"


def test_true_colour_is_skipped() -> None:
    colour = np.repeat(film(bits=8)[:, :, None], 3, axis=2)
    colour[:40, :40, 2] = 0
    assert reason(to_bytes(make_dicom(colour, 8))) == "colour"


def test_text_is_no_dicom() -> None:
    assert not is_dicom(b"Dear colleague, thank you for sending this film to us. " * 9)
    assert not is_dicom(b"")
    assert not is_dicom(b"\x08\x00" + b"binary, but of another kind " * 3)


@pytest.mark.parametrize("uid", [None, DEFLATED, RLE, JPEG_LS, JPEG_2000_LOSSLESS])
@pytest.mark.parametrize("share", [0.6, 0.95])
def test_cut_files_fail_as_truncated(uid: str | None, share: float) -> None:
    data = to_bytes(make_dicom(film()), uid)
    assert reason(data[: int(len(data) * share)]) == "truncated"


def test_file_cut_inside_its_header() -> None:
    data = to_bytes(make_dicom(film()))
    assert reason(data[: data.index(b"SECRET-17") + 3]) == "truncated"


def test_pixel_data_shorter_than_said() -> None:
    dataset = make_dicom(film())
    dataset.PixelData = dataset.PixelData[:1000]
    assert reason(to_bytes(dataset)) == "truncated"


@pytest.mark.parametrize("uid", [RLE, JPEG_LS, JPEG_2000_LOSSLESS, "1.2.840.10008.1.2.4.70"])
def test_garbage_in_place_of_a_codestream(uid: str) -> None:
    from pydicom.encaps import encapsulate

    dataset = make_dicom(film())
    dataset.PixelData = encapsulate([b"\xff\xd8" + b"garbage " * 400 + b"\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(uid)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    assert reason(buffer.getvalue()) == "undecodable_pixels"


def test_a_panicking_decoder_is_stood_in_for(capfd: pytest.CaptureFixture[str]) -> None:
    import rle.utils
    from pydicom.encaps import encapsulate, get_frame

    dataset = pydicom.dcmread(io.BytesIO(to_bytes(make_dicom(film(24, 20)), RLE)))
    frame = bytearray(get_frame(dataset.PixelData, 0, number_of_frames=1))
    # A first run of 128 equal bytes makes the first segment longer than the image.
    frame[64] = 0x81
    decode_frame: Any = vars(rle.utils)["decode_frame"]
    with pytest.raises(BaseException, match="out of bounds") as caught:
        decode_frame(bytes(frame), 480, 16, "<")
    assert not isinstance(caught.value, Exception)
    dataset.PixelData = encapsulate([bytes(frame)])
    capfd.readouterr()
    assert read(to_bytes(dataset)).pixels.shape == (24, 20)
    assert capfd.readouterr().err == ""


def test_damaged_jpeg_does_not_reach_gdcm(tmp_path: Path) -> None:
    data = gdcm_encoded(make_dicom(film()), "JPEGLosslessProcess14_1", tmp_path)
    scan = data.rindex(b"\xff\xc4")
    damaged = data[: scan + 2] + b"\x00\x09" + data[scan + 4 :]
    assert reason(damaged) == "undecodable_pixels"
    with pytest.raises(ValueError, match="damaged"):
        frame_header(damaged[damaged.rindex(b"\xff\xd8") :])


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.102", "1.2.840.113619.5.2"])
def test_unsupported_transfer_syntax(uid: str) -> None:
    from pydicom.encaps import encapsulate

    dataset = make_dicom(film())
    dataset.PixelData = encapsulate([b"video"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(uid)
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True
    )
    assert reason(buffer.getvalue()) == "unsupported_transfer_syntax"


def test_absurd_size_is_refused_before_decoding() -> None:
    dataset = make_dicom(film())
    dataset.Rows = dataset.Columns = 60000
    assert reason(to_bytes(dataset)) == "too_large"


def test_blank_image() -> None:
    image = read(to_bytes(make_dicom(np.full((20, 20), 7, np.uint16))))
    with pytest.raises(FailedImage) as caught:
        render(image)
    assert caught.value.reason == "blank_image"
