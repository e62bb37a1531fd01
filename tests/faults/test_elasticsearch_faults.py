"""A real Elasticsearch that dies, stays away or fills its disk: nothing is lost, nothing doubled.

Each test ends with `verify`, which compares the ledger with every document of the index.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import ApiError

from cli.main import cxrdex
from indexer.cascade.compute import Compute
from indexer.database.choices import Choices
from indexer.database.layout import Layout
from indexer.database.reader import DatabaseReader
from indexer.database.text.elasticsearch.bulk import Backoff
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.database.writing import outbox
from indexer.errors import DatabaseMismatch, TextStoreUnavailable
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from tests.database.making import KEY, entry, image_id, make_bundle
from tests.elasticsearch_proxy import Proxy
from tests.elasticsearch_server import ElasticsearchServer, unavailable
from tests.pipeline.making import make_bundle as make_tiny_bundle
from tests.pipeline.making import write_pictures


@contextmanager
def writing(path: Path, url: str) -> Iterator[Writer]:
    """A run in which nothing is waited for long."""
    with Writer.open(path, make_bundle(), KEY, Choices("elasticsearch", url)) as writer:
        writer.text.patience = 0.3  # type: ignore[attr-defined]
        writer.begin_run()
        writer.archive("/archive")
        yield writer
        writer.build_vectors()
        writer.outbox.finish()
        writer.end_run("complete", {})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_SHORTEST_PAUSE", 0.2)
    monkeypatch.setattr(outbox, "_LONGEST_PAUSE", 0.5)


@pytest.fixture
def server(elasticsearch_server: ElasticsearchServer) -> ElasticsearchServer:
    return elasticsearch_server


def commit(writer: Writer, numbers: range) -> None:
    writer.commit([entry(number) for number in numbers])


def waiting(path: Path) -> int:
    with DatabaseReader.open(path) as database:
        return database.ledger.outbox.count


def stored(path: Path, url: str) -> list[str]:
    """Ids in the index, asked of the server itself."""
    name = Layout(path).read_manifest().text_index
    with ElasticsearchSettings((url,)).client() as client:
        client.indices.refresh(index=name)
        answer = client.search(index=name, size=10_000, source=False)
    return sorted(hit["_id"] for hit in answer["hits"]["hits"])


def ids(numbers: range) -> list[str]:
    return sorted(image_id(number) for number in numbers)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cxrdex, list(arguments))


def test_killed_during_a_load_and_started_again(
    tmp_path: Path, server: ElasticsearchServer
) -> None:
    path = tmp_path / "database"
    started = threading.Event()

    def kill() -> None:
        started.wait()
        time.sleep(0.1)
        server.kill()

    killing = threading.Thread(target=kill)
    killing.start()
    with writing(path, server.url) as writer:
        for first in range(0, 400, 20):
            commit(writer, range(first, first + 20))
            started.set()
            if first == 200:
                killing.join()
        assert 0 < writer.ledger.outbox.count < 400
        server.start()
        writer.text.patience = 30  # type: ignore[attr-defined]
    assert waiting(path) == 0
    assert verify(path) == []
    assert stored(path, server.url) == ids(range(400))


def test_down_for_the_whole_run_and_back_later(
    tmp_path: Path, server: ElasticsearchServer, caplog: pytest.LogCaptureFixture
) -> None:
    path, pictures = tmp_path / "database", write_pictures(tmp_path / "pictures", 12)
    bundle = make_tiny_bundle(tmp_path / "bundle")
    proxy = Proxy(server.url)
    proxy.down = True
    url = proxy.url
    with caplog.at_level(logging.WARNING):
        summary = index(
            [pictures],
            path,
            compute=Compute(tmp_path / "bundle", "cpu"),
            choices=Choices(text_store="elasticsearch", elasticsearch_url=url),
            processing=FileProcessing(workers=1),
        )
    assert bundle
    assert (summary.done, summary.waiting, summary.interrupted) == (12, 12, False)
    assert sum("documents wait" in record.message for record in caplog.records) == 1
    refused = run("sync", "--database", str(path))
    assert refused.exit_code == 12
    assert run("verify", "--database", str(path)).exit_code == 12
    assert waiting(path) == 12
    proxy.down = False
    sent = run("sync", "--database", str(path))
    assert (sent.exit_code, sent.output) == (0, "12 documents sent, 0 wait\n")
    assert run("verify", "--database", str(path)).exit_code == 0
    assert len(stored(path, url)) == 12
    assert run("sync", "--database", str(path)).output == "0 documents sent, 0 wait\n"
    proxy.close()


def test_changes_and_deletes_wait_too(tmp_path: Path, server: ElasticsearchServer) -> None:
    path = tmp_path / "database"
    proxy = Proxy(server.url)
    with writing(path, proxy.url) as writer:
        commit(writer, range(10))
        proxy.down = True
        writer.drop_images([image_id(number) for number in range(5)])
        commit(writer, range(10, 15))
        assert writer.ledger.outbox.count == 10
    assert waiting(path) == 10
    proxy.down = False
    with writing(path, proxy.url):
        pass
    assert waiting(path) == 0
    assert verify(path) == []
    assert stored(path, proxy.url) == ids(range(5, 15))
    proxy.close()


@pytest.mark.parametrize("faults", [[429] * 3, ["lost answer"] * 3, ["reset", 503, 429, "reset"]])
def test_a_busy_server(
    faults: list[int | str], tmp_path: Path, server: ElasticsearchServer
) -> None:
    path = tmp_path / "database"
    proxy = Proxy(server.url)
    with writing(path, proxy.url) as writer:
        writer.text.patience = 10  # type: ignore[attr-defined]
        proxy.faults += faults
        for first in range(0, 40, 10):
            commit(writer, range(first, first + 10))
    assert proxy.faults == []
    assert waiting(path) == 0
    assert verify(path) == []
    assert stored(path, server.url) == ids(range(40))
    proxy.close()


@contextmanager
def crowd(url: str) -> Iterator[None]:
    """Six clients that write without a pause, and whom no refusal stops."""
    stopped = threading.Event()
    lines: list[dict[str, Any]] = [{"index": {}}, {"text": "crowd " * 20}] * 2_000

    def write() -> None:
        with ElasticsearchSettings((url,)).client() as client:
            while not stopped.is_set():
                with suppress(ApiError):
                    client.bulk(index="crowd", operations=lines)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def test_a_server_whose_queue_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    busy: list[str] = []
    wait = Backoff.wait

    def watch(self: Backoff, error: TextStoreUnavailable) -> None:
        busy.append(str(error))
        wait(self, error)

    monkeypatch.setattr(Backoff, "wait", watch)
    # One thread writes, and one request may wait for it.
    server = ElasticsearchServer({"node.processors": 1, "thread_pool.write.queue_size": 1}).start()
    path = tmp_path / "database"
    committed = 0
    try:
        with writing(path, server.url) as writer:
            writer.text.patience = 120  # type: ignore[attr-defined]
            with crowd(server.url):
                while len(busy) < 3 and committed < 2_000:
                    commit(writer, range(committed, committed + 20))
                    committed += 20
        assert len(busy) >= 3
        assert all("too busy" in error for error in busy)
        assert waiting(path) == 0
        assert verify(path) == []
        assert stored(path, server.url) == ids(range(committed))
    finally:
        server.stop()


def test_a_full_disk_closes_the_index_and_opens_it_again(
    tmp_path: Path, server: ElasticsearchServer, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "database"
    mark = "cluster.routing.allocation.disk"
    with ElasticsearchSettings((server.url,)).client() as client:
        with writing(path, server.url) as writer:
            commit(writer, range(10))
            # So much must be free, which no disk has.
            full: dict[str, Any] = {f"{mark}.threshold_enabled": True}
            full |= {
                f"{mark}.watermark.low": "9999tb",
                f"{mark}.watermark.high": "9999tb",
                f"{mark}.watermark.flood_stage": "9999tb",
                "cluster.info.update.interval": "10s",
            }
            client.cluster.put_settings(persistent=full)
            assert _until(lambda: _blocked(client, writer)), "no block appeared"
            with caplog.at_level(logging.WARNING):
                commit(writer, range(10, 20))
            assert "disk is nearly full" in caplog.text
            assert writer.ledger.outbox.count == 10
        assert waiting(path) == 10
        with pytest.raises(TextStoreUnavailable, match="disk is nearly full"):
            _sync(path)
        client.cluster.put_settings(persistent=dict.fromkeys(full))
        client.cluster.reroute()
        name = str(Layout(path).read_manifest().text_index)
        client.indices.put_settings(
            index=name, settings={"index.blocks.read_only_allow_delete": None}
        )
    assert _sync(path) == 10
    assert verify(path) == []
    assert stored(path, server.url) == ids(range(20))


def test_an_older_mapping_is_refused_and_migrated(
    tmp_path: Path, server: ElasticsearchServer
) -> None:
    path = tmp_path / "database"
    with writing(path, server.url) as writer:
        commit(writer, range(20))
    name = str(Layout(path).read_manifest().text_index)
    with ElasticsearchSettings((server.url,)).client() as client:
        client.indices.put_mapping(index=name, meta={"version": 0})
        with pytest.raises(DatabaseMismatch, match="cxrdex migrate"), writing(path, server.url):
            pass
        (problem,) = verify(path)
        assert (problem.where, problem.what) == ("text", "version")
        assert "cxrdex migrate" in problem.repair
        migrated = run("migrate", "--database", str(path))
        assert (migrated.exit_code, migrated.output) == (0, "20 documents are in the new index\n")
        assert list(client.indices.get(index=f"{name}-*")) == [f"{name}-000002"]
    assert verify(path) == []
    with writing(path, server.url) as writer:
        commit(writer, range(20, 25))
    assert verify(path) == []
    assert stored(path, server.url) == ids(range(25))


def test_a_lost_index_is_found_and_filled_again(
    tmp_path: Path, server: ElasticsearchServer
) -> None:
    path = tmp_path / "database"
    with writing(path, server.url) as writer:
        commit(writer, range(20))
    name = str(Layout(path).read_manifest().text_index)
    with ElasticsearchSettings((server.url,)).client() as client:
        client.indices.delete(index=f"{name}-000001")
        assert {(p.where, p.what, p.count) for p in verify(path)} == {("text", "missing", 20)}
        assert repair(path).problems == ()
        assert stored(path, server.url) == ids(range(20))
        assert list(client.indices.get(index=f"{name}-*")) == [f"{name}-000001"]
        # A run finds it as well, and fills it with what an earlier one sent.
        client.indices.delete(index=f"{name}-000001")
    with writing(path, server.url) as writer:
        commit(writer, range(20, 30))
    assert verify(path) == []
    assert stored(path, server.url) == ids(range(30))


@pytest.mark.parametrize("damage", ["delete", "add", "change"])
def test_verify_finds_what_differs_and_repair_mends_it(
    damage: str, tmp_path: Path, server: ElasticsearchServer
) -> None:
    path = tmp_path / "database"
    with writing(path, server.url) as writer:
        commit(writer, range(10))
    name = str(Layout(path).read_manifest().text_index)
    with ElasticsearchSettings((server.url,)).client() as client:
        if damage == "delete":
            client.delete(index=name, id=image_id(3), refresh=True)
        else:
            source = client.get(index=name, id=image_id(3))["_source"]
            more = {"id": "f" * 16} if damage == "add" else {"hash": "0" * 16}
            source |= more
            client.index(index=name, id=source["id"], document=source, refresh=True)
    what = {"delete": "missing", "add": "unknown", "change": "different"}[damage]
    assert {(p.where, p.what, p.count) for p in verify(path)} == {("text", what, 1)}
    assert repair(path).problems == ()
    assert stored(path, server.url) == ids(range(10))


def _sync(path: Path) -> int:
    with Writer.maintain(path, text="untouched") as writer:
        return writer.outbox.sync()


def _blocked(client: Any, writer: Writer) -> bool:
    answer = client.indices.get_settings(index=writer.manifest.text_index)
    ((_, found),) = answer.items()
    return "read_only_allow_delete" in found["settings"]["index"].get("blocks", {})


def _until(condition: Any, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False
