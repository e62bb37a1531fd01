"""The RNN: from an embedding and a finding to the finding's annotation, word by word."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from indexer.cascade.beam_search import BeamState, FloatArray, IntArray, beam_search

__all__ = ["Annotator"]


class Annotator(nn.Module):
    """An LSTM or GRU whose state starts as the image embedding (Shin et al., CVPR 2016).

    The embedding reaches the state of every layer (of an LSTM, output and memory) through a
    learned projection. Word 0 ends an annotation.

    Parameters
    ----------
    dimensions
        Length of the embedding.
    words
        Size of the vocabulary, the end word included.
    cell
        ``"gru"`` or ``"lstm"``.
    units, layers
        Size of the state and number of layers.
    """

    def __init__(
        self,
        dimensions: int,
        words: int,
        cell: Literal["gru", "lstm"] = "gru",
        units: int = 256,
        layers: int = 1,
    ) -> None:
        super().__init__()
        self.cell, self.layers = cell, layers
        self.start = nn.Linear(dimensions, units * layers)
        self.embedding = nn.Embedding(words, units)
        kind = nn.GRU if cell == "gru" else nn.LSTM
        self.rnn = kind(units, units, layers, batch_first=True)
        self.drop = nn.Dropout(0.3)
        self.output = nn.Linear(units, words)

    def initial_state(self, embedding: Tensor) -> tuple[Tensor, ...]:
        """State of every layer, each tensor of shape (layers, n, units), from the image alone."""
        scaled = embedding * embedding.shape[1] ** 0.5
        state = self.start(self.drop(scaled)).tanh()
        state = state.reshape(len(embedding), self.layers, -1).transpose(0, 1).contiguous()
        return (state,) if self.cell == "gru" else (state, state)

    def step(self, words: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Advance over `words` of shape (n, time); logits (n, time, words) and the new state."""
        inputs = self.drop(self.embedding(words))
        outputs, after = self.rnn(inputs, state[0] if self.cell == "gru" else state)
        logits = self.output(self.drop(outputs))
        return logits, (after,) if self.cell == "gru" else after

    def forward(self, embedding: Tensor, words: Tensor) -> Tensor:
        """Logits of the next word after each of `words`, shape (n, time, words)."""
        logits, _ = self.step(words, self.initial_state(embedding))
        return logits

    @torch.inference_mode()
    def describe(
        self, embedding: Tensor, findings: Tensor, beam: int = 3, length: int = 7
    ) -> list[list[tuple[int, float]]]:
        """The likeliest annotation of each finding, by beam search.

        Of tensors, and otherwise as `indexer.cascade.describer.Describer.describe`.
        """

        def step(words: IntArray, state: BeamState) -> tuple[FloatArray, BeamState]:
            held = tuple(torch.from_numpy(part).flatten(0, 1).transpose(0, 1) for part in state)
            inputs = torch.from_numpy(words).reshape(-1, 1)
            logits, after = self.step(inputs, tuple(part.contiguous() for part in held))
            return logits.float().numpy().reshape(*words.shape, -1), beams(after)

        def beams(state: tuple[Tensor, ...]) -> BeamState:
            return tuple(part.transpose(0, 1).unflatten(0, (-1, beam)).numpy() for part in state)

        start = self.initial_state(embedding.repeat_interleave(beam, 0))
        return beam_search(step, beams(start), findings.numpy(), beam, length)
