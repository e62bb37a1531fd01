"""The examples of the documentation give what they say, on the database of the demo."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import cxrdex
from indexer.simulation import Simulation

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "cxrdex").glob("[a-z]*.py"))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def names(demo: Simulation, db: cxrdex.Database) -> dict[str, object]:
    """What the examples take as given."""
    film = next(f.name for f in demo.files if f.outcome == "done" and f.name.endswith(".dcm"))
    return {"cxrdex": cxrdex, "np": np, "db": db, "film": demo.folder / film}


@pytest.mark.usefixtures("in_the_folder_of_the_demo")
@pytest.mark.parametrize("module", ["", *MODULES])
def test_docstrings(module: str, demo: Simulation, db: cxrdex.Database) -> None:
    found = importlib.import_module(f"cxrdex.{module}".rstrip("."))
    result = doctest.testmod(found, extraglobs=names(demo, db), optionflags=OPTIONS)
    assert result.failed == 0
    assert result.attempted > 0 or module == "frame"


@pytest.mark.usefixtures("in_the_folder_of_the_demo")
def test_page(demo: Simulation, db: cxrdex.Database) -> None:
    result = doctest.testfile(
        str(ROOT / "docs" / "python.md"),
        module_relative=False,
        globs=names(demo, db),
        optionflags=OPTIONS,
        encoding="utf-8",
    )
    assert result.failed == 0
    assert result.attempted > 10
