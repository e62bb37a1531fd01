"""The paper's image classes, and the images that belong to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from indexer.datasets.dataset import Example
from indexer.datasets.mining import PAPER_CLASSES

__all__ = ["CLASSES", "annotation_words", "commonest_annotations", "in_a_class", "paper_class"]

#: The paper's name for the classes; `indexer.datasets.mining` says which they are.
CLASSES = PAPER_CLASSES


def paper_class(example: Example) -> str | None:
    """The class that is the image's whole pattern; None where it has another or several."""
    pattern = {annotation.disease for annotation in example.annotations}
    (disease,) = pattern if len(pattern) == 1 else (None,)
    return disease if disease in CLASSES else None


def annotation_words(example: Example) -> tuple[str, ...]:
    """The words of the image's annotation, disease first; of several, the first counts."""
    return tuple(word.text for word in example.annotations[0].words)


def in_a_class(examples: Iterable[Example]) -> list[Example]:
    """The images that belong to a class, in order."""
    return [example for example in examples if paper_class(example) is not None]


def commonest_annotations(examples: Iterable[Example]) -> dict[str, tuple[str, ...]]:
    """Per class, its most frequent annotation; the shorter, then the first in the alphabet,
    where two are as frequent."""
    counts = Counter(annotation_words(example) for example in in_a_class(examples))
    ranked = sorted(counts, key=lambda words: (-counts[words], len(words), words))
    found: dict[str, tuple[str, ...]] = {}
    for words in ranked:
        found.setdefault(words[0], words)
    return found
