from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from cli.training.refit import main
from indexer.cascade.bundle import Bundle
from indexer.datasets.targets import KnownTargets
from indexer.training.interpretation import thresholds as module
from indexer.training.interpretation.thresholds import (
    Judged,
    Thresholds,
    choose_thresholds,
    counts_by_source,
)
from tests.pipeline.making import make_bundle
from tests.training.planted import planted_folder


class Films:
    """Films of one source by falling score of one finding: which have it, and their logits."""

    def __init__(
        self, there: list[int], high: float = 4, low: float = -4, denies: bool = True
    ) -> None:
        self.there = np.array(there, np.float32)
        self.logits = np.linspace(high, low, len(there), dtype=np.float32)
        self.known = np.ones(len(there), bool) if denies else self.there > 0

    def times(self, count: int) -> Films:
        more = Films([])
        more.there, more.logits, more.known = (
            np.repeat(part, count) for part in (self.there, self.logits, self.known)
        )
        return more


def _judged(*sources: Films) -> tuple[Judged, npt.NDArray[np.float32]]:
    there, known, logits = (
        np.concatenate([getattr(films, part) for films in sources])[:, None]
        for part in ("there", "known", "logits")
    )
    number = np.repeat(np.arange(len(sources)), [len(films.there) for films in sources])
    return Judged(KnownTargets(there, known), number), logits


def _chosen(*sources: Films, train: tuple[Films, ...] | None = None) -> Thresholds:
    val, logits = _judged(*sources)
    return choose_thresholds(("mass",), _judged(*(train or sources))[0], val, logits)


def _over(films: Films, limit: float) -> npt.NDArray[np.float32]:
    """What is there in the films over a limit."""
    return films.there[1 / (1 + np.exp(-films.logits.astype(np.float64))) >= limit]


#: Of the first 40 films 30 have it, of any others one in six.
VAGUE = Films([1, 1, 1, 0] * 10 + [1, 0, 0, 0, 0, 0] * 160)


def test_the_best_f1_is_possible() -> None:
    films = Films([1] * 50 + [0] * 150)
    over = _over(films, _chosen(films).possible["mass"])
    assert len(over) == over.sum() == 50


def test_what_is_hardly_commoner_than_elsewhere_is_not_possible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twice = 2 * VAGUE.there.mean()
    over = _over(VAGUE, _chosen(VAGUE).possible["mass"])
    assert len(over) >= 40
    assert over.mean() >= twice
    # Without that rule a better F1 would report far more.
    monkeypatch.setattr(module, "_ABOVE_CHANCE", 1.0)
    more = _over(VAGUE, _chosen(VAGUE).possible["mass"])
    assert len(more) > 2 * len(over)
    assert more.mean() < twice


def test_what_is_never_clear_is_said_no_more_than_too_often() -> None:
    films = Films([0, 0, 0, 1] * 100)
    assert 0 < len(_over(films, _chosen(films).possible["mass"])) <= 2.5 * 100
    # By its share of train, where it is half as often.
    train = Films([0, 0, 0, 1] * 50 + [0] * 200)
    chosen = _chosen(films, train=(train,))
    assert 0 < len(_over(films, chosen.possible["mass"])) <= 2.5 * 50


def test_no_source_decides_alone_what_is_possible() -> None:
    # Of the first source a quarter has it; the films of the other score lower, as they do abroad.
    many, few = Films([1] * 100 + [0] * 300, 4, 0), Films([0, 0, 0, 1] * 5 + [0] * 380, 1, -3)
    chosen = _chosen(many, few).possible["mass"]
    assert _over(few, chosen).sum() >= 2
    assert _chosen(many.times(7), few).possible == {"mass": chosen}
    assert _over(few, _chosen(many).possible["mass"]).sum() == 0


def test_captions_that_deny_nothing_judge_nothing() -> None:
    films, captions = Films([1] * 50 + [0] * 150), Films([1] * 90, -1, denies=False)
    assert _chosen(films, captions) == _chosen(films)


def test_what_no_source_can_judge_is_said_as_often_as_in_train() -> None:
    films, train = Films([1] + [0] * 199), Films([1] * 10 + [0] * 90)
    over = _over(films, _chosen(films, train=(train,)).possible["mass"])
    assert len(over) == 20
    assert "mass" not in _chosen(films).likely


def test_half_of_what_is_likely_is_there_in_the_mean_over_sources() -> None:
    sure, unsure = Films([1] * 100 + [0] * 100), Films([1, 0] * 10 + [1, 0, 0, 0] * 20 + [0] * 100)
    limit = _chosen(sure, unsure).likely["mass"]
    right = [_over(films, limit) for films in (sure, unsure)]
    assert np.mean([part.mean() for part in right]) >= 0.5
    # Nor may most of what is likely in one source be wrong.
    assert right[1].mean() >= 0.5
    assert "mass" not in _chosen(Films([1, 0, 0] * 60)).likely
    assert "mass" not in _chosen(Films([1] * 2 + [0] * 100 + [1] * 3)).likely, "two hits"


def test_few_normal_films_have_a_likely_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of each pair of films that score high one has it and one is normal, as half of all are.
    mass = np.array([1, 0] * 30 + [0] * 140, np.float32)
    normal = np.array([0, 1] * 30 + [1] * 40 + [0] * 100, np.float32)
    # A second finding is seldom in a normal film, and stays as it is.
    edema = np.array([0] * 140 + [1] * 60, np.float32)
    targets = np.stack([normal, mass, edema], 1)
    val = Judged(KnownTargets(targets, np.ones(targets.shape, bool)), np.zeros(200, np.int64))
    high = np.linspace(4, -4, 200, dtype=np.float32)
    logits = np.stack([high, high, -high], 1)
    names = ("normal", "mass", "edema")

    def likely() -> tuple[dict[str, float], float]:
        chosen = dict(choose_thresholds(names, val, val, logits).likely)
        over = 1 / (1 + np.exp(-logits[:, 1].astype(np.float64))) >= chosen.get("mass", 2)
        return chosen, normal[over].sum() / normal.sum()

    few, share = likely()
    assert share <= 0.08
    monkeypatch.setattr(module, "_NORMAL_WITH_LIKELY", 1.0)
    many, other = likely()
    assert other > 0.08
    assert few["edema"] == many["edema"]


def test_what_is_likely_is_possible_but_normal_may_be_likely_alone() -> None:
    mass = np.array([1] * 60 + [0, 0, 1] * 13 + [0] * 101, np.float32)
    high = np.linspace(4, -4, 200, dtype=np.float32)
    targets = np.stack([mass, mass], 1)
    val = Judged(KnownTargets(targets, np.ones(targets.shape, bool)), np.zeros(200, np.int64))
    logits = np.stack([high, high], 1)
    chosen = choose_thresholds(("normal", "mass"), val, val, logits)
    assert chosen.likely["normal"] < chosen.possible["normal"]
    assert chosen.likely["mass"] == chosen.possible["mass"] == chosen.possible["normal"]


def test_films_are_counted_by_source() -> None:
    one, other = Films([1, 1, 0, 1, 0, 0]), Films([0, 1, 0, 0])
    val, logits = _judged(one, other)
    # Logits fall from 4 to -4: over .5 are the first three films, and two of the other source.
    found = counts_by_source(
        ("mass",), Thresholds({"mass": 0.5}, {"mass": 0.9}), val, logits, ("here", "there")
    )
    rows = {name: tuple(found[name]["mass"].values()) for name in found}
    assert rows == {"here": (6, 3, 3, 2, 2, 2), "there": (4, 1, 2, 1, 1, 0)}


def test_thresholds_are_chosen_anew_and_nothing_else_changes(tmp_path: Path) -> None:
    folder = planted_folder(tmp_path / "set", {"train": 12, "val": 24})
    before = make_bundle(tmp_path / "before")
    words = [folder, "--bundle", before.path, "--output", tmp_path / "new", "--device", "cpu"]
    result = CliRunner().invoke(main, ["thresholds", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    fresh = Bundle.load(tmp_path / "new")
    assert fresh.hash in result.output
    assert fresh.thresholds != before.thresholds
    assert fresh.thresholds.keys() == before.thresholds.keys()
    assert fresh.record["thresholds_refitted_of"] == before.hash != fresh.hash
    weights = fresh.weights()
    assert weights.keys() == before.weights().keys()
    for name, tensor in before.weights().items():
        np.testing.assert_array_equal(weights[name], tensor, err_msg=name)
    (counts,) = fresh.record["thresholds"].values()
    name, row = next(iter(counts.items()))
    card = (fresh.path / "MODEL_CARD.md").read_text()
    assert f"| {row['positives']} of {row['films']} |" in card.split(f"| {name} | ")[2]
