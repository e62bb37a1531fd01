from __future__ import annotations

import numpy as np
import pytest
import torch

from indexer.annotation import Annotation
from indexer.cascade.labels import LabelSet
from indexer.cascade.networks.encoder import EnsembleMember
from indexer.datasets.targets import KnownTargets
from indexer.training.assembly import Ensemble, TrainedMember, join
from indexer.training.cnn.supervision import Supervision
from indexer.training.recipe import Recipe
from tests.training.planted import example

_RECIPE = Recipe(backbones=("test_resnet",) * 2, dimensions=8, text_weight=0.0)
_FINDINGS = ("normal", "opacity")
# Of five labels, the first CNN was taught those of columns 0 to 2, the other 0, 1, 3 and 4.
_COLUMNS = (np.array([0, 1, 2]), np.array([0, 1, 3, 4]))
_PICTURES = torch.randint(0, 255, (40, 1, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def members() -> list[TrainedMember]:
    torch.manual_seed(0)
    found = []
    for columns in _COLUMNS:
        member = EnsembleMember("test_resnet", 8, len(columns)).eval()
        with torch.inference_mode():
            outputs = {"train": member(_PICTURES[:30]), "val": member(_PICTURES[30:])}
        found.append(TrainedMember(member, outputs, columns))
    return found


@pytest.fixture(scope="module")
def joined(members: list[TrainedMember]) -> Ensemble:
    examples = [example(n, _FINDINGS[n % 2 : n % 2 + 1]) for n in range(30)]
    assert isinstance(examples[0].annotations[0], Annotation)
    supervision = Supervision.of(examples, LabelSet(_FINDINGS, (), ()), text=False)
    targets = np.random.default_rng(0).integers(0, 2, (10, 5)).astype(np.float32)
    goals = KnownTargets(targets, np.ones(targets.shape, bool))
    return join(_RECIPE, _FINDINGS, members, goals, supervision)


@torch.inference_mode()
def test_the_encoder_says_of_pictures_what_was_joined(joined: Ensemble) -> None:
    outputs = joined.encoder(_PICTURES[30:])
    torch.testing.assert_close(outputs.logits, joined.logits["val"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        outputs.embedding, torch.from_numpy(joined.vectors["val"]), rtol=1e-4, atol=1e-5
    )


def test_a_label_is_scored_by_those_who_know_it(
    joined: Ensemble, members: list[TrainedMember]
) -> None:
    """Calibration keeps the order, so ranks tell whose scores a column holds."""
    own = [m.outputs["val"].logits for m in members]
    expected = [
        (own[0][:, 0] + own[1][:, 0]) / 2,
        (own[0][:, 1] + own[1][:, 1]) / 2,
        own[0][:, 2],
        own[1][:, 2],
        own[1][:, 3],
    ]
    for column, scores in enumerate(expected):
        assert torch.equal(joined.logits["val"][:, column].argsort(), scores.argsort())


def test_what_is_alike_counts_shared_labels(joined: Ensemble) -> None:
    worth = [_RECIPE.normal_worth, _RECIPE.finding_worth, *[_RECIPE.detail_worth] * 3]
    assert joined.encoder.worth.tolist() == worth
