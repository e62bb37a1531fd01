"""One request sees one moment, whatever a writer does meanwhile, and the next one sees the next."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexer.database.vectors.shards import id_from_key
from indexer.database.writing.outbox import Outbox
from indexer.errors import ShardMissing
from search import snapshot as snapshots
from search.language.tree import MatchAll
from search.request import ImageId, SearchRequest
from search.service import SearchService
from search.snapshot import Snapshot, Snapshots
from tests.database.making import entry, fill, image_id, opened

THREADS, COUNT, COMMITS, PER_COMMIT = 16, 40, 12, 5


def _requests() -> list[SearchRequest]:
    return [
        SearchRequest(words="opacity left", facets=("disease", "view"), limit=5),
        SearchRequest(words="*", sort="id", limit=1000),
        SearchRequest(words="view:frontal AND disease:opacity", choices=("side=left",)),
        SearchRequest(picture=ImageId(image_id(3)), limit=1000),
        SearchRequest(picture=ImageId(image_id(4)), filters=("disease:opacity",), limit=1000),
        SearchRequest(picture=ImageId(image_id(5)), exclude="patient", group="study", limit=3),
        SearchRequest(words="opacity", picture=ImageId(image_id(7)), limit=1000),
    ]


def test_sixteen_threads_while_a_run_commits_and_compacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that is busy with other things may need long to bring the text store up.
    monkeypatch.setattr(snapshots, "_PATIENCE", 120.0)
    path = fill(tmp_path / "database", COUNT)
    ended = threading.Event()
    totals: Counter[int] = Counter()

    def ask(number: int) -> None:
        requests = _requests()
        while not ended.is_set():
            request = requests[number % len(requests)]
            found = service.search(request)
            number += 1
            ids = [hit.id for hit in found.hits]
            assert len(set(ids)) == len(ids)
            if request.words == "*":
                # A commit is seen whole, or not at all.
                assert found.total == len(ids) == COUNT + ids_beyond(ids) * PER_COMMIT
                totals[found.total] += 1
            if request.facets == ("disease", "view"):
                assert sum(count.count for count in found.facets["view"]) == found.total
            text, ledger, vectors = service._snapshots.ask(stores, text=True)
            assert text == ledger == vectors

    def stores(moment: snapshots.Snapshot) -> tuple[set[str], set[str], set[str]]:
        found = moment.text.keys(MatchAll()).tolist(), moment.vectors().keys.tolist()
        return (
            {*map(id_from_key, found[0])},
            {*moment.database.image_ids()},
            {*map(id_from_key, found[1])},
        )

    def ids_beyond(ids: list[str]) -> int:
        known = {image_id(n): n for n in range(COUNT + COMMITS * PER_COMMIT)}
        return (max(known[i] for i in ids) + 1 - COUNT) // PER_COMMIT

    with SearchService(path) as service, ThreadPoolExecutor(THREADS) as threads:
        asking = [threads.submit(ask, number) for number in range(THREADS)]
        try:
            with opened(path) as writer:
                for commit in range(COMMITS):
                    first = COUNT + commit * PER_COMMIT
                    writer.commit([entry(n) for n in range(first, first + PER_COMMIT)])
                    if commit % 3 == 0:
                        writer.compact(everything=True)
                    if commit % 4 == 0:
                        writer.build_vectors(always=True)
                    if any(one.done() for one in asking):
                        break
                writer.end_run("complete", {})
        finally:
            ended.set()
        for one in asking:
            one.result()
        every = COUNT + COMMITS * PER_COMMIT
        assert service.search(SearchRequest(words="*")).total == every
        assert service.search(SearchRequest(picture=ImageId(image_id(0)))).total == every - 1
        assert service.show(ImageId(image_id(every - 1))).record.id == image_id(every - 1)
    assert len(totals) > 1


def test_a_moment_is_never_of_two_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fill(tmp_path / "database", 10)
    moments = Snapshots(path)
    drain = Outbox.drain
    monkeypatch.setattr(Outbox, "drain", lambda self: None)
    monkeypatch.setattr(snapshots, "_PATIENCE", 0.2)

    def counts(moment: snapshots.Snapshot) -> tuple[int, int, int]:
        found = moment.text.keys(MatchAll()), moment.vectors().keys
        return len(moment.database), len(found[0]), len(found[1])

    with moments.open(text=True) as before, opened(path) as writer:
        writer.commit([entry(10), entry(11)])
        # The text store is behind: whoever asks meanwhile still sees the commit before.
        with moments.open(text=True) as meanwhile:
            assert meanwhile is before
            assert counts(meanwhile) == (10, 10, 10)
        # Not for ever: a writer may have been killed before it had sent them.
        with monkeypatch.context() as impatient:
            impatient.setattr(snapshots, "_PATIENCE", 0.0)
            with moments.open(text=True) as behind:
                assert counts(behind) == (12, 10, 12)
        drain(writer.outbox)
        with moments.open(text=True) as after:
            assert counts(after) == (12, 12, 12)
        assert counts(before) == (10, 10, 10)
        writer.end_run("complete", {})
    moments.close()


def test_an_idle_service_keeps_no_transaction_open(tmp_path: Path) -> None:
    path = fill(tmp_path / "database", 4)
    moments = Snapshots(path)
    with moments.open(text=True) as one, moments.open(text=True) as other:
        assert one is other
        connection = one.database.ledger.connection
        assert connection.in_transaction
    assert not connection.in_transaction
    with moments.open(text=False) as again:
        assert again.database.ledger.connection is connection
    moments.close()


def test_a_shard_that_a_compaction_took_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path / "database", 20)
    with SearchService(path) as service:
        once = [True]
        resolve = Snapshot.resolve

        def late(moment: Snapshot, image: ImageId) -> str:
            found = resolve(moment, image)
            if once:
                # Between the look at the ledger and the look at the shards.
                once.pop()
                with opened(path) as writer:
                    writer.compact(everything=True)
                    writer.end_run("complete", {})
            return found

        monkeypatch.setattr(Snapshot, "resolve", late)
        assert service.search(SearchRequest(picture=ImageId(image_id(1)))).total == 19
    assert not once
    for shard in (path / "embeddings").glob("part-*.npy"):
        shard.unlink()
    with SearchService(path) as service, pytest.raises(ShardMissing, match="cxrdex verify"):
        service.search(SearchRequest(picture=ImageId(image_id(1))))
