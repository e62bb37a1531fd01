from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from indexer.cascade.describer import Describer
from indexer.cascade.networks.annotator import Annotator


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_it_writes_what_the_annotator_writes(cell: Literal["gru", "lstm"], layers: int) -> None:
    torch.manual_seed(0)
    annotator = Annotator(8, words=12, cell=cell, units=16, layers=layers).eval()
    weights = {name: tensor.numpy() for name, tensor in annotator.state_dict().items()}
    describer = Describer(weights, cell, 16, layers)
    images, findings = torch.randn(40, 8), torch.randint(1, 5, (40,))
    for beam in (1, 3):
        theirs = annotator.describe(images, findings, beam)
        ours = describer.describe(images.numpy(), findings.numpy(), beam)
        for one, other in zip(ours, theirs, strict=True):
            assert [word for word, _ in one] == [word for word, _ in other]
            np.testing.assert_allclose([p for _, p in one], [p for _, p in other], rtol=1e-4)


def test_a_finding_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(1)
    annotator = Annotator(256, words=123).eval()
    weights = {name: tensor.numpy() for name, tensor in annotator.state_dict().items()}
    describer = Describer(weights)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(50, 256)).astype(np.float32)
    findings = rng.integers(1, 60, 50)
    whole = describer.describe(images, findings)
    assert describer.describe(images[::-1], findings[::-1]) == whole[::-1]
    assert [describer.describe(images[n : n + 1], findings[n : n + 1])[0] for n in range(50)] == (
        whole
    )


def test_nothing_to_describe() -> None:
    annotator = Annotator(8, words=12, units=16).eval()
    weights = {name: tensor.numpy() for name, tensor in annotator.state_dict().items()}
    describer = Describer(weights, "gru", 16, 1)
    assert describer.describe(np.empty((0, 8), np.float32), np.empty(0, np.intp)) == []
