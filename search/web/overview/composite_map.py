"""The composite labels of a bundle on a map: alike labels lie together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.cascade.bundle import Bundle

__all__ = [
    "CompositeLayout",
    "MapPoint",
    "composite_map",
    "composite_places",
    "label_query",
    "spread",
]

WIDTH, HEIGHT = 1000, 520
_MARGIN = 30
_ROUNDS = 200
_GAP = 26.0
# A title nearer to the left or right side than this starts or ends at its point.
_EDGE = 90
# Words in the names of clusters that are no finding.
_NOTHING = frozenset({"unspecified", "mixed"})


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A composite label.

    Parameters
    ----------
    label
        Its words.
    finding
        The first of them.
    x, y
        Its place, in pixels of a picture of `WIDTH` by `HEIGHT`.
    radius
        In pixels; its area grows with `count`.
    count
        Images of the database that have it.
    query
        What asks for these.
    colour
        Number of the group of its finding, 0..7; 8 of all rare ones.
    titled
        Whether it is the one by which its finding's name stands.
    """

    label: str
    finding: str
    x: float
    y: float
    radius: float
    count: int
    query: str
    colour: int
    titled: bool


@dataclass(frozen=True, slots=True)
class CompositeLayout:
    """Composite labels in two dimensions."""

    points: tuple[MapPoint, ...]
    width: int = WIDTH
    height: int = HEIGHT


def composite_places(bundle: Bundle) -> Mapping[str, tuple[float, float]]:
    """For each composite label a place in a square from 0 to 1.

    The labels' weights in the CNN's heads, each of length 1, are projected to the two axes on
    which they differ most (principal components), whose signs are fixed: the same bundle always
    gives the same map.
    """
    labels = bundle.labels
    if not labels.composites:
        return {}
    first = len(labels.findings) + len(labels.pairs)
    heads = [
        value[first : first + len(labels.composites)].astype(np.float64)
        for name, value in sorted(bundle.weights().items())
        if name.endswith(_HEAD) and value.ndim == 2 and len(value) == labels.scored
    ]
    if not heads:
        return {}
    rows = np.concatenate([head / _length(head) for head in heads], axis=1)
    return dict(zip(labels.composites, _flat(rows), strict=True))


_HEAD = "head.weight"


def _length(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length: npt.NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return length.clip(1e-12)


def _flat(rows: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """Shape (n, d) to n places in the unit square."""
    centred = rows - rows.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(rows), 2))
    axes = min(2, len(sizes))
    places[:, :axes] = left[:, :axes] * sizes[:axes]
    # An axis may come out either way round: its farthest point lies on the positive side.
    for axis in range(2):
        if places[np.abs(places[:, axis]).argmax(), axis] < 0:
            places[:, axis] *= -1
    # Places are ranks along each axis, so that labels do not crowd.
    ranks = places.argsort(0, kind="stable").argsort(0, kind="stable") / max(len(rows) - 1, 1)
    span = np.maximum(np.ptp(places, axis=0), 1e-12)
    mixed = 0.5 * ranks + 0.5 * (places - places.min(0)) / span
    return [(float(x), float(y)) for x, y in mixed]


def spread(
    places: npt.NDArray[np.float64], gap: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Places pushed apart until no two lie nearer than the mean of their gaps, as far as it goes.

    Parameters
    ----------
    places
        Shape (n, 2), in pixels.
    gap
        Shape (n,), in pixels.
    """
    low, high = np.full(2, float(_MARGIN)), np.array([WIDTH, HEIGHT], np.float64) - _MARGIN
    moved: npt.NDArray[np.float64] = places.copy()
    wanted = (gap[:, None] + gap[None, :]) / 2
    np.fill_diagonal(wanted, 0)
    for _ in range(_ROUNDS):
        apart = moved[:, None] - moved[None, :]
        distance = np.maximum(np.linalg.norm(apart, axis=2), 1e-6)
        push = np.maximum(wanted - distance, 0)
        if not push.any():
            break
        moved += (apart / distance[..., None] * (push / 4)[..., None]).sum(1)
        moved = np.clip(moved, low, high)
    return moved


def composite_map(
    places: Mapping[str, tuple[float, float]],
    queries: Mapping[str, str],
    counts: Mapping[str, int],
) -> CompositeLayout:
    """Labels at their places, the larger the more images have them.

    Parameters
    ----------
    places
        Of `composite_places`.
    queries
        By label what is asked for it (`label_query`).
    counts
        Images by label.
    """
    if not places:
        return CompositeLayout(())
    names = [*places]
    found = np.array([counts.get(name, 0) for name in names], np.float64)
    most = max(found.max(), 1.0)
    radius = 4 + 14 * np.sqrt(found / most)
    box = np.array([WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN])
    start = np.array([places[name] for name in names]) * box + _MARGIN
    at = spread(start, np.maximum(2 * radius + 2, _GAP))
    findings = [
        queries[name].partition("(")[2].partition('"')[2].partition('"')[0] for name in names
    ]
    common = _commonest(findings)
    titled: set[str] = set()
    boxes: list[tuple[float, float, float, float]] = []
    points = []
    for row in np.argsort(-found, kind="stable"):
        finding = findings[row]
        place = _title_box(finding, float(at[row, 0]), float(at[row, 1] - radius[row]))
        if shown := finding not in titled and not any(_overlap(place, other) for other in boxes):
            titled.add(finding)
            boxes.append(place)
        points.append(
            MapPoint(
                label=_plain(names[row]),
                query=queries[names[row]],
                finding=finding,
                x=round(float(at[row, 0]), 1),
                y=round(float(at[row, 1]), 1),
                radius=round(float(radius[row]), 1),
                count=int(found[row]),
                colour=common.index(finding) if finding in common else len(common),
                titled=shown,
            )
        )
    return CompositeLayout(tuple(points))


def _title_box(title: str, x: float, bottom: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a title as the page draws it: above its point."""
    wide = 8.0 * len(title)
    left = x if x < _EDGE else x - wide if x > WIDTH - _EDGE else x - wide / 2
    return left, bottom - 19, left + wide, bottom


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def label_query(label: str, findings: Collection[str]) -> str:
    """The query for all words of a composite label within one finding.

    Parameters
    ----------
    findings
        Names of findings, some of which have commas.
    """
    words = _plain(label)
    name = max((f for f in findings if f"{words}, ".startswith(f"{f}, ")), key=len, default="")
    name = name or words.partition(", ")[0]
    rest = [word for word in words[len(name) :].split(", ") if word and word not in _NOTHING]
    return "finding:(" + " AND ".join(f'"{word}"' for word in (name, *rest)) + ")"


def _plain(label: str) -> str:
    """A label without the number that tells clusters of the same words apart."""
    words, bracket, rest = label.rpartition(" (")
    return words if bracket and rest.rstrip(")").isdigit() else label


def _commonest(findings: Sequence[str], most: int = 8) -> list[str]:
    return sorted({*findings}, key=lambda one: (-findings.count(one), one))[:most]
