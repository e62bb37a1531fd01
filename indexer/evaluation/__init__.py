"""Scores of a bundle on annotated images: what it finds, and what its search finds.

The paper's own task is judged in `indexer.paper`.
May import: `indexer.learning`, `indexer.datasets`, `indexer.cascade`, `indexer.archive`,
`indexer.words`.
"""

from __future__ import annotations

__all__: list[str] = []
