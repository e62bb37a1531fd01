"""The bundle that a training starts from: its CNNs, and what it says where nobody says anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from torch import Tensor

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.networks.encoder import EnsembleMember
from indexer.cascade.reading import Runtime
from indexer.datasets.dataset import keep_array
from indexer.errors import TrainingError

__all__ = ["LabelName", "Start"]

#: A finding, or a finding and one of its qualifiers.
LabelName: TypeAlias = str | tuple[str, str]

_FloatArray = npt.NDArray[np.float32]


class Start:
    """A trained bundle.

    Parameters
    ----------
    bundle
        Its CNNs have the backbones and dimensions of the training's.
    device
        Where it reads pictures.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle = bundle
        self._device = device
        self._weights = bundle.weights()
        labels = bundle.labels
        names: list[LabelName] = [*labels.findings, *labels.pairs]
        self._column = {name: index for index, name in enumerate(names)}

    def check(self, backbones: Sequence[str], dimensions: int, size: int) -> None:
        """Refuse a bundle of other networks.

        Raises
        ------
        TrainingError
            It names what differs.
        """
        own = self.bundle.architecture["backbones"]
        for number, name in enumerate(backbones):
            if own[number % len(own)] != name:
                raise TrainingError(
                    f"the bundle {self.bundle.path} has the CNNs {', '.join(own)}, so no training "
                    f"of {name} starts from it: give --backbone {own[0]}"
                )
        for what, mine, other in (
            ("an embedding", self.bundle.dimensions, dimensions),
            ("a side", self.bundle.size, size),
        ):
            if mine != other:
                raise TrainingError(
                    f"the bundle {self.bundle.path} has {what} of {mine}, the recipe of {other}"
                )

    def put_into(self, member: EnsembleMember, number: int, names: Sequence[LabelName]) -> None:
        """Give a CNN the weights of one of the bundle's: the last one first, as it learnt most.

        Parameters
        ----------
        names
            The labels of its head. One that the bundle does not score starts as its finding does,
            or, where it knows none, as it is.
        """
        count = len(self.bundle.architecture["backbones"])
        prefix = f"encoder.members.{(count - 1 - number) % count}."
        state = member.state_dict()
        for key, value in state.items():
            found = self._weights.get(prefix + key)
            same = found is not None and found.shape == tuple(value.shape)
            if found is not None and same and not key.startswith("head."):
                state[key] = torch.from_numpy(found).to(value.dtype)
        head = torch.from_numpy(self._weights[f"{prefix}head.weight"]).float()
        bias = torch.stack([self._own_bias(n) for n in range(count)]).mean(0)
        knew = torch.stack([self._knows(n) for n in range(count)]).sum(0)
        for row, name in enumerate(names):
            taken = self._column.get(name)
            if taken is None or not head[taken].any():
                taken = self._column.get(name[0]) if isinstance(name, tuple) else None
                if taken is None:
                    continue
            else:
                state["head.bias"][row] = bias[taken]
            # The bundle's scores are means over CNNs, of which some were taught nothing of a label.
            state["head.weight"][row] = head[taken] * knew[taken] / count
        member.load_state_dict(state)

    def _own_bias(self, number: int) -> Tensor:
        return torch.from_numpy(self._weights[f"encoder.members.{number}.head.bias"]).float()

    def _knows(self, number: int) -> Tensor:
        head = torch.from_numpy(self._weights[f"encoder.members.{number}.head.weight"])
        return head.ne(0).any(1).float()

    def chances(
        self, canvases: npt.NDArray[np.uint8], names: Sequence[LabelName], work: Path
    ) -> tuple[_FloatArray, npt.NDArray[np.bool_]]:
        """What it says of pictures of shape (n, size, size), read once and kept under `work`.

        Returns
        -------
        chances, scored
            Shape (n, labels), and (labels,): which of them it scores.
        """
        digest = blake3(self.bundle.hash.encode())
        digest.update(np.ascontiguousarray(canvases).data)
        path = work / f"teacher-{digest.hexdigest(length=8)}.npy"
        if not path.exists():
            runtime = Runtime(self.bundle, Compute(device=self._device))
            size = runtime.batch_size
            parts = [
                runtime.encode(np.asarray(canvases[start : start + size])).logits
                for start in range(0, len(canvases), size)
            ]
            keep_array(path, np.concatenate(parts))
        logits = np.load(path)
        columns = [self._column.get(name, -1) for name in names]
        scored = np.array([column >= 0 for column in columns])
        found: _FloatArray = (1 / (1 + np.exp(-logits[:, columns]))).astype(np.float32)
        return found, scored
