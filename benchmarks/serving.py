"""Fifty people at once who search a million documents in the browser.

    python -m benchmarks.serving --database DIR [--images 1000000]

Makes the database where it is not there, serves it by `cxrdex serve` on loopback, and asks over
connections that stay open: words over the API and as pages, all with facets; words among ages that
nobody asked for before, of which nothing can be remembered; films of a simulated archive, and films
of the database by their ids. Each by people who ask without a pause, and by people who look at each
answer for a while. Then many of all kinds, while the server's memory is watched. Those who ask
take their share of the same cores, which is told, too.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import psutil

from benchmarks.asking import Request, ask
from benchmarks.made_database import make_database
from benchmarks.record import write_result
from benchmarks.text_stores import make_queries
from indexer.simulation import simulate_archive
from search.web.rendering.facets import TITLES

__all__ = ["busy_seconds", "count_images", "served"]

_KINDS = ("word", "two words", "phrase", "value")
_FACETS = "".join(f"&facet={name}" for name in TITLES)
_FILMS = 24
# Requests after which the memory is looked at, as shares of all.
_STEPS = (0.05, 0.25, 0.5, 1.0)
_Draw = Callable[[random.Random], Request]


@contextmanager
def served(database: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A server of a database: its port and its process."""
    words = [sys.executable, "-m", "cli", "serve", "--database", str(database), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            said = server.stdout.readline() if server.stdout else ""
            found = re.search(r":(\d+)/ answers", said)
            if found is None:
                raise click.ClickException(f"the server said {said!r}")
            yield int(found[1]), psutil.Process(server.pid)
        finally:
            server.terminate()


def _process_memory(process: psutil.Process) -> tuple[int, int]:
    """Resident MiB of a process and its children, and those that are of mapped files: what was read
    of the database, which the system takes back when it needs room."""
    members = (process, *process.children(recursive=True))
    taken = [member.memory_info() for member in members]
    return sum(one.rss for one in taken) >> 20, sum(one.shared for one in taken) >> 20


def busy_seconds(process: psutil.Process) -> float:
    """Seconds of the processor that a process and its children have taken."""
    members = (process, *process.children(recursive=True))
    return sum(sum(member.cpu_times()[:2]) for member in members)


def _get(port: int, target: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}", timeout=120) as answer:
        content: bytes = answer.read()
        return content


def _first_page(port: int) -> dict[str, int]:
    """Bytes of the first page, and with all that it needs to be shown."""
    page = _get(port, "/").decode()
    parts = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    return {
        "page": len(page.encode()),
        "with_styles_and_scripts": len(page.encode()) + sum(len(_get(port, p)) for p in parts),
    }


def _films(folder: Path) -> list[bytes]:
    """Films of a simulated archive, each another one."""
    made = simulate_archive(folder, studies=_FILMS, broken=False)
    paths = (folder / file.name for file in made.files if file.outcome == "done")
    return [path.read_bytes() for path in paths if path.is_file()]


def _draws(port: int, films: Sequence[bytes]) -> dict[str, _Draw]:
    """What is asked, by name."""
    queries = [quote(query) for kind in _KINDS for query in make_queries(kind, 400)]
    hits = re.findall(rb'"id":"([0-9a-f]{16})"', _get(port, "/v1/search?limit=200"))
    ids = [one.decode() for one in hits]
    return {
        "words": lambda rng: Request(f"/v1/search?q={rng.choice(queries)}{_FACETS}"),
        "new words": lambda rng: Request(
            f"/v1/search?q={rng.choice(queries)}&filter={quote(_ages(rng))}{_FACETS}"
        ),
        "pages": lambda rng: Request(f"/search?q={rng.choice(queries)}"),
        "films": lambda rng: Request("/v1/similar", rng.choice(films)),
        "ids": lambda rng: Request(f"/v1/images/{rng.choice(ids)}/similar"),
        "cases": lambda rng: Request(f"/v1/images/{rng.choice(ids)}"),
    }


def _ages(rng: random.Random) -> str:
    """A span of ages: with one of the queries one in a million, hardly ever asked for twice."""
    first, last = sorted(rng.sample(range(18, 91), 2))
    return f"age:[{first} TO {last}]"


def _memory(port: int, process: psutil.Process, draws: dict[str, _Draw], count: int) -> Any:
    """Resident MiB after each part of many requests of all kinds."""

    def mixed(rng: random.Random) -> Request:
        return draws[rng.choices([*draws], (10, 2, 5, 1, 3, 5))[0]](rng)

    seen, failed, done = {0: _process_memory(process)}, 0, 0
    for share in _STEPS:
        most = round(count * share) - done
        asked = asyncio.run(ask(port, mixed, people=8, seconds=3600, most=most))
        failed, done = failed + len(asked.failed), done + most
        seen[done] = _process_memory(process)
    return {
        "requests": count,
        "failed": failed,
        "mib_after_requests": {str(done): whole for done, (whole, _) in seen.items()},
        "of_files": {str(done): mapped for done, (_, mapped) in seen.items()},
    }


@click.command()
@click.option("--database", type=click.Path(path_type=Path), required=True)
@click.option("--images", type=int, default=1_000_000, help="Of a database that is made.")
@click.option("--people", type=int, default=50)
@click.option("--seconds", type=float, default=60.0, help="Of each part.")
@click.option("--pause", type=float, default=1.5, help="Mean of the seconds at an answer.")
@click.option("--requests", type=int, default=20_000, help="While the memory is watched.")
def main(
    database: Path, images: int, people: int, seconds: float, pause: float, requests: int
) -> None:
    """Print and keep rates, times and memory."""
    if not database.exists():
        make_database(database, images)
    with tempfile.TemporaryDirectory() as folder:
        films = _films(Path(folder))
    with served(database) as (port, process):
        first = _first_page(port)
        draws = _draws(port, films)
        for draw in draws.values():
            # Models are loaded and files mapped when they are first needed.
            asyncio.run(ask(port, draw, people=2, seconds=30, most=20))
        parts: dict[str, Any] = {}
        for name, draw in draws.items():
            for told, waits in (("without a pause", 0.0), ("with a pause", pause)):
                began, own = busy_seconds(process), time.process_time()
                asked = asyncio.run(ask(port, draw, people=people, seconds=seconds, pause=waits))
                busy, own = busy_seconds(process) - began, time.process_time() - own
                parts[f"{name}, {told}"] = {
                    **asked.to_json(),
                    "server_cores": round(busy / asked.wall, 2),
                    "asking_cores": round(own / asked.wall, 2),
                    "load_average": round(os.getloadavg()[0], 1),
                }
                click.echo(f"{name}, {told}: {parts[f'{name}, {told}']}", err=True)
        images = count_images(port)
        result = {
            "command": "python -m benchmarks.serving --database DIR "
            f"--images {images} --seconds {seconds:g}",
            "images": images,
            "people": people,
            "pause_seconds": pause,
            "first_page_bytes": first,
            "parts": parts,
        }
        write_result("serving", result)
        # It takes longer than all the rest, which is kept if it is given up.
        write_result("serving", {**result, "memory": _memory(port, process, draws, requests)})


def count_images(port: int) -> int:
    """Images that a server finds."""
    found = re.search(rb'"total":(\d+)', _get(port, "/v1/facets?size=1"))
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
