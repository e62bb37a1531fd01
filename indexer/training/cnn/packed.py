"""What one CNN learns from in one small file, to be trained on another machine.

That machine needs torch, timm, Pillow, scikit-learn, safetensors, blake3 and this source, no data
set and no decoder. Pictures are kept as lossy WebP and numbers with 16 bits, so what is learnt
differs a little from what is learnt here.
"""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import save_file

from indexer.cascade.bundle import Bundle, with_nulls
from indexer.datasets.targets import KnownTargets
from indexer.errors import TrainingError
from indexer.training.cnn.member import (
    TrainingRun,
    Validation,
    finished_path,
    identity,
    train_member,
)
from indexer.training.cnn.supervision import Supervision
from indexer.training.recipe import Recipe
from indexer.training.sources import Start

__all__ = ["pack", "train_packed"]

_FACTS, _ARRAYS = "facts.json", "arrays.npz"
# WebP quality: fifteen thousand films of 256 pixels take some 45 MB.
_QUALITY = 60

_ByteArray = npt.NDArray[np.uint8]


def pack(
    path: Path,
    recipe: Recipe,
    number: int,
    supervision: Supervision,
    canvases: _ByteArray,
    validation: Validation,
    run: TrainingRun,
) -> None:
    """Write what `train_member` would be called with.

    Parameters
    ----------
    path
        The file; it holds pictures and vectors of sentences, but no text and no id.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        field.name: _small(getattr(supervision, field.name).numpy())
        for field in fields(supervision)
    }
    shares = arrays.pop("phrase_shares")
    row, column = np.nonzero(shares)
    arrays |= {"share_row": row, "share_column": column, "share": shares[row, column]}
    arrays |= {
        "val_targets": _small(validation.goals.targets),
        "val_known": validation.goals.known,
        "val_lateral": _small(validation.lateral),
        "val_source": validation.source,
    }
    if run.draw_weight is not None:
        arrays["draw_weight"] = run.draw_weight
    for part, pictures in (("train", canvases), ("val", validation.canvases)):
        files = _encoded(pictures)
        arrays[f"{part}_lengths"] = np.array([len(file) for file in files])
        arrays[f"{part}_pictures"] = np.frombuffer(b"".join(files), np.uint8)
    facts = {
        "recipe": asdict(recipe),
        "number": number,
        "identity": identity(recipe, number, supervision, canvases, run),
        "start": None if run.start is None else run.start.bundle.hash,
        "labels": run.names,
        "sources": validation.names,
        "phrases": shares.shape[1],
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    fresh = path.with_name(f"{path.name}.new")
    with zipfile.ZipFile(fresh, "w") as archive:
        archive.writestr(_FACTS, json.dumps(facts))
        archive.writestr(_ARRAYS, packed.getvalue())
    fresh.replace(path)


def train_packed(
    path: Path, output: Path, *, start: Path | None = None, device: str = "cuda"
) -> Path:
    """Train the CNN of a packed file.

    Parameters
    ----------
    path
        As `pack` wrote it.
    output
        Folder of the checkpoint and of the trained CNN.
    start
        The bundle that training starts from, where it starts from one.
    device
        Where it is trained.

    Returns
    -------
    Path
        The trained CNN: in the folder ``--work`` of the training that packed it, that training
        takes it for its own.

    Raises
    ------
    TrainingError
        It is no such file, or of another bundle.
    BundleError
        There is no bundle at `start`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read(_FACTS))
            arrays = dict(np.load(io.BytesIO(archive.read(_ARRAYS))))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is no packed training: {error}") from error
    begin = None if start is None else Start(Bundle.load(start))
    if facts["start"] != (begin and begin.bundle.hash):
        raise TrainingError(
            f"{path} starts from the bundle {facts['start'] or 'none'}, given is "
            f"{begin.bundle.hash if begin else 'none'}"
        )
    # JSON has lists where a recipe has tuples.
    tuples = {k: tuple(v) for k, v in facts["recipe"].items() if isinstance(v, list)}
    recipe = Recipe(**facts["recipe"] | tuples)
    shares = np.zeros((len(arrays["report"]), facts["phrases"]), np.float32)
    shares[arrays["share_row"], arrays["share_column"]] = arrays["share"]
    arrays["phrase_shares"] = shares
    supervision = Supervision(
        **{f.name: torch.from_numpy(_whole(arrays[f.name])) for f in fields(Supervision)}
    )
    validation = Validation(
        _decoded(arrays, "val"),
        KnownTargets(_whole(arrays["val_targets"]), arrays["val_known"]),
        _whole(arrays["val_lateral"]),
        arrays["val_source"],
        facts["sources"],
    )
    labels = [tuple(name) if isinstance(name, list) else name for name in facts["labels"]]
    output.mkdir(parents=True, exist_ok=True)
    run = TrainingRun(output, torch.device(device), begin, labels, arrays.get("draw_weight"))
    canvases = _decoded(arrays, "train")
    member, history = train_member(recipe, facts["number"], supervision, canvases, validation, run)
    finished = finished_path(output, facts["number"], facts["identity"])
    weights = {name: value.cpu().contiguous() for name, value in member.state_dict().items()}
    save_file(weights, finished, {"history": json.dumps(with_nulls(history))})
    return finished


def _small(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.float16) if values.dtype == np.float32 else values


def _whole(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _encoded(canvases: _ByteArray) -> list[bytes]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_webp, canvases))


def _webp(canvas: _ByteArray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "WEBP", quality=_QUALITY)
    return file.getvalue()


def _decoded(arrays: dict[str, npt.NDArray[Any]], part: str) -> _ByteArray:
    data, ends = arrays[f"{part}_pictures"], arrays[f"{part}_lengths"].cumsum()
    files = np.split(data, ends[:-1])
    with ThreadPoolExecutor() as pool:
        pictures = pool.map(
            lambda file: np.asarray(Image.open(io.BytesIO(file.tobytes())).convert("L")), files
        )
        return np.stack(list(pictures))
