"""Training a cascade: CNNs over the mined labels and the reports' words, the RNN over their
embeddings, and more CNNs over the composite labels that come of both; then calibration."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.annotation import Annotation
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.devices import choose_device
from indexer.cascade.labels import Labels
from indexer.cascade.likeness import Likeness
from indexer.cascade.networks.annotator import Annotator
from indexer.cascade.trained_on import compressed
from indexer.datasets.dataset import Example, load_canvases, load_examples
from indexer.datasets.images import Dataset
from indexer.datasets.mining import encode_labels, encode_sequences, mine
from indexer.errors import TrainingError
from indexer.learning.report_page import check_report
from indexer.memory import keep_freed_memory
from indexer.paper.cases import Cases
from indexer.paper.classes import check_apart, in_a_class
from indexer.paper.model import PaperModel
from indexer.paper.recipe import named
from indexer.paper.training import train_cascade
from indexer.training.assembly import Ensemble, TrainedMember, join
from indexer.training.bundle_report import write_bundle_report
from indexer.training.calibration import choose_thresholds
from indexer.training.feedback import LONGEST, Composites, composites_of
from indexer.training.members import (
    Validation,
    best_epoch,
    check_start,
    mean_auc,
    read_pictures,
    train_member,
)
from indexer.training.model_card import write_model_card
from indexer.training.recipe import Recipe
from indexer.training.supervision import Supervision
from indexer.words import sentences

__all__ = ["train"]

log = logging.getLogger(__name__)

_FloatArray = npt.NDArray[np.float32]
_ByteArray = npt.NDArray[np.uint8]
_PARTS = ("train", "val")
# In a training step of the RNN.
_ANNOTATIONS = 128


@dataclass(frozen=True, slots=True)
class _Data:
    """The parts `train` and `val` as a training sees them."""

    examples: Mapping[str, list[Example]]
    canvases: Mapping[str, _ByteArray]
    labels: Labels
    #: Shape (n, findings + pairs).
    goals: Mapping[str, _FloatArray]

    @classmethod
    def load(cls, dataset: Path, recipe: Recipe, work: Path, limit: int | None) -> _Data:
        examples = {part: load_examples(dataset, part)[:limit] for part in _PARTS}
        check_apart(examples["train"], examples["val"])
        settings = DecodeSettings(size=recipe.size, squash=True, key=b"training set", thumbnail=0)
        canvases = {part: load_canvases(rows, settings, work) for part, rows in examples.items()}
        labels = mine([e.annotations for e in examples["train"]], recipe.min_images)
        if not labels.findings:
            raise TrainingError(f"no finding has {recipe.min_images} images: lower --min-images")
        goals = {
            part: encode_labels((e.annotations for e in rows), labels)
            for part, rows in examples.items()
        }
        return cls(examples, canvases, labels, goals)

    @property
    def annotations(self) -> dict[str, list[Sequence[Annotation]]]:
        return {part: [e.annotations for e in rows] for part, rows in self.examples.items()}

    def with_composites(self, composites: Composites) -> dict[str, _FloatArray]:
        """Per part, goals of all labels."""
        return {
            part: np.concatenate([self.goals[part], composites.goals[part]], 1) for part in _PARTS
        }


def train(
    dataset: Path,
    output: Path,
    recipe: Recipe,
    *,
    work: Path,
    device: str = "auto",
    limit: int | None = None,
    report: Path | None = None,
) -> Bundle:
    """Train a cascade on the `train` part of a data set; calibrate it on `val`.

    Parameters
    ----------
    dataset
        A folder in the Open-i layout (see `indexer.datasets.dataset`).
    output
        Folder of the bundle.
    work
        Holds decoded pictures and a checkpoint after each epoch; an interrupted training goes
        on from it.
    limit
        Use only this many images of each part.
    report
        Write curves, composite labels and their map to this ``.md`` or ``.html`` file.

    Raises
    ------
    TrainingError
        The data set is unusable, or the report no such file.
    MissingExtraError
        A package that training needs is not installed.
    """
    if report is not None:
        check_report(report)
    check_start(recipe)
    torch.manual_seed(recipe.seed)
    started = time.time()
    # A training step frees gigabytes, and needs them again at once.
    keep_freed_memory(-1)
    target = choose_device(device)
    data = _Data.load(dataset, recipe, work, limit)
    labels, findings = data.labels, len(data.labels.findings)
    log.info(
        "%d train and %d val images, %d findings, %d pairs, %d words",
        *(len(data.examples[part]) for part in _PARTS),
        findings,
        len(labels.pairs),
        len(labels.vocabulary),
    )
    supervision = Supervision.of(data.examples["train"], labels, text=recipe.text_weight > 0)
    lateral = np.array([e.view == "lateral" for e in data.examples["val"]])
    validation = Validation(data.canvases["val"], data.goals["val"][:, :findings], lateral)
    composites = Composites.none({part: len(data.goals[part]) for part in _PARTS})
    members: list[TrainedMember] = []
    histories, rounds = [], []
    for number in range(len(recipe.backbones)):
        goals = data.goals["train"]
        columns = np.arange(goals.shape[1])
        if members and number >= len(recipe.backbones) - recipe.feedback:
            joined, annotator, row = _close_round(recipe, data, members, composites, supervision)
            rounds.append(row)
            composites = composites_of(
                annotator,
                labels,
                data.annotations,
                joined.vectors,
                images_per_label=recipe.images_per_label,
                deviations=recipe.deviations,
                clusters=recipe.clusters,
                seed=recipe.seed,
            )
            log.info("%d composite labels: %s", len(composites.names), "; ".join(composites.names))
            # What a member of an earlier round knows of composite labels is of others.
            members = [replace(m, columns=m.columns[m.columns < len(columns)]) for m in members]
            new = len(columns) + np.arange(len(composites.names))
            columns = np.concatenate([columns[:findings], new])
            goals = np.concatenate([goals[:, :findings], composites.goals["train"]], 1)
        taught = replace(supervision, labels=torch.from_numpy(goals))
        member, history = train_member(
            recipe, number, taught, data.canvases["train"], validation, work, target
        )
        said = {part: read_pictures(member, data.canvases[part], target) for part in _PARTS}
        members.append(TrainedMember(member.cpu(), said, columns))
        histories.append(history)
    joined, annotator, row = _close_round(recipe, data, members, composites, supervision)
    rounds.append(row)
    thresholds = choose_thresholds(
        labels.findings,
        data.goals["train"][:, :findings],
        data.goals["val"][:, :findings],
        joined.logits["val"][:, :findings].numpy(),
    )
    paper = _train_paper(data.examples, joined.vectors, work, device)
    record = {
        "recipe": asdict(recipe),
        "data": {part: len(rows) for part, rows in data.examples.items()},
        "members": histories,
        "rounds": rounds,
        "composites": dict(
            zip(
                composites.names, composites.goals["train"].sum(0).astype(int).tolist(), strict=True
            )
        ),
        "paper": paper.record if paper else None,
        "likeness": _likeness(data, joined).to_json(),
        "trained_on": compressed(example.image_id for example in data.examples["train"]),
        "seconds": round(time.time() - started),
    }
    log.info(
        "mean AUC on val %.4f, of the members %s",
        row["val_mean_auc"],
        [best_epoch(history) for history in histories],
    )
    weights = {
        f"{prefix}.{name}": value.detach().float().cpu().numpy()
        if value.is_floating_point()
        else value.cpu().numpy()
        for prefix, module in (("encoder", joined.encoder), ("annotator", annotator))
        for name, value in module.state_dict().items()
    }
    if paper:
        weights |= {f"paper.{name}": tensor for name, tensor in paper.to_tensors().items()}
    bundle = Bundle.save(
        output,
        name=recipe.name,
        size=recipe.size,
        squash=True,
        dimensions=recipe.dimensions,
        labels=replace(labels, composites=composites.names),
        thresholds=thresholds,
        architecture={
            "backbones": recipe.backbones,
            "sentences": sentences.DIMENSIONS if recipe.text_weight else 0,
            "annotator": _annotator_shape(recipe),
        },
        record=record,
        weights=weights,
        # The record of it stands in that of the bundle.
        paper=paper.description() | {"record": {}} if paper else None,
    )
    write_model_card(bundle, [Dataset.open(dataset).description])
    if report is not None:
        write_bundle_report(report, bundle.name, record, composites)
    return bundle


def _close_round(
    recipe: Recipe,
    data: _Data,
    members: Sequence[TrainedMember],
    composites: Composites,
    supervision: Supervision,
) -> tuple[Ensemble, Annotator, dict[str, Any]]:
    """The CNNs so far side by side, the RNN over them, and how both do on val."""
    goals, findings = data.with_composites(composites), len(data.labels.findings)
    joined = join(recipe, data.labels.findings, members, goals["val"], supervision)
    annotator, history = _train_annotator(recipe, data.labels, data.examples, joined.vectors)
    truth, scores = data.goals["val"][:, :findings], joined.logits["val"][:, :findings]
    study = torch.from_numpy(
        np.unique([e.study for e in data.examples["val"]], return_inverse=True)[1]
    )
    own = mean_auc(truth, scores.numpy())
    pooled = mean_auc(truth, _means(scores, study).numpy())
    least = min(history, key=lambda row: row["val_loss"])
    log.info(
        "%d CNNs: mean AUC on val %.4f, pooled by study %.4f, annotator %s",
        *(len(members), own, pooled, least),
    )
    row = {"cnns": len(members), "composites": len(composites.names), "val_mean_auc": own}
    return joined, annotator, {**row, "val_mean_auc_pooled": pooled, "annotator": history}


def _likeness(data: _Data, joined: Ensemble) -> Likeness:
    """How likely val images share a finding with train images, by their pooled vectors."""
    findings = len(data.labels.findings)
    pooled = {part: _pooled(joined.vectors[part], data.examples[part]) for part in _PARTS}
    own = (pooled["val"] ** 2).sum(1, keepdims=True).clip(1e-12)
    shares = pooled["val"] @ pooled["train"].T / own
    there = {part: (data.goals[part][:, :findings] > 0.5).astype(np.float32) for part in _PARTS}
    return Likeness.fitted(shares.ravel(), (there["val"] @ there["train"].T > 0).ravel())


def _pooled(vectors: _FloatArray, examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    studies = np.unique([example.study for example in examples], return_inverse=True)[1]
    return _means(torch.from_numpy(vectors).double(), torch.from_numpy(studies)).numpy()


def _means(rows: Tensor, groups: Tensor) -> Tensor:
    """Each row as the mean of its group."""
    sums = torch.zeros(int(groups.max()) + 1, rows.shape[1], device=rows.device)
    sums = sums.index_add(0, groups, rows)
    return (sums / groups.bincount()[:, None])[groups]


def _train_paper(
    examples: Mapping[str, list[Example]],
    vectors: Mapping[str, _FloatArray],
    work: Path,
    device: str,
) -> PaperModel | None:
    """The paper's cascade over the embeddings; None where a part has no image of its classes."""
    if not all(in_a_class(rows) for rows in examples.values()):
        return None
    train, val = (Cases.of(examples[part], vectors[part], wide=True) for part in ("train", "val"))
    return train_cascade(named("bundle"), train, val, work=work, device=device)


def _annotator_shape(recipe: Recipe) -> dict[str, Any]:
    return {"cell": recipe.cell, "units": recipe.units, "layers": recipe.layers}


def _train_annotator(
    recipe: Recipe,
    labels: Labels,
    examples: Mapping[str, list[Example]],
    vectors: Mapping[str, _FloatArray],
) -> tuple[Annotator, list[dict[str, float]]]:
    """The RNN of the epoch with the least loss on val, its state always started by the image."""
    torch.manual_seed(recipe.seed)
    model = Annotator(recipe.dimensions, len(labels.vocabulary), **_annotator_shape(recipe))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    data = {}
    for part, rows in examples.items():
        owners, words = encode_sequences((e.annotations for e in rows), labels, LONGEST)
        data[part] = torch.from_numpy(vectors[part][owners]), torch.from_numpy(words)

    def loss_of(embedding: Tensor, tokens: Tensor) -> Tensor:
        logits = model(embedding, tokens[:, :-1].clamp(min=0))
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=-1
        )

    # An epoch of few steps may change too little to be told from none.
    patience = max(5, math.ceil(100 * _ANNOTATIONS / len(data["train"][1])))
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    for epoch in range(recipe.annotator_epochs):
        model.train()
        embedding, tokens = data["train"]
        losses = []
        for step in torch.randperm(len(tokens)).split(_ANNOTATIONS):
            loss = loss_of(embedding[step], tokens[step])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.inference_mode():
            val = loss_of(*data["val"]).item()
        row = {"epoch": epoch + 1, "loss": round(float(np.mean(losses)), 4)}
        history.append({**row, "val_loss": round(val, 4)})
        if val <= min(h["val_loss"] for h in history) + 1e-4:
            best = {name: value.clone() for name, value in model.state_dict().items()}
        elif epoch + 1 - min(history, key=lambda h: h["val_loss"])["epoch"] >= patience:
            break
    model.load_state_dict(best)
    return model.eval(), history
