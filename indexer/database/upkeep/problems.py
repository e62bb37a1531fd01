"""What disagrees in a database, what was done about it, and what `verify` says of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from indexer import advice
from indexer.database.layout import Layout
from indexer.database.vectors.generation import Generation, current_generation

__all__ = ["REBUILD", "DatabasePart", "Problem", "Repair", "Repaired", "Verification"]

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
class Repaired:
    """One thing that a repair did.

    Parameters
    ----------
    where
        The store that was mended.
    what
        A stable snake_case code: ``"restored"`` as it was, ``"rebuilt"`` from the ledger and the
        shards, ``"checksums"`` written anew, or ``"lost"``, as nothing has it any more.
    count
        How many images it touches.
    detail
        What was done, in words.
    then
        What is left to do, as for what is lost; None for nothing.
    shard
        Number of the shard that was dropped.
    """

    where: DatabasePart
    what: Literal["restored", "rebuilt", "checksums", "lost"]
    count: int
    detail: str
    then: str | None = None
    shard: int | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}" + (f"; {self.then}" if self.then else "")


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a database that was repaired.

    Parameters
    ----------
    done
        What was done, in order.
    problems
        What disagrees afterwards.
    """

    done: tuple[Repaired, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of a database once it was verified.

    Parameters
    ----------
    problems
        What disagrees; nothing where all stores agree.
    generation
        The FAISS index; None where there is none.
    repaired
        What was done about what disagreed before.
    """

    problems: tuple[Problem, ...]
    generation: Generation | None
    repaired: tuple[Repaired, ...] = ()

    @classmethod
    def of(
        cls, layout: Layout, problems: Sequence[Problem], repaired: Sequence[Repaired] = ()
    ) -> Verification:
        """With the index that a database has now."""
        return cls(tuple(problems), current_generation(layout.vectors), tuple(repaired))

    def to_json(self) -> dict[str, Any]:
        """A JSON object, as docs/output.md describes it."""
        return {
            "consistent": not self.problems,
            "problems": [asdict(problem) for problem in self.problems],
            "repaired": [asdict(done) for done in self.repaired],
            "vectors": self.generation.to_json() if self.generation else None,
        }
