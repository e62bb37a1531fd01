"""What a training learns from: pictures of data sets with what is known of them, and the bundle
that it starts from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from indexer.annotation import Annotation
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.labels import LabelSet
from indexer.cascade.networks.encoder import EnsembleMember
from indexer.datasets.dataset import Example, Needs, load_canvases, load_examples
from indexer.datasets.description import Description
from indexer.datasets.example import check_apart
from indexer.datasets.images import Dataset
from indexer.datasets.mining import mine
from indexer.datasets.targets import KnownTargets, encode_targets
from indexer.errors import TrainingError
from indexer.training.recipe import Recipe

__all__ = ["PARTS", "LabelName", "Sources", "Start", "is_annotated", "load_to_learn"]

#: A finding, or a finding and one of its qualifiers.
LabelName: TypeAlias = str | tuple[str, str]

PARTS = ("train", "val")

log = logging.getLogger(__name__)

_ByteArray = npt.NDArray[np.uint8]


def is_annotated(example: Example) -> bool:
    """Whether a person said all that there is of it: what they leave out is not there."""
    return example.others is not None


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts `train` and `val` of all data sets, one after the other.

    Parameters
    ----------
    descriptions
        Of the data sets.
    examples
        Per part.
    source
        Per part, shape (n,): the number of each image's data set.
    canvases
        Per part, shape (n, size, size).
    labels
        Mined from what people annotated fully; where nobody did, from all annotations.
    known
        Per part, of findings and pairs.
    """

    descriptions: tuple[Description, ...]
    examples: Mapping[str, list[Example]]
    source: Mapping[str, npt.NDArray[np.int64]]
    canvases: Mapping[str, _ByteArray]
    labels: LabelSet
    known: Mapping[str, KnownTargets]

    @classmethod
    def load(
        cls,
        datasets: Sequence[Path],
        recipe: Recipe,
        work: Path,
        *,
        limit: int | None = None,
        unlabelled: bool = False,
    ) -> Sources:
        """Read data sets.

        Parameters
        ----------
        work
            Keeps the decoded pictures.
        limit
            Use only this many images of each part of each set.
        unlabelled
            Take pictures of which nothing is known, too: somebody else will tell.

        Raises
        ------
        TrainingError
            A data set is unusable, a patient or study is in both parts, or no finding has enough
            images.
        """
        examples: dict[str, list[Example]] = {part: [] for part in PARTS}
        source: dict[str, list[int]] = {part: [] for part in PARTS}
        for number, path in enumerate(datasets):
            found = {part: load_to_learn(path, part, unlabelled)[:limit] for part in PARTS}
            check_apart(found["train"], found["val"])
            for part, rows in found.items():
                examples[part] += rows
                source[part] += [number] * len(rows)
        settings = DecodeSettings(
            recipe.size, recipe.squash, b"training set", borders=recipe.borders, thumbnail=0
        )
        canvases = {part: load_canvases(rows, settings, work) for part, rows in examples.items()}
        full = [e for e in examples["train"] if is_annotated(e) and e.annotations]
        labels = mine([e.annotations for e in full or examples["train"]], recipe.min_images)
        if not labels.findings:
            raise TrainingError(f"no finding has {recipe.min_images} images: lower `min_images`")
        return cls(
            tuple(Dataset.open(path).description for path in datasets),
            examples,
            {part: np.array(rows, np.int64) for part, rows in source.items()},
            canvases,
            labels,
            {part: KnownTargets(*encode_targets(rows, labels)) for part, rows in examples.items()},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the data sets."""
        return tuple(description.name for description in self.descriptions)

    def canvases_by_source(self, part: str) -> dict[str, _ByteArray]:
        """The pictures of a part by the name of their data set; one without any is left out."""
        source = self.source[part]
        return {
            name: self.canvases[part][source == number]
            for number, name in enumerate(self.names)
            if (source == number).any()
        }

    def judged_once(self, part: str) -> KnownTargets:
        """What is known of the findings, each label's once (see `encode_targets`): to judge by."""
        known = KnownTargets(*encode_targets(self.examples[part], self.labels, once=True))
        return known.columns(np.arange(len(self.labels.findings)))

    def summary(self) -> str:
        """How many images and labels there are, for a log."""
        counts = "; ".join(
            f"{name}: " + ", ".join(f"{(self.source[part] == n).sum()} {part}" for part in PARTS)
            for n, name in enumerate(self.names)
        )
        labels = self.labels
        return (
            f"images of {counts}; {len(labels.findings)} findings, {len(labels.pairs)} pairs, "
            f"{len(labels.vocabulary)} words"
        )

    def annotated(self, part: str) -> npt.NDArray[np.int64]:
        """The images of a part that people annotated, fully where anybody did: what the RNN, the
        composite labels and the paper's cascade are made of."""
        rows = self.examples[part]
        full = [n for n, e in enumerate(rows) if e.annotations and is_annotated(e)]
        return np.array(full or [n for n, e in enumerate(rows) if e.annotations], np.int64)

    def annotations(self, part: str) -> list[tuple[Annotation, ...]]:
        """What is said of each of `annotated`."""
        return [self.examples[part][n].annotations for n in self.annotated(part)]

    def draw_weight(self) -> npt.NDArray[np.float64]:
        """How often each image of `train` is drawn, on the average once.

        The films of a table of labels were seldom gathered at random: those of a rare label are
        drawn more often than those of a frequent one, the many films of one patient less often.
        """
        rows, source = self.examples["train"], self.source["train"]
        weight = np.ones(len(rows))
        for number in range(len(self.names)):
            own = np.flatnonzero(source == number)
            given = [[f for f, chance in rows[n].findings.items() if chance == 1] for n in own]
            if not any(given):
                continue
            names, counts = np.unique([f for one in given for f in one], return_counts=True)
            rarity = dict(zip(names.tolist(), counts**-0.5, strict=True))
            patients = [rows[n].patient or rows[n].image_id for n in own]
            films = dict(zip(*np.unique(patients, return_counts=True), strict=True))
            drawn = np.array(
                [
                    max((rarity[f] for f in one), default=rarity[names[counts.argmax()]])
                    / films[patient] ** 0.5
                    for one, patient in zip(given, patients, strict=True)
                ]
            )
            weight[own] = drawn / drawn.mean()
        return weight


def load_to_learn(path: Path, part: str, unlabelled: bool) -> list[Example]:
    """The images of a part of a data set for which something is known that can be learnt.

    Parameters
    ----------
    unlabelled
        Take of ``train`` those, too, of which nothing is known.

    Raises
    ------
    TrainingError
        The data set is unusable, or nothing is known of any image of the part.
    """
    needs: Needs = "picture"
    found = load_examples(path, part, needs)
    if unlabelled and part == "train":
        return found
    kept = [e for e in found if e.annotations or e.findings or e.sentences]
    if not kept:
        raise TrainingError(
            f"nothing is known of any image of the part {part!r} of {path}: pictures alone can be "
            "learnt from beside a bundle that reads them, given by `start` or `teachers`"
        )
    return kept


class Start:
    """A trained bundle.

    Parameters
    ----------
    bundle
        Its CNNs have the backbones and dimensions of the training's.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
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
                    f"of {name} starts from it: give `backbones` {own[0]}"
                )
        for what, ours, other in (
            ("an embedding", self.bundle.dimensions, dimensions),
            ("a side", self.bundle.size, size),
        ):
            if ours != other:
                raise TrainingError(
                    f"the bundle {self.bundle.path} has {what} of {ours}, the recipe of {other}"
                )

    def _number(self, number: int) -> int:
        """Which of the bundle's CNNs the training's starts as: the last one first."""
        count = len(self.bundle.architecture["backbones"])
        return (count - 1 - number) % count

    def knows(self, number: int, names: Sequence[LabelName]) -> npt.NDArray[np.bool_]:
        """Which of these labels the CNN that `number` starts as was taught."""
        scored = self._scored(self._number(number)).numpy() > 0
        return np.array([name in self._column and scored[self._column[name]] for name in names])

    def put_into(self, member: EnsembleMember, number: int, names: Sequence[LabelName]) -> None:
        """Give a CNN the weights of one of the bundle's: the last one first, as it learnt most.

        Parameters
        ----------
        names
            The labels of its head. One that the bundle does not score starts as its finding does,
            or, where it knows none, as it is.
        """
        count = len(self.bundle.architecture["backbones"])
        prefix = f"encoder.members.{self._number(number)}."
        state = member.state_dict()
        for key, value in state.items():
            found = self._weights.get(prefix + key)
            same = found is not None and found.shape == tuple(value.shape)
            if found is not None and same and not key.startswith("head."):
                state[key] = torch.from_numpy(found).to(value.dtype)
        head = torch.from_numpy(self._weights[f"{prefix}head.weight"]).float()
        bias = torch.stack([self._own_bias(n) for n in range(count)]).mean(0)
        knew = torch.stack([self._scored(n) for n in range(count)]).sum(0)
        for row, name in enumerate(names):
            taken = self._column.get(name)
            if taken is None or not head[taken].any():
                taken = self._column.get(name[0]) if isinstance(name, tuple) else None
                if taken is None:
                    continue
            else:
                state["head.bias"][row] = bias[taken]
            # The bundle averages its CNNs, some of which were not trained on a label.
            state["head.weight"][row] = head[taken] * knew[taken] / count
        member.load_state_dict(state)

    def _own_bias(self, number: int) -> Tensor:
        return torch.from_numpy(self._weights[f"encoder.members.{number}.head.bias"]).float()

    def _scored(self, number: int) -> Tensor:
        head = torch.from_numpy(self._weights[f"encoder.members.{number}.head.weight"])
        return head.ne(0).any(1).float()
