"""Does an index run get in the way of those who search, and they in its way?

    python -m benchmarks.serving_while_indexing [--images 2000]

Makes a database of generated films with the bundle that ships, then indexes as many again twice:
with a server that nobody asks, and with one that some people ask all the time. Says whether a
request failed, how long after its commit an image was found, by what share the run was slower, and
what share of the cores the server and those who ask it took.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from benchmarks.asking import LoadResult, Request, ask
from benchmarks.record import write_result
from benchmarks.serving import busy_seconds, count_images, served
from benchmarks.text_stores import make_queries
from indexer.database.reader import DatabaseReader

_LOOK_SECONDS = 0.2


def _fill(archive: Path, count: int, first: int) -> None:
    """Write `count` pictures of the size of a small film, each another one."""
    import numpy as np
    from PIL import Image

    archive.mkdir()
    rng = np.random.default_rng(first)
    for number in range(count):
        # Smooth, as noise is no film and takes a file's reader longer than one.
        coarse = Image.fromarray(rng.integers(0, 256, (12, 10), np.uint8))
        film = coarse.resize((800, 960), Image.Resampling.BICUBIC)
        film.save(archive / f"film{first + number:06d}.png", compress_level=1)


async def _run(
    archive: Path, database: Path, port: int, people: int, pause: float
) -> tuple[float, float, LoadResult]:
    """Seconds of an index run, the longest that an image waited to be found, and what was asked."""
    words = [sys.executable, "-m", "cli", "index", str(archive), "--database", str(database)]
    queries = [quote(query) for query in make_queries("word", 200)]
    began = time.perf_counter()
    run = await asyncio.create_subprocess_exec(
        *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    ended = asyncio.Event()

    def draw(rng: random.Random) -> Request:
        return Request(f"/search?q={rng.choice(queries)}")

    async def wait() -> float:
        await run.wait()
        taken = time.perf_counter() - began
        ended.set()
        return taken

    async def watch() -> float:
        waiting: list[tuple[int, float]] = []
        longest, last = 0.0, 0
        while not ended.is_set() or waiting:
            with DatabaseReader.open(database) as found:
                there = len(found)
            if there > last:
                waiting.append((there, time.perf_counter()))
                last = there
            seen = await asyncio.to_thread(count_images, port)
            now = time.perf_counter()
            for count, since in [*waiting]:
                if seen >= count:
                    longest = max(longest, now - since)
                    waiting.remove((count, since))
            await asyncio.sleep(_LOOK_SECONDS)
        return longest

    async def people_ask() -> LoadResult:
        if not people:
            return LoadResult()
        return await ask(port, draw, people=people, seconds=3600, pause=pause, until=ended)

    seconds, lag, asked = await asyncio.gather(wait(), watch(), people_ask())
    if run.returncode:
        raise click.ClickException(f"the run ended with {run.returncode}")
    return seconds, lag, asked


@click.command()
@click.option("--images", type=int, default=2000, help="Of each run.")
@click.option("--people", type=int, default=10)
@click.option("--pause", type=float, default=1.0, help="Mean of the seconds at an answer.")
def main(images: int, people: int, pause: float) -> None:
    """Print and keep what came of it."""
    result: dict[str, Any] = {
        "command": f"python -m benchmarks.serving_while_indexing --images {images}",
        "images": images,
        "people": people,
        "pause_seconds": pause,
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        database = root / "database"
        for number, name in enumerate(("first", "alone", "asked")):
            _fill(root / name, images if number else max(20, images // 10), number * images)
        words = [sys.executable, "-m", "cli", "index", str(root / "first")]
        subprocess.run([*words, "--database", str(database)], check=True, stdout=subprocess.DEVNULL)
        with served(database) as (port, process):
            for name, count in (("alone", 0), ("asked", people)):
                before, own = busy_seconds(process), time.process_time()
                seconds, lag, asked = asyncio.run(_run(root / name, database, port, count, pause))
                busy = busy_seconds(process) - before
                own = time.process_time() - own
                result[name] = {
                    "seconds": round(seconds, 1),
                    "images_per_second": round(images / seconds, 1),
                    "longest_until_found_seconds": round(lag, 2),
                    "server_cores": round(busy / seconds, 2),
                    "asking_cores": round(own / seconds, 2),
                    "load_average": round(os.getloadavg()[0], 1),
                    **({"requests": asked.to_json()} if count else {}),
                }
                click.echo(f"{name}: {result[name]}", err=True)
    alone, asked_for = result["alone"], result["asked"]
    result["slower_by"] = round(1 - alone["seconds"] / asked_for["seconds"], 3)
    taken = asked_for["server_cores"] + asked_for["asking_cores"]
    taken -= alone["server_cores"] + alone["asking_cores"]
    result["share_of_cores_taken"] = round(taken / len(os.sched_getaffinity(0)), 3)
    write_result("serving_while_indexing", result)


if __name__ == "__main__":
    main()
