"""Bundles that somebody damaged or made to do harm: one error for all, before anything is made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from indexer.cascade.bundle import _DESCRIPTION, _WEIGHTS, SHIPPED, Bundle, _digest
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


def test_the_bundle_that_ships_is_sound() -> None:
    assert Bundle.load().weights()
