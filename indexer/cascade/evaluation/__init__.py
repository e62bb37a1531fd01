"""Scores of a trained cascade."""

from __future__ import annotations

__all__: list[str] = []
