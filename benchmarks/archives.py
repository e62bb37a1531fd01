"""Archives for benchmarks: many different radiographs of full size in one encoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexer.archive.simulation.dicom_files import Encoding, dicom_file
from indexer.archive.simulation.film import expose
from indexer.archive.simulation.studies import header_of, instance_of

__all__ = ["COLUMNS", "ROWS", "write_radiographs"]

ROWS, COLUMNS = 2500, 2000
_FILMS = 8
# A study number whose header has nothing special in it.
_PLAIN = 16


def write_radiographs(folder: Path, syntax: str, count: int, seed: int = 0) -> None:
    """Write `count` DICOM files of 2500 x 2000 pixels of 12 bits, no two of them alike.

    Parameters
    ----------
    folder
        Made here.
    syntax
        pydicom's keyword of the transfer syntax.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    films = [expose(rng, ROWS, COLUMNS) for _ in range(min(_FILMS, count))]
    header = header_of(_PLAIN, seed)
    for number in range(count):
        # Shifted by a few pixels: another picture for the codec and for the database.
        film = np.roll(films[number % len(films)], (number // len(films), number % 7), (0, 1))
        tags = header | instance_of(header, _PLAIN, number + 1)
        (folder / f"image{number:05d}.dcm").write_bytes(dicom_file(film, Encoding(syntax), tags))
