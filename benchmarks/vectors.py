"""How fast, how right and how large is the vector index, from 10,000 to 10 million vectors?

    python -m benchmarks.vectors --largest 1000000

Vectors are drawn from a mixture that imitates those of real radiographs
(`benchmarks.vector_clusters`), written as shards, indexed and searched by the database's own code:
`build_vectors` and `Vectors`. Of each size: time and memory to build; time to open; latency of
single queries and recall against exact search for queries that are not in the database; resident
memory; bytes per vector; and the same with filters. Building takes all cores, searching one.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.plot import Curves, write_plot
from benchmarks.record import RESULTS, write_result
from benchmarks.vector_clusters import FILE, ClusteredVectors, describe
from indexer.database.vectors.builder import build_vectors
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.plan import choose_plan
from indexer.database.vectors.shards import Shard, Shards, write_shard

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
_SHARD = 65_536
_QUERIES, _FILTERED_QUERIES, _REPEATS = 300, 40, 3
_FILTER_SIZE = 1_000_000
_SHARES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 0.9, 1.0)
_DEPTHS = (10, 200)

T = TypeVar("T")
Rows = npt.NDArray[np.float32]


def _apart(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives in a process of its own, whose memory is then its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def _write(folder: Path, count: int) -> dict[str, Any]:
    source, rng = ClusteredVectors(1), np.random.default_rng(2)
    (folder / "embeddings").mkdir()
    shards: list[Shard] = []
    for start in range(0, count, _SHARD):
        rows = min(_SHARD, count - start)
        keys = rng.integers(-(2**63), 2**63 - 1, rows, dtype=np.int64)
        number = len(shards) + 1
        checksum = write_shard(folder / "embeddings", number, source.rows(rows), keys)
        shards.append(Shard(number, rows, rows, checksum))
    (folder / "shards.json").write_text(json.dumps([asdict(shard) for shard in shards]))
    return {"bytes_per_vector_in_shards": source.dimensions * 2 + 8}


def _shards(folder: Path) -> Shards:
    shards = [Shard(**data) for data in json.loads((folder / "shards.json").read_text())]
    return Shards(folder / "embeddings", shards, None, ClusteredVectors(1).dimensions)


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _build(folder: Path, memory: int | None) -> dict[str, Any]:
    shards = _shards(folder)
    plan = choose_plan(len(shards), shards.dimensions, memory=memory)
    started = time.perf_counter()
    generation = build_vectors(folder / "vectors", shards, plan=plan)
    return {
        "build_seconds": round(time.perf_counter() - started, 1),
        "build_peak_rss_mib": _peak_mib(),
        "index": generation.to_json(),
        "vectors_folder_bytes_per_vector": round(
            sum(p.stat().st_size for p in (folder / "vectors").rglob("*.*") if p.is_file())
            / len(shards),
            1,
        ),
    }


def _truth(shards: Shards, queries: Rows, depth: int, mask: npt.NDArray[np.bool_] | None) -> Any:
    """Keys of the nearest of each query by comparing it with every vector that may be found."""
    import faiss

    best = np.empty((len(queries), 0), np.float32)
    names = np.empty((len(queries), 0), np.int64)
    first = 0
    for rows in shards.live_chunks():
        keys = shards.keys[first : first + len(rows)]
        allowed = slice(None) if mask is None else mask[first : first + len(rows)]
        first += len(rows)
        rows, keys = rows[allowed], keys[allowed]
        if not len(rows):
            continue
        scores, places = faiss.knn(
            queries, rows, min(depth, len(rows)), metric=faiss.METRIC_INNER_PRODUCT
        )
        best = np.concatenate([best, scores], axis=1)
        names = np.concatenate([names, keys[places]], axis=1)
        order = np.argsort(-best, axis=1)[:, :depth]
        best = np.take_along_axis(best, order, axis=1)
        names = np.take_along_axis(names, order, axis=1)
    return names


def _ask(
    vectors: Vectors, queries: Rows, depth: int, truth: Any, keys: Any = None, repeats: int = 1
) -> dict[str, Any]:
    """Latency of single queries and recall."""
    wall, processor, shares = [], [], []
    for query, true in zip(queries, truth, strict=True):
        for _ in range(repeats):
            started, ticked = time.perf_counter(), time.thread_time()
            _, found = vectors.search(query, depth, keys=keys)
            wall.append(time.perf_counter() - started)
            processor.append(time.thread_time() - ticked)
        shares.append(np.isin(true, found).mean() if len(true) else 1.0)
    times = {"": wall, "processor_": processor}
    return {
        **{
            f"{name}p{part}_ms": round(1e3 * float(np.percentile(values, part)), 3)
            for name, values in times.items()
            for part in (50, 99)
        },
        "recall": round(float(np.mean(shares)), 4),
    }


def _search(folder: Path) -> dict[str, Any]:
    import faiss

    faiss.omp_set_num_threads(1)
    rss = psutil.Process().memory_info
    idle = rss().rss
    shards = _shards(folder)
    started = time.perf_counter()
    vectors = Vectors(folder / "vectors", shards)
    opened = time.perf_counter() - started
    queries = ClusteredVectors(3).rows(_QUERIES)
    started = time.perf_counter()
    vectors.search(queries[0], 10)
    first = time.perf_counter() - started
    # Truth is found later, in another Shards, so that only searching counts in memory.
    shards = _shards(folder)
    unknown = [np.empty(0, np.int64)] * len(queries)
    for depth in _DEPTHS:
        _ask(vectors, queries, depth, unknown)
    resident = rss()
    answer: dict[str, Any] = {
        "open_seconds": round(opened, 4),
        "first_query_ms": round(1e3 * first, 2),
        "resident_mib": round(resident.rss / 2**20, 1),
        "resident_before_opening_mib": round(idle / 2**20, 1),
    }
    truth = _truth(shards, queries, max(_DEPTHS), None)
    for depth in _DEPTHS:
        answer[f"at_{depth}"] = _ask(vectors, queries, depth, truth[:, :depth], repeats=_REPEATS)
    return answer


def _filters(folder: Path) -> list[dict[str, Any]]:
    """Filters that take images at random, and such as take those of some direction."""
    import faiss

    faiss.omp_set_num_threads(1)
    shards = _shards(folder)
    vectors = Vectors(folder / "vectors", shards)
    queries = ClusteredVectors(4).rows(_FILTERED_QUERIES)
    rng = np.random.default_rng(5)
    direction = rng.normal(size=shards.dimensions).astype(np.float32)
    along = np.concatenate([rows @ direction for rows in shards.live_chunks()])
    answer = []
    for share in _SHARES:
        masks = {"random": rng.random(len(along)) < share}
        if 1e-3 <= share < 1:
            masks["direction"] = along > np.quantile(along, 1 - share)
        for kind, mask in masks.items():
            keys = np.sort(shards.keys[mask])
            truth = _truth(shards, queries, 10, mask)
            row = _ask(vectors, queries, 10, truth, keys, repeats=_REPEATS)
            answer.append({"filter": kind, "share": share, "images": len(keys), **row})
            click.echo(f"{answer[-1]}", err=True)
    return answer


def _plot(sizes: dict[str, Any]) -> None:
    rows = list(sizes.values())
    times = {name: [row["at_10"][f"{name}_ms"] for row in rows] for name in ("p50", "p99")}
    recall = {f"at {d}": [row[f"at_{d}"]["recall"] for row in rows] for d in _DEPTHS}
    resident = {
        "searching": [row["resident_mib"] for row in rows],
        "building": [row["build_peak_rss_mib"] for row in rows],
    }
    bytes_ = {"index": [row["index"]["bytes_per_vector"] for row in rows]}
    curves = (
        Curves("milliseconds of a query for 10", times),
        Curves("recall", recall, 0.9),
        Curves("resident MiB", resident),
        Curves("bytes per vector", bytes_, 0),
        Curves("seconds to build", {"": [row["build_seconds"] for row in rows]}),
        Curves("seconds to open", {"": [row["open_seconds"] for row in rows]}),
    )
    write_plot("vectors", "vectors", [int(size) for size in sizes], curves)


@click.command()
@click.option("--largest", default=SIZES[-1], show_default=True, help="Leave out larger sizes.")
@click.option("--smallest", default=SIZES[0], show_default=True, help="Leave out smaller sizes.")
@click.option("--memory", type=int, help="Bytes the index may take; small ones quantise more.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to put the data meanwhile.")
@click.option("--keep-others", is_flag=True, help="Keep the results there are of other sizes.")
def main(
    largest: int, smallest: int, memory: int | None, folder: Path | None, keep_others: bool
) -> None:
    """Print and keep the curves."""
    kept = RESULTS / "vectors.json"
    sizes: dict[str, Any] = {}
    for count in SIZES:
        if not smallest <= count <= largest:
            continue
        with tempfile.TemporaryDirectory(dir=folder) as name:
            data = Path(name)
            row: dict[str, Any] = {}
            for step in (_write, _build, _search):
                arguments = {_write: (count,), _build: (memory,), _search: ()}[step]
                row |= _apart(step, data, *arguments)
                click.echo(f"{count}: {row}", err=True)
            if count == _FILTER_SIZE:
                row["filters"] = _apart(_filters, data)
            shutil.rmtree(data / "embeddings")
        sizes[str(count)] = row
    if keep_others:
        sizes = {**json.loads(kept.read_text())["sizes"], **sizes}
    sizes = dict(sorted(sizes.items(), key=lambda item: int(item[0])))
    clusters = json.loads(FILE.read_text())
    write_result(
        "vectors",
        {
            "command": "python -m benchmarks.vectors",
            "dimensions": ClusteredVectors(1).dimensions,
            "real_vectors": {"source": clusters["source"], **clusters["real"]},
            "imitated_vectors": describe(ClusteredVectors(1).rows(clusters["real"]["vectors"])),
            "sizes": sizes,
        },
    )
    _plot(sizes)


if __name__ == "__main__":
    main()
