from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.runtime import Runtime
from indexer.cascade.sentences import DIMENSIONS
from indexer.cascade.text_space import TextSpace
from indexer.errors import BundleError
from tests.pipeline.making import make_bundle


def test_places_are_those_of_the_runtime(bundle: Bundle) -> None:
    drawn = np.random.default_rng(0).normal(size=(20, bundle.dimensions)).astype(np.float32)
    embeddings = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    sentence = np.random.default_rng(1).normal(size=DIMENSIONS).astype(np.float32)
    direction, constant = TextSpace.of(bundle).direction(sentence)
    fits = Runtime(bundle, "cpu").text_space(embeddings) @ sentence
    np.testing.assert_allclose(embeddings @ direction + constant, fits, atol=1e-3)


def test_a_bundle_without_sentences(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="knows no sentences"):
        TextSpace.of(make_bundle(tmp_path / "tiny"))
