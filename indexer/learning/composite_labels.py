"""Joint image/text vectors, and the composite labels that their clusters are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from indexer.annotation import NORMAL
from indexer.errors import MissingExtraError, TrainingError

__all__ = ["CompositeLabels", "cluster", "joint_vectors"]

# Most words in a composite label's name, with the disease, and most findings named beside it.
_NAME_WORDS = 4
_COMPANIONS = 2
# A label is named by what at least this share of its annotations has.
_MIN_SHARE = 0.25
_ALONE = "alone"


class _Steppable(Protocol):
    def initial_state(self, embedding: Tensor) -> tuple[Tensor, ...]: ...

    def step(
        self, words: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]: ...


@torch.inference_mode()
def joint_vectors(
    rnn: _Steppable, embeddings: Tensor, tokens: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """One vector per image that holds picture and wording together (Shin et al., section 5).

    The RNN, its state started by the image, reads the true annotation; its last layer's states
    after each word are averaged. The state is carried from word to word, so their order counts.

    Parameters
    ----------
    rnn
        An `indexer.cascade.networks.annotator.Annotator` in evaluation mode.
    embeddings
        Shape (n, dimensions).
    tokens
        Shape (n, time): the annotation of each image; word 0 (the end) and -1 are not read.

    Returns
    -------
    numpy.ndarray
        Shape (n, units).
    """
    state = rnn.initial_state(embeddings)
    words = torch.from_numpy(tokens).to(embeddings.device)
    # Only the words before the first end word count.
    read = (words > 0).cumprod(1)
    total = torch.zeros_like(state[0][-1])
    for time in range(words.shape[1]):
        _, state = rnn.step(words[:, time : time + 1].clamp(min=0), state)
        total = total + state[0][-1] * read[:, time, None]
    vectors: npt.NDArray[np.float32] = (
        (total / read.sum(1, keepdim=True).clamp(min=1)).float().cpu().numpy()
    )
    return vectors


@dataclass(frozen=True, slots=True)
class CompositeLabels:
    """Labels finer than a disease: ``"opacity, base, left"``, ``"nodule, with mass"``.

    Parameters
    ----------
    names
        Unique, the disease first.
    diseases
        Shape (labels,): the disease each belongs to.
    rows
        Shape (images,): label of each image, in the order of the images given.
    """

    names: tuple[str, ...]
    diseases: tuple[str, ...]
    rows: npt.NDArray[np.int64]

    def sizes(self) -> dict[str, int]:
        """Images of each label."""
        counts = np.bincount(self.rows, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))


def cluster(
    vectors: npt.NDArray[np.float32],
    annotations: Sequence[Sequence[str]],
    *,
    images_per_label: int = 50,
    deviations: float = 1.0,
    k: int | None = None,
    companions: Sequence[Collection[str]] | None = None,
    seed: int = 0,
) -> CompositeLabels:
    """Composite labels: k-means inside each large disease group (Shin et al., section 5).

    Parameters
    ----------
    vectors
        Shape (n, d): joint vectors.
    annotations
        Words of each image, disease first.
    images_per_label
        A group of n images is split into n // images_per_label labels.
    deviations
        Groups of at least mean + deviations * standard deviation images are split, normal never;
        mean and standard deviation are over the diseased groups.
    k
        Split each of those large groups into so many labels instead, whatever its size; fewer only
        where it has fewer different vectors. 1 splits none.
    companions
        The other findings of each image, for the names: where a label's own words do not tell it
        from its sisters, the findings that it goes with may.

    Raises
    ------
    TrainingError
        The numbers of vectors and annotations differ.
    MissingExtraError
        scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingExtraError(
            "composite labels need the extra: pip install 'cxrdex[train]'"
        ) from error
    if len(vectors) != len(annotations):
        raise TrainingError(f"{len(vectors)} vectors for {len(annotations)} annotations")
    counts = Counter(words[0] for words in annotations)
    sizes = [count for disease, count in counts.items() if disease != NORMAL]
    limit = float(np.mean(sizes) + deviations * np.std(sizes)) if sizes else 0.0
    names: list[str] = []
    diseases: list[str] = []
    rows = np.zeros(len(annotations), np.int64)
    for disease, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        members = np.array([i for i, words in enumerate(annotations) if words[0] == disease])
        wanted = count // images_per_label if k is None else k
        # There cannot be more clusters than different vectors.
        parts = min(wanted, len(np.unique(vectors[members], axis=0)))
        if disease == NORMAL or count < limit or parts < 2:
            groups = [members]
        else:
            found = KMeans(parts, n_init=10, random_state=seed).fit_predict(vectors[members])
            groups = [members[found == part] for part in range(parts)]
            # The largest first; equal ones in the order of their first image.
            groups.sort(key=lambda group: (-len(group), int(group[0])))
        new = _names(
            disease,
            [[annotations[i][1:] for i in group] for group in groups],
            [[companions[i] or [_ALONE] for i in group] if companions else [] for group in groups],
        )
        for name, group in zip(new, groups, strict=True):
            rows[group] = len(names)
            names.append(name)
            diseases.append(disease)
    return CompositeLabels(tuple(names), tuple(diseases), rows)


def _names(
    disease: str,
    groups: Sequence[Sequence[Sequence[str]]],
    companions: Sequence[Sequence[Collection[str]]],
) -> list[str]:
    """Names of one disease's labels, of what tells each from the rest of the disease."""
    if len(groups) == 1:
        return [disease]
    telling = [tuple(_telling(groups, index)[: _NAME_WORDS - 1]) for index in range(len(groups))]
    taken: Counter[str] = Counter()
    names = []
    for index, (group, words) in enumerate(zip(groups, telling, strict=True)):
        parts = list(words)
        if not words or telling.count(words) > 1:
            found = _telling(companions, index)[:_COMPANIONS]
            others = " and ".join(word for word in found if word != _ALONE)
            parts += [f"with {others}"] if others else found[:1]
        bare = sum(not words for words in group) / len(group)
        name = ", ".join([disease, *(parts or ["unspecified" if bare >= 0.5 else "mixed"])])
        taken[name] += 1
        names.append(name if taken[name] == 1 else f"{name} ({taken[name]})")
    return names


def _telling(groups: Sequence[Sequence[Collection[str]]], index: int) -> list[str]:
    """What is commoner in one group than in the others, the most telling first."""
    here = _shares(groups[index])
    rest = _shares([words for i, group in enumerate(groups) if i != index for words in group])
    # A word's share here times how much it exceeds its share elsewhere.
    weight = {w: s * (s - rest.get(w, 0.0)) for w, s in here.items() if s >= _MIN_SHARE}
    return sorted((w for w in weight if weight[w] > 0), key=lambda w: (-weight[w], w))


def _shares(group: Sequence[Collection[str]]) -> dict[str, float]:
    """Per word, the share of the annotations that say it."""
    counts = Counter(word for words in group for word in set(words))
    return {word: count / len(group) for word, count in counts.items()}
