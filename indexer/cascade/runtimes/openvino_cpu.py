"""The runtime `openvino`: the CNN on the processor's cores, in bf16 where that is faster."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

from indexer.cascade.bundle import Bundle
from indexer.cascade.runtimes.encoder_runtime import Encoded
from indexer.errors import BundleError
from indexer.inference_engine import is_available, load_openvino

__all__ = [
    "OpenVino",
    "cache_folder",
    "fastest_precision",
    "has_bf16",
    "is_available",
    "load",
    "load_localiser",
    "load_module",
]

_log = logging.getLogger(__name__)

_NETWORK = "encoder.xml"
# Stands in the file name of the cached network of heat maps, in place of a precision.
_CELLS = "cells"


def has_bf16() -> bool:
    """Whether the processor multiplies bf16."""
    return "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def fastest_precision() -> str:
    """``"bf16"`` or ``"float32"``: what this processor computes the CNN in faster.

    AMD's processors with bf16 and Intel's with AMX take bf16 at 1.7 to 2.1 times the rate. Intel's
    without AMX, as where a virtual machine hides it, take float32 at 1.5 times that of bf16
    (docs/adr/0008-runtimes-and-mixed-precision.md).
    """
    processor = load_openvino().Core().get_property("CPU", "FULL_DEVICE_NAME")
    slow = "Intel" in processor and "amx_bf16" not in _processor_flags()
    return "bf16" if has_bf16() and not slow else "float32"


def _processor_flags() -> list[str]:
    """What Linux says that the processor can do; nothing elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return []


def load(bundle: Bundle, device: str, precision: str) -> OpenVino:
    """The CNN, taken from the cache or else exported from torch into it.

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description, or the processor has no bf16.
    MissingExtraError
        What int8 needs is not installed.
    """
    openvino = load_openvino()
    core = openvino.Core()
    if precision == "bf16" and not has_bf16():
        raise BundleError("this processor does not multiply bf16: leave out `precision=bf16`")
    if precision == "auto":
        precision = fastest_precision()
    model = _network(openvino, bundle, precision)
    return OpenVino(core, model, precision)


def load_localiser(bundle: Bundle) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Logits of a picture's cells, in float32 (`indexer.cascade.networks.localiser`).

    Returns
    -------
    Callable
        Of a canvas of shape (size, size), the logits of its cells, shape (labels, rows, columns).

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description, or its networks have no such cells.
    """
    openvino = load_openvino()
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model = _network(openvino, bundle, _CELLS)
    compiled = openvino.Core().compile_model(model, "CPU", options)

    def locate(canvas: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        request = compiled.create_infer_request()
        request.infer([canvas[None, None]])
        cells: npt.NDArray[np.float32] = request.get_output_tensor(0).data[0].copy()
        return cells

    return locate


def load_module(module: Any, size: int) -> OpenVino:
    """A CNN in training, compiled in float32 and kept nowhere.

    Parameters
    ----------
    module
        A network that gives `indexer.cascade.networks.encoder.Outputs`, such as an
        `EnsembleMember`, in evaluation mode, on the processor.
    size
        Side of its pictures in pixels.
    """
    from indexer.cascade.runtimes.export import convert

    openvino = load_openvino()
    return OpenVino(openvino.Core(), convert(openvino, module, size), "float32")


def cache_folder(bundle: Bundle, precision: str, version: str) -> Path:
    """Where the network of a bundle is kept for one precision and version of OpenVINO."""
    name = f"{bundle.hash}-{precision}-{version.split('-')[0]}"
    return user_cache_path("cxrdex", appauthor=False) / "openvino" / name


class OpenVino:
    """The CNN compiled for one picture at a time, as many at once as there are cores.

    Batches make it no faster, so each picture is computed alone and by one thread: what is said
    of it cannot depend on others.

    Parameters
    ----------
    core, model
        OpenVINO's core, and the network with inputs of shape (1, 1, size, size).
    precision
        ``"float32"``, ``"bf16"`` or ``"int8"``.
    """

    fixed_batch = False

    def __init__(self, core: Any, model: Any, precision: str) -> None:
        self.precision = precision
        cores = _threads()
        options = {
            # The precision of the layers that an int8 network leaves in floating point.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": cores,
        }
        self._compiled = core.compile_model(model, "CPU", options)
        self._idle: list[Any] = []
        # Its Python binding sets itself up when it is first used, which two threads must not do at
        # once: one would wait for the other, which waits for the interpreter.
        self._binding = threading.Lock()
        self.encode(np.zeros(model.input(0).get_shape()[1:], np.uint8))

    def encode(self, canvases: npt.NDArray[np.uint8], /) -> Encoded:
        """Read pictures of shape (n, size, size); several threads may do so at once."""
        with self._binding:
            requests = [self._request() for _ in canvases]
            # All of them queue in OpenVINO, which needs nothing of Python until the last is done.
            for request, canvas in zip(requests, canvases, strict=True):
                request.start_async([canvas[None, None]])
        for request in requests:
            request.wait()
        with self._binding:
            rows = [[request.get_output_tensor(n).data for request in requests] for n in range(3)]
            encoded = Encoded(*map(np.concatenate, rows))
            self._idle.extend(requests)
        return encoded

    def _request(self) -> Any:
        return self._idle.pop() if self._idle else self._compiled.create_infer_request()


def _threads() -> int:
    """One for each core that this process may use, or fewer where OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(wanted)) if wanted.isdecimal() and int(wanted) else cores


def _network(openvino: Any, bundle: Bundle, kind: str) -> Any:
    """The network of a precision or of cells, taken from the cache or else made for it."""
    path = cache_folder(bundle, kind, openvino.__version__) / _NETWORK
    if path.exists():
        return openvino.Core().read_model(path)
    return _exported(openvino, bundle, path, kind)


def _exported(openvino: Any, bundle: Bundle, path: Path, kind: str) -> Any:
    """The network made from torch, and kept where the cache can be written."""
    from indexer.cascade.runtimes.export import export, export_localiser

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / _NETWORK
        if kind == _CELLS:
            export_localiser(openvino, bundle, made)
        else:
            export(openvino, bundle, made, kind)
        try:
            path.parent.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent.parent) as aside:
                complete = Path(aside) / "complete"
                complete.mkdir()
                for file in Path(folder).iterdir():
                    (complete / file.name).write_bytes(file.read_bytes())
                complete.rename(path.parent)
        except OSError as error:
            # Another process may have made the same folder meanwhile.
            _log.info("the network is not kept in %s: %s", path.parent, error)
        # Read into memory, because the temporary folder is deleted.
        return openvino.Core().read_model(made.read_bytes(), made.with_suffix(".bin").read_bytes())
