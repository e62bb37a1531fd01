from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from indexer.cascade.networks.annotator import Annotator
from indexer.errors import TrainingError
from indexer.learning.composite_labels import cluster, joint_vectors

LEFT = ("opacity", "lung", "base", "left", "mild")
RIGHT = ("opacity", "lung", "apex", "right")


def _rnn() -> Annotator:
    torch.manual_seed(0)
    return Annotator(8, 12, "gru", 16).eval()


def _planted() -> tuple[npt.NDArray[np.float32], list[tuple[str, ...]]]:
    """Two clouds of one large group, a small group, and normals."""
    rng = np.random.default_rng(0)
    words: list[tuple[str, ...]] = [*[LEFT] * 30, *[RIGHT] * 24]
    words += [*[("nodule",)] * 6, *[("normal",)] * 200]
    centres = np.repeat([0.0, 9.0, 20.0, 40.0], [30, 24, 6, 200])
    vectors = centres[:, None] + rng.normal(0, 1, (260, 5))
    return vectors.astype(np.float32), words


def test_a_large_group_is_split_and_named_by_its_telling_words() -> None:
    vectors, words = _planted()
    labels = cluster(vectors, words, images_per_label=25, deviations=1.0)
    assert labels.sizes() == {
        "normal": 200,
        "opacity, base, left, mild": 30,
        "opacity, apex, right": 24,
        "nodule": 6,
    }
    assert labels.diseases == ("normal", "opacity", "opacity", "nodule")


def test_the_papers_rule_leaves_small_groups_whole() -> None:
    vectors, words = _planted()
    assert len(cluster(vectors, words).names) == 4 - 1, "54 images are one label of 50"
    assert len(cluster(vectors, words, k=3).names) == 5
    assert len(cluster(vectors, words, k=3, deviations=1.5).names) == 3


def test_names_are_unique_even_where_words_are_not() -> None:
    vectors, words = _planted()
    same = [LEFT if w[0] == "opacity" else w for w in words]
    labels = cluster(vectors, same, images_per_label=10)
    assert len(set(labels.names)) == len(labels.names) > 4


def test_labels_of_the_same_words_are_named_by_what_they_go_with() -> None:
    words = [("cardiomegaly", word) for word in ["mild"] * 54 + ["severe"] * 20]
    companions = [*[{"pulmonary edema", "opacity"}] * 20, *[{"opacity"}] * 10]
    companions += [*[set[str]()] * 19, *[{"hernia"}] * 5, *[{"mass"}] * 20]
    centres = np.repeat([0.0, 9.0, 20.0], [30, 24, 20])
    vectors = (np.random.default_rng(0).normal(0, 1, (74, 5)) + centres[:, None]).astype(np.float32)
    plain = cluster(vectors, words, k=3)
    assert plain.names == ("cardiomegaly, mild", "cardiomegaly, mild (2)", "cardiomegaly, severe")
    told = cluster(vectors, words, k=3, companions=companions)
    np.testing.assert_array_equal(told.rows, plain.rows)
    assert told.names == (
        "cardiomegaly, mild, with opacity and pulmonary edema",
        "cardiomegaly, mild, alone",
        "cardiomegaly, severe",
    )
    bare = cluster(vectors, [("cardiomegaly",)] * 74, k=3, companions=companions)
    assert bare.names == (
        "cardiomegaly, with opacity and pulmonary edema",
        "cardiomegaly, alone",
        "cardiomegaly, with mass",
    )


def test_labels_that_their_own_words_tell_apart_need_no_others() -> None:
    vectors, words = _planted()
    companions = [{"mass"} if w == LEFT else {"hernia"} for w in words]
    plain = cluster(vectors, words, images_per_label=25)
    assert cluster(vectors, words, images_per_label=25, companions=companions).names == plain.names


def test_a_label_belongs_to_its_own_image_in_any_order() -> None:
    vectors, words = _planted()
    order = np.random.default_rng(1).permutation(len(words))
    one = cluster(vectors, words, images_per_label=25)
    other = cluster(vectors[order], [words[i] for i in order], images_per_label=25)
    assert [one.names[one.rows[i]] for i in order] == [other.names[r] for r in other.rows]


def test_vectors_and_annotations_must_agree() -> None:
    with pytest.raises(TrainingError, match="3 vectors for 2"):
        cluster(np.zeros((3, 2), np.float32), [LEFT, RIGHT])


def test_words_after_the_end_are_not_read() -> None:
    images = torch.randn(2, 8)
    short = joint_vectors(_rnn(), images, np.array([[3, 4, 0, -1], [5, 0, -1, -1]]))
    longer = joint_vectors(_rnn(), images, np.array([[3, 4, 0, 7], [5, 0, 6, 7]]))
    np.testing.assert_allclose(short, longer, rtol=1e-5)


def test_the_image_and_the_words_are_both_felt() -> None:
    rnn, images = _rnn(), torch.randn(2, 8)
    tokens = np.array([[3, 4], [3, 4]])
    one, other = joint_vectors(rnn, images, tokens)
    assert not np.allclose(one, other)
    (changed, _) = joint_vectors(rnn, images, np.array([[3, 5], [3, 4]]))
    assert not np.allclose(one, changed)
