"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from indexer.cascade.bundle import Bundle
from indexer.pipeline.run import index
from indexer.simulation import Simulation, simulate_archive
from tests.elasticsearch_cluster import ElasticsearchCluster, cluster_unavailable
from tests.elasticsearch_server import URL_VARIABLE, ElasticsearchServer, unavailable


@pytest.fixture(scope="session", autouse=True)
def no_width_of_a_terminal() -> Iterator[None]:
    """Lines are as long as where nothing says how wide they may be, for child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = Path(os.environ.get("CXRDEX_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"real data is not here: no folder {folder}")
    return folder.resolve()


@pytest.fixture(scope="session", autouse=True)
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An id key of the tests' own, for child processes too.

    It is the same in every run: hits of one score stand in the order of their ids, so that a key
    drawn by chance would have tests pass on one day and fail on another.
    """
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    before = os.environ.get("CXRDEX_KEY_FILE")
    os.environ["CXRDEX_KEY_FILE"] = str(path)
    yield path
    if before is None:
        del os.environ["CXRDEX_KEY_FILE"]
    else:
        os.environ["CXRDEX_KEY_FILE"] = before


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the tests' own, for child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that ships."""
    return Bundle.load()


@pytest.fixture(scope="session")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """A small simulated archive of many encodings, with files that cannot be indexed."""
    return simulate_archive(tmp_path_factory.mktemp("simulation"), studies=14, seed=1)


@pytest.fixture(scope="session")
def simulated_database(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the simulated archive, to be read or copied only."""
    folder = tmp_path_factory.mktemp("simulated") / "database"
    index([simulation.folder], folder, reports=simulation.reports)
    return folder


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """A real Elasticsearch without security, started when a test first asks for it."""
    if url := os.environ.get(URL_VARIABLE):
        yield url
        return
    if reason := unavailable():
        pytest.skip(reason)
    server = ElasticsearchServer().start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def elasticsearch_cluster() -> Iterator[ElasticsearchCluster]:
    """Three nodes with TLS and API keys, started when a test first asks for them."""
    if reason := cluster_unavailable():
        pytest.skip(reason)
    cluster = ElasticsearchCluster().start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def elasticsearch_server() -> Iterator[ElasticsearchServer]:
    """A server of a module's own, to be killed and started again."""
    if reason := unavailable():
        pytest.skip(reason)
    server = ElasticsearchServer().start()
    yield server
    server.stop()


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that the sentence model is given."""
    from indexer.words import sentences

    given: list[str] = []
    encode = sentences.encode

    def noting(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        given.extend(texts)
        return encode(texts)

    monkeypatch.setattr(sentences, "encode", noting)
    return given
