from __future__ import annotations

import numpy as np

from indexer.cascade import minilm, sentences

TEXTS = [
    "fluid around the lung",
    "pleural effusion, left",
    "pneumothorax, right",
    "",
    "?! ¿é 日本 \N{SNOWMAN}",
    "Heart size is normal. " * 100,
    "opacity, lung, base, left",
]


def test_the_vectors_are_those_of_sentence_transformers() -> None:
    own, theirs = minilm.encode(TEXTS), sentences.encode(TEXTS)
    assert own.shape == (len(TEXTS), sentences.DIMENSIONS)
    assert own.dtype == np.float32
    np.testing.assert_allclose(own, theirs, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(own, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_company() -> None:
    together = minilm.encode(TEXTS)
    alone = np.concatenate([minilm.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert minilm.encode([]).shape == (0, sentences.DIMENSIONS)
