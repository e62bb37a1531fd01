"""A cluster of this machine alone: `--on ray` without an address, films as DICOM, and GPUs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.upkeep.verify import verify
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from indexer.simulation import Simulation
from tests.pipeline.making import database_state, make_bundle, write_pictures
from tests.pipeline.remote.alone import run_alone
from tests.pipeline.remote.graphics import CORES, GPUS
from tests.pipeline.remote.hosts import needed, ray_is_missing

pytestmark = [needed(ray_is_missing()), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("tiny"))


def test_without_an_address_a_cluster_of_this_machine_reads_dicom(
    simulation: Simulation, tiny: Bundle, tmp_path: Path
) -> None:
    """Films of many encodings, some in a zip, reports, and files that cannot be indexed."""
    plain, database = tmp_path / "plain", tmp_path / "database"
    compute, reports = Compute(tiny.path, "cpu"), simulation.reports
    index(
        [simulation.folder],
        plain,
        reports=reports,
        compute=compute,
        processing=FileProcessing(workers=1),
    )
    printed = run_alone(
        "-m", "cli", "index", simulation.folder, "--database", database, "--reports", reports,
        "--on", "ray", "--bundle", tiny.path, "--device", "cpu", "--format", "json",
    )  # fmt: skip
    assert verify(database) == []
    assert database_state(database) == database_state(plain)
    summary = json.loads(printed)
    assert summary["done"] == sum(file.outcome == "done" for file in simulation.files)
    assert len({file.transfer_syntax for file in simulation.files}) > 5
    assert len({stage["host"] for stage in summary["stages"]["stages"]} - {None}) == 1


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_chunk_takes_a_gpu_and_its_share_of_cores(
    device: str, tiny: Bundle, tmp_path: Path
) -> None:
    """Each GPU of a host reads chunks of its own, unless the device is the processor.

    Ray is told of GPUs that are not there: who gets which is its matter, and nothing computes on
    them.
    """
    notes, archive = tmp_path / "notes", write_pictures(tmp_path / "archive", 140)
    notes.mkdir()
    run_alone(
        "-m", "tests.pipeline.remote.graphics",
        notes, archive, tmp_path / "database", tiny.path, device,
    )  # fmt: skip
    given: list[dict[str, Any]] = [json.loads(file.read_text()) for file in notes.iterdir()]
    assert given
    if device == "cpu":
        assert all(one == {"resources": {"CPU": CORES}, "gpus": []} for one in given)
        return
    assert all(one["resources"] == {"CPU": CORES // GPUS, "GPU": 1} for one in given)
    assert sorted(one["gpus"] for one in given) == [[number] for number in range(GPUS)]
