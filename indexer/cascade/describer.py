"""The RNN without torch, for trained weights: the words of each finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.cascade.beam_search import BeamState, FloatArray, IntArray, beam_search

__all__ = ["Describer", "shapes", "sigmoid"]


def shapes(
    words: int, dimensions: int, cell: str = "gru", units: int = 256, layers: int = 1
) -> dict[str, tuple[int | str, ...]]:
    """Shapes of the tensors of a `Describer` by name, for `bundle_checks.check_shapes`."""
    gates = units * (3 if cell == "gru" else 4)
    found: dict[str, tuple[int | str, ...]] = {
        "embedding.weight": (words, "e"),
        "start.weight": (units * layers, dimensions),
        "start.bias": (units * layers,),
        "output.weight": (words, units),
        "output.bias": (words,),
    }
    for layer in range(layers):
        found[f"rnn.weight_ih_l{layer}"] = (gates, units if layer else "e")
        found[f"rnn.weight_hh_l{layer}"] = (gates, units)
        found[f"rnn.bias_ih_l{layer}"] = found[f"rnn.bias_hh_l{layer}"] = (gates,)
    return found


class Describer:
    """Writes annotations as `Annotator.describe` does.

    Every finding is multiplied by itself, in matrices of one row per beam, so that what is
    written of it cannot depend on how many others there are.

    Parameters
    ----------
    weights
        The tensors of an `indexer.cascade.networks.annotator.Annotator`, by name.
    cell
        ``"gru"`` or ``"lstm"``.
    units, layers
        Size of the state and number of layers.

    Raises
    ------
    KeyError
        A tensor is missing.
    """

    def __init__(
        self,
        weights: Mapping[str, npt.NDArray[Any]],
        cell: str = "gru",
        units: int = 256,
        layers: int = 1,
    ) -> None:
        exact = {name: array.astype(np.float32) for name, array in weights.items()}
        self._cell, self._units = cell, units
        # A GRU has an output alone, an LSTM a memory as well.
        self._parts = 1 if cell == "gru" else 2
        self._start = exact["start.weight"].T.copy(), exact["start.bias"]
        self._output = exact["output.weight"].T.copy(), exact["output.bias"]
        self._layers = [
            tuple(
                part
                for name in ("ih", "hh")
                for part in (
                    exact[f"rnn.weight_{name}_l{layer}"].T.copy(),
                    exact[f"rnn.bias_{name}_l{layer}"],
                )
            )
            for layer in range(layers)
        ]
        # The input of the first layer for each word of the vocabulary.
        weight, bias = self._layers[0][:2]
        self._words = exact["embedding.weight"] @ weight + bias

    def describe(
        self, embedding: FloatArray, findings: IntArray, beam: int = 3, length: int = 7
    ) -> list[list[tuple[int, float]]]:
        """The likeliest annotation of each finding, by beam search.

        Parameters
        ----------
        embedding
            Shape (n, dimensions).
        findings
            Shape (n,): the first word of each annotation.
        beam
            Alternatives kept at every word.
        length
            Most words written after the finding.

        Returns
        -------
        list
            Per row, the words after the finding with their conditional probabilities.
        """
        return beam_search(
            self._step, self._initial(embedding, beam), np.asarray(findings), beam, length
        )

    def _initial(self, embedding: FloatArray, beam: int) -> BeamState:
        """The state that the image starts, layer by layer, each part of shape (n, beam, units)."""
        weight, bias = self._start
        scaled = embedding[:, None] * np.float32(embedding.shape[1] ** 0.5)
        start = np.tanh(scaled @ weight + bias)
        layers = np.split(np.repeat(start, beam, axis=1), len(self._layers), axis=2)
        return tuple(part for part in layers for _ in range(self._parts))

    def _step(self, words: IntArray, state: BeamState) -> tuple[FloatArray, BeamState]:
        inputs = self._words[words]
        after: list[FloatArray] = []
        advance = _gru if self._cell == "gru" else _lstm
        for layer, (weight, bias, own, own_bias) in enumerate(self._layers):
            if layer:
                inputs = after[-self._parts] @ weight + bias
            before = state[layer * self._parts : (layer + 1) * self._parts]
            after += advance(inputs, before[0] @ own + own_bias, before, self._units)
        weight, bias = self._output
        return after[-self._parts] @ weight + bias, tuple(after)


def _gru(inputs: FloatArray, recurrent: FloatArray, state: BeamState, units: int) -> BeamState:
    gates = sigmoid(inputs[..., : 2 * units] + recurrent[..., : 2 * units])
    reset, update = gates[..., :units], gates[..., units:]
    new = np.tanh(inputs[..., 2 * units :] + reset * recurrent[..., 2 * units :])
    return (new + update * (state[0] - new),)


def _lstm(inputs: FloatArray, recurrent: FloatArray, state: BeamState, units: int) -> BeamState:
    gates = inputs + recurrent
    take, forget, new, show = (gates[..., n * units : (n + 1) * units] for n in range(4))
    memory = sigmoid(forget) * state[1] + sigmoid(take) * np.tanh(new)
    return sigmoid(show) * np.tanh(memory), memory


def sigmoid(values: FloatArray) -> FloatArray:
    """The logistic function of each value."""
    # Unlike 1 / (1 + exp(-x)), this overflows nowhere.
    half: FloatArray = np.float32(0.5) * (np.tanh(np.float32(0.5) * values) + np.float32(1))
    return half
