"""What does a run lose on a cluster, and does it grow with the number of workers?

    python -m benchmarks.remote [--pictures ../shared/openi/images]

It needs root and the extra `ray`.
First the same archive in turns by a plain run and by a run over three hosts, which are network
namespaces on this machine: images a second, and core-milliseconds an image of everything that
takes part, Ray's own processes included. The second tells what a cluster costs even where the
machine has other work. Then a stand-in for the model that sleeps for 100 ms an image, with one
worker and with eight: how near does that come to eight times the rate? Rates are those of the last
three quarters of a run, as all archives are larger than these, and `seconds` those of the whole.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.record import write_result
from benchmarks.stand_in import MODEL_SECONDS, SleepingStandIn
from indexer.archive.id_key import load_key
from tests.pipeline.making import write_pictures
from tests.pipeline.remote.hosts import Hosts, unavailable

_HOSTS = 3
_WORKERS = 8
# Chunks of the smallest size for each worker.
_ROUNDS, _CHUNK = 8, 64
# Of a busy machine, where another process has 1,024.
_SHARES = 16 * 1024
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
            if (group / "cpu.shares").exists():
                (group / "cpu.shares").write_text(str(_SHARES))
            (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        with suppress(OSError):
            for group in _GROUPS:
                (group.parent / "cgroup.procs").write_text(str(os.getpid()))
                group.rmdir()


def _drive(archive: str, database: str, on: str | None, sleeping: bool) -> None:
    """A run whose later three quarters are timed, when all that takes part has long started."""
    from indexer.pipeline.options import FileProcessing
    from indexer.pipeline.remote import starting
    from indexer.pipeline.remote.executor import RayExecutor
    from indexer.pipeline.remote.host import Answer, HostSettings
    from indexer.pipeline.run import Progress, index

    if sleeping:
        model = partial(HostSettings, predictor=SleepingStandIn)
        starting.HostSettings = model  # type: ignore[attr-defined, assignment]
    points: list[tuple[int, float]] = []

    class Timed(RayExecutor):
        """Notes when chunks are answered: they are given on in order, many at once."""

        def _answer(self, attempt: Any, answer: Answer) -> None:
            if not attempt.chunk.settled:
                before = points[-1][0] if points else 0
                points.append((before + len(answer.outcomes), time.monotonic()))
            super()._answer(attempt, answer)

    def note(progress: Progress) -> None:
        if progress.stage == "reading" and on is None:
            points.append((progress.done + progress.duplicate, time.monotonic()))

    starting.RayExecutor = Timed  # type: ignore[attr-defined]

    workers = 1 if sleeping else None
    summary = index(
        [Path(archive)],
        Path(database),
        progress=note,
        processing=FileProcessing(workers=workers, on=on),
    )
    images = summary.done + summary.duplicate
    assert images == summary.total == points[-1][0]
    first, since = next(point for point in points if point[0] >= images / 4)
    last, until = points[-1]
    found = {
        "images": images,
        "seconds": round(summary.seconds, 2),
        "images_per_second": round((last - first) / (until - since), 2),
        "timed": [since, until, last - first],
    }
    print(json.dumps(found))


def _driven(
    archive: Path, database: Path, hosts: Hosts | None = None, sleeping: bool = False
) -> dict[str, Any]:
    """What `_drive` prints, in a process of its own on the machine that commits."""
    words = [sys.executable, "-m", "benchmarks.remote", "--drive", str(archive), str(database)]
    if sleeping:
        words.append("--sleeping")
    process = (
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        if hosts is None
        else hosts.run([*words, "--on", hosts.url])
    )
    # Sampled here, as on a host of a cluster the control groups of this machine are not seen.
    used: list[tuple[float, float]] = []
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(process.communicate)
        while not ended.done():
            if (seconds := _core_seconds()) is not None:
                used.append((time.monotonic(), seconds))
            time.sleep(0.1)
    printed, errors = ended.result()
    if process.returncode:
        raise click.ClickException(f"a run ended with {process.returncode}: {errors}")
    found: dict[str, Any] = json.loads(printed)
    since, until, images = found.pop("timed")
    if used:
        moments, seconds_used = np.array(used).T
        begun, done = np.interp([since, until], moments, seconds_used)
        found["core_ms_per_image"] = round(float(done - begun) / images * 1000, 2)
    return found


@contextmanager
def _cluster(folder: Path, count: int, cores: int = 1) -> Iterator[Hosts]:
    hosts = Hosts(folder, count, Path(os.environ["CXRDEX_KEY_FILE"]), cores)
    try:
        hosts.start(0, *hosts.numbers)
        yield hosts
    finally:
        hosts.stop()


def _throughput(folder: Path, archive: Path, rounds: int) -> dict[str, Any]:
    plain, remote = [], []
    for number in range(rounds):
        plain.append(_driven(archive, folder / f"plain{number}"))
        with _cluster(folder, _HOSTS) as hosts:
            remote.append(_driven(archive, folder / f"remote{number}", hosts))
    return {"hosts": _HOSTS, "plain": plain, "remote": remote, **_shares(plain, remote)}


def _shares(plain: list[dict[str, Any]], remote: list[dict[str, Any]]) -> dict[str, Any]:
    """What a cluster has of a plain run's rate: the median of the rounds, and the least."""
    pairs = list(zip(plain, remote, strict=True))
    shares = {
        "share_of_rate": [r["images_per_second"] / p["images_per_second"] for p, r in pairs],
        "share_of_whole_run": [p["seconds"] / r["seconds"] for p, r in pairs],
    }
    if all("core_ms_per_image" in row for row in (*plain, *remote)):
        used = [p["core_ms_per_image"] / r["core_ms_per_image"] for p, r in pairs]
        shares["share_of_rate_by_core_ms"] = used
    found = {name: round(statistics.median(values), 3) for name, values in shares.items()}
    return found | {f"least_{name}": round(min(values), 3) for name, values in shares.items()}


def _growth(folder: Path) -> dict[str, Any]:
    rows = []
    for workers, count in ((1, 1), (_WORKERS, 2)):
        archive = write_pictures(folder / f"archive{workers}", workers * _CHUNK * _ROUNDS)
        with _cluster(folder, count, workers // count) as hosts:
            row = _driven(archive, folder / f"growth{workers}", hosts, sleeping=True)
        rows.append({"workers": workers, "hosts": count, **row})
    return {
        "model_ms_per_image": MODEL_SECONDS * 1000,
        "runs": rows,
        "times_one_worker": round(rows[1]["images_per_second"] / rows[0]["images_per_second"], 2),
    }


@click.command()
@click.option("--pictures", type=click.Path(path_type=Path, exists=True), help="An archive.")
@click.option("--count", default=2000, show_default=True, help="Generated pictures without one.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each kind.")
@click.option("--only", type=click.Choice(["throughput", "growth"]), help="One of the two.")
@click.option("--drive", nargs=2, hidden=True)
@click.option("--on", hidden=True)
@click.option("--sleeping", is_flag=True, hidden=True)
def main(
    pictures: Path | None,
    count: int,
    rounds: int,
    only: str | None,
    drive: tuple[str, str] | None,
    on: str | None,
    sleeping: bool,
) -> None:
    """Measure both, and keep the result."""
    if drive:
        _drive(*drive, on, sleeping)
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
