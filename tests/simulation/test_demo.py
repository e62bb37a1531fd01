"""`cxrdex demo` ends with a command that opens its database in the browser."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest


def test_the_last_line_serves_the_database(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    root = Path(__file__).parents[2]
    words = [sys.executable, "-m", "cli", "demo", "--folder", str(tmp_path), "--studies", "12"]
    # As a user has it: no key of the tests' own.
    environment = {**os.environ, "HOME": str(tmp_path / "home")}
    environment.pop("CXRDEX_KEY_FILE", None)
    environment.pop("XDG_CONFIG_HOME", None)
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=root, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    told = shlex.split(done.stdout.splitlines()[-1])
    with subprocess.Popen(
        [*told, "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=root, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[0]
            page = httpx2.get(address, trust_env=False, timeout=60)
            assert page.status_code == 200
            assert "images of 12 studies" in page.text
        finally:
            server.terminate()
