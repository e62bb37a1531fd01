from __future__ import annotations

from pathlib import Path

import pytest
import torch

from indexer.annotation import Annotation
from indexer.cascade.networks.encoder import Outputs
from indexer.datasets.dataset import Example
from indexer.datasets.mining import mine
from indexer.training.cnn.supervision import Supervision
from indexer.words import sentences


def _example(
    study: str, disease: str, *qualifiers: str, phrase_shares: tuple[str, ...] = ()
) -> Example:
    annotation = Annotation.from_words("human", disease, qualifiers)
    return Example(study, Path(study), study, "lateral", (annotation,), phrase_shares)


EXAMPLES = [
    _example("1", "opacity", "left", phrase_shares=("There is an opacity in the left lung.",)),
    _example("2", "opacity", "right"),
    _example("3", "cardiomegaly", phrase_shares=("The heart is enlarged.", "No effusion.")),
    _example("3", "cardiomegaly", phrase_shares=("The heart is enlarged.", "No effusion.")),
]


@pytest.fixture(scope="module")
def supervision() -> Supervision:
    labels = mine([e.annotations for e in EXAMPLES], 1)
    return Supervision.of(EXAMPLES, labels, text=True)


def _outputs(supervision: Supervision, sentence: torch.Tensor) -> Outputs:
    logits = torch.zeros(len(EXAMPLES), supervision.labels.shape[1])
    return Outputs(torch.zeros(4, 8), logits, torch.zeros(4), sentence)


def test_phrases_and_reports_are_those_of_the_images(supervision: Supervision) -> None:
    assert supervision.phrases.shape == (3, sentences.DIMENSIONS)
    assert supervision.phrase_shares.sum(1).tolist() == [1, 1, 1, 1]
    assert supervision.reports.shape == (3, sentences.DIMENSIONS)
    assert supervision.report[2] == supervision.report[3]


def test_an_image_beside_its_own_words_costs_less(supervision: Supervision) -> None:
    right = supervision.phrase_shares @ supervision.phrases
    rows = torch.arange(4)
    near = supervision.loss(_outputs(supervision, right), rows, 1.0)
    far = supervision.loss(_outputs(supervision, right[[2, 3, 0, 1]]), rows, 1.0)
    assert near < far
    assert supervision.loss(_outputs(supervision, right), rows, 0.0) < near


def test_without_text_there_is_no_bank() -> None:
    labels = mine([e.annotations for e in EXAMPLES], 1)
    bare = Supervision.of(EXAMPLES, labels, text=False)
    assert not len(bare.phrases)
    loss = bare.loss(_outputs(bare, torch.zeros(4, 0)), torch.arange(4), 1.0)
    expected = bare.labels.shape[1] * 0.6931 + 0.6931
    assert float(loss) == pytest.approx(expected, abs=0.01)


def test_near_sentences_have_near_vectors() -> None:
    one, other, far = sentences.encode(
        ["The heart is enlarged.", "Cardiomegaly.", "A nodule in the right upper lobe."]
    )
    assert one @ other > one @ far
    assert sentences.encode([]).shape == (0, sentences.DIMENSIONS)
