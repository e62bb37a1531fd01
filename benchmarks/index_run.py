"""How near does an index run come to what the machine can do, and to what a plain script does?

    python -m benchmarks.index_run [--openi ../shared/openi]

For each archive, one after the other: decoding alone (core-seconds of one process), the model alone
(cores x seconds), the whole run, and `benchmarks.rival`. The ceiling is cores / (decoding + model),
in images a second. Archives are generated, except for Open-i.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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
_SAMPLE = 64
_BATCH = 32


def _decode(paths: list[Path]) -> dict[str, Any]:
    """Core-seconds per image of one process that reads and decodes, and the canvases."""
    from indexer.archive.decoding import DecodeSettings, decode_member
    from indexer.archive.deidentify import load_key
    from indexer.archive.sources import open_archive
    from indexer.cascade.bundle import Bundle

    bundle = Bundle.load()
    settings = DecodeSettings(bundle.size, bundle.squash, load_key())
    members = [next(iter(open_archive(path).members())) for path in paths]
    decode_member(members[0], settings)
    started = time.process_time()
    canvases = [decode_member(member, settings).canvas for member in members]
    return {"ms": (time.process_time() - started) / len(paths) * 1000, "canvases": canvases}


def _model(canvases: list[Any], cores: int) -> float:
    """Core-milliseconds per image of the model alone, all cores at its disposal."""
    import numpy as np

    from indexer.cascade.bundle import Bundle
    from indexer.cascade.runtime import Runtime

    runtime = Runtime(Bundle.load(), batch_size=_BATCH)
    batch = np.stack([canvases[i % len(canvases)] for i in range(_BATCH)])
    runtime.read(batch)
    started, rounds = time.perf_counter(), 0
    while time.perf_counter() - started < 6:
        runtime.read(batch)
        rounds += 1
    return (time.perf_counter() - started) * cores / (rounds * _BATCH) * 1000


def _said(words: list[str]) -> dict[str, Any]:
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _measure(archive: Path, count: int, work: Path) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    sample = sorted(p for p in archive.rglob("*") if p.suffix in (".dcm", ".jpg", ".png"))
    decoded = _decode(sample[:: max(1, len(sample) // _SAMPLE)][:_SAMPLE])
    model = _model(decoded["canvases"], cores)
    ceiling = cores / (decoded["ms"] + model) * 1000
    database = work / "database"
    words = [sys.executable, "-m", "cli", "index", str(archive), "--database", str(database)]
    run = _said([*words, "--format", "json"])
    images = run["done"] + run["duplicate"]
    script = [sys.executable, "-m", "benchmarks.rival", str(_pictures(archive))]
    plain = _said([*script, str(work / "rival"), "--limit", str(count)])
    rate = images / run["stages"]["seconds"]
    rival = plain["images"] / plain["seconds"]
    return {
        "images": images,
        "decode_core_ms": round(decoded["ms"], 2),
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


@contextmanager
def _generated(syntax: str, count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        write_radiographs(archive, syntax, count)
        yield archive


@click.command()
@click.option("--openi", type=click.Path(path_type=Path, exists=True), help="Open-i's folder.")
@click.option("--count", default=300, show_default=True, help="Generated images per encoding.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(["openi", *_SYNTAXES]),
    help="Measure only this, and keep the results there are of the others.",
)
def main(openi: Path | None, count: int, only: tuple[str, ...]) -> None:
    """Print and keep rates, ceilings and ratios."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if openi is not None and (not only or "openi" in only):
            pictures = sum(1 for _ in (openi / "images").iterdir())
            # The rival is steady: a part of the pictures tells its rate.
            work = Path(folder) / "openi"
            work.mkdir()
            results["openi"] = _measure(openi, min(pictures, 640), work)
            click.echo(f"openi: {results['openi']}", err=True)
        for name, syntax in _SYNTAXES.items():
            if only and name not in only:
                continue
            work = Path(folder) / name
            work.mkdir()
            with _generated(syntax, count) as archive:
                results[name] = _measure(archive, count, work)
            click.echo(f"{name}: {results[name]}", err=True)
    earlier = RESULTS / "index-run.json"
    before = json.loads(earlier.read_text())["archives"] if only and earlier.is_file() else {}
    archives = {name: results.get(name) or before.get(name) for name in ("openi", *_SYNTAXES)}
    command = "python -m benchmarks.index_run --openi ../shared/openi"
    kept = {name: archive for name, archive in archives.items() if archive}
    write_result("index-run", {"command": command, "archives": kept})


if __name__ == "__main__":
    main()
