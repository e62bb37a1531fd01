"""The images of a study share their findings, whenever each of them comes or goes."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from indexer.annotation import Annotation, Word
from indexer.cascade.reading import Reading
from indexer.database.checksums.folder import seal
from indexer.database.choices import Choices
from indexer.database.outcomes import Read
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.errors import DatabaseMismatch
from tests.database.making import KEY, entry, image_id, make_bundle, opened, vector

# Images 0 and 1 are of one study, image 2 of another.
SURE, UNSURE, OTHER = 0, 1, 2
CHANCES = {SURE: 0.9, UNSURE: 0.2, OTHER: 0.8}


def _entry(number: int) -> Read:
    chance = CHANCES[number]
    word = Word("opacity", "disease", chance) if chance > 0.5 else Word("normal", "disease", 0.7)
    predicted = (Annotation("predicted", (word,)),)
    chances = {"normal": 0.5, "opacity": chance}
    return entry(number, predicted=Reading(chances, predicted, "frontal", 0.9, vector(number)))


def _answers(path: Path) -> dict[int, tuple[str, float]]:
    """Per image, the first annotation of its document, which the text store has, too."""
    assert verify(path) == []
    with DatabaseReader.open(path) as database:
        found = {}
        for number in CHANCES:
            if image_id(number) in database:
                first = database.image(image_id(number)).document["annotations"][0]
                found[number] = (first["text"], first["confidence"])
        return found


TOGETHER = {SURE: ("opacity", 0.6), UNSURE: ("opacity", 0.6), OTHER: ("opacity", 0.8)}


@pytest.mark.parametrize("order", list(permutations(CHANCES)))
@pytest.mark.parametrize("at_once", [True, False])
def test_the_order_of_images_does_not_matter(
    tmp_path: Path, order: tuple[int, ...], at_once: bool
) -> None:
    with opened(tmp_path) as writer:
        entries = [_entry(number) for number in order]
        for part in [entries] if at_once else [[e] for e in entries]:
            writer.commit(part)
    assert _answers(tmp_path) == TOGETHER


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_equally_sure_stands_in_one_order_however_images_come(
    tmp_path: Path, alone: bool
) -> None:
    documents = []
    for at_once in (True, False):
        bundle = make_bundle()
        bundle.thresholds["atelectasis"] = 0.5  # type: ignore[index]
        said = [
            Annotation("predicted", (Word(f, "disease", 0.75),)) for f in ("opacity", "atelectasis")
        ]
        both = Reading(
            {"opacity": 0.75, "atelectasis": 0.75, "normal": 0.1}, tuple(said), "frontal", 0.9,
            vector(1),
        )  # fmt: skip
        entries = [entry(number, predicted=both) for number in ([0] if alone else [0, 1])]
        path = tmp_path / str(at_once)
        with Writer.open(path, bundle, KEY) as writer:
            writer.begin_run()
            writer.archive("/archive")
            for part in [entries] if at_once else [[e] for e in entries]:
                writer.commit(part)
        assert verify(path) == []
        with DatabaseReader.open(path) as database:
            documents.append([database.image(one.image.image_id).document for one in entries])
    assert documents[0] == documents[1]


def test_each_image_keeps_its_own_reading(tmp_path: Path) -> None:
    with opened(tmp_path) as writer:
        writer.commit([_entry(number) for number in CHANCES])
    with DatabaseReader.open(tmp_path) as database:
        records = {number: database.image(image_id(number)) for number in CHANCES}
    assert {n: r.reading["probabilities"]["opacity"] for n, r in records.items()} == CHANCES
    assert {n: r.pooled for n, r in records.items()} == {SURE: True, UNSURE: True, OTHER: False}


def test_an_image_whose_study_loses_the_other_speaks_for_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as writer:
        writer.commit([_entry(number) for number in CHANCES])
    with opened(tmp_path) as writer:
        writer.remove_files(1, [f"{SURE}.png"])
        assert writer.settle() == 1
    assert _answers(tmp_path) == {UNSURE: ("normal", 0.7), OTHER: ("opacity", 0.8)}
    with opened(tmp_path) as writer:
        writer.commit([_entry(SURE)])
    assert _answers(tmp_path) == TOGETHER
    with opened(tmp_path) as writer:
        writer.drop_images([image_id(UNSURE)])
    assert _answers(tmp_path) == {SURE: ("opacity", 0.9), OTHER: ("opacity", 0.8)}


def test_a_database_may_keep_images_apart(tmp_path: Path) -> None:
    with Writer.open(tmp_path, make_bundle(), KEY, Choices(pool_studies=False)) as writer:
        writer.begin_run()
        writer.archive("/archive")
        writer.commit([_entry(number) for number in CHANCES])
    with opened(tmp_path) as writer:
        assert writer.manifest.thresholds is None
    assert _answers(tmp_path) == {
        SURE: ("opacity", 0.9),
        UNSURE: ("normal", 0.7),
        OTHER: ("opacity", 0.8),
    }
    with (
        pytest.raises(DatabaseMismatch, match="does not pool the images of a study"),
        Writer.open(tmp_path, make_bundle(), KEY, Choices(pool_studies=True)),
    ):
        pass


def test_a_database_that_pools_goes_on_to(tmp_path: Path) -> None:
    with opened(tmp_path) as writer:
        writer.commit([_entry(SURE)])
    with (
        pytest.raises(DatabaseMismatch, match="leave `pool_studies=False` out"),
        Writer.open(tmp_path, make_bundle(), KEY, Choices(pool_studies=False)),
    ):
        pass


def test_one_of_an_earlier_version_keeps_images_apart(tmp_path: Path) -> None:
    with opened(tmp_path) as writer:
        writer.commit([_entry(SURE)])
    manifest = tmp_path / "manifest.json"
    data = json.loads(manifest.read_text())
    del data["thresholds"]
    manifest.write_text(json.dumps(data))
    seal(tmp_path)
    with opened(tmp_path) as writer:
        writer.commit([_entry(UNSURE)])
    assert _answers(tmp_path) == {SURE: ("opacity", 0.9), UNSURE: ("normal", 0.7)}


def test_another_bundle_may_choose_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as writer:
        writer.commit([_entry(number) for number in CHANCES])
    asked = ((None, True), (False, False), (None, False), (True, True))
    for number, (pool, pooled) in enumerate(asked):
        newer = make_bundle(f"{number:016x}")
        with Writer.open(tmp_path, newer, KEY, other_bundle=True) as writer:
            writer.change_bundle(newer, ["/archive"], pool)
            assert (writer.manifest.thresholds is not None) is pooled
