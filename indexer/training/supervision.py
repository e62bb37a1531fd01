"""What the CNN is taught: labels, views, and the words of the reports as sentence vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from indexer.cascade.labels import Labels
from indexer.cascade.networks.encoder import Outputs
from indexer.datasets.dataset import Example
from indexer.datasets.mining import encode_labels
from indexer.words import sentences

__all__ = ["Supervision"]

# Temperatures of the two softmax functions over sentence vectors.
_PHRASE_TEMPERATURE, _REPORT_TEMPERATURE = 0.05, 0.1


@dataclass(frozen=True, slots=True)
class Supervision:
    """The targets of n training images; made by `of`.

    Parameters
    ----------
    labels
        Shape (n, labels), multi-hot.
    lateral
        Shape (n,): 1 for a lateral view.
    phrases
        Shape (phrases, 384): vectors of the distinct annotations ("opacity, lung, base, left").
    said
        Shape (n, phrases): the share each phrase has in an image's annotations; rows sum to 1.
    reports
        Shape (reports, 384): the mean vectors of the reports' sentences.
    report
        Shape (n,): the report of each image.
    """

    labels: Tensor
    lateral: Tensor
    phrases: Tensor
    said: Tensor
    reports: Tensor
    report: Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], labels: Labels, *, text: bool) -> Supervision:
        """The targets of `examples`; without `text` the banks of phrases and reports are empty."""
        lateral = np.array([e.view == "lateral" for e in examples], np.float32)
        goals = torch.from_numpy(encode_labels((e.annotations for e in examples), labels))
        empty = torch.empty(0, sentences.DIMENSIONS)
        phrases, said, reports = empty, torch.zeros(len(examples), 0), empty
        report = torch.zeros(len(examples), dtype=torch.long)
        if text:
            phrases, said = _phrases(examples)
            reports, report = _reports(examples)
        return cls(goals, torch.from_numpy(lateral), phrases, said, reports, report)

    def loss(self, outputs: Outputs, rows: Tensor, text_weight: float) -> Tensor:
        """Loss of what was said of the images `rows`.

        Binary cross-entropy summed over labels, that of the view, and, weighted, two contrastive
        terms between the image and the banks: softmax over all phrases, whose targets are the
        image's own annotations; and softmax over all reports, whose targets are the reports near
        its own one in sentence space, so that reports that say the same attract the same images.
        """
        device = outputs.logits.device
        cross = nn.functional.binary_cross_entropy_with_logits
        goals, lateral = self.labels[rows].to(device), self.lateral[rows].to(device)
        loss = cross(outputs.logits, goals, reduction="sum") / len(rows)
        loss = loss + cross(outputs.view, lateral)
        if not len(self.phrases):
            return loss
        said = self.said[rows].to(device)
        scores = outputs.sentence @ self.phrases.to(device).T / _PHRASE_TEMPERATURE
        phrase_loss = nn.functional.cross_entropy(scores, said)
        bank = self.reports.to(device)
        own = bank[self.report[rows].to(device)]
        near = (own @ bank.T / (_REPORT_TEMPERATURE / 2)).softmax(1)
        scores = outputs.sentence @ bank.T / _REPORT_TEMPERATURE
        return loss + text_weight * (phrase_loss + nn.functional.cross_entropy(scores, near))


def _phrases(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    texts = sorted({a.text for e in examples for a in e.annotations})
    column = {text: index for index, text in enumerate(texts)}
    said = torch.zeros(len(examples), len(texts))
    for row, example in enumerate(examples):
        own = sorted({column[a.text] for a in example.annotations})
        said[row, own] = 1 / len(own)
    return torch.from_numpy(sentences.encode(texts, backend="sentence-transformers")), said


def _reports(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Mean sentence vectors, centred: what all reports share tells none of them apart."""
    spoken = {e.study: e.sentences or tuple(a.text for a in e.annotations) for e in examples}
    studies = sorted(spoken)
    texts = sorted({sentence for said in spoken.values() for sentence in said})
    vectors = dict(
        zip(texts, sentences.encode(texts, backend="sentence-transformers"), strict=True)
    )
    means = np.stack([np.mean([vectors[s] for s in spoken[study]], axis=0) for study in studies])
    bank = torch.from_numpy(means - means.mean(0)).float()
    index = {study: row for row, study in enumerate(studies)}
    rows = torch.tensor([index[e.study] for e in examples])
    return nn.functional.normalize(bank, dim=1), rows
