"""What people said and collected in the parts of a merged database."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations

from indexer.database.cohorts.cohort import Cohort
from indexer.database.cohorts.store import Cohorts
from indexer.database.labels.events import Event, verdicts
from indexer.database.layout import Layout
from indexer.database.ledger.labels import LabelFile
from indexer.database.reader import DatabaseReader
from indexer.database.writing.stores import Stores

__all__ = ["CohortCount", "LabelCount", "merge_cohorts", "merge_labels"]


@dataclass(frozen=True, slots=True)
class LabelCount:
    """What people said of images.

    Parameters
    ----------
    events
        How many were taken over.
    conflicts
        Findings of images that people judged differently in two parts; the newest counts.
    """

    events: int
    conflicts: int


@dataclass(frozen=True, slots=True)
class CohortCount:
    """What people collected.

    Parameters
    ----------
    cohorts
        How many there are.
    conflicts
        Cohorts of one id that differ between parts; the last changed keeps the id, and the others
        are kept beside it.
    """

    cohorts: int
    conflicts: int


def _left_out(stores: Stores, parts: Sequence[DatabaseReader]) -> Callable[[str], bool]:
    """Tells whether an image is not taken over because it was forgotten; of one that is gone for
    another reason, such as a repair, all is kept until it is read again."""
    forgotten = {name for kind, name in stores.ledger.forgotten.all() if kind == "image"}

    def is_left_out(image: str) -> bool:
        return image in forgotten or (
            image not in stores.ledger.images and any(image in part for part in parts)
        )

    return is_left_out


def merge_labels(stores: Stores, parts: Sequence[DatabaseReader]) -> LabelCount:
    """Bring the events of all parts into one order of time, under new numbers."""
    by_part = [_events(part.layout) for part in parts]
    conflicts = _conflicts(by_part)
    is_left_out = _left_out(stores, parts)
    ordered = sorted(
        (now, part, event.number, event)
        for part, events in enumerate(by_part)
        # An event is never older than the one before it, whatever a clock said.
        for now, event in zip(accumulate((e.at for e in events), max), events, strict=True)
    )
    numbers: dict[tuple[int, int], int] = {}
    known: dict[tuple[Event, int], int] = {}
    seen: Counter[tuple[int, Event]] = Counter()
    merged: list[Event] = []
    for _, part, number, event in ordered:
        if is_left_out(event.image):
            continue
        undoes = numbers.get((part, event.undoes)) if event.undoes is not None else None
        # Of copies of one database both have the events that came before the copy; within a part
        # a person may say the same twice in a second.
        same = replace(event, number=0, undoes=undoes)
        key = same, seen[part, same]
        seen[part, same] += 1
        if key not in known:
            known[key] = len(merged) + 1
            merged.append(replace(same, number=known[key]))
        numbers[part, number] = known[key]
    with stores.labels.transaction():
        stores.labels.labels.add(merged)
    return LabelCount(len(merged), conflicts)


def _events(layout: Layout) -> list[Event]:
    if not layout.labels.exists():
        return []
    file = LabelFile(layout.labels)
    try:
        return file.labels.since(0)
    finally:
        file.close()


def _conflicts(by_part: Sequence[Sequence[Event]]) -> int:
    verdicts_by_part = []
    for events in by_part:
        by_image: dict[str, list[Event]] = {}
        for event in events:
            by_image.setdefault(event.image, []).append(event)
        verdicts_by_part.append(
            {
                (image, finding): verdict.annotation
                for image, some in by_image.items()
                for finding, verdict in verdicts(some).items()
            }
        )
    found = {
        key
        for one, other in combinations(verdicts_by_part, 2)
        for key in one.keys() & other.keys()
        if one[key] != other[key]
    }
    return len(found)


def merge_cohorts(stores: Stores, parts: Sequence[DatabaseReader]) -> CohortCount:
    """Take over the cohorts of all parts, without what any part forgot."""
    target, count, conflicts = Cohorts(stores.layout.cohorts), 0, 0
    is_left_out = _left_out(stores, parts)
    by_id: dict[str, list[Cohort]] = {}
    for part in parts:
        source = Cohorts(part.layout.cohorts)
        for summary in source.all():
            cohort = source.get(summary.id)
            if cohort not in (same := by_id.setdefault(cohort.id, [])):
                same.append(cohort)
    for same in by_id.values():
        newest, *others = sorted(same, key=lambda cohort: cohort.changed, reverse=True)
        conflicts += len(others)
        for cohort in (newest, *(replace(one, id=secrets.token_hex(10)) for one in others)):
            target.put(cohort.without_images(filter(is_left_out, cohort.images)))
            count += 1
    return CohortCount(count, conflicts)
