"""The figures that `cxrdex plan` reckons with, copied from the kept results.

    python -m benchmarks.figures

A test compares them with the results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["TARGET", "figures"]

TARGET = Path(__file__).parents[1] / "indexer" / "planning" / "measurements.json"
_RESULTS = Path(__file__).parent / "results"
_FILES = {
    "uncompressed": "uncompressed, 12 bits",
    "jpeg2000": "JPEG 2000 lossless, 12 bits",
    "jpeg2000-lossy": "JPEG 2000 lossy, 12 bits",
    "jpeg-lossless": "JPEG lossless, 12 bits",
    "jpeg-ls": "JPEG-LS lossless, 12 bits",
    "rle": "RLE, 12 bits",
    "jpeg": "JPEG 2,000 x 2,500",
    "png": "PNG 2,000 x 2,500",
}


def _value(result: Any, path: tuple[str, ...]) -> float:
    for key in path:
        result = result[int(key) if isinstance(result, list) else key]
    return float(result)


def _wanted() -> list[tuple[str, str, str, int | None, tuple[str, ...]]]:
    """Name, unit, file of results, size, and place in the file of each figure."""
    wanted: list[tuple[str, str, str, int | None, tuple[str, ...]]] = []
    for name, file in _FILES.items():
        wanted.append((f"decode {name}", "core-ms", "decoding", None, ("files", file, "core_ms")))
        wanted.append((f"bytes {name}", "bytes", "decoding", None, ("files", file, "bytes")))
    run = ("archives", "uncompressed")
    wanted += [
        ("model", "core-ms", "index-run", 900, (*run, "model_core_ms")),
        ("efficiency", "share", "index-run", 900, (*run, "share_of_ceiling")),
        ("skipping", "files/s", "scale", 10**6, ("runs", "1000000", "first", "files_per_second")),
        ("listing", "files/s", "scale", 10**6, ("runs", "1000000", "again", "files_per_second")),
    ]
    wanted += _of_several_machines()
    for size in (10**4, 10**5, 10**6, 10**7):
        at = ("sizes", str(size))
        wanted += [
            (f"recall {size}", "", "vectors", size, (*at, "at_10", "recall")),
            (f"similar {size}", "ms", "vectors", size, (*at, "at_10", "p50_ms")),
            (f"building memory {size}", "MiB", "vectors", size, (*at, "build_peak_rss_mib")),
        ]
    wanted.append(("stored vectors", "bytes", "vectors", 10**7,
                   ("sizes", "10000000", "vectors_folder_bytes_per_vector")))  # fmt: skip
    for store, kind in (("embedded", "logic"), ("elasticsearch", "nearly every image by age")):
        wanted += [
            (f"slowest {store}", "ms", "text-stores", 10**6, (store, "queries", kind, "p50_ms")),
            (f"loading {store}", "documents/s", "text-stores", 10**6,
             (store, "documents_per_second")),
        ]  # fmt: skip
    rows = int(_value(_result("committer"), ("rows",)))
    wanted.append(("commit", "ms", "committer", rows, ("driver_ms",)))
    for part in ("ledger", "thumbnails", "embeddings", "text"):
        wanted.append((f"stored {part}", "bytes", "committer", rows, ("bytes_per_image", part)))
    wanted.append(("driver memory", "MiB", *_largest_driver()))
    return wanted


def _largest_driver() -> tuple[str, int, tuple[str, ...]]:
    """The larger of the two drivers that were measured over a million files: file, size, place."""
    first = ("runs", "1000000", "first", "peak_rss_reading_mib")
    committer = _result("committer")
    steps = [float(step["rss_mib"]) for step in committer["steps"]]
    if max(steps) <= _value(_result("scale"), first):
        return "scale", 10**6, first
    return "committer", committer["rows"], ("steps", str(steps.index(max(steps))), "rss_mib")


def _of_several_machines() -> list[tuple[str, str, str, int | None, tuple[str, ...]]]:
    """Runs over several hosts, and vectors in Elasticsearch."""
    file, size = "elasticsearch-vectors", int(_result("elasticsearch-vectors")["vectors"])
    return [
        ("elasticsearch vector bytes", "bytes", file, size, ("index_bytes_per_image",)),
        ("elasticsearch vector shards", "shards", file, size, ("shards",)),
        ("elasticsearch vector recall", "", file, size, ("searches", "0", "recall_at_10")),
        # Of the rounds that were measured, the slowest.
        ("elasticsearch vector p50", "ms", file, size, ("searches", "0", "p50_ms")),
        ("remote share", "share", "remote-throughput", None, ("least_share_of_rate",)),
        ("remote whole", "share", "remote-throughput", None, ("least_share_of_whole_run",)),
        ("remote growth", "times", "remote-growth", None, ("times_one_worker",)),
    ]


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((_RESULTS / f"{name}.json").read_text())
    return result


def figures() -> str:
    """The text of the file of figures."""
    found: dict[str, dict[str, Any]] = {}
    for name, unit, file, at, path in _wanted():
        result = _result(file)
        machine = result["machine"]
        found[name] = {
            "value": _value(result, path),
            "unit": unit,
            "at": at,
            "source": f"benchmarks/results/{file}.json: {'/'.join(path)}",
            "machine": f"{result['date']}, {machine['cpu']}, {machine['cores']} cores",
        }
    # Two workers were sampled together with their driver.
    first = _result("scale")["runs"]["1000000"]["first"]
    both = first["sampled_rss_with_workers_mib"] - first["peak_rss_reading_mib"]
    found["worker memory"] = {
        **found["skipping"],
        "unit": "MiB",
        "value": round(both / 2, 1),
        "source": "benchmarks/results/scale.json: (sampled_rss_with_workers_mib - "
        "peak_rss_reading_mib) / 2",
    }
    committer = _result("committer")
    # Caches and pages in use fill in the first half.
    steps = committer["steps"]
    begun, ended = steps[len(steps) // 2], steps[-1]
    grown = (ended["rss_mib"] - begun["rss_mib"]) / (ended["files"] - begun["files"])
    found["driver growth"] = {
        **found["commit"],
        "unit": "MiB",
        "value": round(1e6 * grown, 1),
        "source": "benchmarks/results/committer.json: (rss_mib of the last step - of the middle "
        "one) / millions of files between them",
    }
    return json.dumps(found, indent=1) + "\n"


def main() -> None:
    """Write the file of figures anew."""
    TARGET.write_text(figures())


if __name__ == "__main__":
    main()
