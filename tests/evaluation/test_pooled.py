"""Images of a study, judged together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.annotation import Annotation, parse_mesh
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.interpretation.pooling import pool_readings
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import Example
from indexer.evaluation.pictures import Pictures
from indexer.evaluation.product import evaluate_product
from indexer.evaluation.readings import read, study_means
from tests.training.planted import example

TORCH = Compute(device="cpu", runtime="torch")


def test_pooled_words_are_those_of_an_index(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    shape = (6, bundle.size, bundle.size)
    # Smooth pictures of many kinds, so that much is found.
    steps = rng.random((6, 2)).reshape(6, 2, 1, 1) * np.arange(bundle.size)[:, None] / 40
    canvases = (127 + 120 * np.sin(steps[:, 0] + steps[:, 1].swapaxes(1, 2))).astype(np.uint8)
    assert canvases.shape == shape
    studies = ["a", "b", "a", "c", "b", "a"]
    examples = [example(n, ("opacity",), study) for n, study in enumerate(studies)]
    pictures = Pictures(examples, canvases, {})
    predictor = Predictor(bundle, TORCH)
    # As if they were films.
    alone = predictor.interpret(predictor.encode(canvases))
    pooled = read(bundle, pictures, TORCH).pooled(bundle)
    for study in set(studies):
        rows = [row for row, own in enumerate(studies) if own == study]
        index = pool_readings([alone[row].to_json() for row in rows], bundle.thresholds)
        held = [Annotation.from_json(a).text for a in index["annotations"]]
        for row in rows:
            assert [a.text for a in pooled.annotations[row]] == held
    assert [[a.text for a in r.annotations] for r in alone] != [
        [a.text for a in image] for image in pooled.annotations
    ]


def test_the_surest_image_words_the_finding(bundle: Bundle) -> None:
    human = tuple(a for a in (parse_mesh("Opacity/left"),) if a)
    examples = [Example(str(n), Path(str(n)), "s", None, human) for n in range(2)]
    column = bundle.findings.index("opacity")
    logits = np.full((2, len(bundle.findings)), -9, np.float32)
    logits[:, column] = 4, 2
    pictures = Pictures(examples, np.zeros((2, bundle.size, bundle.size), np.uint8), {})
    readings = read(bundle, pictures, TORCH)
    lines = []
    for side, logit in zip(("left", "right"), logits[:, column], strict=True):
        words = Annotation.from_words("predicted", "opacity", [side]).to_json()
        words["words"][0]["confidence"] = float(1 / (1 + np.exp(-logit)))
        lines.append((Annotation.from_json(words),))
    alone = replace(readings, logits=logits, annotations=lines)
    scores = [evaluate_product(bundle, r)["words"]["side"] for r in (alone, alone.pooled(bundle))]
    assert scores == [{"f1": 0.5, "exact_match": 0.5}, {"f1": 1, "exact_match": 1}]


def test_study_means() -> None:
    values = np.array([[1, 0], [5, 5], [3, 2]], np.float32)
    assert study_means(values, ["b", "a", "b"]).tolist() == [[2, 1], [5, 5], [2, 1]]
