"""The runtime `cuda`: the CNN on an NVIDIA GPU, channels last, autocast, as one CUDA graph."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from indexer.cascade.bundle import Bundle
from indexer.cascade.devices import choose_device
from indexer.cascade.networks.encoder import Encoder
from indexer.cascade.runtimes.encoder_runtime import Encoded, OutOfDeviceMemory
from indexer.cascade.runtimes.reference import build_encoder
from indexer.errors import BundleError

__all__ = ["Cuda", "is_available", "load"]

# float16 is as fast as bf16 and rounds eight times finer; ReLU6 keeps the maps in its range.
_TYPES = {"auto": torch.float16, "bf16": torch.bfloat16, "float32": None}
_WARM_UPS = 3


def is_available() -> bool:
    """Whether torch sees a GPU."""
    return torch.cuda.is_available()


def load(bundle: Bundle, device: str, precision: str) -> Cuda:
    """The CNN on a GPU.

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description, the GPU is not there, or the precision is
        none of its own.
    """
    if precision not in _TYPES:
        raise BundleError(
            f"the runtime 'cuda' computes in float16, bf16 or float32, not {precision}"
        )
    name = "cuda" if device == "auto" else device
    return Cuda(build_encoder(bundle), choose_device(name), _TYPES[precision])


class Cuda:
    """The CNN under autocast; on a GPU it is captured as a CUDA graph for each batch size.

    Parameters
    ----------
    encoder
        In evaluation mode.
    device
        Where it runs; without CUDA nothing is captured.
    kind
        What convolutions and products are computed in; None for float32.
    """

    fixed_batch = True

    def __init__(self, encoder: Encoder, device: torch.device, kind: torch.dtype | None) -> None:
        encoder.to(device).to(memory_format=torch.channels_last)
        self._encoder = encoder
        self._device = device
        self._kind = kind
        names = {None: "float32", torch.float16: "float16", torch.bfloat16: "bf16"}
        self.precision = names[kind]
        self._graph: Any = None
        self._input = torch.empty(0)
        self._output: tuple[torch.Tensor, ...] = ()
        self._turn = threading.Lock()

    @torch.inference_mode()
    def encode(self, canvases: npt.NDArray[np.uint8], /) -> Encoded:
        """Read pictures of shape (n, size, size)."""
        pictures = torch.from_numpy(canvases)[:, None]
        # A CUDA graph has one buffer for its input and one for its output.
        with self._turn:
            try:
                on_gpu = self._device.type == "cuda"
                outputs = self._replay(pictures) if on_gpu else self._compute(pictures)
                return Encoded(*(part.float().cpu().numpy() for part in outputs))
            except torch.cuda.OutOfMemoryError as error:
                self._graph, self._input, self._output = None, torch.empty(0), ()
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                raise OutOfDeviceMemory(str(error)) from error

    def _compute(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        kind = self._kind
        with nullcontext() if kind is None else torch.autocast(self._device.type, kind):
            outputs = self._encoder(pictures)
        return outputs.embedding, outputs.logits, outputs.view

    def _replay(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self._input.shape != pictures.shape:
            self._capture(pictures)
        self._input.copy_(pictures)
        self._graph.replay()
        return self._output

    def _capture(self, pictures: torch.Tensor) -> None:
        given = pictures.to(self._device)
        aside = torch.cuda.Stream(self._device)
        aside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._compute(given)
        torch.cuda.current_stream(self._device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._output = self._compute(given)
        self._graph, self._input = graph, given
