"""Are pictures that are no chest films called unusual, and chest films not?

    python -m benchmarks.unusual ../shared

The shipped bundle reads the val films of three sources; then, each as a file of its own, some of
these films inverted, upside down and turned, and pictures of noise; then frames of other body parts
and things: of the hip in `../shared/dicom`, and of all that pydicom's test data hold but their
chest film. Of those the pixels alone are looked at: by their headers `cxrdex index` leaves most of
them out before it reads any; how many files it does is counted apart, and whether the pictures of
the others are called unusual.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image

from benchmarks.record import write_result
from indexer.archive.decoding import DecodeSettings, decode
from indexer.cascade.bundle import Bundle
from indexer.cascade.interpretation.certainty import UNUSUAL
from indexer.cascade.interpretation.unusual import UnusualScore
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import load_canvases, load_examples
from indexer.errors import FailedImage, ImageError
from indexer.simulation.radiograph import data_folder

_SOURCES = ("openi", "nih", "roco")
_CHEST = ("RG1_", "chest_")
_FRAMES = 5
# Copies of a picture in another encoding are as alike as that.
_ALIKE = 0.99

Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Canvases = npt.NDArray[np.uint8]


class _Judge:
    """Tells which pictures the shipped bundle calls unusual."""

    def __init__(self) -> None:
        self.bundle = Bundle.load(None)
        self.runtime = Predictor(self.bundle)
        score = UnusualScore.of(self.bundle.weights())
        if score is None:
            raise click.ClickException("the bundle does not tell what is unusual")
        self._score = score
        self.settings = DecodeSettings(
            self.bundle.size,
            self.bundle.squash,
            borders=self.bundle.borders,
            key=b"benchmark",
            thumbnail=0,
        )

    def marks(self, canvases: Canvases) -> npt.NDArray[np.bool_]:
        """Which of them are unusual."""
        step = self.runtime.batch_size
        chunks = [np.array(canvases[s : s + step]) for s in range(0, len(canvases), step)]
        scores = [self._score(chunk, self.runtime.encode(chunk).embedding) for chunk in chunks]
        return np.concatenate(scores) > UNUSUAL

    def canvases(self, pictures: Sequence[Picture]) -> Canvases:
        """Pictures as an archive would hold them, decoded; but for blank ones, which fail."""
        found = []
        for picture in pictures:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "PNG", compress_level=1)
            try:
                found.append(decode(file.getvalue(), "a.png", self.settings).canvas)
            except FailedImage as error:
                if error.reason != "blank_image":
                    raise
        return np.array(found)

    def refuses(self, path: Path) -> bool:
        """Whether a file is left out before any picture of it is read."""
        try:
            decode(path.read_bytes(), path.name, self.settings)
        except ImageError:
            return True
        return False


def _inverted(film: Picture, rng: np.random.Generator) -> Picture:
    return 255 - film


def _upside_down(film: Picture, rng: np.random.Generator) -> Picture:
    return film[::-1]


def _quarter_turn(film: Picture, rng: np.random.Generator) -> Picture:
    return np.rot90(film, rng.choice([1, 3]))


def _half_turn(film: Picture, rng: np.random.Generator) -> Picture:
    return film[::-1, ::-1]


def _noise(film: Picture, rng: np.random.Generator) -> Picture:
    """Of the film's size: even or normal noise, in sharp or smooth grains of any size."""
    rows, columns = film.shape
    grain = int(rng.choice([1, 2, 4, 8, 16, 32]))
    shape = (max(2, rows // grain), max(2, columns // grain))
    values = rng.uniform(0, 255, shape) if rng.random() < 0.5 else rng.normal(128, 50, shape)
    resample = Image.Resampling.NEAREST if rng.random() < 0.5 else Image.Resampling.BICUBIC
    grains = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    return np.asarray(grains.resize((columns, rows), resample))


_KINDS: tuple[Callable[[Picture, np.random.Generator], Picture], ...] = (
    _inverted,
    _upside_down,
    _quarter_turn,
    _half_turn,
    _noise,
)


def _frames(path: Path) -> Iterator[Picture]:
    """Some frames of a DICOM file as grey pictures, all their values stretched to 16 bits."""
    try:
        dataset = pydicom.dcmread(path, force=True)
        stored = dataset.pixel_array.astype(np.float64)
    except Exception:  # noqa: BLE001 - test files are broken in every way; no picture is none
        return
    if dataset.get("SamplesPerPixel", 1) == 3:
        stored = stored.mean(-1)
    frames = stored.reshape(-1, *stored.shape[-2:])
    for number in np.unique(np.linspace(0, len(frames) - 1, _FRAMES).astype(int)):
        low, high = frames[number].min(), frames[number].max()
        level = (frames[number] - low) / max(high - low, 1)
        if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            level = 1 - level
        yield (level * 65535).astype(np.uint16)


def _distinct(canvases: Canvases) -> list[int]:
    """The numbers of those that are no copies of one before."""
    rows = canvases.reshape(len(canvases), -1).astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6
    kept: list[int] = []
    for number, row in enumerate(rows):
        if not kept or (rows[kept] @ row).max() < _ALIKE:
            kept.append(number)
    return kept


def _counted(marks: npt.NDArray[np.bool_]) -> dict[str, float]:
    return {"pictures": len(marks), "unusual": round(float(marks.mean()), 4)}


@click.command()
@click.argument("shared", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--limit", type=click.IntRange(min=1), help="Use so many val films of each source.")
@click.option("--count", default=100, show_default=True, help="Pictures of each kind.")
def main(shared: Path, limit: int | None, count: int) -> None:
    """Print and keep the shares called unusual."""
    judge, rng = _Judge(), np.random.default_rng(0)
    paths: list[Path] = []
    val = {}
    for source in _SOURCES:
        examples = load_examples(shared / source, "val", "picture")
        chosen = np.sort(rng.permutation(len(examples))[:limit])
        examples = [examples[number] for number in chosen]
        paths += [example.path for example in examples]
        with tempfile.TemporaryDirectory() as cache:
            val[source] = judge.marks(load_canvases(examples, judge.settings, Path(cache)))
    kinds = {}
    for kind in _KINDS:
        films = [paths[number] for number in rng.permutation(len(paths))[:count]]
        spoilt = [kind(np.asarray(Image.open(film).convert("L")), rng) for film in films]
        kinds[kind.__name__.lstrip("_")] = _counted(judge.marks(judge.canvases(spoilt)))
    dicom = sorted((shared / "dicom").glob("*.dcm"))
    own = Path(pydicom.__file__).parent / "data" / "test_files"
    tested = [*data_folder().glob("*.dcm"), *own.glob("*.dcm")]
    files = sorted({path.name: path for path in tested}.values(), key=lambda path: path.name)
    other = {
        path: frames
        for path in (*dicom, *files)
        if not path.name.startswith(_CHEST) and (frames := [*_frames(path)])
    }
    taken_in = {path for path in other if not judge.refuses(path)}
    missed: dict[str, list[str]] = {}
    passed: dict[str, list[bool]] = {}
    for name, group in (("hip", set(dicom)), ("pydicom", {*other} - {*dicom})):
        taken = {path: judge.canvases(other[path]) for path in other if path in group}
        canvases = np.concatenate([part for part in taken.values() if len(part)])
        origin = [path for path, part in taken.items() for _ in part]
        marks, kept = judge.marks(canvases), _distinct(canvases)
        kinds[name] = _counted(marks[kept])
        kinds[f"{name}_with_copies"] = _counted(marks)
        missed[name] = [origin[number].name for number in kept if not marks[number]]
        for path, mark in zip(origin, marks.tolist(), strict=True):
            if path in taken_in:
                passed.setdefault(path.name, []).append(mark)
    chest = [path for path in dicom if path not in other]
    films = [decode(path.read_bytes(), path.name, judge.settings).canvas for path in chest]
    write_result(
        "unusual",
        {
            "command": "python -m benchmarks.unusual ../shared",
            "bundle": judge.bundle.hash,
            "precision": judge.runtime.precision,
            "val": {name: _counted(marks) for name, marks in val.items()},
            "val_of_all": _counted(np.concatenate(list(val.values()))),
            "chest_dicom": _counted(judge.marks(np.array(films))),
            "kinds": kinds,
            "files_of_other_things": {
                "files": len(other),
                "left_out_before": len(other) - len(taken_in),
                "not_left_out_and_called_unusual": passed,
                "not_called_unusual": missed,
            },
        },
    )


if __name__ == "__main__":
    main()
