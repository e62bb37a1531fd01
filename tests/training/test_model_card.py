from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from indexer.datasets.description import Description
from indexer.training.model_card import write_model_card
from tests.pipeline.making import make_bundle


def test_a_card_says_what_was_learnt_from_what_and_how_well(tmp_path: Path) -> None:
    bundle = replace(
        make_bundle(tmp_path / "bundle"),
        likely={"opacity": 0.61},
        record={
            "recipe": {"epochs": 2, "seed": 3, "pretrained": False},
            "data": {"train": 240, "val": 60},
            "rounds": [{"cnns": 1, "val_mean_auc": 0.71234, "annotator": [{"loss": 1.0}]}],
            "seconds": 125,
        },
    )
    (ours,) = (d for d in Description.built_in() if d.path.stem == "annotated")
    card = write_model_card(bundle, [ours]).read_text()
    assert card.startswith("# Model card: tiny")
    assert bundle.hash in card
    assert "240 images of the part `train`" in card
    assert "| val mean auc | 0.712 |" in card
    assert "epochs 2" in card
    assert "random weights" in card
    assert "| annotated pictures | your own | your own |" in card
    assert "| opacity | 0.50 | 0.61 |" in card
    assert "| cardiomegaly | 0.50 | never |" in card
    told = {**bundle.record, "start": "5ee1", "teachers": ["5ee1", "0b0e"]}
    told["recipe"] = {**told["recipe"], "teacher_weight": 0.25}
    card = write_model_card(replace(bundle, record=told), [ours]).read_text()
    assert "Started from the bundle `5ee1`; where nobody says anything of a picture, taught" in card
    assert "by the bundles `5ee1`, `0b0e`; epochs 2" in card


def test_a_score_that_nothing_defines_is_called_so(tmp_path: Path) -> None:
    few = {"cnns": 1, "val_mean_auc": math.nan, "val_by_source": {"own": {"films": math.nan}}}
    bundle = make_bundle(tmp_path / "bundle", record={"rounds": [few]})
    text = (tmp_path / "bundle" / "bundle.json").read_text()
    assert "NaN" not in text, "no JSON"
    assert json.loads(text)["record"]["rounds"][0]["cnns"] == 1
    (ours,) = (d for d in Description.built_in() if d.path.stem == "annotated")
    card = write_model_card(bundle, [ours]).read_text()
    assert "| val mean auc | not known |" in card
    assert "the findings that at least 10 images of `val` have" in card
    assert "nan" not in card.split("## Scores")[1].split("## What")[0]
