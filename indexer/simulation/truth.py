"""What is known about a simulated archive: how each of its files must end, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["SimulatedFile", "SimulatedFinding", "Simulation", "TrueOutcome"]

TrueOutcome: TypeAlias = Literal["done", "duplicate", "skipped", "failed", "left_out"]


@dataclass(frozen=True, slots=True)
class SimulatedFinding:
    """What was drawn into an image: one of five kinds, and its side ("" for the heart)."""

    kind: str
    side: str


@dataclass(frozen=True, slots=True)
class SimulatedFile:
    """The truth about one file of a simulated archive.

    Parameters
    ----------
    name
        As `indexer.archive.sources.members.Member` has it.
    outcome
        How an index run ends for it; ``"left_out"`` is either skipped or failed.
    reason
        Reason code where there is exactly one right answer.
    study
        Number of the simulated study.
    transfer_syntax
        Name of the encoding.
    mirrored
        Whether its stored pixels show the patient's left on the left of the picture.
    """

    name: str
    outcome: TrueOutcome
    reason: str | None = None
    study: int | None = None
    findings: tuple[SimulatedFinding, ...] = ()
    transfer_syntax: str | None = None
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated archive: its folder, its reports' folder (inside), the truth of each file."""

    folder: Path
    reports: Path
    files: tuple[SimulatedFile, ...]
