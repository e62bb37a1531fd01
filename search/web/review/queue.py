"""The films of a finding in the order in which a person's judgement tells most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from indexer.database.labels.events import Event, Verdict, verdicts
from search.models import Once
from search.service import SearchService
from search.snapshot import Snapshot

__all__ = ["Queue", "QueuedFilm", "Queues"]


class QueuedFilm(NamedTuple):
    """A film of one study: image id, study id, and the finding's calibrated probability."""

    image: str
    study: str
    chance: float


@dataclass(frozen=True, slots=True)
class Queue:
    """The films of one finding, one of each study; the most uncertain first.

    Parameters
    ----------
    films
        In order.
    judged
        By study id, what people said of the finding.
    """

    films: Sequence[QueuedFilm]
    judged: Mapping[str, Verdict]

    @property
    def done(self) -> int:
        """How many of its films are judged."""
        return sum(film.study in self.judged for film in self.films)

    def of(self, image: str) -> QueuedFilm | None:
        """The film of an image; None where it is not among them."""
        return next((film for film in self.films if film.image == image), None)

    def following(self, after: str | None, count: int) -> list[QueuedFilm]:
        """The first films without a judgement that follow an image."""
        start = 0
        if after is not None:
            start = next((n for n, film in enumerate(self.films, 1) if film.image == after), 0)
        found = (film for film in self.films[start:] if film.study not in self.judged)
        return [film for film, _ in zip(found, range(count), strict=False)]


class Queues:
    """Queues by finding; threads may share it.

    Parameters
    ----------
    service
        Of the database.
    """

    def __init__(self, service: SearchService) -> None:
        self._service = service
        self._kept: Once[tuple[tuple[QueuedFilm, ...], dict[str, str]]] = Once()

    def findings(self) -> list[str]:
        """What the database has probabilities of."""
        with self._service.snapshot() as snapshot:
            first = next(snapshot.database.documents(), None)
        return sorted(first["probabilities"]) if first is not None else []

    def of(self, finding: str) -> Queue:
        """The queue of a finding as it is now."""
        with self._service.snapshot() as snapshot:
            films, studies = self._films(finding, snapshot)
            labels = snapshot.database.labels()
            events = labels.labels.about(finding) if labels is not None else []
        return Queue(films, _judged(events, finding, studies))

    def judged(self) -> dict[str, int]:
        """How many images people said something of, by finding."""
        with self._service.snapshot() as snapshot:
            labels = snapshot.database.labels()
            events = labels.labels.since(0) if labels is not None else []
        counts: dict[str, int] = {}
        for own in _by_image(events).values():
            for finding in verdicts(own):
                counts[finding] = counts.get(finding, 0) + 1
        return counts

    def _films(
        self, finding: str, snapshot: Snapshot
    ) -> tuple[tuple[QueuedFilm, ...], dict[str, str]]:
        images = snapshot.database.ledger.images
        # Readings change with the bundle or with the images there are, and with nothing else.
        key = (finding, images.changes, snapshot.manifest.bundle)

        def make() -> tuple[tuple[QueuedFilm, ...], dict[str, str]]:
            pooled = snapshot.manifest.thresholds is not None
            best: dict[str, QueuedFilm] = {}
            studies: dict[str, str] = {}
            for image, study, chance in images.chances(finding):
                # If readings are not pooled by study, each image is judged for itself.
                unit = study if pooled else image
                studies[image] = unit
                best.setdefault(unit, QueuedFilm(image, unit, chance))
            films = sorted(best.values(), key=lambda f: (abs(f.chance - 0.5), f.image))
            return tuple(films), studies

        return self._kept.get(key, make)


def _judged(
    events: Sequence[Event], finding: str, studies: Mapping[str, str]
) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for image, own in _by_image(events).items():
        verdict = verdicts(own).get(finding)
        if verdict is not None and image in studies:
            before = found.get(studies[image])
            if before is None or before.event.number < verdict.event.number:
                found[studies[image]] = verdict
    return found


def _by_image(events: Sequence[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.image, []).append(event)
    return found
