"""A simulated archive: many radiographs made of one public one, for the demo and the tests.

May import: `indexer.archive`.
"""

from __future__ import annotations

from indexer.simulation.archive import simulate_archive
from indexer.simulation.pictures import simulate_pictures
from indexer.simulation.truth import Outcome, SimulatedFile, SimulatedFinding, Simulation

__all__ = [
    "Outcome",
    "SimulatedFile",
    "SimulatedFinding",
    "Simulation",
    "simulate_archive",
    "simulate_pictures",
]
