"""The cascade of Shin et al. (CVPR 2016) as the paper has it: one disease per image.

Its recipes, networks, training and scores; the command line alone imports it.
May import: `indexer.evaluation`, `indexer.learning` and what those may.
"""

from __future__ import annotations

__all__: list[str] = []
