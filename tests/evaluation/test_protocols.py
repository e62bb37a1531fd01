"""Scores of answers whose worth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.annotation import Annotation, parse_mesh
from indexer.cascade.bundle import Bundle
from indexer.datasets.dataset import Example
from indexer.datasets.mining import mine
from indexer.datasets.targets import encode_targets
from indexer.evaluation.product import calibration_error, evaluate_product, word_scores
from indexer.evaluation.readings import Readings
from indexer.evaluation.retrieval import evaluate_retrieval, text_ranks
from indexer.words.sentences import encode

TERMS = ("Opacity/lung/left", "Opacity/lung/right", "Cardiomegaly/mild", "normal")


def _annotations(*terms: str) -> tuple[Annotation, ...]:
    return tuple(a for a in map(parse_mesh, terms) if a is not None)


def _examples(count: int, first: int = 0) -> list[Example]:
    """Two images a study; the studies take turns with the terms."""
    return [
        Example(f"{n}", Path(f"{n}"), f"s{n // 2}", "frontal", _annotations(TERMS[n // 2 % 4]))
        for n in range(first, first + count)
    ]


def _bundle(examples: list[Example]) -> Bundle:
    labels = mine([e.annotations for e in examples], 1)
    return Bundle(
        path=Path(), name="test", hash="0" * 16, size=8, squash=True, dimensions=3, labels=labels,
        thresholds=dict.fromkeys(labels.findings, 0.5), architecture={"sentences": 384}, record={},
    )  # fmt: skip


def _readings(examples: list[Example], bundle: Bundle, noise: float = 0.0) -> Readings:
    """What a perfect bundle says, spoilt by noise."""
    random = np.random.default_rng(0)
    goals, known = encode_targets(examples, bundle.labels)
    assert known.all()
    vectors = goals + random.normal(0, noise, goals.shape) if noise else goals
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    findings = goals[:, : len(bundle.findings)]
    logits = 8 * (findings - 0.5) + random.normal(0, 16 * noise + 1e-6, findings.shape)
    places = encode([e.annotations[0].text for e in examples])
    predicted = [
        tuple(Annotation("predicted", a.words) for a in example.annotations) for example in examples
    ]
    canvases = np.zeros((len(examples), 8, 8), np.uint8)
    return Readings(
        examples,
        canvases,
        vectors,
        logits.astype(np.float32),
        lambda texts: texts @ places.T,
        predicted,
    )


def test_a_perfect_bundle_scores_one_everywhere() -> None:
    examples, gallery = _examples(80), _examples(80, first=1000)
    bundle = _bundle(examples)
    product = evaluate_product(bundle, _readings(examples, bundle))
    assert product["mean_auc"] == product["normal_auc"] == 1
    assert product["micro_f1"] == product["macro_f1"] == 1
    assert product["words"]["side"] == {"f1": 1, "exact_match": 1}
    assert product["words"]["location"] == {"f1": None, "exact_match": None}
    assert product["findings"]["opacity"]["positives"] == 40
    assert all(product["intervals"][key] == [1, 1] for key in ("mean_auc", "macro_f1"))
    parts = _readings(examples, bundle), _readings(gallery, bundle)
    found = evaluate_retrieval(*parts, {})
    for group in ("all", "abnormal"):
        scores = found["image_to_image"][group]
        assert scores["p_at_1"] == scores["p_at_10"] == 1
        assert scores["ndcg_at_10"] == pytest.approx(1)
    assert found["abnormal_queries"] == 60
    assert found["text_to_image"]["r_at_1"] == 1
    assert found["text_to_image"]["queries"] == 4
    # Terms: opacity for half of the images, the others for a quarter each.
    assert found["baselines"]["image_to_image"]["chance"]["all"]["p_at_10"] == pytest.approx(
        0.375, abs=0.06
    )


def test_the_own_study_is_left_out() -> None:
    examples = [
        Example(f"{n}", Path(), f"s{n // 2}", None, _annotations(TERMS[2 * (n // 2)]))
        for n in range(4)
    ]
    bundle = _bundle(examples)
    readings = _readings(examples, bundle)
    scores = evaluate_retrieval(readings, readings, {})["image_to_image"]["all"]
    assert scores["p_at_1"] == 0
    assert scores["map"] is None


def test_ndcg_is_graded_by_the_overlap_of_findings_and_qualifiers() -> None:
    """Both images of the gallery are relevant, but the better one comes second."""
    near = [_annotations(TERMS[1]), _annotations(TERMS[0])]
    gallery = [
        Example(f"{n}", Path(), f"g{n}", None, annotations) for n, annotations in enumerate(near)
    ]
    query = [Example("q", Path(), "q", None, _annotations(TERMS[0]))]
    bundle = _bundle([*query, *gallery])

    def readings(examples: list[Example], vectors: list[list[float]]) -> Readings:
        found = _readings(examples, bundle)
        return replace(found, embeddings=np.array(vectors, np.float32), fit=None)

    found = evaluate_retrieval(readings(query, [[1, 0]]), readings(gallery, [[1, 0], [0, 1]]), {})
    # Opacity, its lung and its side: two of the four that either has, and all of them.
    ideal = 1 + 0.5 / np.log2(3)
    scores = found["image_to_image"]["all"]
    assert scores["ndcg_at_10"] == pytest.approx((0.5 + 1 / np.log2(3)) / ideal, abs=1e-4)
    assert scores["map"] == 1


def test_every_score_has_an_interval() -> None:
    examples = _examples(80)
    bundle = _bundle(examples)
    readings = _readings(examples, bundle, noise=0.3)
    product = evaluate_product(bundle, readings)
    wanted = {"mean_auc", "normal_auc", "micro_f1", "macro_f1"}
    wanted |= {f"words.{kind}.f1" for kind in product["words"]}
    wanted |= {f"findings.{name}.auc" for name in bundle.findings}
    assert product["intervals"].keys() == wanted
    assert product["intervals"]["words.location.f1"] is None, "nobody says where"
    found = evaluate_retrieval(readings, _readings(_examples(80, first=1000), bundle), {})
    assert found["intervals"].keys() == {
        f"{path}.{key}"
        for path, scores in (
            ("image_to_image.all", found["image_to_image"]["all"]),
            ("image_to_image.abnormal", found["image_to_image"]["abnormal"]),
            ("text_to_image", found["text_to_image"]),
        )
        for key in scores
        if key != "queries"
    }
    for report in (product, found):
        for path, ends in report["intervals"].items():
            value = report
            for key in path.split("."):
                value = value[key]
            assert ends is None or ends[0] - 1e-4 <= value <= ends[1] + 1e-4, path
    low, high = product["intervals"]["mean_auc"]
    assert low < high


def test_the_images_of_a_study_help_each_other() -> None:
    examples, gallery = _examples(160), _examples(160, first=1000)
    bundle = _bundle(examples)
    noisy = _readings(examples, bundle, noise=0.5)
    alone, pooled = (evaluate_product(bundle, r)["mean_auc"] for r in (noisy, noisy.pooled(bundle)))
    assert pooled > alone + 0.01
    clean = _readings(gallery, bundle)
    near = [
        evaluate_retrieval(r, clean, {})["image_to_image"]["all"]["p_at_5"]
        for r in (noisy, noisy.pooled(bundle))
    ]
    assert near[1] > near[0]


def test_a_word_counts_with_its_finding() -> None:
    human = [_annotations("Opacity/left", "Nodule/right"), _annotations("Opacity/left")]
    predicted = [_annotations("Opacity/right", "Nodule/right"), _annotations("Nodule/left")]
    scores = word_scores(human, predicted, ("opacity", "nodule"))["side"]
    # Said: 3 pairs, true: 3 pairs, common: nodule right.
    assert scores == {"f1": round(2 / 6, 4), "exact_match": 0.5}
    unknown = word_scores(human, predicted, ("opacity",))["side"]
    assert unknown == {"f1": 0, "exact_match": 0}


def test_likely_findings_are_counted_apart() -> None:
    examples = _examples(80)
    bundle = _bundle(examples)
    sure = replace(bundle, likely={"opacity": 0.9, "normal": 0.9})
    likely = evaluate_product(sure, _readings(examples, bundle))["likely"]
    there = 60  # three of four studies have one finding
    assert likely == {
        "precision": 1,
        "recall": round(40 / there, 4),
        "said": 40,
        "normal_images": 20,
        "normal_images_with_one": 0,
    }
    readings = _readings(examples, bundle)
    readings.logits[:, list(bundle.findings).index("opacity")] = 8
    likely = evaluate_product(sure, readings)["likely"]
    assert likely["precision"] == 0.5
    assert likely["normal_images_with_one"] == 20
    nothing = evaluate_product(replace(bundle, likely={}), readings)["likely"]
    assert (nothing["precision"], nothing["said"], nothing["recall"]) == (None, 0, 0)


def test_calibration_error_is_the_distance_of_chance_and_frequency() -> None:
    random = np.random.default_rng(0)
    chances = random.random((4000, 5))
    truth = random.random((4000, 5)) < chances
    assert calibration_error(truth, chances) < 0.02
    assert calibration_error(truth, chances / 2) == pytest.approx(0.25, abs=0.02)


def test_the_rank_is_that_of_the_first_image_that_says_it() -> None:
    examples = _examples(8)
    similarity = np.array([[8, 7, 6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 8, 7, 6, 5]], np.float32)
    texts = [examples[2].annotations[0].text, examples[6].annotations[0].text]
    assert text_ranks(similarity, texts, examples).tolist() == [3, 3]
