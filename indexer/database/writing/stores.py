"""The open stores of a database that is being written."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.database.layout import Layout, Manifest
from indexer.database.ledger.labels import LabelFile
from indexer.database.ledger.ledger import Ledger
from indexer.database.text.store import TextStore
from indexer.database.thumbnail_store import Thumbnails

__all__ = ["Stores"]


@dataclass(slots=True)
class Stores:
    """What the parts of a writer share.

    Parameters
    ----------
    layout, manifest
        Where the database is, and what it was made with.
    ledger, thumbnails, text
        Open for writing.
    labels
        What people said of images.
    run
        Number of the run that is under way; 0 before one has begun.
    """

    layout: Layout
    manifest: Manifest
    ledger: Ledger
    thumbnails: Thumbnails
    text: TextStore
    labels: LabelFile
    run: int = 0
