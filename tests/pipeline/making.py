"""What the tests of runs share: a tiny cascade, pictures, readers that misbehave, comparisons."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle, BundleDescription
from indexer.cascade.labels import LabelSet
from indexer.database.outcomes import Outcome
from indexer.database.reader import DatabaseReader
from indexer.database.text.store import open_text_store
from indexer.pipeline.executor import FileTask, file_reader

SIZE, DIMENSIONS = 64, 32


def make_bundle(
    folder: Path, name: str = "tiny", seed: int = 0, record: Mapping[str, Any] | None = None
) -> Bundle:
    """An untrained cascade that reads a picture in a millisecond."""
    import torch

    from indexer.cascade.networks.annotator import Annotator
    from indexer.cascade.networks.encoder import Encoder

    torch.manual_seed(seed)
    labels = LabelSet(
        ("normal", "opacity", "cardiomegaly"),
        (("opacity", "left"),),
        ("", "normal", "opacity", "cardiomegaly", "left", "lung"),
    )
    modules = {
        "encoder": Encoder(["test_resnet"], DIMENSIONS, 4),
        "annotator": Annotator(DIMENSIONS, 6, units=16),
    }
    return Bundle.save(
        folder,
        BundleDescription(
            name=name,
            size=SIZE,
            squash=True,
            dimensions=DIMENSIONS,
            labels=labels,
            thresholds=dict.fromkeys(labels.findings, 0.5),
            architecture={
                "backbones": ["test_resnet"],
                "sentences": 0,
                "annotator": {"units": 16},
            },
            record=record or {},
        ),
        {
            f"{part}.{key}": value.numpy()
            for part, module in modules.items()
            for key, value in module.state_dict().items()
        },
    )


def write_picture(path: Path, seed: int) -> Path:
    """A picture of soft blotches that differ from seed to seed."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((80, 96), Image.Resampling.BICUBIC).save(path, "PNG")
    return path


def write_pictures(folder: Path, count: int, first: int = 0) -> Path:
    """``000.png``, ``001.png`` ... with seeds from `first`."""
    for number in range(count):
        write_picture(folder / f"{number:03d}.png", first + number)
    return folder


def misbehaving_reader(settings: DecodeSettings) -> Callable[[FileTask], Outcome]:
    """As `file_reader`, but the names of some files are orders."""
    return partial(_misbehave, settings)


def _misbehave(settings: DecodeSettings, task: FileTask) -> Outcome:
    if "crash" in task.member.name:
        os._exit(11)
    if "hang" in task.member.name:
        time.sleep(1000)
    return file_reader(settings)(task)


def database_state(path: Path) -> dict[str, Any]:
    """All that may be asked of a database, without what differs from run to run."""
    with DatabaseReader.open(path) as database:
        made = database.manifest
        store = open_text_store(
            made.text, database.layout.text, index=made.text_index, url=made.text_url
        )
        try:
            texts = dict(store.hashes())
        finally:
            store.close()
        files = [
            (os.path.basename(f.archive), f.name, f.status, f.reason, f.image_id)
            for f in database.ledger.files.records()
        ]
        return {
            "counts": database.counts(),
            "files": sorted(files),
            "readings": {r.image_id: r.reading for r in database.ledger.images},
            "reports": {r.image_id: r.report for r in database.ledger.images},
            "documents": {d["id"]: d for d in database.documents()},
            "texts": texts,
            "pictures": {i: database.thumbnail(i) for i in sorted(database.image_ids())},
        }
