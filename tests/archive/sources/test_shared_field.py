"""The inputs of ``shared/field``, made after public bug reports: each ends as its README says."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from indexer.archive.decoding import DecodedImage, DecodeSettings
from indexer.archive.reports import ReportIndex, parse_report
from indexer.archive.sources.members import Member, open_archive
from indexer.database.text.documents import read_report
from indexer.errors import FailedImage, SkippedImage
from tests.archive.making import decode_member

KEY = bytes(range(32))
SETTINGS = DecodeSettings(key=KEY)
CANVAS = SETTINGS.size

# File of dicom.zip, and of pictures.zip, that shows the reference picture: its notes.
SHOWN: dict[str, tuple[str, ...]] = {
    "00_reference/plain.dcm": (),
    "01_voi_lut/descriptor_0_means_65536_but_4096.dcm": (),
    "01_voi_lut/one_entry_short.dcm": (),
    "01_voi_lut/right.dcm": (),
    "01_voi_lut/us_list_short.dcm": ("lut_ignored",),
    "02_window/c127_w255_on_12_bits.dcm": ("window_ignored",),
    "02_window/mono2_lower_case.dcm": (),
    "02_window/negative.dcm": (),
    "02_window/width_1.dcm": ("window_ignored",),
    "06_encaps/bot_two_entries.dcm": (),
    "06_encaps/jpeg_called_explicit_le.dcm": ("encoding_as_found",),
    "06_encaps/no_sequence_delimiter.dcm": ("encapsulation_mended",),
    "06_encaps/nulls_for_delimiter.dcm": ("encapsulation_mended",),
    "06_encaps/raw_called_jpeg_lossless.dcm": ("encoding_as_found",),
    "06_encaps/rows_columns_swapped.dcm": ("size_as_found",),
    "08_colour/rgb_tag_grey_jpeg.dcm": ("bits_as_found",),
    **{
        f"09_kind/bp_{word}.dcm": ()
        for word in ("brust", "cxr", "default", "japanese_utf8", "pecho", "port", "trunk", "unk")
    },
    "09_kind/mod_dr.dcm": ("modality_loosely_named",),
    "10_header/deflated_with_zlib_header.dcm": ("encoding_as_found",),
    "10_header/rows_empty.dcm": ("size_as_found",),
    "20_pictures/camera_mpo_preview.jpg": (),
    "20_pictures/tiff16_big_endian_white_is_zero.tif": (),
    "20_pictures/tiff_float64.tif": (),
    "20_pictures/tiff_float_white_is_zero.tif": (),
    "40_signed/j2k_unsigned_p16_masked_640.dcm": ("sign_as_found",),
}
# The curve of their table is another look at the same film.
CURVED = ("descriptor_0_means_65536_but_4096", "one_entry_short", "right")
# File with a white border -> first and last row and column of the film in it.
BORDERED = {
    "04_padding/pad_65535_above_bits_stored.dcm": (0, 639, 90, 517),
    "04_padding/white_border_shutter.dcm": (60, 639, 90, 517),
    "04_padding/signed.dcm": (0, 639, 90, 607),
}
INVERSE = "03_polarity/mono2_inverse_pixels_right.dcm"
# File that is no film to be read -> how it ends, and what the reason says.
LEFT_OUT = {
    "09_kind/hand_tagged_chest.dcm": ("other_body_part", "descriptions name another part"),
    "09_kind/tspine.dcm": ("other_body_part", "Body Part Examined"),
    "20_pictures/git_lfs_pointer.dcm": ("not_dicom", "Git LFS pointer"),
    "20_pictures/html_error_page.png": ("not_a_picture", "web page"),
}


@pytest.fixture(scope="module")
def field(shared: Path) -> Path:
    if not (shared / "field").is_dir():
        pytest.skip(f"real data is not here: no folder {shared / 'field'}")
    return shared / "field"


@pytest.fixture(scope="module")
def members(field: Path) -> dict[str, Member]:
    """The files of dicom.zip and pictures.zip, read in place."""
    names = ("dicom.zip", "pictures.zip")
    return {m.name: m for name in names for m in open_archive(field / name).members()}


@pytest.fixture(scope="module")
def reference(members: dict[str, Member]) -> npt.NDArray[np.uint8]:
    return decode_member(members["00_reference/plain.dcm"], SETTINGS).canvas


@pytest.fixture(scope="module")
def unpacked(field: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The containers and reports, which are folders inside of their zip files."""
    folder = tmp_path_factory.mktemp("field")
    for name in ("containers.zip", "reports.zip"):
        with zipfile.ZipFile(field / name) as archive:
            archive.extractall(folder)
    return folder


def likeness(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> float:
    return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def ending(member: Member) -> tuple[str, str]:
    """The reason for which a file is left out, ``done`` where it is not, and its text."""
    try:
        decode_member(member, SETTINGS)
    except (SkippedImage, FailedImage) as error:
        return error.reason, error.detail
    return "done", ""


def test_every_file_has_an_expected_ending(members: dict[str, Member]) -> None:
    assert {*members} == {*SHOWN, *BORDERED, *LEFT_OUT, INVERSE}


@pytest.mark.parametrize("name", SHOWN)
def test_the_film_is_seen(
    members: dict[str, Member], reference: npt.NDArray[np.uint8], name: str
) -> None:
    image = decode_member(members[name], SETTINGS)
    least = 0.98 if Path(name).stem in CURVED else 0.998
    assert likeness(image.canvas, reference) > least
    assert image.metadata.notes == SHOWN[name]
    assert np.mean(image.canvas == 255) < 0.05


@pytest.mark.parametrize("name", BORDERED)
def test_what_is_outside_of_the_film_is_black_and_counts_for_nothing(
    members: dict[str, Member], reference: npt.NDArray[np.uint8], name: str
) -> None:
    image = decode_member(members[name], SETTINGS)
    first, last, left, right = BORDERED[name]
    # One pixel of the canvas on each side mixes both.
    rows = slice(first * CANVAS // 640 + 2, (last + 1) * CANVAS // 640 - 1)
    columns = slice(left * CANVAS // 608 + 2, (right + 1) * CANVAS // 608 - 1)
    assert likeness(image.canvas[rows, columns], reference[rows, columns]) > 0.995
    assert image.canvas[:, : columns.start - 3].max() == 0
    assert image.canvas[:, columns.stop + 2 :].max(initial=0) == 0
    assert image.canvas[: max(rows.start - 3, 0)].max(initial=0) == 0
    assert image.metadata.notes == ()


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_has_its_true_reason(members: dict[str, Member], name: str) -> None:
    reason, text = LEFT_OUT[name]
    found, said = ending(members[name])
    assert found == reason
    assert text in said


def test_an_inverse_film_stays_so_until_its_maker_is_overridden(
    members: dict[str, Member], reference: npt.NDArray[np.uint8]
) -> None:
    member = members[INVERSE]
    image = decode_member(member, SETTINGS)
    assert likeness(image.canvas, reference) < -0.99
    assert image.metadata.notes == ("looks_inverted",)
    image = decode_member(member, DecodeSettings(key=KEY, polarity={"fujifilm": False}))
    assert likeness(image.canvas, reference) > 0.99
    assert image.metadata.notes == ("polarity_overridden",)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("zip_in_zip", [f"export.zip!/{n}" for n in ("p1.zip!/IM1", "p1.zip!/IM2", "plain.dcm")]),
        ("gz_one_file", ["film.dcm.gz", "plain.dcm"]),
        ("zip_no_suffix", ["other.dcm", "study!/IM1"]),
        (
            "zip_names",
            [f"same_name_twice.zip!/{name}" for name in ("IM1", "IM1 (2)", "im1")],
        ),
        ("dd_files_have_suffix", [f"PT00000{n}/ST000000/SE000000/IM000000.dcm" for n in (0, 1)]),
        (
            "dd_files_have_suffix/DICOMDIR",
            [f"PT00000{n}/ST000000/SE000000/IM000000.dcm" for n in (0, 1)],
        ),
    ],
)
def test_every_film_of_a_container_is_counted(
    unpacked: Path, folder: str, expected: list[str]
) -> None:
    members = list(open_archive(unpacked / "containers" / folder).members())
    assert sorted(member.name for member in members) == sorted(expected)
    images = [decode_member(member, SETTINGS) for member in members]
    assert len({image.image_id for image in images}) == len(images)


def test_deflate64_is_named_and_how_to_mend_it(unpacked: Path) -> None:
    members = open_archive(unpacked / "containers/zip_deflate64").members()
    endings = {member.name: ending(member) for member in members}
    reason, text = endings["big.zip!/IM1"]
    assert reason == "unreadable_file"
    assert "Deflate64" in text
    assert "pack it again" in text
    assert endings["big.zip!/IM2"] == ("done", "")
    assert len(endings) == 2


@pytest.mark.parametrize(
    ("films", "reports", "counts"),
    [("mimic", "mimic", (4, 2)), ("rep_names/a", "rep_names/r", (8, 8))],
)
def test_every_report_finds_its_films(
    unpacked: Path, films: str, reports: str, counts: tuple[int, int]
) -> None:
    images: list[DecodedImage] = []
    for member in open_archive(unpacked / films).members():
        if member.name.endswith(".dcm"):
            images.append(decode_member(member, SETTINGS))
    with ReportIndex.open(unpacked / reports, KEY) as index:
        assert (len(images), len(index)) == counts
        assert len(index.unclaimed()) == len(index)
        for image in images:
            found = index.find(image.report_keys)
            assert found is not None
            assert "left pleural effusion" in found.sections["findings"].lower()
            index.claim(image.report_keys)
        assert index.unclaimed() == []
        assert index.reasons == {}


def test_reports_without_an_image_are_listed(unpacked: Path) -> None:
    with ReportIndex.open(unpacked / "rep_texts", KEY) as index:
        assert index.unclaimed() == [
            *("german_headings.txt", "hl7.txt", "html_entities.txt", "rtf.txt", "utf16le_bom.txt")
        ]


@pytest.mark.parametrize(
    ("name", "affirmed", "denied"),
    [
        ("hl7.txt", {"pleural effusion", "cardiomegaly"}, {"pneumothorax"}),
        ("html_entities.txt", {"pleural effusion"}, {"pneumothorax", "consolidation"}),
        ("rtf.txt", {"pleural effusion"}, {"pneumothorax"}),
        ("utf16le_bom.txt", {"pleural effusion", "cardiomegaly"}, set()),
        # In German: kept for its words alone, so that nothing denied is taken for a finding.
        ("german_headings.txt", set(), set()),
    ],
)
def test_what_a_report_affirms_and_denies(
    unpacked: Path, name: str, affirmed: set[str], denied: set[str]
) -> None:
    data = (unpacked / "rep_texts" / name).read_bytes()
    report = parse_report(data, name, KEY)
    read = read_report(report.sections)
    assert {a["disease"] for a in read["annotations"]} == affirmed
    assert {a["disease"] for a in read["absent"]} == denied
    text = " ".join(report.sections.values())
    assert text.isprintable()
    assert ("Kein Pneumothorax" in text) == (name == "german_headings.txt")
