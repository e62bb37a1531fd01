"""Search by the words of captions, and what is said before anything is judged."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from indexer.datasets.dataset import Example
from indexer.errors import MissingExtraError
from indexer.evaluation import protocols
from indexer.evaluation.captions import evaluate_captions, own_ranks
from indexer.evaluation.readings import Readings
from indexer.words.sentences import encode

CAPTIONS = (
    "A large left pleural effusion.",
    "Free air below the right diaphragm.",
    "The tip of the catheter lies in the right atrium.",
    "Hiatal hernia behind the heart.",
)


def _readings(order: list[int]) -> Readings:
    """Pictures that lie where the caption of number `order` lies."""
    examples = [
        Example(f"{n}", Path(f"{n}"), f"s{n}", None, (), (text,), others=None)
        for n, text in enumerate(CAPTIONS)
    ]
    places = encode([CAPTIONS[n] for n in order])
    count = len(CAPTIONS)
    canvases = np.zeros((count, 8, 8), np.uint8)
    vectors = np.zeros((count, 4), np.float32)
    return Readings(
        examples, canvases, vectors, vectors, lambda texts: texts @ places.T, [()] * count
    )


def test_each_caption_looks_for_its_own_picture() -> None:
    right = evaluate_captions(_readings([0, 1, 2, 3]))
    assert right["text_to_image"] == {
        "queries": 4, "r_at_1": 1.0, "r_at_10": 1.0, "median_rank_share": 0.25,
    }  # fmt: skip
    assert right["baselines"]["text_to_image"]["chance"]["r_at_1"] == 0.25
    assert set(right["intervals"]) == {
        f"text_to_image.{name}" for name in ("r_at_1", "r_at_10", "median_rank_share")
    }
    swapped = evaluate_captions(_readings([1, 0, 2, 3]))["text_to_image"]
    assert swapped["r_at_1"] == 0.5
    assert swapped["median_rank_share"] > 0.25


def test_of_equal_pictures_the_own_one_counts_as_the_farther() -> None:
    assert own_ranks(np.array([[0.5, 0.5, 0.1], [0.2, 0.9, 0.1], [0.3, 0.3, 0.3]])).tolist() == [
        2, 1, 3,
    ]  # fmt: skip


def test_baselines_that_are_not_installed_are_left_out_and_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    assert set(protocols.load_baselines(said.append)) == {"raw_pixels_32", "imagenet"}
    assert not said
    monkeypatch.setitem(sys.modules, "indexer.evaluation.baselines", None)
    monkeypatch.delattr("indexer.evaluation.baselines", raising=False)
    assert protocols.load_baselines(said.append) == {}
    assert said == ["the baselines are left out: they need the extra: pip install 'cxrdex[train]'"]


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_what_is_not_installed_is_said_before_anything_is_read(
    protocol: protocols.ProtocolName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"evaluating needs the extra"):
        protocols.evaluate(tmp_path / "no such folder", "val", protocol)
