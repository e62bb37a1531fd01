from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor, Reading
from indexer.database.choices import Choices
from indexer.pipeline.options import FileProcessing, FileSelection
from indexer.pipeline.run import Summary, index
from tests.pipeline.making import (
    make_bundle,
    write_pictures,
)

Index = Callable[..., Summary]

_FOLDED = {"choices": Choices, "selection": FileSelection, "processing": FileProcessing}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model_work(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of the model was given."""
    calls: list[int] = []
    read = Predictor.read

    def counted(self: Predictor, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        calls.append(len(canvases))
        return read(self, canvases)

    monkeypatch.setattr(Predictor, "read", counted)
    return calls


@pytest.fixture
def run(tiny: Bundle, tmp_path: Path) -> Index:
    """`index` with the tiny cascade, into ``db``; takes each choice by its own name."""

    def indexed(*archives: Path, database: Path = tmp_path / "db", **options: object) -> Summary:
        given = {"compute": Compute(tiny.path, "cpu"), "workers": 1, "batch_size": 8, **options}
        for name, kind in _FOLDED.items():
            known = [field.name for field in fields(kind) if field.name in given]
            given[name] = kind(**{field: given.pop(field) for field in known})
        return index(archives, database, **given)  # type: ignore[arg-type]

    return indexed


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "archive", 6)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "db"
