"""The RNN without torch: the beam search of `networks.annotator` for trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Describer"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.intp]


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
        # What the first layer makes of each word.
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
        n, vocabulary = len(findings), len(self._output[1])
        if not n:
            return []
        rows = np.arange(n)[:, None]
        words = np.repeat(np.asarray(findings)[:, None, None], beam, axis=1)
        states = self._initial(embedding, beam)
        score = np.full((n, beam), -np.inf, np.float32)
        score[:, 0] = 0
        probability = np.ones((n, beam, 1), np.float32)
        ended = np.zeros((n, beam), bool)
        only_end = np.zeros(vocabulary, np.float32)
        only_end[0] = 1
        for _ in range(length):
            logits, states = self._step(words[:, :, -1], states)
            # No word is written twice.
            used = np.zeros(logits.shape, bool)
            np.put_along_axis(used, words, True, axis=2)
            used[:, :, 0] = False
            logits[used] = -np.inf
            chance = _softmax(logits)
            chance[ended] = only_end
            with np.errstate(divide="ignore"):
                total = (score[:, :, None] + np.log(chance)).reshape(n, -1)
            best = np.argsort(-total, axis=1, kind="stable")[:, :beam]
            score = np.take_along_axis(total, best, 1)
            parent, word = best // vocabulary, best % vocabulary
            words = np.concatenate([words[rows, parent], word[:, :, None]], 2)
            said = chance[rows, parent, word][:, :, None]
            probability = np.concatenate([probability[rows, parent], said], 2)
            states = [tuple(part[rows, parent] for part in state) for state in states]
            ended = ended[rows, parent] | (word == 0)
            if ended.all():
                break
        return [
            [(w, p) for w, p in zip(line, chances, strict=True) if w != 0]
            for line, chances in zip(
                words[:, 0, 1:].tolist(), probability[:, 0, 1:].tolist(), strict=True
            )
        ]

    def _initial(self, embedding: FloatArray, beam: int) -> list[tuple[FloatArray, ...]]:
        """Per layer, the state that the image starts, each part of shape (n, beam, units)."""
        weight, bias = self._start
        scaled = embedding[:, None] * np.float32(embedding.shape[1] ** 0.5)
        state = np.tanh(scaled @ weight + bias)
        parts = np.split(np.repeat(state, beam, axis=1), len(self._layers), axis=2)
        if self._cell == "gru":
            return [(part,) for part in parts]
        return [(part, part) for part in parts]

    def _step(
        self, words: IntArray, states: list[tuple[FloatArray, ...]]
    ) -> tuple[FloatArray, list[tuple[FloatArray, ...]]]:
        given = self._words[words]
        after: list[tuple[FloatArray, ...]] = []
        for layer, ((weight, bias, own, own_bias), state) in enumerate(
            zip(self._layers, states, strict=True)
        ):
            if layer:
                given = after[-1][0] @ weight + bias
            advance = _gru if self._cell == "gru" else _lstm
            after.append(advance(given, state[0] @ own + own_bias, state, self._units))
        weight, bias = self._output
        return after[-1][0] @ weight + bias, after


def _gru(
    given: FloatArray, kept: FloatArray, state: tuple[FloatArray, ...], units: int
) -> tuple[FloatArray, ...]:
    gates = _sigmoid(given[..., : 2 * units] + kept[..., : 2 * units])
    reset, update = gates[..., :units], gates[..., units:]
    new = np.tanh(given[..., 2 * units :] + reset * kept[..., 2 * units :])
    return (new + update * (state[0] - new),)


def _lstm(
    given: FloatArray, kept: FloatArray, state: tuple[FloatArray, ...], units: int
) -> tuple[FloatArray, ...]:
    gates = given + kept
    take, forget, new, show = (gates[..., n * units : (n + 1) * units] for n in range(4))
    memory = _sigmoid(forget) * state[1] + _sigmoid(take) * np.tanh(new)
    return _sigmoid(show) * np.tanh(memory), memory


def _sigmoid(values: FloatArray) -> FloatArray:
    # Unlike 1 / (1 + exp(-x)), this overflows nowhere.
    half: FloatArray = np.float32(0.5) * (np.tanh(np.float32(0.5) * values) + np.float32(1))
    return half


def _softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    chance: FloatArray = powers / powers.sum(-1, keepdims=True)
    return chance
