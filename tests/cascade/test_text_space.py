from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from indexer.cascade.bundle import Bundle
from indexer.cascade.runtimes.reference import build_encoder
from indexer.cascade.text_space import COMMON, TextSpace
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
    fits = places @ (sentence - bundle.weights()[COMMON])
    likeness = TextSpace.of(bundle).likeness(sentence[None], embeddings)
    np.testing.assert_allclose(likeness[0], fits, atol=1e-3)
    np.testing.assert_allclose(embeddings @ direction + constant, fits, atol=1e-3)


def test_a_picture_that_all_texts_fit_is_taken_down() -> None:
    texts = np.eye(4, dtype=np.float32)
    near_everything, own = texts.sum(0), 1.5 * texts[1]
    pictures = np.stack([near_everything, own])
    space = TextSpace(np.eye(4, dtype=np.float32), np.zeros(4, np.float32), texts.mean(0))
    plain = replace(space, common=np.zeros(4, np.float32))
    assert plain.likeness(texts[1:2], 0.8 * pictures).argmax() == 1
    assert plain.likeness(texts[1:2], pictures * [[2], [1]]).argmax() == 0
    assert space.likeness(texts[1:2], pictures * [[2], [1]]).argmax() == 1


def test_a_bundle_without_sentences(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="knows no sentences"):
        TextSpace.of(make_bundle(tmp_path / "tiny"))
