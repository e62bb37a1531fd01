"""Chunks: every file ends once and in order, whatever is lost; how long a chunk may take."""

from __future__ import annotations

import random
from collections import deque

import pytest

from indexer.archive.sources.members import Member
from indexer.database.outcomes import Failed, Skipped
from indexer.pipeline.executor import FileTask
from indexer.pipeline.remote.chunks import Chunk, ChunkDeadline, chunk_size, chunks


def tasks(count: int) -> list[FileTask]:
    return [FileTask(1, Member("/a", f"{n:04d}", 1, 1)) for n in range(count)]


def names(chunk: Chunk) -> list[str]:
    return [outcome.file.name for outcome in chunk.outcomes]


@pytest.mark.parametrize(
    ("files", "places", "size"),
    [(300, 3, 64), (100_000, 3, 512), (6400, 8, 100), (10, 0, 64), (10**8, 1000, 512)],
)
def test_chunks_are_neither_small_nor_large(files: int, places: int, size: int) -> None:
    assert chunk_size(files, places) == size


def test_tasks_are_taken_as_chunks_are_asked_for() -> None:
    source = iter(tasks(10))
    found = chunks(source, 4)
    assert len(next(found).tasks) == 4
    assert next(source).member.name == "0004"
    assert [len(chunk.tasks) for chunk in found] == [4, 1]


@pytest.mark.parametrize("seed", range(5))
def test_files_that_end_what_reads_them_are_found(seed: int) -> None:
    """Every attempt on a chunk with a poison file is lost; each file ends once, in order."""
    rng = random.Random(seed)
    every = tasks(rng.randrange(1, 513))
    poison = {task.member.name for task in rng.sample(every, min(len(every), 3))}
    (whole,) = chunks(iter(every), 512)
    waiting, losses = deque([whole]), 0
    while waiting:
        chunk = waiting.popleft()
        if any(task.member.name in poison for task in chunk.tasks):
            losses += 1
            waiting.extend(chunk.lose())
        else:
            chunk.answer = [Skipped(task.file, None, "colour", "") for task in chunk.tasks]
    assert whole.settled
    assert names(whole) == [task.member.name for task in every]
    failed = {o.file.name for o in whole.outcomes if isinstance(o, Failed)}
    assert failed == poison
    assert losses <= 2 * 4 * len(poison)


def test_an_answer_to_the_whole_counts_after_it_was_cut() -> None:
    """An attempt that was thought overdue may answer after another one was lost."""
    (whole,) = chunks(iter(tasks(16)), 64)
    assert whole.lose() == [whole]
    parts = whole.lose()
    parts[0].answer = [Failed(t.file, None, "decoder_crashed", "") for t in parts[0].tasks]
    assert not whole.settled
    whole.answer = [Skipped(task.file, None, "colour", "") for task in whole.tasks]
    assert whole.settled
    assert all(isinstance(outcome, Skipped) for outcome in whole.outcomes)
    assert len(names(whole)) == 16


def test_a_chunk_is_overdue_by_what_others_took() -> None:
    patience = ChunkDeadline()
    assert not patience.is_over(1e6)
    patience.add(10.0)
    assert not patience.is_over(49.0)
    assert patience.is_over(51.0)
    for _ in range(40):
        patience.add(1.0)
    assert patience.is_over(24.0)
