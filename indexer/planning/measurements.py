"""What was measured, by name: `python -m benchmarks.figures` copies it from the kept results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

__all__ = ["Measurement", "load_measurements"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure.

    Parameters
    ----------
    value, unit
        The figure, such as 9.52 ``"core-ms per image"``.
    at
        Size at which it was measured, in images or files; None where that has no part in it.
    source
        The file of results and the field in it.
    machine
        Date, processor and cores.
    """

    value: float
    unit: str
    at: int | None
    source: str
    machine: str


def load_measurements() -> Mapping[str, Measurement]:
    """All figures by name, as they ship with this version."""
    text = (resources.files("indexer.planning") / "measurements.json").read_text("utf-8")
    return {name: Measurement(**entry) for name, entry in json.loads(text).items()}
