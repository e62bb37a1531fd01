from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from blake3 import blake3

from indexer.database.text import meanings as module
from indexer.database.text.meanings import damaged, meanings
from indexer.words import sentences

TEXTS = ["pleural effusion, left", "cardiomegaly", "opacity, lung"]


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_texts_are_encoded_once(tmp_path: Path, encoded: list[str]) -> None:
    folder = tmp_path / "semantic"
    first = meanings(folder, [*TEXTS, TEXTS[0]])
    assert encoded == sorted(TEXTS)
    again = meanings(folder, reversed(TEXTS))
    assert encoded == sorted(TEXTS)
    assert again.keys() == first.keys() == set(TEXTS)
    for text, vector in zip(TEXTS, sentences.encode(TEXTS), strict=True):
        np.testing.assert_allclose(first[text], vector, atol=1e-5)
        np.testing.assert_array_equal(again[text], first[text])


def test_only_new_texts_are_encoded(tmp_path: Path, encoded: list[str]) -> None:
    folder = tmp_path / "semantic"
    meanings(folder, TEXTS)
    before = _files(folder)
    encoded.clear()
    found = meanings(folder, [*TEXTS[1:], "nodule"])
    assert encoded == ["nodule"]
    assert found.keys() == {*TEXTS[1:], "nodule"}
    # The file of the older state is gone.
    assert len(_files(folder)) == 1
    assert _files(folder) != before


def test_no_texts(tmp_path: Path) -> None:
    assert meanings(tmp_path / "semantic", []) == {}
    assert meanings(tmp_path / "semantic", []) == {}


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, encoded: list[str], content: bytes) -> None:
    folder = tmp_path / "semantic"
    meanings(folder, TEXTS)
    (name,) = _files(folder)
    (folder / name).write_bytes(content)
    assert damaged(folder) == [folder / name]
    encoded.clear()
    assert meanings(folder, TEXTS).keys() == set(TEXTS)
    assert encoded == sorted(TEXTS)
    encoded.clear()
    meanings(folder, TEXTS)
    assert encoded == []


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "semantic"
    meanings(folder, TEXTS)
    (name,) = _files(folder)
    whole = (folder / name).read_bytes()
    assert damaged(folder) == []
    for place in range(0, len(whole), 97):
        changed = bytes([whole[place] ^ 1])
        (folder / name).write_bytes(whole[:place] + changed + whole[place + 1 :])
        assert damaged(folder) == [folder / name], place


def test_what_was_encoded_before_a_kill_is_kept(
    tmp_path: Path, encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "semantic"
    monkeypatch.setattr(module, "_CHUNK", 2)
    noting = sentences.encode

    def killed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if "pleural effusion, left" in texts:
            raise KeyboardInterrupt
        return noting(texts)

    with monkeypatch.context() as patch:
        patch.setattr(sentences, "encode", killed)
        with pytest.raises(KeyboardInterrupt):
            meanings(folder, TEXTS)
    encoded.clear()
    assert meanings(folder, TEXTS).keys() == set(TEXTS)
    assert encoded == ["pleural effusion, left"]


def test_a_file_of_another_shape_is_made_anew(tmp_path: Path, encoded: list[str]) -> None:
    folder = tmp_path / "semantic"
    meanings(folder, TEXTS)
    (name,) = _files(folder)
    texts = np.frombuffer(b'["cardiomegaly"]', np.uint8)
    payload = io.BytesIO()
    np.savez(payload, texts=texts, vectors=np.zeros((1, 8), np.float32))
    (folder / name).write_bytes(blake3(payload.getvalue()).digest() + payload.getvalue())
    encoded.clear()
    meanings(folder, TEXTS)
    assert encoded == sorted(TEXTS)


def test_a_reader_that_may_not_write(tmp_path: Path) -> None:
    # Not even root can make a folder where a file is.
    (tmp_path / "semantic").write_bytes(b"")
    found = meanings(tmp_path / "semantic", TEXTS)
    assert found.keys() == set(TEXTS)
    assert _files(tmp_path) == ["semantic"]
