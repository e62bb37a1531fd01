"""What a plan consists of: numbers, limits and commands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["How", "Limit", "Number", "Plan"]

How: TypeAlias = Literal["asked", "measured", "extrapolated", "advice"]


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a plan.

    Parameters
    ----------
    name, value, unit
        Such as ``"hours"``, 31.2, ``"h"``.
    how
        ``"measured"`` at about this size; ``"extrapolated"`` from a smaller one; ``"advice"`` of
        others, or an assumption; ``"asked"`` for by the caller.
    sources
        The measurements behind it.
    note
        What it assumes.
    """

    name: str
    value: float
    unit: str
    how: How
    sources: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """What ends to work well, at how many images, and what to do then."""

    what: str
    images: float
    how: How
    sources: tuple[str, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer.

    Parameters
    ----------
    numbers
        In the order of what a person asks.
    limits
        What breaks, the first first; also what lies beyond this archive.
    commands
        To be run in this order.
    """

    images: int
    mix: dict[str, float]
    numbers: tuple[Number, ...]
    limits: tuple[Limit, ...]
    commands: tuple[str, ...]

    def __getitem__(self, name: str) -> Number:
        return next(number for number in self.numbers if number.name == name)

    @property
    def first_limit(self) -> Limit:
        """What breaks first, whether this archive reaches it or not."""
        return self.limits[0]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)
