"""Consecutive files that travel together, what was lost of them, and when they are overdue."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from indexer.database.outcomes import Failed, Outcome
from indexer.pipeline.executor import FileTask

__all__ = ["Chunk", "ChunkDeadline", "chunk_size", "chunks"]

SMALLEST, LARGEST = 64, 512
# Each place reads about this many chunks, so that all places end at about the same time.
_PER_PLACE = 8
# A chunk whose reader ended this often is cut into parts; if it is a single file, the file fails.
_LOSSES = 2
# Number of these parts: with 512 files, three cuts find the one that ends its readers.
_PARTS = 8
# A chunk is overdue after `_MIN_SECONDS` plus `_TIMES` the longest of the last `_REMEMBERED`
# chunks.
_MIN_SECONDS = 20.0
_TIMES = 3.0
_REMEMBERED = 32


@dataclass(slots=True)
class Chunk:
    """Files to be read together; cut into parts where reading them was lost again and again.

    Parameters
    ----------
    tasks
        Consecutive files.
    losses
        How often what was reading them ended.
    answer
        What became of them, once that is known.
    parts
        What it was cut into.
    """

    tasks: Sequence[FileTask]
    losses: int = 0
    answer: Sequence[Outcome] | None = None
    parts: Sequence[Chunk] = field(default_factory=tuple)

    @property
    def settled(self) -> bool:
        """Whether it is known what became of all its files."""
        return self.answer is not None or (bool(self.parts) and all(p.settled for p in self.parts))

    @property
    def outcomes(self) -> Iterator[Outcome]:
        """What became of the files, in order, of a chunk that is settled."""
        if self.answer is not None:
            yield from self.answer
            return
        for part in self.parts:
            yield from part.outcomes

    def lose(self) -> Sequence[Chunk]:
        """Count a loss; gives what is to be read now: itself, its parts, or nothing any more."""
        self.losses += 1
        if self.losses < _LOSSES:
            return [self]
        if len(self.tasks) > 1:
            size = -(-len(self.tasks) // _PARTS)
            self.parts = tuple(chunks(iter(self.tasks), size))
            return self.parts
        (task,) = self.tasks
        detail = f"the process that read it ended, {self.losses} times"
        self.answer = [Failed(task.file, None, "decoder_crashed", detail)]
        return []


def chunk_size(files: int, places: int) -> int:
    """How many files a chunk has, given all files and the places that read chunks."""
    return min(max(files // (max(places, 1) * _PER_PLACE), SMALLEST), LARGEST)


def chunks(tasks: Iterator[FileTask], size: int) -> Iterator[Chunk]:
    """Chunks of consecutive tasks, which are taken as chunks are asked for."""
    while part := list(islice(tasks, size)):
        yield Chunk(part)


class ChunkDeadline:
    """How long a chunk may take, judged by the last chunks that were read."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        """Another chunk was read, in this many seconds."""
        self._seconds.append(seconds)

    def is_over(self, seconds: float) -> bool:
        """Whether a chunk that has taken this long is overdue; never before the first was read."""
        longest = max(self._seconds, default=None)
        return longest is not None and seconds > _MIN_SECONDS + _TIMES * longest
