"""The sentence model in OpenVINO, built from its weights: no torch, no transformers, nothing kept.

A BERT (Devlin et al., NAACL 2019) with mean pooling, as all-MiniLM-L6-v2 is one (Wang et al.,
MiniLM, NeurIPS 2020). Importing sentence-transformers takes longer than a whole search, so the
layers are written down here, and the text is cut into word pieces by `tokenizers` alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.inference_engine import load_openvino

__all__ = ["SentenceNetwork"]

# Batch size; texts of similar length share a batch.
_BATCH = 64
_MASKED = -1e9


class SentenceNetwork:
    """The model, compiled for the processor.

    Parameters
    ----------
    folder
        Of a sentence-transformers model: a BERT whose token vectors are averaged.

    Raises
    ------
    OSError, ValueError, KeyError
        Files are missing, or are of another kind of model.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        openvino = load_openvino()
        length = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(length)
        self._tokenizer.no_padding()
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self._compiled = openvino.Core().compile_model(_network(folder), "CPU", options)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors of texts, shape (n, size)."""
        pieces = [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]
        # Sorted by length: a batch is padded to its longest text.
        order = sorted(range(len(texts)), key=lambda place: len(pieces[place]))
        vectors: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(texts)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            shape = len(places), len(pieces[places[-1]])
            ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
            for row, place in enumerate(places):
                ids[row, : len(pieces[place])] = pieces[place]
                mask[row, : len(pieces[place])] = 1
            (found,) = self._compiled([ids, mask]).values()
            for place, vector in zip(places, found, strict=True):
                vectors[place] = vector / np.linalg.norm(vector)
        return np.stack(vectors)


def _network(folder: Path) -> Any:
    """From word pieces and mask, both of shape (n, length), to mean vectors, shape (n, size)."""
    from openvino import Model, Type
    from openvino import opset13 as ops
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
        raise ValueError(f"{folder} is no BERT with GELU")
    arrays = load_file(folder / "model.safetensors")
    weights = {name: ops.constant(array, shared_memory=True) for name, array in arrays.items()}
    heads, size = config["num_attention_heads"], config["hidden_size"]
    integers = partial(np.array, dtype=np.int64)

    def dense(x: Any, name: str) -> Any:
        product = ops.matmul(x, weights[f"{name}.weight"], False, True)
        return ops.add(product, weights[f"{name}.bias"])

    def normal(x: Any, name: str) -> Any:
        centred = ops.mvn(x, integers([-1]), True, config["layer_norm_eps"], "inside_sqrt")
        scaled = ops.multiply(centred, weights[f"{name}.weight"])
        return ops.add(scaled, weights[f"{name}.bias"])

    def apart(x: Any) -> Any:
        """(n, length, size) to (n, heads, length, size / heads)."""
        shaped = ops.reshape(x, integers([0, 0, heads, size // heads]), True)
        return ops.transpose(shaped, integers([0, 2, 1, 3]))

    ids = ops.parameter([-1, -1], Type.i64)
    mask = ops.parameter([-1, -1], Type.f32)
    length = ops.gather(ops.shape_of(ids), integers(1), integers(0))
    places = ops.range(integers(0), length, integers(1), "i64")
    table = "embeddings.{}_embeddings.weight".format
    x = ops.gather(weights[table("word")], ids, integers(0))
    x = ops.add(x, ops.gather(weights[table("position")], places, integers(0)))
    # A sentence alone is all of one type.
    x = normal(ops.add(x, arrays[table("token_type")][0]), "embeddings.LayerNorm")
    hidden = ops.multiply(ops.subtract(np.float32(1), mask), np.float32(_MASKED))
    hidden = ops.unsqueeze(hidden, integers([1, 2]))
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            apart(dense(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value")
        )
        scores = ops.matmul(query, key, False, True)
        scores = ops.multiply(scores, np.float32((size // heads) ** -0.5))
        seen = ops.matmul(ops.softmax(ops.add(scores, hidden), -1), value, False, False)
        seen = ops.reshape(
            ops.transpose(seen, integers([0, 2, 1, 3])), integers([0, 0, size]), True
        )
        seen = dense(seen, f"{layer}.attention.output.dense")
        x = normal(ops.add(x, seen), f"{layer}.attention.output.LayerNorm")
        inner = ops.gelu(dense(x, f"{layer}.intermediate.dense"), "erf")
        inner = dense(inner, f"{layer}.output.dense")
        x = normal(ops.add(x, inner), f"{layer}.output.LayerNorm")
    weight = ops.unsqueeze(mask, integers([2]))
    mean = ops.divide(
        ops.reduce_sum(ops.multiply(x, weight), integers([1])),
        ops.reduce_sum(weight, integers([1])),
    )
    return Model([mean], [ids, mask])
