"""What the CNN is taught: labels, views, and the words of the reports as sentence vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.cascade.labels import LabelSet
from indexer.cascade.networks.encoder import Outputs
from indexer.datasets.dataset import Example
from indexer.datasets.targets import encode_targets
from indexer.words import sentences

__all__ = ["Supervision", "common_text", "view_targets"]

# Temperatures of the two softmax functions over sentence vectors.
_PHRASE_TEMPERATURE, _REPORT_TEMPERATURE = 0.05, 0.1
_LATERAL = {"lateral": 1.0, "frontal": 0.0}


@dataclass(frozen=True, slots=True)
class Supervision:
    """The targets of n training images; made by `of`.

    Parameters
    ----------
    labels
        Shape (n, labels): 1 for yes, 0 for no, in between for a soft no, or what a teacher says.
    weight
        Shape (n, labels): what each of these counts; 0 where nothing is known.
    lateral
        Shape (n,): 1 for a lateral view, not a number where it is unknown.
    phrases
        Shape (phrases, 384): vectors of the distinct annotations ("opacity, lung, base, left").
    phrase_shares
        Shape (n, phrases): the share each phrase has in an image's annotations; rows sum to 1, or
        to 0 where nobody annotated.
    reports
        Shape (reports, 384): the mean vectors of the sentences of reports and captions.
    report
        Shape (n,): the report of each image; -1 where it has none.
    """

    labels: Tensor
    weight: Tensor
    lateral: Tensor
    phrases: Tensor
    phrase_shares: Tensor
    reports: Tensor
    report: Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], labels: LabelSet, *, text: bool) -> Supervision:
        """The targets of `examples`; without `text` the banks of phrases and reports are empty."""
        targets, known = encode_targets(examples, labels)
        empty = torch.empty(0, sentences.DIMENSIONS)
        phrases, phrase_shares, reports = empty, torch.zeros(len(examples), 0), empty
        report = torch.full((len(examples),), -1)
        if text:
            phrases, phrase_shares = _phrases(examples)
            reports, report = _reports(examples)
        return cls(
            torch.from_numpy(targets),
            torch.from_numpy(known).float(),
            torch.from_numpy(view_targets(examples)),
            phrases,
            phrase_shares,
            reports,
            report,
        )

    def taught_by(self, chances: Tensor, weight: Tensor) -> Supervision:
        """The same, with what a teacher says where nothing is known.

        Parameters
        ----------
        chances
            Shape (n, labels).
        weight
            Shape (labels,): what these count.
        """
        known = self.weight > 0
        return replace(
            self,
            labels=torch.where(known, self.labels, chances),
            weight=torch.where(known, self.weight, weight),
        )

    def loss(self, outputs: Outputs, rows: Tensor, text_weight: float) -> Tensor:
        """Loss of what was said of the images `rows`.

        Binary cross-entropy summed over what is known, that of the view, and, weighted, two
        contrastive terms between the image and the banks: softmax over all phrases, whose targets
        are the image's own annotations; and softmax over all reports, whose targets are those near
        its own one in sentence space, so that reports that say the same attract the same images.
        """
        device = outputs.logits.device
        cross = nn.functional.binary_cross_entropy_with_logits
        goals, weight = self.labels[rows].to(device), self.weight[rows].to(device)
        loss = cross(outputs.logits, goals, weight, reduction="sum") / len(rows)
        lateral = self.lateral[rows].to(device)
        seen = ~lateral.isnan()
        if seen.any():
            loss = loss + cross(outputs.view[seen], lateral[seen], reduction="sum") / len(rows)
        if not text_weight:
            return loss
        text = torch.zeros((), device=device)
        if len(self.phrases):
            scores = outputs.sentence @ self.phrases.to(device).T / _PHRASE_TEMPERATURE
            text = text + nn.functional.cross_entropy(scores, self.phrase_shares[rows].to(device))
        report = self.report[rows].to(device)
        told = report >= 0
        if told.any():
            bank = self.reports.to(device)
            own = bank[report[told]]
            near = (own @ bank.T / (_REPORT_TEMPERATURE / 2)).softmax(1)
            scores = outputs.sentence[told] @ bank.T / _REPORT_TEMPERATURE
            contrast = nn.functional.cross_entropy(scores, near, reduction="sum")
            text = text + contrast / len(rows)
        return loss + text_weight * text


def view_targets(examples: Sequence[Example]) -> npt.NDArray[np.float32]:
    """Shape (n,): 1 for a lateral view, 0 for a frontal one, not a number where it is unknown."""
    return np.array([_LATERAL.get(e.view or "", np.nan) for e in examples], np.float32)


def common_text(examples: Sequence[Example]) -> npt.NDArray[np.float32]:
    """What texts have in common: the mean vector of distinct annotations and of captions, each kind
    counted once; shape (384,)."""
    kinds = (
        {a.text for e in examples if _annotated(e) for a in e.annotations},
        {" ".join(e.sentences) for e in examples if e.sentences and not _annotated(e)},
    )
    means = [_vectors(tuple(sorted(texts))).mean(0) for texts in kinds if texts]
    if not means:
        return np.zeros(sentences.DIMENSIONS, np.float32)
    common: npt.NDArray[np.float32] = np.mean(means, axis=0, dtype=np.float32)
    return common


def _annotated(example: Example) -> bool:
    """Whether a person said all that there is, so that an annotation's phrase fits no other."""
    return example.others is not None


def _phrases(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    texts = sorted({a.text for e in examples if _annotated(e) for a in e.annotations})
    column = {text: index for index, text in enumerate(texts)}
    shares = torch.zeros(len(examples), len(texts))
    for row, example in enumerate(examples):
        own = sorted({column[a.text] for a in example.annotations if a.text in column})
        if own and _annotated(example):
            shares[row, own] = 1 / len(own)
    return torch.from_numpy(_vectors(tuple(texts))), shares


@lru_cache(maxsize=4)
def _vectors(texts: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Sentence vectors: computed once for the several trainings of a comparison."""
    return sentences.encode(texts, backend="sentence-transformers")


def _reports(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Mean sentence vectors, those of reports and of captions each centred: what all of a kind
    share tells none of them apart."""
    spoken = {
        (_annotated(e), e.study): e.sentences or tuple(a.text for a in e.annotations)
        for e in examples
        if e.sentences or _annotated(e)
    }
    keys = sorted(spoken)
    texts = sorted({sentence for lines in spoken.values() for sentence in lines})
    if not texts:
        return torch.empty(0, sentences.DIMENSIONS), torch.full((len(examples),), -1)
    vectors = dict(zip(texts, _vectors(tuple(texts)), strict=True))
    means = np.stack([np.mean([vectors[s] for s in spoken[key]], axis=0) for key in keys])
    for kind in (False, True):
        rows = [row for row, key in enumerate(keys) if key[0] is kind]
        if rows:
            means[rows] -= means[rows].mean(0)
    index = {key: row for row, key in enumerate(keys)}
    of_image = torch.tensor([index.get((_annotated(e), e.study), -1) for e in examples])
    return nn.functional.normalize(torch.from_numpy(means).float(), dim=1), of_image
