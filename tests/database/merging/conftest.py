"""Parts of an archive, each indexed alone, and all of them in one run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.choices import Choices
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import Summary, index
from indexer.simulation.archive import simulate_archive
from tests.pipeline.conftest import tiny

__all__ = ["Split", "split", "tiny"]

PARTS = 4


@dataclass(frozen=True, slots=True)
class Split:
    """An archive in parts.

    Parameters
    ----------
    archives, reports
        Folders of the parts, and of the reports of all.
    parts, whole
        A database of each part, and one of a run over all.
    index
        `indexer.pipeline.run.index` with the bundle of these databases.
    """

    archives: tuple[Path, ...]
    reports: Path
    parts: tuple[Path, ...]
    whole: Path
    index: Callable[..., Summary]


@pytest.fixture(scope="session")
def split(tiny: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Simulated studies dealt out file by file, so that studies lie in two parts; one file in
    twenty lies in the next part, too."""
    folder = tmp_path_factory.mktemp("split")
    made = simulate_archive(folder / "archive", studies=48)
    archives = tuple(folder / f"part{number}" for number in range(PARTS))
    every = sorted(path for path in made.folder.rglob("*") if path.is_file())
    files = [path for path in every if made.reports not in path.parents]
    for number, file in enumerate(files):
        places = [number % PARTS] + ([(number + 1) % PARTS] if number % 20 == 0 else [])
        for place in places:
            copy = archives[place] / file.relative_to(made.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    run = partial(
        index, reports=made.reports, compute=Compute(tiny.path, "cpu", "torch"),
        choices=Choices("embedded"), processing=FileProcessing(workers=2, batch_size=8),
    )  # fmt: skip
    parts = tuple(folder / f"db{number}" for number in range(PARTS))
    for archive, part in zip(archives, parts, strict=True):
        run([archive], part)
    run(archives, folder / "whole")
    return Split(archives, made.reports, parts, folder / "whole", run)
