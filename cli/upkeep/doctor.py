"""`cxrdex doctor`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from cli.options import bundle_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["doctor"]

_PACKAGES = (
    "cxrdex",
    "torch",
    "openvino",
    "faiss-gpu",
    "faiss-cpu",
    "elasticsearch",
    "tantivy",
    "pydicom",
    "python-gdcm",
    "pyjpegls",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pillow",
    "sentence-transformers",
    "timm",
)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _devices() -> dict[str, Any]:
    import faiss
    import torch

    from indexer.cascade.runtimes import NAMES, available, choose

    return {
        "runtime": choose(),
        "runtimes": [name for name in NAMES if name != "auto" and available(name)],
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cpu_threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
        "faiss_gpus": faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0,
    }


@click.command()
@bundle_option
@format_option("json")
def doctor(bundle_path: str | None, form: str) -> None:
    """Show versions, devices, decoders and the bundle; fails where a decoder is missing."""
    from pathlib import Path

    from indexer.archive.decoders import decoders
    from indexer.cascade.bundle import Bundle
    from indexer.errors import MissingExtraError

    bundle = Bundle.load(Path(bundle_path) if bundle_path else None)
    table = decoders()
    report: dict[str, Any] = {
        "versions": _versions(),
        "devices": _devices(),
        "decoders": [
            {"transfer_syntax": d.transfer_syntax, "decoder": d.plugin, "available": d.available}
            for d in table
        ],
        "bundle": {
            "name": bundle.name,
            "hash": bundle.hash,
            "findings": list(bundle.findings),
            "composites": list(bundle.labels.composites),
        },
    }
    if form == "json":
        emit_json(report)
    else:
        for section in ("versions", "devices"):
            echo(section, bold=True)
            for name, value in report[section].items():
                echo(f"  {name:22} {value if value is not None else 'not installed'}")
        echo("decoders", bold=True)
        for row in report["decoders"]:
            state = row["decoder"] if row["available"] else "MISSING"
            echo(f"  {state:10} {row['transfer_syntax']}")
        echo("bundle", bold=True)
        said = f"{len(bundle.findings)} findings, {len(bundle.labels.composites)} composite labels"
        echo(f"  {bundle.name} {bundle.hash}, {said}")
    missing = [d.transfer_syntax for d in table if not d.available]
    if missing:
        raise MissingExtraError(f"no decoder for {', '.join(missing)}: install cxrdex anew")
