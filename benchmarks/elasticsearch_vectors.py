"""How right and how fast is a search for vectors in Elasticsearch, with and without a filter?

    python -m benchmarks.elasticsearch_vectors --count 1000000

Vectors are those of `benchmarks.vectors`. They are written as shards of a database and sent to an
index of three shards by the database's own code, in documents without words; then the nearest ten
are asked for by its own code (`ElasticsearchVectors`), of all images and of 1, 10 and 50 % of
them, for queries that are not in the database, and compared with exact search. Times are of single
queries, from the vector to the scores, in the slowest of several rounds. The Elasticsearch is one
node with a heap of 2 GB on this machine, or the one that CXRDEX_TEST_ELASTICSEARCH_URL names. With
``--folder`` shards and index are kept there and asked again, where that server is a running one.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.record import write_result
from benchmarks.text_stores import _documents
from benchmarks.vector_clusters import ClusteredVectors
from benchmarks.vectors import _shards, _truth, _write
from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.text.elasticsearch.vectors import DocumentVectors
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.shards import Shards, id_from_key, vector_keys
from search.language.tree import Range
from search.stores.elasticsearch.backend import ElasticsearchBackend
from search.stores.elasticsearch.vectors import ElasticsearchVectors
from search.stores.vectors import Bounds, Choice, Keys
from tests.elasticsearch_server import URL_VARIABLE, ElasticsearchServer, unavailable

_SHARDS, _HEAP = 3, "2g"
_BATCH, _QUERIES, _WARM, _DEPTH = 5_000, 300, 20, 10
_SHARES = (None, 1, 10, 50)
_MERGE_SECONDS = 7200


def _ages(keys: Keys) -> npt.NDArray[np.int64]:
    """A percentile for each image, drawn by its key."""
    mixed = keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)) % np.uint64(100)).astype(np.int64)


def _made(shards: Shards) -> Iterator[list[Document]]:
    """Documents that say an age and nothing else."""
    (pattern,) = _documents(1)
    empty: Any = {"annotations": [], "absent": [], "uncertain": []}
    bare = {**pattern, **empty, "report": None, "statements": {}, "probabilities": {}}
    keys = shards.keys
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        named = zip(map(id_from_key, part.tolist()), _ages(part).tolist(), strict=True)
        yield [Document(**{**bare, "id": i, "age": age}) for i, age in named]  # type: ignore[typeddict-item]


def _fill(store: ElasticsearchTextStore, shards: Shards, merge: bool) -> dict[str, Any]:
    held = Vectors(Path("/nonexistent"), shards)

    def find(ids: Any, dimensions: int) -> dict[str, npt.NDArray[np.float32]]:
        assert dimensions == shards.dimensions
        return dict(zip(ids, held.stored_vectors(vector_keys(ids)), strict=True))

    assert store.embeddings is not None
    store.embeddings.find = find
    store.prepare()
    started, sent = time.perf_counter(), 0
    for batch in _made(shards):
        store.apply(batch, [])
        sent += len(batch)
        if sent % 100_000 == 0:
            click.echo(f"{sent} sent, {time.perf_counter() - started:.0f} s", err=True)
    store.finish()
    loaded = time.perf_counter()
    if merge:
        patient = store.client.options(request_timeout=_MERGE_SECONDS)
        patient.indices.forcemerge(index=store.index, max_num_segments=1)
    return {
        "load_seconds": round(loaded - started, 1),
        "merge_seconds": round(time.perf_counter() - loaded, 1) if merge else None,
    }


def _size(store: ElasticsearchTextStore, count: int) -> dict[str, Any]:
    stats = store.client.indices.stats(index=store.index, metric=["store", "segments"])
    total = stats["_all"]["primaries"]
    return {
        "index_bytes_per_image": round(total["store"]["size_in_bytes"] / count),
        "segments": total["segments"]["count"],
    }


def _ask(
    vectors: ElasticsearchVectors, backend: ElasticsearchBackend, shards: Shards, rounds: int
) -> list[dict[str, Any]]:
    """Each kind of search in turn, `rounds` times, every time with other queries."""
    drawn = ClusteredVectors(3).rows(rounds * (_QUERIES + _WARM))
    ages = _ages(shards.keys)
    masks = [None if share is None else ages < share for share in _SHARES]
    recalls: list[list[float]] = [[] for _ in _SHARES]
    times: list[list[list[float]]] = [[] for _ in _SHARES]
    for queries in np.split(drawn, rounds):
        for share, mask, found_shares, walls in zip(_SHARES, masks, recalls, times, strict=True):
            bounds = Bounds(None if share is None else Choice(Range("age", 0, share - 1), backend))
            truth = _truth(shards, queries, _DEPTH, mask)
            shares, wall = [], []
            for query, true in zip(queries, truth, strict=True):
                started = time.perf_counter()
                _, found = vectors.search(query, _DEPTH, bounds)
                wall.append(1e3 * (time.perf_counter() - started))
                shares.append(float(np.isin(true, found).mean()))
            found_shares += shares[_WARM:]
            walls.append([round(float(np.percentile(wall[_WARM:], part)), 2) for part in (50, 95)])
            click.echo(f"{share}: {np.mean(shares[_WARM:]):.4f}, {walls[-1]} ms", err=True)
    return [
        {
            "filter_percent": share,
            "images": len(ages) if mask is None else int(mask.sum()),
            "recall_at_10": round(float(np.mean(found_shares)), 4),
            # Of the slowest round; the others are told, too.
            "p50_ms": max(p50 for p50, _ in walls),
            "p95_ms": max(p95 for _, p95 in walls),
            "p50_ms_by_round": [p50 for p50, _ in walls],
        }
        for share, mask, found_shares, walls in zip(_SHARES, masks, recalls, times, strict=True)
    ]


def _server(stack: ExitStack) -> str:
    if url := os.environ.get(URL_VARIABLE):
        return url
    if reason := unavailable():
        raise click.ClickException(reason)
    server = ElasticsearchServer(heap=_HEAP, early=False).start()
    stack.callback(server.stop)
    return server.url


@click.command()
@click.option("--count", default=1_000_000, show_default=True, help="Vectors.")
@click.option("--rounds", default=3, show_default=True, help="Of 300 queries of each kind.")
@click.option("--merge", is_flag=True, help="Merge each shard into one segment first.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep shards and index there.")
def main(count: int, rounds: int, merge: bool, folder: Path | None) -> None:
    """Print and keep recall and times."""
    with ExitStack() as stack:
        here = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        here.mkdir(parents=True, exist_ok=True)
        if not (here / "shards.json").is_file():
            _write(here, count)
        shards = _shards(here)
        settings = ElasticsearchSettings((_server(stack),), shards=_SHARDS)
        named = here / "index.json"
        kept = json.loads(named.read_text()) if named.is_file() else None
        index = kept["index"] if kept else f"cxrdex-{secrets.token_hex(4)}"
        embeddings = DocumentVectors(shards.dimensions, lambda ids, dimensions: {})
        store = ElasticsearchTextStore(
            settings.client(), index, shards=_SHARDS, embeddings=embeddings
        )
        stack.callback(store.close)
        if kept is None:
            kept = {"index": index, **_fill(store, shards, merge)}
            named.write_text(json.dumps(kept))
        backend = ElasticsearchBackend(settings.client(), index)
        stack.callback(backend.close)
        held = Vectors(here / "vectors", _shards(here))
        rows = _ask(ElasticsearchVectors(backend, held, shards.dimensions), backend, shards, rounds)
        write_result(
            "elasticsearch-vectors",
            {
                "command": f"python -m benchmarks.elasticsearch_vectors --count {count}"
                f" --rounds {rounds}" + (" --merge" if merge else ""),
                "vectors": len(shards),
                "dimensions": shards.dimensions,
                "shards": _SHARDS,
                **{name: value for name, value in kept.items() if name != "index"},
                **_size(store, len(shards)),
                "searches": rows,
            },
        )


if __name__ == "__main__":
    main()
