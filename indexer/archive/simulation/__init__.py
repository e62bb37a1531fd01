"""A simulated archive: many radiographs made of one public one, for the demo and the tests.

The one is the chest radiograph ``RG1`` of the PyPI package ``pydicom-data`` (it shows several
round masses in both lungs). Simulated patients differ in build (a smooth deformation), exposure
and noise; some get a finding. Findings are drawn as attenuation that is added to what lies in
front and behind, within the lungs' outlines. Every header says that its image is simulated.
"""

from __future__ import annotations

from indexer.archive.simulation.archive import simulate_archive
from indexer.archive.simulation.pictures import simulate_pictures
from indexer.archive.simulation.truth import Outcome, SimulatedFile, SimulatedFinding, Simulation

__all__ = [
    "Outcome",
    "SimulatedFile",
    "SimulatedFinding",
    "Simulation",
    "simulate_archive",
    "simulate_pictures",
]
