"""Archives for benchmarks: many different radiographs of full size in one encoding."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from indexer.simulation.dicom_files import PixelEncoding, dicom_file
from indexer.simulation.film import expose
from indexer.simulation.studies import image_header, study_header

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
    # Spawned: a forked worker would inherit the threads of what the benchmark has loaded.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        films = range(min(_FILMS, count))
        list(pool.map(partial(_write_film, folder, syntax, count, seed), films))


def _write_film(folder: Path, syntax: str, count: int, seed: int, film: int) -> None:
    """All files of one film, each shifted by a few pixels, which makes it another picture."""
    pixels = expose(np.random.default_rng((seed, film)), ROWS, COLUMNS)
    header = study_header(_PLAIN, seed)
    for number in range(film, count, _FILMS):
        shifted = np.roll(pixels, (number // _FILMS, number % 7), (0, 1))
        tags = header | image_header(header, _PLAIN, number + 1)
        data = dicom_file(shifted, PixelEncoding(syntax), tags)
        (folder / f"image{number:05d}.dcm").write_bytes(data)
