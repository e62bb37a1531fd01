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
from tests.elasticsearch_server import ElasticsearchServer

FIRST, IMAGES, PER_COMMIT, KILLED_AT = 100, 400, 20, 5
# What answers may pause for while the others take over: connections that die, and an election.
LONGEST_PAUSE = 60.0
# Answers that are wanted of the two nodes that are left, of three kinds of search in turn.
FEWEST_ANSWERS = 30
# What must be caught by a fault, by a part of its address: an answer takes it some milliseconds, so
# that one which has had none for so many seconds waits for the node that stands still.
KINDS, STUCK, LONGEST_CATCH = ("/_bulk", "search"), 2.0, 60.0


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

    def wait_for(self, count: int, since: float) -> list[float]:
        """When so many searches were answered since then, or as many as were in `LONGEST_PAUSE`."""
        until = time.monotonic() + LONGEST_PAUSE
        while True:
            found = [moment for moment in self.answers if moment > since]
            if len(found) >= count or time.monotonic() > until:
                return found
            time.sleep(0.1)

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
class Request:
    """A bulk request or a search, from when it was handed over until it was answered or failed."""

    kind: str
    begun: float
    ended: float | None = None


@dataclass
class Traffic:
    """The bulk requests and searches of this process, and what the server confirmed of them."""

    requests: list[Request] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)

    def perform(self, kind: str, send: Callable[[], Any]) -> Any:
        """Send a request and note how it ends."""
        request = Request(kind, time.monotonic())
        self.requests.append(request)
        try:
            answer = send()
        finally:
            request.ended = time.monotonic()
        # An answer of a node without a master holds an error and no items.
        for item in answer.body.get("items", ()):
            ((_, result),) = item.items()
            if result["status"] < 300:
                self.acknowledged.add(result["_id"])
        return answer

    def stuck(self, kind: str, since: float) -> Request | None:
        """A request begun since then that has had no answer for long."""
        now = time.monotonic()
        open_ = (r for r in self.requests if r.kind == kind and r.ended is None)
        return next((r for r in open_ if r.begun >= since and now - r.begun > STUCK), None)


@dataclass
class Fault:
    """A node stands still, a bulk request and a search are caught by that, and it is killed."""

    node: ElasticsearchServer
    traffic: Traffic
    paused: threading.Event = field(default_factory=threading.Event)
    killed: float = 0.0
    caught: list[Request] = field(default_factory=list)

    def run(self) -> None:
        """What is caught is in `caught` once it is over."""
        self.node.pause()
        since = time.monotonic()
        self.paused.set()
        while time.monotonic() < since + LONGEST_CATCH:
            found = [self.traffic.stuck(kind, since) for kind in KINDS]
            if all(found):
                self.caught = [request for request in found if request is not None]
                break
            time.sleep(0.05)
        self.killed = time.monotonic()
        self.node.kill()


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    """Every bulk request and search of this process goes through it."""
    made, perform = Traffic(), Transport.perform_request

    def watched(self: Transport, method: str, target: str, **more: Any) -> Any:
        def send() -> Any:
            return perform(self, method, target, **more)

        kind = next((kind for kind in KINDS if kind in target), None)
        return send() if kind is None else made.perform(kind, send)

    monkeypatch.setattr(Transport, "perform_request", watched)
    return made


@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ["data", "master"])
def test_a_node_is_killed_while_it_is_written_and_asked(
    cluster: ElasticsearchCluster, tmp_path: Path, role: str, traffic: Traffic
) -> None:
    """In the middle of a bulk request and of a search; what was confirmed is there, and searches
    are answered, while the node is gone."""
    place = Place("cluster", cluster.url)
    path = place.fill(tmp_path / "database", range(FIRST))
    index = str(Layout(path).read_manifest().text_index)
    cluster.wait_until_green()
    master = cluster.master()
    victim = master if role == "master" else min(cluster.holders(index) - {master})
    asking, fault = Asking(path), Fault(cluster.nodes[victim], traffic)
    threads = [threading.Thread(target=asking.run), threading.Thread(target=fault.run)]
    threads[0].start()
    with place.writing(path) as writer:
        for step, start in enumerate(range(FIRST, IMAGES, PER_COMMIT)):
            if step == KILLED_AT:
                threads[1].start()
                fault.paused.wait()
            writer.commit([film(number) for number in range(start, start + PER_COMMIT)])
    threads[1].join()
    outage = asking.wait_for(FEWEST_ANSWERS, since=fault.killed)
    asking.ended.set()
    threads[0].join()
    assert not asking.wrong
    # Both were on their way when it died: they ended, as an answer or an error, only after.
    assert {request.kind for request in fault.caught} == set(KINDS)
    assert all((request.ended or 0) > fault.killed for request in fault.caught)
    assert not cluster.nodes[victim].runs
    # Each kind of search was answered again and again, and after no long pause.
    assert len(outage) >= FEWEST_ANSWERS
    pauses = [b - a for a, b in zip([fault.killed, *outage], outage, strict=False)]
    assert max(pauses) < LONGEST_PAUSE
    # With a node gone everything that was confirmed is there, and nothing waits.
    with Writer.maintain(path) as opened:
        opened.outbox.sync()
        assert opened.ledger.outbox.is_empty
    with cluster.admin() as client:
        client.indices.refresh(index=index)
        assert client.count(index=index)["count"] == IMAGES
        kept = client.mget(index=index, ids=sorted(traffic.acknowledged), source=False)["docs"]
        assert len(kept) == IMAGES
        assert all(document["found"] for document in kept)
    assert verify(path) == []
    cluster.nodes[victim].start()
    cluster.wait_until_green()
    assert verify(path) == []
