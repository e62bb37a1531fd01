"""Training a cascade: CNNs over the mined labels and the reports' words, then the RNN over their
embeddings, then calibration and thresholds."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from indexer.annotation import NORMAL
from indexer.archive.decoding import DecodeSettings
from indexer.cascade import sentences
from indexer.cascade.annotator import Annotator
from indexer.cascade.augmentation import augment
from indexer.cascade.bundle import Bundle
from indexer.cascade.calibration import calibrate, choose_thresholds
from indexer.cascade.dataset import Example, load_canvases, load_examples
from indexer.cascade.depthwise import speed_up
from indexer.cascade.devices import choose_device
from indexer.cascade.encoder import Encoder, Member, Outputs
from indexer.cascade.mining import Labels, encode_labels, encode_sequences, mine
from indexer.cascade.paper.cases import Cases
from indexer.cascade.paper.classes import in_a_class
from indexer.cascade.paper.model import PaperModel
from indexer.cascade.paper.recipe import named
from indexer.cascade.paper.training import train_cascade
from indexer.cascade.pretrained import imagenet_weights, load_weights
from indexer.cascade.supervision import Supervision
from indexer.errors import TrainingError
from indexer.memory import keep_freed_memory

__all__ = ["Recipe", "train"]

log = logging.getLogger(__name__)

_FloatArray = npt.NDArray[np.float32]
_ByteArray = npt.NDArray[np.uint8]
# How firmly the weights between search vectors and sentences are held to zero.
_RIDGE = 100.0
# The longest human annotation has eight words; one more ends it.
_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a bundle comes out.

    Parameters
    ----------
    backbones
        A timm model name for each CNN. They are trained one after the other on draws of their
        own, and read side by side. ImageNet weights are at hand for ``tf_efficientnet_lite0`` to
        ``tf_efficientnet_lite2``.
    dimensions
        Length of the embedding.
    size, crop
        Side of the canvas, and of the random crop the CNN is trained on, in pixels.
    min_images
        Labels and words of fewer training images are dropped.
    epochs, batch_size, learning_rate, weight_decay, drop_path
        Of the CNN (AdamW, one cycle, stochastic depth); its new layers learn five times as fast.
    text_weight
        Weight of the contrastive terms between images and report sentences; 0 for none.
    finding_worth, normal_worth
        What a finding, and ``normal``, that two images share counts in the likeness of their
        search vectors, beside the mean cosine of the members' embeddings.
    cell, units, layers, annotator_epochs
        Of the RNN.
    pretrained
        Start from ImageNet weights.
    weights, grey_range
        Start from this file instead (see `indexer.cascade.pretrained.load_weights`).
    seed
        Of every random draw.
    """

    name: str = "cxrdex-base"
    backbones: tuple[str, ...] = ("tf_efficientnet_lite0", "tf_efficientnet_lite0")
    dimensions: int = 256
    size: int = 256
    crop: int = 208
    min_images: int = 20
    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 6e-4
    weight_decay: float = 0.02
    drop_path: float = 0.1
    text_weight: float = 1.0
    finding_worth: float = 1.5
    normal_worth: float = 0.75
    cell: Literal["gru", "lstm"] = "gru"
    units: int = 256
    layers: int = 1
    annotator_epochs: int = 30
    pretrained: bool = True
    weights: str | None = None
    grey_range: float = 1.0
    seed: int = 0


def train(
    dataset: Path,
    output: Path,
    recipe: Recipe,
    *,
    work: Path,
    device: str = "auto",
    limit: int | None = None,
) -> Bundle:
    """Train a cascade on the `train` part of a data set; calibrate it on `val`.

    Parameters
    ----------
    dataset
        A folder in the Open-i layout (see `indexer.cascade.dataset`).
    output
        Folder of the bundle.
    work
        Holds decoded pictures and a checkpoint after each epoch; an interrupted training goes
        on from it.
    limit
        Use only this many images of each part.

    Raises
    ------
    TrainingError
        The data set is unusable.
    """
    torch.manual_seed(recipe.seed)
    started = time.time()
    target = choose_device(device)
    # A training step frees gigabytes, and needs them again at once.
    keep_freed_memory(-1)
    examples = {part: load_examples(dataset, part)[:limit] for part in ("train", "val")}
    settings = DecodeSettings(size=recipe.size, squash=True, key=b"training set", thumbnail=0)
    canvases = {part: load_canvases(rows, settings, work) for part, rows in examples.items()}
    labels = mine([e.annotations for e in examples["train"]], recipe.min_images)
    if not labels.findings:
        raise TrainingError(f"no finding has {recipe.min_images} images: lower --min-images")
    log.info(
        "%d train and %d val images, %d findings, %d pairs, %d words",
        *(len(rows) for rows in examples.values()),
        len(labels.findings),
        len(labels.pairs),
        len(labels.vocabulary),
    )
    goals = {
        part: encode_labels((e.annotations for e in rows), labels)
        for part, rows in examples.items()
    }
    supervision = Supervision.of(examples["train"], labels, text=recipe.text_weight > 0)
    lateral = np.array([e.view == "lateral" for e in examples["val"]])
    members, histories = [], []
    for number in range(len(recipe.backbones)):
        validation = _Validation(canvases["val"], goals["val"][:, : len(labels.findings)], lateral)
        member, history = _train_member(
            recipe, number, supervision, canvases["train"], validation, work, target
        )
        members.append(member)
        histories.append(history)
    said = {
        part: [_read(member, pictures, target) for member in members]
        for part, pictures in canvases.items()
    }
    logits = {part: torch.stack([o.logits for o in said[part]]).mean(0) for part in said}
    scale, shift = calibrate(goals["val"], logits["val"].numpy())
    calibrated = {
        part: value * torch.from_numpy(scale) + torch.from_numpy(shift)
        for part, value in logits.items()
    }
    encoder = _assemble(recipe, labels, members)
    sides = {
        part: encoder.side_by_side(torch.stack([o.embedding for o in said[part]]), calibrated[part])
        for part in said
    }
    encoder.join.weight.data = _main_directions(sides["train"], recipe.dimensions)
    with torch.inference_mode():
        vectors = {part: encoder.join(value).numpy() for part, value in sides.items()}
    if encoder.sentence is not None:
        _place(encoder.sentence, torch.from_numpy(vectors["train"]), supervision)
    for joined_member in encoder.members:
        assert isinstance(joined_member, Member)
        _fold(joined_member.head, scale, shift)
    joined = _mean_auc(goals["val"][:, : len(labels.findings)], logits["val"].numpy())
    annotator, annotator_history = _train_annotator(recipe, labels, examples, vectors)
    findings = len(labels.findings)
    thresholds = choose_thresholds(
        labels.findings,
        goals["train"][:, :findings],
        goals["val"][:, :findings],
        calibrated["val"][:, :findings].numpy(),
    )
    paper = _train_paper(examples, vectors, work, device)
    record = {
        "recipe": asdict(recipe),
        "data": {part: len(rows) for part, rows in examples.items()},
        "members": histories,
        "val_mean_auc": joined,
        "annotator": annotator_history,
        "paper": paper.record if paper else None,
        "seconds": round(time.time() - started),
    }
    log.info("mean AUC on val %.4f, of the members %s", joined, [h[-1] for h in histories])
    weights = {
        f"{prefix}.{name}": value.detach().float().cpu().numpy()
        if value.is_floating_point()
        else value.cpu().numpy()
        for prefix, module in (("encoder", encoder), ("annotator", annotator))
        for name, value in module.state_dict().items()
    }
    if paper:
        weights |= {f"paper.{name}": tensor for name, tensor in paper.to_tensors().items()}
    return Bundle.save(
        output,
        name=recipe.name,
        size=recipe.size,
        squash=True,
        dimensions=recipe.dimensions,
        labels=labels,
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


def _train_paper(
    examples: dict[str, list[Example]], vectors: dict[str, _FloatArray], work: Path, device: str
) -> PaperModel | None:
    """The paper's cascade over the embeddings; None where a part has no image of its classes."""
    if not all(in_a_class(rows) for rows in examples.values()):
        return None
    train, val = (Cases.of(examples[part], vectors[part], wide=True) for part in ("train", "val"))
    return train_cascade(named("bundle"), train, val, work=work, device=device)


def _annotator_shape(recipe: Recipe) -> dict[str, Any]:
    return {"cell": recipe.cell, "units": recipe.units, "layers": recipe.layers}


@dataclass(frozen=True, slots=True)
class _Validation:
    canvases: _ByteArray
    goals: _FloatArray
    lateral: npt.NDArray[np.bool_]

    def score(self, member: nn.Module, device: torch.device) -> dict[str, float]:
        outputs = _read(member, self.canvases, device)
        scores = outputs.logits[:, : self.goals.shape[1]].numpy()
        right = (outputs.view.numpy() > 0) == self.lateral
        return {
            "val_mean_auc": _mean_auc(self.goals, scores),
            "val_view_accuracy": round(float(np.mean(right)), 4),
        }


def _new_member(recipe: Recipe, number: int, supervision: Supervision) -> Member:
    """A member before training, its new layers drawn for it alone."""
    torch.manual_seed(recipe.seed * 100_000 + number)
    backbone = recipe.backbones[number]
    member = Member(
        backbone,
        recipe.dimensions,
        supervision.labels.shape[1],
        sentences.DIMENSIONS if recipe.text_weight else 0,
        recipe.drop_path,
    )
    if recipe.weights:
        load_weights(member.backbone, Path(recipe.weights), recipe.grey_range)
    elif recipe.pretrained:
        member.backbone.load_state_dict(imagenet_weights(backbone))
    # Most labels are rare: start from their frequencies, not from one half.
    member.head.bias.data = supervision.labels.mean(0).clamp(1e-3, 1 - 1e-3).logit()
    return member


def _train_member(
    recipe: Recipe,
    number: int,
    supervision: Supervision,
    canvases: _ByteArray,
    validation: _Validation,
    work: Path,
    device: torch.device,
) -> tuple[Member, list[dict[str, float]]]:
    """A member as the moving average of its weights, and its scores on val after every epoch."""
    model = _new_member(recipe, number, supervision).to(device)
    model.to(memory_format=torch.channels_last)
    if device.type == "cpu":
        speed_up(model)
    fresh = [p for n, p in model.named_parameters() if not n.startswith("backbone")]
    rate = recipe.learning_rate
    optimizer = torch.optim.AdamW(
        [{"params": model.backbone.parameters(), "lr": rate}, {"params": fresh, "lr": 5 * rate}],
        weight_decay=recipe.weight_decay,
    )
    count = len(canvases)
    steps = math.ceil(count / recipe.batch_size)
    # The average spans about the last seventh of all steps.
    decay = 1 - 1 / max(2.0, 0.15 * recipe.epochs * steps)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [rate, 5 * rate], total_steps=max(recipe.epochs * steps, 2), pct_start=0.2
    )
    parts: dict[str, Any] = {
        "model": model,
        "average": average,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    checkpoint = work / f"member-{number}-{_identity(recipe, number, count)}.pt"
    history: list[dict[str, float]] = []
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        history = saved["history"]
        log.info("going on after epoch %d of %d", len(history), recipe.epochs)
    for epoch in range(len(history), recipe.epochs):
        # Seeded by epoch, so that a resumed training draws what an unbroken one would have.
        seed = recipe.seed * 100_000 + number * 1000 + epoch
        draw = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        started, total = time.time(), 0.0
        model.train()
        order = torch.randperm(count, generator=draw).numpy()
        for step, rows in enumerate(np.array_split(order, steps)):
            rows = np.sort(rows)
            pictures = augment(torch.from_numpy(canvases[rows]), recipe.crop, draw)
            with torch.autocast(device.type, _half_precision(device)):
                outputs = model(pictures.to(device))
            loss = supervision.loss(outputs, torch.from_numpy(rows), recipe.text_weight)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
            total += loss.item()
            if step % 20 == 19:
                log.info(
                    "member %d/%d epoch %d/%d step %d/%d loss %.3f %.1f images/s",
                    number + 1,
                    len(recipe.backbones),
                    epoch + 1,
                    recipe.epochs,
                    step + 1,
                    steps,
                    total / (step + 1),
                    (step + 1) * recipe.batch_size / (time.time() - started),
                )
        history.append(
            {
                "epoch": epoch + 1,
                "loss": round(total / steps, 4),
                **validation.score(average.module, device),
                "seconds": round(time.time() - started),
            }
        )
        log.info("%s", history[-1])
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({**state, "history": history}, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)
    best = average.module
    assert isinstance(best, Member)
    return best.eval(), history


def _identity(recipe: Recipe, number: int, count: int) -> str:
    """What a member's checkpoint belongs to: all of a recipe that changes its training."""
    others = {"name", "backbones", "finding_worth", "normal_worth"}
    others |= {"cell", "units", "layers", "annotator_epochs"}
    said = {k: v for k, v in asdict(recipe).items() if k not in others}
    said["backbone"] = recipe.backbones[number]
    return hashlib.sha256(json.dumps([said, count], sort_keys=True).encode()).hexdigest()[:16]


def _half_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it natively, else float32."""
    fast = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


@torch.inference_mode()
def _read(module: nn.Module, canvases: _ByteArray, device: torch.device) -> Outputs:
    """What a CNN says of whole pictures, in float32 as `Runtime` does."""
    module.eval()
    parts: list[Outputs] = []
    for start in range(0, len(canvases), 64):
        pictures = torch.from_numpy(np.array(canvases[start : start + 64]))[:, None].to(device)
        parts.append(Outputs(*(part.cpu() for part in module(pictures))))
    return Outputs(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _assemble(recipe: Recipe, labels: Labels, members: list[Member]) -> Encoder:
    """Trained members as one encoder, which has no projection and no sentences yet."""
    count, findings = members[0].head.out_features, len(labels.findings)
    places = sentences.DIMENSIONS if recipe.text_weight else 0
    encoder = Encoder(recipe.backbones, recipe.dimensions, count, findings, places).eval()
    encoder.load_members(members)
    encoder.worth.fill_(recipe.finding_worth)
    if NORMAL in labels.findings:
        encoder.worth[labels.findings.index(NORMAL)] = recipe.normal_worth
    return encoder


def _place(head: nn.Linear, vectors: Tensor, supervision: Supervision) -> None:
    """Fit a head by least squares to the sums of the vectors of what people said of an image.

    A picture with two findings lies where both are, and further out than one with either.
    """
    phrases = supervision.phrases.double()
    sums = (supervision.said > 0).double() @ (phrases - phrases.mean(0))
    inputs = vectors.double() * vectors.shape[1] ** 0.5
    centre, mean = inputs.mean(0), sums.mean(0)
    moments = (inputs - centre).T @ (inputs - centre)
    ridge = _RIDGE * torch.eye(len(moments)).double()
    solved = torch.linalg.solve(moments + ridge, (inputs - centre).T @ (sums - mean))
    head.weight.data = solved.T.float().contiguous()
    head.bias.data = -(centre @ solved).float()


def _main_directions(embeddings: Tensor, dimensions: int) -> Tensor:
    """The projection that keeps most of the inner products of rows.

    Of shape (n, columns) it makes (dimensions, columns).
    """
    moments = embeddings.double().T @ embeddings.double()
    directions = torch.linalg.eigh(moments).eigenvectors.flip(1)
    main: Tensor = directions[:, :dimensions].T.float().contiguous()
    return main


def _fold(head: nn.Linear, scale: _FloatArray, shift: _FloatArray) -> None:
    """Make a head give calibrated logits."""
    factor = torch.from_numpy(scale).to(head.weight.device)
    head.weight.data *= factor[:, None]
    head.bias.data = head.bias.data * factor + torch.from_numpy(shift).to(head.bias.device)


def _mean_auc(goals: _FloatArray, scores: _FloatArray) -> float:
    """Mean area under the ROC curve over the labels with at least 10 positives."""
    from sklearn.metrics import roc_auc_score

    positives = goals.sum(0)
    columns = np.flatnonzero((positives >= 10) & (positives < len(goals)))
    if not len(columns):
        return math.nan
    areas = [roc_auc_score(goals[:, c], scores[:, c]) for c in columns]
    return round(float(np.mean(areas)), 4)


def _train_annotator(
    recipe: Recipe,
    labels: Labels,
    examples: dict[str, list[Example]],
    vectors: dict[str, _FloatArray],
) -> tuple[Annotator, list[dict[str, float]]]:
    """The RNN of the epoch with the least loss on val, its state always started by the image."""
    torch.manual_seed(recipe.seed)
    model = Annotator(recipe.dimensions, len(labels.vocabulary), **_annotator_shape(recipe))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    data = {}
    for part, rows in examples.items():
        owners, words = encode_sequences((e.annotations for e in rows), labels, _LENGTH)
        data[part] = torch.from_numpy(vectors[part][owners]), torch.from_numpy(words)

    def loss_of(embedding: Tensor, tokens: Tensor) -> Tensor:
        logits = model(embedding, tokens[:, :-1].clamp(min=0))
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=-1
        )

    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    for epoch in range(recipe.annotator_epochs):
        model.train()
        embedding, tokens = data["train"]
        losses = []
        for step in torch.randperm(len(tokens)).split(128):
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
        elif epoch + 1 - min(history, key=lambda h: h["val_loss"])["epoch"] >= 5:
            break
    log.info("annotator: %s", min(history, key=lambda h: h["val_loss"]))
    model.load_state_dict(best)
    return model.eval(), history
