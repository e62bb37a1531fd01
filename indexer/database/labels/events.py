"""What people said of images: events that are only ever added, and the verdicts that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from indexer.annotation import Annotation

__all__ = [
    "Draft",
    "Event",
    "LabelAction",
    "Verdict",
    "combine_verdicts",
    "standing",
    "verdicts",
]

LabelAction: TypeAlias = Literal["accept", "reject", "correct", "withdraw", "undo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a person says of one finding of an image.

    Parameters
    ----------
    action
        ``"accept"``: it is there, as it was shown; ``"reject"``: it is not there; ``"correct"``:
        `annotation` stands in its place, be it of another finding or with other words;
        ``"withdraw"``: nothing is said of it any more; ``"undo"``: the event of the number `undoes`
        was a mistake.
    finding
        The finding that is judged.
    annotation
        What is there instead, or as it was shown; None of a rejection, a withdrawal and an undo.
    """

    action: LabelAction
    finding: str
    annotation: Annotation | None = None
    undoes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Draft):
    """A draft that was recorded.

    Parameters
    ----------
    number
        Grows with every event of a database.
    image
        Image id.
    person
        Who said it.
    at
        When, ISO 8601 in UTC.
    """

    number: int
    image: str
    person: str
    at: str

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        annotation = self.annotation
        return {
            "number": self.number,
            "image": self.image,
            "action": self.action,
            "finding": self.finding,
            "annotation": annotation.to_json() if annotation is not None else None,
            "undoes": self.undoes,
            "person": self.person,
            "at": self.at,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Event:
        """The event that `to_json` turned into `data`."""
        annotation = data["annotation"]
        return cls(
            **{**data, "annotation": Annotation.from_json(annotation) if annotation else None}
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What people decided about a finding of an image, by their last event.

    Parameters
    ----------
    annotation
        The finding as they describe it; None if they say that it is absent.
    event
        The last event about the finding.
    """

    annotation: Annotation | None
    event: Event

    @property
    def is_alone(self) -> bool:
        """Whether reports and imported labels that speak of the finding are set aside, too."""
        return self.annotation is None or self.event.action == "correct"


def standing(events: Iterable[Event]) -> list[Event]:
    """The events that were not undone, in order, without those that undo."""
    ordered = sorted(events, key=lambda event: event.number)
    undone = {event.undoes for event in ordered if event.action == "undo"}
    return [e for e in ordered if e.action != "undo" and e.number not in undone]


def verdicts(events: Iterable[Event]) -> dict[str, Verdict]:
    """By finding, what the events of one image say in the end."""
    found: dict[str, Verdict] = {}
    for event in standing(events):
        annotation = event.annotation
        if event.action == "withdraw":
            found.pop(event.finding, None)
            continue
        if annotation is None or annotation.disease != event.finding:
            found[event.finding] = Verdict(None, event)
        if annotation is not None:
            found[annotation.disease] = Verdict(annotation, event)
    return found


def combine_verdicts(events: Iterable[Event], image: str, *, alone: bool) -> dict[str, Verdict]:
    """What counts for one image: what is said of it, and of the other images of its study.

    Its own verdict counts first, then the newest.

    Parameters
    ----------
    events
        Of all images of the study.
    alone
        Whether the image does not share its study's findings.
    """
    by_image: dict[str, list[Event]] = {}
    for event in events:
        by_image.setdefault(event.image, []).append(event)
    own = verdicts(by_image.pop(image, ()))
    if alone:
        return own
    others = [item for some in by_image.values() for item in verdicts(some).items()]
    return {**dict(sorted(others, key=lambda item: item[1].event.number)), **own}
