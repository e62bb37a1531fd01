from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from indexer.archive.decoders.transfer_syntaxes import decoders
from indexer.archive.pictures.dicom.header import is_dicom
from indexer.archive.pictures.dicom.reading import open_dicom, read_image
from indexer.archive.windowing import GreyImage, pixel_digest, render
from tests.archive.making import film, gdcm_encoded, make_dicom, to_bytes

Array = npt.NDArray[Any]

IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"


def pydicom_data() -> Path:
    import data_store

    return Path(next(iter(data_store.__path__))) / "data"


def read(data: bytes) -> GreyImage:
    assert is_dicom(data)
    return read_image(open_dicom(data))[0]


# --- encodings ---


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("uid", [IMPLICIT, BIG_ENDIAN, DEFLATED, RLE, JPEG_LS, JPEG_2000_LOSSLESS])
def test_lossless_transfer_syntaxes_keep_pixels_and_hash(bits: int, uid: str) -> None:
    pixels = film(bits=bits)
    plain = read(to_bytes(make_dicom(pixels, bits)))
    image = read(to_bytes(make_dicom(pixels, bits), uid))
    np.testing.assert_array_equal(image.pixels, pixels)
    # JPEG 2000 is known by its codestream (ADR 0009).
    assert (pixel_digest(image) == pixel_digest(plain)) is (uid != JPEG_2000_LOSSLESS)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1"])
def test_jpeg_lossless(bits: int, name: str, tmp_path: Path) -> None:
    pixels = film(bits=bits)
    image = read(gdcm_encoded(make_dicom(pixels, bits), name, tmp_path))
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize(
    ("bits", "name"),
    [
        (8, "JPEGBaselineProcess1"),
        (8, "JPEGExtendedProcess2_4"),
        (8, "JPEG2000"),
        (12, "JPEG2000"),
    ],
)
def test_lossy_transfer_syntaxes_are_close(
    bits: int, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = film(bits=bits)
    data = gdcm_encoded(make_dicom(pixels, bits), name, tmp_path)
    capfd.readouterr()
    image = read(data)
    assert image.pixels.shape == pixels.shape
    assert np.abs(image.pixels.astype(int) - pixels).max() < 0.06 * 2**bits
    assert capfd.readouterr().err == ""


def test_twelve_bit_jpeg(capfd: pytest.CaptureFixture[str]) -> None:
    # pydicom's test image is a bone scan, stored here as if it were a film; its lossless original
    # comes with pydicom-data.
    data = Path(str(get_testdata_file("JPGExtended.dcm", download=False))).read_bytes()
    dataset = pydicom.dcmread(io.BytesIO(data))
    assert dataset.BitsStored == 12
    dataset.Modality, dataset.BodyPartExamined = "CR", "CHEST"
    image = read(to_bytes(dataset))
    original = pydicom.dcmread(pydicom_data() / "JPEG2000_UNC.dcm").pixel_array
    assert np.corrcoef(image.pixels.ravel(), original.ravel())[0, 1] > 0.95
    assert capfd.readouterr().err == ""


def test_jpeg_ls_near_lossless() -> None:
    pixels = film(bits=12)
    dataset = make_dicom(pixels)
    dataset.compress(JPEG_LS_NEAR, jls_error=3, generate_instance_uid=False)
    image = read(to_bytes(dataset))
    assert 0 < np.abs(image.pixels.astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("uid", [IMPLICIT, BIG_ENDIAN, RLE, JPEG_LS, JPEG_2000_LOSSLESS])
def test_signed_values(uid: str) -> None:
    pixels = film(bits=12).astype(np.int16) - 2048
    image = read(to_bytes(make_dicom(pixels), uid))
    np.testing.assert_array_equal(image.pixels, pixels)
    np.testing.assert_array_equal(render(image), render(read(to_bytes(make_dicom(film(bits=12))))))


def test_overlay_bits_above_the_stored_ones_are_ignored() -> None:
    pixels = film(bits=12)
    dirty = pixels | np.uint16(0x9000)
    np.testing.assert_array_equal(read(to_bytes(make_dicom(dirty))).pixels, pixels)


@pytest.mark.parametrize("signed", [False, True])
def test_values_stored_in_the_high_bits(signed: bool) -> None:
    pixels: Array = film(bits=12)
    if signed:
        pixels = pixels.astype(np.int16) - 2048
    image = read(to_bytes(make_dicom(pixels << 4 | 5, HighBit=15)))
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize("uid", [IMPLICIT, None, BIG_ENDIAN, JPEG_LS, JPEG_2000_LOSSLESS, RLE])
@pytest.mark.parametrize("keep_meta", [False, True])
def test_files_without_preamble(uid: str | None, keep_meta: bool) -> None:
    data = to_bytes(make_dicom(film()), uid)
    meta_length = int.from_bytes(data[140:144], "little")
    start = 132 if keep_meta else 144 + meta_length
    np.testing.assert_array_equal(read(data[start:]).pixels, film())


def test_sloppy_header_is_completed() -> None:
    gaps = dict.fromkeys(("BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"))
    dataset = make_dicom(film(bits=8), 8, **gaps, PhotometricInterpretation=None)
    np.testing.assert_array_equal(read(to_bytes(dataset)).pixels, film(bits=8))


def test_odd_values_stay_silent(caplog: pytest.LogCaptureFixture) -> None:
    dataset = make_dicom(film(), StudyDate="SECRETDATE", WindowWidth="1", WindowCenter="1")
    with caplog.at_level(logging.DEBUG):
        caplog.clear()
        read(to_bytes(dataset))
    assert "SECRET" not in caplog.text


def test_every_transfer_syntax_has_a_decoder() -> None:
    statuses = decoders()
    assert len({status.uid for status in statuses}) == 16
    missing = [status.transfer_syntax for status in statuses if not status.available]
    assert missing == []
    plugins = {status.uid: status.plugin for status in statuses}
    assert plugins[IMPLICIT] == "built in"
    assert plugins["1.2.840.10008.1.2.4.50"] == "pillow"
    assert plugins[RLE] == "pylibjpeg"


def test_decoding_needs_no_torch_and_survives_a_folder_called_dl(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "dl").mkdir()
    (tmp_path / "film.dcm").write_bytes(to_bytes(make_dicom(film()), JPEG_2000_LOSSLESS))
    script = (
        "import sys; sys.path.insert(0, '')\n"
        "from indexer.archive.decoding import DecodeSettings, decode\n"
        "decode(open('film.dcm', 'rb').read(), 'film.dcm', DecodeSettings())\n"
        "from indexer.archive.decoders.transfer_syntaxes import decoders\n"
        "assert all(d.available for d in decoders())\n"
        "assert 'torch' not in sys.modules\n"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": root, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- grey levels ---


def levels(**attributes: Any) -> npt.NDArray[np.float64]:
    """Rendered 12-bit ramp, one level per stored value 0, 8, ... 4088."""
    ramp = np.repeat(np.arange(0, 4096, 8, dtype=np.uint16)[None], 4, axis=0)
    shown: npt.NDArray[np.float64] = render(read(to_bytes(make_dicom(ramp, **attributes))))[0] * 1.0
    return shown


def test_monochrome1_is_inverted_once() -> None:
    plain = levels()
    inverted = levels(PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(inverted, 255 - plain, atol=1)
    twice_said = levels(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(twice_said, inverted)
    np.testing.assert_array_equal(levels(PresentationLUTShape="INVERSE"), inverted)
    np.testing.assert_array_equal(levels(PresentationLUTShape="IDENTITY"), plain)


def test_monochrome1_twin_has_the_same_hash_and_picture() -> None:
    pixels = film()
    one = read(to_bytes(make_dicom(4095 - pixels, PhotometricInterpretation="MONOCHROME1")))
    two = read(to_bytes(make_dicom(pixels)))
    assert pixel_digest(one) == pixel_digest(two)
    np.testing.assert_array_equal(render(one), render(two))
    signed = 2047 - pixels.astype(np.int16)
    three = read(to_bytes(make_dicom(signed, PhotometricInterpretation="MONOCHROME1")))
    four = read(to_bytes(make_dicom(pixels.astype(np.int16) - 2048)))
    assert pixel_digest(three) == pixel_digest(four)


def test_rescale_does_not_change_picture_or_hash() -> None:
    data = to_bytes(make_dicom(film(), RescaleSlope="2.5", RescaleIntercept="-1024"))
    np.testing.assert_array_equal(render(read(data)), render(read(to_bytes(make_dicom(film())))))
    assert pixel_digest(read(data)) == pixel_digest(read(to_bytes(make_dicom(film()))))


def test_negative_slope_inverts() -> None:
    falling = levels(RescaleSlope="-1", RescaleIntercept="4095")
    np.testing.assert_allclose(falling, 255 - levels(), atol=1)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT"])
@pytest.mark.parametrize("multiple", [False, True])
def test_window_clips(function: str | None, multiple: bool) -> None:
    center, width = (["1000", "9"], ["800", "9"]) if multiple else ("1000", "800")
    shown = levels(WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    stored = np.arange(0, 4096, 8)
    assert shown[stored < 600].max() == 0
    assert shown[stored > 1400].min() == 255
    expected = np.clip((stored - 600) / 800, 0, 1) * 255
    np.testing.assert_allclose(shown, expected, atol=1.5)


def test_window_is_in_rescaled_units() -> None:
    shown = levels(
        RescaleSlope="2", RescaleIntercept="-100", WindowCenter="1900", WindowWidth="1600"
    )
    direct = levels(WindowCenter="1000", WindowWidth="800")
    np.testing.assert_allclose(shown, direct, atol=1)


def test_sigmoid_window() -> None:
    shown = levels(WindowCenter="2048", WindowWidth="1000", VOILUTFunction="SIGMOID")
    stored = np.arange(0, 4096, 8)
    expected = 255 / (1 + np.exp(-4 * (stored - 2048) / 1000))
    np.testing.assert_allclose(shown, expected, atol=2)


@pytest.mark.parametrize(("center", "width"), [("2048", "0"), ("2048", "-5"), ("", "")])
def test_useless_windows_are_ignored(center: str, width: str) -> None:
    np.testing.assert_array_equal(levels(WindowCenter=center, WindowWidth=width), levels())


def test_window_beside_the_data_is_ignored() -> None:
    np.testing.assert_array_equal(levels(WindowCenter="90000", WindowWidth="10"), levels())


def lut_item(descriptor: list[int], data: list[int] | bytes, vr: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", vr, data)
    return item


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("uid", [None, BIG_ENDIAN, IMPLICIT])
@pytest.mark.parametrize("vr", ["US", "OW"])
def test_lookup_tables(keyword: str, depth: int, uid: str | None, vr: str) -> None:
    entries = np.rint(np.sqrt(np.arange(4096) / 4095) * (2**depth - 1)).astype(np.uint16)
    order = ">u2" if uid == BIG_ENDIAN else "<u2"
    data = entries.astype(order).tobytes() if vr == "OW" else entries.tolist()
    dataset = make_dicom(film())
    setattr(dataset, keyword, [lut_item([4096, 0, depth], data, vr)])
    image = read(to_bytes(dataset, uid))
    np.testing.assert_array_equal(image.pixels, film())
    np.testing.assert_array_equal(render(image), render(GreyImage(entries[film()], 16)))


def test_packed_eight_bit_table() -> None:
    entries = (255 - np.arange(256) // 2).astype(np.uint8)
    pixels = film(bits=8)
    dataset = make_dicom(pixels, 8)
    dataset.VOILUTSequence = [lut_item([256, 0, 8], entries.tobytes(), "OW")]
    shown = render(read(to_bytes(dataset)))
    np.testing.assert_array_equal(shown, render(GreyImage(entries[pixels], 8)))


def test_lookup_table_clamps_outside_its_range() -> None:
    ramp = np.repeat(np.arange(0, 4096, 8, dtype=np.uint16)[None], 4, axis=0)
    dataset = make_dicom(ramp)
    dataset.VOILUTSequence = [lut_item([1000, 1000, 16], list(range(1000)))]
    shown = render(read(to_bytes(dataset)))[0].astype(float)
    np.testing.assert_allclose(shown, np.clip((ramp[0] - 1000.0) / 999, 0, 1) * 255, atol=2)


def test_lut_wins_over_window() -> None:
    ramp = np.repeat(np.arange(0, 4096, 8, dtype=np.uint16)[None], 4, axis=0)
    dataset = make_dicom(ramp, WindowCenter="100", WindowWidth="10")
    dataset.VOILUTSequence = [lut_item([4096, 0, 16], list(range(4096)))]
    np.testing.assert_allclose(render(read(to_bytes(dataset)))[0], levels(), atol=1)


@pytest.mark.parametrize("signed", [False, True])
def test_padding_is_black_and_left_out_of_the_range(signed: bool) -> None:
    pixels: Array = film(bits=10) + np.uint16(1000)
    padding = 0
    if signed:
        pixels, padding = pixels.astype(np.int16), -2000
    pixels[:, :60] = padding
    data = to_bytes(make_dicom(pixels, bits=16, PixelPaddingValue=padding))
    shown = render(read(data))
    assert shown[:, :60].max() == 0
    alone = render(GreyImage(pixels[:, 60:], 16))
    assert np.abs(shown[:, 60:].astype(int) - alone).mean() < 3


def test_padding_range() -> None:
    pixels = film(bits=12)
    pixels[:, :50] = 4000
    pixels[:, 50:60] = 4095
    data = to_bytes(make_dicom(pixels, PixelPaddingValue=4000, PixelPaddingRangeLimit=4095))
    assert render(read(data))[:, :60].max() == 0


@given(st.integers(0, 255), st.integers(2, 40))
def test_render_uses_the_whole_range(low: int, span: int) -> None:
    ramp = np.linspace(low, low + span, 400).round().astype(np.uint16).reshape(20, 20)
    shown = render(GreyImage(ramp, 16))
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.all(np.diff(shown.ravel().astype(int)) >= 0)


def test_wide_values_are_rendered() -> None:
    pixels = film(bits=12).astype(np.uint32) * 70000
    shown = render(read(to_bytes(make_dicom(pixels, bits=32))))
    assert np.abs(shown.astype(int) - render(GreyImage(film(bits=12), 12))).max() <= 1


# --- sides ---


# --- what is indexed ---


# --- colour ---


# --- damage ---
