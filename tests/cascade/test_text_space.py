from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from indexer.cascade.bundle import Bundle
from indexer.cascade.runtimes.reference import build_encoder
from indexer.cascade.text_space import COMMON, TEXT_MAP, TextMap, TextSpace
from indexer.errors import BundleError
from indexer.words.sentences import DIMENSIONS
from tests.pipeline.making import make_bundle


def test_places_are_those_of_the_encoder(bundle: Bundle) -> None:
    drawn = np.random.default_rng(0).normal(size=(20, bundle.dimensions)).astype(np.float32)
    embeddings = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    sentence = np.random.default_rng(1).normal(size=DIMENSIONS).astype(np.float32)
    space = replace(TextSpace.of(bundle), text_map=None)
    direction, constant = space.direction(sentence)
    with torch.inference_mode():
        places = build_encoder(bundle).place(torch.from_numpy(embeddings)).numpy()
    np.testing.assert_allclose(space.place(embeddings), places, atol=1e-4)
    fits = places @ (sentence - bundle.weights()[COMMON])
    likeness = space.likeness(sentence[None], embeddings)
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


def _text_map(units: int = 3) -> TextMap:
    rng = np.random.default_rng(2)
    shapes = ((units, DIMENSIONS), (units,), (DIMENSIONS, units))
    drawn = [rng.normal(size=shape).astype(np.float16).astype(np.float32) for shape in shapes]
    return TextMap(*drawn)


def test_a_text_map_moves_texts_and_no_picture(bundle: Bundle, tmp_path: Path) -> None:
    plain = replace(TextSpace.of(bundle), text_map=None)
    weights = {n: a for n, a in bundle.weights().items() if not n.startswith(TEXT_MAP)}
    assert TextSpace.of(Bundle.save(tmp_path / "old", bundle, weights)).text_map is None
    saved = Bundle.save(tmp_path / "new", bundle, weights | _text_map().tensors())
    space, own = TextSpace.of(saved), _text_map()
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(5, bundle.dimensions)).astype(np.float32)
    sentence = rng.normal(size=DIMENSIONS).astype(np.float32)
    np.testing.assert_array_equal(space.place(embeddings), plain.place(embeddings))
    text = sentence - plain.common
    hidden = np.maximum(own.hidden @ text + own.hidden_bias, 0)
    expected = space.place(embeddings) @ (text + own.output @ hidden)
    np.testing.assert_allclose(space.likeness(sentence[None], embeddings)[0], expected, atol=1e-3)
    direction, constant = space.direction(sentence)
    np.testing.assert_allclose(embeddings @ direction + constant, expected, atol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": np.zeros((3, 5), np.float32)},
        {"hidden_bias": np.zeros((3, 1), np.float32)},
        {"output": np.zeros((3, DIMENSIONS), np.float32)},
        {"output": None},
        {"more": np.zeros(3, np.float32)},
    ],
    ids=["other texts", "a bias of two sides", "turned", "missing", "too many"],
)
def test_a_text_map_that_does_not_fit(
    bundle: Bundle, tmp_path: Path, changes: dict[str, np.ndarray | None]
) -> None:
    tensors = _text_map().tensors() | {f"{TEXT_MAP}{n}": a for n, a in changes.items()}
    weights = bundle.weights() | {n: a for n, a in tensors.items() if a is not None}
    weights = {n: a for n, a in weights.items() if tensors.get(n, a) is not None}
    saved = Bundle.save(tmp_path / "bad", bundle, weights)
    with pytest.raises(BundleError, match="damaged"):
        TextSpace.of(saved)
