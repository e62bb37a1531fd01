"""Values of a header's elements, whatever a sloppy writer made of them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["CutShort", "integers", "number", "numbers", "quiet", "text", "texts"]

_MALFORMED = (
    ValueError,
    TypeError,
    NotImplementedError,
    OverflowError,
    AttributeError,
    KeyError,
    LookupError,
)


def texts(dataset: Dataset, keyword: str | tuple[int, int]) -> list[str]:
    """All values of an element as text; none where it is absent or malformed."""
    try:
        value: Any = dataset.get(keyword)
        # By its number an element itself is got, by its keyword the value.
        value = getattr(value, "value", value)
        if value is None:
            return []
        if isinstance(value, (str, bytes, int, float)):
            parts = str(value).split("\\")
        else:
            parts = [str(part) for part in value]
    except _MALFORMED:
        # pydicom converts a value when it is first asked for: a malformed one fails only here.
        return []
    return [part.strip("\0 \t\r\n") for part in parts]


def text(dataset: Dataset, keyword: str | tuple[int, int]) -> str:
    """The first value as text."""
    return next(iter(texts(dataset, keyword)), "")


def numbers(dataset: Dataset, keyword: str | tuple[int, int]) -> list[float]:
    """The values that are finite numbers, up to the first that is none."""
    found = []
    for part in texts(dataset, keyword):
        try:
            value = float(part)
        except ValueError:
            break
        if not np.isfinite(value):
            break
        found.append(value)
    return found


def number(dataset: Dataset, keyword: str | tuple[int, int]) -> float | None:
    """The first value as a finite number; None where absent or malformed."""
    return next(iter(numbers(dataset, keyword)), None)


def integers(dataset: Dataset, keyword: str | tuple[int, int]) -> list[int]:
    """The values that are numbers, rounded."""
    return [round(value) for value in numbers(dataset, keyword)]


class CutShort:
    """Whether pydicom has warned, since the start, that the file ended inside an element."""

    def __init__(self, caught: list[warnings.WarningMessage]) -> None:
        self._caught = caught

    def __call__(self) -> bool:
        return any("end of file" in str(w.message).lower() for w in self._caught)


@contextmanager
def quiet() -> Iterator[CutShort]:
    """Keep pydicom's remarks on odd headers to ourselves: they quote values, so may name people."""
    logger = logging.getLogger("pydicom")
    propagates, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield CutShort(caught)
    finally:
        logger.propagate = propagates
    for warning in caught:
        if "pydicom" not in warning.filename:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
