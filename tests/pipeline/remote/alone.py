"""Programs that start a cluster of this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys

__all__ = ["run_alone"]


def run_alone(*words: object) -> str:
    """What a program prints that starts a cluster of its own, and ends well."""
    left_out = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env={name: value for name, value in os.environ.items() if name not in left_out},
        capture_output=True, text=True, check=False, timeout=850,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
