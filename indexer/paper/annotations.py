"""Annotations as rows of word numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.annotation import Annotation
from indexer.paper.classes import CLASSES

__all__ = ["END", "PaperVocabulary"]

END = "<end>"


@dataclass(frozen=True, slots=True)
class PaperVocabulary:
    """The words that can be written: `END`, the classes, then qualifiers by frequency.

    Parameters
    ----------
    words
        All of them; a word's place is its number.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, annotations: Iterable[Annotation], min_count: int = 1) -> PaperVocabulary:
        """Words of the classes' annotations; qualifiers said less than `min_count` times drop."""
        counts = Counter(
            word.text for a in annotations if a.disease in CLASSES for word in a.words[1:]
        )
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        kept = (w for w in ranked if counts[w] >= min_count and w not in CLASSES)
        return cls((END, *CLASSES, *kept))

    def encode(self, annotations: Sequence[Sequence[str]], steps: int) -> npt.NDArray[np.int64]:
        """Rows for an RNN unrolled `steps` times.

        Parameters
        ----------
        annotations
            Words of each annotation, disease first; unknown words are left out.

        Returns
        -------
        numpy.ndarray
            Shape (annotations, steps + 1): the words, `END`, then -1 for "no target": a row
            never runs into the next record. More than `steps` words are cut.
        """
        number = {word: index for index, word in enumerate(self.words)}
        rows = np.full((len(annotations), steps + 1), -1, np.int64)
        for row, words in zip(rows, annotations, strict=True):
            known = [number[word] for word in words if word in number][:steps]
            row[: len(known) + 1] = [*known, number[END]]
        return rows

    def decode(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The words up to `END` or the first -1."""
        words = []
        for number in numbers:
            if number < 1:
                break
            words.append(self.words[number])
        return tuple(words)
