"""The cascade of Shin et al. (CVPR 2016) as the paper has it: one disease per image.

Its recipes, networks, training and scores.
May import: `indexer.evaluation`, `indexer.learning` and what those may; the command line alone
imports it.
"""

from __future__ import annotations

__all__: list[str] = []
