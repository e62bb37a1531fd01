"""A server over the simulated archive, asked without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra web is not installed")

from starlette.testclient import TestClient

from indexer.archive.limits import Limits
from indexer.simulation import Simulation
from search.service import SearchService
from search.web.app import create_app
from search.web.settings import WebSettings
from tests.search.web.site import Site, running_site


@pytest.fixture(scope="session")
def web_database(simulated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the simulated archive, in which cohorts are made."""
    folder = tmp_path_factory.mktemp("web") / "database"
    shutil.copytree(simulated_database, folder)
    return folder


@pytest.fixture(scope="session")
def web_service(web_database: Path) -> Iterator[SearchService]:
    """Its service."""
    with SearchService(web_database, limits=Limits(seconds=20)) as service:
        yield service


@pytest.fixture(scope="session")
def client(web_service: SearchService) -> Iterator[TestClient]:
    """A browser without scripts."""
    app = create_app(
        web_service, WebSettings(upload_bytes=8 << 20, viewer="https://v.example/{study}")
    )
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture(scope="session")
def site(
    web_database: Path, simulation: Simulation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A server process over a copy of the database, for tests that change it, too."""
    with running_site(web_database, simulation, tmp_path_factory.mktemp("site")) as site:
        yield site
