"""Fixtures of the tests of a whole database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.database.upkeep.whole_database import make_whole


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of all that one may hold, to be read or copied only."""
    return make_whole(tmp_path_factory.mktemp("whole") / "db")
