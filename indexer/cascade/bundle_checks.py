"""What a bundle must say of itself, and its tensors hold, before anything is made from it."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import struct
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.errors import BundleError, CxrdexError

__all__ = [
    "check_description",
    "check_header",
    "check_shapes",
    "check_tensors",
    "fitting",
    "read_description",
]

_SIDE = (16, 2048)
_DIMENSIONS = (1, 4096)
_LABELS = 20_000
_BACKBONES = 16
_UNITS = 8192
_LAYERS = 8
_TEXT = 500
# Largest size of thresholds and weights in `bundle.json`; exp() of larger numbers would overflow.
_NUMBER = 100
# The tensors of all networks together; the bundle that ships has under 20 MB.
_WEIGHT_BYTES = 4 << 30
_HEADER_BYTES = 16 << 20
# Names of a million pictures that a bundle was trained on take 6 MB of its description.
_DESCRIPTION_BYTES = 64 << 20
# Names of networks must not look like addresses, which would be looked up on the network.
_NETWORK = re.compile(r"^[A-Za-z0-9_.]+$")
_TYPES = {"F16": 2, "F32": 4, "F64": 8, "BF16": 2, "I8": 1, "U8": 1, "I32": 4, "I64": 8, "BOOL": 1}


def read_description(path: Path) -> Any:
    """The value in a bundle's description, for `check_description`.

    Raises
    ------
    OSError
        It cannot be read, or is no file.
    ValueError, RecursionError
        It holds no JSON, or is larger than any description.
    """
    if _regular(path).st_size > _DESCRIPTION_BYTES:
        raise ValueError(f"{path.name} has over {_DESCRIPTION_BYTES >> 20} MiB")
    return json.loads(path.read_bytes())


def _regular(path: Path) -> os.stat_result:
    """Pipes and devices are not opened: reading them may never end."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"{path.name} is not a file")
    return status


def check_description(data: Any, path: Path) -> None:
    """Refuse what no cascade is described by.

    Raises
    ------
    BundleError
        It names the field and says what would be right.
    """

    def demand(right: bool, field: str, wanted: str) -> None:
        if not right:
            raise BundleError(f"the bundle {path} is damaged: {field} is not {wanted}")

    def whole(value: Any, bounds: tuple[int, int]) -> bool:
        return type(value) is int and bounds[0] <= value <= bounds[1]

    def texts(value: Any, most: int = _LABELS) -> bool:
        return (
            isinstance(value, list)
            and len(value) <= most
            and all(isinstance(text, str) and len(text) <= _TEXT for text in value)
        )

    demand(isinstance(data, dict), "bundle.json", "an object")
    demand(isinstance(data.get("name"), str) and len(data["name"]) <= _TEXT, "name", "a text")
    demand(isinstance(data.get("hash"), str), "hash", "a text")
    demand(whole(data.get("size"), _SIDE), "size", f"a number of pixels in {_SIDE}")
    demand(isinstance(data.get("squash"), bool), "squash", "true or false")
    demand(whole(data.get("dimensions"), _DIMENSIONS), "dimensions", f"a number in {_DIMENSIONS}")
    findings = data.get("findings")
    demand(texts(findings) and bool(findings), "findings", "a list of names")
    demand(len(set(findings)) == len(findings), "findings", "a list of different names")
    demand(texts(data.get("vocabulary")), "vocabulary", "a list of words")
    demand(set(findings) <= set(data["vocabulary"]), "vocabulary", "a list with each finding")
    demand(texts(data.get("composites")), "composites", "a list of names")
    pairs = data.get("pairs")
    demand(
        isinstance(pairs, list)
        and len(pairs) <= _LABELS
        and all(texts(pair, 2) and len(pair) == 2 for pair in pairs),
        "pairs",
        "a list of two words each",
    )
    thresholds = data.get("thresholds")
    demand(
        _numbers(thresholds) and set(findings) <= set(thresholds),
        "thresholds",
        "a number for each finding",
    )
    likely = data.get("likely")
    demand(likely is None or _numbers(likely), "likely", "a number for each of some findings")
    _check_architecture(data.get("architecture"), demand, whole, texts)
    _check_record(data.get("record"), demand)
    demand(data.get("paper") is None or isinstance(data["paper"], dict), "paper", "an object")


def _numbers(value: Any) -> bool:
    """Whether it is an object of numbers that can be reckoned with."""
    return isinstance(value, dict) and all(
        type(number) in (int, float) and abs(number) <= _NUMBER for number in value.values()
    )


def _check_record(record: Any, demand: Any) -> None:
    """What searches use of the record, which the hash does not cover."""
    demand(isinstance(record, dict), "record", "an object")
    likeness = record.get("likeness")
    demand(
        likeness is None or (_numbers(likeness) and likeness.keys() == {"slope", "intercept"}),
        "record.likeness",
        "two numbers, slope and intercept",
    )
    names = record.get("trained_on") or ""
    try:
        is_names = isinstance(names, str) and len(b64decode(names, validate=True)) % 4 == 0
    except ValueError:
        is_names = False
    demand(is_names, "record.trained_on", "numbers of four bytes each, in base64")


def _check_architecture(architecture: Any, demand: Any, whole: Any, texts: Any) -> None:
    demand(isinstance(architecture, dict), "architecture", "an object")
    backbones = architecture.get("backbones")
    named = texts(backbones, _BACKBONES) and bool(backbones) and all(map(_NETWORK.match, backbones))
    demand(named, "architecture.backbones", "a list of names of networks")
    demand(whole(architecture.get("sentences"), (0, _UNITS)), "architecture.sentences", "a number")
    annotator = architecture.get("annotator")
    demand(isinstance(annotator, dict), "annotator", "an object")
    demand(annotator.get("cell", "gru") in ("gru", "lstm"), "annotator.cell", "gru or lstm")
    demand(whole(annotator.get("units", 1), (1, _UNITS)), "annotator.units", "a number")
    demand(whole(annotator.get("layers", 1), (1, _LAYERS)), "annotator.layers", "a number")


def check_header(path: Path, least: int) -> None:
    """Refuse a file of tensors whose header claims what the file cannot hold.

    Parameters
    ----------
    path
        The file.
    least
        So many numbers there must be at least.

    Raises
    ------
    BundleError
        It says what is wrong.
    """
    wrong = BundleError(f"the bundle {path.parent} is damaged: {path.name} holds no tensors")
    size = _regular(path).st_size
    with open(path, "rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise wrong
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, _HEADER_BYTES) or size > _WEIGHT_BYTES:
            raise wrong
        try:
            header = json.loads(file.read(length))
            numbers = 0
            for name, tensor in header.items():
                if name == "__metadata__":
                    continue
                begin, end = tensor["data_offsets"]
                wanted = _TYPES[tensor["dtype"]] * math.prod(tensor["shape"])
                sound = 0 <= begin <= end <= size - 8 - length and end - begin == wanted
                numbers += math.prod(tensor["shape"])
                if not sound or any(type(n) is not int or n < 0 for n in tensor["shape"]):
                    raise wrong
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise wrong from error
    if numbers < least:
        raise BundleError(
            f"the bundle {path.parent} is damaged: {path.name} has {numbers} numbers, fewer than "
            "what bundle.json describes"
        )


def check_tensors(tensors: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Refuse tensors that hold anything but finite numbers.

    Raises
    ------
    BundleError
        It names the tensor.
    """
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise BundleError(f"the bundle {path} is damaged: {name} is not finite")


def check_shapes(
    tensors: Mapping[str, npt.NDArray[Any]], wanted: Mapping[str, tuple[int | str, ...]]
) -> None:
    """Refuse tensors of other shapes than networks are made from.

    Parameters
    ----------
    tensors
        By name.
    wanted
        The shape of each; sizes of one letter may be any, and are the same wherever it stands.

    Raises
    ------
    KeyError
        A tensor is missing.
    ValueError
        It names the tensor.
    """
    sizes: dict[str, int] = {}
    for name, shape in wanted.items():
        found = tensors[name].shape
        if len(found) == len(shape):
            known = [
                sizes.setdefault(size, own) if isinstance(size, str) else size
                for size, own in zip(shape, found, strict=True)
            ]
            if found == tuple(known):
                continue
        raise ValueError(f"{name} has the shape {found}, not {shape}")


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Make networks from a bundle: what goes wrong is that its parts do not fit each other.

    Raises
    ------
    BundleError
        They do not.
    """
    try:
        yield
    except (CxrdexError, OSError, MemoryError):
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
        raise BundleError(
            f"the bundle {path} is damaged: its tensors do not fit its description "
            f"({type(error).__name__})"
        ) from error
