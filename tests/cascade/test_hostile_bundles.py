"""Bundles that somebody damaged or made to do harm: one error for all, before anything is made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from indexer.cascade.bundle import _DESCRIPTION, _WEIGHTS, SHIPPED, Bundle, _digest
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.cascade.text_space import TextSpace
from indexer.errors import BundleError

_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "huge size": lambda d: d.update(size=200_000),
    "no size": lambda d: d.update(size=0),
    "size of another type": lambda d: d.update(size="256"),
    "huge dimensions": lambda d: d.update(dimensions=10**9),
    "negative dimensions": lambda d: d.update(dimensions=-1),
    "no findings": lambda d: d.update(findings=[]),
    "findings of numbers": lambda d: d.update(findings=[1, 2]),
    "a finding twice": lambda d: d["findings"].append(d["findings"][0]),
    "many findings": lambda d: d.update(findings=[str(n) for n in range(100_000)]),
    "more findings than tensors": lambda d: d["findings"].extend(str(n) for n in range(19_000)),
    "pairs of three": lambda d: d["pairs"].append(["a", "b", "c"]),
    "no thresholds": lambda d: d.update(thresholds={}),
    "a threshold without end": lambda d: d["thresholds"].update(normal=float("nan")),
    "a network of the network": lambda d: d["architecture"].update(backbones=["hf-hub:a/b"]),
    "no network": lambda d: d["architecture"].update(backbones=[]),
    "huge annotator": lambda d: d["architecture"]["annotator"].update(units=10**9),
    "no annotator": lambda d: d["architecture"].pop("annotator"),
    "no architecture": lambda d: d.update(architecture=[]),
    "no words": lambda d: d.update(vocabulary=[]),
    "a finding without its word": lambda d: d["vocabulary"].remove("cardiomegaly"),
    "another kind of annotator": lambda d: d["architecture"]["annotator"].update(cell="rnn"),
    "no vocabulary": lambda d: d.pop("vocabulary"),
    "likely in words": lambda d: d["likely"].update(normal="0.5"),
    "likely of another type": lambda d: d.update(likely=[0.5]),
    "a likeness that is none": lambda d: d["record"].update(likeness=[1, 2]),
    "a likeness of more": lambda d: d["record"]["likeness"].update(bias=0),
    "a likeness without end": lambda d: d["record"]["likeness"].update(slope=float("inf")),
    "a huge likeness": lambda d: d["record"]["likeness"].update(intercept=-1e300),
    "pictures it learned from in no code": lambda d: d["record"].update(trained_on="a picture"),
    "half a picture it learned from": lambda d: d["record"].update(trained_on="AAA="),
    "a name of another type": lambda d: d.update(name=["x"]),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))


def _rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a description and make its hash right again."""
    data = json.loads((path / _DESCRIPTION).read_text())
    change(data)
    data["hash"] = _digest(data, path / _WEIGHTS)
    (path / _DESCRIPTION).write_text(json.dumps(data))


@pytest.mark.parametrize("name", _CHANGES)
def test_descriptions(copy: Path, name: str) -> None:
    _rewrite(copy, _CHANGES[name])
    with pytest.raises(BundleError, match="damaged"):
        Bundle.load(copy)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"1", b"[" * 100_000, b"\xff\xfe", b'{"format": 3}', b'{"format": [3]}']
)
def test_descriptions_that_are_none(copy: Path, data: bytes) -> None:
    (copy / _DESCRIPTION).write_bytes(data)
    with pytest.raises(BundleError):
        Bundle.load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:6],
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: (10**6).to_bytes(8, "little") + data[8:],
        lambda data: data[:8] + b"[" * 100 + data[108:],
    ],
)
def test_files_of_tensors(copy: Path, change: Callable[[bytes], bytes]) -> None:
    weights = copy / _WEIGHTS
    weights.write_bytes(change(weights.read_bytes()))
    _rewrite(copy, lambda data: None)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.load(copy)


@pytest.mark.skipif(os.name != "posix", reason="pipes and holes in files of Unix")
@pytest.mark.parametrize("name", [_DESCRIPTION, _WEIGHTS])
@pytest.mark.parametrize("kind", ["pipe", "endless", "huge"])
def test_pipes_and_huge_files_are_not_read(copy: Path, name: str, kind: str) -> None:
    path = copy / name
    if kind == "huge":
        os.truncate(path, 20 << 30)
    else:
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    for read in (Bundle.load, Bundle.description_at)[: 1 if name == _WEIGHTS else 2]:
        with pytest.raises(BundleError):
            read(copy)


@pytest.mark.parametrize("name", [_DESCRIPTION, _WEIGHTS])
def test_a_file_that_may_not_be_read_is_not_called_damaged(copy: Path, name: str) -> None:
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises(BundleError, match="cannot be read: Is a directory"):
        Bundle.load(copy)


def test_tensors_that_are_not_finite(copy: Path) -> None:
    tensors = load_file(copy / _WEIGHTS)
    name = next(name for name, tensor in tensors.items() if tensor.dtype == np.float16)
    tensors[name].flat[0] = np.inf
    save_file(tensors, copy / _WEIGHTS)
    _rewrite(copy, lambda data: None)
    with pytest.raises(BundleError, match=f"{name} is not finite"):
        Bundle.load(copy).weights()


@pytest.mark.parametrize(
    "name",
    [
        "annotator.embedding.weight", "annotator.start.weight", "annotator.rnn.weight_hh_l0",
        "annotator.output.bias", "unusual.basis", "unusual.hidden", "unusual.output_bias",
    ],
)  # fmt: skip
@pytest.mark.parametrize("change", [lambda a: a[None], lambda a: a.repeat(2).reshape(2, -1)])
def test_tensors_of_another_shape(
    copy: Path, name: str, change: Callable[[Any], npt.NDArray[Any]]
) -> None:
    tensors = load_file(copy / _WEIGHTS)
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    save_file(tensors, copy / _WEIGHTS)
    _rewrite(copy, lambda description: None)
    with pytest.raises(BundleError, match="do not fit"):
        Predictor(Bundle.load(copy), Compute(runtime="torch", device="cpu"))


@pytest.mark.parametrize("name", ["encoder.sentence.weight", "texts.common"])
def test_tensors_of_texts_of_another_shape(copy: Path, name: str) -> None:
    tensors = load_file(copy / _WEIGHTS)
    tensors[name] = np.concatenate([tensors[name]] * 2)
    save_file(tensors, copy / _WEIGHTS)
    _rewrite(copy, lambda description: None)
    with pytest.raises(BundleError, match="do not fit"):
        TextSpace.of(Bundle.load(copy))


def test_the_bundle_that_ships_is_sound() -> None:
    assert Bundle.load().weights()
