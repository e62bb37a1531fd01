"""Databases made without reading a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np

from indexer.annotation import Annotation, Word
from indexer.archive.decoding import DecodedImage
from indexer.archive.deidentify import Metadata
from indexer.cascade.reading import Reading
from indexer.database.outcomes import Failed, File, Header, Read
from indexer.database.writer import Writer

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

DIMENSIONS = 16
KEY = "0123abcd"


def make_bundle(digest: str = "00112233aabbccdd") -> Bundle:
    """As much of a bundle as a manifest needs."""
    values = {"hash": digest, "name": "paper", "size": 64, "squash": True, "dimensions": DIMENSIONS}
    thresholds = {"normal": 0.5, "opacity": 0.5}
    made = SimpleNamespace(
        **values, thresholds=thresholds, likely=None, place=None, record={}, borders=False
    )
    return cast("Bundle", made)


def image_id(number: int) -> str:
    """16 hex digits whose keys are of both signs."""
    return f"{(number * 0x9E3779B97F4A7C15) % 2**64:016x}"


def vector(number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A unit vector."""
    values = np.random.default_rng(number).normal(size=DIMENSIONS).astype(np.float32)
    return values / np.float32(np.linalg.norm(values))


def reading(number: int) -> Reading:
    """A reading with one annotation."""
    words = (Word("opacity", "disease", 0.75), Word("left", "side", 0.5))
    annotation = Annotation("predicted", words)
    return Reading({"opacity": 0.75}, (annotation,), "frontal", 0.9, vector(number))


def decoded(image: str, header: Header, thumbnail: bytes | None = None) -> DecodedImage:
    """A decoded image without pixels."""
    return DecodedImage(
        np.empty((0, 0), np.uint8),
        image,
        header.study,
        header.patient,
        header.metadata,
        thumbnail,
        (8, 9),
        header.report_keys,
    )


def entry(
    number: int,
    name: str | None = None,
    *,
    read: bool = True,
    header: Header | None = None,
    predicted: Reading | None = None,
) -> Read:
    """The outcome of a file of archive 1 that holds image `number`."""
    header = header or Header(
        f"{number // 2:012x}", f"{number // 4:012x}", Metadata(rows=8, columns=9), ()
    )
    return Read(
        File(1, name or f"{number}.png", 10, 20),
        f"{number:064x}",
        decoded(image_id(number), header, b"picture %d" % number),
        predicted or (reading(number) if read else None),
    )


def failure(name: str) -> Failed:
    """The outcome of a file that could not be read."""
    return Failed(File(1, name, 10, 20), None, "truncated", "cut off")


@contextmanager
def opened(path: Path) -> Iterator[Writer]:
    """A database open for writing, in a run, with archive 1."""
    with Writer.open(path, make_bundle(), KEY) as writer:
        writer.begin_run()
        writer.archive("/archive")
        yield writer


def fill(path: Path, count: int, per_shard: int = 10) -> Path:
    """A complete database of `count` images."""
    with opened(path) as writer:
        for start in range(0, count, per_shard):
            numbers = range(start, min(start + per_shard, count))
            writer.commit([entry(number) for number in numbers])
        writer.build_vectors()
        writer.end_run("complete", {})
    return path
