"""The cascade of Shin et al. (CVPR 2016) as the paper has it: one disease per image."""

from __future__ import annotations

__all__: list[str] = []
