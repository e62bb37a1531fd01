"""How near does an index run come to what the machine can do, and to what a plain script does?

    python -m benchmarks.index_run [--openi ../shared/openi]

For each archive, one after the other: decoding alone (a process on every core), the model alone,
the whole run, and `benchmarks.rival`. The ceiling is cores / (core-seconds of decoding + model), in
images a second. It has no part for the reports that `openi_with_reports` reads for findings.
Archives are generated, except for Open-i.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.archives import write_radiographs
from benchmarks.record import RESULTS, write_result

_SYNTAXES = {
    "uncompressed": "ExplicitVRLittleEndian",
    "jpeg2000": "JPEG2000Lossless",
    "jpeg_lossless": "JPEGLosslessSV1",
}
_ARCHIVES = ("openi", "openi_with_reports", *_SYNTAXES)
# How many times as many files: decoding is quick, so a run's start would weigh more.
_TIMES = {"uncompressed": 3}
_SAMPLE = 64
# The plain script is steady: a part of the images tells its rate.
_RIVAL = 300
_BATCH = 32


def _decode(paths: list[Path]) -> tuple[float, list[Any]]:
    """Core-milliseconds per image of a decode worker's task, and the canvases."""
    from indexer.archive.decoding import DecodeSettings
    from indexer.archive.id_key import load_key
    from indexer.archive.sources.members import open_archive
    from indexer.cascade.bundle import Bundle
    from indexer.database.outcomes import Read
    from indexer.memory import keep_freed_memory
    from indexer.pipeline.executor import FileTask, file_reader
    from indexer.pipeline.workers import KEPT_BYTES

    keep_freed_memory(KEPT_BYTES)
    bundle = Bundle.load()
    read = file_reader(
        DecodeSettings(bundle.size, bundle.squash, load_key(), borders=bundle.borders)
    )
    tasks = [FileTask(0, next(iter(open_archive(path).members()))) for path in paths]
    read(tasks[0])
    started = time.process_time()
    outcomes = [read(task) for task in tasks]
    spent = (time.process_time() - started) / len(paths) * 1000
    return spent, [o.image.canvas for o in outcomes if isinstance(o, Read)]


def _decode_everywhere(paths: list[Path], cores: int) -> tuple[float, list[Any]]:
    """The same, by as many processes at once as there are cores."""
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(_decode, [paths] * cores))
    return sum(ms for ms, _ in parts) / cores, parts[0][1]


def _model(canvases: list[Any]) -> float:
    """Core-milliseconds per image of the model alone, all cores at its disposal."""
    import numpy as np

    from indexer.cascade.bundle import Bundle
    from indexer.cascade.reading import Predictor

    runtime = Predictor(Bundle.load(), batch_size=_BATCH)
    batch = np.stack([canvases[i % len(canvases)] for i in range(_BATCH)])
    runtime.read(batch)
    started, before, rounds = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < 6:
        runtime.read(batch)
        rounds += 1
    return (time.process_time() - before) / (rounds * _BATCH) * 1000


def _answer(words: list[str]) -> dict[str, Any]:
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _measure(archive: Path, work: Path) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    sample = sorted(p for p in archive.rglob("*") if p.suffix in (".dcm", ".jpg", ".png"))
    step = max(1, len(sample) // _SAMPLE)
    decode, canvases = _decode_everywhere(sample[::step][:_SAMPLE], cores)
    model = _model(canvases)
    ceiling = cores / (decode + model) * 1000
    database = work / "database"
    words = [sys.executable, "-m", "cli", "index", str(archive), "--database", str(database)]
    run = _answer([*words, "--format", "json"])
    images = run["done"] + run["duplicate"]
    script = [sys.executable, "-m", "benchmarks.rival", str(_pictures(archive))]
    plain = _answer([*script, str(work / "rival"), "--limit", str(_RIVAL)])
    rate = images / run["stages"]["seconds"]
    rival = plain["images"] / plain["seconds"]
    return {
        "images": images,
        "decode_core_ms": round(decode, 2),
        "model_core_ms": round(model, 2),
        "ceiling_images_per_second": round(ceiling, 2),
        "images_per_second": round(run["images_per_second"], 2),
        "images_per_second_with_start": round(rate, 2),
        "share_of_ceiling": round(run["images_per_second"] / ceiling, 3),
        "rival_images_per_second": round(rival, 2),
        "times_the_rival": round(run["images_per_second"] / rival, 2),
        "stages": run["stages"],
    }


def _pictures(archive: Path) -> Path:
    return archive / "images" if (archive / "images").is_dir() else archive


def _folder(parent: str, name: str) -> Path:
    folder = Path(parent) / name
    folder.mkdir()
    return folder


@contextmanager
def _generated(syntax: str, count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        write_radiographs(archive, syntax, count)
        yield archive


@click.command()
@click.option("--openi", type=click.Path(path_type=Path, exists=True), help="Open-i's folder.")
@click.option(
    "--count",
    default=300,
    show_default=True,
    help="Generated images per encoding (uncompressed: 3 x).",
)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(_ARCHIVES),
    help="Measure only this, and keep the results there are of the others.",
)
def main(openi: Path | None, count: int, only: tuple[str, ...]) -> None:
    """Print and keep rates, ceilings and ratios."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = {}
        if openi is not None:
            sources = {"openi": openi / "images", "openi_with_reports": openi}
        for name, archive in sources.items():
            if not only or name in only:
                results[name] = _measure(archive, _folder(folder, name))
                click.echo(f"{name}: {results[name]}", err=True)
        for name, syntax in _SYNTAXES.items():
            if not only or name in only:
                with _generated(syntax, count * _TIMES.get(name, 1)) as archive:
                    results[name] = _measure(archive, _folder(folder, name))
                click.echo(f"{name}: {results[name]}", err=True)
    earlier = RESULTS / "index-run.json"
    before = json.loads(earlier.read_text())["archives"] if only and earlier.is_file() else {}
    archives = {name: results.get(name) or before.get(name) for name in _ARCHIVES}
    command = "python -m benchmarks.index_run --openi ../shared/openi"
    kept = {name: archive for name, archive in archives.items() if archive}
    write_result("index-run", {"command": command, "archives": kept})


if __name__ == "__main__":
    main()
