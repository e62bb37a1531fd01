"""What is shown does not depend on the terminal that runs the tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are as long as where nothing says how wide they may be."""
    monkeypatch.delenv("COLUMNS", raising=False)
