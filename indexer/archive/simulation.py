"""A simulated archive: many radiographs made of one public one, for the demo and the tests.

The one is the chest radiograph ``RG1`` of the PyPI package ``pydicom-data`` (it shows several
round masses in both lungs). Simulated patients differ in build (a smooth deformation), exposure
and noise; some get a finding. Findings are drawn as attenuation that is added to what lies in
front and behind, within the lungs' outlines. Every header says that its image is simulated.
"""

from __future__ import annotations

import copy
import io
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from indexer.archive.sources import NESTED
from indexer.errors import CxrdexError, MissingExtraError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "Outcome",
    "SimulatedFile",
    "SimulatedFinding",
    "Simulation",
    "simulate_archive",
    "simulate_pictures",
]

Outcome: TypeAlias = Literal["done", "duplicate", "skipped", "failed", "left_out"]
_Floats: TypeAlias = npt.NDArray[np.floating[Any]]
_Point: TypeAlias = tuple[float, float]

_CREATOR = "cxrdex simulation"
_NOTE = "SIMULATED: made by computer from one public radiograph; no patient has this finding"

# Outlines in the source radiograph, as fractions of its width and height; left is the patient's.
_LUNGS: dict[str, tuple[_Point, ...]] = {
    "right": (
        *((0.30, 0.05), (0.38, 0.07), (0.43, 0.14), (0.42, 0.30), (0.40, 0.38), (0.385, 0.55)),
        *((0.345, 0.60), (0.335, 0.73), (0.26, 0.725), (0.20, 0.715), (0.14, 0.725)),
        *((0.10, 0.75), (0.06, 0.79), (0.07, 0.70), (0.09, 0.58), (0.10, 0.45)),
        *((0.12, 0.33), (0.15, 0.20), (0.20, 0.11)),
    ),
    "left": (
        *((0.66, 0.05), (0.58, 0.07), (0.545, 0.14), (0.55, 0.22), (0.585, 0.28), (0.565, 0.35)),
        *((0.61, 0.45), (0.66, 0.54), (0.73, 0.62), (0.775, 0.70), (0.79, 0.745)),
        *((0.84, 0.745), (0.89, 0.77), (0.93, 0.82), (0.915, 0.70), (0.90, 0.58)),
        *((0.885, 0.42), (0.86, 0.28), (0.82, 0.16), (0.76, 0.09)),
    ),
}
_NODULES = {
    "right": ((0.285, 0.11), (0.33, 0.30), (0.22, 0.235), (0.17, 0.28)),
    "left": ((0.69, 0.115), (0.755, 0.255), (0.66, 0.28), (0.865, 0.70)),
}
_BASES = {"right": (0.22, 0.655, 0.095, 0.075), "left": (0.835, 0.675, 0.065, 0.10)}
# Lateral and medial end of the fluid's surface: x, y each.
_MENISCUS = {"right": (0.075, 0.60, 0.335, 0.722), "left": (0.915, 0.615, 0.765, 0.742)}
_CATHETERS = {
    "right": (
        (0.12, 0.21),
        (0.22, 0.165),
        (0.33, 0.165),
        (0.41, 0.20),
        (0.44, 0.27),
        (0.445, 0.41),
    ),
    "left": (
        *((0.88, 0.21), (0.80, 0.165), (0.68, 0.165), (0.58, 0.205), (0.50, 0.25)),
        *((0.455, 0.31), (0.445, 0.42)),
    ),
}
_HEART = (0.57, 0.635)

_KINDS = ("opacity", "nodule", "catheter", "effusion", "cardiomegaly")
_SENTENCES = {
    "opacity": (
        "There is a hazy opacity at the {side} lung base.",
        "Patchy airspace opacity in the {side} lower lobe.",
    ),
    "nodule": (
        "A small round nodule is seen in the {side} lung.",
        "Solitary pulmonary nodule on the {side}, well outlined.",
    ),
    "catheter": (
        "A {side} subclavian central venous catheter ends in the superior vena cava.",
        "Central line inserted from the {side}; its tip projects over the superior vena cava.",
    ),
    "effusion": (
        "The {side} costophrenic angle is blunted: pleural effusion with a meniscus.",
        "Small to moderate {side} pleural effusion.",
    ),
    "cardiomegaly": (
        "The heart is enlarged: cardiomegaly.",
        "Cardiomegaly; the cardiothoracic ratio is increased.",
    ),
}
_IMPRESSIONS = {
    "opacity": "Opacity at the {side} base.",
    "nodule": "Nodule in the {side} lung.",
    "catheter": "Central venous catheter in place.",
    "effusion": "Pleural effusion on the {side}.",
    "cardiomegaly": "Cardiomegaly.",
}


@dataclass(frozen=True, slots=True)
class SimulatedFinding:
    """What was drawn into an image: one of five kinds, and its side ("" for the heart)."""

    kind: str
    side: str


@dataclass(frozen=True, slots=True)
class SimulatedFile:
    """The truth about one file of a simulated archive.

    Parameters
    ----------
    name
        As `indexer.archive.sources.Member` has it.
    outcome
        How an index run ends for it; ``"left_out"`` is either skipped or failed.
    reason
        Reason code where there is exactly one right answer.
    study
        Number of the simulated study.
    transfer_syntax
        Name of the encoding.
    mirrored
        Whether its stored pixels show the patient's left on the left of the picture.
    """

    name: str
    outcome: Outcome
    reason: str | None = None
    study: int | None = None
    findings: tuple[SimulatedFinding, ...] = ()
    transfer_syntax: str | None = None
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated archive: its folder, its reports' folder (inside), the truth of each file."""

    folder: Path
    reports: Path
    files: tuple[SimulatedFile, ...]


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How pixels are stored: a transfer syntax by pydicom's keyword, and what goes with it."""

    syntax: str
    bits: int = 12
    inverted: bool = False
    signed: bool = False
    window: bool = True


_ENCODINGS = (
    _Encoding("ExplicitVRLittleEndian", 12),
    _Encoding("JPEGLSLossless", 12, inverted=True),
    _Encoding("ImplicitVRLittleEndian", 16, signed=True),
    _Encoding("RLELossless", 10, inverted=True, window=False),
    _Encoding("JPEG2000Lossless", 12),
    _Encoding("JPEGBaseline8Bit", 8),
    _Encoding("JPEGLosslessSV1", 14, inverted=True),
    _Encoding("DeflatedExplicitVRLittleEndian", 12),
    _Encoding("ExplicitVRBigEndian", 15, inverted=True),
    _Encoding("JPEG2000", 12),
    _Encoding("ExplicitVRLittleEndian", 8, inverted=True, window=False),
    _Encoding("JPEGExtended12Bit", 12),
    _Encoding("ImplicitVRLittleEndian", 12, inverted=True),
    _Encoding("JPEGLSNearLossless", 12),
)


def simulate_archive(
    folder: Path, studies: int = 80, seed: int = 0, broken: bool = True
) -> Simulation:
    """Write an archive of simulated studies, the same one for the same arguments.

    Parameters
    ----------
    folder
        Created if missing. Gets ``studies/`` (some of them in a zip), ``reports/`` with one text
        for each study and, if `broken`, ``other/``.
    studies
        How many; each sixth has two images. Twelve are enough to meet every kind of finding.
    seed
        Of all that varies.
    broken
        Also write damaged files and those that are no chest radiographs: what the package
        ``pydicom-data`` holds of other modalities, and some of our own.

    Raises
    ------
    MissingExtraError
        ``pydicom-data`` is not installed.
    """
    source = _data_folder()
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    files: list[SimulatedFile] = []
    packed: list[tuple[str, bytes]] = []
    for number in range(1, studies + 1):
        for file, data in _study(number, studies, seed, reports):
            if NESTED in file.name:
                packed.append((file.name.split(NESTED)[1], data))
            else:
                _write(folder / file.name, data)
            files.append(file)
    if packed:
        _write(folder / _ZIP, _zipped(packed))
    if broken:
        files += _others(folder, source, seed)
    return Simulation(folder, reports, tuple(files))


def simulate_pictures(folder: Path, count: int, seed: int = 0, size: int = 256) -> None:
    """Write `count` different grey pictures of the same radiograph, each fourth one as PNG.

    Parameters
    ----------
    folder
        Created if missing; gets one subfolder for each 1,000 pictures.
    size
        Side of the square pictures in pixels.

    Raises
    ------
    MissingExtraError
        ``pydicom-data`` is not installed.
    """
    canvas = Image.fromarray((_radiograph(size + size // 4) * 255).astype(np.uint8))
    noise = np.random.default_rng(seed).normal(0, 3, (2 * size, 2 * size)).astype(np.int8)
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        picture = canvas.transform(
            (size, size), Image.Transform.AFFINE, _affine(rng, canvas.size, size), _BILINEAR
        )
        x, y = rng.integers(0, size, 2)
        grain = noise[y : y + size, x : x + size]
        pixels = np.clip(np.asarray(picture, np.int16) + grain, 0, 255).astype(np.uint8)
        suffix = ".png" if index % 4 == 3 else ".jpg"
        path = folder / f"{index // 1000:04d}" / f"picture{index:07d}{suffix}"
        if index % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)


# ---- the radiograph -----------------------------------------------------------------------------

_BILINEAR = Image.Resampling.BILINEAR
_BICUBIC = Image.Resampling.BICUBIC
_ASPECT = 0.95  # width over height of the part of the source that is used
_SOURCE = "RG1_UNCR.dcm"


def _data_folder() -> Path:
    try:
        from data_store import DataStore
    except ImportError as error:
        raise MissingExtraError(
            "the simulated archive needs the package pydicom-data: pip install 'cxrdex[demo]'"
        ) from error
    return Path(DataStore().data_path)


@lru_cache(maxsize=8)
def _radiograph(height: int) -> _Floats:
    """The source at `height` rows, 0..1 with bone white; read-only."""
    import pydicom

    data = pydicom.dcmread(_data_folder() / _SOURCE)
    stored = data.pixel_array[48:1940, 12:1810].astype(np.float32)  # inside the collimator
    low, high = np.percentile(stored[::4, ::4], (0.5, 99.5))
    linear = np.clip((high - stored) / (high - low), 0, 1) ** 1.5
    width = round(height * _ASPECT)
    image = Image.fromarray(linear).resize((width, height), Image.Resampling.LANCZOS)
    pixels: _Floats = np.clip(np.asarray(image), 0, 1)
    pixels.setflags(write=False)
    return pixels


def _affine(
    rng: np.random.Generator, source: tuple[int, int], size: int
) -> tuple[float, float, float, float, float, float]:
    """PIL's affine from a square of `size` into the middle of `source`, slightly turned."""
    angle = rng.uniform(-0.06, 0.06)
    zoom_x, zoom_y = rng.uniform(0.84, 0.97, 2) * source / size
    a, b = zoom_x * np.cos(angle), -zoom_x * np.sin(angle)
    c, d = zoom_y * np.sin(angle), zoom_y * np.cos(angle)
    shift_x, shift_y = (np.array(source) / 2) * (1 + rng.uniform(-0.03, 0.03, 2))
    middle = size / 2
    return (
        *(float(a), float(b), float(shift_x - (a + b) * middle)),
        *(float(c), float(d), float(shift_y - (c + d) * middle)),
    )


def _render(
    rng: np.random.Generator, height: int, width: int, findings: tuple[SimulatedFinding, ...]
) -> _Floats:
    """One simulated film, 0..1 with bone white and the patient's right on the left."""
    film = _radiograph(height).copy()
    for finding in findings:
        if finding.kind != "cardiomegaly":
            film = _DRAWERS[finding.kind](film, finding.side, rng)
    heart = rng.uniform(0.24, 0.32) if any(f.kind == "cardiomegaly" for f in findings) else 0.0
    film = _deform(film, (width, height), heart, rng)
    film = np.clip(film, 0, 1) ** rng.uniform(0.8, 1.3)
    film = 0.5 + (film - 0.5) * rng.uniform(0.85, 1.0) + rng.uniform(-0.04, 0.04)
    # Dense parts let fewer quanta through, so they are the noisier ones.
    grain = rng.standard_normal(film.shape, np.float32) * (0.4 + film)
    return np.clip(film + rng.uniform(0.004, 0.012) * grain, 0, 1).astype(np.float32)


def _deform(
    film: _Floats, size: tuple[int, int], heart: float, rng: np.random.Generator
) -> _Floats:
    """Another build: turned, stretched and bent a little; `heart` widens the heart's shadow."""
    cells = 28
    x, y = np.meshgrid(np.linspace(0, 1, cells + 1), np.linspace(0, 1, cells + 1))
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
    x, y = np.clip(x, 0, 1) * film.shape[1], np.clip(y, 0, 1) * film.shape[0]
    columns = np.round(np.linspace(0, size[0], cells + 1)).astype(int)
    rows = np.round(np.linspace(0, size[1], cells + 1)).astype(int)
    mesh = []
    for j in range(cells):
        for i in range(cells):
            corners = ((j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1))
            quad = tuple(float(axis[corner]) for corner in corners for axis in (x, y))
            mesh.append(((columns[i], rows[j], columns[i + 1], rows[j + 1]), quad))
    bent = Image.fromarray(film).transform(size, Image.Transform.MESH, mesh, _BICUBIC)
    return np.asarray(bent)


# ---- findings -----------------------------------------------------------------------------------


def _grid(film: _Floats) -> tuple[_Floats, _Floats]:
    height, width = film.shape
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    return x, y


@lru_cache(maxsize=32)
def _lung(side: str, height: int, margin: float = 0.0) -> _Floats:
    """A lung at `height` rows, widened by a `margin` of the height; 0..1, soft edge, read-only."""
    width = round(height * _ASPECT)
    mask = Image.new("L", (width, height))
    outline = [(x * width, y * height) for x, y in _LUNGS[side]]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    if margin:
        mask = mask.filter(ImageFilter.MaxFilter(2 * round(margin * height) + 1))
    soft = mask.filter(ImageFilter.GaussianBlur(height * 0.006))
    pixels = np.asarray(soft, np.float32) / 255
    pixels.setflags(write=False)
    return pixels


def _clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> _Floats:
    """Smooth random texture of mean 0 and deviation about 1."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), _BICUBIC))


def _sigmoid(x: _Floats) -> _Floats:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _add(film: _Floats, amount: _Floats) -> _Floats:
    """More attenuation: bright parts gain less, as the film saturates."""
    return film + amount * (1 - film)


def _opacity(film: _Floats, side: str, rng: np.random.Generator) -> _Floats:
    x, y = _grid(film)
    cx, cy, rx, ry = _BASES[side]
    scale = rng.uniform(0.9, 1.15)
    distance = ((x - cx) / (rx * scale)) ** 2 + ((y - cy) / (ry * scale)) ** 2
    patches = _clouds(rng, film.shape, 14) + 0.6 * _clouds(rng, film.shape, 34)
    # The texture also moves the edge, so that no ellipse is seen.
    amount = _sigmoid(3.5 * (1.1 - distance) + 0.8 * patches)
    strength = rng.uniform(0.68, 0.8) * np.clip(0.92 + 0.12 * patches, 0.4, 1.1)
    return _add(film, (amount * strength * _lung(side, film.shape[0])).astype(np.float32))


def _nodule(film: _Floats, side: str, rng: np.random.Generator) -> _Floats:
    x, y = _grid(film)
    cx, cy = _NODULES[side][rng.integers(len(_NODULES[side]))]
    radius = rng.uniform(0.016, 0.023)
    angle = np.arctan2(y - cy, x - cx)
    rim = 1 + 0.07 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(3 * angle)
    distance = np.hypot(x - cx, (y - cy) / _ASPECT) / (radius * rim)
    # The path of the beam through a ball, its edge softened.
    depth = np.sqrt(np.clip(1.05 - distance**2, 0, None))
    edge = _sigmoid(22 * (0.97 - distance))
    return _add(film, (rng.uniform(0.42, 0.52) * depth * edge).astype(np.float32))


def _effusion(film: _Floats, side: str, rng: np.random.Generator) -> _Floats:
    x, y = _grid(film)
    x0, y0, x1, y1 = _MENISCUS[side]
    y0 += rng.uniform(-0.03, 0.03)
    t = np.clip((x - x0) / (x1 - x0), -0.1, 1.2)
    surface = y1 - (y1 - y0) * np.exp(-2.6 * t) - 0.008
    below = _sigmoid((y - surface) / 0.011)
    wet = below * _lung(side, film.shape[0], 0.012)
    level = 0.87 + 0.012 * _clouds(rng, film.shape, 10)
    return film + (0.93 * wet * np.clip(level - film, 0, 1)).astype(np.float32)


def _catheter(film: _Floats, side: str, rng: np.random.Generator) -> _Floats:
    height, width = film.shape
    bend = rng.uniform(-0.008, 0.008, (len(_CATHETERS[side]), 2))
    path = _spline(np.array(_CATHETERS[side]) + bend)
    points = [(float(x) * width * 2, float(y) * height * 2) for x, y in path]
    tube = Image.new("L", (width * 2, height * 2))
    draw = ImageDraw.Draw(tube)
    draw.line(points, fill=255, width=max(3, round(height * 0.0085)), joint="curve")
    # The wall of a tube attenuates most where the beam runs along it.
    draw.line(points, fill=150, width=max(1, round(height * 0.0035)), joint="curve")
    small = tube.resize((width, height), Image.Resampling.BOX)
    return _add(film, np.asarray(small, np.float32) / 255 * rng.uniform(0.5, 0.6))


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


_DRAWERS = {
    "opacity": _opacity,
    "nodule": _nodule,
    "effusion": _effusion,
    "catheter": _catheter,
}


# ---- studies ------------------------------------------------------------------------------------

_HEIGHTS = (640, 512, 768, 896, 640, 1024)
_ZIP = "studies/export.zip"
# Studies, by number, in which something is special.
_MIRRORED_BY_ORIENTATION = 5
_MIRRORED_BY_FLIP = 6
_BURNED_IN = 7
_ORIGINAL, _DUPLICATE = 8, 9
_WITHOUT_META = 10
_CAPTURED = 11
_CR = "1.2.840.10008.5.1.4.1.1.1"
_DX = "1.2.840.10008.5.1.4.1.1.1.1"
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def _study(
    number: int, studies: int, seed: int, reports: Path
) -> Iterator[tuple[SimulatedFile, bytes]]:
    content = _ORIGINAL if number == _DUPLICATE else number
    encoding = _ENCODINGS[(content - 1) % len(_ENCODINGS)]
    if number == _DUPLICATE:
        encoding = replace(encoding, syntax="RLELossless")
    if number == _WITHOUT_META:
        encoding = replace(encoding, syntax="ImplicitVRLittleEndian")
    findings = _findings(content)
    mirrored = number in (_MIRRORED_BY_ORIENTATION, _MIRRORED_BY_FLIP)
    images = 2 if number % 6 == 0 else 1
    rng = np.random.default_rng((seed, number))
    header = _header(number, seed)
    for image in range(1, images + 1):
        drawn = np.random.default_rng((seed, content, image))
        height = _HEIGHTS[int(drawn.integers(len(_HEIGHTS)))]
        width = round(height * drawn.uniform(0.84, 1.02))
        film = _render(drawn, height, width, findings)
        header.update(_instance(header, number, image))
        if number == _BURNED_IN:
            film = _with_text(film, "SIMULATED")
        data = _dicom(
            film[:, ::-1] if mirrored else film, encoding, header, number != _WITHOUT_META
        )
        stem = f"sim{number:04d}-{image}"
        path = f"{stem}{'' if number % 4 == 1 else '.dcm'}"
        packed = studies >= 12 and number > studies - 3
        folder = f"{_ZIP}{NESTED}" if packed else "studies/"
        yield (
            SimulatedFile(
                name=f"{folder}patient{_patient(number):04d}/study{number:04d}/{path}",
                outcome="duplicate" if number == _DUPLICATE else "done",
                study=number,
                findings=findings,
                transfer_syntax=encoding.syntax,
                mirrored=mirrored,
            ),
            data,
        )
    # Reports are found by a file's name, and as well by the numbers of the header.
    name = str(header["StudyInstanceUID"]) if images > 1 else stem
    name = str(header["AccessionNumber"]) if number % 10 == 4 else name
    (reports / f"{name}.txt").write_text(_report(number, findings, rng), encoding="utf-8")


def _findings(number: int) -> tuple[SimulatedFinding, ...]:
    """Two studies of three have a finding, and each fourth of these a second one."""
    if number % 3 == 0:
        return ()
    turn = number - 1 - number // 3
    sides = ("left", "right") if turn // len(_KINDS) % 2 == 0 else ("right", "left")
    kinds = [_KINDS[turn % len(_KINDS)]]
    if turn % 4 == 3:
        kinds.append(_KINDS[(turn + 2) % len(_KINDS)])
    return tuple(
        SimulatedFinding(kind, "" if kind == "cardiomegaly" else side)
        for kind, side in zip(kinds, sides, strict=False)
    )


def _patient(number: int) -> int:
    return number - 1 if number % 10 == 3 else number


def _report(number: int, findings: tuple[SimulatedFinding, ...], rng: np.random.Generator) -> str:
    masses = "Several round masses in both lungs, as in the radiograph this one was made from."
    said = [_SENTENCES[f.kind][rng.integers(2)].format(side=f.side) for f in findings]
    concluded = [_IMPRESSIONS[f.kind].format(side=f.side) for f in findings]
    return (
        f"SIMULATED REPORT {number}: it is about a simulated radiograph, not about a patient.\n\n"
        "INDICATION: Demonstration.\n\nCOMPARISON: None.\n\n"
        f"FINDINGS: {' '.join([*said, masses])}\n\n"
        f"IMPRESSION: {' '.join([*concluded, 'Round masses in both lungs.'])}\n"
    )


def _with_text(film: _Floats, text: str) -> _Floats:
    picture = Image.fromarray(film)
    font = ImageFont.load_default(film.shape[0] / 22)
    ImageDraw.Draw(picture).text((20, 20), text, fill=1.0, font=font)
    return np.asarray(picture)


# ---- DICOM --------------------------------------------------------------------------------------


def _uid(*names: object) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[_CREATOR, *map(str, names)]))


def _header(number: int, seed: int) -> dict[str, object]:
    rng = np.random.default_rng((seed, _patient(number), 99))
    year, age = 2012 + number % 12, int(rng.integers(19, 96))
    captured = number == _CAPTURED
    digital = number % 3 == 1 and not captured
    mirrored = number == _MIRRORED_BY_ORIENTATION
    return {
        "SOPClassUID": _CAPTURE if captured else _DX if digital else _CR,
        "StudyInstanceUID": _uid(seed, number),
        "SeriesInstanceUID": _uid(seed, number, 1),
        "ImageType": ["DERIVED", "SECONDARY"],
        "StudyDate": f"{year}{1 + number % 12:02d}15",
        "StudyTime": "120000",
        "AccessionNumber": f"SIMACC{number:04d}",
        "Modality": "OT" if captured else "DX" if digital else "CR",
        "ConversionType": "SYN" if captured else None,
        "PresentationIntentType": "FOR PRESENTATION" if digital else None,
        "Manufacturer": f"Simulated {('Alpha', 'Beta', 'Gamma')[number % 3]}",
        "InstitutionName": "SIMULATED",
        "StudyDescription": "SIMULATED CHEST",
        "DerivationDescription": _NOTE,
        "PatientName": f"SIMULATED^CHEST {_patient(number):04d}",
        "PatientID": f"SIM{_patient(number):04d}",
        "PatientBirthDate": f"{year - age}0101",
        "PatientSex": "FMO"[int(rng.choice(3, p=(0.49, 0.49, 0.02)))],
        "PatientAge": f"{age:03d}Y",
        "BodyPartExamined": "CHEST",
        "ViewPosition": ("PA", "PA", "AP", "")[number % 4],
        "PatientOrientation": ["R", "F"] if mirrored else ["L", "F"],
        "FieldOfViewHorizontalFlip": "NO",
        "BurnedInAnnotation": "YES" if number == _BURNED_IN else "NO",
        "ImageComments": _NOTE,
        **({"PatientOrientation": None} if number == _MIRRORED_BY_FLIP else {}),
        **({"FieldOfViewHorizontalFlip": "YES"} if number == _MIRRORED_BY_FLIP else {}),
    }


def _instance(header: dict[str, object], number: int, image: int) -> dict[str, object]:
    return {
        "SOPInstanceUID": _uid(header["StudyInstanceUID"], image),
        "SeriesNumber": 1,
        "InstanceNumber": image,
        # Several ways to say the same greys: none, slope and intercept, and a window beside them.
        "RescaleSlope": (1, 2, 0.5)[number % 3],
        "RescaleIntercept": (0, -1024, 100)[number % 3],
    }


def _dicom(
    film: _Floats,
    encoding: _Encoding,
    header: dict[str, object],
    meta: bool = True,
) -> bytes:
    """A DICOM file of `film` (rows, columns), 0..1; without preamble and meta group on demand."""
    from pydicom import dcmwrite, uid
    from pydicom.dataset import Dataset, FileMetaDataset

    syntax = getattr(uid, encoding.syntax)
    image = Dataset()
    for keyword, value in header.items():
        if value is not None:
            setattr(image, keyword, value)
    pixels = _stored_values(film, encoding, image)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = syntax
    _set_pixels(image, pixels, encoding)
    buffer = io.BytesIO()
    if meta:
        dcmwrite(buffer, image, enforce_file_format=True)
    else:
        del image.file_meta
        dcmwrite(buffer, image, implicit_vr=True, little_endian=True)
    return buffer.getvalue()


def _stored_values(film: _Floats, encoding: _Encoding, image: Dataset) -> npt.NDArray[np.generic]:
    """Stored values of `film`, the tags that explain them set in `image`."""
    full = 2**encoding.bits - 1
    low, high = (0.06 * full, 0.9 * full) if encoding.window else (0.0, float(full))
    grey = 1 - film if encoding.inverted else film
    pixels = np.rint(low + grey * (high - low)).astype(np.int32)
    shift = 2 ** (encoding.bits - 1) if encoding.signed else 0
    slope, intercept = float(image.RescaleSlope), float(image.RescaleIntercept)
    if encoding.window:
        image.WindowCenter = f"{((low + high) / 2 - shift) * slope + intercept:.8g}"
        image.WindowWidth = f"{(high - low) * slope:.8g}"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME1" if encoding.inverted else "MONOCHROME2"
    image.BitsAllocated = 8 if encoding.bits <= 8 else 16
    image.BitsStored, image.HighBit = encoding.bits, encoding.bits - 1
    image.PixelRepresentation = int(encoding.signed)
    sign = "i" if encoding.signed else "u"
    return (pixels - shift).astype(f"{sign}{image.BitsAllocated // 8}")


def _set_pixels(image: Dataset, pixels: npt.NDArray[np.generic], encoding: _Encoding) -> None:
    from pydicom.encaps import encapsulate

    syntax = image.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        order: Literal["<", ">"] = "<" if syntax.is_little_endian else ">"
        raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        image.PixelData = raw + b"\0" * (len(raw) % 2)
        image["PixelData"].VR = "OB" if image.BitsAllocated == 8 else "OW"
    elif encoding.syntax == "JPEGBaseline8Bit":
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
        image.PixelData = encapsulate([buffer.getvalue()])
    elif encoding.syntax in ("JPEGLosslessSV1", "JPEGExtended12Bit"):
        image.PixelData = encapsulate(
            [_gdcm_jpeg(image, pixels, encoding.syntax == "JPEGLosslessSV1")]
        )
    else:
        options: dict[str, Any] = {}
        if encoding.syntax == "JPEG2000":
            options["j2k_cr"] = [8]
        elif encoding.syntax == "JPEGLSNearLossless":
            options["jls_error"] = 2
        image.compress(syntax, pixels, generate_instance_uid=False, **options)
    if syntax.is_encapsulated:
        image["PixelData"].VR = "OB"
        image["PixelData"].is_undefined_length = True
    if encoding.syntax in ("JPEGBaseline8Bit", "JPEGExtended12Bit", "JPEG2000"):
        image.LossyImageCompression = "01"


def _gdcm_jpeg(image: Dataset, pixels: npt.NDArray[np.generic], lossless: bool) -> bytes:
    """A JPEG codestream of a kind that neither Pillow nor pydicom writes."""
    import gdcm
    from pydicom import dcmwrite
    from pydicom.uid import ExplicitVRLittleEndian

    native = copy.deepcopy(image)
    native.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    native.PixelData = pixels.tobytes()
    native["PixelData"].VR = "OW"
    reader = gdcm.ImageReader()
    with tempfile.TemporaryDirectory() as folder:
        # gdcm's reader owns the image that it reads; one made here would be freed twice.
        path = str(Path(folder, "native.dcm"))
        dcmwrite(path, native, enforce_file_format=True)
        reader.SetFileName(path)
        readable = reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    kinds = gdcm.TransferSyntax
    kind = kinds.JPEGLosslessProcess14_1 if lossless else kinds.JPEGExtendedProcess2_4
    change.SetTransferSyntax(kinds(kind))
    picture = reader.GetImage()
    if not lossless:
        # gdcm writes Bits Allocated into the codestream, where only 8 and 12 are valid.
        bits = image.BitsStored
        picture.SetPixelFormat(gdcm.PixelFormat(1, bits, bits, bits - 1, 0))
    change.SetInput(picture)
    if not readable or not change.Change():
        raise CxrdexError("gdcm cannot write JPEG: install python-gdcm>=3.0.24 anew")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    stream = fragments.GetFragment(0).GetByteValue().GetBuffer()
    # gdcm's Python wrapper may give bytes as text.
    return stream if isinstance(stream, bytes) else bytes(stream, "utf-8", "surrogateescape")


# ---- what is no radiograph to index -------------------------------------------------------------

# Too large to be worth their time: the same pictures follow in other encodings.
_LEFT = frozenset({"RG1_UNCI.dcm", "RG1_UNCR.dcm", "RG3_UNCI.dcm", "RG3_UNCR.dcm"})


def _others(folder: Path, source: Path, seed: int) -> list[SimulatedFile]:
    files: list[SimulatedFile] = []
    for path in sorted(source.glob("*.dcm")):
        if path.name not in _LEFT:
            _write(folder / "other" / "pydicom-data" / path.name, path.read_bytes())
            outcome: Outcome = "done" if path.name.startswith("RG1_") else "left_out"
            files.append(SimulatedFile(f"other/pydicom-data/{path.name}", outcome))
    for name, data, outcome, reason in _damaged(seed):
        _write(folder / "other" / name, data)
        files.append(SimulatedFile(f"other/{name}", outcome, reason))
    return files


def _damaged(seed: int) -> Iterator[tuple[str, bytes, Outcome, str]]:
    film = _render(np.random.default_rng((seed, 0)), 512, 486, ())
    plain = _Encoding("ExplicitVRLittleEndian")

    def made(
        name: str, encoding: _Encoding = plain, picture: _Floats = film, **tags: object
    ) -> bytes:
        own = {"StudyInstanceUID": _uid(seed, name), "PatientID": f"SIM {name}"}
        header = {**_header(1, seed), **own, **tags}
        return _dicom(picture, encoding, {**header, **_instance(header, 1, 1)})

    whole = made("truncated")
    yield "truncated.dcm", whole[: len(whole) * 3 // 5], "failed", "truncated"
    wavelets = made("wavelets", replace(plain, syntax="JPEG2000Lossless"))
    broken = wavelets.replace(b"\xff\x4f\xff\x51", bytes(4))
    yield "bad-codestream.dcm", broken, "failed", "undecodable_pixels"
    yield "blank.dcm", made("blank", picture=np.full_like(film, 0.5)), "failed", "blank_image"
    yield "empty.dcm", b"", "failed", "truncated"
    yield "notes.dcm", b"This is a text that somebody called .dcm.\n", "failed", "not_dicom"
    yield "readme.txt", b"A text beside the radiographs.\n", "skipped", "not_an_image"
    raw = made("raw", PresentationIntentType="FOR PROCESSING", SOPClassUID=f"{_DX}.1")
    yield "raw.dcm", raw, "skipped", "raw_for_processing"
    hand = made("hand", BodyPartExamined="HAND", StudyDescription="SIMULATED HAND")
    yield "hand.dcm", hand, "skipped", "other_body_part"
    clip = made("clip", NumberOfFrames=3)
    yield "clip.dcm", clip, "skipped", "multi_frame"
    archive = _zipped([("inside.dcm", whole)])
    yield "damaged.zip", archive[: len(archive) // 2], "failed", "unreadable_file"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _zipped(files: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            # A fixed time: the same arguments give the same archive, byte by byte.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()
