"""A run on a cluster of this machine alone, which is told that it has GPUs; notes what tasks get.

python -m tests.pipeline.remote.graphics NOTES ARCHIVE DATABASE BUNDLE DEVICE
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.compute import Compute
from indexer.database.outcomes import Outcome
from indexer.pipeline.executor import FileTask, file_reader
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.remote import starting
from indexer.pipeline.remote.host import HostSettings
from indexer.pipeline.run import index

__all__ = ["CORES", "GPUS"]

CORES, GPUS = 4, 2


def noting_reader(notes: Path, settings: DecodeSettings) -> Callable[[FileTask], Outcome]:
    """As `file_reader`; each process that reads chunks notes once what Ray gave it."""
    import ray

    context = ray.get_runtime_context()
    given = {"resources": context.get_assigned_resources(), "gpus": ray.get_gpu_ids()}
    (notes / str(os.getpid())).write_text(json.dumps(given))
    return file_reader(settings)


def main() -> None:
    """What the module's first lines say."""
    import ray

    notes, archive, database, bundle, device = sys.argv[1:]
    ray.init(
        num_cpus=CORES,
        num_gpus=GPUS,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
    )
    # By its name in the package, by which hosts find it.
    from tests.pipeline.remote.graphics import noting_reader as reader

    noting = partial(HostSettings, reader=partial(reader, Path(notes)))
    starting.HostSettings = noting  # type: ignore[attr-defined, assignment]
    index(
        [Path(archive)],
        Path(database),
        compute=Compute(Path(bundle), device),
        processing=FileProcessing(on="ray"),
    )
    ray.shutdown()


if __name__ == "__main__":
    main()
