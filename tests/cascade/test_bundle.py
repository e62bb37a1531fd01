from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.labels import Labels
from indexer.errors import BundleError


def _save(folder: Path, *numbers: float) -> Bundle:
    weights: dict[str, npt.NDArray[Any]] = {"variance": np.array(numbers, np.float32)}
    return Bundle.save(
        folder,
        name="numbers",
        size=8,
        squash=True,
        dimensions=4,
        labels=Labels(("normal",), (), ("", "normal")),
        thresholds={},
        architecture={},
        record={},
        weights=weights,
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
