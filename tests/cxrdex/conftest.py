"""The database of the demo, as the examples of the documentation have it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import cxrdex
from indexer.simulation import Simulation, simulate_archive

STUDIES = 80


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """The demo's archive, with its database beside it, made under a key that is always the same."""
    folder = tmp_path_factory.mktemp("demo")
    key = folder / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRDEX_KEY_FILE", str(key))
        made = simulate_archive(folder / "archive", STUDIES)
        cxrdex.index(made.folder, folder / "database", reports=made.reports)
        yield made


@pytest.fixture(scope="package")
def database(demo: Simulation) -> Path:
    return demo.folder.parent / "database"


@pytest.fixture
def db(database: Path) -> Iterator[cxrdex.Database]:
    with cxrdex.open(database) as opened:
        yield opened


@pytest.fixture
def in_the_folder_of_the_demo(demo: Simulation) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(demo.folder.parent)
    yield
    os.chdir(before)
