"""How films look: the limits and weights of `indexer.archive.appearance`, fitted and judged.

    python -m benchmarks.appearance ../shared

Half of each source's films is fitted on, the other half judged, each source apart: how rough films
are at most, how black and white, and how often one is taken for inverted, shown right and not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.archive.appearance import bone_is_white
from indexer.archive.plausibility import roughness
from indexer.archive.scaling import to_canvas
from indexer.archive.windowing import GreyImage, render

_SOURCES = ("openi", "nih", "roco")
_SIDE, _SIZE, _STEPS = 8, 256, 3000


def _films(folder: Path, count: int) -> tuple[npt.NDArray[np.uint8], list[tuple[float, float]]]:
    paths = sorted(path for path in (folder / "images").iterdir() if path.is_file())
    chosen = np.random.default_rng(0).permutation(len(paths))[:count]
    canvases, rough = [], []
    for number in chosen:
        picture = render(GreyImage(np.asarray(Image.open(paths[number]).convert("L")), 8))
        canvases.append(to_canvas(picture, _SIZE, squash=True))
        rough.append(roughness(picture))
    return np.array(canvases), rough


def _blocks(canvases: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    step = _SIZE // _SIDE
    means = canvases.reshape(-1, _SIDE, step, _SIDE, step).mean((2, 4)).reshape(len(canvases), -1)
    means -= means.mean(1, keepdims=True)
    alike: npt.NDArray[Any] = means / (means.std(1, keepdims=True) + 1e-6)
    return alike


def _fit(blocks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Logistic regression without offset: the exchanged film has the opposite features."""
    weights = np.zeros(blocks.shape[1])
    for _ in range(_STEPS):
        missed = 1 / (1 + np.exp(blocks @ weights))
        weights += 0.3 * (blocks.T @ missed / len(blocks) - 0.01 * weights)
    return weights


@click.command()
@click.argument("shared", type=click.Path(path_type=Path))
@click.option("--count", default=1600, help="Films of each source.")
def main(shared: Path, count: int) -> None:
    """Print fitted weights, and what they and the limits come to on films they have not seen."""
    fitted, judged = [], {}
    for source in _SOURCES:
        canvases, rough = _films(shared / source, count)
        half = len(canvases) // 2
        fitted.append(_blocks(canvases[:half]))
        judged[source] = canvases[half:]
        extreme = ((canvases <= 1) | (canvases >= 254)).mean((1, 2))
        along, across = np.array(rough).max(0)
        click.echo(f"{source}: along {along:.3f}, across {across:.3f}, extreme {extreme.max():.2f}")
    weights = np.rint(_fit(np.vstack(fitted)) * 100).astype(int).reshape(_SIDE, _SIDE)
    click.echo(weights)
    for source, canvases in judged.items():
        right = np.array([bone_is_white(canvas) for canvas in canvases])
        click.echo(
            f"{source}: {np.mean(right < -1):.4f} of the films look inverted, "
            f"{np.mean(right > 1):.4f} of the exchanged ones do"
        )


if __name__ == "__main__":
    main()
