"""Nodes of a cluster are killed while it is written and asked: nothing is lost, answers go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from elastic_transport import Transport

from indexer.database.layout import Layout
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.errors import TextStoreUnavailable
from search.request import ImageId, SearchRequest
from search.service import SearchService
from tests.contract.places import Place, film
from tests.database.making import image_id
from tests.elasticsearch_cluster import ElasticsearchCluster

FIRST, IMAGES, PER_COMMIT, KILLED_AT = 100, 400, 20, 5
# What answers may pause for while the others take over: connections that die, and an election.
LONGEST_PAUSE = 60.0


@pytest.fixture
def cluster(
    elasticsearch_cluster: ElasticsearchCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ElasticsearchCluster]:
    elasticsearch_cluster.configure(monkeypatch)
    yield elasticsearch_cluster
    for node in elasticsearch_cluster.nodes.values():
        if not node.runs:
            node.start()
    elasticsearch_cluster.wait_until_green()


@dataclass
class Asking:
    """Asks for words and by picture, again and again, until it is told to end."""

    path: Path
    ended: threading.Event = field(default_factory=threading.Event)
    answers: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        requests = (
            SearchRequest(words="*", limit=0),
            SearchRequest(picture=ImageId(image_id(3)), limit=IMAGES, include_unusual=True),
            SearchRequest(picture=ImageId(image_id(4)), filters=("view:lateral",), limit=5),
        )
        with SearchService(self.path) as service:
            first = {hit.id for hit in service.search(requests[1]).hits}
            if len(first) != FIRST - 1:
                self.wrong.append(f"{len(first)} images are like one of {FIRST}")
            while not self.ended.is_set():
                for number, request in enumerate(requests):
                    try:
                        found = service.search(request)
                    except TextStoreUnavailable:
                        # An error that says so is allowed for a moment; an answer must be whole.
                        time.sleep(0.2)
                        continue
                    self.answers.append(time.monotonic())
                    if number == 0 and found.total < FIRST:
                        self.wrong.append(f"{found.total} images")
                    if number == 1 and not first <= {hit.id for hit in found.hits}:
                        self.wrong.append("images that were found before the kill are missing")


@dataclass
class Sending:
    """What bulk requests are told by the server, and a kill while one of them is on its way."""

    acknowledged: set[str] = field(default_factory=set)
    #: Ends a node; called once, as soon as a bulk request has been handed over.
    kill: Callable[[], None] | None = None
    killed: float = 0.0
    #: Whether an answer, or the loss of the connection, came after the kill.
    was_on_its_way: bool = False

    def perform(self, send: Callable[[], Any]) -> Any:
        """Send a request, and kill the node meanwhile where that is due."""
        kill, self.kill = self.kill, None
        killer = threading.Thread(target=self._end, args=(kill,)) if kill else None
        if killer is not None:
            killer.start()
        try:
            answer = send()
        finally:
            if killer is not None:
                self.was_on_its_way = 0 < self.killed < time.monotonic()
                killer.join()
        # An answer of a node without a master holds an error and no items.
        for item in answer.body.get("items", ()):
            ((_, result),) = item.items()
            if result["status"] < 300:
                self.acknowledged.add(result["_id"])
        return answer

    def _end(self, kill: Callable[[], None]) -> None:
        self.killed = time.monotonic()
        kill()


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> Sending:
    """Every bulk request of this process goes through it."""
    made, perform = Sending(), Transport.perform_request

    def watched(self: Transport, method: str, target: str, **more: Any) -> Any:
        def send() -> Any:
            return perform(self, method, target, **more)

        return made.perform(send) if "/_bulk" in target else send()

    monkeypatch.setattr(Transport, "perform_request", watched)
    return made


@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ["data", "master"])
def test_a_node_is_killed_while_it_is_written_and_asked(
    cluster: ElasticsearchCluster, tmp_path: Path, role: str, sending: Sending
) -> None:
    """In the middle of a bulk request; what was confirmed is there while the node is gone."""
    place = Place("cluster", cluster.url)
    path = place.fill(tmp_path / "database", range(FIRST))
    index = str(Layout(path).read_manifest().text_index)
    cluster.wait_until_green()
    master = cluster.master()
    victim = master if role == "master" else min(cluster.holders(index) - {master})
    asking = Asking(path)
    thread = threading.Thread(target=asking.run)
    thread.start()
    with place.writing(path) as writer:
        for step, start in enumerate(range(FIRST, IMAGES, PER_COMMIT)):
            if step == KILLED_AT:
                sending.kill = cluster.nodes[victim].kill
            writer.commit([film(number) for number in range(start, start + PER_COMMIT)])
    time.sleep(2)
    asking.ended.set()
    thread.join()
    assert not asking.wrong
    assert sending.was_on_its_way
    assert not cluster.nodes[victim].runs
    later = [moment for moment in asking.answers if moment > sending.killed]
    assert later
    pauses = [b - a for a, b in zip([sending.killed, *later], later, strict=False)]
    assert max(pauses) < LONGEST_PAUSE
    # With a node gone everything that was confirmed is there, and nothing waits.
    with Writer.maintain(path) as opened:
        opened.outbox.sync()
        assert opened.ledger.outbox.is_empty
    with cluster.admin() as client:
        client.indices.refresh(index=index)
        assert client.count(index=index)["count"] == IMAGES
        kept = client.mget(index=index, ids=sorted(sending.acknowledged), source=False)["docs"]
        assert len(kept) == IMAGES
        assert all(document["found"] for document in kept)
    assert verify(path) == []
    cluster.nodes[victim].start()
    cluster.wait_until_green()
    assert verify(path) == []
