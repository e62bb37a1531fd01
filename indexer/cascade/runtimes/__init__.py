"""What computes the CNN: one module per runtime, all behind `EncoderRuntime`, chosen by `load`.

May import: `indexer.cascade.bundle`, `indexer.cascade.bundle_checks`, `indexer.cascade.devices`,
`indexer.cascade.networks`, `indexer.simulation`.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexer.cascade.bundle import Bundle
from indexer.cascade.runtimes.encoder_runtime import Encoded, EncoderRuntime, OutOfDeviceMemory
from indexer.cascade.runtimes.memory_limit import check_memory_limit
from indexer.errors import BundleError, MissingExtraError

__all__ = [
    "NAMES",
    "PRECISIONS",
    "Encoded",
    "EncoderRuntime",
    "OutOfDeviceMemory",
    "available",
    "choose",
    "load",
    "load_localiser",
]

#: Choices of a runtime; ``auto`` takes the first of cuda, openvino and torch that is available.
NAMES = ("auto", "torch", "openvino", "cuda")
#: ``auto`` is the fastest that keeps the cosine to float32 over .999 (docs/adr/0008).
PRECISIONS = ("auto", "float32", "bf16", "int8")


class _Module(Protocol):
    """What each module of this package has."""

    def is_available(self) -> bool:
        """Whether the machine has what it needs; imports as little as possible."""

    def load(self, bundle: Bundle, device: str, precision: str) -> EncoderRuntime:
        """The bundle's CNN; raises `BundleError` for a precision that it does not have."""


_MODULES = {
    "torch": "indexer.cascade.runtimes.reference",
    "openvino": "indexer.cascade.runtimes.openvino_cpu",
    "cuda": "indexer.cascade.runtimes.cuda",
}
_NEEDS = {
    "openvino": MissingExtraError(
        "the runtime 'openvino' needs a package: pip install openvino, or choose 'auto' or 'torch'"
    ),
    "cuda": BundleError(
        "the runtime 'cuda' needs an NVIDIA GPU and a torch built for it: choose 'auto', "
        "'openvino' or 'torch'"
    ),
}


def choose(name: str = "auto", device: str = "auto") -> str:
    """The runtime that a name and a device stand for: ``"torch"``, ``"openvino"`` or ``"cuda"``.

    Raises
    ------
    BundleError
        No runtime has this name, or it does not run on this device.
    MissingExtraError
        It is not installed.
    """
    if name not in NAMES:
        raise BundleError(f"no runtime is named {name!r}: choose {', '.join(NAMES)}")
    if device not in ("auto", "cpu") and not device.startswith("cuda"):
        raise BundleError(f"no device is named {device!r}: choose 'auto', 'cpu' or 'cuda'")
    on_gpu, on_cpu = device.startswith("cuda"), device == "cpu"
    if (name == "openvino" and on_gpu) or (name == "cuda" and on_cpu):
        raise BundleError(f"the runtime {name!r} does not run on {device!r}: leave out one of them")
    if name == "auto":
        if on_gpu or (not on_cpu and _has_nvidia_driver() and _module("cuda").is_available()):
            name = "cuda"
        else:
            name = "openvino" if _module("openvino").is_available() else "torch"
    if name in _NEEDS and not _module(name).is_available():
        raise _NEEDS[name]
    return name


def available(name: str) -> bool:
    """Whether the machine has what a runtime needs."""
    return _module(name).is_available()


def load(
    bundle: Bundle, name: str = "auto", device: str = "auto", precision: str = "auto"
) -> EncoderRuntime:
    """A bundle's CNN on the runtime that `choose` chooses.

    Raises
    ------
    BundleError
        The bundle is damaged, or runtime, device and precision do not go together.
    MissingExtraError
        The runtime is not installed.
    MemoryLimitError
        The process may not have the memory.
    """
    if precision not in PRECISIONS:
        raise BundleError(f"no precision is named {precision!r}: choose {', '.join(PRECISIONS)}")
    check_memory_limit()
    return _module(choose(name, device)).load(bundle, device, precision)


def load_localiser(bundle: Bundle) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """What scores the cells of a picture on the processor, for heat maps.

    Returns
    -------
    Callable
        Of a canvas of shape (size, size), the logits of its cells, shape (labels, rows, columns).

    Raises
    ------
    BundleError
        The bundle is damaged, or its networks have layers after their last feature map.
    MemoryLimitError
        The process may not have the memory.
    """
    check_memory_limit()
    if available("openvino"):
        from indexer.cascade.runtimes import openvino_cpu

        return openvino_cpu.load_localiser(bundle)
    from indexer.cascade.runtimes import reference

    return reference.load_localiser(bundle)


def _module(name: str) -> _Module:
    module: _Module = importlib.import_module(_MODULES[name])
    return module


def _has_nvidia_driver() -> bool:
    """Spares machines without one the seconds that it takes to import torch and ask it."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
