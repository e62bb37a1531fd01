"""A database of all that one may hold, and what every store of it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indexer.database.cohorts.store import Cohorts
from indexer.database.labels.events import Draft
from indexer.database.ledger.labels import LabelFile
from indexer.database.reader import DatabaseReader
from indexer.database.text.meanings import meanings
from indexer.database.text.store import open_text_store
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import id_from_key
from indexer.database.writer import Writer
from tests.database.making import fill, image_id, vector

COUNT, PER_SHARD = 12, 6


def answers(path: Path) -> dict[str, Any]:
    """What every store of a database says."""
    with DatabaseReader.open(path) as database:
        store = open_text_store(database.manifest.text, database.layout.text)
        try:
            texts = dict(store.hashes())
        finally:
            store.close()
        vectors = database.vectors()
        ids = sorted(database.image_ids())
        return {
            "ids": ids,
            "texts": texts,
            "documents": {d["id"]: d for d in database.documents()},
            "nearest": [
                id_from_key(vectors.search(vector(n), 1)[1][0])
                for n in range(COUNT)
                if image_id(n) in ids
            ],
            "pictures": [database.thumbnail(image) for image in ids],
            "files": [f.name for f in database.ledger.files.records()],
            "shown": [database.image(image).document for image in ids],
            "cohorts": [c.name for c in Cohorts(database.layout.cohorts).all()],
        }


def make_whole(path: Path) -> Path:
    """Make it in a new folder, in shards of `PER_SHARD` images."""
    fill(path, COUNT, per_shard=PER_SHARD)
    meanings(path / "semantic", ["opacity, left"])
    labels = LabelFile(path / "labels.sqlite", write=True)
    labels.record(image_id(1), [Draft(action="reject", finding="opacity")], "ann")
    labels.close()
    with Writer.maintain(path):
        pass
    Cohorts(path / "cohorts.sqlite").add("Teaching", "ann", images=[image_id(1), image_id(2)])
    assert verify(path) == []
    return path
