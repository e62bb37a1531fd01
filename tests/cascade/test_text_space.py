from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from indexer.cascade.bundle import Bundle
from indexer.cascade.runtimes.reference import build_encoder
from indexer.cascade.text_space import TextSpace
from indexer.errors import BundleError
from indexer.words.sentences import DIMENSIONS
from tests.pipeline.making import make_bundle


def test_places_are_those_of_the_encoder(bundle: Bundle) -> None:
    drawn = np.random.default_rng(0).normal(size=(20, bundle.dimensions)).astype(np.float32)
    embeddings = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    sentence = np.random.default_rng(1).normal(size=DIMENSIONS).astype(np.float32)
    direction, constant = TextSpace.of(bundle).direction(sentence)
    with torch.inference_mode():
        places = build_encoder(bundle).place(torch.from_numpy(embeddings)).numpy()
    np.testing.assert_allclose(TextSpace.of(bundle).place(embeddings), places, atol=1e-4)
    fits = places @ sentence
    np.testing.assert_allclose(embeddings @ direction + constant, fits, atol=1e-3)


def test_a_bundle_without_sentences(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="knows no sentences"):
        TextSpace.of(make_bundle(tmp_path / "tiny"))
