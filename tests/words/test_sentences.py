"""The sentence model: the same vectors by either backend, and no torch where OpenVINO serves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import MissingExtraError
from indexer.inference_engine import is_available
from indexer.words import sentences
from search.language.lexicon import Lexicon

_no_openvino = pytest.mark.skipif(not is_available(), reason="no OpenVINO here")

ODD = [
    "",
    " ",
    "x",
    "PTX",
    "Größe œdema 心臓 \U0001f4a9",
    "The heart is mildly enlarged. Small left pleural effusion, no pneumothorax.",
    "effusion " * 600,
]


@_no_openvino
def test_backends_agree() -> None:
    texts = [*ODD, *Lexicon.load().forms[::4]]
    assert len(texts) > 500
    ours = sentences.encode(texts, backend="openvino")
    theirs = sentences.encode(texts, backend="sentence-transformers")
    assert ours.shape == theirs.shape == (len(texts), sentences.DIMENSIONS)
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert float((ours * theirs).sum(axis=1).min()) > 0.999


@_no_openvino
def test_a_vector_does_not_depend_on_its_batch() -> None:
    together = sentences.encode(ODD, backend="openvino")
    alone = np.concatenate([sentences.encode([text], backend="openvino") for text in ODD])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert sentences.encode([]).shape == (0, sentences.DIMENSIONS)


@_no_openvino
def test_neither_torch_nor_a_bar() -> None:
    script = (
        "import sys\n"
        "from indexer.words.sentences import encode\n"
        "encode(['fluid around the lung'])\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_sentence_transformers_draw_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    sentences._transformer.cache_clear()
    sentences.encode(["fluid"], backend="sentence-transformers")
    assert capfd.readouterr() == ("", "")


@_no_openvino
def test_a_damaged_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    shutil.copytree(sentences.model_path(), folder)
    (folder / "config.json").write_text("{")
    monkeypatch.setattr(sentences, "model_path", lambda: folder)
    sentences._network.cache_clear()
    with pytest.raises(MissingExtraError, match="damaged: pip install --force-reinstall"):
        sentences.encode(["fluid"], backend="openvino")
