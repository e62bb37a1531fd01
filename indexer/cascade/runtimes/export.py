"""From the torch CNN to an OpenVINO network that may be computed in bf16 without loss of rank.

bf16 has 8 binary digits. Nearly all it loses is lost in the first layers: their few weights see
pictures, in which neighbours are alike, so that the errors of a filter's weights add up. Two
measures answer that (docs/adr/0008): filters of several pixels are rounded so that their sum is
kept, and the first three convolutions stay in float32.
"""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from collections.abc import Set
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.cascade.bundle import Bundle
from indexer.cascade.networks.localiser import Localiser
from indexer.cascade.runtimes.reference import build_encoder

__all__ = ["convert", "export", "export_localiser", "round_filters"]

_EXACT_CONVOLUTIONS = 3
_CONVOLUTIONS = ("Convolution", "GroupConvolution")

FloatArray = npt.NDArray[np.float32]


class _Three(nn.Module):
    """The outputs that are asked for, of one picture."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = self.network(pictures)
        return outputs.embedding, outputs.logits, outputs.view


def export(openvino: Any, bundle: Bundle, path: Path, precision: str) -> None:
    """Write the network as `path` (.xml) and its weights beside it (.bin).

    Parameters
    ----------
    openvino
        The package.
    bundle
        Whose CNN it is.
    path
        Ends in ``.xml``; the folder exists.
    precision
        ``"float32"``, ``"bf16"`` or ``"int8"``: what it is prepared for.

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description.
    MissingExtraError
        What int8 needs is not installed.
    """
    model = convert(openvino, build_encoder(bundle), bundle.size)
    if precision == "bf16":
        _fuse(model)
        _round_weights(openvino, model)
    if precision == "int8":
        from indexer.cascade.runtimes.int8 import quantise

        model = quantise(model, bundle.size)
    openvino.save_model(model, path, compress_to_fp16=False)
    if precision == "bf16":
        _mark_exact(path, _first_operations(model))


def export_localiser(openvino: Any, bundle: Bundle, path: Path) -> None:
    """Write the network that scores the cells of a picture (`Localiser`), in float32.

    Rounded to bf16 the scores of cells are off by up to 1.8, those of pictures by a tenth of that.
    """
    localiser = Localiser(build_encoder(bundle), bundle.size)
    openvino.save_model(_converted(openvino, localiser, bundle.size), path, compress_to_fp16=False)


def convert(openvino: Any, network: nn.Module, size: int) -> Any:
    """A CNN that gives `Outputs`, for one picture as OpenVINO has it: embedding, logits, view."""
    return _converted(openvino, _Three(network), size)


def _converted(openvino: Any, network: nn.Module, size: int) -> Any:
    """A network of one picture as OpenVINO has it."""
    from openvino.tools.ovc import convert_model

    # The trace takes what depends on the number of members for constant, which it is. Threads share
    # the filters, so these two are narrow and stay: nothing that other threads warn of is hidden.
    tracing: type[Warning] = torch.jit.TracerWarning  # type: ignore[attr-defined]
    warnings.filterwarnings("ignore", category=tracing)
    warnings.filterwarnings("ignore", r"`torch\.jit\.trace", FutureWarning)
    with torch.inference_mode():
        return convert_model(
            network,
            example_input=torch.zeros(1, 1, size, size, dtype=torch.uint8),
            input=[([1, 1, size, size], openvino.Type.u8)],
        )


def _fuse(model: Any) -> None:
    """Fuse what OpenVINO would fuse when it compiles: a convolution made then has no mark.

    What the first round folds to constants, such as paddings, the second one fuses.
    """
    from openvino._offline_transformations import apply_moc_transformations

    for _ in range(2):
        apply_moc_transformations(model, cf=True)


def _round_weights(openvino: Any, model: Any) -> None:
    for node in model.get_ordered_ops():
        if node.get_type_name() in _CONVOLUTIONS and node.input_value(1).get_shape()[-1] > 1:
            weights = node.input_value(1).get_node()
            while weights.get_type_name() != "Constant":
                weights = weights.input_value(0).get_node()
            rounded = openvino.opset8.constant(round_filters(weights.get_data()))
            weights.output(0).replace(rounded.output(0))


def round_filters(weights: FloatArray) -> FloatArray:
    """Round filters to bf16 so that the sum of each stays what it was.

    What one weight is rounded by is added to the next smaller one before that is rounded.

    Parameters
    ----------
    weights
        Shape (..., height, width).
    """
    flat = weights.reshape(-1, weights.shape[-2] * weights.shape[-1]).astype(np.float64)
    order = np.argsort(-np.abs(flat), axis=1, kind="stable")
    rows, carried = np.arange(len(flat)), np.zeros(len(flat))
    rounded = np.empty(flat.shape, np.float32)
    for column in order.T:
        wanted = flat[rows, column] + carried
        rounded[rows, column] = torch.from_numpy(wanted).bfloat16().float().numpy()
        carried = wanted - rounded[rows, column]
    return rounded.reshape(weights.shape)


def _first_operations(model: Any) -> set[str]:
    """Names of all operations up to the last exact convolution of each member."""
    depth: dict[str, int] = {}
    for node in model.get_ordered_ops():
        before = [depth[node.input_value(n).get_node().get_name()] for n in range(_inputs(node))]
        own = node.get_type_name() in _CONVOLUTIONS
        depth[node.get_name()] = max(before, default=0) + own
    return {
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if depth[node.get_name()] <= _EXACT_CONVOLUTIONS and node.get_type_name() != "Constant"
    }


def _inputs(node: Any) -> int:
    count: int = node.get_input_size()
    return count


def _mark_exact(path: Path, names: Set[str]) -> None:
    """OpenVINO's mark for operations that keep their precision; Python has no call for it."""
    tree = ET.parse(path)
    for layer in tree.getroot().iter("layer"):
        if layer.get("name") in names and layer.get("type") not in ("Parameter", "Const", "Result"):
            info = layer.find("rt_info")
            if info is None:
                info = ET.SubElement(layer, "rt_info")
            ET.SubElement(info, "attribute", name="precise", version="0")
    tree.write(path)
