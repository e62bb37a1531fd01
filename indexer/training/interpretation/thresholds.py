"""From where on a finding is possible, and from where on it is likely: chosen by the mean over
sources, so that none decides by how many of its films have a finding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL
from indexer.datasets.targets import PRESENT, KnownTargets

__all__ = ["Judged", "Thresholds", "choose_thresholds", "counts_by_source"]

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]
_Rows = dict[int, npt.NDArray[np.intp]]
# A source judges a finding that at least this many of its val films have.
_MIN_POSITIVES = 5
# A finding is possible in at most this many times as many films as have it.
_EXCESS = 2.5
# A finding is possible where it is at least this many times as frequent as in all films.
_ABOVE_CHANCE = 2.0
# A finding is likely where at least this share of predictions is right, with at least this many
# right ones.
_LIKELY, _MIN_HITS = 0.5, 3
# At most this share of a source's normal films has a likely finding.
_NORMAL_WITH_LIKELY = 0.08
# By how much more of a finding must be right at a time, where too little of all is.
_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Judged:
    """n films of several sources.

    Parameters
    ----------
    known
        What is known of the findings.
    source
        Shape (n,): the number of each film's source.
    """

    known: KnownTargets
    source: _Numbers

    def of(self, column: int) -> tuple[npt.NDArray[np.bool_], _Rows]:
        """Which films have a finding, and per source that denies it of some film those of which it
        is known. A source that never denies it, as captions do not, could call nothing wrong."""
        there = self.known.targets[:, column] > PRESENT
        known = self.known.known[:, column]
        denying = np.unique(self.source[known & ~there])
        return there, {int(n): np.flatnonzero(known & (self.source == n)) for n in denying}

    def shares(self, column: int) -> dict[int, float]:
        """Per source that denies a finding of some film, the share of films that has it."""
        there, rows = self.of(column)
        return {number: float(there[own].mean()) for number, own in rows.items()}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Per finding, the probability from which on it is possible, and from which on it is likely;
    one that is not in `likely` never is."""

    possible: Mapping[str, float]
    likely: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Curve:
    """A finding in one source, over each of k limits.

    Parameters
    ----------
    said, hits
        Shape (k,): films over the limit, and those of them that have it.
    films, positives
        Films of which it is known, and those that have it.
    """

    said: _Floats
    hits: _Floats
    films: int
    positives: int

    @classmethod
    def of(cls, chances: _Floats, there: npt.NDArray[np.bool_], limits: _Floats) -> _Curve:
        own, right = np.sort(chances), np.sort(chances[there])
        said, hits = (len(part) - np.searchsorted(part, limits) for part in (own, right))
        return cls(said.astype(float), hits.astype(float), len(own), len(right))

    @property
    def f1(self) -> _Floats:
        """As a share of the best, since F1 is the higher the more films have the finding."""
        f1: _Floats = 2 * self.hits / (self.said + self.positives)
        best: _Floats = f1 / f1.max()
        return best

    @property
    def lift(self) -> _Floats:
        """How many times as frequent it is over the limit as in all films; NaN where nothing is."""
        lift: _Floats = self.hits / np.maximum(self.said, 1) * self.films / self.positives
        lift[self.said == 0] = np.nan
        return lift

    @property
    def precision(self) -> _Floats:
        """As if one more had been wrong, since a few hits say little."""
        return self.hits / (self.said + 1)


def choose_thresholds(
    findings: Sequence[str], train: Judged, val: Judged, logits: npt.NDArray[np.float32]
) -> Thresholds:
    """Both, of the calibrated scores of the val films, shape (n, findings).

    **Possible.** The threshold of the best F1, which counts for each source that judges the finding
    as a share of the best that it has there, so that one with many such films weighs no more than
    one with few. Of the thresholds that report it at most two and a half times too often, in the
    mean over sources, those count alone, where there are any, over which it is at least twice as
    frequent as in all films, in the mean over the sources in which any film is over them. "Too
    often" is by its share of train: F1 on a few positives alone would report a rare finding in most
    films. A finding that no source judges is reported as often as it occurs in train.

    **Likely.** The lowest threshold over which at least every second time the finding is there, in
    the mean over the sources that judge it. More must be right of what is most often wrong in a
    source, as long as less than half of all that is likely there is right or more than 8 % of the
    normal films have a likely finding. A finding without such a threshold is only ever possible.
    """
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    possible = {
        name: _possible(train.shares(column), val, column, chances[:, column])
        for column, name in enumerate(findings)
    }
    likely = {
        # That normal is possible says that it is told beside findings, which asks for more.
        name: limit if name == NORMAL else max(limit, possible[name])
        for name, limit in _likely(findings, val, chances).items()
    }
    return Thresholds(possible, likely)


def _possible(shares: Mapping[int, float], val: Judged, column: int, chances: _Floats) -> float:
    """From where on one finding is, given its share of the train films of each source."""
    limits, judging = _curves(val, column, chances)
    if not judging:
        return _as_often(shares, val, column, chances)
    often = [
        curve.said / curve.films / (shares.get(number) or curve.positives / curve.films)
        for number, curve in judging.items()
    ]
    allowed = np.mean(often, 0) <= _EXCESS
    # However rare it is, it may be said of the film that scores highest.
    allowed[-1] = True
    clear = allowed & (np.nanmean([c.lift for c in judging.values()], 0) >= _ABOVE_CHANCE)
    worth = np.mean([c.f1 for c in judging.values()], 0)
    return _down(limits[np.argmax(np.where(clear if clear.any() else allowed, worth, -1))])


def _as_often(shares: Mapping[int, float], val: Judged, column: int, chances: _Floats) -> float:
    """The threshold over which a finding is as often as in the train films of the mean source."""
    _, rows = val.of(column)
    films = [chances[own] for own in rows.values()] or [chances]
    limits = np.unique(np.concatenate(films))
    said = np.mean([1 - np.searchsorted(np.sort(f), limits) / len(f) for f in films], 0)
    few = np.flatnonzero(said <= (np.mean([*shares.values()]) if shares else 0.0))
    return _down(limits[few[0] if len(few) else -1])


def _likely(findings: Sequence[str], val: Judged, chances: _Floats) -> dict[str, float]:
    columns = {name: column for column, name in enumerate(findings)}
    wanted = dict.fromkeys(findings, _LIKELY)
    likely: dict[str, float] = {}
    changed = set(findings)
    while changed:
        for name in changed:
            likely.pop(name, None)
            limits, judging = _curves(val, columns[name], chances[:, columns[name]])
            if not judging:
                continue
            right = np.mean([c.precision for c in judging.values()], 0) >= wanted[name]
            good = right & (np.sum([c.hits for c in judging.values()], 0) >= _MIN_HITS)
            if good.any():
                likely[name] = _down(limits[np.argmax(good)])
        changed = _often_wrong(findings, likely, val, chances)
        for name in changed:
            wanted[name] += _STEP
    return {name: likely[name] for name in findings if name in likely}


def _often_wrong(
    findings: Sequence[str], likely: Mapping[str, float], val: Judged, chances: _Floats
) -> set[str]:
    """Of each source in which what is likely cannot be trusted, the finding that is wrong most
    often."""
    limits = np.array([np.inf if n == NORMAL else likely.get(n, np.inf) for n in findings])
    there = val.known.targets > PRESENT
    said = (chances >= limits) & val.known.known
    wrong = said & ~there
    normal = there[:, list(findings).index(NORMAL)] if NORMAL in findings else ~there.any(1)
    worst = set()
    for number in np.unique(val.source):
        own = val.source == number
        right, healthy = there[own][said[own]], wrong[own & normal].any(1)
        if (len(right) and right.mean() < _LIKELY) or (
            len(healthy) and healthy.mean() > _NORMAL_WITH_LIKELY
        ):
            worst.add(findings[int(wrong[own].sum(0).argmax())])
    return worst


def _curves(val: Judged, column: int, chances: _Floats) -> tuple[_Floats, dict[int, _Curve]]:
    """Limits, ascending, and a curve for each source that judges a finding."""
    there, rows = val.of(column)
    rows = {n: own for n, own in rows.items() if there[own].sum() >= _MIN_POSITIVES}
    limits = np.unique(np.concatenate([chances[own] for own in rows.values()] or [chances]))
    return limits, {n: _Curve.of(chances[own], there[own], limits) for n, own in rows.items()}


def _down(limit: float) -> float:
    """Rounded down, so that the film that it was fitted on stays over it."""
    return math.floor(limit * 1e5) / 1e5


def counts_by_source(
    findings: Sequence[str],
    thresholds: Thresholds,
    val: Judged,
    logits: npt.NDArray[np.float32],
    names: Sequence[str],
) -> dict[str, dict[str, dict[str, int]]]:
    """Per source and finding that it has films of: of how many films it is known, how many have it
    (``positives``), how many it is ``possible`` and ``likely`` in, and how many of those have it
    (``possible_right``, ``likely_right``).

    Parameters
    ----------
    logits
        As in `choose_thresholds`.
    names
        Of the sources.
    """
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    found: dict[str, dict[str, dict[str, int]]] = {name: {} for name in names}
    for column, finding in enumerate(findings):
        there, rows = val.of(column)
        limits = (thresholds.possible[finding], thresholds.likely.get(finding, math.inf))
        for number, own in rows.items():
            if there[own].any():
                curve = _Curve.of(chances[own, column], there[own], np.array(limits))
                (possible, likely), (right, likely_right) = (
                    part.astype(int).tolist() for part in (curve.said, curve.hits)
                )
                found[names[number]][finding] = {
                    "films": curve.films,
                    "positives": curve.positives,
                    "possible": possible,
                    "possible_right": right,
                    "likely": likely,
                    "likely_right": likely_right,
                }
    return found
