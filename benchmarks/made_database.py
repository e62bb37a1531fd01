"""A database of any size without an archive: drawn readings, reports of some thousand texts."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
import numpy as np

from benchmarks.stand_in import StandIn
from benchmarks.text_stores import make_reports
from benchmarks.vector_clusters import ClusteredVectors, Rows
from indexer.archive.decoding import DecodedImage
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.cascade.bundle import Bundle
from indexer.database.outcomes import File, Header, Read
from indexer.database.writer import Writer

__all__ = ["make_database"]

_COMMIT = 2000
_KEY = "0123abcd"
_SEXES: tuple[Literal["M", "F"], ...] = ("M", "F")


def make_database(path: Path, count: int) -> None:
    """Fill a new database with `count` images of the bundle that ships, two of each study.

    Findings are drawn for 4,000 images, of which all others have one's; each has a vector of its
    own, as real radiographs have them (`benchmarks.vector_clusters`). Pictures of them are nowhere.
    """
    bundle = Bundle.load()
    rng = random.Random(0)
    vectors = ClusteredVectors(1)
    reports = make_reports(rng)
    readings = StandIn(bundle).read(np.empty((4000, 1, 1), np.uint8))
    started = time.monotonic()

    def find_report(keys: Sequence[str]) -> Report | None:
        # Neighbours share one, so that each is read for its findings once; ids are in no order.
        return reports[int(keys[0], 16) * len(reports) // (count // 2 + 1)]

    def outcome(number: int, vector: Rows) -> Read:
        drawn = rng.choice(readings)
        reading = type(drawn)(
            drawn.probabilities,
            drawn.annotations,
            rng.choice(("frontal", "lateral")),
            0.9,
            vector,
        )
        metadata = Metadata(
            sex=rng.choice(_SEXES),
            age=rng.randint(18, 90),
            year=rng.randint(1995, 2025),
            rows=2000,
            columns=2000,
        )
        study = f"{number // 2:012x}"
        header = Header(study, f"{number // 4:012x}", metadata, (study,))
        image = DecodedImage(
            np.empty((0, 0), np.uint8),
            f"{rng.getrandbits(64):016x}",
            header.study,
            header.patient,
            header.metadata,
            None,
            (2000, 2000),
            header.report_keys,
        )
        return Read(File(1, f"{number}.dcm", 10, 20), f"{number:064x}", image, reading)

    with Writer.open(path, bundle, _KEY) as writer:
        writer.begin_run()
        writer.archive("/archive")
        for start in range(0, count, _COMMIT):
            numbers = range(start, min(start + _COMMIT, count))
            rows = vectors.rows(len(numbers))
            writer.commit([*map(outcome, numbers, rows)], find_report)
            if start % (50 * _COMMIT) == 0:
                click.echo(f"{start} of {count}, {time.monotonic() - started:.0f} s", err=True)
        writer.compact()
        writer.build_vectors()
        writer.end_run("complete", {"done": count})
