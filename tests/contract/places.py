"""Databases of the contract of vector stores, made without a picture."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.annotation import Annotation, Word
from indexer.archive.deidentify import Metadata
from indexer.cascade.bundle import Bundle
from indexer.cascade.reading import Reading
from indexer.database.choices import Choices
from indexer.database.outcomes import Header, Read
from indexer.database.writer import Writer
from tests.database.making import DIMENSIONS, KEY, entry, make_bundle

__all__ = ["COUNT", "VECTOR_KINDS", "Place", "VectorKind", "film", "make_vector"]

VectorKind: TypeAlias = Literal["faiss", "elasticsearch", "cluster"]
VECTOR_KINDS: tuple[VectorKind, ...] = ("faiss", "elasticsearch", "cluster")
COUNT = 600
_FINDINGS = ("atelectasis", "cardiomegaly", "nodule", "opacity", "pleural effusion")


def make_vector(
    number: int, seed: int = 0, dimensions: int = DIMENSIONS
) -> npt.NDArray[np.float32]:
    """The vector of an image as the shards keep it; no two are of the same length."""
    rng = np.random.default_rng((number, seed))
    rows = rng.normal(size=dimensions).astype(np.float32) * np.float32(rng.uniform(0.5, 1.5))
    return rows.astype(np.float16).astype(np.float32)


def film(
    number: int,
    *,
    seed: int = 0,
    dimensions: int = DIMENSIONS,
    name: str | None = None,
) -> Read:
    """The outcome of the file of an image: two images a study, two studies a patient.

    Every 29th image is unusual.

    Parameters
    ----------
    seed, dimensions
        Of its vector; what its document says does not depend on them.
    """
    rng = random.Random(number)
    words = (Word(rng.choice(_FINDINGS), "disease", 0.75), Word("left", "side", 0.5))
    reading = Reading(
        {words[0].text: 0.75},
        (Annotation("predicted", words),),
        rng.choice(("frontal", "lateral")),
        0.9,
        make_vector(number, seed, dimensions),
        0.9 if number % 29 == 7 else 0.1,
    )
    study = random.Random(number // 2)
    metadata = Metadata(
        rows=8, columns=9, sex=study.choice(("M", "F", None)), age=study.randint(20, 90)
    )
    header = Header(f"{number // 2:012x}", f"{number // 4:012x}", metadata, ())
    return entry(number, name, header=header, predicted=reading)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vector store is, and how a database that uses it is made.

    Parameters
    ----------
    kind
        Of the vector store.
    url
        Of Elasticsearch; None where words are embedded.
    """

    kind: VectorKind
    url: str | None

    @property
    def choices(self) -> Choices:
        """What such a database is made with."""
        if self.url is None:
            return Choices("embedded", pool_studies=False, vector_store="faiss")
        return Choices(None, self.url, pool_studies=False, vector_store="elasticsearch")

    @contextmanager
    def writing(self, path: Path, bundle: Bundle | None = None) -> Iterator[Writer]:
        """A run of a database, which is made where there is none."""
        with Writer.open(path, bundle or make_bundle(), KEY, self.choices) as writer:
            writer.begin_run()
            writer.archive("/archive")
            yield writer
            writer.settle()
            writer.outbox.finish()
            writer.compact()
            writer.build_vectors()
            writer.text.finish()
            writer.end_run("complete", {})

    def fill(
        self,
        path: Path,
        images: Sequence[int],
        *,
        per_commit: int = 100,
        dimensions: int = DIMENSIONS,
        bundle: Bundle | None = None,
    ) -> Path:
        """A database of some images.

        Parameters
        ----------
        bundle
            Of these dimensions; None for one that reads nothing.
        """
        if bundle is None:
            bundle = make_bundle()
            bundle.dimensions = dimensions  # type: ignore[misc]
        with self.writing(path, bundle) as writer:
            for start in range(0, len(images), per_commit):
                part = images[start : start + per_commit]
                writer.commit([film(number, dimensions=dimensions) for number in part])
        return path
