"""Labels mined from annotations: image classes, findings, finding + qualifier pairs, and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL, Annotation
from indexer.cascade.labels import END, LabelSet

__all__ = [
    "PAPER_CLASSES",
    "encode_sequences",
    "mine",
]

T = TypeVar("T")

# The patterns with more than 30 images of the whole collection, most frequent first.
PAPER_CLASSES = (
    NORMAL,
    "calcified granuloma",
    "thoracic vertebrae degenerative",
    "lung hypoinflation",
    "calcinosis",
    "opacity",
    "spine degenerative",
    "cardiomegaly",
    "scoliosis",
    "lung hyperdistention",
    "surgical instruments",
    "spondylosis",
    "osteophyte",
    "catheters, indwelling",
    "fractures, bone",
    "granulomatous disease",
    "nodule",
)


def mine(annotations: Sequence[Sequence[Annotation]], min_images: int) -> LabelSet:
    """Labels that at least `min_images` images carry.

    Parameters
    ----------
    annotations
        Per image, its annotations.
    """
    findings: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    words: Counter[str] = Counter()
    for image in annotations:
        findings.update({a.disease for a in image})
        pairs.update({(a.disease, w.text) for a in image for w in a.words[1:]})
        words.update({w.text for a in image for w in a.words[1:]})
    kept = _frequent(findings, min_images)
    qualifiers = _frequent(words, min_images)
    return LabelSet(
        findings=kept,
        pairs=tuple(p for p in _frequent(pairs, min_images) if p[0] in set(kept)),
        vocabulary=(END, *kept, *(q for q in qualifiers if q not in set(kept))),
    )


def _frequent(counts: Counter[T], least: int) -> tuple[T, ...]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return tuple(value for value, count in ranked if count >= least)


def encode_sequences(
    annotations: Iterable[Sequence[Annotation]], labels: LabelSet, length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Word sequences for the annotator, one row for each annotation of a kept finding.

    Returns
    -------
    image
        Shape (sequences,): the row of the image each belongs to.
    tokens
        Shape (sequences, length + 1): finding, qualifiers, `END`, then -1. A target never
        runs past its own record's end. Words outside the vocabulary are left out.
    """
    token = {word: index for index, word in enumerate(labels.vocabulary)}
    findings = set(labels.findings)
    owners: list[int] = []
    rows: list[list[int]] = []
    for index, image in enumerate(annotations):
        for annotation in image:
            if annotation.disease not in findings:
                continue
            row = [token[w.text] for w in annotation.words if w.text in token][:length]
            rows.append([*row, token[END], *[-1] * (length - len(row))])
            owners.append(index)
    return np.array(owners, np.int64), np.array(rows, np.int64).reshape(-1, length + 1)
