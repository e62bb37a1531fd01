"""Simulated films: the radiograph of another build, exposure and noise, with findings in it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from indexer.simulation.findings import draw
from indexer.simulation.radiograph import FilmPixels, radiograph
from indexer.simulation.truth import SimulatedFinding

__all__ = ["expose", "stamp"]

_HEART = (0.57, 0.635)
_CELLS = 28


def expose(
    rng: np.random.Generator, height: int, width: int, findings: tuple[SimulatedFinding, ...] = ()
) -> FilmPixels:
    """One simulated film, 0..1 with bone white and the patient's right on the left."""
    film = radiograph(height).copy()
    for finding in findings:
        film = draw(film, finding, rng)
    heart = rng.uniform(0.24, 0.32) if any(f.kind == "cardiomegaly" for f in findings) else 0.0
    film = _deform(film, (width, height), heart, rng)
    film = np.clip(film, 0, 1) ** rng.uniform(0.8, 1.3)
    film = 0.5 + (film - 0.5) * rng.uniform(0.85, 1.0) + rng.uniform(-0.04, 0.04)
    # Dense parts let fewer quanta through, so they are noisier.
    grain = rng.standard_normal(film.shape, np.float32) * (0.4 + film)
    return np.clip(film + rng.uniform(0.004, 0.012) * grain, 0, 1).astype(np.float32)


def stamp(film: FilmPixels, text: str) -> FilmPixels:
    """`film` with white letters burned into a corner."""
    picture = Image.fromarray(film)
    font = ImageFont.load_default(film.shape[0] / 22)
    ImageDraw.Draw(picture).text((20, 20), text, fill=1.0, font=font)
    return np.asarray(picture)


def _deform(
    film: FilmPixels, size: tuple[int, int], heart: float, rng: np.random.Generator
) -> FilmPixels:
    """Another build: turned, stretched and bent a little; `heart` widens the heart's shadow."""
    x, y = np.meshgrid(np.linspace(0, 1, _CELLS + 1), np.linspace(0, 1, _CELLS + 1))
    if heart:
        dx, dy = x - _HEART[0], y - _HEART[1]
        x = x - heart * dx * np.exp(-((dx / 0.27) ** 4) - (dy / 0.17) ** 4)
    u, v = x - 0.5, y - 0.5
    angle = rng.uniform(-0.05, 0.05)
    zoom_x, zoom_y = rng.uniform(0.88, 1.0, 2)
    bend = rng.uniform(-0.012, 0.012, 4)
    phase = rng.uniform(0, 2 * np.pi, 4)
    x = 0.5 + zoom_x * (u * np.cos(angle) - v * np.sin(angle)) + rng.uniform(-0.02, 0.02)
    y = 0.5 + zoom_y * (u * np.sin(angle) + v * np.cos(angle)) + rng.uniform(-0.02, 0.02)
    x = x + bend[0] * np.sin(5 * v + phase[0]) + bend[1] * np.sin(7 * u + phase[1])
    y = y + bend[2] * np.sin(5 * u + phase[2]) + bend[3] * np.sin(7 * v + phase[3])
    return _warp(film, size, np.clip(x, 0, 1) * film.shape[1], np.clip(y, 0, 1) * film.shape[0])


def _warp(film: FilmPixels, size: tuple[int, int], x: FilmPixels, y: FilmPixels) -> FilmPixels:
    """A film of `size` (width, height), made of cells whose corners come from `x`, `y`."""
    columns, rows = (np.linspace(0, side, _CELLS + 1).round().astype(int) for side in size)
    mesh = []
    for j in range(_CELLS):
        for i in range(_CELLS):
            corners = ((j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1))
            quad = tuple(float(axis[corner]) for corner in corners for axis in (x, y))
            mesh.append(((columns[i], rows[j], columns[i + 1], rows[j + 1]), quad))
    bent = Image.fromarray(film).transform(
        size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC
    )
    return np.asarray(bent)
