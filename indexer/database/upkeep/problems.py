"""What disagrees in a database, and what `verify` says of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from indexer import advice
from indexer.database.layout import Layout
from indexer.database.vectors.generation import Generation, current_generation

__all__ = ["REBUILD", "DatabasePart", "Problem", "Verification"]

DatabasePart: TypeAlias = Literal[
    "manifest", "ledger", "shards", "vectors", "text", "thumbnails", "cohorts", "labels", "semantic"
]

REBUILD = f"{advice.REPAIR}, which builds it anew"


@dataclass(frozen=True, slots=True)
class Problem:
    """A disagreement.

    Parameters
    ----------
    where
        The store that is wrong.
    what
        A stable snake_case code.
    count
        How many images it touches.
    detail
        What was found, in words.
    repair
        What to do.
    shard
        Number of the shard that is wrong.
    """

    where: DatabasePart
    what: str
    count: int
    detail: str
    repair: str = REBUILD
    shard: int | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of a database once it was verified.

    Parameters
    ----------
    problems
        What disagrees; nothing where all stores agree.
    generation
        The FAISS index; None where there is none.
    """

    problems: tuple[Problem, ...]
    generation: Generation | None

    @classmethod
    def of(cls, layout: Layout, problems: Sequence[Problem]) -> Verification:
        """With the index that a database has now."""
        return cls(tuple(problems), current_generation(layout.vectors))

    def to_json(self) -> dict[str, Any]:
        """A JSON object, as docs/output.md describes it."""
        return {
            "consistent": not self.problems,
            "problems": [asdict(problem) for problem in self.problems],
            "vectors": self.generation.to_json() if self.generation else None,
        }
