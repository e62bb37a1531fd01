"""Texts that lie elsewhere than where their pictures are placed, and towers that move both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.training.refit import main
from indexer.cascade.bundle import Bundle
from indexer.cascade.text_space import COMMON, TEXT_MAP, TextSpace
from indexer.training import towers
from indexer.training.towers import Told, choose, learn_text_space, median_shares
from indexer.words.sentences import DIMENSIONS
from tests.pipeline.making import make_bundle
from tests.training.planted import example, planted_folder

SIDE, TURNED = 24, 16


def _told(count: int, seed: int) -> list[Told]:
    """Each picture with one text: what the text says in its first numbers, the picture shows."""
    rng = np.random.default_rng(seed)
    shown = rng.normal(size=(count, SIDE)).astype(np.float32)
    texts = np.zeros((count, DIMENSIONS), np.float32)
    texts[:, :SIDE] = shown + rng.normal(0, 0.3, shown.shape)
    examples = [replace(example(n, ("normal",)), sentences=(f"text {n}",)) for n in range(count)]
    said = [[n] for n in range(count)]
    names = [f"text {n}" for n in range(count)]
    return [Told("a clinic", "texts", examples, shown, names, texts, said)]


def _space(*, turned: bool) -> TextSpace:
    """Pictures are placed where their texts are; `turned`, on the other side in some numbers."""
    weight = np.zeros((DIMENSIONS, SIDE), np.float32)
    weight[:SIDE] = np.eye(SIDE)
    if turned:
        weight[:TURNED] *= -1
    return TextSpace(weight, np.zeros(DIMENSIONS, np.float32), np.zeros(DIMENSIONS, np.float32))


def test_texts_and_pictures_are_moved_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towers, "_RATE", 1e-2)
    monkeypatch.setattr(towers, "_WAY", 1.0)
    space, val = _space(turned=True), _told(200, 1)
    found, shares = learn_text_space(_told(600, 0), val, space, 0)
    assert shares["before"]["a clinic"]["texts"] > 0.4
    assert shares["after"]["a clinic"]["texts"] < 0.2
    assert median_shares(val, found) == shares["after"]
    assert found.text_map is not None
    alone = replace(space, text_map=found.text_map), replace(found, text_map=None)
    before = shares["before"]["a clinic"]["texts"]
    assert all(median_shares(val, one)["a clinic"]["texts"] < before for one in alone)


def test_without_a_gain_all_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towers, "_EPOCHS", 2)
    space = _space(turned=False)
    found, shares = learn_text_space(_told(300, 0), _told(50, 1), space, 0)
    assert found is space, "each text finds its picture first already"
    assert shares["after"] == shares["before"] == {"a clinic": {"texts": 0.02}}


def test_no_source_is_made_worse() -> None:
    (good,) = _told(100, 2)
    # Here the pictures lie where the text space without a map has them.
    signs = np.where(np.arange(SIDE) < TURNED, -1, 1).astype(np.float32)
    other = replace(good, source="another", vectors=good.vectors * signs)
    third = replace(good, source="a third")
    start, straight = _space(turned=True), _space(turned=False)
    assert choose([straight], start, [good, third]) is straight
    assert choose([straight], start, [good, third, other]) is start
    assert choose([straight], start, [good, third, other], harmless=False) is straight


def test_a_bundle_learns_anew_where_both_meet_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(towers, "_EPOCHS", 2)
    monkeypatch.setattr(towers, "choose", lambda spaces, start, val: [*spaces][-1])
    folder = planted_folder(tmp_path / "set", {"train": 12, "val": 6})
    before = _with_sentences(make_bundle(tmp_path / "tiny"), tmp_path / "before")
    assert TextSpace.of(before).text_map is None
    words = [folder, "--bundle", before.path, "--output", tmp_path / "new", "--device", "cpu"]
    result = CliRunner().invoke(main, ["towers", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    fresh = Bundle.load(tmp_path / "new")
    assert fresh.hash in result.output
    assert "median rank share on val after" in result.output
    assert fresh.record["towers_refitted_of"] == before.hash != fresh.hash
    space, weights = TextSpace.of(fresh), fresh.weights()
    assert space.text_map is not None
    assert np.abs(space.text_map.output).max() > 0
    old = before.weights()
    changed = {n for n in weights if n.startswith((TEXT_MAP, COMMON, "encoder.sentence."))}
    assert set(weights) - changed == set(old) - changed
    for name in set(old) - changed:
        np.testing.assert_array_equal(weights[name], old[name], err_msg=name)
    moved = weights["encoder.sentence.weight"] - old["encoder.sentence.weight"]
    assert 0 < np.abs(moved).max() < 0.1, "as it is scaled"
    assert fresh.thresholds == before.thresholds


def _with_sentences(bundle: Bundle, folder: Path) -> Bundle:
    weights = bundle.weights()
    rng = np.random.default_rng(0)
    weights["encoder.sentence.weight"] = rng.normal(size=(DIMENSIONS, bundle.dimensions)).astype(
        np.float32
    )
    weights["encoder.sentence.bias"] = np.zeros(DIMENSIONS, np.float32)
    architecture = {**bundle.architecture, "sentences": DIMENSIONS}
    return Bundle.save(folder, replace(bundle, architecture=architecture), weights)
