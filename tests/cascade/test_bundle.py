from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.cascade.bundle import Bundle
from indexer.errors import BundleError


def _save(folder: Path, *numbers: float) -> Bundle:
    """The bundle that ships, with some more numbers."""
    shipped = Bundle.load()
    return Bundle.save(
        folder,
        name="numbers",
        size=shipped.size,
        squash=shipped.squash,
        dimensions=shipped.dimensions,
        labels=shipped.labels,
        thresholds=shipped.thresholds,
        architecture=shipped.architecture,
        record={},
        weights=shipped.weights() | {"variance": np.array(numbers, np.float32)},
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
