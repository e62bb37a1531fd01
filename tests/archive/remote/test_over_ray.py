"""An archive behind an address, read by the workers of a Ray cluster."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.upkeep.verify import verify
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from indexer.simulation import Simulation
from tests.archive.remote.conftest import Bucket
from tests.pipeline.making import database_state
from tests.pipeline.remote.alone import run_alone
from tests.pipeline.remote.hosts import needed, ray_is_missing

pytest.importorskip("s3fs")
pytestmark = [needed(ray_is_missing()), pytest.mark.timeout(900)]


def test_workers_open_the_address_themselves(
    s3: Bucket, simulation: Simulation, tiny: Bundle, tmp_path: Path
) -> None:
    """The database is the one that the same files give on a disk, without Ray."""
    plain, database = tmp_path / "plain", tmp_path / "database"
    # A zip behind an address is not opened.
    films = shutil.copytree(
        simulation.folder, tmp_path / "films", ignore=shutil.ignore_patterns("*.zip")
    )
    address = s3.fill(films, films.name)
    compute = Compute(tiny.path, "cpu")
    near = index([films], plain, compute=compute, processing=FileProcessing(workers=1))
    words = (
        "-m", "cli", "index", address, "--database", database, "--on", "ray",
        "--bundle", tiny.path, "--device", "cpu", "--format", "json",
    )  # fmt: skip
    summary = json.loads(run_alone(*words))
    assert verify(database) == []
    assert database_state(database) == database_state(plain)
    assert (summary["done"], summary["total"]) == (near.done, near.total)
    assert near.done > 10
    assert {stage["stage"] for stage in summary["stages"]["stages"] if stage["host"]} >= {"decode"}
    again = json.loads(run_alone(*words))
    assert (again["done"], again["unchanged"]) == (0, summary["total"] - again["failed"])
