"""The model of `indexer.cascade.sentences`, computed by NumPy.

For the one sentence of a query, loading sentence-transformers takes longer than all the rest. Here
the same weights give the same vectors after some tenths of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.cascade.sentences import DIMENSIONS, model_path

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["MAX_PIECES", "encode"]

#: Word pieces that are read of a text, the marks of begin and end among them.
MAX_PIECES = 256

_LAYERS, _HEADS = 6, 12
_BATCH = 64
_EPSILON = 1e-12

_Array = npt.NDArray[np.float32]


def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Unit vectors of texts, shape (n, 384): those of `indexer.cascade.sentences.encode`.

    Raises
    ------
    MissingExtraError
        The model's package is not installed.
    """
    vectors = np.empty((len(texts), DIMENSIONS), np.float32)
    if not texts:
        return vectors
    tokenizer, weights = _model()
    pieces = [tokenizer.encode(text).ids for text in texts]
    # Texts of one length go together, so that none is padded.
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(pieces):
        by_length.setdefault(len(ids), []).append(row)
    for rows in by_length.values():
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            vectors[part] = _forward(np.array([pieces[row] for row in part]), weights)
    return vectors


@lru_cache(1)
def _model() -> tuple[Tokenizer, dict[str, _Array]]:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    path = model_path()
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_PIECES)
    return tokenizer, load_file(path / "model.safetensors")


def _forward(tokens: npt.NDArray[np.intp], weights: dict[str, _Array]) -> _Array:
    """Vectors of texts of one length, given as word pieces of shape (n, length)."""

    def linear(x: _Array, name: str) -> _Array:
        # One large product is much faster than one for each text.
        y: _Array = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.weight"].T
        y += weights[f"{name}.bias"]
        return y.reshape(*x.shape[:-1], -1)

    def norm(x: _Array, name: str) -> _Array:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(_EPSILON))
        y: _Array = x * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return y

    def heads(x: _Array) -> _Array:
        return x.reshape(*x.shape[:2], _HEADS, -1).swapaxes(1, 2)

    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(_LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            heads(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value")
        )
        seen = _softmax(query @ key.swapaxes(2, 3) / np.float32(query.shape[-1] ** 0.5)) @ value
        seen = seen.swapaxes(1, 2).reshape(x.shape)
        output = f"{layer}.attention.output"
        x = norm(x + linear(seen, f"{output}.dense"), f"{output}.LayerNorm")
        inner = _gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean = x.mean(1)
    vectors: _Array = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return vectors


def _softmax(x: _Array) -> _Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    y: _Array = powers / powers.sum(-1, keepdims=True)
    return y


def _gelu(x: _Array) -> _Array:
    """x times the normal distribution up to x.

    The error function by Abramowitz and Stegun 7.1.26, whose error is under 1.5e-7.
    """
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    y: _Array = np.float32(0.5) * x * (1 + np.sign(x) * (1 - series * np.exp(-z * z)))
    return y
