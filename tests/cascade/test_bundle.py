from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.errors import BundleError


def _save(folder: Path, *numbers: float) -> Bundle:
    """The bundle that ships, with some more numbers."""
    shipped = Bundle.load()
    return Bundle.save(
        folder,
        shipped,
        shipped.weights() | {"variance": np.array(numbers, np.float32)},
    )


def test_numbers_are_kept_in_half_precision_where_it_reaches_far_enough(tmp_path: Path) -> None:
    small = _save(tmp_path / "small", 0.1, 60_000).weights()["variance"]
    assert small.dtype == np.float16
    np.testing.assert_allclose(small, [0.1, 60_000], rtol=1e-3)
    large = _save(tmp_path / "large", 0.1, 4e6).weights()["variance"]
    np.testing.assert_array_equal(large, np.array([0.1, 4e6], np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    with pytest.raises(BundleError, match="variance is not finite"):
        _save(tmp_path / "astray", 1.0, bad)
    assert not (tmp_path / "astray").exists()


def test_a_bundle_of_before_reads_as_it_did(tmp_path: Path) -> None:
    """One that version 0.2 trained, on drawn squares; what it says is what it said there."""
    with zipfile.ZipFile(Path(__file__).parent / "data" / "bundle-0.2.zip") as made:
        made.extractall(tmp_path)
    bundle = Bundle.load(tmp_path / "bundle-0.2")
    assert (bundle.hash, bundle.name) == ("66caebb5939c992c", "tiny")
    noise = [np.random.default_rng(seed).integers(0, 256, (64, 64)) for seed in (0, 1)]
    readings = Predictor(bundle, Compute(device="cpu")).read(np.stack(noise).astype(np.uint8))
    found: list[tuple[Any, ...]] = [
        (r.probabilities["opacity"], r.probabilities["normal"], r.view) for r in readings
    ]
    assert found == [
        (pytest.approx(0.6610, abs=0.005), pytest.approx(0.3630, abs=0.005), "frontal"),
        (pytest.approx(0.6619, abs=0.005), pytest.approx(0.3558, abs=0.005), "frontal"),
    ]
    assert [[a.text for a in r.annotations] for r in readings] == [["normal"], ["normal"]]
