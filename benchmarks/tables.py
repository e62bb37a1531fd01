"""The tables of `docs/performance.md`, made of the kept results.

    python -m benchmarks.tables

The page's text stands between them; a test compares the page with the results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "render"]

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_RESULTS = Path(__file__).parent / "results"
_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_RUNTIMES = {
    "torch_plain": "torch, eager, float32",
    "torch_float32": "torch, channels last, memory kept, float32 (`--runtime torch`)",
    "torch_bf16": "torch, channels last, memory kept, bf16",
    "openvino_float32": "OpenVINO, float32 (`--precision float32`)",
    "openvino_bf16": "OpenVINO, bf16 but for the first layers (`--precision bf16`)",
    "openvino_int8": "OpenVINO, int8 (`--precision int8`)",
}
_ARCHIVES = {
    "openi": "Open-i, JPEG 256 x 256",
    "openi_with_reports": "the same, with reports",
    "uncompressed": "DICOM 2000 x 2500, uncompressed",
    "jpeg2000": "DICOM 2000 x 2500, JPEG 2000",
    "jpeg_lossless": "DICOM 2000 x 2500, JPEG lossless",
}


def render(page: str) -> str:
    """The page with all its tables made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_rendered(block[2])}\n{block[3]}", page)


def _rendered(name: str) -> str:
    try:
        return _TABLES[name]()
    except FileNotFoundError as error:
        return f"Not measured yet: there is no `{Path(error.filename).name}`."


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((_RESULTS / f"{name}.json").read_text())
    return result


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], result: dict[str, Any]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    machine = result["machine"]
    gpu = machine["gpu"] or "no GPU"
    source = f"`{result['command']}`, {result['date']}, {machine['cpu']}"
    source += f" ({machine['instructions']}), {machine['cores']} cores"
    table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    return f"{table}\n\n{source}, {gpu}."


def _runtimes() -> str:
    result = _result("runtimes")
    plain = result["runtimes"]["torch_plain"]["images_per_second"]
    auto = f"openvino_{result['auto']}"
    rows = [
        (
            title + (", `auto` on this machine" if name == auto else ""),
            row["images_per_second"],
            f"{row['images_per_second'] / plain:.1f}",
            row.get("cosine_min", ""),
            f"{row['equal_readings']:.1%}" if "equal_readings" in row else "",
        )
        for name, title in _RUNTIMES.items()
        for row in [result["runtimes"][name]]
    ]
    heads = ("runtime", "images/s", "times eager", "least cosine", "equal readings")
    return _table(heads, rows, result)


def _precisions() -> str:
    result = _result("quantised")
    return _table(("precision", "P@5"), list(result["precisions"].items()), result)


def _runs() -> str:
    result = _result("index-run")
    rows = [
        (
            _ARCHIVES[name],
            row["images"],
            f"{row['decode_core_ms']:.1f} + {row['model_core_ms']:.1f}",
            row["ceiling_images_per_second"],
            row["images_per_second"],
            f"{row['share_of_ceiling']:.0%}",
            row["rival_images_per_second"],
            row["times_the_rival"],
        )
        for name, row in result["archives"].items()
    ]
    heads = (
        "archive",
        "images",
        "decoding + model, core-ms",
        "ceiling, images/s",
        "`cxrdex index`, images/s",
        "of the ceiling",
        "plain script, images/s",
        "times the script",
    )
    return _table(heads, rows, result)


def _stages() -> str:
    result = _result("index-run")
    rows = []
    for name, row in result["archives"].items():
        use = row["stages"]
        busy = {stage["stage"]: f"{stage['busy']:.0%}" for stage in use["stages"]}
        rows.append((_ARCHIVES[name], *busy.values(), f"{use['processor'] or 0:.0%}", use["limit"]))
    heads = ("archive", "decoding busy", "model busy", "commits busy", "cores busy", "limited by")
    return _table(heads, rows, result)


def _decoding() -> str:
    result = _result("decoding")
    rows = [
        (
            name,
            row["plain_core_ms"],
            row["without_reducing_core_ms"],
            row["core_ms"],
            row["times_faster"],
        )
        for name, row in result["files"].items()
    ]
    heads = ("file", "pydicom/Pillow + numpy", "decoded in full", "as it is read", "times faster")
    return _table(heads, rows, result)


def _vectors() -> str:
    result = _result("vectors")
    rows = [
        (
            f"{int(size):,}",
            row["index"]["kind"],
            row["at_10"]["p50_ms"],
            row["at_10"]["p99_ms"],
            row["at_10"]["recall"],
            round(row["index"]["bytes_per_vector"]),
            row["resident_mib"],
            row["open_seconds"],
            row["build_seconds"],
        )
        for size, row in result["sizes"].items()
    ]
    heads = (
        "vectors",
        "index",
        "p50, ms",
        "p99, ms",
        "recall@10",
        "bytes a vector",
        "resident, MiB",
        "opening, s",
        "building, s",
    )
    return _table(heads, rows, result)


def _filters() -> str:
    result = _result("vectors")
    rows = [
        (
            f"{row['share']:g}",
            "any" if row["filter"] == "random" else "alike",
            row["images"],
            row["p50_ms"],
            row["p99_ms"],
            row["recall"],
        )
        for size in result["sizes"].values()
        for row in size.get("filters", ())
    ]
    heads = ("share let through", "which", "images", "p50, ms", "p99, ms", "recall@10")
    return _table(heads, rows, result)


def _text() -> str:
    result = _result("text-stores")
    stores = {name: result[name] for name in ("embedded", "elasticsearch") if name in result}
    rows = [
        (
            kind,
            *(
                value
                for store in stores.values()
                for value in (store["queries"][kind]["p50_ms"], store["queries"][kind]["p95_ms"])
            ),
        )
        for kind in stores["embedded"]["queries"]
    ]
    sizes = [
        f"{name}: {store['documents']:,} documents, {store['documents_per_second']:,} a second"
        for name, store in stores.items()
    ]
    heads = ("query", *(f"{name}, {p}, ms" for name in stores for p in ("p50", "p95")))
    return f"Loaded: {'; '.join(sizes)}.\n\n{_table(heads, rows, result)}"


def _scale() -> str:
    result = _result("scale")
    rows = [
        (
            f"{int(count):,}",
            f"{row['first']['done']:,}",
            row["first"]["files_per_second"],
            row["first"]["peak_rss_reading_mib"],
            row["first"]["peak_rss_mib"],
            row["first"]["sampled_rss_with_workers_mib"],
            f"{row['again']['files_per_second']:,}",
        )
        for count, row in result["runs"].items()
    ]
    heads = (
        "files",
        "images",
        "first run, files/s",
        "peak memory while reading, MiB",
        "with building the vector index",
        "with all workers, sampled",
        "run again, files/s",
    )
    return _table(heads, rows, result)


def _serving() -> str:
    result = _result("serving")
    rows = [
        (
            name,
            row["requests"],
            row["failed"],
            row["per_second"],
            row["p50_ms"],
            row["p95_ms"],
            row["p99_ms"],
            f"{row['server_cores']} + {row['asking_cores']}",
        )
        for name, row in result["parts"].items()
    ]
    heads = ("asked for", "requests", "failed", "a second", "p50, ms", "p95, ms", "p99, ms")
    first, resident = result["first_page_bytes"], ""
    if (memory := result.get("memory")) is not None:
        sizes = [f"{int(count):,}: {mib:,}" for count, mib in memory["mib_after_requests"].items()]
        resident = (
            " Resident MiB after so many requests of all kinds, "
            f"{memory['failed']} of them failed: {', '.join(sizes)}."
        )
    return (
        f"{result['images']:,} images, {result['people']} people, who pause for "
        f"{result['pause_seconds']} s on average. The first page: {first['page']:,} bytes, "
        f"{first['with_styles_and_scripts']:,} with styles and scripts.{resident}\n\n"
        + _table((*heads, "cores, server + asking"), rows, result)
    )


def _serving_while_indexing() -> str:
    result = _result("serving_while_indexing")
    rows = [
        (
            name,
            row["images_per_second"],
            row["longest_until_found_seconds"],
            f"{row['server_cores']} + {row['asking_cores']}",
            row.get("requests", {}).get("requests", ""),
            row.get("requests", {}).get("failed", ""),
            row.get("requests", {}).get("p95_ms", ""),
        )
        for name, row in ((name, result[name]) for name in ("alone", "asked"))
    ]
    heads = ("server", "run, images/s", "found after, s, at most", "cores, server + asking")
    requests = ("requests", "failed", "p95, ms")
    return (
        f"A run over {result['images']:,} pictures. Slower by {result['slower_by']:.0%}, while "
        f"{result['share_of_cores_taken']:.0%} of the cores went to requests.\n\n"
        + _table((*heads, *requests), rows, result)
    )


def _starts() -> str:
    result = _result("startup")
    starts = {
        "`cxrdex --help`": result,
        "import, load and read one picture": result["reading"],
        "`cxrdex search --mode semantic`": result.get("meaning"),
    }
    rows = [
        (name, times["median_seconds"], times["worst_seconds"])
        for name, times in starts.items()
        if times is not None
    ]
    return _table(("start of", "median, s", "worst, s"), rows, result)


def _training() -> str:
    result = _result("training")
    rates = result["images_per_s"]
    rows = [(rates["torch"], rates["cxrdex"], result["ratio"])]
    return _table(("torch's gradients, images/s", "quicker ones", "times"), rows, result)


_TABLES: dict[str, Callable[[], str]] = {
    "runtimes": _runtimes,
    "precisions": _precisions,
    "runs": _runs,
    "stages": _stages,
    "decoding": _decoding,
    "vectors": _vectors,
    "filters": _filters,
    "text": _text,
    "scale": _scale,
    "serving": _serving,
    "serving-while-indexing": _serving_while_indexing,
    "starts": _starts,
    "training": _training,
}


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
