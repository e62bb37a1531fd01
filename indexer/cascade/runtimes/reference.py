"""The runtime `torch`: the CNN as it was trained, in float32; what the others are held to."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from indexer.cascade.bundle import Bundle
from indexer.cascade.bundle_checks import fitting
from indexer.cascade.devices import choose_device
from indexer.cascade.networks.encoder import Encoder
from indexer.cascade.networks.localiser import Localiser
from indexer.cascade.runtimes.encoder_runtime import Encoded
from indexer.errors import BundleError
from indexer.memory import keep_freed_memory

__all__ = ["Reference", "build_encoder", "is_available", "load", "load_localiser"]


def is_available() -> bool:
    """Always."""
    return True


def load(bundle: Bundle, device: str, precision: str) -> Reference:
    """The CNN on a device.

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description, the device is not there, or the precision
        is not float32.
    """
    if precision not in ("auto", "float32"):
        raise BundleError(f"the runtime 'torch' computes in float32, not in {precision}")
    return Reference(build_encoder(bundle), choose_device("cpu" if device == "auto" else device))


def build_encoder(bundle: Bundle) -> Encoder:
    """The bundle's CNN as a torch module in evaluation mode.

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description.
    """
    labels = bundle.labels
    with fitting(bundle.path):
        encoder = Encoder(
            bundle.architecture["backbones"],
            bundle.dimensions,
            labels.scored,
            bundle.architecture["sentences"],
        )
    state = {
        name.removeprefix("encoder."): torch.from_numpy(array)
        for name, array in bundle.weights().items()
        if name.startswith("encoder.")
    }
    with fitting(bundle.path):
        encoder.load_state_dict(state)
    return encoder.eval()


def load_localiser(bundle: Bundle) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Logits of a picture's cells, as `indexer.cascade.runtimes.load_localiser` gives them."""
    localiser = Localiser(build_encoder(bundle), bundle.size)

    @torch.inference_mode()
    def locate(canvas: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        cells: npt.NDArray[np.float32] = localiser(torch.from_numpy(canvas)[None, None])[0].numpy()
        return cells

    return locate


class Reference:
    """The CNN in float32, channels last.

    Parameters
    ----------
    encoder
        In evaluation mode.
    device
        Where it runs.
    """

    precision = "float32"
    fixed_batch = True

    def __init__(self, encoder: Encoder, device: torch.device) -> None:
        keep_freed_memory()
        encoder.to(device).to(memory_format=torch.channels_last)
        self._encoder = encoder
        self._device = device
        self._turn = threading.Lock()

    @torch.inference_mode()
    def encode(self, canvases: npt.NDArray[np.uint8], /) -> Encoded:
        """Read pictures of shape (n, size, size)."""
        # Two batches at once, each on all cores, are slower than one after the other.
        with self._turn:
            outputs = self._encoder(torch.from_numpy(canvases)[:, None].to(self._device))
        return Encoded(
            *(part.cpu().numpy() for part in (outputs.embedding, outputs.logits, outputs.view))
        )
