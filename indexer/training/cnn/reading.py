"""What a CNN in training says of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from torch import nn

from indexer.cascade.networks.encoder import EnsembleMember, Outputs
from indexer.cascade.runtimes import openvino_cpu

__all__ = ["read_kept", "read_pictures"]

# Compiling a CNN takes as long as reading some hundreds of pictures with torch.
_WORTH_COMPILING = 1000

_ByteArray = npt.NDArray[np.uint8]


def read_kept(
    member: EnsembleMember, canvases: _ByteArray, work: Path, device: torch.device
) -> Outputs:
    """What `read_pictures` gives, read once for these weights and pictures and kept in `work`."""
    digest = blake3(np.ascontiguousarray(canvases).data)
    for name, value in member.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    path = work / f"said-{digest.hexdigest(length=8)}.pt"
    if path.exists():
        return Outputs(*torch.load(path, weights_only=True))
    outputs = read_pictures(member, canvases, device)
    work.mkdir(parents=True, exist_ok=True)
    torch.save(tuple(outputs), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    return outputs


def read_pictures(module: nn.Module, canvases: _ByteArray, device: torch.device) -> Outputs:
    """Outputs for whole pictures of shape (n, size, size), in float32 as `Predictor` has them."""
    module.eval()
    quick = (
        device.type == "cpu" and len(canvases) >= _WORTH_COMPILING and openvino_cpu.is_available()
    )
    if quick and isinstance(module, EnsembleMember):
        return _read_compiled(module, canvases)
    parts: list[Outputs] = []
    with torch.inference_mode():
        for start in range(0, len(canvases), 64):
            pictures = torch.from_numpy(np.array(canvases[start : start + 64]))[:, None].to(device)
            parts.append(Outputs(*(part.cpu() for part in module(pictures))))
    return Outputs(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _read_compiled(member: EnsembleMember, canvases: _ByteArray) -> Outputs:
    network = openvino_cpu.load_module(member, canvases.shape[-1])
    parts = [network.encode(canvases[start : start + 64]) for start in range(0, len(canvases), 64)]
    embedding, logits, view = (
        torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)
    )
    with torch.inference_mode():
        return Outputs(embedding, logits, view, member.place(embedding))
