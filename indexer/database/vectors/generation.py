"""Generations of the vector index on disk: what each says of itself, and which images it holds."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.durable import sync_files, sync_folder, write_durably
from indexer.database.vectors.arrays import load_array
from indexer.database.vectors.shards import Shard

__all__ = [
    "FORMAT",
    "Entries",
    "Generation",
    "current_generation",
    "current_path",
    "drafted",
    "generations",
    "remove_older",
]

_log = logging.getLogger(__name__)

_NAME = re.compile(r"^generation-(\d{6,})$")
FORMAT = 2

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Generation:
    """What a generation says of itself.

    Parameters
    ----------
    format
        Version of its files; one of another version is built anew.
    count
        Vectors in it.
    kind
        ``"flat"``, ``"ivf<lists>,sq8"`` or ``"ivf<lists>,pq<parts>x8"``.
    lists, code
        Of its `IndexPlan`.
    axes
        Numbers it keeps of each vector, along the vectors' principal axes.
    nprobe
        Lists to look into per query; 0 for flat.
    rerank
        Candidates per hit wanted whose vectors in the shards decide.
    recall, recall_100
        Share of the 10 and of the 100 true nearest that held-out queries found.
    p50_ms
        Median milliseconds of one of these on the machine that built it.
    bytes_per_vector
        Of the index file.
    measured
        Vectors in it when recall was measured.
    shards
        Number and live rows of each shard, in order: these rows are its entries, in their order.
    """

    format: int
    count: int
    kind: str
    lists: int
    code: str
    axes: int
    nprobe: int
    rerank: int
    recall: float
    recall_100: float
    p50_ms: float
    bytes_per_vector: float
    measured: int
    shards: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, path: Path) -> Generation:
        """The generation in a folder.

        Raises
        ------
        OSError, ValueError, TypeError
            It cannot be read, or lacks or has more than this version knows.
        """
        data = json.loads((path / "generation.json").read_bytes())
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError("the generation has another format")
        shards = tuple((int(number), int(live)) for number, live in data.pop("shards"))
        return cls(shards=shards, **data)

    def write(self, path: Path) -> None:
        """Write it into its folder, as the last of its files."""
        write_durably(path / "generation.json", (json.dumps(asdict(self)) + "\n").encode())

    def to_json(self) -> dict[str, Any]:
        """Its figures as a JSON object, without its list of shards."""
        data = asdict(self)
        del data["shards"]
        return data

    def summary(self, fresh: int, dead: int) -> str:
        """Its figures in words, with the images it lacks and the entries that are dead."""
        text = f"{self.kind}, {self.count} images, {self.bytes_per_vector:.0f} bytes each"
        if self.lists:
            text += (
                f", recall {self.recall:.3f}, {self.p50_ms:.1f} ms, "
                f"nprobe {self.nprobe}, rerank {self.rerank}"
            )
        more = [f"{fresh} not in it yet"] * (fresh > 0) + [f"{dead} dead"] * (dead > 0)
        return ", ".join([text, *more])

    def differs(self, shards: Sequence[Shard]) -> tuple[int, int]:
        """How many live rows of `shards` it lacks, and how many of its entries are dead.

        A shard never changes and a dead row stays dead, so counts tell it.
        """
        live = {shard.number: shard.live for shard in shards}
        held = sum(min(count, live.get(number, 0)) for number, count in self.shards)
        return sum(live.values()) - held, self.count - held


def generations(folder: Path) -> list[Path]:
    """The folders of all generations, the newest first."""
    if not folder.is_dir():
        return []
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := _NAME.match(p.name))]
    return [path for _, path in sorted(found, reverse=True)]


def current_generation(folder: Path) -> Generation | None:
    """The newest generation, or None where there is none that this version can read."""
    found = _current(folder)
    return found[1] if found else None


def current_path(folder: Path) -> Path | None:
    """The folder of the newest generation."""
    found = _current(folder)
    return found[0] if found else None


def _current(folder: Path) -> tuple[Path, Generation] | None:
    for path in generations(folder):
        try:
            return path, Generation.read(path)
        except (OSError, ValueError, TypeError):
            _log.warning("a vector index that is damaged or of another version is ignored")
    return None


def remove_older(folder: Path) -> None:
    """Delete drafts, and all generations but the current one."""
    if found := _current(folder):
        for path in (*generations(folder), *folder.glob("generation-*.tmp")):
            if path != found[0]:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A folder to write the next generation to, which then takes the place of the older ones."""
    folder.mkdir(exist_ok=True)
    older = generations(folder)
    number = int(older[0].name.rpartition("-")[2]) + 1 if older else 1
    draft = folder / f"generation-{number:06d}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    yield draft
    sync_files(draft)
    draft.rename(folder / f"generation-{number:06d}")
    sync_folder(folder)
    remove_older(folder)


class Entries:
    """Which image each entry of a generation is, and in which row of a shard; memory-mapped.

    Parameters
    ----------
    path
        Folder of the generation.
    generation
        What it says of itself.

    Raises
    ------
    OSError, ValueError
        Its files cannot be read or do not fit.
    """

    def __init__(self, path: Path, generation: Generation) -> None:
        count = generation.count
        #: By entry: key of the image, and its row in the shard.
        self.keys: Keys = _mapped(path / "keys.npy", count)
        self.rows: npt.NDArray[np.int32] = _mapped(path / "rows.npy", count)
        #: All keys ascending, and their entries.
        self._sorted: Keys = _mapped(path / "sorted.npy", count)
        self._entries: npt.NDArray[np.int32] = _mapped(path / "entries.npy", count)
        #: First entry of each shard, and the end.
        self.starts = np.cumsum([0, *(live for _, live in generation.shards)], dtype=np.int64)
        if self.starts[-1] != count:
            raise ValueError("the shards of the generation do not add up")

    @staticmethod
    def write(path: Path, keys: Keys, rows: npt.NDArray[np.int32]) -> None:
        """Write the files of entries in this order."""
        order = np.argsort(keys, kind="stable").astype(np.int32)
        tables: dict[str, npt.NDArray[Any]] = {
            "keys": keys,
            "rows": rows,
            "sorted": keys[order],
            "entries": order,
        }
        for name, table in tables.items():
            np.save(path / f"{name}.npy", table, allow_pickle=False)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Entries of images by key, shape (n,); -1 where there is none."""
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        places = np.minimum(np.searchsorted(self._sorted, keys), len(self) - 1)
        found: npt.NDArray[np.int64] = self._entries[places].astype(np.int64)
        found[self._sorted[places] != keys] = -1
        return found

    def count_misplaced(self) -> int:
        """How many images it finds twice or at a wrong entry."""
        sound = self.keys[self._entries] == self._sorted
        sound[1:] &= self._sorted[1:] > self._sorted[:-1]
        return len(self) - int(sound.sum())


def _mapped(path: Path, count: int) -> npt.NDArray[Any]:
    return load_array(path, (count,), "i")
