"""What the maker wants shown: from stored values through modality and VOI to grey levels.

Several ways may be in a header; each is a candidate, and which one is used is decided by what comes
out (`indexer.archive.windowing.render`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.archive.pictures.dicom.elements import integers, number, numbers, text, texts
from indexer.archive.windowing import Tone, Values

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["presentations"]

# How far a lookup table may rise and fall in total, in multiples of its range. A table that only
# rises has 1; bytes read as something else have hundreds.
_MAX_TURNS = 4.0
# A table with fewer of its entries than this is noted as completed.
_COMPLETE = 0.99
# A table that ends so early that more of the film than this lies beyond it shows less than none: of
# made films a clamped tenth costs as much likeness to the whole table's picture as going without.
_MOST_BEYOND = 0.1


def presentations(
    dataset: Dataset, film: Callable[[], npt.NDArray[Any]]
) -> tuple[tuple[Tone, ...], tuple[str, ...]]:
    """The ways in which a header wants stored values shown, the preferred one first, and notes.

    Each takes stored values through modality LUT or rescale (C.11.1) and one VOI LUT or window
    (C.11.2). The last one is without either, so there is always one.

    Parameters
    ----------
    film
        Stored values of the film without what lies outside of it; asked for where a table is short.
    """
    notes: list[str] = []
    tables, damaged, short = _tables(dataset, "ModalityLUTSequence", film)
    slope = number(dataset, "RescaleSlope") or 1.0
    intercept = number(dataset, "RescaleIntercept") or 0.0
    plain = partial(_rescale, slope, intercept)
    modality = partial(_look_up, tables[0]) if tables else plain
    voi_tables, voi_damaged, voi_short = _tables(
        dataset, "VOILUTSequence", lambda: modality(film())
    )
    if damaged or voi_damaged:
        notes.append("lut_ignored")
    if short or voi_short:
        notes.append("lut_completed")
    ways: list[Tone] = [partial(_chain, modality, partial(_look_up, table)) for table in voi_tables]
    ways += (partial(_chain, modality, window) for window in _windows(dataset))
    ways.append(modality)
    if tables:
        # A table that is too short may hide the film, so the last way does without it.
        ways.append(plain)
    return tuple(ways), tuple(notes)


def _chain(first: Tone, second: Tone, values: npt.NDArray[Any]) -> Values:
    return second(first(values))


def _rescale(slope: float, intercept: float, values: npt.NDArray[Any]) -> Values:
    return values.astype(np.float64) * slope + intercept


def _look_up(lut: tuple[int, Values], values: npt.NDArray[Any]) -> Values:
    first, table = lut
    # Beyond its ends, and where it is shorter than it says, the last entry holds (C.11.1.1).
    return table[np.clip(np.rint(values - float(first)), 0, table.size - 1).astype(np.intp)]


def _windows(dataset: Dataset) -> Iterator[Tone]:
    function = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    for center, width in zip(centers, widths, strict=False):
        # C.11.2.1.2: a width below 1 makes no sense, below 0 or at 0 none in any function.
        if width > 0 and width >= (function == "LINEAR"):
            yield partial(_window, center, width, function)


def _window(center: float, width: float, function: str, values: Values) -> Values:
    """Grey level 0..1 by the functions of C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1.0, 1e-6)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _tables(
    dataset: Dataset, keyword: str, film: Callable[[], npt.NDArray[Any]]
) -> tuple[list[tuple[int, Values]], bool, bool]:
    """First stored value and entries of each usable LUT; whether there is an unusable one, and one
    that is much shorter than it says."""
    try:
        items = list(dataset.get(keyword) or ())
    except (TypeError, ValueError, AttributeError):
        return [], True, False
    usable: list[tuple[int, Values]] = []
    short = False
    for item in items:
        table = _table(dataset, item)
        if table is None:
            continue
        cut = table[1].size < _COMPLETE * _length(item)
        if cut and np.mean(film() >= table[0] + table[1].size) > _MOST_BEYOND:
            continue
        usable.append(table)
        short = short or cut
    return usable, len(usable) < len(items), short


def _length(item: Dataset) -> int:
    """Entries that a LUT says it has; 0 where that may stand for 65,536 or for anything."""
    descriptor = integers(item, "LUTDescriptor")
    return descriptor[0] % 65536 if descriptor else 0


def _table(dataset: Dataset, item: Dataset) -> tuple[int, Values] | None:
    descriptor = integers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    # 0 stands for 65,536 entries; a signed reading of the descriptor may show it as negative.
    entries, first, bits = descriptor[0] % 65536 or 65536, descriptor[1], descriptor[2]
    little = dataset.file_meta.TransferSyntaxUID.is_little_endian
    candidates = _entries(item.get("LUTData"), texts(item, "LUTData"), entries, bits, little)
    for table in candidates:
        table = table[:entries].astype(np.float64)
        span = float(np.ptp(table)) if table.size else 0.0
        if span > 0 and float(np.abs(np.diff(table)).sum()) <= _MAX_TURNS * span:
            if dataset.PixelRepresentation == 1 and first > 32767:
                first -= 65536
            return first, table
    return None


def _entries(
    data: Any, listed: list[str], entries: int, bits: int, little: bool
) -> Iterator[npt.NDArray[Any]]:
    """Ways to take LUT Data, the likeliest first."""
    if not isinstance(data, bytes):
        if data is not None and len(listed) > 1:
            yield np.atleast_1d(np.asarray(data, dtype=np.float64))
        return
    # pydicom leaves words in the byte order of the file; entries of up to 8 bits may be packed.
    orders = ("<u2", ">u2") if little else (">u2", "<u2")
    words = [np.frombuffer(data[: len(data) // 2 * 2], order) for order in orders]
    octets = np.frombuffer(data, "u1")
    packed = entries <= len(data) <= entries + 1 and entries > 1
    yield from ([octets, *words] if packed and bits <= 8 else [*words, octets] if packed else words)
