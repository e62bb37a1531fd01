"""A simulated archive as a folder: studies, their reports and, on demand, unfit files."""

from __future__ import annotations

from pathlib import Path

from indexer.archive.sources.containers import NESTED
from indexer.simulation.other_files import other_files
from indexer.simulation.packing import zipped
from indexer.simulation.radiograph import data_folder
from indexer.simulation.studies import ZIP, study_images, study_report
from indexer.simulation.truth import SimulatedFile, Simulation

__all__ = ["simulate_archive"]


def simulate_archive(
    folder: Path, studies: int = 80, seed: int = 0, broken: bool = True
) -> Simulation:
    """Write an archive of simulated studies, the same one for the same arguments.

    Parameters
    ----------
    folder
        Created if missing. Gets ``studies/`` (some of them in a zip), ``reports/`` with one text
        for each study and, if `broken`, ``other/``.
    studies
        How many; each sixth has two images. Twelve are enough to meet every kind of finding.
    seed
        Of all that varies.
    broken
        Also write damaged files and those that are no chest radiographs: what the package
        ``pydicom-data`` holds of other modalities, and some of our own.

    Raises
    ------
    MissingExtraError
        ``pydicom-data`` is not installed.
    """
    data_folder()  # before anything is written
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    files: list[SimulatedFile] = []
    packed: dict[str, bytes] = {}
    for number in range(1, studies + 1):
        for file, data in study_images(number, studies, seed):
            files.append(file)
            if NESTED in file.name:
                packed[file.name.split(NESTED)[1]] = data
            else:
                _write(folder / file.name, data)
        name, text = study_report(number, seed)
        (reports / name).write_text(text, encoding="utf-8")
    if packed:
        _write(folder / ZIP, zipped(packed))
    if broken:
        for file, data in other_files(seed):
            files.append(file)
            _write(folder / file.name, data)
    return Simulation(folder, reports, tuple(files))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
