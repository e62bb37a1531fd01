"""A simulated archive: many radiographs made of one public one, for the demo and the tests.

May import: `indexer.archive`.
"""

from __future__ import annotations

from indexer.simulation.archive import simulate_archive
from indexer.simulation.pictures import simulate_pictures
from indexer.simulation.truth import SimulatedFile, SimulatedFinding, Simulation, TrueOutcome

__all__ = [
    "SimulatedFile",
    "SimulatedFinding",
    "Simulation",
    "TrueOutcome",
    "simulate_archive",
    "simulate_pictures",
]
