"""Every text store, filled with the same documents."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from indexer.database.documents import Document
from indexer.database.text import TextStore
from search.backends import Backend
from tests.contract.corpus import generated_documents, open_i_documents

__all__ = ["KINDS", "Filled", "Kind"]

Kind: TypeAlias = Literal["tantivy", "elasticsearch"]
KINDS: tuple[Kind, ...] = ("tantivy", "elasticsearch")


@dataclass(frozen=True, slots=True)
class Filled:
    """Both sides of a text store."""

    store: TextStore
    backend: Backend


def _open(kind: Kind, folder: Path, request: pytest.FixtureRequest) -> Filled:
    if kind == "tantivy":
        from indexer.database.text_embedded import EmbeddedTextStore
        from search.backends.embedded import EmbeddedBackend

        store = EmbeddedTextStore(folder / "text", create=True)
        return Filled(store, EmbeddedBackend(EmbeddedTextStore(folder / "text")))
    raise NotImplementedError(kind)
