"""The shipped bundle on real radiographs in several encodings."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.annotation import NORMAL
from indexer.archive.decoding import DecodeSettings, decode
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.interpretation.certainty import UNUSUAL
from indexer.cascade.reading import Predictor, Reading
from indexer.errors import BundleError


@pytest.fixture(scope="module")
def runtime(bundle: Bundle) -> Predictor:
    return Predictor(bundle, Compute(device="cpu"), batch_size=4)


def _read(runtime: Predictor, bundle: Bundle, files: dict[str, bytes]) -> list[Reading]:
    settings = DecodeSettings(bundle.size, bundle.squash, b"k" * 32)
    return runtime.read(np.stack([decode(d, n, settings).canvas for n, d in files.items()]))


def test_one_radiograph_in_four_encodings(runtime: Predictor, bundle: Bundle) -> None:
    from data_store.data import __path__ as places

    paths = sorted(Path(next(iter(places))).glob("RG1_*.dcm"))
    assert len(paths) == 4
    readings = _read(runtime, bundle, {path.name: path.read_bytes() for path in paths})
    for one, other in combinations(readings, 2):
        assert float(one.embedding @ other.embedding) > 0.99


def test_lossy_and_near_lossless_of_one_film(
    runtime: Predictor, bundle: Bundle, shared: Path
) -> None:
    names = ("chest_mono1_15bit_jpeg2000_lossy.dcm", "chest_mono1_15bit_jpegls.dcm")
    files = {name: (shared / "dicom" / name).read_bytes() for name in names}
    one, other = _read(runtime, bundle, files)
    assert float(one.embedding @ other.embedding) > 0.99


def test_a_picture_and_its_dicom_twin(runtime: Predictor, bundle: Bundle) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import (
        ComputedRadiographyImageStorage,
        ExplicitVRLittleEndian,
        generate_uid,
    )

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 10), np.uint8))
    pixels = np.asarray(coarse.resize((400, 480), Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    twin = Dataset()
    twin.file_meta = FileMetaDataset()
    twin.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    twin.file_meta.MediaStorageSOPClassUID = twin.SOPClassUID = ComputedRadiographyImageStorage
    twin.file_meta.MediaStorageSOPInstanceUID = twin.SOPInstanceUID = generate_uid()
    twin.Modality, twin.BodyPartExamined = "CR", "CHEST"
    twin.Rows, twin.Columns = pixels.shape
    twin.SamplesPerPixel, twin.PhotometricInterpretation = 1, "MONOCHROME2"
    twin.BitsAllocated = twin.BitsStored = 8
    twin.HighBit, twin.PixelRepresentation = 7, 0
    twin.PixelData = pixels.tobytes()
    stored = io.BytesIO()
    twin.save_as(stored, enforce_file_format=True)
    files = {"twin.png": buffer.getvalue(), "twin.dcm": stored.getvalue()}
    settings = DecodeSettings(bundle.size, bundle.squash, b"k" * 32)
    assert len({decode(data, name, settings).image_id for name, data in files.items()}) == 1
    one, other = _read(runtime, bundle, files)
    assert float(one.embedding @ other.embedding) > 0.999


def test_a_reading_says_what_is_over_its_threshold(runtime: Predictor, bundle: Bundle) -> None:
    canvases = np.random.default_rng(1).integers(0, 255, (6, bundle.size, bundle.size), np.uint8)
    # As if they were films: what is said of pictures that are none is asked for below.
    for reading in runtime.interpret(runtime.encode(canvases)):
        # Probabilities are given with four digits.
        excess = {f: p - bundle.thresholds[f] for f, p in reading.probabilities.items()}
        excess.pop(NORMAL)
        diseases = {annotation.disease for annotation in reading.annotations}
        if diseases != {NORMAL}:
            assert {f for f, more in excess.items() if more > 1e-4} <= diseases
            assert diseases <= {f for f, more in excess.items() if more > -1e-4}
        else:
            assert max(excess.values()) < 1e-4
        assert np.isfinite(reading.embedding).all()
        assert all(0 < w.confidence <= 1 for a in reading.annotations for w in a.words)
        again = Reading.from_json(reading.to_json(), reading.embedding)
        assert again.to_json() == reading.to_json()


def test_of_what_is_no_film_nothing_is_said(runtime: Predictor, bundle: Bundle) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (6, bundle.size, bundle.size), np.uint8)
    for reading in runtime.read(noise):
        assert reading.unusual > UNUSUAL
        assert not reading.annotations
        assert reading.probabilities


def test_a_device_that_is_not_there(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="warp"):
        Predictor(bundle, Compute(device="warp"))


def test_the_weights_are_small_and_no_pickle(bundle: Bundle) -> None:
    files = {path.name: path.stat().st_size for path in bundle.path.iterdir()}
    assert set(files) == {"bundle.json", "weights.safetensors"}
    assert sum(files.values()) < 40e6
