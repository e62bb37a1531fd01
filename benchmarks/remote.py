"""What does a run lose on a cluster, and does it grow with the number of workers?

    python -m benchmarks.remote [--pictures ../shared/openi/images]

It needs root and the extra `ray`.
First the same archive in turns by a plain run and by a run over three hosts, which are network
namespaces on this machine: images a second, and core-milliseconds an image of everything that
takes part, Ray's own processes included. The second tells what a cluster costs even where the
machine has other work. Then a stand-in for the model that sleeps for 100 ms an image, with one
worker and with eight, once all of them have started: how near does that come to eight times the
rate?
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.record import write_result
from benchmarks.stand_in import MODEL_SECONDS, SleepingStandIn
from indexer.archive.id_key import load_key
from tests.pipeline.making import write_pictures
from tests.pipeline.remote.hosts import Hosts, unavailable

_HOSTS = 3
_WORKERS = 8
# Chunks of the smallest size for each worker.
_ROUNDS, _CHUNK = 8, 64
_GROUPS = tuple(Path("/sys/fs/cgroup") / name / "cxrdex-benchmark" for name in ("cpu", "cpuacct"))


def _core_seconds() -> float | None:
    """What this process and all that it started have used since `_measured`."""
    with suppress(OSError):
        return int((_GROUPS[1] / "cpuacct.usage").read_text()) / 1e9
    return None


@contextmanager
def _measured() -> Iterator[None]:
    """Have this process and its children counted together, where control groups can be made.

    As one group they also get one share of a busy machine, of however many processes they are.
    """
    with suppress(OSError):
        for group in _GROUPS:
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        with suppress(OSError):
            for group in _GROUPS:
                (group.parent / "cgroup.procs").write_text(str(os.getpid()))
                group.rmdir()


def _index(words: list[str], hosts: Hosts | None = None) -> dict[str, Any]:
    """The summary of a run, with what it used."""
    command = [sys.executable, "-m", "cli", "index", *words, "--format", "json"]
    before = _core_seconds()
    process = (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if hosts is None
        else hosts.run([*command, "--on", hosts.url])
    )
    printed, errors = process.communicate()
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}: {errors}")
    after = _core_seconds()
    summary: dict[str, Any] = json.loads(printed)
    images = summary["done"] + summary["duplicate"]
    used = None if before is None or after is None else round((after - before) / images * 1000, 2)
    return {
        "images": images,
        "seconds": round(summary["seconds"], 2),
        "images_per_second": summary["images_per_second"],
        "core_ms_per_image": used,
    }


def _throughput(folder: Path, archive: Path, rounds: int) -> dict[str, Any]:
    plain, remote = [], []
    for number in range(rounds):
        plain.append(_index([str(archive), "--database", str(folder / f"plain{number}")]))
        hosts = Hosts(folder, _HOSTS, Path(os.environ["CXRDEX_KEY_FILE"]))
        try:
            hosts.start(0, *hosts.numbers)
            words = [str(archive), "--database", str(folder / f"remote{number}")]
            remote.append(_index(words, hosts))
        finally:
            hosts.stop()
    found: dict[str, Any] = {"hosts": _HOSTS, "plain": plain, "remote": remote}
    for value, name in (
        ("images_per_second", "share_of_rate"),
        ("core_ms_per_image", "share_of_rate_by_core_ms"),
    ):
        ones, others = ([row[value] for row in rows] for rows in (remote, plain))
        if None not in (*ones, *others):
            share = statistics.median(ones) / statistics.median(others)
            found[name] = round(share if value == "images_per_second" else 1 / share, 3)
    return found


def _sleeping(url: str, archive: Path, database: Path, files: int) -> None:
    """A driver: the rate of a run from where all workers have answered twice."""
    from indexer.pipeline.remote import starting
    from indexer.pipeline.run import Progress, index

    starting.Plan = partial(starting.Plan, predictor=SleepingStandIn)  # type: ignore[attr-defined, assignment]
    points: list[tuple[float, int]] = []

    def note(progress: Progress) -> None:
        if progress.stage == "reading":
            points.append((time.monotonic(), progress.done))

    summary = index([archive], database, workers=1, on=url, progress=note)
    assert summary.done == files
    # Outcomes come in order, so that by then no worker is still starting.
    begun = next(point for point in points if point[1] >= 2 * files // _ROUNDS)
    ended = points[-1]
    images, seconds = ended[1] - begun[1], ended[0] - begun[0]
    print(json.dumps({"images": images, "seconds": round(seconds, 2), "rate": images / seconds}))


def _growth(folder: Path) -> dict[str, Any]:
    rows = []
    for workers, hosts_count in ((1, 1), (_WORKERS, 2)):
        archive = folder / f"archive{workers}"
        files = workers * _CHUNK * _ROUNDS
        write_pictures(archive, files)
        cores = workers // hosts_count
        hosts = Hosts(folder, hosts_count, Path(os.environ["CXRDEX_KEY_FILE"]), cores)
        try:
            hosts.start(0, *hosts.numbers)
            database = folder / f"database{workers}"
            words = ["--driver", hosts.url, str(archive), str(database), "--files", str(files)]
            process = hosts.run([sys.executable, "-m", "benchmarks.remote", *words])
            printed, errors = process.communicate()
            if process.returncode:
                raise click.ClickException(errors)
            rows.append({"workers": workers, "hosts": hosts_count, **json.loads(printed)})
        finally:
            hosts.stop()
    return {
        "model_ms_per_image": MODEL_SECONDS * 1000,
        "runs": rows,
        "times_one_worker": round(rows[1]["rate"] / rows[0]["rate"], 2),
    }


@click.command()
@click.option("--pictures", type=click.Path(path_type=Path, exists=True), help="An archive.")
@click.option("--count", default=2000, show_default=True, help="Generated pictures without one.")
@click.option("--rounds", default=2, show_default=True, help="Runs of each kind.")
@click.option("--only", type=click.Choice(["throughput", "growth"]), help="One of the two.")
@click.option("--driver", nargs=3, hidden=True)
@click.option("--files", type=int, hidden=True)
def main(
    pictures: Path | None,
    count: int,
    rounds: int,
    only: str | None,
    driver: tuple[str, str, str] | None,
    files: int,
) -> None:
    """Measure both, and keep the result."""
    if driver:
        _sleeping(driver[0], Path(driver[1]), Path(driver[2]), files)
        return
    if reason := unavailable():
        raise click.ClickException(reason)
    command = " ".join(["python -m benchmarks.remote", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as place, _measured():
        folder = Path(place)
        os.environ["CXRDEX_KEY_FILE"] = str(folder / "key")
        load_key()
        if only != "growth":
            if pictures is None:
                from indexer.simulation import simulate_pictures

                pictures = folder / "pictures"
                simulate_pictures(pictures, count, size=1024)
            result = _throughput(folder, pictures, rounds)
            write_result("remote-throughput", {"command": command, **result})
        if only != "throughput":
            write_result("remote-growth", {"command": command, **_growth(folder)})


if __name__ == "__main__":
    main()
