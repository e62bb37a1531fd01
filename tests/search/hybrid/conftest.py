"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from indexer.annotation import Annotation
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Reading
from indexer.database.outcomes import File, Header, Read
from indexer.database.writer import Writer
from indexer.words import sentences
from search.results import Results
from search.service import SearchService
from tests.database.making import decoded
from tests.pipeline.making import DIMENSIONS, make_bundle

# What an embedding along each axis is placed at among sentences.
AXES = ("fluid in the pleural space around the lung", "broken bone", "curved spine", "pacemaker")


# Name: (axis of the picture, predicted annotation, sex, age).
IMAGES: dict[str, tuple[int, str, str, int]] = {
    "effusion left": (0, "pleural effusion; left", "F", 40),
    "effusion right": (1, "pleural effusion; right", "M", 50),
    "fluid seen": (0, "normal", "M", 60),
    "fracture": (1, "fractures, bone; ribs", "F", 70),
    "scoliosis": (2, "scoliosis", "F", 30),
    "pacemaker": (3, "implanted medical device", "M", 80),
    "big heart": (2, "cardiomegaly; mild", "F", 55),
}


IDS = {name: f"{number:x}" * 16 for number, name in enumerate(IMAGES, 1)}


NAMES = {image: name for name, image in IDS.items()}


def place_axes(folder: Path) -> Bundle:
    """A tiny bundle that places the first axes of its vectors at `AXES`."""
    tiny = make_bundle(folder / "tiny")
    weight = np.zeros((384, DIMENSIONS), np.float32)
    weight[:, : len(AXES)] = sentences.encode(AXES).T / DIMENSIONS**0.5
    return Bundle.save(
        folder / "placed",
        replace(tiny, name="placed", architecture={**tiny.architecture, "sentences": 384}),
        {
            **tiny.weights(),
            "encoder.sentence.weight": weight,
            "encoder.sentence.bias": np.zeros(384, np.float32),
        },
    )


def _reading(bundle: Bundle, name: str) -> Reading:
    axis, text, *_ = IMAGES[name]
    # Images of one axis differ a little, so that there is one order.
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[axis], vector[8 + int(IDS[name][0], 16)] = 1, 0.2
    annotation = Annotation.from_words("predicted", text.split("; ")[0], text.split("; ")[1:])
    unit = vector / np.linalg.norm(vector)
    return Reading(dict.fromkeys(bundle.findings, 0.1), (annotation,), "frontal", 1.0, unit)


def _report(name: str) -> Report | None:
    if name == "pacemaker":
        human = (Annotation.from_words("human", "pleural effusion", ["left"]),)
        return Report("r1", {"findings": "Wires of a pacemaker."}, human)
    return None


def _filed(report: Report | None, _: Sequence[str]) -> Report | None:
    return report


def _fill(path: Path, bundle: Bundle, names: Sequence[str], unusual: Sequence[str] = ()) -> None:
    with Writer.open(path, bundle, "12345678") as writer:
        writer.begin_run()
        number = writer.archive("archive")
        for name in names:
            _, _, sex, age = IMAGES[name]
            image, report = IDS[name], _report(name)
            header = Header(
                image[:12],
                image[:12],
                Metadata.from_json({**Metadata().to_json(), "sex": sex, "age": age}),
                (name,),
            )
            reading = replace(_reading(bundle, name), unusual=0.9 if name in unusual else 0.0)
            read = Read(File(number, name, 1, 0), image, decoded(image, header), reading)
            writer.commit([read], partial(_filed, report))
        writer.build_vectors()
        writer.end_run("complete", {})


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny bundle that places the first axes at known sentences."""
    return place_axes(tmp_path_factory.mktemp("placed"))


@pytest.fixture(scope="module")
def database(placed: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "database"
    _fill(path, placed, list(IMAGES))
    return path


@pytest.fixture(scope="module")
def engine(database: Path, placed: Bundle) -> Iterator[SearchService]:
    with SearchService(database, Compute(placed.path, "cpu")) as engine:
        yield engine


def names(results: Results) -> list[str]:
    return [NAMES[hit.id] for hit in results.hits]


def why(results: Results, name: str) -> dict[str, str | None]:
    """The reasons of a hit, and the annotation where it is one."""
    (hit,) = (hit for hit in results.hits if hit.id == IDS[name])
    return {reason.kind: reason.text for reason in hit.reasons}
