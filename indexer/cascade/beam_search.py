"""Beam search: the likeliest words after a first one, whatever network proposes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["END", "BeamState", "Step", "beam_search"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.intp]

#: The word that ends a line.
END = 0

#: A network's state for each line: arrays of shape (n, beam, ...).
BeamState = tuple[FloatArray, ...]

#: From the last words, shape (n, beam), and the state, the logits of the next word, shape
#: (n, beam, words), and the state after it.
Step = Callable[[IntArray, BeamState], tuple[FloatArray, BeamState]]


def beam_search(
    step: Step, state: BeamState, first: IntArray, beam: int = 3, length: int = 7
) -> list[list[tuple[int, float]]]:
    """The likeliest line that begins with each of `first`; no word stands in it twice.

    Parameters
    ----------
    step
        Advances the network by one word.
    state
        Where each line starts.
    first
        Shape (n,): the first word of each line.
    beam
        Alternatives kept at every word.
    length
        Most words after the first.

    Returns
    -------
    list
        Per line, the words after the first with their conditional probabilities.
    """
    n = len(first)
    if not n:
        return []
    rows = np.arange(n)[:, None]
    words = np.repeat(np.asarray(first)[:, None, None], beam, axis=1)
    score = np.full((n, beam), -np.inf, np.float32)
    score[:, 0] = 0
    probability = np.ones((n, beam, 1), np.float32)
    ended = np.zeros((n, beam), bool)
    for _ in range(length):
        logits, state = step(words[:, :, -1], state)
        used = np.zeros(logits.shape, bool)
        np.put_along_axis(used, words, True, axis=2)
        used[:, :, END] = False
        chance = _softmax(np.where(used, np.float32(-np.inf), logits))
        chance[ended] = np.arange(logits.shape[2]) == END
        with np.errstate(divide="ignore"):
            total = (score[:, :, None] + np.log(chance)).reshape(n, -1)
        best = np.argsort(-total, axis=1, kind="stable")[:, :beam]
        score = np.take_along_axis(total, best, 1)
        parent, word = np.divmod(best, logits.shape[2])
        words = np.concatenate([words[rows, parent], word[:, :, None]], 2)
        own = chance[rows, parent, word][:, :, None]
        probability = np.concatenate([probability[rows, parent], own], 2)
        state = tuple(part[rows, parent] for part in state)
        ended = ended[rows, parent] | (word == END)
        if ended.all():
            break
    return [
        [(word, chance) for word, chance in zip(line, chances, strict=True) if word != END]
        for line, chances in zip(
            words[:, 0, 1:].tolist(), probability[:, 0, 1:].tolist(), strict=True
        )
    ]


def _softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    chance: FloatArray = powers / powers.sum(-1, keepdims=True)
    return chance
