"""Findings, drawn into the source radiograph; positions are fractions of its width and height.

Sides are the patient's, so that ``"right"`` lies on the left of the picture.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from indexer.simulation.radiograph import ASPECT, FilmPixels
from indexer.simulation.truth import SimulatedFinding

__all__ = ["KINDS", "draw", "study_findings"]

KINDS = ("opacity", "nodule", "catheter", "effusion", "cardiomegaly")


def _points(text: str) -> npt.NDArray[np.float64]:
    """Points (n, 2) as SVG writes them: ``"x,y x,y ..."``."""
    return np.array([[float(value) for value in point.split(",")] for point in text.split()])


_LUNGS = {
    "right": _points(
        "0.30,0.05 0.38,0.07 0.43,0.14 0.42,0.30 0.40,0.38 0.385,0.55 0.345,0.60 0.335,0.73"
        " 0.26,0.725 0.20,0.715 0.14,0.725 0.10,0.75 0.06,0.79 0.07,0.70 0.09,0.58 0.10,0.45"
        " 0.12,0.33 0.15,0.20 0.20,0.11"
    ),
    "left": _points(
        "0.66,0.05 0.58,0.07 0.545,0.14 0.55,0.22 0.585,0.28 0.565,0.35 0.61,0.45 0.66,0.54"
        " 0.73,0.62 0.775,0.70 0.79,0.745 0.84,0.745 0.89,0.77 0.93,0.82 0.915,0.70 0.90,0.58"
        " 0.885,0.42 0.86,0.28 0.82,0.16 0.76,0.09"
    ),
}
_NODULES = {
    "right": _points("0.285,0.11 0.33,0.30 0.22,0.235 0.17,0.28"),
    "left": _points("0.69,0.115 0.755,0.255 0.66,0.28 0.865,0.70"),
}
# Centre and radii.
_LUNG_BASES = {"right": (0.22, 0.655, 0.095, 0.075), "left": (0.835, 0.675, 0.065, 0.10)}
# Lateral and medial end of the fluid's surface: x, y each.
_MENISCUS = {"right": (0.075, 0.60, 0.335, 0.722), "left": (0.915, 0.615, 0.765, 0.742)}
_CATHETERS = {
    "right": _points("0.12,0.21 0.22,0.165 0.33,0.165 0.41,0.20 0.44,0.27 0.445,0.41"),
    "left": _points("0.88,0.21 0.80,0.165 0.68,0.165 0.58,0.205 0.50,0.25 0.455,0.31 0.445,0.42"),
}


def study_findings(number: int) -> tuple[SimulatedFinding, ...]:
    """Two studies of three have a finding, and each fourth of these a second one."""
    if number % 3 == 0:
        return ()
    turn = number - 1 - number // 3
    sides = ("left", "right") if turn // len(KINDS) % 2 == 0 else ("right", "left")
    kinds = [KINDS[turn % len(KINDS)]]
    if turn % 4 == 3:
        kinds.append(KINDS[(turn + 2) % len(KINDS)])
    return tuple(
        SimulatedFinding(kind, "" if kind == "cardiomegaly" else side)
        for kind, side in zip(kinds, sides, strict=False)
    )


def draw(film: FilmPixels, finding: SimulatedFinding, rng: np.random.Generator) -> FilmPixels:
    """`film` with a finding in it; cardiomegaly is no drawing, but a deformation of the film."""
    drawer = _PAINTERS.get(finding.kind)
    return drawer(film, finding.side, rng) if drawer else film


def _opacity(film: FilmPixels, side: str, rng: np.random.Generator) -> FilmPixels:
    x, y = _grid(film)
    cx, cy, rx, ry = _LUNG_BASES[side]
    scale = rng.uniform(0.9, 1.15)
    distance = ((x - cx) / (rx * scale)) ** 2 + ((y - cy) / (ry * scale)) ** 2
    patches = _clouds(rng, film.shape, 14) + 0.6 * _clouds(rng, film.shape, 34)
    # The texture also moves the edge, so that no ellipse is seen.
    amount = _sigmoid(3.5 * (1.1 - distance) + 0.8 * patches)
    strength = rng.uniform(0.68, 0.8) * np.clip(0.92 + 0.12 * patches, 0.4, 1.1)
    return _add(film, amount * strength * _lung(side, film.shape[0]))


def _nodule(film: FilmPixels, side: str, rng: np.random.Generator) -> FilmPixels:
    x, y = _grid(film)
    cx, cy = _NODULES[side][rng.integers(len(_NODULES[side]))].tolist()
    radius = rng.uniform(0.016, 0.023)
    angle = np.arctan2(y - cy, x - cx)
    rim = 1 + 0.07 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(3 * angle)
    distance = np.hypot(x - cx, (y - cy) / ASPECT) / (radius * rim)
    # The path of the beam through a ball, its edge softened.
    depth = np.sqrt(np.clip(1.05 - distance**2, 0, None))
    edge = _sigmoid(22 * (0.97 - distance))
    return _add(film, rng.uniform(0.42, 0.52) * depth * edge)


def _effusion(film: FilmPixels, side: str, rng: np.random.Generator) -> FilmPixels:
    x, y = _grid(film)
    x0, y0, x1, y1 = _MENISCUS[side]
    y0 += rng.uniform(-0.03, 0.03)
    t = np.clip((x - x0) / (x1 - x0), -0.1, 1.2)
    surface = y1 - (y1 - y0) * np.exp(-2.6 * t) - 0.008
    below = _sigmoid((y - surface) / 0.011)
    wet = below * _lung(side, film.shape[0], 0.012)
    level = 0.87 + 0.012 * _clouds(rng, film.shape, 10)
    return film + (0.93 * wet * np.clip(level - film, 0, 1)).astype(np.float32)


def _catheter(film: FilmPixels, side: str, rng: np.random.Generator) -> FilmPixels:
    height, width = film.shape
    bend = rng.uniform(-0.008, 0.008, _CATHETERS[side].shape)
    path = _spline(_CATHETERS[side] + bend) * (width, height) * 2
    points = [(x, y) for x, y in path.tolist()]
    tube = Image.new("L", (width * 2, height * 2))
    pen = ImageDraw.Draw(tube)
    pen.line(points, fill=255, width=max(3, round(height * 0.0085)), joint="curve")
    # The wall of a tube attenuates most where the beam runs along it.
    pen.line(points, fill=150, width=max(1, round(height * 0.0035)), joint="curve")
    small = tube.resize((width, height), Image.Resampling.BOX)
    return _add(film, np.asarray(small, np.float32) / 255 * rng.uniform(0.5, 0.6))


_PAINTERS = {
    "opacity": _opacity,
    "nodule": _nodule,
    "effusion": _effusion,
    "catheter": _catheter,
}


def _add(film: FilmPixels, amount: FilmPixels) -> FilmPixels:
    """More attenuation: bright parts gain less, as the film saturates."""
    return film + amount.astype(np.float32) * (1 - film)


def _grid(film: FilmPixels) -> tuple[FilmPixels, FilmPixels]:
    height, width = film.shape
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    return x, y


@lru_cache(maxsize=32)
def _lung(side: str, height: int, margin: float = 0.0) -> FilmPixels:
    """A lung at `height` rows, widened by a `margin` of the height; 0..1, soft edge, read-only."""
    width = round(height * ASPECT)
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).polygon((_LUNGS[side] * (width, height)).ravel().tolist(), fill=255)
    if margin:
        mask = mask.filter(ImageFilter.MaxFilter(2 * round(margin * height) + 1))
    soft = mask.filter(ImageFilter.GaussianBlur(height * 0.006))
    pixels = np.asarray(soft, np.float32) / 255
    pixels.setflags(write=False)
    return pixels


def _clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> FilmPixels:
    """Smooth random texture of mean 0 and deviation about 1."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _sigmoid(x: FilmPixels) -> FilmPixels:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _spline(points: npt.NDArray[np.float64], steps: int = 24) -> npt.NDArray[np.float64]:
    """A Catmull-Rom curve through `points` (n, 2)."""
    ends = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2)
        + 0.5 * (3 * b - a - 3 * c + d) * t**3
        for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False)
    ]
    return np.vstack([*parts, points[-1:]])
